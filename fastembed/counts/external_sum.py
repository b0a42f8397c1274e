"""Sums of sparse matrices in bounded memory, as an external merge: in memory first, then in temporary files."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any

import numpy as np
from scipy import sparse

from fastembed._base.arrays import row_ranges
from fastembed._base.threads import ordered_map
from fastembed.counts.stored_csr import ENTRY_BYTES, AnyCSR, RowBatch, SpilledCSR, StoredCSR, store_rows

MERGE_ENTRIES = 1 << 20  # approximate number of entries that are merged at a time
MIN_BATCH_ENTRIES = 1 << 14  # smallest batch, however little memory there is: overhead dominates in smaller ones
MAX_FILES = 16  # matrices on disk; each has two open files, and its `indptr` in memory
MAX_CHUNK_IDS = 1 << 26  # the kernel that sorts their positions must not delay a Ctrl-C


def batch_entries(memory: int, threads: int) -> int:
    """Return the number of pairs or entries per batch: 5 batches per thread, 24 bytes per entry with its result."""
    return max(memory // (2 * ENTRY_BYTES * 5 * threads), MIN_BATCH_ENTRIES)


def sum_of(terms: list[sparse.csr_array]) -> sparse.csr_array:
    """Return the sum of sparse matrices of similar size."""
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [a if b is None else a + b for a, b in pairs]
    return terms[0]


def added_rows(matrices: list[AnyCSR], threads: int, entries: int = MERGE_ENTRIES) -> Generator[RowBatch, None, None]:
    """Yield the rows of the sum of matrices of one shape; about `entries` are added at a time."""

    def add(rows: tuple[int, int]) -> RowBatch:
        return RowBatch.of(sum_of([matrix.rows(*rows) for matrix in matrices]))

    with closing(ordered_map(add, row_ranges(_lengths(matrices), entries), threads)) as batches:
        yield from batches


def _lengths(matrices: list[AnyCSR]) -> Any:
    """Return a bound on the number of entries of each row of the sum."""
    return sum(np.diff(matrix.indptr) for matrix in matrices)


def add_matrices(matrices: list[AnyCSR], limit: int, threads: int, entries: int = MERGE_ENTRIES) -> AnyCSR:
    """Return the sum of matrices of one shape, in memory up to `limit` bytes; about `entries` are added at a time."""
    if len(matrices) == 1:
        return matrices[0]
    most = int(_lengths(matrices).sum())
    with closing(added_rows(matrices, threads, entries)) as batches:
        return store_rows(batches, matrices[0].n_columns, most, limit, threads)


class ExternalSum:
    """The sum of matrices that are added one by one, in about `memory_limit` bytes.

    A quarter of the memory is for the ids being counted, a quarter for the matrices in memory, a quarter for the matrix
    being added, and the rest for batches of rows. Matrices of similar size are added together, so that each entry is
    added only a few times. When the matrices exceed their memory, their sum is written to disk; when there are many on
    disk, they are added into one.
    """

    def __init__(self, n_columns: int, memory_limit: int, threads: int) -> None:
        self.n_columns = n_columns
        self.threads = threads
        self.share = memory_limit // 4
        self.in_memory: list[AnyCSR] = []
        self.on_disk: list[AnyCSR] = []
        self._only: Generator[RowBatch, None, None] | None = None

    @property
    def chunk_ids(self) -> int:
        """The number of ids in a chunk: each takes 4 bytes, and its sorted position 4 more."""
        return min(self.share // 8, MAX_CHUNK_IDS)

    @property
    def batch_entries(self) -> int:
        """The number of pairs or entries in a batch."""
        return batch_entries(self.share, self.threads)

    def add(self, batches: Iterable[RowBatch], most: int) -> None:
        """Add a matrix of at most `most` entries, given as batches of rows."""
        self._keep(store_rows(batches, self.n_columns, most, self.share, self.threads))
        while len(self.in_memory) > 1 and self.in_memory[-2].memory <= 2 * self.in_memory[-1].memory:
            self._keep(self._added([self.in_memory.pop(), self.in_memory.pop()], self.share))
        if sum(matrix.memory for matrix in self.in_memory) > self.share:
            self.on_disk.append(self._added(self.in_memory, 0))
            self.in_memory = []
        if len(self.on_disk) >= MAX_FILES:
            self.on_disk = [self._added(self.on_disk, 0)]

    def add_last(self, batches: Generator[RowBatch, None, None], most: int) -> None:
        """Add the last matrix before a call of `rows`; if it is the only one, `rows` passes its batches through."""
        if self.in_memory or self.on_disk:
            self.add(batches, most)
        else:
            self._only = batches

    def result(self) -> StoredCSR:
        """Return the sum; it is memory-mapped from a file if it does not fit into half of the memory."""
        return self._added(self.on_disk + self.in_memory, 2 * self.share).mapped()

    def rows(self) -> Generator[RowBatch, None, None]:
        """Yield the rows of the sum once, in batches of which only some are in memory; none if nothing was added."""
        if self._only is not None:
            with closing(self._only) as batches:
                yield from batches
        elif matrices := self.on_disk + self.in_memory:
            yield from added_rows(matrices, self.threads, self._merged_entries)

    @property
    def _merged_entries(self) -> int:
        return min(self.batch_entries, MERGE_ENTRIES)

    def _added(self, matrices: list[AnyCSR], limit: int) -> AnyCSR:
        return add_matrices(matrices, limit, self.threads, self._merged_entries)

    def _keep(self, matrix: AnyCSR) -> None:
        (self.on_disk if isinstance(matrix, SpilledCSR) else self.in_memory).append(matrix)
