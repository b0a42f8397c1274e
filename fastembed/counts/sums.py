"""Sums of sparse matrices in bounded memory, as an external merge: in memory first, then in temporary files.

Matrices arrive as batches of rows. The temporary files have no name (on Windows, they are deleted when they are
closed), so they disappear however the process ends.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float64, Int32, Int64, RandomAccessFile, row_ranges, sorted_csr
from fastembed._base.threads import awaited, new_executor, ordered_map

CHUNK_IDS = 1 << 26  # of a text that are counted at a time; sorting their positions must not delay a Ctrl-C

ENTRY_BYTES = 12  # a column and a value
MAX_EXACT = 2**53  # integers up to here are exact in float64
MERGE_ENTRIES = 1 << 20  # approximate number of entries that are merged at a time
MIN_BATCH_ENTRIES = 1 << 14  # smallest batch, however little memory there is: overhead dominates in smaller ones
MAX_FILES = 16  # matrices on disk; each has two open files, and its `indptr` in memory


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


class SpilledArray:
    """An array in an unnamed temporary file, to which one thread appends; any thread may read slices of it.

    Slices are read, not mapped: pages of a mapped file count as memory of the process once they are touched.

    Examples
    --------
    >>> spilled = SpilledArray(np.int32)
    >>> spilled.append(np.arange(5, dtype=np.int32))
    >>> spilled.append(np.arange(3, dtype=np.int32))
    >>> len(spilled), spilled[4:7]
    (8, array([4, 0, 1], dtype=int32))
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as its reader
        self._reader = RandomAccessFile(self._file)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, array: npt.NDArray[Any]) -> None:
        """Append an array of this dtype.

        Raises
        ------
        OSError
            If the disk is full.
        """
        rest = np.ascontiguousarray(array, self._dtype).reshape(-1).view(np.uint8).data
        try:
            self._file.seek(self._length * self._dtype.itemsize)
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            what = f"cannot write to a temporary file in {tempfile.gettempdir()!r}: {error}"
            remedy = "raise memory_limit, or set the environment variable TMPDIR to a folder with more free space"
            raise OSError(error.errno, f"{what}; {remedy}") from error
        self._length += array.size

    def __getitem__(self, part: slice) -> npt.NDArray[Any]:
        item = self._dtype.itemsize
        first, last, _ = part.indices(self._length)
        return np.frombuffer(self._reader.read(first * item, (last - first) * item), self._dtype)

    def mapped(self) -> npt.NDArray[Any]:
        """Return the array memory-mapped; the mapping outlives this object."""
        return np.asarray(np.memmap(self._file, self._dtype, "r")) if self._length else np.empty(0, self._dtype)


class StoredCSR:
    """A CSR matrix whose columns ascend in each row.

    Parameters
    ----------
    data, indices : ndarray of float64 and of int32, or SpilledArray
    indptr : ndarray of int64

    Attributes
    ----------
    data, indices, indptr, n_columns
        As given.
    shape : (int, int)
    nnz : int
        The number of entries.
    spilled : bool
        Whether the entries are in temporary files.
    memory : int
        Its bytes in memory.
    """

    path, disk = None, 0  # it is in no folder

    def __init__(self, data: Any, indices: Any, indptr: Int64, n_columns: int) -> None:
        self.data, self.indices, self.indptr, self.n_columns = data, indices, indptr, n_columns
        self.shape, self.nnz = (len(indptr) - 1, n_columns), int(indptr[-1])
        self.spilled = isinstance(data, SpilledArray)
        self.memory = indptr.nbytes + (0 if self.spilled else ENTRY_BYTES * self.nnz)

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> StoredCSR:
        """Return the matrix of a CSR array whose columns ascend; arrays of the right dtype are not copied."""
        indptr, indices = matrix.indptr.astype(np.int64, copy=False), matrix.indices.astype(np.int32, copy=False)
        return cls(matrix.data, indices, indptr, int(matrix.shape[1]))

    def csr(self) -> StoredCSR:
        """Return itself."""
        return self

    def buffered(self, memory: int) -> StoredCSR:
        """Return itself: no buffer is needed to read it."""
        return self

    def mapped(self) -> StoredCSR:
        """Return the same matrix with arrays, which are memory-mapped if the entries are in temporary files."""
        if not self.spilled:
            return self
        return StoredCSR(self.data.mapped(), self.indices.mapped(), self.indptr, self.n_columns)

    def rows(self, first: int, last: int) -> sparse.csr_array:
        """Return the rows from first to last - 1."""
        a, b = int(self.indptr[first]), int(self.indptr[last])
        return sorted_csr(
            self.data[a:b], self.indices[a:b], self.indptr[first : last + 1] - a, (last - first, self.n_columns)
        )


