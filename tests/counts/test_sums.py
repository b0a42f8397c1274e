"""Sums of matrices in memory and on disk, and counts within a memory limit."""

import errno
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, Vocabulary
from fastembed.counts import sums
from fastembed.counts.sums import ExternalSum, RowBatch, SpilledArray


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


@pytest.mark.parametrize("memory_limit", [4, 40_000, 100_000, 1 << 30])
def test_the_sum_of_many_matrices_stays_within_its_memory(memory_limit):
    rng = np.random.default_rng(0)
    total, terms = ExternalSum(30, memory_limit, 2), []
    for _ in range(20):
        matrix = sparse.random_array((40, 30), density=0.3, random_state=rng, format="csr")
        matrix.data = np.ceil(9 * matrix.data)
        terms.append(matrix)
        total.add((RowBatch.of(matrix[first : first + 6]) for first in range(0, 40, 6)), matrix.nnz)
        assert sum(stored.memory for stored in total.in_memory) <= total.share
    lengths = [batch.lengths for batch in total.rows()]
    result = total.result()
    assert_array_equal(np.concatenate(lengths), np.diff(result.indptr))
    assert_array_equal(result.rows(0, 40).toarray(), sum(terms).toarray())
    assert_array_equal(result.rows(3, 5).toarray(), sum(terms).toarray()[3:5])
    same_row = np.diff(np.repeat(np.arange(40), np.diff(result.indptr))) == 0
    assert (np.diff(result.indices)[same_row] > 0).all()


def test_many_matrices_on_disk_leave_few_files_open(long_text, monkeypatch, sizes, assert_same):
    sizes.chunk_ids = 2_000
    on_disk, add = [], ExternalSum.add
    monkeypatch.setattr(ExternalSum, "add", lambda self, *args: (add(self, *args), on_disk.append(len(self.on_disk))))
    small = Counts.from_corpus(*long_text, memory_limit=1 << 20)
    assert max(on_disk) == sums.MAX_FILES - 1
    assert on_disk[-1] < len(on_disk) / 2
    assert_same(small, Counts.from_corpus(*long_text))


def test_a_temporary_file_that_is_too_short_is_an_error(monkeypatch):
    spilled = SpilledArray(np.float64)
    spilled.append(np.ones(5))
    spilled._file.truncate(30)
    with pytest.raises(OSError, match="ends 10 bytes too early"):
        spilled[:]
