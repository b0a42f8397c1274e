"""`PositivePMI`: the positive pointwise mutual information of counts, and its products with thin dense matrices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastembed._base.threads import Pool, Workers, ordered_results
from fastembed._kernels import kernels_for
from fastembed.skipgram.blocked_rows import TASKS, BlockedRows, RowSpill, reciprocals
from fastembed.trainer.groups import GroupedCounts, RowGroup, as_groups, group_count, group_slice
from fastembed.trainer.totals import Totals

CONTEXT_EXPONENT = 0.75  # exponent of the shares of contexts in the PMI
BLOCK_COLUMNS = 1024  # largest block: this many rows of 120 float32 fill half of the L2 cache
WIDEST_BLOCK = 1 << 16  # columns that 16 bits can number, for counts so sparse that narrower blocks do not pay
ROW_ENTRIES = 8  # mean number of counts per row and block below which narrower blocks do not pay
SAMPLE = 1 << 16  # sampled columns from which blocks of about equal numbers of counts are chosen


class PositivePMI:
    """M = max(0, log(N_wc · sum_c(n_c^a) / (n_w · n_c^a))), with a = 0.75, where N_wc > 0.

    Raising the shares of contexts to a power below 1 keeps rare contexts from the highest scores (Levy, Goldberg &
    Dagan 2015). Only the positive entries are stored, by rows, in the order of the groups of the counts. The bits of
    both products depend on neither the number of threads nor the place of the entries: each number is one sum, in the
    order of the columns or of the rows.

    Parameters
    ----------
    counts : GroupedCounts (V_in, V), or a canonical csr_array
        Counts, of which at least one is positive.
    totals : Totals
        n_w and n_c; n_c may include further rows.
    pool : Pool
    dtype : dtype
        The dtype of the entries, float32 or float64.
    memory : int, optional
        Bytes for the entries in memory; groups beyond it are in an unnamed temporary file.

    Attributes
    ----------
    shape : (int, int)
        (V_in, V).
    """

    def __init__(
        self,
        counts: GroupedCounts | Any,
        totals: Totals,
        pool: Pool,
        dtype: DTypeLike = np.float32,
        memory: int | None = None,
    ) -> None:
        groups = as_groups(counts)
        self.shape: tuple[int, int] = groups.shape
        self._pool, self._kernels = pool, kernels_for(np.dtype(dtype))
        entries = groups.entries
        factors, left = _column_factors(totals), memory
        self._rows: list[BlockedRows] = []
        self._spill: RowSpill | None = None  # the groups after those
        # The next group is read while one is in use
        with Workers(1) as reader, closing(ordered_results(reader, groups.read_group, range(len(entries)), 1)) as parts:
            for group in range(len(entries)):
                part = next(parts)
                if group == 0:
                    self._bounds = _block_bounds(part, self.shape, int(entries.sum()))
                own = totals.rows[group_slice(group, self.shape[0])]
                rows = BlockedRows.positive_pmi(part, own, factors, self._bounds, pool, dtype)
                del part  # free its memory before the next group is read
                if left is not None:
                    rows = rows.without_gaps()
                    left -= rows.memory
                if left is not None and left < 0:
                    self._spill = self._spill or RowSpill()
                    self._spill.append(rows)
                else:
                    self._rows.append(rows)

    def times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Return M @ dense (V_in, k) in `out`, with `dense` (V, k); both of the dtype of M, C-contiguous."""
        for batch in self._batches():
            tasks = [(*part, *piece) for part in batch for piece in part[0].pieces(max(TASKS // len(batch), 8))]

            def multiply(k: int, tasks: list[tuple[BlockedRows, int, int, int]] = tasks) -> None:
                rows, first, begin, end = tasks[k]
                product = out[first : first + rows.starts.shape[1]]
                self._kernels.csr_times_dense(*rows, dense, product, begin, end)

            self._pool.run(multiply, len(tasks))
        return out

    def transposed_times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Return M.T @ dense (V, k) in `out`, with `dense` (V_in, k); both of the dtype of M, C-contiguous."""
        out.fill(0)
        for batch in self._batches():

            def multiply(k: int, batch: list[tuple[BlockedRows, int]] = batch) -> None:
                for rows, first in batch:
                    factor = dense[first : first + rows.starts.shape[1]]
                    self._kernels.add_transposed_csr_times_dense(*rows, factor, out, k)

            self._pool.run(multiply, len(self._bounds) - 1)
        return out

    def _batches(self) -> Iterator[list[tuple[BlockedRows, int]]]:
        """Yield lists of groups that are in memory together, each with the index of its first row in the matrix."""
        groups = group_count(self.shape[0])
        sizes = [len(range(self.shape[0])[group_slice(group, self.shape[0])]) for group in range(groups)]
        firsts = np.cumsum([0, *sizes[:-1]]).tolist()
        held = len(self._rows)
        if held:
            yield list(zip(self._rows, firsts[:held], strict=True))
        if self._spill is not None:
            with closing(self._spill.read()) as parts:
                for part, first in zip(parts, firsts[held:], strict=True):
                    yield [(part, first)]


def pmi_products(
    counts: RowGroup, row_totals: NDArray[np.float64], totals: Totals, dense: NDArray[Any], pool: Pool
) -> NDArray[Any]:
    """Return M @ dense for some rows of counts, given the totals of these rows and of all columns."""
    product = np.zeros((len(row_totals), dense.shape[1]), dense.dtype)
    nnz = int((counts.ends - counts.begins).sum())
    if nnz:
        bounds = _block_bounds(counts, (len(row_totals), len(dense)), nnz)
        rows = BlockedRows.positive_pmi(counts, row_totals, _column_factors(totals), bounds, pool, dense.dtype)
        pieces, kernels = rows.pieces(TASKS), kernels_for(dense.dtype)
        pool.run(lambda k: kernels.csr_times_dense(*rows, dense, product, *pieces[k]), len(pieces))
    return product


def _column_factors(totals: Totals) -> NDArray[np.float64]:
    """Return sum_k(n_k^a) / n_c^a for each column, (V,)."""
    weights = totals.columns**CONTEXT_EXPONENT
    return reciprocals(weights, weights.sum())


def most_blocks(rows: int, columns: int, nnz: int) -> int:
    """Return a bound on the number of blocks."""
    return -(-columns // _widest(rows, columns, nnz)) + _cuts(rows, nnz)


def _widest(rows: int, columns: int, nnz: int) -> int:
    """Return the largest number of columns of a block."""
    return min(max(BLOCK_COLUMNS, -(-columns // max(nnz // (ROW_ENTRIES * rows), 1))), WIDEST_BLOCK)


def _cuts(rows: int, nnz: int) -> int:
    """Return the number of parts, with similar numbers of counts, that the columns are cut into."""
    return min(max(nnz // (ROW_ENTRIES * rows), 1), TASKS // 2)


def _block_bounds(some: RowGroup, shape: tuple[int, int], nnz: int) -> NDArray[np.int32]:
    """Return the first column of each block, and the number of columns.

    Each block is a task of the pool, so blocks are narrower where columns have more counts in a sample of the rows.
    """
    rows, columns = shape
    sample = np.sort(_sample(some))
    cuts = sample[:: max(-(-len(sample) // _cuts(rows, nnz)), 1)]
    width = _widest(rows, columns, nnz)
    return np.unique(np.concatenate(([0], np.arange(0, columns, width), cuts, [columns]))).astype(np.int32)


def _sample(counts: RowGroup) -> NDArray[np.int32]:
    """Return the columns of a sample of the counts, at equal distances."""
    ends = np.cumsum(counts.ends - counts.begins)
    places = np.arange(0, ends[-1], max(int(ends[-1]) // SAMPLE, 1))
    rows = np.searchsorted(ends, places, side="right")
    sample: NDArray[np.int32] = counts.indices[places - ends[rows] + counts.ends[rows]]
    return sample
