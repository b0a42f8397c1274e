"""Sparse matrices in CSR form: built without copies, brought into canonical form, cut into ranges of rows."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.validation import check_amounts, check_ids, check_weights

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


def canonical_csr(name: str, matrix: Any, *, signed: bool = False) -> Any:
    """Return a CSR array of float64 weights that are not zero, with the columns of a row ascending and distinct.

    They must be positive unless they are `signed`. It is a copy only if the matrix is not already like that. Equal
    entries are added up in float64, whatever the dtype.
    """
    check = check_weights if signed else check_amounts
    if matrix.format == "coo" or matrix.dtype.kind not in "fiub":  # adding them up may hide a negative one
        check(name, matrix.data)
    if matrix.dtype != np.float64:
        with np.errstate(over="ignore"):
            matrix = matrix.astype(np.float64)
    matrix = sparse.csr_array(matrix)
    # SciPy remembers whether the columns are in order, and they may have changed since: a new array looks again
    arrays = (np.ascontiguousarray(part) for part in (matrix.data, matrix.indices, matrix.indptr))
    matrix = sparse.csr_array(tuple(arrays), shape=matrix.shape)
    check(name, matrix.data)
    decreasing = np.diff(matrix.indptr) < 0
    if decreasing.any():
        row = int(np.argmax(decreasing))
        raise ValueError(
            f"{name}.indptr must not decrease, but does from {matrix.indptr[row]} to {matrix.indptr[row + 1]}"
        )
    if matrix.nnz and (matrix.indices.min() < 0 or matrix.indices.max() >= matrix.shape[1]):
        check_ids(f"{name}.indices", matrix.indices, matrix.shape[1])
    if not matrix.has_canonical_format or not matrix.data.all():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        check(f"the sums of {name}", matrix.data)
    return matrix


def csr(data: Float, indices: Int32, indptr: Int64, shape: tuple[int, int]) -> sparse.csr_array:
    """Return the CSR array of these entries without copying them.

    SciPy needs both index arrays in one dtype, so `indptr`, which is short, becomes int32 if its values fit.
    """
    narrow = indptr.max(initial=0) <= np.iinfo(np.int32).max
    return sparse.csr_array((data, indices, indptr.astype(np.int32) if narrow else indptr), shape=shape)


def sorted_csr(data: Float, indices: Int32, indptr: Int64, shape: tuple[int, int]) -> sparse.csr_array:
    """Return the CSR array of rows whose columns ascend, so that SciPy does not check it."""
    matrix = csr(data, indices, indptr, shape)
    matrix.has_canonical_format = True
    return matrix


def row_ranges(sizes: Int64, wanted: int) -> list[tuple[int, int]]:
    """Return ranges of rows, (first, last + 1), whose sizes add up to about `wanted` each."""
    reached = np.cumsum(sizes)
    cuts = np.searchsorted(reached, np.arange(wanted, int(reached[-1]), wanted)) + 1
    edges = np.unique(np.concatenate(([0], cuts, [len(sizes)]))).tolist()
    return list(itertools.pairwise(edges))
