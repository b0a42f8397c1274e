"""`FittedClassifier`: the fitted state of a classifier, and the scores and probabilities of documents."""

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
    """The fitted state of a classifier.

    Attributes
    ----------
    features : Features
    classes : ndarray (L,)
    likelihood : Likelihood
        The probabilities for logits.
    documents : int
        The number of training documents.
    label_counts : ndarray of int64 (L,)
        The number of documents with each label.
    embedding : ndarray (F, D), or csr_array of int8
        The rows E of the features, as float32, float16 or int8; may be memory-mapped.
    scales : ndarray of float32 (F,) or None
        The factors on int8 rows.
    linear : ndarray of float32 (D, L) or None
        W; with None, D is L, and W is the identity.
    bias : ndarray of float32 (L,)
    calibration : Calibration
        Maps scores to logits.
    prior : ndarray of float32 (L,)
        The logits of a document without a known feature, whose probabilities are the shares of the labels.
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
        """Return the model with these parts, the inverse of :meth:`parts`."""
        likelihood = Likelihood(*parts["likelihood"])
        calibration = Calibration(likelihood.loss, *parts["calibration"])
        features = Features.of_parts(parts["features"])
        return cls(**parts | {"features": features, "likelihood": likelihood, "calibration": calibration})

    def parts(self) -> dict[str, Any]:
        """Return the attributes for a pickle, without objects of private classes."""
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
        """Return the logits for scores (N, L) of documents whose numbers of known features are `known` (N,)."""
        logits = self.calibration.logits(scores)
        logits[np.asarray(known) == 0] = self.prior
        return logits

    def probabilities(self, scores: Array, known: npt.NDArray[Any]) -> Array:
        """Return the probabilities for scores (N, L) of documents whose numbers of known features are `known` (N,)."""
        return self.likelihood.probabilities(self.logits(scores, known))
