"""Training examples of a classifier: the features and labels of documents, and the weight of each document."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import Pool
from fastembed._base.validation import check_amounts, unmasked
from fastembed.classifier.documents import DocumentLines, LabelledFiles
from fastembed.classifier.feature_counting import read_features
from fastembed.classifier.features import Features
from fastembed.classifier.labels import Labels, labels_of_lines, read_labelled, shares
from fastembed.classifier.options import ClassifierOptions
from fastembed.corpus.ledger import Ledger

Float64 = npt.NDArray[np.float64]


@dataclass
class Examples:
    """Documents with labels.

    Attributes
    ----------
    features : Features
    counts : csr_array (N, F), float64
        The counts of the features in each document.
    corpus : DocumentLines or LabelledFiles
        The documents.
    labels : Labels
    weights : ndarray of float64 (N,)
        The weights of the documents.
    """

    features: Features
    counts: Any
    corpus: DocumentLines | LabelledFiles
    labels: Labels
    weights: Float64

    def take_counts(self) -> Any:
        """Return the counts and drop the reference to them."""
        counts, self.counts = self.counts, None
        return counts


def read_examples(
    documents: Any,
    labels: Any,
    sample_weight: Any,
    options: ClassifierOptions,
    ledger: Ledger,
    pool: Pool,
    known: npt.NDArray[Any] | None = None,
) -> Examples:
    """Check the given documents and labels; documents without a label are left out and counted in the ledger.

    Parameters
    ----------
    documents, labels, sample_weight
        As for `Classifier.fit`.
    options : ClassifierOptions
    ledger : Ledger
    pool : Pool
    known : ndarray (L,), optional
        The labels that are already known: one further label is enough, and all may have weights. By default there must
        be two labels.

    Raises
    ------
    TypeError, ValueError, OSError
        As `Classifier.fit`.
    """
    least = 2 if known is None else 1
    if labels is None and names_files(documents):
        if sample_weight is not None:
            raise ValueError("sample_weight is for documents in memory: those of a file have no weights")
        corpus: DocumentLines | LabelledFiles
        files = corpus = LabelledFiles(documents, options.reader, options.label_prefix)
        features, counts = read_features(corpus, options, ledger, None, pool)
        found, skipped = labels_of_lines(files.labels), files.unlabelled
        weights = np.ones(counts.shape[0])
    else:
        items, found, some = read_labelled(documents, labels)
        if not len(some):
            raise ValueError("there are no documents to learn from: 0 samples, while a minimum of 1 is required")
        weights, skipped = _checked_weights(sample_weight, len(some))[some], int((~some).sum())
        _check_labels(found, least)
        corpus = DocumentLines(items, options.reader)
        features, counts = read_features(corpus, options, ledger, None, pool)
    _check_labels(found, least)
    if skipped:
        ledger.skipped["without a label"] = skipped
    return Examples(features, counts, corpus, found, weights * label_weights(found, options.class_weight, known))


def names_files(documents: Any) -> bool:
    """Return whether `documents` is a path, or a list of paths."""
    if isinstance(documents, str | os.PathLike):
        return True
    return (
        isinstance(documents, list | tuple) and bool(documents) and all(isinstance(d, os.PathLike) for d in documents)
    )


def label_weights(labels: Labels, class_weight: Any, known: npt.NDArray[Any] | None = None) -> Float64:
    """Return the weight of each document (N,): the mean of the weights of its labels.

    Parameters
    ----------
    labels : Labels
    class_weight : None, "balanced" or mapping of label to number
    known : ndarray, optional
        Further labels that the mapping may have.

    Raises
    ------
    ValueError
        If the mapping has a label that does not occur.
    """
    if class_weight is None:
        return np.ones(labels.matrix.shape[0])
    names = labels.classes.tolist()
    if class_weight == "balanced":
        counts = np.bincount(labels.matrix.indices, minlength=len(names))
        of_label = counts.sum() / (len(names) * np.maximum(counts, 1))
    else:
        possible = set(names) if known is None else set(names).union(known.tolist())
        if unknown := [label for label in class_weight if label not in possible]:
            raise ValueError(f"class_weight has the label {unknown[0]!r}, which no document has")
        of_label = np.array([class_weight.get(label, 1.0) for label in names], np.float64)
    found: Float64 = shares(labels.matrix) @ of_label
    return found


def _checked_weights(sample_weight: Any, documents: int) -> Float64:
    if sample_weight is None:
        return np.ones(documents)
    weights = unmasked("sample_weight", sample_weight)
    if weights.shape != (documents,):
        raise ValueError(
            f"sample_weight must have one number per document, shape ({documents},), got shape {weights.shape}"
        )
    check_amounts("sample_weight", weights)
    if not weights.any():
        raise ValueError("sample_weight must have a weight above zero, but all weights are zero")
    return weights.astype(np.float64)


def _check_labels(labels: Labels, least: int) -> None:
    if len(labels.classes) < least:
        what = f"one class, {labels.classes.tolist()[0]!r}" if len(labels.classes) else "no label"
        raise ValueError(f"a classifier needs documents of at least two labels, got {what}")
