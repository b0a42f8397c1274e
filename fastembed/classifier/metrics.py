"""Metrics of predictions, such as precision and recall, and explanations: the share of each feature in a score."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import Float64, largest, largest_of_rows
from fastembed._base.validation import number_of, shown
from fastembed.classifier.calibration import label_probabilities, nll
from fastembed.classifier.data import SEVERAL, Labels, check_kind
from fastembed.classifier.model import FittedClassifier

MOST_LABELS = 20  # rows of the table of an evaluation
SHOWN = 10  # features per label in an explanation
BAR = 20  # characters of the longest bar of an explanation
BINS = 15  # bins of the calibration error, as in Guo et al. (2017)


@dataclass(frozen=True)
class LabelScore:
    """The metrics of one label, in :attr:`Evaluation.per_label`.

    Attributes
    ----------
    label : str or int
    precision, recall, f1 : float
        Precision is NaN if the label was never predicted, recall if no document has the label, f1 if both hold.
    documents, predicted : int
        The numbers of documents with this label, and with this predicted label.

    Examples
    --------
    >>> score = LabelScore("baking", precision=0.75, recall=0.6, f1=0.667, documents=5, predicted=4)
    >>> score.label, score.recall
    ('baking', 0.6)
    """

    label: Any
    precision: float
    recall: float
    f1: float
    documents: int
    predicted: int


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a classifier on labelled documents, as :meth:`Classifier.test` returns them.

    Predicted labels are the first k labels of each document; with an indicator matrix, all labels with a probability of
    at least one half, as `predict` answers.

    Attributes
    ----------
    documents : int
        The number of documents with a label, or of rows of an indicator matrix.
    k : int
        0 with an indicator matrix.
    precision, recall, f1 : float
        P@k, R@k and their harmonic mean, micro-averaged over documents.
    accuracy : float
        The share of documents whose first label is correct; with an indicator matrix, whose labels are all correct.
    nll : float
        The mean negative log-likelihood of the labels of a document, in nats. If labels are independent, absent labels
        count, too.
    calibration_error : float
        The expected calibration error of the probability of the first label, over 15 equal bins.
    per_label : list of LabelScore
        In the order of the classes.
    unknown_labels : int
        The number of labels that the classifier does not know, which count as missed.
    without_features : int
        The number of documents without a known feature.
    skipped : dict of str to int
        The numbers of documents, or rows, that were left out, by reason.

    Examples
    --------
    >>> from fastembed import Classifier
    >>> classifier = Classifier(min_count=1).fit(["salt and bread", "nails and wood"], ["food", "tools"])
    >>> evaluation = classifier.test(["bread", "wood"], ["food", "tools"])
    >>> evaluation.precision, evaluation.documents
    (1.0, 2)
    """

    documents: int
    k: int
    precision: float
    recall: float
    f1: float
    accuracy: float
    nll: float
    calibration_error: float
    per_label: list[LabelScore]
    unknown_labels: int
    without_features: int
    skipped: dict[str, int]

    def summary(self) -> str:
        """Return the metrics of all labels in two lines."""
        left_out = "".join(f"; left out: {count:,} {reason}" for reason, count in self.skipped.items())
        at = f"@{self.k}" if self.k else ""
        return (
            f"{number_of(self.documents, 'document')}   P{at} {self.precision:.4f}   R{at} {self.recall:.4f}"
            f"   F1 {self.f1:.4f}   nll {self.nll:.4f}   calibration error {self.calibration_error:.4f}\n"
            f"{number_of(self.unknown_labels, 'unknown label')}; "
            f"{number_of(self.without_features, 'document')} without a known feature{left_out}"
        )

    def __str__(self) -> str:
        """Return the summary, and a table of the most frequent labels."""
        lines = [self.summary(), f"{'label':<24} precision  recall      F1  documents"]
        for score in sorted(self.per_label, key=lambda score: -score.documents)[:MOST_LABELS]:
            shares = (score.precision, score.recall, score.f1)
            numbers = "".join(f"{'-' if math.isnan(share) else f'{share:.4f}':>8}" for share in shares)
            lines.append(f"{score.label!s:<24}  {numbers}  {score.documents:>9,}")
        return "\n".join(lines)

    __repr__ = __str__


