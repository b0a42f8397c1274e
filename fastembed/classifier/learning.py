"""Learning a classifier from examples: bags, held-out documents, training, and the fitted state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.memory import check_free
from fastembed._base.threads import Pool
from fastembed._kernels import features as kernels
from fastembed.classifier.calibration import Calibration
from fastembed.classifier.examples import Examples
from fastembed.classifier.features import PIECE_DOCUMENTS, Features
from fastembed.classifier.fitted import FittedClassifier
from fastembed.classifier.growth import Grown
from fastembed.classifier.labels import shares
from fastembed.classifier.likelihood import Likelihood
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.ova import Documents, clipped_shares, first_scores, train_ova
from fastembed.classifier.softmax import log_shares, of_full_rank, start, train_softmax
from fastembed.corpus.ledger import Ledger

EpochEnd = Callable[[dict[str, float]], object]
Held = npt.NDArray[np.bool_]


def idf(frequencies: npt.NDArray[np.int64], documents: int) -> npt.NDArray[np.float64]:
    """Return the inverse document frequency log((1 + N) / (1 + df)) + 1 of features in df of N documents.

    It is smoothed, as if one further document had each feature once.

    Examples
    --------
    >>> idf(np.array([1, 3]), 3).round(4)
    array([1.6931, 1.    ])
    """
    weights: npt.NDArray[np.float64] = (1 + documents) / (1 + frequencies)
    np.log(weights, out=weights)
    weights += 1
    return weights


def learn(
    examples: Examples, options: ClassifierOptions, pool: Pool, ledger: Ledger, on_epoch_end: EpochEnd | None
) -> FittedClassifier:
    """Return the classifier learned from examples.

    Parameters
    ----------
    examples : Examples
        The counts become the weights of the bags in place.
    options : ClassifierOptions
    pool : Pool
    ledger : Ledger
    on_epoch_end : callable, optional
    """
    documents = Documents(examples.take_counts(), examples.labels.matrix, examples.weights)
    features = examples.features
    if options.weighting == "tfidf":
        features = replace(features, weights=idf(documents.frequencies, len(examples.weights)))
    _scale(documents.bags, features.weights, pool)
    return _trained(features, documents, examples, options, pool, ledger, on_epoch_end, None)


def _scale(counts: Any, weights: npt.NDArray[np.float64], pool: Pool) -> None:
    """Scale counts of features to bags of unit length, in place."""
    indptr, indices = counts.indptr.astype(np.int64), counts.indices.astype(np.int32, copy=False)

    def scale(k: int) -> None:
        piece = indptr[k * PIECE_DOCUMENTS : (k + 1) * PIECE_DOCUMENTS + 1]
        kernels.unit_rows(piece, indices, counts.data, weights)

    pool.run(scale, -(-counts.shape[0] // PIECE_DOCUMENTS))


def learn_more(
    known: FittedClassifier,
    examples: Examples,
    options: ClassifierOptions,
    pool: Pool,
    ledger: Ledger,
    on_epoch_end: EpochEnd | None,
) -> FittedClassifier:
    """Return a classifier after training on more examples, which may have new features and labels.

    Old features keep their weights, so that old documents keep their bags.
    """
    grown = Grown.of(known, examples, options)
    bags = grown.features.bags(list(examples.corpus.sequences(Ledger())), pool)
    documents = Documents(bags, grown.labels.matrix, examples.weights)
    return _trained(grown.features, documents, examples, options, pool, ledger, on_epoch_end, grown)


def _trained(
    features: Features,
    documents: Documents,
    examples: Examples,
    options: ClassifierOptions,
    pool: Pool,
    ledger: Ledger,
    on_epoch_end: EpochEnd | None,
    grown: Grown | None,
) -> FittedClassifier:
    labels = examples.labels if grown is None else grown.labels
    likelihood = Likelihood(options.loss, labels.several)
    held = np.zeros(len(documents.weights), bool)
    validation = None
    if options.early_stopping:
        held = _held_out(len(held), options)
        documents, validation = documents.divided(held)
    matrix, weights = documents.labels, documents.weights
    on_end = on_epoch_end or (lambda record: None)
    linear: npt.NDArray[np.float32] | None = None
    if options.loss == "softmax":
        targets = shares(matrix)
        targets.data *= np.repeat(weights, np.diff(targets.indptr))
        bias = log_shares(_label_sums(targets.sum(axis=0), weights, grown)[0])
        prior = bias
        trainer = start(features, documents.bags, targets, bias, options, pool, grown)
        held_out = None if validation is None else (validation[0], shares(validation[1]))
        history = train_softmax(trainer, documents.bags, targets, options, held_out, on_end)
        embedding, calibration = trainer.embedding, Calibration("softmax")
        linear = None if of_full_rank(trainer) else np.ascontiguousarray(trainer.linear)
    else:
        size = len(features) * len(labels.classes) * np.dtype(np.float32).itemsize
        advice = "give loss='softmax' and a dim, or fewer features by min_count or max_features"
        check_free(2 * size, f"training {len(labels.classes):,} labels on {len(features):,} features", advice)
        q = clipped_shares(*_label_sums(matrix.T @ weights, weights, grown))
        bias = first_scores(q, options.loss)
        prior = likelihood.prior(q if likelihood.independent else q / q.sum())
        embedding, calibration, history = train_ova(
            documents, bias, likelihood, options, pool, validation, on_end,
            *((None, None) if grown is None else (grown.embedding, grown.calibration)),
        )  # fmt: skip
    counts = np.bincount(labels.matrix.indices, minlength=len(labels.classes))
    return FittedClassifier(
        features=features,
        classes=labels.classes,
        likelihood=likelihood,
        documents=len(held) + (0 if grown is None else grown.documents),
        label_counts=counts if grown is None else counts + grown.label_counts,
        embedding=embedding,
        scales=None,
        linear=linear,
        bias=bias,
        calibration=calibration,
        prior=prior,
        history=history,
        ledger=ledger,
    )


def _held_out(documents: int, options: ClassifierOptions) -> Held:
    """Return a mask of the documents to hold out."""
    held: Held = np.random.default_rng(options.seed).random(documents) < options.validation_fraction
    if not held.any() or held.all():
        raise ValueError(f"validation_fraction={options.validation_fraction} of {documents} documents is not one")
    return held


def _label_sums(
    sums: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], grown: Grown | None
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the total weight of documents per label (L,) and of all documents, including previous ones."""
    sums, total = np.asarray(sums).ravel(), float(weights.sum())
    if grown is None:
        return sums, total
    return sums + grown.shares * grown.documents, total + grown.documents
