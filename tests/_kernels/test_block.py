"""The kernels of a block against the reference: one shard of the vocabulary, the merge of shards, both updates."""

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
from fastembed import reference

COLUMNS = [1, 7, 255, 256, 257, 1024]  # of a shard: the exponentials are summed in pieces of 256; 1,024 is a full shard
BEFORE, AFTER = 40, 57  # columns before and after the shard


@pytest.fixture
def block(kernels, make_counts):
    """Make the logits (B, n) and bias (n,) of one shard, and the counts they meet: dense, as rows, and as CSR."""

    def make(n):
        dense, csr = make_counts(9, BEFORE + n + AFTER, seed=n)
        rng = np.random.default_rng(n)
        rows = rng.permutation(np.flatnonzero(dense.sum(axis=1)))[:5]
        x = rng.normal(size=(len(rows), n)).astype(kernels.dtype) * 3
        bias = rng.normal(size=n).astype(kernels.dtype)
        ends = [csr.indptr[rows] + (dense[rows, :end] > 0).sum(axis=1) for end in (BEFORE, BEFORE + n)]
        return x, bias, dense, rows, np.array(ends), (csr.indices.astype(np.int32), csr.data)

    return make


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("n", COLUMNS)
def test_statistics_of_a_shard_are_the_references(kernels, block, near, n, biased):
    logits, bias, dense, rows, starts, counts = block(n)
    x = logits.astype(np.float64) + (bias if biased else 0)
    partials = np.full((3, len(x)), np.nan)
    kernels.block_statistics(logits, bias if biased else None, BEFORE, *counts, starts, partials)
    y = dense[rows, BEFORE : BEFORE + n]
    expected = np.array([twins.statistics(x_row, y_row) for x_row, y_row in zip(x, y, strict=True)]).T
    near(partials[0], expected[0], scale=20)
    near(partials[1], expected[1], scale=20 * expected[1].max())
    near(partials[2], expected[2], scale=20 * y.sum() + 1)
    near(logits, np.exp(x - x.max(axis=1, keepdims=True)), scale=20)


@pytest.mark.parametrize("rows", [1, 4, 33, 70])
@pytest.mark.parametrize("shards", [1, 2, 3, 7, 8, 13])
def test_the_merge_of_unequal_shards_has_the_figures_of_the_whole(kernels, near, shards, rows):
    rng = np.random.default_rng(shards)
    x, y = rng.normal(size=(rows, 90)) * 50, rng.gamma(1, size=(rows, 90))
    bounds = np.sort([0, *rng.choice(np.arange(1, 90), shards - 1, replace=False), 90])
    parts = [slice(begin, end) for begin, end in itertools.pairwise(bounds)]
    partials = np.array([[twins.statistics(x[b, s], y[b, s]) for b in range(rows)] for s in parts])
    totals, ids = np.full(rows + 3, np.nan), rng.permutation(rows + 3)[:rows]
    totals[ids] = y.sum(axis=1)
    normalisers = np.full(rows, np.nan)
    nll = kernels.block_merge(partials.transpose(0, 2, 1).copy(), ids, totals, normalisers)
    near(nll, reference.block_loss(x, y))
    near(normalisers, reference.logsumexp(x))


