"""Rows of a sparse matrix with columns in blocks, the format of the product kernels; in memory or in a file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Generator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastembed._base.csr import row_ranges
from fastembed._base.threads import Pool, Workers, ordered_results
from fastembed._kernels import kernels_for
from fastembed.trainer.groups import RowGroup

TASKS = 64  # tasks of the pool, each with some of the rows
LEAST_ROWS = 512  # smallest number of rows per task of a product, since each task reads the whole dense operand


class BlockedRows(NamedTuple):
    """Rows of a sparse matrix, whose columns are in blocks; see `_kernels/sparse.pxi`.

    The n-th row has, in the k-th block, the entries from ``starts[k, n]`` to ``starts[k + 1, n]``.
    """

    bounds: NDArray[np.int32]
    starts: NDArray[np.int64]
    columns: NDArray[np.uint16]
    data: NDArray[Any]

    @classmethod
    def positive_pmi(
        cls,
        counts: RowGroup,
        row_totals: NDArray[np.float64],
        column_factors: NDArray[np.float64],
        bounds: NDArray[np.int32],
        pool: Pool,
        dtype: DTypeLike,
    ) -> BlockedRows:
        """Return max(0, log(N_rc f_c / n_r)) for some rows of counts, where n_r is the row total and f_c a factor."""
        lengths = counts.ends - counts.begins
        places = np.concatenate([[0], np.cumsum(lengths)])
        # Entries of a piece begin where its counts would. Memory behind them that is never written to takes no pages
        columns, data = np.empty(places[-1], np.uint16), np.empty(places[-1], dtype)
        starts = np.zeros((len(bounds), len(lengths)), np.int64)
        pieces, factors = row_ranges(lengths, max(int(places[-1]) // TASKS, 1)), reciprocals(row_totals)
        rows, kernels = cls(bounds, starts, columns, data), kernels_for(np.dtype(dtype))

        def fill(k: int) -> None:
            first, last = pieces[k]
            kernels.positive_pmi(*counts, factors, column_factors, *rows, first, last, int(places[first]))

        pool.run(fill, len(pieces))
        return rows

    @property
    def memory(self) -> int:
        """The bytes in memory."""
        return self.starts.nbytes + self.columns.nbytes + self.data.nbytes

    def pieces(self, count: int) -> list[tuple[int, int]]:
        """Return about `count` ranges of rows with similar numbers of entries, but none with few rows."""
        lengths = self.starts[-1] - self.starts[0]
        count = min(count, -(-len(lengths) // LEAST_ROWS))
        return row_ranges(lengths, max(int(lengths.sum()) // count, 1))

    def without_gaps(self) -> BlockedRows:
        """Return the same rows with contiguous entries from index 0."""
        begins, ends = self.starts[0], self.starts[-1]
        firsts = np.flatnonzero(np.concatenate([[True], begins[1:] != ends[:-1]]))
        lasts = np.append(firsts[1:], len(begins)) - 1
        runs = [slice(begins[first], ends[last]) for first, last in zip(firsts, lasts, strict=True)]
        shifts = np.cumsum(ends - begins) - ends
        columns, data = (np.concatenate([array[run] for run in runs]) for array in (self.columns, self.data))
        return BlockedRows(self.bounds, self.starts + shifts, columns, data)


class RowSpill:
    """Groups of rows in an unnamed temporary file, read in the order in which they were appended.

    Only one thread may read at a time.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as this object
        weakref.finalize(self, self._file.close)
        self._groups: list[tuple[NDArray[np.int32], int, int, np.dtype[Any]]] = []

    def append(self, rows: BlockedRows) -> None:
        """Append a group without gaps.

        Raises
        ------
        OSError
            If the disk is full.
        """
        try:
            for array in rows[1:]:
                data = array.reshape(-1).view(np.uint8).data
                while len(data):
                    data = data[self._file.write(data) :]
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot keep a matrix in a file in {tempfile.gettempdir()!r}: {error}; raise memory_limit, or set the"
                " environment variable TMPDIR to a folder with more free space",
            ) from error
        self._groups.append((rows.bounds, rows.starts.shape[1], len(rows.data), rows.data.dtype))

    def read(self) -> Generator[BlockedRows, None, None]:
        """Yield the groups; the next group is read while one is in use."""
        self._file.seek(0)
        with Workers(1) as reader, closing(ordered_results(reader, self._read, self._groups, 1)) as groups:
            yield from groups

    def _read(self, group: tuple[NDArray[np.int32], int, int, np.dtype[Any]]) -> BlockedRows:
        bounds, rows, entries, dtype = group
        starts = self._filled(np.empty((len(bounds), rows), np.int64))
        return BlockedRows(
            bounds, starts, self._filled(np.empty(entries, np.uint16)), self._filled(np.empty(entries, dtype))
        )

    def _filled(self, array: NDArray[Any]) -> NDArray[Any]:
        """Fill an array from the current position of the file; raise if the file is short, since kernels trust it."""
        rest = array.reshape(-1).view(np.uint8).data
        while len(rest):
            count = self._file.readinto(rest)
            if not count:
                raise OSError(f"the temporary file of a matrix ends {len(rest):,} bytes too early")
            rest = rest[count:]
        return array


def reciprocals(totals: NDArray[np.float64], numerator: float = 1.0) -> NDArray[np.float64]:
    """Return numerator / totals, finite, and 0 where the total is 0."""
    with np.errstate(over="ignore"):
        quotients = np.divide(numerator, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.minimum(quotients, np.finfo(np.float64).max)
