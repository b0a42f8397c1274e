"""The update of the embedding by a block of 256 rows; a whole epoch of fit_counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from fastembed import Trainer
from fastembed._base.arrays import aligned_zeros, padded_width

ROWS, DIM = 256, 100


def test_block_update_embedding(benchmark, kernels, dtype, close):
    rng = np.random.default_rng(0)
    shards, start = 32, rng.standard_normal((ROWS, DIM), dtype)
    gradients = aligned_zeros((shards, ROWS, padded_width(DIM, dtype)), dtype)
    gradients[:, :, :DIM] = rng.standard_normal((shards, ROWS, DIM), dtype)
    rows, row_rates = rng.permutation(ROWS), np.ones(ROWS)
    exact = gradients[:, :, :DIM].astype(np.float64).sum(axis=0)
    expected = start.astype(np.float64)
    expected[rows] -= 0.1 * exact / np.linalg.norm(exact, axis=1, keepdims=True)
    last = []

    def setup():
        return (start.copy(), gradients.copy()), {}  # the parts are summed in place

    def update(embedding, parts):
        kernels.block_update_embedding(embedding, rows, row_rates, parts, np.zeros(ROWS), 0.1, 0, ROWS)
        last[:] = [embedding]

    benchmark.pedantic(update, setup=setup, rounds=200, warmup_rounds=5)
    close(last[0], expected)


def test_fit_counts(benchmark, dtype):
    """An epoch at V = 2,000 from parameters near zero, where the nll per pair is ln V."""
    outputs, rng = 2_000, np.random.default_rng(0)
    counts = sparse.random_array((outputs, outputs), density=0.02, format="csr", random_state=rng)
    embedding, linear = (rng.standard_normal(shape).astype(dtype) / 100 for shape in ((outputs, DIM), (DIM, outputs)))

    def setup():
        return (Trainer(embedding.copy(), linear, threads=1),), {}

    history = benchmark.pedantic(lambda trainer: trainer.fit_counts(counts, epochs=1), setup=setup, rounds=5)
    assert history[0]["nll"] == pytest.approx(np.log(outputs), rel=0.02)
