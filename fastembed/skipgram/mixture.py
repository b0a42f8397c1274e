"""Vectors of words mixed with their vectors as contexts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.validation import check_choice
from fastembed.skipgram.fitted import FittedModel
from fastembed.vectors.vectors import Vectors

CONTEXT_SHARE = 0.3  # the weight of the context vector in the mixture, relative to the word vector


def vectors_for(model: FittedModel, purpose: str) -> Vectors:
    """Return the vectors of a model that are best for a purpose; see `SkipGram.vectors_for`."""
    if check_choice("purpose", purpose, ("analogies", "relatedness")) == "analogies":
        return model.vectors
    mixed = mixture(model.vectors.matrix, model.trainer.linear, directed=model.directed)
    return Vectors(model.vocabulary.tokens, mixed, counts=model.vocabulary.counts)


def mixture(embedding: NDArray[Any], linear: NDArray[Any], *, directed: bool) -> NDArray[Any]:
    """Return unit(E_w) + 0.3 unit(c_w) for each word w, where c_w is its context vector.

    c_w is the column of the word in W; in a directed model it is the sum of the columns before and after. Words that
    are not contexts have the first term only; the unit vector of zero is zero.

    Parameters
    ----------
    embedding : ndarray (V, D)
    linear : ndarray (D, K), or (D, 2 K) if `directed`
    directed : bool

    Returns
    -------
    ndarray (V, D), of the embedding's dtype

    Examples
    --------
    >>> mixture(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[3.0, 1.0], [4.0, -4.0]]), directed=True)
    array([[1.3, 0. ],
           [0. , 1. ]])
    """
    contexts = linear.T.astype(np.float64)
    if directed:
        contexts = contexts[: len(contexts) // 2] + contexts[len(contexts) // 2 :]
    mixed = _unit(embedding.astype(np.float64))
    mixed[: len(contexts)] += CONTEXT_SHARE * _unit(contexts)
    return mixed.astype(embedding.dtype)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: NDArray[np.float64] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return units
