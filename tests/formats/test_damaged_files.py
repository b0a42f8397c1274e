"""Damaged and hostile files of every format raise a ValueError that names the place: no crash, no giant allocation."""

import gzip
import json
import re
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from fastembed import formats


def load_or_reject(path):
    """Load a file, or return None after checking that the ValueError names it."""
    try:
        return formats.load(path)
    except ValueError as error:
        message = str(error)
    assert re.search(r"v(\.[a-z]+)+'", message), message
    return None


def good_files(folder, path):
    """Save vectors and return the files that this makes."""
    tokens = ["the", "größe", "日本", "3", "e"]
    matrix = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    formats.save(tokens, matrix, folder / path, counts=np.array([9, 7, 5, 3, 1]))
    return sorted(folder.iterdir())


def test_every_truncation_is_rejected_or_whole(tmp_path, reader_name):
    for file in good_files(tmp_path, reader_name):
        whole = file.read_bytes()
        for size in range(0, len(whole), 1 + len(whole) // 150):
            file.write_bytes(whole[:size])
            found = load_or_reject(tmp_path / reader_name)
            # A cut in the last component, count or token of a text cannot be seen, nor a missing last line of GloVe's
            if found is not None:
                assert reader_name in ("v.txt", "v.bin", "v.glove")
                assert reader_name == "v.glove" or len(found.tokens) == 5
        file.write_bytes(whole)
    assert len(formats.load(tmp_path / reader_name).tokens) == 5


def test_missing_files_and_folders_are_os_errors(tmp_path, reader_name):
    files = good_files(tmp_path, reader_name)
    for file in files:
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(FileNotFoundError, match=re.escape(file.name)):
            formats.load(tmp_path / reader_name)
        file.mkdir()
        with pytest.raises(OSError, match=re.escape(file.name)):
            formats.load(tmp_path / reader_name)
        file.rmdir()
        file.write_bytes(content)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the address space")
def test_promises_allocate_nothing(tmp_path, rejected_in_little_memory):
    """Load files that promise terabytes with little address space to spare."""
    record = b"one " + bytes(4)
    bomb = gzip.compress(b"x" * (1 << 20)) * 300  # 300 MB in members of 1 MB
    matrix = {"dtype": "F32", "shape": [2**30, 300], "data_offsets": [0, 1200 * 2**30]}
    tensors = json.dumps({"matrix": matrix}).encode()
    files = {
        "a.bin": b"999999999999 1000\n" + record,
        "a.bin.gz": gzip.compress(b"999999999999 1000\n" + record),
        "a.glove.gz": bomb,
        "b.bin.gz": gzip.compress(b"1 1\n") + bomb,
        "a.safetensors": struct.pack("<Q", len(tensors)) + tensors + bytes(64),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    rejected_in_little_memory([tmp_path / name for name in files])


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits on the size of files")
def test_a_full_disk_leaves_the_old_files_and_nothing_else(tmp_path):
    names = [
        f"v{suffix}{packed}"
        for form in formats.FORMATS.values()
        for suffix in form.suffixes
        for packed in (["", ".gz"] if form.gzip else [""])
    ]
    paths = [tmp_path / str(number) / name for number, name in enumerate(names)]
    old = {}
    for path in paths:
        path.parent.mkdir()
        old |= {file: file.read_bytes() for file in good_files(path.parent, path.name)}
    program = """
        import resource, signal, sys
        import numpy as np
        from fastembed import formats
        tokens = [f"t{i}" for i in range(3000)]
        matrix = np.random.default_rng(0).normal(size=(3000, 8))
        formats.FORMATS  # what is imported late
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for path in sys.argv[1:]:
            for limit in (10, 5000, 20000):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
                try:
                    formats.save(tokens, matrix, path)
                except OSError as error:
                    print(error)
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(program), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=600)
    failed = [path for path in paths for _ in range(3)]
    for path, line in zip(failed, done.stdout.splitlines(), strict=True):
        assert str(path) in line
        assert "File too large" in line
    assert {file: file.read_bytes() for path in paths for file in path.parent.iterdir()} == old
