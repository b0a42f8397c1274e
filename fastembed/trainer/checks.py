"""Checks of the arrays that are passed to a `Trainer`: parameters and counts, returned in the form for training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fastembed._base.arrays import canonical_csr
from fastembed._base.validation import check_amounts, check_finite, check_ids, unmasked
from fastembed.counts.groups import CSRGroups, GroupedCounts
from fastembed.trainer.parameters import Parameters


def check_parameters(embedding: NDArray[Any], linear: NDArray[Any], bias: Any) -> Parameters:
    """Return the parameters of a new model: the given embedding, and copies of the linear layer and the bias."""
    _check_embedding(embedding)
    _check_linear(linear, embedding)
    return Parameters.untrained(embedding, linear, _check_bias(bias, linear.shape[1], embedding.dtype))


def _check_embedding(embedding: Any) -> None:
    """Raise unless the embedding (V_in, D) is float32 or float64, C-contiguous, aligned, writable and finite."""
    _check_matrix("embedding", embedding, "(V_in, D)")
    if not embedding.flags.c_contiguous or not embedding.flags.aligned:
        raise ValueError("embedding must be C-contiguous, since it is updated in place: pass np.ascontiguousarray(...)")
    if not embedding.flags.writeable:
        raise ValueError("embedding is read-only, but it is updated in place: pass a copy")


def _check_linear(linear: Any, embedding: NDArray[Any]) -> None:
    """Raise unless the linear layer (D, V) has the dtype and D of the embedding and is finite, in any memory order."""
    _check_matrix("linear", linear, "(D, V)")
    if linear.dtype != embedding.dtype:
        raise TypeError(f"linear is {linear.dtype}, but embedding is {embedding.dtype}: both must have one dtype")
    if linear.shape[0] != embedding.shape[1]:
        raise ValueError(
            f"linear must have shape (D, V) with D = {embedding.shape[1]} as in embedding {embedding.shape},"
            f" got {linear.shape}"
        )


def _check_bias(bias: Any, outputs: int, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return a finite copy of the bias (V,) in the dtype of the model; or None."""
    if bias is None:
        return None
    array = unmasked("bias", bias)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"bias must hold real numbers, got dtype {array.dtype}")
    if array.shape != (outputs,):
        raise ValueError(f"bias must have shape ({outputs},), one for each output, got {array.shape}")
    with np.errstate(over="ignore"):
        converted: NDArray[Any] = np.array(array, dtype=dtype, order="C")
    check_finite("bias", converted)
    return converted


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


def check_new_rows(rows: NDArray[Any], parameters: Parameters) -> NDArray[Any]:
    """Return finite rows (N, D), N >= 0, to append to an embedding, with its dtype and D."""
    if not isinstance(rows, np.ndarray) or isinstance(rows, np.ma.MaskedArray):
        raise TypeError(f"rows must be a NumPy array, got {type(rows).__name__}")
    if rows.dtype != parameters.dtype:
        raise TypeError(f"rows are {rows.dtype}, but the embedding is {parameters.dtype}")
    if rows.ndim != 2 or rows.shape[1] != parameters.dim:
        raise ValueError(f"rows must have shape (N, {parameters.dim}), got {rows.shape}")
    check_finite("rows", rows)
    return rows


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64."""
    checked: np.dtype[Any] = np.dtype(dtype)
    if checked not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {checked}")
    return checked


def check_counts(counts: Any, shape: tuple[int, int], name: str = "counts", rows: str = "inputs") -> GroupedCounts:
    """Return counts (N, V) in groups of rows, from Counts, a store or SciPy sparse; at least one must be positive.

    `rows` is the name of the rows in messages.
    """
    if hasattr(counts, "read_group"):
        if counts.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, {rows} by outputs, got {counts.shape}")
        grouped: GroupedCounts = counts
        return grouped
    counts = counts.to_scipy() if hasattr(counts, "to_scipy") else counts
    is_sparse: bool = sparse.issparse(counts)
    if not is_sparse:
        raise TypeError(f"{name} must be a Counts or a SciPy sparse array, got {type(counts).__name__}")
    if counts.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, {rows} by outputs, got {counts.shape}")
    matrix = canonical_csr(name, counts)
    if matrix.nnz == 0:
        raise ValueError(f"{name} must hold at least one positive count, but all are zero")
    return CSRGroups(matrix)


def check_input_weights(weights: ArrayLike, totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of inputs (N,), of which at least one must be positive among the inputs with counts."""
    array = unmasked("input_weights", weights)
    check_amounts("input_weights", array)
    if array.shape != totals.shape:
        raise ValueError(f"input_weights must have shape {totals.shape}, one for each row of counts, got {array.shape}")
    if not array[totals > 0].any():
        raise ValueError("input_weights must be positive for at least one input with counts, but all are zero")
    return array.astype(np.float64)


def check_row_rates(rates: ArrayLike | None, frozen: ArrayLike, inputs: int) -> NDArray[np.float64] | None:
    """Return the factors (V_in,) on the learning rate of the rows of an embedding, 0 if frozen; None if all are 1."""
    frozen = unmasked("frozen_rows", frozen)
    if rates is None and not frozen.size:
        return None
    checked = np.ones(inputs)
    if rates is not None:
        array = unmasked("row_rates", rates)
        check_amounts("row_rates", array)
        if array.shape != (inputs,):
            raise ValueError(f"row_rates must have shape ({inputs},), one for each input, got {array.shape}")
        checked[:] = array
    if frozen.size:
        checked[check_ids("frozen_rows", frozen, inputs)] = 0
    return checked
