"""Training of a classifier on examples: initial parameters, the loss "softmax", and the fitted state of any loss.

Training goes on from a fitted classifier in the same way, with rows and columns for new features and labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float32, Float64
from fastembed._base.memory import check_free
from fastembed._base.threads import Pool, single_threaded_blas
from fastembed._base.validation import warn_user
from fastembed.classifier.calibration import Calibration, prior_logits, probabilities
from fastembed.classifier.features import Features, shares
from fastembed.classifier.labels import Examples, balanced, mean_weights
from fastembed.classifier.model import FittedClassifier
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.squares import train_squares
from fastembed.corpus.ledger import Ledger
from fastembed.trainer.parameters import TrainingDivergedError
from fastembed.trainer.trainer import Trainer

EpochEnd = Callable[[dict[str, float]], bool]

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
    if (known.calibration is None) != (options.loss == "softmax"):
        raise ValueError(f"loss={options.loss!r} is not that of the classifier: call fit")
    if ours != (options.ngrams, options.chars, options.weighting, options.reading):
        raise ValueError("ngrams, chars, weighting or reading are not those of the classifier: call fit")
    if dim not in (options.dim, None):  # full rank grows with the labels
        raise ValueError(f"dim={options.dim}, but the classifier learned with dim={dim}: call fit")


class Earlier(NamedTuple):
    """What training goes on from: a fitted classifier, or by default nothing.

    Attributes
    ----------
    with_label : ndarray of float64 (L,)
        How many earlier documents have each label.
    documents : int
        The number of earlier documents.
    places : ndarray of int64 (K,)
        The columns of the labels that the classifier knows.
    bias : ndarray of float32 (K,)
    calibration : Calibration or None
        Where the search for a calibration begins.
    parameters : (ndarray (F, D), ndarray (D, L) or None) or None
        E and W, with rows and columns for what is new.
    """

    with_label: Float64
    documents: int = 0
    places: npt.NDArray[np.intp] = np.arange(0)
    bias: Float32 = np.zeros(0, np.float32)
    calibration: Calibration | None = None
    parameters: tuple[Float32, Float32 | None] | None = None


class Learned(NamedTuple):
    """The part of a `FittedClassifier` that training finds."""

    embedding: Float32
    linear: Float32 | None
    bias: Float32
    prior: Float32
    calibration: Calibration | None
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
    earlier = Earlier(np.zeros(len(labels.classes))) if known is None else _go_on_from(known, examples)
    train = _softmax if options.loss == "softmax" else _one_against_all
    learned = train(examples, options, pool, earlier, on_epoch_end)
    return FittedClassifier(
        features=examples.features,
        classes=labels.classes,
        several=labels.several,
        documents=len(examples.weights) + earlier.documents,
        label_counts=examples.label_counts,
        ledger=ledger,
        indicator=labels.indicator,
        **learned._asdict(),
    )


def _go_on_from(known: FittedClassifier, examples: Examples) -> Earlier:
    """Return what a classifier brings along to further examples."""
    labels = examples.labels
    places = np.searchsorted(labels.classes, known.classes)
    with_label = np.zeros(len(labels.classes))
    with_label[places] = probabilities(known.prior.astype(np.float64)[None], known.independent)[0] * known.documents
    calibration = known.calibration if known.several == labels.several else None  # a softmax has other numbers
    parameters = _grown_parameters(known, examples.features, places, len(labels.classes))
    return Earlier(with_label, known.documents, places, known.bias, calibration, parameters)


def _one_against_all(
    examples: Examples, options: ClassifierOptions, pool: Pool, earlier: Earlier, on_epoch_end: EpochEnd | None
) -> Learned:
    """Learn by the loss "squared"; E has a column per label, and W is the identity."""
    labels = examples.labels
    count = len(labels.classes)
    _check_memory(examples.features, count, count, len(examples.weights))
    losses = examples.weights  # sigma rho in docs/derivation.md, section 8; the weights alone are sigma
    if options.class_weight is None:
        losses = losses * mean_weights(labels.matrix, balanced(examples.label_counts) ** RARE)
    weights = np.stack([examples.weights, losses])
    # By either weight, of the earlier documents and these: how many there are, and how many have each label
    totals = weights.sum(axis=1) + earlier.documents
    own, of_losses = np.minimum(weights @ labels.matrix + earlier.with_label, totals[:, None])
    prior = prior_logits(own / (totals[0] if labels.several else own.sum()), labels.several)
    # Where the bias starts: for a label of all documents or of none, the share is half a document from that
    distances = np.minimum(of_losses, totals[1] - of_losses) / totals[1]
    half = distances[distances > ROUNDING].min(initial=0.5) / 2
    q = (of_losses / totals[1]).clip(half, 1 - half)
    bias = q.astype(np.float32)
    bias[earlier.places] = earlier.bias
    start = earlier.parameters and earlier.parameters[0]
    embedding, bias, left_out, history = train_squares(
        examples, losses, bias, float(earlier.documents), start, options, pool, on_epoch_end
    )
    least = min(record["loss"] for record in history if not record["left_out"])
    _warn_of_nothing(least, (q * (1 - q) / 2).sum(), "a smaller l2")
    first = earlier.calibration or Calibration.first(labels.several)
    calibrated = earlier.documents if earlier.calibration else 0
    scores, of_left_out, weights_of_left_out = zip(*left_out, strict=True)
    calibration = first.fitted(
        np.concatenate(scores),
        sparse.vstack(of_left_out, "csr"),
        np.concatenate(weights_of_left_out),
        prior,
        calibrated,
    )
    return Learned(embedding, None, bias, prior, calibration, history)


def _check_memory(features: Features, dim: int, labels: int, documents: int = 0) -> None:
    """Raise MemoryError if E (F, D) and dual variables of documents, and a copy of both, do not fit in memory."""
    size = (len(features) + documents) * dim * np.dtype(np.float32).itemsize
    what = f"training {labels:,} labels on {len(features):,} features"
    check_free(2 * size, what, "give loss='softmax' and a small dim, or a larger min_count")


# ---------------------------------------------------------------- initial parameters: E, and W or None for the identity


def _grown_parameters(
    known: FittedClassifier, features: Features, places: npt.NDArray[np.intp], labels: int
) -> tuple[Float32, Float32 | None]:
    """Return E and W of a fitted classifier for more features and labels; what is new is zero.

    `places` are the columns of its labels.
    """
    old = known.features.numbers_in(features)
    if known.linear is None:
        embedding = np.zeros((len(features), labels), np.float32)
        embedding[np.ix_(old, places)] = known.embedding
        return embedding, None
    embedding = np.zeros((len(features), known.embedding.shape[1]), np.float32)
    embedding[old] = known.embedding
    linear = np.zeros((len(known.linear), labels), np.float32)
    linear[:, places] = known.linear
    return embedding, linear


def _first_parameters(
    features: Features, bags: Any, targets: Any, options: ClassifierOptions
) -> tuple[Float32, Float32 | None]:
    """Return E and W of a new classifier: E is zero.

    With dim=None, or at least as many dimensions as labels, W is the identity and fixed: the model has full rank.
    Otherwise W gives similar labels similar vectors.
    """
    labels = targets.shape[1]
    dim = labels if options.dim is None else min(options.dim, labels)
    _check_memory(features, dim, labels)
    embedding = np.zeros((len(features), dim), np.float32)
    if dim == labels:
        return embedding, None
    with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
        return embedding, label_vectors(bags, targets, dim, np.random.default_rng(options.seed))


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
    examples: Examples, options: ClassifierOptions, pool: Pool, earlier: Earlier, on_epoch_end: EpochEnd | None
) -> Learned:
    """Learn by the loss "softmax": gradient descent on blocks of documents.

    The step of a row is proportional to its weight in the bag, as in the gradient of the loss, so that E stays in the
    span of the bags. At full rank W is the identity and stays so.
    """
    targets = shares(examples.labels.matrix)
    targets.data *= np.repeat(examples.weights, np.diff(targets.indptr))
    sums = np.asarray(targets.sum(axis=0)).ravel() + earlier.with_label
    prior = prior_logits(sums / sums.sum(), False)
    embedding, linear = earlier.parameters or _first_parameters(examples.features, examples.bags, targets, options)
    w = np.eye(len(prior), dtype=np.float32) if linear is None else linear
    trainer = Trainer(embedding, w, bias=prior, threads=pool.threads)
    rate = options.learning_rate or default_rate(examples.bags, examples.weights)
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
        seed=options.seed,
        on_epoch_end=None if on_epoch_end is None else lambda record, _: on_epoch_end(record),
    )
    entropy = -float(targets.sum(axis=0) @ prior.astype(np.float64)) / targets.sum()
    worst = max(history, key=lambda record: record["nll"])
    if worst["nll"] > DIVERGED * (1 + entropy):
        raise TrainingDivergedError(
            f"learning_rate={rate:g} is too large: the nll {worst['nll']:.4g} of epoch {worst['epoch']} is far above"
            f" {entropy:.2g}, that of the labels' shares",
            int(worst["epoch"]),
        )
    if len(history) > 1:  # the nll is that before the steps of an epoch
        _warn_of_nothing(history[-1]["nll"], entropy, "a larger learning_rate")
    trained = None if linear is None else np.ascontiguousarray(trainer.linear)
    return Learned(trainer.embedding, trained, prior, prior, None, history)


def _warn_of_nothing(loss: float, of_shares: float, remedy: str) -> None:
    """Warn if the loss is that of the shares of the labels, which need no documents."""
    if loss > NOTHING * of_shares > TRIFLE:
        what = f"hardly anything was learned but the shares of the labels, whose loss is {of_shares:.4g}"
        warn_user(f"{what}: {remedy} lets scores differ more")
