"""Training of a classifier on examples: initial parameters, the loss "softmax", and the fitted state of any loss.

Training goes on from a fitted classifier in the same way, with rows and columns for new features and labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float32, Float64
from fastembed._base.memory import check_free
from fastembed._base.threads import Pool, single_threaded_blas
from fastembed._base.validation import warn_user
from fastembed.classifier.calibration import FIRST, Calibration
from fastembed.classifier.features import Features, shares
from fastembed.classifier.labels import Examples, LeftOut, balanced, mean_weights
from fastembed.classifier.model import FittedClassifier
from fastembed.classifier.ova import train_ova
from fastembed.corpus.ledger import Ledger
from fastembed.trainer.parameters import TrainingDivergedError
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.vectors import Vectors

if TYPE_CHECKING:
    from fastembed.classifier.classifier import ClassifierOptions

EpochEnd = Callable[[dict[str, float]], object]

BLOCK_DOCUMENTS = 64
LINEAR_RATE = 0.05
POWER_STEPS = 2
RATE = 3.0  # of E, by default, unless documents are so alike or heavy that it is less
STABLE = 6.0  # RATE times the largest eigenvalue of a block is at most this: docs/derivation.md, section 8
EIGENVALUE_STEPS = 10
ROUNDING = 1e-12  # distance from 0 or 1 of the share of a label of no document or all of them
DIVERGED = 2  # training has diverged above this multiple of the entropy of the label shares, plus 1
NOTHING = 0.99  # of the loss of the labels' shares: with more, hardly anything has been learned
TRIFLE = 1e-4  # a loss of the labels' shares that leaves nothing to learn
RARE = 1 / 3  # the power of "balanced" weights that the losses of one label against all others have: docs/decisions.md
LENGTH = 3.0  # the length of the pretrained row of a word: docs/decisions.md


@dataclass(frozen=True)
class Size:
    """How much is learned from, and how long at most.

    Examples
    --------
    >>> print(Size(12_404, 250_000, 736, 20))
    12,404 documents, 250,000 features, 736 labels
    """

    documents: int
    features: int
    labels: int
    epochs: int

    def __str__(self) -> str:
        return f"{self.documents:,} documents, {self.features:,} features, {self.labels:,} labels"


def check_alike(known: FittedClassifier, options: ClassifierOptions) -> None:
    """Raise ValueError unless a fitted classifier can learn more with these options."""
    features, dim = known.features, None if known.linear is None else len(known.linear)
    lengths = None if features.characters is None else features.characters.lengths
    ours = len(features.grams) + 1, lengths, features.weighting, features.reading
    if known.calibration.loss != options.loss:
        raise ValueError(f"loss={options.loss!r}, but the classifier learned by {known.calibration.loss!r}: call fit")
    if ours != (options.ngrams, options.chars, options.weighting, options.reading):
        raise ValueError("ngrams, chars, weighting or reading are not those that the classifier learned with: call fit")
    if dim != options.dim and not (dim is None and options.pretrained is None):  # full rank grows with the labels
        raise ValueError(f"dim={options.dim}, but the classifier learned with dim={dim}: call fit")


class Earlier(NamedTuple):
    """What training goes on from: a fitted classifier, or by default nothing but a first calibration.

    Attributes
    ----------
    calibration : Calibration
        Where the search for a calibration begins.
    with_label : ndarray of float64 (L,)
        How many earlier documents have each label.
    documents, calibrated : int
        The number of earlier documents, and of those that the calibration is from.
    places : ndarray of int64 (K,)
        The columns of the labels that the classifier knows.
    bias : ndarray of float32 (K,)
    parameters : (ndarray (F, D), ndarray (D, L) or None) or None
        E and W, with rows and columns for what is new.
    """

    calibration: Calibration
    with_label: Float64
    documents: int = 0
    calibrated: int = 0
    places: npt.NDArray[np.intp] = np.arange(0)
    bias: Float32 = np.zeros(0, np.float32)
    parameters: tuple[Float32, Float32 | None] | None = None


class Learned(NamedTuple):
    """The part of a `FittedClassifier` that training finds."""

    embedding: Float32
    linear: Float32 | None
    bias: Float32
    prior: Float32
    calibration: Calibration
    history: list[dict[str, float]]


def learn(
    examples: Examples,
    options: ClassifierOptions,
    pool: Pool,
    ledger: Ledger,
    on_epoch_end: EpochEnd | None,
    known: FittedClassifier | None = None,
) -> FittedClassifier:
    """Return the classifier learned from examples.

    Parameters
    ----------
    examples : Examples
        Their bags are released during training.
    on_epoch_end : callable, optional
        Called with the record of each epoch; training ends early if it returns True.
    known : FittedClassifier, optional
        The classifier to go on from.
    """
    labels = examples.labels
    first = Calibration(options.loss, labels.several, *FIRST[options.loss])
    none = Earlier(first, np.zeros(len(labels.classes)))
    earlier = none if known is None else _go_on_from(known, examples, options, first)
    validation = _hold_out(examples, options) if options.early_stopping else None
    train = _softmax if options.loss == "softmax" else _one_against_all
    learned = train(examples, options, pool, earlier, validation, on_epoch_end)
    return FittedClassifier(
        features=examples.features,
        classes=labels.classes,
        documents=len(examples.weights) + earlier.documents,
        label_counts=examples.label_counts,
        scales=None,
        ledger=ledger,
        indicator=labels.indicator,
        **learned._asdict(),
    )


def _go_on_from(known: FittedClassifier, examples: Examples, options: ClassifierOptions, first: Calibration) -> Earlier:
    """Return what a classifier brings along to further examples, and warn if these have one label alone."""
    labels = examples.labels
    found, sizes = labels.classes[np.unique(labels.matrix.indices)].tolist(), np.diff(labels.matrix.indptr)
    if len(found) == 1 and len(sizes) > 1 and sizes.all():
        warn_user(
            f"the new documents all have the label {found[0]!r}, so that others become too rare: learn them"
            " together with documents of other labels"
        )
    places = np.searchsorted(labels.classes, known.classes)
    with_label = np.zeros(len(labels.classes))
    with_label[places] = known.calibration.probabilities(known.prior.astype(np.float64)[None])[0] * known.documents
    calibration, calibrated = first, 0
    if options.loss != "squared" or known.calibration.several == labels.several:
        calibration, calibrated = replace(known.calibration, several=labels.several), known.documents
    # otherwise a softmax has left the offset as it was, which the other numbers no longer suit
    parameters = _grown_parameters(known, examples.features, places, len(labels.classes), options.pretrained)
    return Earlier(calibration, with_label, known.documents, calibrated, places, known.bias, parameters)


def _hold_out(examples: Examples, options: ClassifierOptions) -> LeftOut:
    """Return the documents that are held out for early stopping; in the examples their weights become 0."""
    documents = len(examples.weights)
    held: npt.NDArray[np.bool_] = np.random.default_rng(options.seed).random(documents) < options.validation_fraction
    (validation,) = examples.left_out([np.flatnonzero(held)], np.ones(documents))
    if not validation.weights.any():
        of_all = f"validation_fraction={options.validation_fraction} of {documents} documents holds out {held.sum()}"
        raise ValueError(f"{of_all}, and none with features and labels of the others: give more documents")
    examples.weights = np.where(held, 0, examples.weights)
    if not examples.weights.any():
        raise ValueError("sample_weight is zero for all documents that are not held out: give another seed")
    return validation


def _one_against_all(
    examples: Examples,
    options: ClassifierOptions,
    pool: Pool,
    earlier: Earlier,
    validation: LeftOut | None,
    on_epoch_end: EpochEnd | None,
) -> Learned:
    """Learn by the loss "squared" or "ova"; E has a column per label, and W is the identity."""
    labels, squared, calibration = examples.labels, options.loss == "squared", earlier.calibration
    count = len(labels.classes)
    _check_memory(examples.features, count, count, "give loss='softmax' and a dim", len(examples.weights))
    losses = examples.weights  # sigma rho in docs/derivation.md, section 8; the weights alone are sigma
    if options.class_weight is None:
        losses = losses * mean_weights(labels.matrix, balanced(examples.label_counts) ** RARE)
    weights = np.stack([examples.weights, losses])
    # By either weight, of the earlier documents and these: how many there are, and how many have each label
    totals = weights.sum(axis=1) + earlier.documents
    own, of_losses = np.minimum(weights @ labels.matrix + earlier.with_label, totals[:, None])
    prior = calibration.prior(own / (totals[0] if calibration.independent else own.sum()))
    # Where the bias starts: for a label of all documents or of none, the share is half a document from that
    distances = np.minimum(of_losses, totals[1] - of_losses) / totals[1]
    half = distances[distances > ROUNDING].min(initial=0.5) / 2
    q = (of_losses / totals[1]).clip(half, 1 - half)
    bias = (q if squared else np.log(q / (1 - q))).astype(np.float32)
    bias[earlier.places] = earlier.bias
    curvature = earlier.documents * (1.0 if squared else float(np.mean(q * (1 - q))))
    embedding, bias, calibration, history = train_ova(
        examples, losses, bias, prior, curvature, earlier, options, pool, validation, on_epoch_end
    )
    of_shares = q * (1 - q) / 2 if squared else -q * np.log(q) - (1 - q) * np.log(1 - q)
    least = min(record["loss"] for record in history if not record["left_out"])
    _warn_of_nothing(least, of_shares.sum(), "a smaller l2")
    return Learned(embedding, None, bias, prior, calibration, history)


def _check_memory(features: Features, dim: int, labels: int, advice: str, documents: int = 0) -> None:
    """Raise MemoryError if E (F, D) and dual variables of documents, and a copy of both, do not fit in memory."""
    size = (len(features) + documents) * dim * np.dtype(np.float32).itemsize
    what = f"training {labels:,} labels on {len(features):,} features"
    check_free(2 * size, what, f"{advice}, or fewer features by min_count or max_features")


# ---------------------------------------------------------------- initial parameters: E, and W or None for the identity


def _grown_parameters(
    known: FittedClassifier, features: Features, places: npt.NDArray[np.intp], labels: int, pretrained: Vectors | None
) -> tuple[Float32, Float32 | None]:
    """Return E and W of a fitted classifier for more features and labels; what is new is pretrained or zero.

    `places` are the columns of its labels.
    """
    old = known.features.numbers_in(features)
    full = known.linear is None
    embedding = np.zeros((len(features), labels if full else known.embedding.shape[1]), np.float32)
    embedding[np.ix_(old, places) if full else old] = known.rows(np.arange(len(old)))
    if pretrained is not None:
        first, last = len(known.features.words), len(features.words)
        embedding[first:last] = word_rows(features.words.tokens[first:last], pretrained)
    if known.linear is None:
        return embedding, None
    linear = np.zeros((len(known.linear), labels), np.float32)
    linear[:, places] = known.linear
    return embedding, linear


def _first_parameters(
    features: Features, bags: Any, targets: Any, options: ClassifierOptions
) -> tuple[Float32, Float32 | None]:
    """Return E and W of a new classifier.

    With dim=None, or at least as many dimensions as labels, W is the identity and fixed: the model has full rank.
    Otherwise W gives similar labels similar vectors. E is zero; but pretrained vectors become the rows of words, and W
    then has the directions to the documents of each label.
    """
    labels, vectors = targets.shape[1], options.pretrained
    dim = labels if options.dim is None else options.dim if vectors is not None else min(options.dim, labels)
    _check_memory(features, dim, labels, "give a smaller dim")
    embedding = np.zeros((len(features), dim), np.float32)
    with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
        if vectors is not None:
            embedding[: len(features.words)] = word_rows(features.words.tokens, vectors)
            return embedding, mean_directions(bags, targets, embedding)
        if dim == labels:
            return embedding, None
        return embedding, label_vectors(bags, targets, dim, np.random.default_rng(options.seed))


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
        with suppress(KeyError):
            rows[place] = vectors[word]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows * (LENGTH / np.where(lengths > 0, lengths, 1)), np.float32)


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


def label_vectors(bags: Any, targets: Any, dim: int, rng: np.random.Generator) -> Float32:
    """Return unit vectors (D, L) whose cosines approximate those of the mean bags of the labels.

    Let C (L, F) be the mean bags, scaled to unit length. The vectors are the leading left singular vectors of C times
    the singular values, scaled to unit length, from subspace iteration with a random start (Halko et al. 2011).
    """
    means = sparse.csr_array(targets.T @ bags)
    lengths = np.sqrt(np.asarray(means.multiply(means).sum(axis=1)).ravel())
    means = sparse.csr_array(sparse.diags_array(1 / np.maximum(lengths, 1e-30)) @ means).astype(np.float32)
    transposed = sparse.csr_array(means.T)
    basis = np.linalg.qr(rng.standard_normal((means.shape[0], dim)).astype(np.float32))[0]
    for _ in range(POWER_STEPS):
        basis = np.linalg.qr(means @ (transposed @ basis))[0]
    half = transposed @ basis  # (F, D): C^T Q, so that C C^T is about Q (half^T half) Q^T
    values, vectors = np.linalg.eigh(half.T @ half)
    rows = basis @ (vectors * np.sqrt(np.maximum(values, 0)))
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(rows.T, np.float32)


# ---------------------------------------------------------------- the loss "softmax"


def default_rate(bags: Any, weights: Float64) -> float:
    """Return the default learning rate of gradient descent on blocks of bags (N, F) with weights (N,).

    The curvature of the loss of a block, along any direction of E, is at most half the largest eigenvalue of
    ``X.T @ (alpha[:, None] * X)``, X being its bags, and alpha the weights over the mean of those above zero. Of a part
    of all documents the eigenvalue is estimated as its share of that of all, plus the largest alpha.

    Examples
    --------
    >>> alike, distinct = np.ones((60, 1)), np.eye(60)
    >>> default_rate(alike, np.ones(60)), default_rate(distinct, np.ones(60))
    (0.1, 3.0)
    """
    alpha = weights / weights[weights > 0].mean()
    share, largest = min(1.0, BLOCK_DOCUMENTS / len(alpha)), 0.0
    vector = np.full(bags.shape[1], bags.shape[1] ** -0.5)
    # The power method; no entry is negative, so it does not start at a right angle
    for _ in range(EIGENVALUE_STEPS):
        vector = bags.T @ (alpha * (bags @ vector))
        largest = float(np.linalg.norm(vector))
        vector /= largest or 1
    eigenvalue = share * largest + (alpha.max() if share < 1 else 0)
    return float(min(RATE, STABLE / max(eigenvalue, 1.0)))


def _softmax(
    examples: Examples,
    options: ClassifierOptions,
    pool: Pool,
    earlier: Earlier,
    validation: LeftOut | None,
    on_epoch_end: EpochEnd | None,
) -> Learned:
    """Learn by the loss "softmax": gradient descent on blocks of documents.

    The step of a row is proportional to its weight in the bag, as in the gradient of the loss, so that E stays in the
    span of the bags. At full rank W is the identity and stays so.
    """
    targets = shares(examples.labels.matrix)
    targets.data *= np.repeat(examples.weights, np.diff(targets.indptr))
    sums = np.asarray(targets.sum(axis=0)).ravel() + earlier.with_label
    prior = earlier.calibration.prior(sums / sums.sum())
    embedding, linear = earlier.parameters or _first_parameters(examples.features, examples.bags, targets, options)
    w = np.eye(len(prior), dtype=np.float32) if linear is None else linear
    trainer = Trainer(embedding, w, bias=prior, threads=pool.threads)
    rate = options.learning_rate or default_rate(examples.bags, examples.weights)
    held_out = None if validation is None else sparse.diags_array(validation.weights) @ shares(validation.labels)
    history = trainer.fit_counts(
        targets,
        bags=examples.bags,
        input_weights=examples.weights,
        optimizer="sgd",
        epochs=options.epochs,
        learning_rate=rate,
        linear_learning_rate=0.0 if linear is None else LINEAR_RATE,
        l2=options.l2,
        block_size=BLOCK_DOCUMENTS,
        validation_counts=held_out,
        validation_bags=None if validation is None else validation.bags,
        n_iter_no_change=options.n_iter_no_change if validation is not None else None,
        seed=options.seed,
        on_epoch_end=None if on_epoch_end is None else lambda record, _: on_epoch_end(record),
    )
    entropy = -float(targets.sum(axis=0) @ prior.astype(np.float64)) / targets.sum()
    worst = max(history, key=lambda record: record["nll"])
    if worst["nll"] > DIVERGED * (1 + entropy):
        raise TrainingDivergedError(
            f"the nll {worst['nll']:.4g} of epoch {worst['epoch']} is far above {entropy:.2g}, that of the labels'"
            f" shares: a learning rate is too large, here learning_rate={rate:g}",
            int(worst["epoch"]),
        )
    if len(history) > 1:  # the nll is that before the steps of an epoch
        _warn_of_nothing(history[-1]["nll"], entropy, "more epochs or a larger learning_rate")
    trained = None if linear is None else np.ascontiguousarray(trainer.linear)
    return Learned(trainer.embedding, trained, prior, prior, earlier.calibration, history)


def _warn_of_nothing(loss: float, of_shares: float, remedy: str) -> None:
    """Warn if the loss is that of the shares of the labels, which need no documents."""
    if loss > NOTHING * of_shares > TRIFLE:
        what = f"hardly anything was learned but the shares of the labels, whose loss is {of_shares:.4g}"
        warn_user(f"{what}: {remedy}, or documents that differ with their labels")
