"""The block kernels on one shard of a block of 256 rows, without the products; a whole epoch of fit_counts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from fastembed import Trainer
from fastembed._base.arrays import aligned_zeros, padded_width
from fastembed._base.sizes import SIZES

SHARD_ROWS = SIZES.shard_rows
ROWS, DIM, EACH = 256, 100, 16  # EACH: counts per row within the shard


@pytest.fixture
def block(dtype):
    """Return a block on a single shard, and its results in float64."""
    rng = np.random.default_rng(0)
    counts = sparse.random_array((ROWS, SHARD_ROWS), density=EACH / SHARD_ROWS, format="csr", random_state=rng)
    counts = (counts + sparse.csr_array((np.ones(ROWS), np.full(ROWS, 7), np.arange(ROWS + 1)), counts.shape)).tocsr()
    counts.sort_indices()
    logits, totals = rng.standard_normal((ROWS, SHARD_ROWS), dtype), counts.sum(axis=1)
    exact = logits.astype(np.float64)
    exponentials = np.exp(exact - exact.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return SimpleNamespace(
        logits=logits,
        totals=totals,
        csr=(counts.indices.astype(np.int32), counts.data),
        starts=np.stack([counts.indptr[:-1], counts.indptr[1:]]).astype(np.int64),
        rows=np.arange(ROWS),
        partials=np.empty((1, 3, ROWS)),
        normalisers=np.empty(ROWS),
        exponentials=exponentials,
        nll=-(counts * np.log(probabilities)).sum(),
        residual=probabilities - counts.toarray() / totals[:, None],
    )


def fresh(array):
    """Return a set-up for benchmark.pedantic that gives each round a fresh copy of the array."""
    return lambda: ((array.copy(),), {})


def test_block_statistics(benchmark, kernels, block, close):
    logits = block.logits.copy()

    def statistics(x):
        kernels.block_statistics(x, None, 0, *block.csr, block.starts, block.partials[0])
        logits[0] = x[0]

    benchmark.pedantic(statistics, setup=fresh(block.logits), rounds=200, warmup_rounds=5)
    close(logits[0], block.exponentials[0])
    close(block.partials[0, 1], block.exponentials.sum(axis=1))


def test_block_merge(benchmark, kernels, block, close):
    kernels.block_statistics(block.logits, None, 0, *block.csr, block.starts, block.partials[0])
    close(benchmark(kernels.block_merge, block.partials, block.rows, block.totals, block.normalisers), block.nll)
    close(block.normalisers - block.partials[0, 0], np.log(block.exponentials.sum(axis=1)))


def test_block_residual(benchmark, kernels, block, close):
    exponentials = block.exponentials.astype(block.logits.dtype)
    maxima, normalisers = np.zeros(ROWS), np.log(block.exponentials.sum(axis=1))
    last = []

    def residual(x):
        kernels.block_residual(x, 0, block.rows, *block.csr, block.totals, block.starts, maxima, normalisers)
        last[:] = [x]

    benchmark.pedantic(residual, setup=fresh(exponentials), rounds=200, warmup_rounds=5)
    close(last[0], block.residual)


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


def test_block_update_linear(benchmark, kernels, dtype, close):
    """The first step, whose corrected momentum is the gradient."""
    rng = np.random.default_rng(0)
    start, gradients = (aligned_zeros((SHARD_ROWS, padded_width(DIM, dtype)), dtype) for _ in range(2))
    for array in (start, gradients):
        array[:, :DIM] = rng.standard_normal((SHARD_ROWS, DIM), dtype)
    exact = gradients.astype(np.float64)
    expected = start - 0.1 * exact / np.linalg.norm(exact, axis=1, keepdims=True)
    last = []

    def setup():
        return (start.copy(), gradients, np.zeros_like(start), np.zeros(SHARD_ROWS), 0.1, 0.9, 1 - 0.9), {}

    def update(weights, *rest):
        kernels.block_update_linear(weights, *rest)
        last[:] = [weights]

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
