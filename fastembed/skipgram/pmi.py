"""The positive pointwise mutual information of counts, in panels, in memory or in a temporary file."""

from __future__ import annotations

import math
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from tempfile import TemporaryFile
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import Float64, Int32, Int64, mapped_zeros, row_ranges
from fastembed._base.panels import TASKS, Panels
from fastembed._base.threads import Pool, ordered_map
from fastembed._kernels import kernels_for
from fastembed.counts.groups import group_slice
from fastembed.counts.store import GroupedCounts, Totals
from fastembed.counts.tiles import TiledRows

CONTEXT_EXPONENT = 0.75  # exponent of the shares of contexts in the PMI
PMI_COLUMNS = 2048  # columns of a panel of the PMI, whose rows in a factor of width 48 fill a fifth of an L2 cache
WIDEST_PANEL = 1 << 16  # columns that 16 bits can number, for counts so sparse that narrower panels do not pay
ROW_ENTRIES = 8  # mean number of counts per row and panel below which narrower panels do not pay
SAMPLE = 1 << 16  # sampled columns, about, from which panels of similar numbers of counts are chosen

PlacedRows: TypeAlias = tuple[Panels, int]  # rows of a group, and the place of the first in the order of groups


class PositivePMI:
    """M = max(0, log(N_wc · sum_c(n_c^a) / (n_w · n_c^a))), with a = 0.75, where N_wc > 0.

    Raising the shares of contexts to a power below 1 keeps rare contexts from the highest scores (Levy, Goldberg &
    Dagan 2015). Only the positive entries are stored, by rows, in the order of the groups of the counts. The bits of
    a product depend on the counts alone, not on the number of threads, nor on where the entries are.

    Parameters
    ----------
    counts : GroupedCounts (V_in, V)
        At least one count is positive. The totals of the counts are n_w and n_c.
    memory : int or inf
        The most bytes of entries in memory; further groups are in an unnamed temporary file.

    Attributes
    ----------
    shape : (int, int)
        (V_in, V).
    """

    def __init__(self, counts: GroupedCounts, pool: Pool, memory: float = math.inf) -> None:
        self.shape = counts.shape
        self._pool, self._kernels = pool, kernels_for("float32")
        self._rows: list[PlacedRows] = []
        self._spilled: SpilledRows | None = None  # the groups that do not fit into memory
        entries, factors = counts.entries, _column_factors(counts.totals)
        scratch = np.empty(int(entries.max()), np.uint16), np.empty(int(entries.max()), np.float32)
        remaining, first = memory, 0
        # Group n + 1 is read while group n is in use, and group n + 2 after group n is freed
        with closing(ordered_map(counts.read_group, range(len(entries)), 2, ahead=1)) as parts:
            for group in range(len(entries)):
                part = next(parts)
                if group == 0:
                    self._bounds = _panel_bounds(part, self.shape, int(entries.sum()))
                sums = counts.totals.rows[group_slice(group, self.shape[0])]
                rows = pmi_panels(part, sums, factors, self._bounds, scratch, pool)
                del part
                remaining -= sum(array.nbytes for array in rows)
                if remaining < 0:
                    self._spilled = self._spilled or SpilledRows()
                    self._spilled.append(rows, first)
                else:
                    self._rows.append((rows, first))
                first += len(sums)

    def free(self) -> None:
        """Free the memory of the entries."""
        self._rows.clear()

    def times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Set `out` (V_in, k) to M @ dense and return it, with `dense` (V, k); both float32, C-contiguous."""
        for batch in self._batches():
            count = max(TASKS // len(batch), 8)
            tasks = [(rows, first, *piece) for rows, first in batch for piece in rows.pieces(count)]

            def multiply(k: int, tasks: list[tuple[Panels, int, int, int]] = tasks) -> None:
                rows, first, begin, end = tasks[k]
                product = out[first : first + rows.starts.shape[1]]
                self._kernels.csr_times_dense(*rows, dense, product, begin, end)

            self._pool.run(multiply, len(tasks))
        return out

    def transposed_times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Set `out` (V, k) to M.T @ dense and return it, with `dense` (V_in, k); both float32, C-contiguous."""
        out.fill(0)
        for batch in self._batches():

            def multiply(k: int, batch: list[PlacedRows] = batch) -> None:
                for rows, first in batch:
                    factor = dense[first : first + rows.starts.shape[1]]
                    self._kernels.add_transposed_csr_times_dense(*rows, factor, out, k)

            self._pool.run(multiply, len(self._bounds) - 1)
        return out

    def _batches(self) -> Iterator[list[PlacedRows]]:
        """Yield lists of groups that are in memory together."""
        if self._rows:
            yield self._rows
        if self._spilled is not None:
            with closing(self._spilled.read()) as groups:
                for group in groups:
                    yield [group]


def pmi_products(counts: TiledRows, group: int, totals: Totals, dense: NDArray[Any], pool: Pool) -> NDArray[Any]:
    """Return M @ dense for the rows of a group."""
    sums = totals.rows[group_slice(group, len(totals.rows))]
    nnz = int(counts.lengths.sum())
    bounds = _panel_bounds(counts, (len(sums), len(dense)), nnz)
    scratch = np.empty(nnz, np.uint16), np.empty(nnz, dense.dtype)
    return pmi_panels(counts, sums, _column_factors(totals), bounds, scratch, pool).times(dense, pool)


