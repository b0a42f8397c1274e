"""Sums of matrices in memory and on disk, and counts within a memory limit."""

import errno
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Counts, Vocabulary


@pytest.fixture(scope="module")
def long_text(tmp_path_factory, write_lines):
    """A file of 300,000 tokens in one line, and its vocabulary."""
    words = np.random.default_rng(5).zipf(1.3, 300_000).clip(max=20_000).astype(str)
    path = write_lines(tmp_path_factory.mktemp("long"), [words])
    return path, Vocabulary.from_corpus(path, min_count=1)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_memory_limit_changes_no_bit_and_leaves_no_file(long_text, threads, tmp_path, monkeypatch, assert_same):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    whole = Counts.from_corpus(*long_text, directed=True)
    assert not isinstance(whole.data.base, np.memmap)
    small = Counts.from_corpus(*long_text, directed=True, memory_limit=1 << 20, threads=threads)
    assert isinstance(small.data.base, np.memmap)
    assert_same(small, whole)
    assert_array_equal(small.to_scipy().data, whole.to_scipy().data)
    del small  # the files have names on Windows, for as long as they are mapped
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_says_what_to_do(long_text, monkeypatch):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: full.open("wb", buffering=buffering))
    message = r"cannot write to a temporary file in .*No space left.*memory_limit.*TMPDIR"
    with pytest.raises(OSError, match=message) as caught:
        Counts.from_corpus(*long_text, memory_limit=1 << 20)
    assert caught.value.errno == errno.ENOSPC
