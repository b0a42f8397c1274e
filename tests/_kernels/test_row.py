"""The kernels of one example against the reference and by hand, for any division of the vocabulary into shards."""

from itertools import pairwise

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

    def run_pass(self, kernels, columns, amounts, splits=None):
        splits = [0, len(self.partials)] if splits is None else splits
        for first, last in pairwise(splits):
            kernels.row_pass(
                self.weights, self.h, self.bias, self.bounds, first, last, columns, amounts,
                self.logits, self.partials, self.expected, self.observed, *self.tiling,
            )  # fmt: skip
        return kernels.row_merge(self.partials, self.expected, self.observed, amounts, self.scale, self.gradient)

    def trainer(self, kernels):
        return kernels.row_trainer(
            self.embedding, self.weights, self.bias, self.bounds, *self.tiling, self.scale, scratch=self
        )

    def train(self, kernels, inputs, starts, columns, amounts, rate, update_linear, epochs=1):
        """Return the number of steps made, and the sums of the losses of the epochs."""
        sums = np.zeros(epochs)
        made = self.trainer(kernels).train(
            inputs, starts, columns, amounts, 0, epochs * len(inputs), rate, update_linear, sums
        )
        return made, sums


def test_matvec_is_the_references(kernels, model, padded, near, size):
    outputs, dim = size
    embedding, linear, bias = model(1, outputs, dim, kernels.dtype)
    logits, bounds = np.empty(outputs, kernels.dtype), cut(outputs)
    shards = len(bounds) - 1
    kernels.matvec(padded(linear), padded(embedding[0]), bias, bounds, 0, shards, logits)
    near(logits, reference.matvec(embedding[0], linear, bias), scale=10)
    kernels.matvec(padded(linear), padded(embedding[0]), None, bounds, 0, shards, logits)
    near(logits, reference.matvec(embedding[0], linear), scale=10)


def test_matvec_writes_its_shards_only(kernels, model, padded, near):
    embedding, linear, bias = model(1, 50, 17, kernels.dtype)
    logits = np.full(50, 7, kernels.dtype)
    kernels.matvec(padded(linear), padded(embedding[0]), bias, np.array([0, 11, 38, 50], dtype=np.intp), 1, 2, logits)
    near(logits[11:38], reference.matvec(embedding[0], linear, bias)[11:38])
    assert (logits[:11] == 7).all()
    assert (logits[38:] == 7).all()


@pytest.mark.parametrize("outputs", [1, 2, 7, 15, 16, 17, 255, 256, 257, 3001])
def test_softmax_is_the_references(kernels, near, outputs):
    x = np.random.default_rng(outputs).normal(size=outputs).astype(kernels.dtype) * 3
    o = x.copy()
    normaliser = kernels.softmax(o)
    near(normaliser, reference.logsumexp(x.astype(np.float64)), scale=10)
    near(o, reference.softmax(x.astype(np.float64)))
    near(o.sum(dtype=np.float64), 1)


def test_softmax_of_large_logits_is_exact(kernels, near):
    o = np.array([1e4, -1e4, 1e4, 0], kernels.dtype)
    near(kernels.softmax(o), 1e4 + np.log(2))
    near(o, [0.5, 0, 0.5, 0])
    alone = np.array([-1e4], kernels.dtype)
    assert kernels.softmax(alone) == -1e4
    assert alone == 1


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


def test_a_pass_without_gradient_has_the_same_bits(kernels, model, padded):
    embedding, linear, bias = model(1, 1500, 20, kernels.dtype)
    bound = Bound(padded, embedding, linear, bias, cut(1500, 2))
    columns, amounts = entries(target(1500, "few"))
    whole = bound.run_pass(kernels, columns, amounts)
    partials = np.empty_like(bound.partials)
    kernels.row_pass(
        bound.weights, bound.h, bias, bound.bounds, 0, 2, columns, amounts, None, partials, None, None, *bound.tiling
    )  # fmt: skip
    assert_array_equal(partials, bound.partials)
    assert kernels.row_merge(partials, None, None, amounts, 1.0, bound.gradient) == whole


