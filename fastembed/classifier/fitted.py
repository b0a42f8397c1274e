"""`FittedClassifier`: all that a fit has learned, and what documents are worth by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed.classifier.features import Features
from fastembed.corpus.ledger import Ledger

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FittedClassifier:
    """What a fit has learned.

    Attributes
    ----------
    features : Features
    classes : ndarray (L,)
    several : bool
        Whether a document of the training set had several labels.
    label_counts : ndarray of int64 (L,)
        The number of documents with each label.
    embedding : ndarray (F, D)
        float32, float16 or int8. It may be the memory of a file.
    scales : ndarray of float32 (F,) or None
        What rows of int8 are multiplied by.
    linear : ndarray of float32 (D, L) or None
        None: D is L, and h itself is added to the bias.
    bias : ndarray of float32 (L,)
        The logits of a document without a known feature: of the shares of the labels.
    history : list of dict
    ledger : Ledger
    """

    features: Features
    classes: Array
    several: bool
    label_counts: npt.NDArray[np.int64]
    embedding: Array
    scales: Array | None
    linear: Array | None
    bias: Array
    history: list[dict[str, float]]
    ledger: Ledger

    def rows(self, ids: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return rows of the embedding as float32."""
        rows: npt.NDArray[np.float32] = self.embedding[ids].astype(np.float32)
        if self.scales is not None:
            rows *= self.scales[ids][:, None]
        return rows

    def logits(self, bags: Any) -> npt.NDArray[np.float32]:
        """Return the logits (N, L) of bags (N, F)."""
        bags = bags.astype(np.float32)
        if self.embedding.dtype == np.float32:
            h = bags @ self.embedding
        else:
            ids, places = np.unique(bags.indices, return_inverse=True)
            bags.indices = places.astype(np.int32)
            bags.resize((bags.shape[0], max(1, len(ids))))
            h = bags @ (self.rows(ids) if len(ids) else np.zeros((1, self.embedding.shape[1]), np.float32))
        return self.from_h(h)

    def from_h(self, h: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the logits of sums of rows."""
        found: npt.NDArray[np.float32] = (h if self.linear is None else h @ self.linear) + self.bias
        return found

    def probabilities(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the softmax of logits, in their memory."""
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits
