"""From examples to a fitted classifier: the bags, the documents held out, the training, and what it leaves."""

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
from fastembed.classifier.features import PIECE_DOCUMENTS, Features, document_frequencies
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


def idf(counts: Any, documents: int | None = None) -> npt.NDArray[np.float64]:
    """Return the inverse document frequency log((1 + N) / (1 + df)) + 1 of each column of counts (N, F).

    The smoothed form, as if one more document had each feature once. N is `documents` if there were more.
    """
    frequencies = document_frequencies(counts)
    weights: npt.NDArray[np.float64] = np.log((1 + (documents or counts.shape[0])) / (1 + frequencies)) + 1
    return weights


def learn(
    examples: Examples, options: ClassifierOptions, pool: Pool, ledger: Ledger, on_epoch_end: EpochEnd | None
) -> FittedClassifier:
    """Return what is learned from examples.

    Parameters
    ----------
    examples : Examples
        The counts become the weights of the bags.
    options : ClassifierOptions
    pool : Pool
    ledger : Ledger
    on_epoch_end : callable, optional
    """
    features, bags = examples.features, examples.counts
    if options.weighting == "tfidf":
        features = replace(features, weights=idf(bags))
    indptr, indices = bags.indptr.astype(np.int64), bags.indices.astype(np.int32, copy=False)

    def scale(k: int) -> None:
        piece = indptr[k * PIECE_DOCUMENTS : (k + 1) * PIECE_DOCUMENTS + 1]
        kernels.unit_rows(piece, indices, bags.data, features.weights)

    pool.run(scale, -(-bags.shape[0] // PIECE_DOCUMENTS))
    return _trained(features, bags, examples, options, pool, ledger, on_epoch_end, None)


def learn_more(
    known: FittedClassifier,
    examples: Examples,
    options: ClassifierOptions,
    pool: Pool,
    ledger: Ledger,
    on_epoch_end: EpochEnd | None,
) -> FittedClassifier:
    """Return what a classifier knows after more examples, whose features and labels may be new.

    Old features keep their weights, so that old documents keep their bags.
    """
    grown = Grown.of(known, examples, options)
    bags = grown.features.bags(list(examples.corpus.sequences(Ledger())), pool)
    return _trained(grown.features, bags, examples, options, pool, ledger, on_epoch_end, grown)


def _trained(
    features: Features,
    bags: Any,
    examples: Examples,
    options: ClassifierOptions,
    pool: Pool,
    ledger: Ledger,
    on_epoch_end: EpochEnd | None,
    grown: Grown | None,
) -> FittedClassifier:
    labels, weights = examples.labels if grown is None else grown.labels, examples.weights
    likelihood = Likelihood(options.loss, labels.several)
    held = _held_out(bags, labels.matrix, options) if options.early_stopping else np.zeros(bags.shape[0], bool)
    validation = (bags[held], labels.matrix[held]) if held.any() else None
    bags, matrix, weights = (bags, labels.matrix, weights) if validation is None else (
        bags[~held], labels.matrix[~held], weights[~held]
    )  # fmt: skip
    on_end = on_epoch_end or (lambda record: None)
    linear: npt.NDArray[np.float32] | None = None
    if options.loss == "softmax":
        targets = shares(matrix)
        targets.data *= np.repeat(weights, np.diff(targets.indptr))
        bias = log_shares(_label_sums(targets.sum(axis=0), weights, grown)[0])
        prior = bias
        trainer = start(features, bags, targets, bias, options, pool, grown)
        held_out = None if validation is None else (validation[0], shares(validation[1]))
        history = train_softmax(trainer, bags, targets, options, held_out, on_end)
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
            Documents(bags, matrix, weights), bias, likelihood, options, pool, validation, on_end,
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


def _held_out(bags: Any, labels: Any, options: ClassifierOptions) -> Held:
    """Return which documents are held out."""
    held: Held = np.random.default_rng(options.seed).random(bags.shape[0]) < options.validation_fraction
    if not held.any() or held.all():
        raise ValueError(f"validation_fraction={options.validation_fraction} of {bags.shape[0]} documents is not one")
    return held


def _label_sums(
    sums: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], grown: Grown | None
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the weight of the documents with each label (L,), and that of all, the known ones included."""
    sums, total = np.asarray(sums).ravel(), float(weights.sum())
    if grown is None:
        return sums, total
    return sums + grown.shares * grown.documents, total + grown.documents
