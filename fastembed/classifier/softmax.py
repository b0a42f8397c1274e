"""Training with the softmax over the labels: initial parameters, and epochs on the bags of documents."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.memory import check_free
from fastembed._base.threads import Pool, single_threaded_blas
from fastembed._base.validation import TrainingDivergedError
from fastembed.classifier.features import Features
from fastembed.classifier.growth import Grown
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.pretrained import mean_directions, word_rows
from fastembed.trainer.trainer import Trainer

BLOCK_DOCUMENTS = 64
LINEAR_RATE = 0.05
# Adagrad's step is rate * g / sqrt(S + sum of g^2). From S = PLAIN^2, with rate = learning_rate * PLAIN, it is
# learning_rate * g / sqrt(1 + sum of g^2 / PLAIN^2): that of plain gradient descent, as the sums of g^2 stay far
# below PLAIN^2 = 1e8.
PLAIN = 1e4
POWER_STEPS = 2
DIVERGED = 2  # training has diverged above this multiple of the entropy of the label shares, plus 1

Float32 = npt.NDArray[np.float32]


def _with_plain_rate(record: dict[str, float]) -> dict[str, float]:
    """Return a record of the trainer with the learning rate in the user's units."""
    return record | {"learning_rate": record["learning_rate"] / PLAIN}


def log_shares(sums: npt.NDArray[np.float64]) -> Float32:
    """Return the logarithm of each label's share (L,); a label of no document gets half of the smallest share."""
    least = sums[sums > 0].min(initial=math.inf) / 2 if sums.any() else 1.0
    shares: Float32 = np.log(np.maximum(sums, least) / sums.sum()).astype(np.float32)
    return shares


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


def start(
    features: Features,
    bags: Any,
    targets: Any,
    bias: Float32,
    options: ClassifierOptions,
    pool: Pool,
    grown: Grown | None,
) -> Trainer:
    """Return a trainer for a grown classifier, or for a new one, in which E is zero.

    With dim=None, or at least as many dimensions as labels, W is the identity and fixed: the model has full rank.
    Otherwise W gives similar labels similar vectors. Pretrained vectors become the rows of words, and W then has the
    directions to the documents of each label.
    """
    if grown is not None:
        linear = np.eye(len(bias), dtype=np.float32) if grown.linear is None else grown.linear
        return Trainer(grown.embedding, linear, bias=bias, threads=pool.threads)
    labels = len(bias)
    if options.pretrained is not None:
        embedding = np.zeros((len(features), options.pretrained.matrix.shape[1]), np.float32)
        embedding[: len(features.words)] = word_rows(features.words.tokens, options.pretrained)
        with single_threaded_blas():
            linear = mean_directions(bags, targets, embedding)
        return Trainer(embedding, linear, bias=bias, threads=pool.threads)
    dim = labels if options.dim is None else min(options.dim, labels)
    rng = np.random.default_rng(options.seed)
    size = len(features) * dim * np.dtype(np.float32).itemsize
    advice = "give a smaller dim, or fewer features by min_count or max_features"
    check_free(2 * size, f"training {labels:,} labels on {len(features):,} features", advice)  # and the last good rows
    with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
        linear = np.eye(labels, dtype=np.float32) if dim == labels else label_vectors(bags, targets, dim, rng)
    return Trainer(np.zeros((len(features), dim), np.float32), linear, bias=bias, threads=pool.threads)


def of_full_rank(trainer: Trainer) -> bool:
    """Return whether W is the identity, and the rows of E are logits."""
    linear = trainer.linear
    return linear.shape[0] == linear.shape[1] and bool(np.array_equal(linear, np.eye(len(linear))))


def train_softmax(
    trainer: Trainer,
    bags: Any,
    targets: Any,
    options: ClassifierOptions,
    validation: tuple[Any, Any] | None,
    on_epoch_end: Callable[[dict[str, float]], object],
) -> list[dict[str, float]]:
    """Train by gradient descent on blocks of documents; return the records of the epochs.

    All rows of E make gradient steps with the same rate: Adagrad that starts from large sums of squares. So the step of
    a row is proportional to its weight in the bag, as in the gradient of the loss, and E stays in the span of the bags.
    """
    full = of_full_rank(trainer)
    trainer.squares[0][:] = PLAIN**2

    def epoch_end(record: dict[str, float], _: Trainer) -> object:
        if options.strength:
            trainer.embedding[...] *= np.float32(math.exp(-options.strength * record["learning_rate"] / PLAIN))
        return on_epoch_end(_with_plain_rate(record))

    history = trainer.fit_counts(
        targets,
        bags=bags,
        epochs=options.most_epochs,
        learning_rate=options.learning_rate * PLAIN,
        linear_learning_rate=0.0 if full else LINEAR_RATE,
        block_size=BLOCK_DOCUMENTS,
        validation_counts=None if validation is None else validation[1],
        validation_bags=None if validation is None else validation[0],
        n_iter_no_change=options.n_iter_no_change if validation is not None else None,
        warm_start=True,
        seed=options.seed,
        on_epoch_end=epoch_end,
    )
    history = [_with_plain_rate(record) for record in history]
    assert trainer.bias is not None
    entropy = -float(targets.sum(axis=0) @ trainer.bias.astype(np.float64)) / targets.sum()
    worst = max(history, key=lambda record: record["nll"])
    if worst["nll"] > DIVERGED * (1 + entropy):
        raise TrainingDivergedError(
            f"the nll {worst['nll']:.4g} of epoch {worst['epoch']} is far above {entropy:.2g}, that of the labels'"
            f" shares: a learning rate is too large, here learning_rate={options.learning_rate:g}",
            int(worst["epoch"]),
        )
    return history