def test_the_merge_is_a_binary_tree(kernels):
    """Each half of the shards can be merged elsewhere: with the result in place of its shards, no bit changes."""
    rng = np.random.default_rng(0)
    rows = np.arange(50)
    partials = np.stack([rng.normal(size=(16, 50)) * 9, rng.gamma(9, size=(16, 50)), rng.normal(size=(16, 50))], axis=1)
    totals, whole, joined = rng.random(50), np.empty(50), np.empty(50)
    nll = kernels.block_merge(partials, rows, totals, whole)
    for run in (1, 2, 4, 8, 16):
        parts = np.empty((16 // run, 3, 50))
        for k in range(16 // run):
            kernels.block_join(partials[k * run : (k + 1) * run].copy(), parts[k])
        assert kernels.block_merge(parts, rows, totals, joined) == nll
        assert_array_equal(joined, whole)
    maxima = np.zeros((8, 1, 50)), np.full((8, 1, 50), 0.0)
    tree = np.concatenate([maxima[0], rng.random((8, 1, 50)) + 1, maxima[1]], axis=1)
    kernels.block_merge(tree, rows, totals, whole)
    sums = tree[:, 1]
    while len(sums) > 1:
        sums = sums[::2] + sums[1::2]
    assert_array_equal(whole, [math.log(total) for total in sums[0]])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("shard", range(4))
def test_a_merge_hides_nothing_that_is_not_finite(kernels, wrong, shard):
    partials = np.ones((4, 3, 2))
    partials[shard, 0, 1] = wrong
    normalisers = np.empty(2)
    assert not np.isfinite(kernels.block_merge(partials, np.arange(2), np.ones(2), normalisers))
    assert normalisers[0] == 1 + math.log(4)


@pytest.mark.parametrize("n", COLUMNS)
def test_the_residual_of_a_shard_is_softmax_minus_target(kernels, block, near, n):
    logits, _, dense, rows, starts, counts = block(n)
    y, totals = dense[rows, BEFORE : BEFORE + n], dense.sum(axis=1)
    shares = np.array([0.0, 0.3, 1.0, 1e-30, 0.5])[: len(logits)]
    maxima = np.arange(len(rows)) - 3.0
    with np.errstate(divide="ignore"):
        normalisers = maxima - np.log(shares)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = exponentials.astype(np.float64) * shares[:, None] - y / totals[rows, None]
    kernels.block_residual(exponentials, BEFORE, rows, *counts, totals, starts, maxima, normalisers)
    near(exponentials, expected, scale=1)


@pytest.mark.parametrize("shards", [1, 3, 8])
def test_the_update_of_the_embedding_is_row_wise_adagrad(kernels, padded, near, dim, shards):
    rng = np.random.default_rng(dim)
    embedding = rng.normal(size=(6, dim)).astype(kernels.dtype)
    rows, squares = np.array([4, 0, 3, 1], np.intp), rng.gamma(1, size=6)
    squares[3] = 0
    row_rates = np.array([1, 0, 1, 1, 0.5, 1])
    parts = rng.normal(size=(shards, 4, dim)).astype(kernels.dtype)
    parts[:, 2] = 0  # row 3 has never had a gradient
    before, squares_before = embedding.copy(), squares.copy()
    gradients = padded(parts.reshape(-1, dim).T)
    kernels.block_update_embedding(
        embedding, rows, row_rates, gradients.reshape(shards, 4, gradients.shape[1]), squares, 0.3, 0, 4
    )
    g = parts.astype(np.float64).sum(axis=0)[:3]
    rates = 0.3 * row_rates[rows[:3]]
    expected, expected_squares = reference.momentum_adagrad(before[rows[:3]], g, g, squares_before[rows[:3]], rates)
    near(embedding[rows[:3]], expected)
    near(squares[rows[:3]], expected_squares)
    for still in (1, 2, 3, 5):
        assert_array_equal(embedding[still], before[still])
        assert squares[still] == squares_before[still]


def test_the_shards_parts_of_a_gradient_are_summed_by_a_binary_tree(kernels, padded):
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(8, 20, 5)).astype(kernels.dtype)
    gradients = padded(parts.reshape(-1, 5).T)
    gradients = gradients.reshape(8, 20, gradients.shape[1])
    kernels.block_update_embedding(
        np.zeros((20, 5), kernels.dtype), np.arange(20), np.ones(20), gradients, np.zeros(20), 0.3, 0, 20
    )
    while len(parts) > 1:
        parts = parts[::2] + parts[1::2]
    assert_array_equal(gradients[0, :, :5], parts[0])


def test_the_update_of_the_linear_layer_is_row_wise_adagrad_with_momentum(kernels, padded, near, dim):
    """Three steps, from no momentum."""
    rng = np.random.default_rng(dim)
    linear = rng.normal(size=(dim, 11)).astype(kernels.dtype)
    weights, momentum, squares = padded(linear), padded(np.zeros((dim, 11), kernels.dtype)), np.zeros(11)
    expected, m, s = linear.T.astype(np.float64), np.zeros((11, dim)), np.zeros(11)
    for t in range(1, 4):
        g = rng.normal(size=(11, dim)).astype(kernels.dtype)
        g[5] = 0
        kernels.block_update_linear(weights, padded(g.T), momentum, squares, 0.2, 0.9, 1 - 0.9**t)
        m = 0.9 * m + 0.1 * g.astype(np.float64)
        expected, s = reference.momentum_adagrad(expected, m / (1 - 0.9**t), g.astype(np.float64), s, 0.2)
    near(weights[:, :dim], expected)
    near(momentum[:, :dim], m)
    near(squares, s)
    assert_array_equal(weights[5, :dim], linear[:, 5])
    assert (weights[:, dim:] == 0).all()
    assert (momentum[:, dim:] == 0).all()


@pytest.mark.parametrize("length", [1e-20, 1e-25, 1e-30, 1e-38, 1e-42])
def test_short_gradients_make_steps_of_the_same_length(kernels, padded, length):
    """Below 1e-23 a square is 0 in float32; still smaller gradients lose bits in float32, or the factor underflows."""
    g = np.full((3, 4), length, kernels.dtype)
    exact = g[0, 0].astype(np.float64)
    embedding, squares, weights, linear_squares = (
        np.zeros((3, 4), kernels.dtype),
        np.zeros(3),
        padded(g.T) * 0,
        np.zeros(3),
    )
    gradients = padded(g.T)
    kernels.block_update_embedding(embedding, np.arange(3), np.ones(3), gradients[None].copy(), squares, 0.5, 0, 3)
    kernels.block_update_linear(weights, gradients, padded(np.zeros((4, 3), kernels.dtype)), linear_squares, 0.5, 0, 1)
    assert embedding == pytest.approx(-0.25, rel=1e-6)
    assert weights[:, :4] == pytest.approx(-0.25, rel=1e-6)
    assert squares == pytest.approx(4 * exact**2, rel=1e-12, abs=0)
    assert linear_squares == pytest.approx(4 * exact**2, rel=1e-12, abs=0)
