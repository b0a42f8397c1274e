"""Sparse matrices in memory, which arrive as batches of rows, and their sums."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
from scipy import sparse

from fastembed._base.arrays import Float64, Int32, Int64, sorted_csr
from fastembed._base.memory import readable
from fastembed._base.threads import awaited, new_executor

BATCH_PAIRS = 1 << 21  # approximate number of pairs of a corpus that are summed at a time: 25 MB of them
ENTRY_BYTES = 12  # a column and a value
MAX_EXACT = 2**53  # integers up to here are exact in float64
MERGE_ENTRIES = 1 << 20  # approximate number of entries that are merged at a time
MIN_BATCH_ENTRIES = 1 << 14  # smallest batch, however little memory there is: overhead dominates in smaller ones


class RowBatch(NamedTuple):
    """Consecutive rows of a matrix: the number of entries per row, their columns, ascending per row, and values.

    `release` is called when columns and values have been stored.
    """

    lengths: Int64
    columns: Int32
    values: Float64
    release: Callable[[], object] = lambda: None

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> RowBatch:
        """Return the rows of a CSR array whose columns ascend."""
        lengths = np.diff(matrix.indptr).astype(np.int64)
        return cls(lengths, matrix.indices.astype(np.int32, copy=False), matrix.data)


def stored_rows(batches: Iterable[RowBatch], n_columns: int, most: int, limit: int, threads: int) -> sparse.csr_array:
    """Return the matrix of batches of rows.

    Parameters
    ----------
    most : int
        A bound on the number of entries. Memory for them that is never written to takes no pages.
    limit : int
        Bytes.
    threads : int
        The number of threads that copy entries.

    Raises
    ------
    MemoryError
        If the entries take more than the limit.
    """
    capacity, used = min(most, limit // ENTRY_BYTES), 0
    indices, data = np.empty(capacity, np.int32), np.empty(capacity)
    lengths: list[Int64] = []
    copies: deque[Future[None]] = deque()

    def copy(part: slice, batch: RowBatch) -> None:
        indices[part], data[part] = batch.columns, batch.values
        batch.release()

    with new_executor(threads) as workers:
        for batch in batches:
            lengths.append(batch.lengths)
            end = used + len(batch.values)
            if end > capacity:
                free = readable(limit)
                raise MemoryError(f"the counts take more than {free}, half of what is free: set a memory_limit")
            copies.append(workers.submit(copy, slice(used, end), batch))
            used = end
            if len(copies) > threads:
                awaited(copies.popleft())
        while copies:
            awaited(copies.popleft())
    indices.resize(used, refcheck=False)
    data.resize(used, refcheck=False)
    indptr = np.zeros(sum(map(len, lengths)) + 1, dtype=np.int64)
    np.cumsum(np.concatenate(lengths), out=indptr[1:])
    return sorted_csr(data, indices, indptr, (len(indptr) - 1, n_columns))


def check_exact(sums: Float64) -> None:
    """Raise ValueError if integer sums may have been rounded.

    Partial sums of positive numbers are below the final one: if that is exact, so were they.
    """
    if sums.max(initial=0) > MAX_EXACT:
        raise ValueError("a count is too large to be exact: use a shorter window, or weighting='linear' or 'flat'")


def batch_entries(memory: int, threads: int) -> int:
    """Return the number of pairs or entries per batch: 5 batches per thread, 24 bytes per entry with its result."""
    return min(max(memory // (2 * ENTRY_BYTES * 5 * threads), MIN_BATCH_ENTRIES), BATCH_PAIRS)


def sum_of(terms: list[sparse.csr_array]) -> sparse.csr_array:
    """Return the sum of sparse matrices of similar size."""
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [a if b is None else a + b for a, b in pairs]
    return terms[0]


def add_matrices(matrices: list[sparse.csr_array], *, exact: bool) -> sparse.csr_array:
    """Return the sum of matrices of one shape; sums that must be `exact` are checked."""
    total = sum_of(matrices)
    if exact:
        check_exact(total.data)
    return total


def add_chunks(
    chunks: Iterable[tuple[Generator[RowBatch, None, None], int]], shape: tuple[int, int], limit: int, threads: int
) -> sparse.csr_array:
    """Return the exact sum of matrices of integers, each given as batches of rows and a bound on its entries.

    Those of similar size are added together, so that each entry is added only a few times.
    """
    sums: list[sparse.csr_array] = []
    for rows, most in chunks:
        matrix = stored_rows(rows, shape[1], most, limit, threads)
        while sums and sums[-1].nnz <= 2 * matrix.nnz:
            matrix = add_matrices([matrix, sums.pop()], exact=True)
        sums.append(matrix)
    return add_matrices(sums, exact=True) if sums else sparse.csr_array(shape)