def calibration_error(confidence: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Return the expected calibration error, the mean difference between the confidence and the accuracy.

    Predictions are put into 15 bins of equal width by their probability. The result is the mean over predictions of the
    distance between the mean probability and the accuracy in the bin (Guo et al. 2017, equation 3).

    Parameters
    ----------
    confidence : array_like (N,)
        Probabilities from 0 to 1.
    right : array_like of bool (N,)

    Returns
    -------
    float
        From 0 to 1.

    Examples
    --------
    >>> round(calibration_error([0.9, 0.9, 0.9, 0.9], [True, True, True, False]), 3)
    0.15
    """
    p, hit = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    place = np.minimum((p * BINS).astype(np.intp), BINS - 1)
    gaps = np.bincount(place, p - hit, minlength=BINS)
    return float(np.abs(gaps).sum() / max(len(p), 1))


def evaluation(
    model: FittedClassifier,
    labels: Labels,
    pieces: Iterable[tuple[Any, Any]],
    k: int,
    skipped: dict[str, int],
    weights: Float64,
) -> Evaluation:
    """Return the metrics of scores, compared with labels.

    Parameters
    ----------
    labels : Labels
        The labels of all documents.
    pieces : iterable of (ndarray (n, L), ndarray (n,))
        For documents in order: their scores, and the number of known features of each.
    skipped : dict of str to int
        The numbers of documents that were left out, by reason.
    weights : ndarray (N,)
        The weights of the documents in the accuracy.

    Raises
    ------
    ValueError
        If no document has a known label.
    """
    check_kind(labels, model)
    matrix, sizes, size = labels.over(model.classes), np.diff(labels.matrix.indptr), len(model.classes)
    if not matrix.nnz:
        one, others = (shown(names.tolist()[:1]) for names in (model.classes, labels.classes))
        raise ValueError(f"one label at least must be known to the classifier, such as {one}, got {others}")
    compared, end, without_features = [], 0, 0
    for scores, known in pieces:
        part = slice(end, end := end + len(scores))
        compared.append(compare(model, matrix[part], sizes[part], scores, known, k))
        without_features += int(np.count_nonzero(known == 0))
    predicted_counts, hit_counts, *arrays = zip(*compared, strict=True)
    predicted, hits = np.sum(predicted_counts, axis=0), np.sum(hit_counts, axis=0)
    confidence, is_first, is_right, losses = map(np.concatenate, arrays)
    actual, scored = np.bincount(matrix.indices, minlength=size), (sizes > 0) | model.indicator
    with np.errstate(invalid="ignore", divide="ignore"):
        metrics = [ratios.tolist() for ratios in (hits / predicted, hits / actual, 2 * hits / (predicted + actual))]
    columns = (model.classes.tolist(), *metrics, actual.tolist(), predicted.tolist())
    precision, recall = hits.sum() / max(predicted.sum(), 1), hits.sum() / max(labels.matrix.nnz, 1)
    return Evaluation(
        documents=len(is_right),
        k=0 if model.indicator else k,
        precision=float(precision),
        recall=float(recall),
        f1=float(2 * precision * recall / (precision + recall)) if hits.any() else 0.0,
        accuracy=float(np.average(is_right[scored], weights=weights[scored])),
        nll=float(losses.mean()),
        calibration_error=calibration_error(np.minimum(confidence, 1), is_first),
        per_label=[LabelScore(*score) for score in zip(*columns, strict=True)],
        unknown_labels=int(labels.matrix.nnz - matrix.nnz),
        without_features=without_features,
        skipped=skipped,
    )


def compare(
    model: FittedClassifier, true: Any, sizes: Any, scores: Any, known_features: Any, k: int
) -> tuple[npt.NDArray[Any], ...]:
    """Compare the scores (n, L) of documents with their labels.

    Parameters
    ----------
    model : FittedClassifier
    true : csr_array (n, L)
        1 where a document has a label that the classifier knows.
    sizes : ndarray (n,)
        The number of labels of each document, known or not.
    scores : ndarray (n, L)
    known_features : ndarray (n,)
        The number of known features of each document.
    k : int
        How many labels are predicted for a document.

    Returns
    -------
    predicted, hits : ndarray of int64 (L,)
        The numbers of documents with each predicted label, and of the documents for which it is right.
    confidence : ndarray of float64 (n,)
        The probability of the first label.
    is_first, is_right : ndarray of bool (n,)
        Whether the first label is right, and whether a document counts as right in the accuracy.
    losses : ndarray of float64 (m,)
        The nll of each document with a known label; of documents without a label, too, if labels are independent.
    """
    logits, sizes_known = model.logits(scores.astype(np.float64), known_features), np.diff(true.indptr)
    has_loss = (sizes_known > 0) | ((sizes == 0) & model.independent)
    losses = nll(logits[has_loss], true[has_loss], model.independent)
    p, is_true = label_probabilities(logits, model.independent), true.toarray() > 0
    best = largest_of_rows(model.logits(scores, known_features), k)
    first = best[:, :1]
    confidence, is_first = (np.take_along_axis(array, first, axis=1)[:, 0] for array in (p, is_true))
    if model.indicator:
        chosen = p >= 0.5
        is_right = (chosen == is_true).all(axis=1) & (sizes_known == sizes)
    else:
        chosen, is_right = np.zeros_like(is_true), is_first
        np.put_along_axis(chosen, best, True, axis=1)
    return chosen.sum(axis=0), (chosen & is_true).sum(axis=0), confidence, is_first, is_right, losses


@dataclass(frozen=True)
class LabelExplanation:
    """The contributions of features to the scores of some labels; with the bias they sum to the scores.

    Attributes
    ----------
    labels : list of str or int
    features : list of str
        The known features of the document: words, n-grams of words, n-grams of characters in quotes. A word that could
        be taken for another feature is in double quotes.
    shares : ndarray of float64 (number of features, number of labels)
    bias : ndarray of float64 (number of labels,)
        The scores of a document without a known feature.
    scores, probabilities : ndarray of float64 (number of labels,)

    Examples
    --------
    >>> from fastembed import Classifier
    >>> explanation = Classifier().fit(["a b", "c d"], ["x", "y"]).explain("a")
    >>> bool(np.allclose(explanation.shares.sum(axis=0) + explanation.bias, explanation.scores, atol=1e-6))
    True
    """

    labels: list[Any]
    features: list[str]
    shares: Float64
    bias: Float64
    scores: Float64
    probabilities: Float64

    def __str__(self) -> str:
        """Return a table of the features of each label by the size of their shares, with bars."""
        most = np.abs(self.shares).max(initial=1e-12)
        unknown = "" if self.features else "; the document has no known feature, so p is the label's share"
        lines = []
        for column, label in enumerate(self.labels):
            shares = self.shares[:, column]
            lines.append(f"{label}  p {self.probabilities[column]:.4f}  score {self.scores[column]:+.4f}")
            order = np.argsort(-np.abs(shares), kind="stable")
            for f in order[:SHOWN].tolist():
                bar = ("+" if shares[f] >= 0 else "-") * round(BAR * abs(shares[f]) / most)
                lines.append(f"  {shares[f]:+9.4f}  {self.features[f]:<24} {bar}".rstrip())
            if len(order) > SHOWN:
                rest = float(shares[order[SHOWN:]].sum())
                lines.append(f"  {rest:+9.4f}  {len(order) - SHOWN} more features")
            lines.append(f"  {self.bias[column]:+9.4f}  the bias of the label{unknown}")
        return "\n".join(lines)

    __repr__ = __str__


def explanation(model: FittedClassifier, document: Any, labels: Any, k: int) -> LabelExplanation:
    """Return the explanation of a document for some labels, or the k most probable ones.

    Raises
    ------
    ValueError
        If a label is unknown.
    """
    indptr, indices, data = model.features.bags([document])
    rows = model.embedding[indices].astype(np.float64) * data[:, None]
    if model.linear is not None:
        rows = rows @ model.linear.astype(np.float64)
    bias = model.bias.astype(np.float64)
    scores = rows.sum(axis=0) + bias
    logits = model.logits(scores[None], np.diff(indptr))
    names = model.classes.tolist()
    if labels is None:
        chosen = largest(logits[0], k)
    else:
        wanted = labels if isinstance(labels, SEVERAL) else [labels]
        if unknown := [label for label in wanted if label not in names]:
            raise ValueError(f"{shown(unknown[0])} is not a label of this classifier, such as {shown(names[0])}")
        chosen = np.array([names.index(label) for label in wanted], np.intp)
    return LabelExplanation(
        labels=[names[c] for c in chosen],
        features=[model.features.name(f) for f in indices.tolist()],
        shares=rows[:, chosen],
        bias=bias[chosen],
        scores=scores[chosen],
        probabilities=label_probabilities(logits, model.independent)[0, chosen],
    )
