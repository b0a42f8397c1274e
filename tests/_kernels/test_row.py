"""The kernels of one example against the reference and by hand, for any division of the vocabulary into shards."""

from threading import RLock

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import reference

SHARD_ROWS = 1024  # at most, as in a `Trainer`


def entries(y):
    """Return the columns and the amounts of a target row, as the kernels take them."""
    columns = np.flatnonzero(y)
    return columns.astype(np.int32), y[columns]


def target(outputs, kind, seed=1):
    """Return a target row (V,) of one output, a few or all."""
    rng = np.random.default_rng(seed)
    y = rng.gamma(1, size=outputs)
    stored = {"one": 1, "few": min(5, outputs), "all": outputs}[kind]
    y[rng.permutation(outputs)[stored:]] = 0
    return y


def cut(outputs, shards=None):
    """Return the bounds of equal shards, (S + 1,): so many, or as few as a `Trainer` has."""
    shards = -(-outputs // SHARD_ROWS) if shards is None else shards
    return np.unique(np.linspace(0, outputs, shards + 1).astype(np.intp))


class Bound:
    """A model in the form that the kernels take, with their scratch memory."""

    def __init__(self, padded, embedding, linear, bias, bounds, scale=1.0, tiling=(32, True)):
        dtype, outputs, shards = embedding.dtype, linear.shape[1], len(bounds) - 1
        self.embedding, self.weights, self.bias, self.bounds = embedding.copy(), padded(linear), bias, bounds
        width = self.weights.shape[1]
        self.h = padded(embedding[0])
        self.logits = np.full(outputs, np.nan, dtype)
        self.partials = np.full((shards, 3), np.nan)
        self.expected = np.full((shards, width), np.nan, dtype)
        self.observed = np.full((shards, width), np.nan, dtype)
        self.gradient = np.full(width, np.nan)
        self.scale, self.dim, self.tiling = scale, len(linear), tiling

    def run_pass(self, kernels, columns, amounts):
        kernels.row_pass(
            self.weights, self.h, self.bias, self.bounds, 0, len(self.partials), columns, amounts,
            self.logits, self.partials, self.expected, self.observed, *self.tiling,
        )  # fmt: skip
        return kernels.row_merge(self.partials, self.expected, self.observed, amounts, self.scale, self.gradient)

    def trainer(self, kernels):
        return kernels.row_trainer(
            self.embedding, self.weights, self.bias, self.bounds, *self.tiling, self.scale, scratch=self
        )


@pytest.mark.parametrize("shift", [0, 1e4, -1e4])
def test_a_maximum_that_rises_or_falls_from_tile_to_tile_changes_no_result(kernels, padded, near, shift):
    """Rising logits rescale the sums at every tile; falling logits never do."""
    outputs = 2000
    linear = np.linspace(-30, 30, outputs, dtype=kernels.dtype)[None]
    embedding = np.ones((1, 1), kernels.dtype)
    y = target(outputs, "few")
    for direction in (slice(None), slice(None, None, -1)):
        w, y_ = linear[:, direction], y[direction]
        bias = np.full(outputs, shift, kernels.dtype)
        bound = Bound(padded, embedding, w, bias, cut(outputs, 1))
        loss, _ = bound.run_pass(kernels, *entries(y_))
        x = bound.logits.astype(np.float64)
        near(x, reference.matvec(embedding[0], w, bias))
        near(loss, reference.loss(x, y_, 1), scale=abs(shift) * y.sum() + 60)
        # exp(max - logsumexp) has the absolute error of its two terms
        near(bound.gradient[:1], w @ reference.logits_gradient(x, y_, 1), scale=max(60, abs(shift)) * y.sum())


@pytest.mark.parametrize("outputs", [1, 7, 300, 3001])
@pytest.mark.parametrize("dim", [1, 17, 100])
@pytest.mark.parametrize("tile_rows", [8, 40, 256])
def test_every_tiling_agrees_with_the_reference(kernels, model, padded, near, outputs, dim, tile_rows):
    """The number of rows moves a result by rounding, and prefetching by nothing."""
    embedding, linear, bias = model(1, outputs, dim, kernels.dtype)
    y, bounds = target(outputs, "few"), cut(outputs, 3)
    fetched, plain = (
        Bound(padded, embedding, linear, bias, bounds, tiling=(tile_rows, prefetch)) for prefetch in (True, False)
    )
    loss, normaliser = fetched.run_pass(kernels, *entries(y))
    assert plain.run_pass(kernels, *entries(y)) == (loss, normaliser)
    assert_array_equal(fetched.gradient, plain.gradient)
    x = reference.matvec(embedding[0], linear, bias)
    near(loss, reference.loss(x, y, 1), scale=10 * y.sum())
    gradient = reference.gradient(embedding[0], linear, y, 1, bias)
    near(fetched.gradient[:dim], gradient, scale=10 * y.sum() * np.abs(linear).max())


@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 7, 255, 256, 1023, 1024, 1499])
def test_one_logit_anywhere_that_is_not_finite_spoils_the_loss(kernels, model, padded, wrong, place):
    embedding, linear, bias = model(1, 1500, 20, kernels.dtype)
    bias[place] = wrong
    bound = Bound(padded, embedding, linear, bias, cut(1500, 2))
    assert not np.isfinite(bound.trainer(kernels).step(RLock(), 0, 700, 1.0, True))
    assert_array_equal(bound.embedding, embedding)
    assert_array_equal(bound.weights[:, :20].T, linear)
