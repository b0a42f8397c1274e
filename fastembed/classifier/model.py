"""`FittedClassifier`: the fitted state of a classifier, and its answers for documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float32, largest_of_rows
from fastembed._base.threads import ordered_map, single_threaded_blas
from fastembed._base.validation import check_choice
from fastembed._kernels import kernels_for
from fastembed.classifier.calibration import Calibration
from fastembed.classifier.features import Bags, Features
from fastembed.corpus.ledger import Ledger

ANSWERED_DOCUMENTS = 1 << 11  # largest number of documents that one task of a prediction answers

T = TypeVar("T")
Array = npt.NDArray[Any]

PIECE_SCORES = 1 << 20  # largest number of scores per task
ROWS = ("float32", "float16", "int8")
HALF = float(np.finfo(np.float16).max)
LEAST = 12  # smaller numbers of an int8 row, whose largest is 127, may be left out: docs/decisions.md
MOST_NARROW = 1 << 16  # columns that uint16 can number

_gather = kernels_for("float32").bag_gather


@dataclass(frozen=True)
class FittedClassifier:
    """The fitted state of a classifier.

    Attributes
    ----------
    features : Features
    classes : ndarray (L,)
    calibration : Calibration
        The probabilities for scores.
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
    prior : ndarray of float32 (L,)
        The logits of a document without a known feature, whose probabilities are the shares of the labels.
    history : list of dict
    ledger : Ledger
    indicator : list of str or None
        If labels are the columns of an indicator matrix, in training and in predictions: their names, if they have any.
    """

    features: Features
    classes: Array
    calibration: Calibration
    documents: int
    label_counts: npt.NDArray[np.int64]
    embedding: Any
    scales: Array | None
    linear: Array | None
    bias: Array
    prior: Array
    history: list[dict[str, float]]
    ledger: Ledger
    indicator: list[str] | None

    def rows(self, ids: Array) -> Float32:
        """Return rows of the embedding as float32."""
        found: Any = self.embedding[ids]
        rows: Float32 = (found if isinstance(found, np.ndarray) else found.toarray()).astype(np.float32)
        if self.scales is not None:
            rows *= self.scales[ids][:, None]
        return rows

    def scores(self, bags: Bags) -> Float32:
        """Return the scores h + b, or h @ linear + b, (N, L) of bags (N, F)."""
        indptr, indices, data = bags
        documents, rows = len(indptr) - 1, self.embedding
        if not len(indices):
            return np.tile(self.bias, (documents, 1))
        if rows.dtype != np.float32:
            named, places = np.unique(indices, return_inverse=True)
            rows, indices = self.rows(named), places.astype(np.int32)
        h = np.empty((documents, rows.shape[1]), np.float32)
        _gather(rows, indptr, indices, data.astype(np.float32), np.arange(documents), 0, documents, h)
        scores: Float32 = (h if self.linear is None else h @ self.linear) + self.bias
        return scores

    def logits(self, scores: Array, known: Array) -> Array:
        """Return the logits for scores (N, L) of documents whose numbers of known features are `known` (N,).

        In their order labels are as probable.
        """
        logits = self.calibration.logits(scores, self.prior)
        logits[known == 0] = self.prior
        return logits

    def probabilities(self, scores: Array, known: Array) -> Array:
        """Return the probabilities for scores (N, L) of documents whose numbers of known features are `known` (N,)."""
        return self.calibration.probabilities(self.logits(scores, known))

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
        p = np.take_along_axis(self.calibration.probabilities(logits), best, axis=1)
        sizes = np.count_nonzero(p >= least, axis=1).tolist()
        # All pairs are in one list first: a list or iterator per document would add objects for the garbage collector
        pairs = list(zip(self.classes[best.ravel()].tolist(), p.ravel().tolist(), strict=True))
        firsts = range(0, len(pairs), best.shape[1])
        return [pairs[first : first + size] for first, size in zip(firsts, sizes, strict=True)]

    def compressed(self, rows: str) -> FittedClassifier:
        """Return a model with rows of E of this dtype.

        The largest number of an int8 row is 127, and the scale restores its value. With many labels, a feature is
        uninformative about most: if E as a csr_array, without numbers below a tenth of the largest of their row, takes
        at most a quarter of the bytes, the result is sparse.

        Raises
        ------
        ValueError
            If `rows` is not one of `ROWS`, or float16 cannot hold a number.
        """
        check_choice("rows", rows, ROWS)
        if self.embedding.dtype == rows:
            return self
        full = self.rows(np.arange(self.embedding.shape[0]))
        if rows == "float16" and (most := float(np.abs(full).max(initial=0))) > HALF:
            raise ValueError(f"rows='float16' holds numbers up to {HALF:g}, got {most:g}: write 'float32' or 'int8'")
        if rows != "int8":
            return replace(self, embedding=full.astype(rows), scales=None)
        scales = (np.abs(full).max(axis=1) / 127).astype(np.float32)
        full /= np.where(scales > 0, scales, 1)[:, None]
        embedding: Any = np.rint(full, out=full).clip(-127, 127).astype(np.int8)
        width = 2 if embedding.shape[1] <= MOST_NARROW else 4
        large = np.abs(embedding) >= LEAST
        if np.count_nonzero(large) * (1 + width) + 8 * len(embedding) <= embedding.size / 4:
            embedding = sparse.csr_array(np.where(large, embedding, np.int8(0)))
        return replace(self, embedding=embedding, scales=scales)
