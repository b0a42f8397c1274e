"""The kernels of one example against the reference and by hand, for any division of the vocabulary into shards."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
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


def test_matvec_is_the_references(kernels, model, padded, near, size):
    outputs, dim = size
    embedding, linear, bias = model(1, outputs, dim, kernels.dtype)
    logits, bounds = np.empty(outputs, kernels.dtype), cut(outputs)
    shards = len(bounds) - 1
    kernels.matvec(padded(linear), padded(embedding[0]), bias, bounds, 0, shards, logits)
    near(logits, reference.matvec(embedding[0], linear, bias), scale=10)
    kernels.matvec(padded(linear), padded(embedding[0]), None, bounds, 0, shards, logits)
    near(logits, reference.matvec(embedding[0], linear), scale=10)


@pytest.mark.parametrize("outputs", [1, 2, 7, 15, 16, 17, 255, 256, 257, 3001])
def test_softmax_is_the_references(kernels, near, outputs):
    x = np.random.default_rng(outputs).normal(size=outputs).astype(kernels.dtype) * 3
    o = x.copy()
    normaliser = kernels.softmax(o)
    near(normaliser, reference.logsumexp(x.astype(np.float64)), scale=10)
    near(o, reference.softmax(x.astype(np.float64)))
    near(o.sum(dtype=np.float64), 1)


def assert_pass_is_the_references(kernels, near, bound, linear, y):
    """Compare the results of a pass for each shard, and the loss and the gradient of all shards."""
    bias, bounds, scale, dim = bound.bias, bound.bounds, bound.scale, bound.dim
    loss, normaliser = bound.run_pass(kernels, *entries(y))
    embedding = bound.embedding
    x = reference.matvec(embedding[0], linear, bias)
    near(bound.logits, x, scale=10)
    for partial, begin, end in zip(bound.partials, bounds[:-1], bounds[1:], strict=True):
        maximum, total, target_logit = twins.statistics(x[begin:end], y[begin:end])
        near(partial[0], maximum, scale=10)
        near(partial[1], total, scale=10 * total)
        near(partial[2], target_logit, scale=10 * y.sum())
    near(normaliser, reference.logsumexp(x), scale=10)
    near(loss, reference.loss(x, y, scale), scale=10 * scale * y.sum())
    near(loss, twins.merge(bound.partials, y.sum(), scale)[0], scale=10 * scale * y.sum())
    gradient = reference.gradient(embedding[0], linear, y, scale, bias)
    near(bound.gradient[:dim], gradient, scale=10 * scale * y.sum() * np.abs(linear).max())
    assert (bound.gradient[dim:] == 0).all()


@pytest.mark.parametrize("kind", ["few", "all"])
def test_a_pass_is_the_references(kernels, model, padded, near, size, kind):
    outputs, dim = size
    embedding, linear, bias = model(1, outputs, dim, kernels.dtype)
    bound = Bound(padded, embedding, linear, bias, cut(outputs), scale=0.25)
    assert_pass_is_the_references(kernels, near, bound, linear, target(outputs, kind))


@pytest.mark.parametrize("bounds", [[0, 1, 40], [0, 39, 40], [0, 7, 15, 24, 40], range(41)], ids=str)
@pytest.mark.parametrize("kind", ["one", "few", "all"])
def test_a_pass_over_shards_of_any_length_is_the_references(kernels, model, padded, near, bounds, kind):
    embedding, linear, bias = model(1, 40, 17, kernels.dtype)
    bound = Bound(padded, embedding, linear, bias, np.array(bounds, np.intp))
    assert_pass_is_the_references(kernels, near, bound, linear, target(40, kind))


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


def test_the_update_of_the_linear_layer_is_the_references(kernels, model, padded, near, size):
    outputs, dim = size
    embedding, linear, bias = model(1, outputs, dim, kernels.dtype)
    bounds, y = cut(outputs), target(outputs, "all")
    bound = Bound(padded, embedding, linear, bias, bounds)
    columns, amounts = entries(y)
    _, normaliser = bound.run_pass(kernels, columns, amounts)
    for s in range(len(bounds) - 1):
        kernels.row_update_linear(
            bound.weights, bound.h, bound.logits, bounds, s, s + 1, columns, amounts, bound.partials, normaliser, 0.7
        )
    expected = linear - 0.7 * reference.linear_gradient(embedding[0], linear, y, 1, bias)
    near(bound.weights[:, :dim].T, expected, scale=10 * max(1, y.max()))
    assert (bound.weights[:, dim:] == 0).all()


@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 7, 255, 256, 1023, 1024, 1499])
def test_one_logit_anywhere_that_is_not_finite_spoils_the_loss(kernels, model, padded, wrong, place):
    embedding, linear, bias = model(1, 1500, 20, kernels.dtype)
    bias[place] = wrong
    bound = Bound(padded, embedding, linear, bias, cut(1500, 2))
    assert not np.isfinite(bound.trainer(kernels).step(0, 700, 1.0, True))
    assert_array_equal(bound.embedding, embedding)
    assert_array_equal(bound.weights[:, :20].T, linear)
