"""An epoch of dual coordinate ascent on squared losses: against its twin, by hand, against the true minimum."""

import numpy as np
import pytest
from scipy import optimize, sparse

import twins
from fastembed._base.arrays import aligned_zeros
from fastembed._kernels.cpu import CACHE_LINE

SIZES = [(1, 1, 1), (3, 5, 2), (9, 4, 15), (20, 30, 17), (120, 200, 65)]  # documents, features, labels


class Problem:
    """Documents with labels, as the kernel takes them and as dense matrices."""

    def __init__(self, documents, features, labels, dtype, seed=0):
        rng = np.random.default_rng(seed)
        self.dtype, self.lanes = dtype, CACHE_LINE // np.dtype(dtype).itemsize
        self.x = rng.normal(size=(documents, features)) * (rng.random((documents, features)) < 0.4)
        self.x[documents // 2] = 0  # a document without features
        self.x = self.x.astype(dtype)
        self.y = (rng.random((documents, labels)) < 0.3).astype(float)
        self.own = np.zeros(documents)
        self.costs = rng.uniform(0.1, 20, documents).astype(dtype)
        self.bias = rng.normal(size=labels).astype(dtype)
        self.tiles = -(-labels // self.lanes)
        self.rows = aligned_zeros((self.tiles, features, self.lanes), dtype)
        self.dual = aligned_zeros((self.tiles, documents, self.lanes), dtype)

    def epochs(self, kernel, orders, tiles=None, bias_square=1 / 16):
        bags, labels = sparse.csr_array(self.x), sparse.csr_array(self.y)
        self.biases = bias = np.zeros((self.tiles, self.lanes), self.dtype)
        bias.ravel()[: len(self.bias)] = self.bias
        sums = np.full((self.tiles, 2), np.nan)
        squares = (bias_square + (self.x**2).sum(axis=1) + self.own).astype(self.dtype)
        own = self.own.astype(self.dtype)
        data = bags.data if bags.nnz else np.zeros(1, self.dtype)
        indices = bags.indices.astype(np.int32) if bags.nnz else np.zeros(1, np.int32)
        for order in orders:
            for tile in range(self.tiles) if tiles is None else tiles:
                kernel(
                    bags.indptr.astype(np.int64), indices, data, squares, own,
                    labels.indptr.astype(np.int64), labels.indices.astype(np.int32), self.costs,
                    np.array(order, np.int64), bias, self.rows, self.dual, tile, bias_square, sums,
                )  # fmt: skip
        return sums

    def flat(self, tiled):
        return tiled.transpose(1, 0, 2).reshape(tiled.shape[1], -1)[:, : len(self.bias)]


@pytest.mark.parametrize("size", SIZES)
def test_an_epoch_is_that_of_the_reference(kernels, near, size):
    problem = Problem(*size, kernels.dtype)
    rng = np.random.default_rng(1)
    problem.flat(problem.rows)[:] = 0
    start = rng.normal(size=(size[1], size[2])).astype(kernels.dtype)
    for tile in range(problem.tiles):
        part = start[:, tile * problem.lanes : (tile + 1) * problem.lanes]
        problem.rows[tile, :, : part.shape[1]] = part
    order = rng.permutation(size[0])
    sums = problem.epochs(kernels.squares_epoch, [order], bias_square=1 / 50)
    bias, rows, dual, loss, most = twins.squares_epoch(
        problem.x, problem.y, problem.costs, problem.bias, start, np.zeros((size[0], size[2])), order, 1 / 50
    )
    near(problem.biases.ravel()[: size[2]], bias, times=30)
    near(problem.flat(problem.rows), rows, times=30)
    near(problem.flat(problem.dual), dual, times=30)
    near([sums[:, 0].sum(), sums[:, 1].max()], [loss, most], times=30)


def test_a_step_agrees_with_a_calculation_by_hand(kernels, near):
    """x = [2], y = 1, C = 3, b = 0: the new dual is C y / (1 + (4 + 1 / 16) C)."""
    problem = Problem(2, 1, 1, kernels.dtype)
    problem.x[:], problem.y[:], problem.costs[:], problem.bias[:] = [[0], [2]], 1, 3, 0
    sums = problem.epochs(kernels.squares_epoch, [[1]])
    a = 3 / 13.1875
    near(problem.dual[0, :, 0], [0, a])
    near(problem.rows[0, 0, 0], 2 * a)
    near(sums[0, 0], 3 / 2)


@pytest.mark.parametrize("size", SIZES[1:3])
def test_it_ends_at_the_minimum_where_the_gradient_is_zero(kernels, size):
    problem = Problem(*size, kernels.dtype)
    rng = np.random.default_rng(2)
    problem.epochs(kernels.squares_epoch, [rng.permutation(size[0]) for _ in range(1000)])
    x, y, costs = problem.x.astype(float), problem.y, problem.costs.astype(float)[:, None]

    x = np.hstack([x, np.full((len(x), 1), 0.25)])

    def objective(flat):
        w = flat.reshape(size[1] + 1, size[2])
        m = x @ w + problem.bias
        losses, residual = (y - m) ** 2 / 2, m - y
        return (w**2).sum() / 2 + (costs * losses).sum(), (w + x.T @ (costs * residual)).ravel()

    at = np.random.default_rng(3).normal(size=(size[1] + 1) * size[2])
    error = optimize.check_grad(lambda w: objective(w)[0], lambda w: objective(w)[1], at)
    scale = np.abs(objective(at)[1]).max()
    assert error < 1e-5 * scale  # finite differences
    moved = (problem.biases.ravel()[: size[2]] - problem.bias) * 4
    found = objective(np.vstack([problem.flat(problem.rows), moved]).astype(float).ravel())[1]
    assert np.abs(found).max() < scale * (1e-4 if kernels.dtype == "float32" else 1e-8)


def test_costs_of_any_size_leave_finite_weights(kernels):
    problem = Problem(20, 30, 17, kernels.dtype)
    problem.costs[:] = np.logspace(-30, 9, 20)
    problem.x *= 100
    sums = problem.epochs(kernels.squares_epoch, [range(20)] * 5)
    assert np.isfinite(sums).all()
    assert np.isfinite(problem.rows).all()


def test_features_of_one_document_need_no_row(kernels, near):
    """With a separate column for each document, or with the square of its number there as `own`."""
    shared, whole = (Problem(20, 30, 17, kernels.dtype) for _ in range(2))
    amounts = np.random.default_rng(5).uniform(0, 2, 20).astype(kernels.dtype)
    whole.x = np.hstack([whole.x, np.diag(amounts)]).astype(kernels.dtype)
    whole.rows = aligned_zeros((whole.tiles, 50, whole.lanes), kernels.dtype)
    shared.own = amounts.astype(float) ** 2
    for problem in (shared, whole):
        problem.epochs(kernels.squares_epoch, [range(20)] * 2)
    near(shared.rows, whole.rows[:, :30], times=10)
    near(shared.dual, whole.dual, times=10)
    near(amounts[:, None] * shared.flat(shared.dual), whole.flat(whole.rows)[30:], times=10)
