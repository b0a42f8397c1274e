"""The update of the embedding by a block of 256 rows; an epoch of fit_counts, and its matrix products alone."""

from __future__ import annotations

import numpy as np
import pytest

from fastembed import Trainer
from fastembed._base.arrays import aligned_zeros, padded_width
from fastembed._base.threads import check_threads

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


@pytest.mark.parametrize("threads", [1, None], ids=["one_thread", "all_cpus"])
class TestEpoch:
    """An epoch of ten blocks at V = 20,000, from parameters near zero, where the nll per pair is ln V."""

    outputs, rows, each = 20_000, 10 * ROWS, 300

    def test_fit_counts(self, benchmark, threads):
        """The whole call."""
        from block import random_counts

        counts, rng = random_counts(self.rows, self.outputs, self.each), np.random.default_rng(0)
        shapes = (self.rows, DIM), (DIM, self.outputs)
        embedding, linear = (rng.standard_normal(shape, np.float32) / 100 for shape in shapes)

        def setup():
            return (Trainer(embedding.copy(), linear, threads=threads),), {}

        history = benchmark.pedantic(lambda trainer: trainer.fit_counts(counts, epochs=1), setup=setup, rounds=5)
        assert history[0]["nll"] == pytest.approx(np.log(self.outputs), rel=0.02)

    def test_products(self, benchmark, threads):
        """The limit."""
        from block import BareProducts

        bare = BareProducts(self.rows, self.outputs, DIM, ROWS, check_threads(threads))
        benchmark.pedantic(bare.epoch, rounds=5, warmup_rounds=1)
