"""The sums of the rows and of the columns of counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.csr import row_ranges
from fastembed._base.threads import Pool
from fastembed._kernels import cooccur

PIECES = 16  # of the rows, at most: each has sums of its own of all columns


@dataclass(frozen=True)
class Totals:
    """The sums of the rows (V_in,) and of the columns (V,) of counts."""

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]

    @classmethod
    def of(cls, counts: Any, pool: Pool) -> Totals:
        """Return those of a CSR array. The bits are the same for any number of threads."""
        indptr, indices = counts.indptr.astype(np.int64), counts.indices.astype(np.int32, copy=False)
        wanted = max(-(-counts.nnz // PIECES), 4 * counts.shape[1])  # few, where they would take more than the counts
        pieces = row_ranges(np.diff(indptr), wanted)
        rows, columns = np.empty(counts.shape[0]), np.zeros((len(pieces), counts.shape[1]))

        def add(k: int) -> None:
            cooccur.add_totals(indptr, indices, counts.data, *pieces[k], rows, columns[k])

        pool.run(add, len(pieces))
        return cls(rows, columns.sum(axis=0))