def _column_factors(totals: Totals) -> Float64:
    """Return sum_k(n_k^a) / n_c^a for each column, (V,)."""
    weights = totals.columns**CONTEXT_EXPONENT
    return reciprocals(weights, weights.sum())


def _panel_bounds(counts: TiledRows, shape: tuple[int, int], nnz: int) -> Int32:
    """Return the first column of each panel of a matrix with `nnz` counts, and the number of columns.

    A panel is a task of the pool, so panels should have similar numbers of counts. Panels end at quantiles of the
    columns of a sample, and at multiples of a width. The sample is each n-th count of a group.
    """
    (rows, columns), places = shape, _places(counts.lengths)
    distance = max(int(places[-1]) // SAMPLE, 1)
    parts = []
    for begin, end in _pieces(counts):
        first = -places[begin] % distance  # in the piece, of the counts whose places are multiples of `distance`
        parts.append(counts.decoded(begin, end).indices[first::distance])
    sample = np.sort(np.concatenate(parts))
    panels = max(nnz // (ROW_ENTRIES * rows), 1)  # so that a row has some counts in a panel
    cuts = sample[:: max(-(-len(sample) // min(panels, TASKS // 2)), 1)]
    width = min(max(PMI_COLUMNS, -(-columns // panels)), WIDEST_PANEL)
    return np.unique(np.concatenate(([0], np.arange(0, columns, width), cuts, [columns]))).astype(np.int32)


def _pieces(counts: TiledRows) -> list[tuple[int, int]]:
    """Return the ranges of rows of a group that are tasks of the pool."""
    return row_ranges(counts.lengths, max(int(counts.lengths.sum()) // TASKS, 1))


def _places(lengths: Int64) -> Int64:
    """Return the place of the first entry of each row, if rows have no gaps between them, and the number of entries."""
    return np.concatenate([[0], np.cumsum(lengths)])


def pmi_panels(
    counts: TiledRows,
    row_totals: Float64,
    column_factors: Float64,
    bounds: Int32,
    scratch: tuple[NDArray[np.uint16], NDArray[Any]],
    pool: Pool,
) -> Panels:
    """Return max(0, log(N_rc f_c / n_r)) for the rows of a group, in panels between `bounds`.

    n_r is the total of a row, f_c the factor of a column. The kernel writes the entries of a piece to `scratch`, from
    the place of the piece's first count on. The entries then move to new arrays without gaps. `scratch` serves all
    groups, since writing to fresh memory takes longer than the logarithms. `starts`, places in `scratch` at first,
    become places in the new arrays.
    """
    pieces, factors, kernels = _pieces(counts), reciprocals(row_totals), kernels_for(scratch[1].dtype)
    starts = np.zeros((len(bounds), len(counts.lengths)), np.int64)
    places = _places(counts.lengths)  # in `scratch`

    def fill(k: int) -> None:
        begin, end = pieces[k]
        part, place = counts.decoded(begin, end), int(places[begin])
        kernels.positive_pmi(*part, factors[begin:end], column_factors, bounds, starts[:, begin:end], *scratch, place)

    pool.run(fill, len(pieces))
    new_places = _places(starts[-1] - starts[0])
    columns, data = (np.empty(new_places[-1], part.dtype) for part in scratch)

    def move(k: int) -> None:
        begin, end = pieces[k]
        old, new, size = places[begin], new_places[begin], new_places[end] - new_places[begin]
        columns[new : new + size], data[new : new + size] = (array[old : old + size] for array in scratch)
        starts[:, begin:end] += new - old  # places in the new arrays

    pool.run(move, len(pieces))
    return Panels(bounds, starts, columns, data)


class SpilledRows:
    """Groups of rows in an unnamed temporary file, read in the order in which they were appended.

    The file is read, not mapped: touched pages of a mapped file count as memory of the process.
    """

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - open as long as this object
        weakref.finalize(self, self._file.close)
        self._groups: list[tuple[int, list[tuple[int, ...]]]] = []  # first row, and shapes

    def append(self, rows: Panels, first: int) -> None:
        """Append a group and the place of its first row; raise OSError if the disk is full."""
        self._file.writelines(array.data for array in rows)
        self._groups.append((first, [array.shape for array in rows]))

    def read(self) -> Generator[PlacedRows, None, None]:
        """Yield the groups; the next group is read while one is in use."""
        self._file.seek(0)
        with closing(ordered_map(self._read_next, self._groups, 1, ahead=1)) as groups:
            yield from groups

    def _read_next(self, group: tuple[int, list[tuple[int, ...]]]) -> PlacedRows:
        first, shapes = group
        rows = Panels(*map(mapped_zeros, shapes, ("i4", "i8", "u2", "f4")))
        for array in rows:
            self._file.readinto(array.data)
        return rows, first


def reciprocals(totals: Float64, numerator: float = 1.0) -> Float64:
    """Return numerator / totals, finite, and 0 where the total is 0."""
    with np.errstate(over="ignore"):
        quotients = np.divide(numerator, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.minimum(quotients, np.finfo(np.float64).max)
