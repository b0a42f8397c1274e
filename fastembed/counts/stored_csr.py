"""CSR matrices that arrive as batches of rows and are stored in memory or in temporary files.

The temporary files have no name (on Windows, they are deleted when they are closed), so nothing is left of them,
however the process ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.csr import sorted_csr

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

ENTRY_BYTES = 12  # a column and a value


class RowBatch(NamedTuple):
    """Consecutive rows of a matrix: the number of entries of each, their columns, ascending in a row, and values."""

    lengths: Int64
    columns: Int32
    values: Float

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> RowBatch:
        """Return the rows of a CSR array whose columns ascend."""
        lengths = np.diff(matrix.indptr).astype(np.int64)
        return cls(lengths, matrix.indices.astype(np.int32, copy=False), matrix.data)


@dataclass(frozen=True)
class StoredCSR:
    """A CSR matrix whose columns ascend in each row; `on_disk` if its entries are in a file mapped into memory."""

    data: Float
    indices: Int32
    indptr: Int64
    n_columns: int
    on_disk: bool = False

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> StoredCSR:
        """Take the arrays of a CSR array whose columns ascend, not copied where they have these dtypes."""
        indptr, indices = matrix.indptr.astype(np.int64, copy=False), matrix.indices.astype(np.int32, copy=False)
        return cls(matrix.data, indices, indptr, int(matrix.shape[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and columns."""
        return len(self.indptr) - 1, self.n_columns

    @property
    def memory(self) -> int:
        """Its bytes in memory."""
        return self.indptr.nbytes + (0 if self.on_disk else self.indices.nbytes + self.data.nbytes)

    def rows(self, first: int, last: int) -> sparse.csr_array:
        """Return the rows from first to last - 1."""
        a, b = self.indptr[first], self.indptr[last]
        return sorted_csr(
            self.data[a:b], self.indices[a:b], self.indptr[first : last + 1] - a, (last - first, self.n_columns)
        )


def store_rows(batches: Iterable[RowBatch], n_columns: int, limit: int) -> StoredCSR:
    """Concatenate batches of rows, in memory up to `limit` bytes, beyond that in temporary files.

    Raises
    ------
    OSError
        If the files cannot be written.
    """
    lengths: list[Int64] = []
    indices, data = np.empty(0, dtype=np.int32), np.empty(0)
    used = 0
    with ExitStack() as stack:
        files: list[BinaryIO] = []
        for batch in batches:
            lengths.append(batch.lengths)
            if files or ENTRY_BYTES * (used + len(batch.values)) > limit:
                _append((indices[:used], data[:used]), files, stack)
                _append((batch.columns, batch.values), files, stack)
                indices, data, used = indices[:0], data[:0], 0
                continue
            for array, new in ((indices, batch.columns), (data, batch.values)):
                if used + len(new) > len(array):
                    array.resize(max(used + len(new), len(array) + len(array) // 4), refcheck=False)
                array[used : used + len(new)] = new
            used += len(batch.values)
        indptr = np.zeros(sum(map(len, lengths)) + 1, dtype=np.int64)
        np.cumsum(np.concatenate(lengths), out=indptr[1:])
        if files:
            indices, data = (np.asarray(np.memmap(file, t, "r")) for file, t in zip(files, ("i4", "f8"), strict=True))
            return StoredCSR(data, indices, indptr, n_columns, on_disk=True)
    indices.resize(used, refcheck=False)
    data.resize(used, refcheck=False)
    return StoredCSR(data, indices, indptr, n_columns)


def _append(arrays: tuple[npt.NDArray[Any], ...], files: list[BinaryIO], stack: ExitStack) -> None:
    """Append columns and values to the two files, which are made if there are none yet."""
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
