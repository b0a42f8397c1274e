"""`FittedClassifier`: all that a fit has learned, and the scores and probabilities of documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._kernels import kernels_for
from fastembed.classifier.calibration import Calibration
from fastembed.classifier.features import Features
from fastembed.classifier.likelihood import Likelihood
from fastembed.corpus.ledger import Ledger

Array = npt.NDArray[Any]

_gather = kernels_for("float32").bag_gather


@dataclass(frozen=True)
class FittedClassifier:
    """What a fit has learned.

    Attributes
    ----------
    features : Features
    classes : ndarray (L,)
    likelihood : Likelihood
        How logits are read.
    documents : int
        The number of training documents.
    label_counts : ndarray of int64 (L,)
        The number of documents with each label.
    embedding : ndarray (F, D), or csr_array of int8
        float32, float16 or int8. It may be the memory of a file.
    scales : ndarray of float32 (F,) or None
        What rows of int8 are multiplied by.
    linear : ndarray of float32 (D, L) or None
        None: D is L, and h itself is added to the bias.
    bias : ndarray of float32 (L,)
    calibration : Calibration
        From scores to logits.
    prior : ndarray of float32 (L,)
        The logits of a document without a known feature: of the shares of the labels.
    history : list of dict
    ledger : Ledger
    """

    features: Features
    classes: Array
    likelihood: Likelihood
    documents: int
    label_counts: npt.NDArray[np.int64]
    embedding: Any
    scales: Array | None
    linear: Array | None
    bias: Array
    calibration: Calibration
    prior: Array
    history: list[dict[str, float]]
    ledger: Ledger

    @classmethod
    def of_parts(cls, parts: dict[str, Any]) -> FittedClassifier:
        """Return what `parts` was made of."""
        likelihood = Likelihood(*parts["likelihood"])
        calibration = Calibration(likelihood.loss, *parts["calibration"])
        features = Features.of_parts(parts["features"])
        return cls(**parts | {"features": features, "likelihood": likelihood, "calibration": calibration})

    def parts(self) -> dict[str, Any]:
        """Return its attributes for a pickle, without an object of a private class."""
        return vars(self) | {
            "features": self.features.parts(),
            "likelihood": (self.likelihood.loss, self.likelihood.several),
            "calibration": (self.calibration.slope, self.calibration.offset),
        }

    def rows(self, ids: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return rows of the embedding as float32."""
        found: Any = self.embedding[ids]
        rows: npt.NDArray[np.float32] = (found if isinstance(found, np.ndarray) else found.toarray()).astype(np.float32)
        if self.scales is not None:
            rows *= self.scales[ids][:, None]
        return rows

    def scores(
        self, indptr: npt.NDArray[np.int64], indices: npt.NDArray[np.int32], data: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """Return the scores h + b, or h @ linear + b, (N, L) of bags (N, F) in CSR form."""
        documents, rows = len(indptr) - 1, self.embedding
        if not len(indices):
            return np.tile(self.bias, (documents, 1))
        if rows.dtype != np.float32:
            named, places = np.unique(indices, return_inverse=True)
            rows, indices = self.rows(named), places.astype(np.int32)
        h = np.empty((documents, rows.shape[1]), np.float32)
        weights, every = data.astype(np.float32), np.arange(documents)
        _gather(rows, indptr, indices, weights, every, 0, documents, h)
        scores: npt.NDArray[np.float32] = (h if self.linear is None else h @ self.linear) + self.bias
        return scores

    def logits(self, scores: Array, known: npt.NDArray[Any]) -> Array:
        """Return the logits of scores (N, L) of documents with so many known features (N,)."""
        logits = self.calibration.logits(scores)
        logits[np.asarray(known) == 0] = self.prior
        return logits

    def probabilities(self, scores: Array, known: npt.NDArray[Any]) -> Array:
        """Return the probabilities of scores (N, L) of documents with so many known features (N,)."""
        return self.likelihood.probabilities(self.logits(scores, known))
