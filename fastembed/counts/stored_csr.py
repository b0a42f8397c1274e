"""CSR matrices that arrive as batches of rows and are stored in memory, or spilled to temporary files.

The temporary files have no name (on Windows, they are deleted when they are closed), so they disappear however the
process ends.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import RandomAccessFile, sorted_csr
from fastembed._base.threads import Workers

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

ENTRY_BYTES = 12  # a column and a value


def _nothing() -> None:
    pass


class RowBatch(NamedTuple):
    """Consecutive rows of a matrix: the number of entries per row, their columns, ascending per row, and values.

    `release` is called when columns and values have been stored.
    """

    lengths: Int64
    columns: Int32
    values: Float
    release: Callable[[], object] = _nothing

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> RowBatch:
        """Return the rows of a CSR array whose columns ascend."""
        lengths = np.diff(matrix.indptr).astype(np.int64)
        return cls(lengths, matrix.indices.astype(np.int32, copy=False), matrix.data)


def not_empty(batches: Iterable[RowBatch], error: Callable[[], Exception]) -> Generator[RowBatch, None, None]:
    """Yield batches of rows; at the end, raise an error if none had an entry."""
    entries = 0
    for batch in batches:
        entries += len(batch.values)
        yield batch
    if not entries:
        raise error()


@dataclass(frozen=True)
class StoredCSR:
    """A CSR matrix whose columns ascend in each row, in memory or memory-mapped."""

    data: Float
    indices: Int32
    indptr: Int64
    n_columns: int

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> StoredCSR:
        """Return the matrix of a CSR array whose columns ascend; arrays of the right dtype are not copied."""
        indptr, indices = matrix.indptr.astype(np.int64, copy=False), matrix.indices.astype(np.int32, copy=False)
        return cls(matrix.data, indices, indptr, int(matrix.shape[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return len(self.indptr) - 1, self.n_columns

    @property
    def memory(self) -> int:
        """Its bytes in memory."""
        return self.indptr.nbytes + self.indices.nbytes + self.data.nbytes

    def mapped(self) -> StoredCSR:
        """Return itself."""
        return self

    def rows(self, first: int, last: int) -> sparse.csr_array:
        """Return the rows from first to last - 1."""
        a, b = self.indptr[first], self.indptr[last]
        return sorted_csr(
            self.data[a:b], self.indices[a:b], self.indptr[first : last + 1] - a, (last - first, self.n_columns)
        )


class SpilledCSR:
    """A CSR matrix whose entries are in two unnamed temporary files: the columns, and the values.

    Rows are read, not mapped: pages of a mapped file count as memory of the process once they are touched.
    """

    def __init__(self, files: tuple[BinaryIO, BinaryIO], indptr: Int64, n_columns: int) -> None:
        self.indptr, self.n_columns = indptr, n_columns
        self._files, self._readers = files, tuple(RandomAccessFile(file) for file in files)

    @property
    def memory(self) -> int:
        """Its bytes in memory."""
        return self.indptr.nbytes

    def mapped(self) -> StoredCSR:
        """Return the matrix memory-mapped; the mapping outlives this object."""
        if not self.indptr[-1]:
            return StoredCSR(np.empty(0), np.empty(0, np.int32), self.indptr, self.n_columns)
        indices, data = (np.asarray(np.memmap(file, t, "r")) for file, t in zip(self._files, ("i4", "f8"), strict=True))
        return StoredCSR(data, indices, self.indptr, self.n_columns)

    def rows(self, first: int, last: int) -> sparse.csr_array:
        """Return the rows from first to last - 1."""
        a, b = int(self.indptr[first]), int(self.indptr[last])
        indices, data = (
            np.frombuffer(reader.read(a * item, (b - a) * item), dtype)
            for reader, item, dtype in zip(self._readers, (4, 8), ("i4", "f8"), strict=True)
        )
        return sorted_csr(data, indices, self.indptr[first : last + 1] - a, (last - first, self.n_columns))


AnyCSR: TypeAlias = StoredCSR | SpilledCSR


class _Entries:
    """Columns and values in memory, which several threads copy to positions that one thread assigns.

    Parameters
    ----------
    capacity : int
        The largest number of entries. Pages that are never written to take no memory; growing arrays would first be
        filled with zeros, by one thread.
    threads : int
    """

    def __init__(self, capacity: int, threads: int) -> None:
        self.used = 0
        self._columns, self._values = np.empty(capacity, dtype=np.int32), np.empty(capacity)
        self._threads = threads
        self._workers = Workers(threads)
        self._copies: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.__exit__()

    def append(self, batch: RowBatch) -> None:
        """Let another thread copy a batch after all others, and release it."""
        begin, self.used = self.used, self.used + len(batch.values)
        columns, values = self._columns[begin : self.used], self._values[begin : self.used]

        def copy() -> None:
            columns[:] = batch.columns
            values[:] = batch.values
            batch.release()

        self._copies.append(self._workers.submit(copy))
        while len(self._copies) > self._threads:
            self._copies.popleft().result()

    def take(self) -> tuple[Int32, Float]:
        """Return all columns and values; nothing can be appended afterwards."""
        while self._copies:
            self._copies.popleft().result()
        self._columns.resize(self.used, refcheck=False)
        self._values.resize(self.used, refcheck=False)
        taken = self._columns, self._values
        self._columns, self._values = np.empty(0, dtype=np.int32), np.empty(0)
        return taken


def store_rows(batches: Iterable[RowBatch], n_columns: int, most: int, limit: int, threads: int) -> AnyCSR:
    """Concatenate batches of rows, in memory up to `limit` bytes, and beyond that in temporary files.

    Parameters
    ----------
    batches : iterable of RowBatch
    n_columns : int
    most : int
        A bound on the number of entries.
    limit, threads : int

    Raises
    ------
    OSError
        If the files cannot be written.
    """
    lengths: list[Int64] = []
    files: list[BinaryIO] = []
    capacity = min(most, limit // ENTRY_BYTES)
    with ExitStack() as stack, _Entries(capacity, threads) as entries:
        for batch in batches:
            lengths.append(batch.lengths)
            if not files and entries.used + len(batch.values) <= capacity:
                entries.append(batch)
                continue
            if not files:
                _append(entries.take(), files, stack)
            _append((batch.columns, batch.values), files, stack)
            batch.release()
        indptr = np.zeros(sum(map(len, lengths)) + 1, dtype=np.int64)
        np.cumsum(np.concatenate(lengths), out=indptr[1:])
        if files:
            spilled = SpilledCSR((files[0], files[1]), indptr, n_columns)
            stack.pop_all()  # the matrix closes the files
            return spilled
        indices, data = entries.take()
    return StoredCSR(data, indices, indptr, n_columns)


def _append(arrays: tuple[npt.NDArray[Any], ...], files: list[BinaryIO], stack: ExitStack) -> None:
    """Append columns and values to the two files, which are created if they do not exist."""
    try:
        while len(files) < 2:
            files.append(stack.enter_context(tempfile.TemporaryFile(buffering=0)))  # noqa: SIM115 - the stack closes it
        for array, file in zip(arrays, files, strict=True):
            _write(file, array.data.cast("B"))
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot keep counts in a file in {tempfile.gettempdir()!r}: {error}; raise memory_limit, or set the"
            " environment variable TMPDIR to a folder with more free space",
        ) from error


def _write(file: BinaryIO, data: memoryview) -> None:
    while len(data):
        data = data[file.write(data) :]
