"""Inputs that are weighted bags of rows of the embedding, in CSR form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.csr import canonical_csr
from fastembed._base.validation import check_finite


class Bags(NamedTuple):
    """Bag n has the ids, ascending and distinct, and the weights from ``starts[n]`` to ``starts[n + 1]``."""

    starts: NDArray[np.int64]
    ids: NDArray[np.int32]
    weights: NDArray[Any]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def copy(self) -> Bags:
        """Return bags in memory of their own."""
        return Bags(self.starts.copy(), self.ids.copy(), self.weights.copy())


def check_bags(name: str, bags: Any, inputs: int, dtype: np.dtype[Any]) -> Bags:
    """Return bags, a SciPy sparse (N, V_in) of signed weights, in the dtype of the model; at least one names a row."""
    is_sparse: bool = sparse.issparse(bags)
    if not is_sparse:
        raise TypeError(f"{name} must be a SciPy sparse array, got {type(bags).__name__}")
    if bags.ndim != 2 or bags.shape[1] != inputs:
        raise ValueError(
            f"{name} must have shape (N, {inputs}), a column for each row of the embedding, got {bags.shape}"
        )
    matrix = canonical_csr(name, bags, signed=True)
    if matrix.nnz == 0:
        raise ValueError(f"{name} of shape {bags.shape} must hold at least one weight, but all are zero")
    with np.errstate(over="ignore"):
        weights = matrix.data.astype(dtype, copy=False)
    check_finite(f"{name} in {dtype}", weights)
    return Bags(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False), weights)
