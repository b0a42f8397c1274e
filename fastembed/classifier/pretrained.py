"""Initial E and W of the softmax from pretrained word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed.vectors.vectors import Vectors

Float32 = npt.NDArray[np.float32]

LENGTH = 3.0  # the length of the row of a word: docs/decisions.md


def word_rows(words: Sequence[str], vectors: Vectors) -> Float32:
    """Return the rows of words (n, D): their vectors, scaled to the same length; zero for unknown words.

    Examples
    --------
    >>> word_rows(["a", "unheard"], Vectors(["a"], np.array([[0.0, 2.0]])))
    array([[0., 3.],
           [0., 0.]], dtype=float32)
    """
    rows = np.zeros((len(words), vectors.matrix.shape[1]))
    for place, word in enumerate(words):
        try:
            rows[place] = vectors[word]
        except KeyError:
            continue
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Float32 = (rows * (LENGTH / np.where(lengths > 0, lengths, 1))).astype(np.float32)
    return found


def mean_directions(bags: Any, targets: Any, embedding: Float32) -> Float32:
    """Return the unit vectors (D, L) from the mean of all documents to the mean of those of each label.

    Parameters
    ----------
    bags : csr_array (N, F)
    targets : csr_array (N, L)
        The weight of each label in each document.
    embedding : ndarray of float32 (F, D)
    """
    sums = np.asarray(targets.sum(axis=0), np.float64).ravel()
    by_label = sparse.csr_array(targets.T @ bags) @ embedding.astype(np.float64)
    means = by_label / np.maximum(sums, 1e-30)[:, None] - by_label.sum(axis=0) / sums.sum()
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-30)
    return np.ascontiguousarray(means.T, np.float32)
