"""Sums of matrices in memory and on disk, and counts within a memory limit."""

import errno
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, Vocabulary
from fastembed.counts import external_sum, stored_csr
from fastembed.counts.external_sum import ExternalSum, add_matrices, added_rows
from fastembed.counts.stored_csr import RowBatch, SpilledCSR, store_rows


def matrices(count):
    """Random matrices (40, 30) of positive integers."""
    rng = np.random.default_rng(0)
    return [
        sparse.random_array(
            (40, 30), density=0.3, random_state=rng, data_sampler=lambda size: np.ceil(9 * rng.random(size))
        ).tocsr()
        for _ in range(count)
    ]


def batches_of(matrix, size):
    """The rows of a matrix, so many at a time."""
    matrix = matrix.copy()
    matrix.sort_indices()
    return (RowBatch.of(matrix[first : first + size]) for first in range(0, matrix.shape[0], size))


@pytest.mark.parametrize("limit", [0, 1000, 3000, 1 << 30])
def test_matrices_are_the_same_in_memory_and_on_disk(limit):
    terms = matrices(5)
    stored = [store_rows(batches_of(matrix, 7), 30, matrix.nnz, limit, 2) for matrix in terms]
    assert {isinstance(matrix, SpilledCSR) for matrix in stored} == {limit < 12 * terms[0].nnz}
    total = add_matrices(stored, limit, threads=2, entries=50)
    assert_array_equal(total.rows(0, 40).toarray(), sum(terms).toarray())
    assert_array_equal(total.rows(3, 5).toarray(), sum(terms).toarray()[3:5])
    assert isinstance(total, SpilledCSR) == (limit < 12 * total.indptr[-1])
    rows = [batch.lengths for batch in added_rows(stored, threads=2, entries=50)]
    assert_array_equal(np.concatenate(rows), np.diff(total.indptr))
    assert_array_equal(total.mapped().rows(0, 40).toarray(), sum(terms).toarray())


@pytest.mark.parametrize("memory_limit", [4, 40_000, 100_000, 1 << 30])
def test_the_sum_of_many_matrices_stays_within_its_memory(memory_limit):
    total = ExternalSum(30, memory_limit, 2)
    terms = matrices(20)
    for matrix in terms:
        total.add(batches_of(matrix, 6), matrix.nnz)
        assert sum(stored.memory for stored in total.in_memory) <= max(total.share, 0)
    result = total.result()
    assert_array_equal(result.rows(0, 40).toarray(), sum(terms).toarray())
    same_row = np.diff(np.repeat(np.arange(40), np.diff(result.indptr))) == 0
    assert (np.diff(result.indices)[same_row] > 0).all()


@pytest.fixture(scope="module")
def long_text(tmp_path_factory, write_lines):
    """A file of 300,000 tokens in one line, and its vocabulary."""
    words = np.random.default_rng(5).zipf(1.3, 300_000).clip(max=20_000).astype(str)
    path = write_lines(tmp_path_factory.mktemp("long"), [words])
    return path, Vocabulary.from_corpus(path, min_count=1)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_memory_limit_changes_no_bit_and_leaves_no_file(long_text, threads, tmp_path, monkeypatch, assert_same):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = []
    monkeypatch.setattr(
        stored_csr,
        "_append",
        lambda *args, real=stored_csr._append: made.append(1) or real(*args),
    )
    whole = Counts.from_corpus(*long_text, directed=True)
    assert not made
    small = Counts.from_corpus(*long_text, directed=True, memory_limit=1 << 20, threads=threads)
    assert made
    assert isinstance(small.data.base, np.memmap)
    assert_same(small, whole)
    assert_array_equal(small.to_scipy().data, whole.to_scipy().data)
    del small  # the files have names on Windows, for as long as they are mapped
    assert list(tmp_path.iterdir()) == []


def test_many_matrices_on_disk_leave_few_files_open(long_text, monkeypatch, assert_same):
    monkeypatch.setattr(external_sum, "MAX_CHUNK_IDS", 2_000)
    sizes = []
    monkeypatch.setattr(
        ExternalSum,
        "add",
        lambda self, *args, real=ExternalSum.add: (real(self, *args), sizes.append(len(self.on_disk))),
    )
    small = Counts.from_corpus(*long_text, memory_limit=1 << 20)
    assert max(sizes) == external_sum.MAX_FILES - 1
    assert sizes[-1] < len(sizes) / 2
    assert_same(small, Counts.from_corpus(*long_text))


def test_a_full_disk_is_an_error_that_says_what_to_do(long_text, monkeypatch):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: full.open("wb", buffering=buffering))
    with pytest.raises(OSError, match=r"cannot keep counts in a file in .*No space left.*memory_limit") as caught:
        Counts.from_corpus(*long_text, memory_limit=1 << 20)
    assert caught.value.errno == errno.ENOSPC
