"""Fixtures for the tests of formats: file names in every format, tokens and numbers that are hard to store."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from fastembed import formats

NAMES = [
    f"v{suffix}{packed}"
    for form in formats.FORMATS.values()
    for suffix in form.suffixes
    if suffix
    for packed in (["", ".gz"] if form.gzip else [""])
]


@pytest.fixture(params=NAMES)
def name(request):
    """The name of a file: every suffix, compressed and not."""
    return request.param


# A .vec file is read like a .txt file, and a .glove.gz file in lines like .txt.gz
@pytest.fixture(params=[name for name in NAMES if not name.startswith(("v.vec", "v.glove."))])
def reader_name(request):
    """The name of a file: one per reader."""
    return request.param


@pytest.fixture(scope="module", autouse=True)
def without_fsync(request):
    """Leave data in the system's memory: thousands of small files would mostly wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        if request.module.__name__.rpartition(".")[2] != "test_atomic":
            patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def tokens():
    """Tokens that every format holds; other readers take some of them for numbers, quotes or line ends."""
    return [
        "the", "größe", "日本", "😀", "e\u0301", "3", "1e5", "-0.5", "nan", "2", "#", '"', "'quoted'", '"",', "\\n",
        "</s>", "\ufeffbom", "a\ufeff", "next\u0085line", "no\u00a0break", "\u00a0edge\u2003", "line\u2028separator",
        "\u2029paragraph", "\x00", "unit\x1fseparator", "__label__x", "\U0010ffff", "NULL", "None",
    ]  # fmt: skip


@pytest.fixture
def odd_tokens():
    """Tokens that only some formats hold."""
    return [
        "", " ", "new york", "tab\there", "new\nline", "return\r", "\x0b", "form\x0cfeed", "\u3000", "\ufeff", "\x1c",
    ]  # fmt: skip


@pytest.fixture
def rejected_in_little_memory():
    """Load files, all damaged, in a process with little address space to spare; return the message about each."""
    program = """
        import resource, sys
        from pathlib import Path
        from fastembed import Vectors
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
        for path in sys.argv[1:]:
            try:
                Vectors.load(path)
            except ValueError as error:
                print(error)
    """

    def messages(paths):
        command = [sys.executable, "-P", "-c", textwrap.dedent(program), *map(str, paths)]
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=600)
        assert not done.returncode, done.stderr
        found = done.stdout.splitlines()
        assert all(path.name in line for path, line in zip(paths, found, strict=True))
        return found

    return messages


@pytest.fixture
def numbers():
    """Return a function that makes finite numbers of every size, shape (rows, 6)."""

    def make(rows, dtype=np.float32):
        unsigned = {4: np.uint32, 8: np.uint64}[np.dtype(dtype).itemsize]
        bits = np.random.default_rng(0).integers(0, np.iinfo(unsigned).max, rows * 12, unsigned, endpoint=True)
        values = bits.view(dtype)
        values = values[np.isfinite(values)]
        limits = np.finfo(dtype)
        values[:7] = 0.0, -0.0, limits.smallest_subnormal, -limits.smallest_subnormal, limits.max, limits.tiny, 0.1
        return values[: rows * 6].reshape(rows, 6)

    return make


@pytest.fixture
def assert_same_bits():
    """Return a function that compares two arrays: dtype, shape and bits."""

    def compare(found, expected):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()

    return compare
