"""The kernels of a block against the reference: one shard of the vocabulary, the merge of shards, both updates."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import reference

COLUMNS = [1, 7, 255, 256, 257, 1024]  # of a shard: the exponentials are summed in pieces of 256; 1,024 is a full shard
BEFORE, AFTER = 40, 57  # columns before and after the shard


@pytest.fixture
def block(kernels, make_counts):
    """Make the logits (B, n) and bias (n,) of one shard, and the counts they meet: dense, and as rows of a CSR."""

    def make(n):
        dense, csr = make_counts(9, BEFORE + n + AFTER, seed=n)
        rng = np.random.default_rng(n)
        rows = rng.permutation(np.flatnonzero(dense.sum(axis=1)))[:5]
        x = rng.normal(size=(len(rows), n)).astype(kernels.dtype) * 3
        bias = rng.normal(size=n).astype(kernels.dtype)
        return x, bias, dense, (rows, csr.indptr.astype(np.int64), csr.indices.astype(np.int32), csr.data)

    return make


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("n", COLUMNS)
def test_statistics_of_a_shard_are_the_references(kernels, block, near, n, biased):
    logits, bias, dense, csr = block(n)
    x = logits.astype(np.float64) + (bias if biased else 0)
    partials = np.full((len(x), 3), np.nan)
    kernels.block_statistics(logits, bias if biased else None, BEFORE, *csr, partials)
    y = dense[csr[0], BEFORE : BEFORE + n]
    expected = np.array([reference.statistics(x_row, y_row) for x_row, y_row in zip(x, y, strict=True)])
    near(partials[:, 0], expected[:, 0], scale=20)
    near(partials[:, 1], expected[:, 1], scale=20 * expected[:, 1].max())
    near(partials[:, 2], expected[:, 2], scale=20 * y.sum() + 1)
    near(logits, np.exp(x - x.max(axis=1, keepdims=True)), scale=20)


def test_the_merge_of_unequal_shards_has_the_figures_of_the_whole(kernels, near):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 90)) * 5, rng.gamma(1, size=(4, 90))
    shards = [slice(0, 30), slice(30, 31), slice(31, 90)]
    partials = np.array([[reference.statistics(x[b, s], y[b, s]) for b in range(4)] for s in shards])
    shares = np.full((3, 4), np.nan)
    nll = kernels.block_merge(partials, y.sum(axis=1), shares)
    near(nll, reference.block_loss(x, y))
    normalisers = reference.logsumexp(x)
    near(shares, np.array([np.exp(x[:, s].max(axis=1) - normalisers) for s in shards]))


@pytest.mark.parametrize("n", COLUMNS)
def test_the_residual_of_a_shard_is_softmax_minus_target(kernels, block, near, n):
    logits, _, dense, csr = block(n)
    y, totals = dense[csr[0], BEFORE : BEFORE + n], dense[csr[0]].sum(axis=1)
    shares = np.array([0.0, 0.3, 1.0, 1e-30, 0.5])[: len(logits)]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = exponentials.astype(np.float64) * shares[:, None] - y / totals[:, None]
    kernels.block_residual(exponentials, shares, totals, BEFORE, *csr)
    near(exponentials, expected, scale=1)


@pytest.mark.parametrize("shards", [1, 3])
def test_the_update_of_the_embedding_is_row_wise_adagrad(kernels, near, dim, shards):
    rng = np.random.default_rng(dim)
    embedding = rng.normal(size=(6, dim)).astype(kernels.dtype)
    rows, squares = np.array([4, 0, 3], np.intp), rng.gamma(1, size=6)
    squares[3] = 0
    parts = rng.normal(size=(shards, 3, dim)).astype(kernels.dtype)
    parts[:, 2] = 0  # row 3 has never had a gradient
    before, squares_before = embedding.copy(), squares.copy()
    kernels.block_update_embedding(embedding, rows, parts, squares, 0.3, np.empty(dim, kernels.dtype))
    g = parts.astype(np.float64).sum(axis=0)
    expected, expected_squares = reference.momentum_adagrad(before[rows], g, g, squares_before[rows], 0.3)
    near(embedding[rows], expected)
    near(squares[rows], expected_squares)
    for unchanged in (1, 2, 3, 5):
        assert_array_equal(embedding[unchanged], before[unchanged])
        assert squares[unchanged] == squares_before[unchanged]


def test_the_update_of_the_linear_layer_is_row_wise_adagrad_with_momentum(kernels, padded, near, dim):
    """Three steps, from no momentum."""
    rng = np.random.default_rng(dim)
    linear = rng.normal(size=(dim, 11)).astype(kernels.dtype)
    weights, momentum, squares = padded(linear), np.zeros((11, dim), kernels.dtype), np.zeros(11)
    expected, m, s = linear.T.astype(np.float64), np.zeros((11, dim)), np.zeros(11)
    for t in range(1, 4):
        g = rng.normal(size=(11, dim)).astype(kernels.dtype)
        g[5] = 0
        kernels.block_update_linear(weights, g, momentum, squares, 0.2, 0.9, 1 - 0.9**t)
        m = 0.9 * m + 0.1 * g.astype(np.float64)
        expected, s = reference.momentum_adagrad(expected, m / (1 - 0.9**t), g.astype(np.float64), s, 0.2)
    near(weights[:, :dim], expected)
    near(momentum, m)
    near(squares, s)
    assert_array_equal(weights[5, :dim], linear[:, 5])
    assert (weights[:, dim:] == 0).all()
