"""`Panels`: a sparse matrix as the kernels take it, in panels of columns, and its product with a dense one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Int32, Int64, row_ranges
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for

PANEL_COLUMNS = 1 << 14  # this many rows of 16 float64, such as nodes of a graph, fill an L2 cache
LEAST_ROWS = 512  # smallest number of rows per task of a product, since each task reads the whole dense operand
TASKS = 64  # tasks of the pool, each with some of the rows


class Panels(NamedTuple):
    """A sparse matrix (R, C), whose columns are in panels; see `_kernels/sparse.pxi`.

    Row r has, in the k-th panel, the entries from ``starts[k, r]`` to ``starts[k + 1, r]``. The k-th panel has the
    columns from ``bounds[k]`` to ``bounds[k + 1]``; `columns` are relative to the first.
    """

    bounds: Int32
    starts: Int64
    columns: NDArray[np.uint16]
    data: NDArray[Any]

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> Panels:
        """Return a matrix (R, C) in panels of PANEL_COLUMNS columns."""
        matrix.sort_indices()
        (rows, columns), width = matrix.shape, PANEL_COLUMNS
        bounds = np.append(np.arange(0, columns, width), columns).astype(np.int32)
        panels = len(bounds) - 1
        panel_of_entry = (matrix.indices // width).astype(np.int64)
        row_of_entry = np.repeat(np.arange(rows), np.diff(matrix.indptr))
        lengths = np.bincount(panel_of_entry * rows + row_of_entry, minlength=panels * rows).reshape(panels, rows)
        starts = np.concatenate([matrix.indptr[None, :-1], lengths]).cumsum(axis=0, dtype=np.int64)
        return cls(bounds, starts, (matrix.indices % width).astype(np.uint16), matrix.data)

    def pieces(self, count: int = TASKS) -> list[tuple[int, int]]:
        """Return about `count` ranges of rows with similar numbers of entries, mostly of LEAST_ROWS or more."""
        lengths = self.starts[-1] - self.starts[0]
        count = min(count, -(-len(lengths) // LEAST_ROWS))
        return row_ranges(lengths, max(int(lengths.sum()) // count, 1))

    def times(self, dense: NDArray[Any], pool: Pool) -> NDArray[Any]:
        """Return the product with a dense matrix (C, K), in its dtype. The bits do not depend on the threads."""
        product = np.empty((self.starts.shape[1], dense.shape[1]), dense.dtype)
        pieces, kernels = self.pieces(), kernels_for(dense.dtype)
        pool.run(lambda k: kernels.csr_times_dense(*self, dense, product, *pieces[k]), len(pieces))
        return product
