"""Steps on blocks of counts in tiles, and the update that ranks make; `trainer/test_fit.py` compares whole fits."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import reference
from fastembed._base.threads import matrix_product
from fastembed.trainer.blocks import MOMENTUM, BlockScratch
from twins import tiles_of

VALUES = {
    "float32": lambda rng, n: rng.integers(1, 1 << 20, n) / 16,
    "uint32": lambda rng, n: rng.integers(1 << 24, 1 << 32, n).astype(float),
    "float64": lambda rng, n: rng.gamma(1, size=n),
    "both": lambda rng, n: np.where(rng.random(n) < 0.01, 1e-3, 2),  # of tiles with few entries, some are of float32
    "beyond 2^53": lambda rng, n: np.ldexp(1.0 + rng.integers(1 << 52, size=n) / 2**52, 60),
}


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize(
    ("count", "bounds", "group_rows", "density"),
    [
        (1, [0, 1], 4096, 1),
        (12, [0, 1, 17, 50], 4096, 0.5),  # a shard of one column
        (12, [0, 16, 32, 48, 55], 5, 1),  # three groups; every row has entries in every tile
        (300, [0, 512, 1025], 70, 0.003),  # most rows have none in a tile
        (6, [0, 65535, 65536], 2, 0.01),  # as many columns as 16 bits number
    ],
)
def test_steps_on_tiles_are_the_references(kernels, padded, near, count, bounds, group_rows, density, values):
    """Two blocks of the rows with counts, one of which is known before; the factors belong to the counts."""
    rng = np.random.default_rng(count)
    outputs, dim = bounds[-1], 5
    stored = sparse.random_array((count, outputs), density=density, random_state=rng, format="csr")
    stored.data[:] = VALUES[values](rng, stored.nnz)
    stored.indices, stored.indptr = stored.indices.astype(np.int32), stored.indptr.astype(np.int32)
    factors = rng.gamma(2, size=count), rng.gamma(2, size=outputs)
    tiles = tiles_of(stored, bounds, *factors, group_rows)
    dense = stored.toarray() * factors[0][:, None] * factors[1]
    totals, bounds = dense.sum(axis=1), np.array(bounds, np.intp)
    visited = rng.permutation(np.flatnonzero(totals))
    embedding = rng.normal(size=(count, dim)).astype(kernels.dtype)
    weights, bias = padded(rng.normal(size=(dim, outputs)).astype(kernels.dtype)), rng.normal(size=outputs)
    bias, row_weights = bias.astype(kernels.dtype), rng.gamma(2, size=count).astype(kernels.dtype)
    squares, linear_squares = rng.gamma(1, size=count), rng.gamma(1, size=outputs)
    model = SimpleNamespace(dtype=embedding.dtype, outputs=outputs, embedding=embedding, weights=weights, bias=bias)
    model.linear_squares = linear_squares
    expected = [array.astype(np.float64) for array in (embedding, weights[:, :dim], squares, linear_squares)]
    counts = SimpleNamespace(**tiles._asdict(), totals=totals)
    trainer = kernels.block_trainer(
        model, squares, bounds, np.ones(count), row_weights, counts,
        matrix_product(embedding.dtype), MOMENTUM, BlockScratch(model, bounds, count, 1), None, None, None, None,
    )  # fmt: skip
    trainer.step(visited[:1], visited, 0, 0, 1)  # changes nothing
    trainer.open()
    momentum, blocks = np.zeros((outputs, dim)), [visited[: -(-len(visited) // 2)], visited[-(-len(visited) // 2) :]]
    blocks = [rows for rows in blocks if len(rows)]
    for step, (rows, next_rows) in enumerate(zip(blocks, [*blocks[1:], None], strict=True), 1):
        nll = trainer.step(rows, next_rows, 0.3, 0.4, 1 - MOMENTUM**step)
        e, w, e_squares, w_squares = expected
        x = e[rows] @ w.T + bias
        near(nll, reference.block_loss(x, dense[rows]), scale=10 * totals[rows].sum())
        residual = reference.block_residual(x, dense[rows])
        of_linear = residual.T @ (row_weights[rows, None] * e[rows])
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * of_linear
        g = residual @ w
        e[rows], e_squares[rows] = reference.momentum_adagrad(e[rows], g, g, e_squares[rows], 0.3)
        expected[1], expected[3] = reference.momentum_adagrad(
            w, momentum / (1 - MOMENTUM**step), of_linear, w_squares, 0.4
        )
    for found, of_reference in zip((embedding, weights[:, :dim], squares, linear_squares), expected, strict=True):
        near(found, of_reference, times=10)


@pytest.mark.parametrize("shards", [1, 3, 8])
@pytest.mark.parametrize("dim", [1, 7, 16, 17, 100])
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
