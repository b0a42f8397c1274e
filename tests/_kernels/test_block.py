"""The update of the embedding that ranks make together; `trainer/test_fit.py` compares whole steps with their twin."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import reference


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
