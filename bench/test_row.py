"""The row kernels, each on the whole vocabulary, compared with products of NumPy and the softmax of SciPy."""

from __future__ import annotations

from threading import RLock

import numpy as np
from scipy import special

from fastembed._kernels import kernels_for

INPUT = 4


def test_matvec(benchmark, build, dtype, row, truth, close):
    matvec = kernels_for(dtype, build).matvec
    benchmark(matvec, row.weights, row.h, None, row.bounds, 0, row.shards, row.logits)
    close(row.logits, truth.logits)


def test_matvec_numpy(benchmark, row, truth, close):
    weights, h = np.ascontiguousarray(row.weights[:, : row.dim]), row.h[: row.dim]
    benchmark(np.matmul, weights, h, out=row.logits)
    close(row.logits, truth.logits)


def test_row_pass(benchmark, kernels, row, truth, close):
    """One pass computes the logits, their statistics and both sums of the gradient."""
    benchmark(
        kernels.row_pass,
        row.weights, row.h, None, row.bounds, 0, row.shards, row.columns, row.amounts,
        None, row.partials, row.expected, row.observed, *row.tiling,
    )  # fmt: skip
    loss, _ = kernels.row_merge(row.partials, row.expected, row.observed, row.amounts, row.scale, row.gradient)
    close(loss, truth.loss)
    close(row.gradient[: row.dim], truth.gradient)


def test_row_pass_without_gradient(benchmark, kernels, row, truth, close):
    benchmark(
        kernels.row_pass,
        row.weights, row.h, None, row.bounds, 0, row.shards, row.columns, row.amounts,
        None, row.partials, None, None, *row.tiling,
    )  # fmt: skip
    loss, _ = kernels.row_merge(row.partials, None, None, row.amounts, row.scale, row.gradient)
    close(loss, truth.loss)


def test_row_merge(benchmark, kernels, row, truth, close):
    kernels.row_pass(
        row.weights, row.h, None, row.bounds, 0, row.shards, row.columns, row.amounts,
        None, row.partials, row.expected, row.observed, *row.tiling,
    )  # fmt: skip
    loss, logsumexp = benchmark(
        kernels.row_merge, row.partials, row.expected, row.observed, row.amounts, row.scale, row.gradient
    )
    close(loss, truth.loss)
    close(logsumexp, truth.logsumexp)
    close(row.gradient[: row.dim], truth.gradient)


def test_bag_descend(benchmark, kernels, row, truth, close):
    """Timed calls have rate zero, so that the row does not change; an untimed call has rate one."""
    once, one = row.embedding.copy(), np.ones(1, row.embedding.dtype)
    ids = np.array([INPUT], np.int32)
    row.gradient[: row.dim] = truth.gradient
    assert kernels.bag_descend(once, ids, one, row.h, row.gradient, row.amounts, 1.0, 0.0)
    close(once[INPUT], truth.h - truth.gradient)
    benchmark(kernels.bag_descend, row.embedding, ids, one, row.h, row.gradient, row.amounts, 0.0, 0.0)
    np.testing.assert_array_equal(row.embedding[INPUT], truth.h)


def test_row_update_linear(benchmark, kernels, row, truth, close):
    kernels.row_pass(
        row.weights, row.h, None, row.bounds, 0, row.shards, row.columns, row.amounts,
        row.logits, row.partials, None, None, *row.tiling,
    )  # fmt: skip
    tail = (row.bounds, 0, row.shards, row.columns, row.amounts, row.partials, truth.logsumexp)
    once = row.weights.copy()
    kernels.row_update_linear(once, row.h, row.logits, *tail, row.scale)
    close(once[:, : row.dim], (truth.linear - np.outer(truth.h, truth.residual)).T)
    benchmark(kernels.row_update_linear, row.weights, row.h, row.logits, *tail, 0.0)
    np.testing.assert_array_equal(row.weights[:, : row.dim], truth.linear.T)


def test_row_trainer(benchmark, kernels, row, truth, close):
    """100 epochs of one step with a rate of zero on a bound model."""
    bound = kernels.row_trainer(row.embedding, row.weights, None, row.bounds, *row.tiling, row.scale, scratch=row)
    epochs = 100
    sums = np.zeros(epochs)
    example = np.array([INPUT]), np.arange(2), row.columns, row.amounts
    assert benchmark(bound.train, *example, 0, epochs, 0.0, False, sums) == epochs
    close(sums / sums[0], np.ones(epochs))
    close(bound.step(RLock(), INPUT, row.columns[0], 0.0, False), truth.loss)


def test_softmax(benchmark, kernels, row, truth, close):
    logits = truth.logits.astype(row.logits.dtype)

    def softmax():
        np.copyto(row.logits, logits)
        return kernels.softmax(row.logits)

    close(benchmark(softmax), truth.logsumexp)
    close(row.logits, truth.probabilities)


def test_softmax_scipy(benchmark, row, truth, close):
    logits = truth.logits.astype(row.logits.dtype)
    close(benchmark(special.softmax, logits), truth.probabilities)
