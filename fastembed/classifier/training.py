"""Training of a classifier on examples: initial parameters, the loss "softmax", and the fitted state of any loss.

Training goes on from a fitted classifier in the same way, with rows and columns for new features and labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float32, Float64
from fastembed._base.memory import check_free
from fastembed._base.threads import Pool, single_threaded_blas
from fastembed._base.validation import TrainingDivergedError, warn_user
from fastembed.classifier.calibration import FIRST, Calibration
from fastembed.classifier.features import Features, shares
from fastembed.classifier.labels import Examples, LeftOut, balanced, mean_weights
from fastembed.classifier.model import FittedClassifier
from fastembed.classifier.ova import train_ova
from fastembed.corpus.ledger import Ledger
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

    @classmethod
    def of(cls, examples: Examples, options: ClassifierOptions) -> Size:
        """Return those of examples."""
        return cls(len(examples.weights), len(examples.features), len(examples.labels.classes), options.epochs)

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
    if options.pretrained is not None and dim != options.dim:
        raise ValueError(f"the pretrained vectors have dimension {options.dim}, the classifier dim={dim}: call fit")
    if dim is not None and dim != options.dim:  # with full rank, the dimension grows with the labels
        raise ValueError(f"dim={options.dim}, but the classifier learned with dim={dim}: call fit")


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
    features, labels, documents = examples.features, examples.labels, len(examples.weights)
    earlier, start = np.zeros(len(labels.classes)), None  # the weight of earlier documents with each label
    calibration, calibrated = Calibration(options.loss, labels.several, *FIRST[options.loss]), 0
    if known is not None:
        places = np.searchsorted(labels.classes, known.classes)
        documents += known.documents
        earlier[places] = known.calibration.probabilities(known.prior.astype(np.float64)[None])[0] * known.documents
        if options.loss != "squared" or known.calibration.several == labels.several:
            calibration, calibrated = replace(known.calibration, several=labels.several), known.documents
        # otherwise a softmax has left the offset as it was, which the other numbers no longer suit
        start = _grown_parameters(known, features, places, len(labels.classes), options.pretrained)
        found, sizes = labels.classes[np.unique(labels.matrix.indices)].tolist(), np.diff(labels.matrix.indptr)
        if len(found) == 1 and len(sizes) > 1 and sizes.all():
            warn_user(
                f"the new documents all have the label {found[0]!r}, so that others become too rare: learn them"
                " together with documents of other labels"
            )
    validation = None
    if options.early_stopping:
        held = _held_out(len(examples.weights), options)
        (validation,) = examples.left_out([np.flatnonzero(held)], np.ones(len(held)))
        examples.weights = np.where(held, 0, examples.weights)
        if not examples.weights.any():
            raise ValueError("sample_weight is zero for all documents that are not held out: give another seed")
    linear = None
    if options.loss == "softmax":
        targets = shares(examples.labels.matrix)
        targets.data *= np.repeat(examples.weights, np.diff(targets.indptr))
        bias = prior = log_shares(np.asarray(targets.sum(axis=0)).ravel() + earlier)
        embedding, linear = start or _first_parameters(features, examples.bags, targets, options)
        trainer = Trainer(
            embedding,
            np.eye(len(bias), dtype=np.float32) if linear is None else linear,
            bias=bias,
            threads=pool.threads,
        )
        history = _train_softmax(trainer, linear is None, examples, targets, options, validation, on_epoch_end)
        embedding = trainer.embedding
        linear = None if linear is None else np.ascontiguousarray(trainer.linear)
    else:
        dim = len(labels.classes)
        _check_memory(features, dim, dim, "give loss='softmax' and a dim", len(examples.weights))
        losses = examples.weights
        if options.class_weight is None:
            losses = losses * mean_weights(labels.matrix, balanced(examples.label_counts) ** RARE)
        both = np.stack([examples.weights, losses])
        of_documents, total = both.sum(axis=1) + (0 if known is None else known.documents)
        own, sums = np.minimum(both @ labels.matrix + earlier, [[of_documents], [total]])
        prior = calibration.prior(own / (of_documents if calibration.independent else own.sum()))
        # Where the bias starts: for a label of all documents or of none, the share is half a document from that
        distances = np.minimum(sums, total - sums) / total
        half = distances[distances > ROUNDING].min(initial=0.5) / 2
        q = (sums / total).clip(half, 1 - half)
        bias = (q if options.loss == "squared" else np.log(q / (1 - q))).astype(np.float32)
        curvature = 0.0
        if known is not None:
            bias[places] = known.bias
            curvature = known.documents * (1.0 if options.loss == "squared" else float(np.mean(q * (1 - q))))
        embedding, bias, calibration, history = train_ova(
            examples,
            losses,
            bias,
            calibration,
            options,
            pool,
            validation,
            on_epoch_end,
            None if start is None else start[0],
            calibrated,
            curvature,
        )
        of_shares = q * (1 - q) / 2 if options.loss == "squared" else -q * np.log(q) - (1 - q) * np.log(1 - q)
        _warn_of_nothing(
            min(record["loss"] for record in history if not record["left_out"]), of_shares.sum(), "a smaller l2"
        )
    return FittedClassifier(
        features=features,
        classes=labels.classes,
        calibration=calibration,
        documents=documents,
        label_counts=examples.label_counts,
        embedding=embedding,
        scales=None,
        linear=linear,
        bias=bias,
        prior=prior,
        history=history,
        ledger=ledger,
        indicator=labels.indicator,
    )


def _held_out(documents: int, options: ClassifierOptions) -> npt.NDArray[np.bool_]:
    """Return a mask of the documents to hold out."""
    held: npt.NDArray[np.bool_] = np.random.default_rng(options.seed).random(documents) < options.validation_fraction
    if not held.any() or held.all():
        raise ValueError(f"validation_fraction={options.validation_fraction} of {documents} documents is not one")
    return held


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
        try:
            rows[place] = vectors[word]
        except KeyError:
            continue
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Float32 = (rows * (LENGTH / np.where(lengths > 0, lengths, 1))).astype(np.float32)
    return found


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


def log_shares(sums: Float64) -> Float32:
    """Return the logarithm of each label's share (L,); a label of no document gets half of the smallest share."""
    least = sums[sums > 0].min(initial=math.inf) / 2 if sums.any() else 1.0
    found: Float32 = np.log(np.maximum(sums, least) / sums.sum()).astype(np.float32)
    return found


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
    for _ in range(
        EIGENVALUE_STEPS
    ):  # of the power method; no entry is negative, so it does not start at a right angle
        vector = bags.T @ (alpha * (bags @ vector))
        largest = float(np.linalg.norm(vector))
        vector /= largest or 1
    eigenvalue = share * largest + (alpha.max() if share < 1 else 0)
    return float(min(RATE, STABLE / max(eigenvalue, 1.0)))


