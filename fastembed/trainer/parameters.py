"""The parameters of a model, in the memory layout of the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros, padded_width
from fastembed._base.validation import check_finite, unmasked
from fastembed._kernels.cpu import CACHE_LINE


class TrainingDivergedError(FloatingPointError):
    """A loss or a parameter is not finite; the parameters are those at the end of the last completed epoch.

    If no epoch was completed, the parameters are those at the start.

    Parameters
    ----------
    what : str
    epoch : int
    block : int or None

    Attributes
    ----------
    epoch : int
        The epoch, from 1.
    block : int or None
        The block of the epoch, from 0, whose loss was not finite; None for a parameter at the end of the epoch.

    Examples
    --------
    >>> error = TrainingDivergedError("the loss is nan", 2, 7)
    >>> str(error), error.epoch, error.block
    ('the loss is nan', 2, 7)
    """

    def __init__(self, what: str, epoch: int, block: int | None = None) -> None:
        super().__init__(what, epoch, block)  # all arguments, so that the error can be pickled
        self.epoch, self.block = epoch, block

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(eq=False)
class Parameters:
    """An embedding and a linear layer, with the sums of squared gradients that divide their steps.

    V_in inputs, D dimensions and V outputs are `inputs`, `dim` and `outputs`. Training updates the arrays in place.

    Attributes
    ----------
    embedding : ndarray (V_in, D)
    weights : ndarray (V, width)
        The linear layer, one row per output, each padded with zeros to whole cache lines.
    bias : ndarray (V,) or None
        The bias, which is never trained.
    squares, linear_squares : ndarray (V_in,), ndarray (V,)
        Adagrad's sums for the rows of the embedding and of the linear layer, in float64.
    linear : ndarray (D, V)
        The linear layer without the padding, a view of `weights`.
    trained : dict of str to ndarray
        The arrays that training changes.
    """

    embedding: NDArray[Any]
    weights: NDArray[Any]
    bias: NDArray[Any] | None
    squares: NDArray[np.float64]
    linear_squares: NDArray[np.float64]

    def __post_init__(self) -> None:
        (self.inputs, self.dim), self.outputs = self.embedding.shape, len(self.weights)
        self.dtype = self.embedding.dtype
        self.linear = self.weights[:, : self.dim].T
        self.trained = {  # under the names that errors and checkpoints use
            "embedding": self.embedding,
            "linear.T": self.weights,
            "squares": self.squares,
            "linear_squares": self.linear_squares,
        }

    @classmethod
    def untrained(cls, embedding: NDArray[Any], linear: NDArray[Any], bias: NDArray[Any] | None) -> Parameters:
        """Return parameters with this embedding (not copied), a copy of `linear` (D, V), and zero sums."""
        (inputs, dim), outputs = embedding.shape, linear.shape[1]
        weights = aligned_zeros((outputs, padded_width(dim, embedding.dtype)), embedding.dtype)
        weights[:, :dim] = linear.T
        return cls(embedding, weights, bias, np.zeros(inputs), np.zeros(outputs))

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Parameters:
        """Return parameters with the arrays of a pickle, copied only if they cannot be trained in place."""
        arrays = dict(state)
        for name, array in arrays.items():
            if array is not None and not array.flags.writeable:  # a buffer of bytes, or a memory-mapped file
                arrays[name] = np.array(array)
        weights = arrays["weights"]
        if weights.ctypes.data % CACHE_LINE:
            arrays["weights"] = aligned_zeros(weights.shape, weights.dtype)
            arrays["weights"][:] = weights
        return cls(**arrays)

    def grown(self, rows: NDArray[Any]) -> Parameters:
        """Return a copy with finite `rows` (N, D), N >= 0, appended to the embedding, whose sums are zero."""
        if not isinstance(rows, np.ndarray) or isinstance(rows, np.ma.MaskedArray):
            raise TypeError(f"rows must be a NumPy array, got {type(rows).__name__}")
        if rows.dtype != self.dtype:
            raise TypeError(f"rows are {rows.dtype}, but the embedding is {self.dtype}")
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise ValueError(f"rows must have shape (N, {self.dim}), got {rows.shape}")
        check_finite("rows", rows)
        embedding = np.concatenate([self.embedding, rows])
        other = Parameters.untrained(embedding, self.linear, None if self.bias is None else self.bias.copy())
        other.squares[: self.inputs] = self.squares
        other.linear_squares[:] = self.linear_squares
        return other


def check_parameters(embedding: NDArray[Any], linear: NDArray[Any], bias: Any) -> Parameters:
    """Return the parameters of a new model: this embedding, and copies of the linear layer and the bias.

    The embedding (V_in, D) must be float32 or float64, C-contiguous, aligned, writable and finite; the linear layer
    (D, V) has its dtype and is finite, in any memory order; the bias (V,) is None or finite.
    """
    _check_matrix("embedding", embedding, "(V_in, D)")
    if not embedding.flags.c_contiguous or not embedding.flags.aligned:
        raise ValueError("embedding must be C-contiguous, since it is updated in place: pass np.ascontiguousarray(...)")
    if not embedding.flags.writeable:
        raise ValueError("embedding is read-only, but it is updated in place: pass a copy")
    _check_matrix("linear", linear, "(D, V)")
    if linear.dtype != embedding.dtype:
        raise TypeError(f"linear is {linear.dtype}, but embedding is {embedding.dtype}: both must have one dtype")
    if linear.shape[0] != embedding.shape[1]:
        raise ValueError(
            f"linear must have shape (D, V) with D = {embedding.shape[1]} as in embedding {embedding.shape},"
            f" got {linear.shape}"
        )
    if bias is not None:
        bias, outputs = unmasked("bias", bias), linear.shape[1]
        if bias.dtype.kind not in "fiu":
            raise TypeError(f"bias must hold real numbers, got dtype {bias.dtype}")
        if bias.shape != (outputs,):
            raise ValueError(f"bias must have shape ({outputs},), one for each output, got {bias.shape}")
        with np.errstate(over="ignore"):
            bias = np.array(bias, dtype=embedding.dtype, order="C")
        check_finite("bias", bias)
    return Parameters.untrained(embedding, linear, bias)


def _check_matrix(name: str, array: Any, shape: str) -> None:
    if not isinstance(array, np.ndarray) or isinstance(array, np.matrix | np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain NumPy array, got {type(array).__name__}: np.asarray makes one")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name} must be float32 or float64 in native byte order, got {array.dtype.str}: .astype(float) makes it so"
        )
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions {shape}, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    check_finite(name, array)