def test_a_pass_has_the_same_bits_however_its_shards_are_divided_among_calls(kernels, model, padded):
    embedding, linear, bias = model(1, 3001, 33, kernels.dtype)
    columns, amounts = entries(target(3001, "few"))
    results = []
    for splits in ([0, 5], [0, 1, 2, 3, 4, 5], [0, 3, 5]):
        bound = Bound(padded, embedding, linear, bias, cut(3001, 5))
        results.append((bound.run_pass(kernels, columns, amounts, splits), bound.gradient))
    for merged, gradient in results[1:]:
        assert merged == results[0][0]
        assert_array_equal(gradient, results[0][1])


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


@pytest.mark.parametrize("update_linear", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_a_step_has_the_bits_of_its_parts(kernels, model, padded, biased, update_linear):
    """`step`, `train` and pass, merge and updates one by one, as threads make them."""
    embedding, linear, bias = model(1, 3001, 100, kernels.dtype)
    bias = bias if biased else None
    columns, amounts, bounds = np.array([1500], np.int32), np.ones(1), cut(3001, 3)
    parts, step, train = (Bound(padded, embedding, linear, bias, bounds, 0.5) for _ in range(3))

    loss, normaliser = parts.run_pass(kernels, columns, amounts)
    assert kernels.row_update(parts.embedding[0], parts.h, parts.gradient, amounts, 0.9, 0.45)
    if update_linear:
        kernels.row_update_linear(
            parts.weights, parts.h, parts.logits, bounds, 0, 3, columns, amounts, parts.partials, normaliser, 0.9 * 0.5
        )
    assert step.trainer(kernels).step(0, 1500, 0.9, update_linear) == loss
    made, sums = train.train(kernels, np.zeros(1, np.intp), np.array([0, 1]), columns, amounts, 0.9, update_linear)
    assert (made, sums.tolist()) == (1, [loss])
    for other in (step, train):
        assert_array_equal(other.embedding, parts.embedding)
        assert_array_equal(other.weights, parts.weights)


def test_steps_are_numbered_over_the_epochs(kernels, model, padded):
    """Any division of the steps among calls leaves the same bits, and each loss in the sum of its epoch."""
    embedding, linear, bias = model(3, 30, 17, kernels.dtype)
    examples = np.array([2, 0, 1]), np.arange(4), np.array([4, 29, 7], np.int32), np.ones(3)
    whole = Bound(padded, embedding, linear, bias, cut(30, 1))
    made, sums = whole.train(kernels, *examples, 0.5, True, epochs=5)
    assert made == 15
    for ends in ([0, 1, 15], [0, 3, 4, 9, 14, 15], range(16)):
        bound = Bound(padded, embedding, linear, bias, cut(30, 1))
        trainer, parts = bound.trainer(kernels), np.zeros(5)
        assert [trainer.train(*examples, *ends, 0.5, True, parts) for ends in pairwise(ends)] == list(ends)[1:]
        assert_array_equal(parts, sums)
        assert_array_equal(bound.embedding, whole.embedding)
        assert_array_equal(bound.weights, whole.weights)


@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 300, 1499])
def test_training_stops_before_a_step_whose_loss_is_not_finite(kernels, model, padded, wrong, place):
    embedding, linear, bias = model(4, 1500, 20, kernels.dtype)
    embedding[2, 7] = wrong
    linear[7] = 0  # 0 * inf and 0 * nan spoil every logit
    bias[place] += 100
    bound = Bound(padded, embedding, linear, bias, cut(1500, 2))
    inputs = np.array([1, 3, 2, 0], np.intp)
    made, sums = bound.train(kernels, inputs, np.arange(5), np.full(4, place, np.int32), np.ones(4), 1.0, True)
    assert made == 2
    assert np.isfinite(sums).all()
    assert_array_equal(bound.embedding[[0, 2]], embedding[[0, 2]])
    assert np.isfinite(bound.weights).all()


@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 7, 255, 256, 1023, 1024, 1499])
def test_one_logit_anywhere_that_is_not_finite_spoils_the_loss(kernels, model, padded, wrong, place):
    embedding, linear, bias = model(1, 1500, 20, kernels.dtype)
    bias[place] = wrong
    bound = Bound(padded, embedding, linear, bias, cut(1500, 2))
    assert not np.isfinite(bound.trainer(kernels).step(0, 700, 1.0, True))
    assert_array_equal(bound.embedding, embedding)
    assert_array_equal(bound.weights[:, :20].T, linear)
