"""The parameters of a model, in the memory layout of the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import CACHE_LINE, aligned_zeros, padded_width


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
    """

    embedding: NDArray[Any]
    weights: NDArray[Any]
    bias: NDArray[Any] | None
    squares: NDArray[np.float64]
    linear_squares: NDArray[np.float64]

    def __post_init__(self) -> None:
        (self.inputs, self.dim), self.outputs = self.embedding.shape, len(self.weights)
        self.dtype = self.embedding.dtype

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
        arrays = {name: state[name] for name in cls.__dataclass_fields__}
        for name, array in arrays.items():
            if array is not None and not array.flags.writeable:  # a buffer of bytes, or a memory-mapped file
                arrays[name] = np.array(array)
        weights = arrays["weights"]
        if weights.ctypes.data % CACHE_LINE:
            arrays["weights"] = aligned_zeros(weights.shape, weights.dtype)
            arrays["weights"][:] = weights
        return cls(**arrays)

    @property
    def linear(self) -> NDArray[Any]:
        """The linear layer as a view (D, V)."""
        return self.weights[:, : self.dim].T

    @property
    def trained(self) -> dict[str, NDArray[Any]]:
        """The arrays that training changes, under the names that errors use."""
        return {
            "embedding": self.embedding,
            "linear.T": self.weights,
            "squares": self.squares,
            "linear_squares": self.linear_squares,
        }

    def grown(self, rows: NDArray[Any]) -> Parameters:
        """Return a copy with `rows` (N, D) appended to the embedding, whose sums are zero."""
        embedding = np.concatenate([self.embedding, rows])
        other = Parameters.untrained(embedding, self.linear, None if self.bias is None else self.bias.copy())
        other.squares[: self.inputs] = self.squares
        other.linear_squares[:] = self.linear_squares
        return other

    def reset_squares(self) -> None:
        """Reset the sums of squared gradients to zero."""
        self.squares.fill(0)
        self.linear_squares.fill(0)
