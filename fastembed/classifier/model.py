"""`FittedClassifier`: the fitted state of a classifier, and its answers for documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import Float32, largest_of_rows
from fastembed._base.threads import ordered_map, single_threaded_blas
from fastembed._kernels import kernels_for
from fastembed.classifier.calibration import Calibration, probabilities
from fastembed.classifier.features import Bags, Features
from fastembed.corpus.ledger import Ledger

T = TypeVar("T")
Array = npt.NDArray[Any]

PIECE_SCORES = 1 << 20  # largest number of scores per task
ANSWERED_DOCUMENTS = 1 << 11  # largest number of documents that one task of a prediction answers

_gather = kernels_for("float32").bag_gather


@dataclass(frozen=True)
class FittedClassifier:
    """The fitted state of a classifier.

    Attributes
    ----------
    features : Features
    classes : ndarray (L,)
    several : bool
        Whether documents may have several labels.
    calibration : Calibration or None
        The logits for scores; with the loss "softmax", these are the logits.
    documents : int
        The number of training documents.
    label_counts : ndarray of int64 (L,)
        The number of documents with each label.
    embedding : ndarray of float32 (F, D)
        The rows E of the features; may be memory-mapped.
    linear : ndarray of float32 (D, L) or None
        W; with None, D is L, and W is the identity.
    bias : ndarray of float32 (L,)
    prior : ndarray of float32 (L,)
        The logits of a document without a known feature, whose probabilities are the shares of the labels.
    history : list of dict
    ledger : Ledger
    indicator : bool
        Whether labels are the columns of an indicator matrix, in training and in predictions.
    """

    features: Features
    classes: Array
    several: bool
    calibration: Calibration | None
    documents: int
    label_counts: npt.NDArray[np.int64]
    embedding: Array
    linear: Array | None
    bias: Array
    prior: Array
    history: list[dict[str, float]]
    ledger: Ledger
    indicator: bool

    @property
    def independent(self) -> bool:
        """Whether the probabilities of labels are independent; otherwise they sum to 1."""
        return self.calibration is not None and self.several

    def scores(self, bags: Bags) -> Float32:
        """Return the scores h + b, or h @ linear + b, (N, L) of bags (N, F)."""
        indptr, indices, data = bags
        documents = len(indptr) - 1
        if not len(indices):
            return np.tile(self.bias, (documents, 1))
        h = np.empty((documents, self.embedding.shape[1]), np.float32)
        _gather(self.embedding, indptr, indices, data.astype(np.float32), np.arange(documents), 0, documents, h)
        scores: Float32 = (h if self.linear is None else h @ self.linear) + self.bias
        return scores

    def logits(self, scores: Array, known: Array) -> Array:
        """Return the logits for scores (N, L) of documents whose numbers of known features are `known` (N,).

        In their order labels are as probable.
        """
        logits = scores.copy() if self.calibration is None else self.calibration.logits(scores, self.prior)
        logits[known == 0] = self.prior
        return logits

    def probabilities(self, scores: Array, known: Array) -> Array:
        """Return the probabilities for scores (N, L) of documents whose numbers of known features are `known` (N,)."""
        return probabilities(self.logits(scores, known), self.independent)

    def answers(
        self, documents: Sequence[Any], threads: int, answer: Callable[[Float32, Array], T]
    ) -> Iterator[tuple[Array, T]]:
        """Yield the numbers of known features and an answer for consecutive parts of documents, found on threads.

        Parameters
        ----------
        answer : callable
            Function of the scores (n, L) and the numbers of known features (n,).
        """
        size = max(1, min(ANSWERED_DOCUMENTS, PIECE_SCORES // len(self.classes)))

        def part(first: int) -> tuple[Array, T]:
            bags = self.features.bags(documents[first : first + size], first)
            known = np.diff(bags[0])
            return known, answer(self.scores(bags), known)

        with nullcontext() if self.linear is None else single_threaded_blas():  # fixed order of addition
            if len(documents) <= size:
                yield part(0)
            else:
                self.features.bags(documents[:1])  # builds the tables that the threads share
                yield from ordered_map(part, range(0, len(documents), size), threads)

    def most_probable(self, scores: Float32, known: Array, k: int, least: float) -> list[list[tuple[Any, float]]]:
        """Return the k most probable labels of each document with probabilities of at least `least`."""
        logits = self.logits(scores, known)
        best = largest_of_rows(logits, k)
        p = np.take_along_axis(probabilities(logits, self.independent), best, axis=1)
        sizes = np.count_nonzero(p >= least, axis=1).tolist()
        # All pairs are in one list first: a list or iterator per document would add objects for the garbage collector
        pairs = list(zip(self.classes[best.ravel()].tolist(), p.ravel().tolist(), strict=True))
        firsts = range(0, len(pairs), best.shape[1])
        return [pairs[first : first + size] for first, size in zip(firsts, sizes, strict=True)]
