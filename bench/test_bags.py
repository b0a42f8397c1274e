"""The sums of a block of 256 bags of 20 rows; whole epochs of fit_counts on bags, and a step."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from fastembed import Trainer, reference
from fastembed._base.arrays import padded_width

BAGS, EACH, DIM = 256, 20, 100


@pytest.fixture(params=[5_000, 1_000_000], ids="V_in={}".format)
def block(request, kernels, dtype):
    """Return a block of bags of the rows of an embedding."""
    inputs, rng = request.param, np.random.default_rng(0)
    ids = np.sort(rng.choice(inputs, (BAGS, EACH)), axis=1)
    matrix = sparse.csr_array((np.full(ids.size, 0.25), ids.ravel(), np.arange(BAGS + 1) * EACH), (BAGS, inputs))
    matrix.sum_duplicates()
    bags = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(dtype)
    return SimpleNamespace(matrix=matrix, bags=bags, embedding=rng.standard_normal((inputs, DIM), dtype))


def test_bag_gather(benchmark, kernels, block, close):
    h = np.empty((BAGS, padded_width(DIM, block.embedding.dtype)), block.embedding.dtype)
    benchmark(kernels.bag_gather, block.embedding, *block.bags, np.arange(BAGS), 0, BAGS, h)
    close(h[:, :DIM], block.matrix @ block.embedding.astype(np.float64))


@pytest.mark.parametrize("with_bags", [False, True])
@pytest.mark.parametrize(("words", "outputs"), [(2_000, 2_000), (1_024, 33_700)])
def test_fit_counts_on_bags(benchmark, dtype, words, outputs, with_bags):
    """An epoch on words, or on words with 19 n-grams each, on two threads."""
    rng = np.random.default_rng(0)
    counts = sparse.random_array((words, outputs), density=0.02, format="csr", random_state=rng)
    ngrams, bags = 2 * outputs, None
    if with_bags:
        ids, starts = rng.integers(0, ngrams, 19 * words), np.arange(words + 1) * 19
        grams = sparse.csr_array((np.full(ids.size, 0.2), ids, starts), shape=(words, ngrams))
        bags = sparse.hstack([sparse.eye_array(words), grams], format="csr")
    shapes = (words + (ngrams if with_bags else 0), DIM), (DIM, outputs)
    embedding, linear = (rng.standard_normal(shape).astype(dtype) / 100 for shape in shapes)

    def setup():
        return (Trainer(embedding.copy(), linear, threads=2),), {}

    history = benchmark.pedantic(lambda t: t.fit_counts(counts, bags=bags, epochs=1), setup=setup, rounds=5)
    assert history[0]["nll"] == pytest.approx(np.log(outputs), rel=0.02)


@pytest.mark.parametrize("kind", ["bags", "ids"])
def test_train_on_bags(benchmark, dtype, kind):
    """100 steps at V = 1,000, on ids, or on the sums of 10 rows each."""
    rng = np.random.default_rng(0)
    embedding, linear = rng.standard_normal((1_000, DIM), dtype) / 30, rng.standard_normal((DIM, 1_000), dtype)
    ids, targets = rng.integers(0, 1_000, (100, 10)), rng.integers(0, 1_000, 100)
    inputs = list(ids) if kind == "bags" else ids[:, 0]
    trainer = Trainer(embedding.astype(dtype), linear.astype(dtype), threads=1)
    losses = benchmark(trainer.train, inputs, targets, learning_rate=0.0)
    h = trainer.embedding.astype(np.float64)[ids].sum(axis=1) if kind == "bags" else trainer.embedding[inputs]
    exact = [
        reference.loss(reference.matvec(row, linear), reference.target_row(target, 1_000), 1e-3)
        for row, target in zip(h, targets, strict=True)
    ]
    np.testing.assert_allclose(losses, np.mean(exact), rtol=1e-4)
