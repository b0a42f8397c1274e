"""`PositivePMI`: the positive pointwise mutual information of counts, and its products with thin dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastembed._base.csr import row_ranges
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed.counts.totals import Totals

CONTEXT_EXPONENT = 0.75  # of the contexts' shares in the PMI
BLOCK_COLUMNS = 1024  # at most: as many rows of 120 float32 are half of a second-level cache
WIDEST_BLOCK = 1 << 16  # columns that 16 bits can number, for counts so sparse that narrower blocks do not pay
ROW_ENTRIES = 8  # counts of a row in a block, on average, below which they do not
TASKS = 64  # for the pool, of rows; and half as many of columns
SAMPLE = 1 << 16  # columns by which the blocks are made about equal


class PositivePMI:
    """M = max(0, log(N_wc · sum_c(n_c^a) / (n_w · n_c^a))), with a = 0.75, where N_wc > 0.

    Raising the contexts' shares to a power below 1 keeps rare contexts from the highest scores (Levy, Goldberg &
    Dagan 2015). Only the positive entries are stored, by rows. Neither a product nor the transposed one depends on the
    number of threads: each number is one sum, in the order of the columns or of the rows.

    Parameters
    ----------
    counts : csr_array (V_in, V)
        Non-negative float64, columns ascending; at least one is positive.
    totals : Totals
        n_w and n_c; n_c may be those of more rows.
    pool : Pool
    dtype : dtype
        Of the entries, float32 or float64.

    Attributes
    ----------
    shape : (int, int)
        (V_in, V).
    """

    def __init__(self, counts: Any, totals: Totals, pool: Pool, dtype: DTypeLike = np.float32) -> None:
        self.shape: tuple[int, int] = counts.shape
        self._pool, self._kernels = pool, kernels_for(np.dtype(dtype))
        indptr, indices = counts.indptr.astype(np.int64), counts.indices.astype(np.int32, copy=False)
        self._pieces = row_ranges(np.diff(indptr), max(counts.nnz // TASKS, 1))
        self._bounds = _block_bounds(counts)
        self._starts = np.empty((len(self._bounds), self.shape[0]), np.int64)
        # The entries of a piece begin where its counts do. Memory behind them that is never written to takes no pages
        self._columns, self._data = np.empty(counts.nnz, np.uint16), np.empty(counts.nnz, dtype)
        weights = totals.columns**CONTEXT_EXPONENT
        row_factors, column_factors = _reciprocals(totals.rows, 1.0), _reciprocals(weights, weights.sum())

        def fill(k: int) -> None:
            self._kernels.positive_pmi(
                indptr, indices, counts.data, row_factors, column_factors, *self._matrix, *self._pieces[k]
            )

        pool.run(fill, len(self._pieces))

    def times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Return M @ dense (V_in, k) in `out`, with `dense` (V, k); both of the dtype of M, C-contiguous."""

        def multiply(k: int) -> None:
            self._kernels.csr_times_dense(*self._matrix, dense, out, *self._pieces[k])

        self._pool.run(multiply, len(self._pieces))
        return out

    def transposed_times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Return M.T @ dense (V, k) in `out`, with `dense` (V_in, k); both of the dtype of M, C-contiguous."""

        def multiply(k: int) -> None:
            self._kernels.transposed_csr_times_dense(*self._matrix, dense, out, k)

        self._pool.run(multiply, len(self._bounds) - 1)
        return out

    @property
    def _matrix(self) -> tuple[NDArray[Any], ...]:
        return self._bounds, self._starts, self._columns, self._data


def most_blocks(rows: int, columns: int, nnz: int) -> int:
    """Return a bound on the number of blocks."""
    return -(-columns // _widest(rows, columns, nnz)) + _cuts(rows, nnz)


def _widest(rows: int, columns: int, nnz: int) -> int:
    """Return how many columns a block has at most."""
    return min(max(BLOCK_COLUMNS, -(-columns // max(nnz // (ROW_ENTRIES * rows), 1))), WIDEST_BLOCK)


def _cuts(rows: int, nnz: int) -> int:
    """Return into how many parts of like numbers of counts the columns are cut."""
    return min(max(nnz // (ROW_ENTRIES * rows), 1), TASKS // 2)


def _block_bounds(counts: Any) -> NDArray[np.int32]:
    """Return where the blocks of columns begin, and the number of columns.

    Each is a task for the pool, so they are narrower where columns are full.
    """
    (rows, columns), nnz = counts.shape, counts.nnz
    sample = np.sort(counts.indices[:: max(nnz // SAMPLE, 1)])
    cuts = sample[:: -(-len(sample) // _cuts(rows, nnz))]
    width = _widest(rows, columns, nnz)
    return np.unique(np.concatenate(([0], np.arange(0, columns, width), cuts, [columns]))).astype(np.int32)


def _reciprocals(totals: NDArray[np.float64], numerator: float) -> NDArray[np.float64]:
    """Return numerator / totals, finite, and 0 where the total is 0."""
    with np.errstate(over="ignore"):
        quotients = np.divide(numerator, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.minimum(quotients, np.finfo(np.float64).max)
