"""The gauge: logits stay, rows are centred."""

import numpy as np
import pytest
from scipy import sparse

from fastembed._base.threads import Pool
from fastembed.counts.store import grouped
from fastembed.skipgram.gauge import apply_gauge

SIZES = [(1, 1, 1), (7, 5, 3), (3, 4, 8), (5000, 30, 17), (30, 4500, 17)]  # (V_in, V, D); 4,500 are three pieces


def totals_of(counts):
    return grouped(counts).totals


def random_model(inputs, outputs, dim, dtype, seed=0):
    rng = np.random.default_rng(seed)
    scales = np.linspace(0.2, 2, dim)
    embedding = (rng.normal(size=(inputs, dim)) * scales + rng.normal(size=dim)).astype(dtype)
    linear = rng.normal(size=(dim, outputs)).astype(dtype)
    counts = sparse.csr_array(rng.integers(1, 9, size=(inputs, min(outputs, 50))).astype(np.float64))
    counts.resize(inputs, outputs)
    return embedding, linear, rng.normal(size=outputs).astype(dtype), counts


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_stay_and_rows_are_centred(size, dtype):
    embedding, linear, bias, counts = random_model(*size, dtype)
    before = embedding.astype(np.float64) @ linear + bias
    mean = embedding.mean(axis=0, dtype=np.float64)
    centre = apply_gauge(embedding, linear, bias, totals_of(counts), Pool(2))
    tolerance = 1e-4 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(embedding.astype(np.float64) @ linear + bias, before, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(embedding.mean(axis=0, dtype=np.float64), 0, atol=tolerance)
    # the centre has the logits of the old mean
    np.testing.assert_allclose(centre @ linear, mean @ random_model(*size, dtype)[1], rtol=tolerance, atol=tolerance)


def test_a_row_without_counts_becomes_zero_and_moves_no_other():
    embedding, linear, bias, counts = random_model(8, 5, 3, "float64")
    alone = [array.copy() for array in (embedding[:7], linear, bias)]
    embedding[7] = 99
    apply_gauge(*alone, totals_of(counts[:7]), Pool(2))
    counts = counts.tolil()
    counts[7] = 0
    apply_gauge(embedding, linear, bias, totals_of(counts.tocsr()), Pool(2))
    np.testing.assert_allclose(embedding[:7], alone[0], rtol=1e-12)
    assert not embedding[7].any()


def test_the_matrix_of_the_gauge_is_the_one_the_derivation_writes_out():
    """A = R⁻ᵀ diag(f) Rᵀ, with S = R Rᵀ, Rᵀ F R = diag(g), f = t / (1 + t) divided by the largest, t = n g."""
    embedding, linear, bias, counts = random_model(40, 30, 6, "float64")
    linear[0] *= 1e-9  # a direction that does not shrink below a tenth of the largest
    rows, totals = embedding - embedding.mean(axis=0), counts.sum(axis=1)
    information = np.cov(linear, aweights=counts.sum(axis=0) / counts.sum(), bias=True)
    root = np.linalg.cholesky(rows.T @ rows / 40)
    g, rotation = np.linalg.eigh(root.T @ information @ root)
    basis = root @ rotation
    t = 0.5 * (totals**2).sum() / totals.sum() * g
    f = t / (1 + t)
    change = np.linalg.inv(basis).T @ np.diag(np.maximum(f / f.max(), 0.1)) @ basis.T
    apply_gauge(embedding, linear, bias, totals_of(counts), Pool(1))
    np.testing.assert_allclose(embedding, rows @ change, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("which", ["rows", "columns"])
def test_equal_vectors_keep_their_logits(which):
    embedding, linear, bias, counts = random_model(7, 5, 3, "float64")
    if which == "rows":
        embedding[:] = embedding[0]
    else:
        linear[:] = linear[:, :1]
    before = embedding @ linear + bias
    apply_gauge(embedding, linear, bias, totals_of(counts), Pool(2))
    np.testing.assert_allclose(embedding @ linear + bias, before, atol=1e-12)
    assert np.isfinite(embedding).all()
