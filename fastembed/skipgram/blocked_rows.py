"""Rows of a sparse matrix whose columns are in blocks, as the kernels of products take them; in memory or in a file."""

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

TASKS = 64  # tasks of the pool, each of some rows
LEAST_ROWS = 512  # the fewest rows of a task in a product: each passes over the whole dense operand


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
        """Return max(0, log(N_rc f_c / n_r)) of some rows of counts, with n_r the total of the row and a factor f_c."""
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
        """Its bytes in memory."""
        return self.starts.nbytes + self.columns.nbytes + self.data.nbytes

    def pieces(self, count: int) -> list[tuple[int, int]]:
        """Return about so many ranges of rows with like numbers of entries, but none of few rows."""
        lengths = self.starts[-1] - self.starts[0]
        count = min(count, -(-len(lengths) // LEAST_ROWS))
        return row_ranges(lengths, max(int(lengths.sum()) // count, 1))

    def without_gaps(self) -> BlockedRows:
        """Return the same rows, whose entries follow one another from place 0 on."""
        begins, ends = self.starts[0], self.starts[-1]
        firsts = np.flatnonzero(np.concatenate([[True], begins[1:] != ends[:-1]]))
        lasts = np.append(firsts[1:], len(begins)) - 1
        runs = [slice(begins[first], ends[last]) for first, last in zip(firsts, lasts, strict=True)]
        shifts = np.cumsum(ends - begins) - ends
        columns, data = (np.concatenate([array[run] for run in runs]) for array in (self.columns, self.data))
        return BlockedRows(self.bounds, self.starts + shifts, columns, data)


class RowSpill:
    """Groups of rows in a temporary file without a name, read in the order in which they were appended.

    One thread at a time may read.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as this object
        weakref.finalize(self, self._file.close)
        self._groups: list[tuple[NDArray[np.int32], int, int, np.dtype[Any]]] = []

    def append(self, rows: BlockedRows) -> None:
        """Write a group without gaps.

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
        """Yield the groups; one is read ahead while another is in use."""
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
        """Read an array from where the file is: all of it, since the kernels follow what it says."""
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
