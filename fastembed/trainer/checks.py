"""Checks of what `Trainer` is given: parameters, targets, counts. They return what the kernels take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.csr import canonical_csr
from fastembed._base.validation import check_amounts, check_finite, check_ids, check_integer

Targets = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]
"""Target rows as CSR: starts (N + 1,), columns, amounts."""


def _check_matrix(name: str, array: Any, shape: str) -> None:
    if not isinstance(array, np.ndarray) or isinstance(array, np.matrix | np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain NumPy array, got {type(array).__name__}")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64 in native byte order, got {array.dtype.str}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions {shape}, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    check_finite(name, array)


def check_embedding(embedding: NDArray[Any]) -> NDArray[Any]:
    """Return the embedding (V_in, D): float32 or float64, C-contiguous, aligned, writable, finite."""
    _check_matrix("embedding", embedding, "(V_in, D)")
    if not embedding.flags.c_contiguous or not embedding.flags.aligned:
        raise ValueError("embedding must be C-contiguous, since it is updated in place: pass np.ascontiguousarray(...)")
    if not embedding.flags.writeable:
        raise ValueError("embedding is read-only, but it is updated in place: pass a copy")
    return embedding


def check_linear(linear: NDArray[Any], embedding: NDArray[Any]) -> NDArray[Any]:
    """Return the linear layer (D, V), any memory order, of the embedding's dtype and D, finite."""
    _check_matrix("linear", linear, "(D, V)")
    if linear.dtype != embedding.dtype:
        raise TypeError(f"linear is {linear.dtype}, but embedding is {embedding.dtype}: both must have one dtype")
    if linear.shape[0] != embedding.shape[1]:
        raise ValueError(
            f"linear must have shape (D, V) with D = {embedding.shape[1]} as in embedding {embedding.shape},"
            f" got {linear.shape}"
        )
    return linear


def check_bias(bias: Any, outputs: int, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return a copy of the bias (V,) in the model's dtype, finite; or None."""
    if bias is None:
        return None
    array = np.asarray(bias)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"bias must hold real numbers, got dtype {array.dtype}")
    if array.shape != (outputs,):
        raise ValueError(f"bias must have shape ({outputs},), one for each output, got {array.shape}")
    with np.errstate(over="ignore"):
        converted: NDArray[Any] = np.array(array, dtype=dtype, order="C")
    check_finite("bias", converted)
    return converted


def check_target(target: Any, outputs: int) -> Targets:
    """Return one target row: an output's id, or weights (V,), non-negative with a positive sum."""
    if np.ndim(target) == 0 and not sparse.issparse(target):
        column = check_integer("target", target, low=0, high=outputs - 1)
        return _one_hot(np.array([column], dtype=np.int32))
    row = target
    if not sparse.issparse(target):
        row = np.asarray(target)
        if row.shape != (outputs,):
            raise ValueError(f"target must be an id or have shape ({outputs},), got shape {row.shape}")
        row = row[None, :]
    return check_target_rows("target", row, 1, outputs)


def check_targets(targets: Any, count: int, outputs: int) -> Targets:
    """Return `count` target rows: ids (N,), or weights (N, V), dense or SciPy sparse."""
    if not sparse.issparse(targets):
        targets = np.asarray(targets)
        if targets.ndim == 1:
            ids = check_ids("targets", targets, outputs)
            if len(ids) != count:
                raise ValueError(f"targets must be as many as inputs, {count}, got {len(ids)}")
            return _one_hot(ids.astype(np.int32))
    return check_target_rows("targets", targets, count, outputs)


def check_target_rows(name: str, rows: Any, count: int, outputs: int) -> Targets:
    """Return rows of non-negative weights (N, V), each with a positive sum."""
    if rows.shape != (count, outputs):
        raise ValueError(f"{name} must have shape ({count}, {outputs}), got {rows.shape}")
    if not sparse.issparse(rows):
        check_amounts(name, rows)
        rows = sparse.csr_array(rows.astype(np.float64))  # SciPy has no float16
    matrix = canonical_csr(name, rows)
    empty = np.asarray(matrix.sum(axis=1)).ravel() <= 0
    if empty.any():
        raise ValueError(f"{name} must have a positive weight in each row, but row {int(np.argmax(empty))} has none")
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


def check_counts(counts: Any, shape: tuple[int, int], name: str = "counts") -> Any:
    """Return counts (V_in, V), a Counts or SciPy sparse, as `canonical_csr` does; at least one is positive."""
    counts = counts.to_scipy() if hasattr(counts, "to_scipy") else counts
    is_sparse: bool = sparse.issparse(counts)
    if not is_sparse:
        raise TypeError(f"{name} must be a Counts or a SciPy sparse array, got {type(counts).__name__}")
    if counts.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, inputs by outputs, got {counts.shape}")
    matrix = canonical_csr(name, counts)
    if matrix.nnz == 0:
        raise ValueError(f"{name} must hold at least one positive count, but all are zero")
    return matrix


def _one_hot(columns: NDArray[np.int32]) -> Targets:
    return np.arange(len(columns) + 1, dtype=np.int64), columns, np.ones(len(columns))