def store_rows(batches: Iterable[RowBatch], n_columns: int, most: int, limit: int, threads: int) -> StoredCSR:
    """Concatenate batches of rows, in memory up to `limit` bytes, and beyond that in temporary files.

    Parameters
    ----------
    most : int
        A bound on the number of entries. Memory for them that is never written to takes no pages.
    threads : int
        The number of threads that copy entries.

    Raises
    ------
    OSError
        If the files cannot be written.
    """
    capacity, used = min(most, limit // ENTRY_BYTES), 0
    indices: Any = np.empty(capacity, np.int32)
    data: Any = np.empty(capacity)
    lengths: list[Int64] = []
    copies: deque[Future[None]] = deque()
    spilled = False

    def copy(part: slice, batch: RowBatch) -> None:
        indices[part], data[part] = batch.columns, batch.values
        batch.release()

    with new_executor(threads) as workers:
        for batch in batches:
            lengths.append(batch.lengths)
            end = used + len(batch.values)
            if not spilled and end <= capacity:
                copies.append(workers.submit(copy, slice(used, end), batch))
                used = end
                if len(copies) > threads:
                    awaited(copies.popleft())
                continue
            if not spilled:
                while copies:
                    awaited(copies.popleft())
                indices, data, spilled = _spilled(indices[:used]), _spilled(data[:used]), True
            indices.append(batch.columns)
            data.append(batch.values)
            batch.release()
        while copies:
            awaited(copies.popleft())
    if not spilled:
        indices.resize(used, refcheck=False)
        data.resize(used, refcheck=False)
    indptr = np.zeros(sum(map(len, lengths)) + 1, dtype=np.int64)
    np.cumsum(np.concatenate(lengths), out=indptr[1:])
    return StoredCSR(data, indices, indptr, n_columns)


def _spilled(array: npt.NDArray[Any]) -> SpilledArray:
    """Return a copy of an array in a temporary file."""
    spilled = SpilledArray(array.dtype)
    spilled.append(array)
    return spilled


def check_exact(sums: Float64) -> None:
    """Raise ValueError if integer sums may have been rounded.

    Partial sums of positive numbers are below the final one: if that is exact, so were they.
    """
    if sums.max(initial=0) > MAX_EXACT:
        raise ValueError("a count is too large to be exact: use a shorter window, or weighting='linear' or 'flat'")


def batch_entries(memory: int, threads: int) -> int:
    """Return the number of pairs or entries per batch: 5 batches per thread, 24 bytes per entry with its result."""
    return max(memory // (2 * ENTRY_BYTES * 5 * threads), MIN_BATCH_ENTRIES)


def sum_of(terms: list[sparse.csr_array]) -> sparse.csr_array:
    """Return the sum of sparse matrices of similar size."""
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [a if b is None else a + b for a, b in pairs]
    return terms[0]


def added_rows(
    matrices: list[StoredCSR], threads: int, entries: int, *, exact: bool
) -> Generator[RowBatch, None, None]:
    """Yield the rows of the sum of matrices of one shape; at most about `entries` are added at a time.

    Sums that must be `exact` are checked.
    """
    if not matrices:
        return

    def add(rows: tuple[int, int]) -> RowBatch:
        total = sum_of([matrix.rows(*rows) for matrix in matrices])
        if exact:
            check_exact(total.data)
        return RowBatch.of(total)

    lengths = np.sum([np.diff(matrix.indptr) for matrix in matrices], axis=0)
    ranges = row_ranges(lengths, min(entries, MERGE_ENTRIES))
    with closing(ordered_map(add, ranges, threads)) as batches:
        yield from batches


def add_matrices(
    matrices: list[StoredCSR], limit: int, threads: int, entries: int = MERGE_ENTRIES, *, exact: bool
) -> StoredCSR:
    """Return the sum of matrices of one shape, in memory up to `limit` bytes; the others are as in `added_rows`."""
    if len(matrices) == 1:
        return matrices[0]
    with closing(added_rows(matrices, threads, entries, exact=exact)) as batches:
        return store_rows(batches, matrices[0].n_columns, sum(matrix.nnz for matrix in matrices), limit, threads)


class ExternalSum:
    """The exact sum of matrices of integers that are added one by one, in about `memory_limit` bytes.

    A quarter of the memory is for the ids being counted, a quarter for the matrices in memory, a quarter for the matrix
    being added, and the rest for batches of rows. Matrices of similar size are added together, so that each entry is
    added only a few times. When the matrices exceed their memory, their sum is written to disk; when there are many on
    disk, they are added into one.
    """

    def __init__(self, n_columns: int, memory_limit: int, threads: int) -> None:
        self.n_columns = n_columns
        self.threads = threads
        self.share = memory_limit // 4
        # The number of ids in a chunk: each takes 4 bytes, and its sorted position 4 more
        self.chunk_ids = min(self.share // 8, CHUNK_IDS)
        self.batch_entries = batch_entries(self.share, threads)  # pairs or entries in a batch
        self.in_memory: list[StoredCSR] = []
        self.on_disk: list[StoredCSR] = []
        self._only: Generator[RowBatch, None, None] | None = None

    def add(self, batches: Iterable[RowBatch], most: int) -> None:
        """Add a matrix of at most `most` entries, given as batches of rows."""
        matrix = store_rows(batches, self.n_columns, most, self.share, self.threads)
        while not matrix.spilled and self.in_memory and self.in_memory[-1].memory <= 2 * matrix.memory:
            matrix = self._added([matrix, self.in_memory.pop()], self.share)
        (self.on_disk if matrix.spilled else self.in_memory).append(matrix)
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
        """Return the rows of the sum once, in batches of which only some are in memory; none if nothing was added."""
        if self._only is not None:
            return self._only
        return added_rows(self.on_disk + self.in_memory, self.threads, self.batch_entries, exact=True)

    def _added(self, matrices: list[StoredCSR], limit: int) -> StoredCSR:
        return add_matrices(matrices, limit, self.threads, self.batch_entries, exact=True)
