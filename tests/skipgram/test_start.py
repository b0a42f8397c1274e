"""The start: positive PMI and its truncated SVD."""

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

import twins
from fastembed import Trainer
from fastembed._base.threads import Pool
from fastembed.counts.groups import Totals
from fastembed.skipgram.start import PositivePMI, fold_in, log_shares, svd_start, truncated_svd


class Dense:
    """A dense matrix as `truncated_svd` takes it."""

    def __init__(self, matrix):
        self.shape, self._matrix = matrix.shape, matrix.astype(np.float32)

    def times(self, dense, out):
        return np.matmul(self._matrix, dense, out=out)

    def transposed_times(self, dense, out):
        return np.matmul(self._matrix.T, dense, out=out)


def random_counts(rows: int, columns: int, density: float = 0.2) -> sparse.csr_array:
    rng = np.random.default_rng(1)
    counts = sparse.random_array((rows, columns), density=density, random_state=rng, format="csr")
    counts.data = np.ceil(counts.data * 9)
    return counts


@pytest.mark.parametrize("shape", [(300, 200), (150, 400)])
def test_truncated_svd_of_a_matrix_of_low_rank_is_exact(shape):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(shape[0], 7)) @ rng.normal(size=(7, shape[1]))
    u, s, v = truncated_svd(Dense(matrix), 10, rng, Pool(1))
    np.testing.assert_allclose(s[:7], np.linalg.svd(matrix)[1][:7], rtol=1e-5)
    np.testing.assert_allclose(u * s @ v.T, matrix, atol=1e-4 * np.abs(matrix).max())
    np.testing.assert_allclose(u[:, :7].T @ u[:, :7], np.eye(7), atol=1e-5)
    np.testing.assert_allclose(v[:, :7].T @ v[:, :7], np.eye(7), atol=1e-5)


def test_truncated_svd_is_near_the_best_approximation():
    counts = random_counts(400, 500)
    pmi, dense = PositivePMI(counts, Totals.of(counts, Pool(2)), Pool(1)), twins.positive_pmi(counts.toarray())
    u, s, v = truncated_svd(pmi, 50, np.random.default_rng(0), Pool(1))
    best = np.sqrt(np.sum(np.linalg.svd(dense)[1][50:] ** 2))
    assert np.linalg.norm(dense - u * s @ v.T) < 1.01 * best


def test_the_start_is_the_same_for_any_number_of_threads():
    counts = random_counts(3000, 2500, density=0.02)
    starts = [
        svd_start(counts, Totals.of(counts, Pool(2)), 20, np.random.default_rng(3), Pool(threads))
        for threads in (1, 2, 3, 8)
    ]
    for embedding, linear in starts[1:]:
        np.testing.assert_array_equal(embedding, starts[0][0])
        np.testing.assert_array_equal(linear, starts[0][1])


def test_more_dimensions_than_rank_are_filled_with_noise_on_both_sides():
    counts = random_counts(12, 9, density=0.6)
    embedding, linear = svd_start(counts, Totals.of(counts, Pool(2)), 30, np.random.default_rng(0), Pool(1))
    assert embedding.shape == (12, 30)
    assert linear.shape == (30, 9)
    assert np.all(embedding[:, 9:] != 0)
    assert np.all(linear[9:] != 0)
    assert np.abs(embedding[:, 9:]).max() < 0.1


def test_dimensions_of_singular_value_zero_are_filled_too():
    counts = sparse.csr_array(np.ones((5, 5)))  # no PMI
    embedding, linear = svd_start(counts, Totals.of(counts, Pool(2)), 3, np.random.default_rng(0), Pool(1))
    assert np.all(embedding != 0)
    assert np.all(linear != 0)


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
def test_new_rows_are_solved_for_on_one_thread_of_blas(monkeypatch):
    """On two, the double-precision solution has other bits, whichever number of threads the model has."""
    seen, solve = [], np.linalg.solve

    def look(*matrices):
        seen.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return solve(*matrices)

    monkeypatch.setattr(np.linalg, "solve", look)
    counts, linear = random_counts(20, 30), np.random.default_rng(0).standard_normal((5, 30), dtype=np.float32)
    with threadpool_limits(limits=2, user_api="blas"):
        fold_in(counts, Totals.of(counts, Pool(2)), 15, linear, Pool(1))
    assert set(seen) == {1}


def test_new_rows_are_those_of_the_normal_equations():
    """With a ridge of a hundredth of the mean square; the PMI's shares are those of all rows."""
    counts, linear = random_counts(20, 30), np.random.default_rng(0).standard_normal((5, 30), dtype=np.float32)
    w = linear.astype(float)
    ridge = 0.01 * np.trace(w @ w.T) / 5 * np.eye(5)
    expected = twins.positive_pmi(counts.toarray())[15:] @ w.T @ np.linalg.inv(w @ w.T + ridge)
    totals = Totals.of(counts, Pool(2))
    found = fold_in(counts, totals, 15, linear, Pool(2))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert fold_in(counts, totals, 20, linear, Pool(2)).shape == (0, 5)
    counts = sparse.csr_array(np.diag([1.0, 0.0]))
    assert not fold_in(counts, Totals.of(counts, Pool(2)), 1, linear[:, :2], Pool(1)).any()


def test_the_bias_is_the_log_of_the_shares():
    counts = random_counts(20, 30, density=0.9)
    totals = counts.sum(axis=0)
    np.testing.assert_allclose(log_shares(totals), np.log(totals / totals.sum()), rtol=1e-12)


def test_columns_without_counts_share_the_probability_of_the_rarest_column():
    shares = np.exp(log_shares(np.array([6.0, 0, 2, 0, 0])))
    np.testing.assert_allclose(shares, [0.6, 0.2 / 3, 0.2, 0.2 / 3, 0.2 / 3])


def test_without_vectors_the_nll_is_nearly_the_entropy_whatever_the_number_of_empty_columns():
    """They take one rare column's share of the mass: as many as there are, not each."""
    counts = random_counts(40, 30)
    counts.resize(40, 100_000)
    trainer = Trainer(np.zeros((40, 2)), np.zeros((2, 100_000)), bias=log_shares(counts.sum(axis=0)))
    totals = counts.sum(axis=0)[:30]
    p = totals / totals.sum()
    assert trainer.nll(counts) == pytest.approx(-p @ np.log(p) + np.log1p(p.min()), rel=1e-6)
    other = sparse.csr_array(([1.0], ([0], [70_000])), (40, 100_000))
    assert trainer.nll(other) == pytest.approx(-np.log(p.min() / (1 + p.min()) / 99_970), rel=1e-6)