def _train_softmax(
    trainer: Trainer,
    full: bool,
    examples: Examples,
    targets: Any,
    options: ClassifierOptions,
    validation: LeftOut | None,
    on_epoch_end: EpochEnd | None,
) -> list[dict[str, float]]:
    """Train by gradient descent on blocks of documents; return the records of the epochs.

    The step of a row is proportional to its weight in the bag, as in the gradient of the loss, so that E stays in the
    span of the bags. With `full` rank W is the identity and stays so.
    """
    rate = options.learning_rate
    if rate is None:
        rate = default_rate(examples.bags, examples.weights)
    held_out = None if validation is None else sparse.diags_array(validation.weights) @ shares(validation.labels)
    history = trainer.fit_counts(
        targets,
        bags=examples.bags,
        input_weights=examples.weights,
        optimizer="sgd",
        epochs=options.epochs,
        learning_rate=rate,
        linear_learning_rate=0.0 if full else LINEAR_RATE,
        l2=options.l2,
        block_size=BLOCK_DOCUMENTS,
        validation_counts=held_out,
        validation_bags=None if validation is None else validation.bags,
        n_iter_no_change=options.n_iter_no_change if validation is not None else None,
        seed=options.seed,
        on_epoch_end=None if on_epoch_end is None else lambda record, _: on_epoch_end(record),
    )
    assert trainer.bias is not None
    entropy = -float(targets.sum(axis=0) @ trainer.bias.astype(np.float64)) / targets.sum()
    worst = max(history, key=lambda record: record["nll"])
    if worst["nll"] > DIVERGED * (1 + entropy):
        raise TrainingDivergedError(
            f"the nll {worst['nll']:.4g} of epoch {worst['epoch']} is far above {entropy:.2g}, that of the labels'"
            f" shares: a learning rate is too large, here learning_rate={rate:g}",
            int(worst["epoch"]),
        )
    if len(history) > 1:  # the nll is that before the steps of an epoch
        _warn_of_nothing(history[-1]["nll"], entropy, "more epochs or a larger learning_rate")
    return history


def _warn_of_nothing(loss: float, of_shares: float, remedy: str) -> None:
    """Warn if the loss is that of the shares of the labels, which need no documents."""
    if loss > NOTHING * of_shares > TRIFLE:
        what = f"hardly anything was learned but the shares of the labels, whose loss is {of_shares:.4g}"
        warn_user(f"{what}: {remedy}, or documents that differ with their labels")
