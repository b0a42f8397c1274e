"""The start: positive PMI and its truncated SVD."""

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from fastembed._base.threads import Pool
from fastembed.skipgram.start import fold_in, positive_pmi, svd_start, truncated_svd


def random_counts(rows: int, columns: int, density: float = 0.2) -> sparse.csr_array:
    rng = np.random.default_rng(1)
    counts = sparse.random_array((rows, columns), density=density, random_state=rng, format="csr")
    counts.data = np.ceil(counts.data * 9)
    return counts


def test_positive_pmi_agrees_with_a_calculation_by_hand():
    counts = sparse.csr_array(np.array([[4.0, 0.0, 1.0], [0.0, 0.0, 0.0], [2.0, 3.0, 0.0]]))
    n, rows, columns = counts.toarray(), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(n * np.sum(columns**0.75) / np.outer(rows, columns**0.75))
    expected = np.where(n > 0, np.maximum(expected, 0), 0)
    assert np.any(expected > 0)
    np.testing.assert_allclose(positive_pmi(counts, Pool(1)).toarray(), expected, rtol=1e-6)


def test_positive_pmi_leaves_the_counts_alone():
    counts = random_counts(20, 30)
    before = counts.data.copy(), counts.indices.copy(), counts.indptr.copy()
    positive_pmi(counts, Pool(1))
    for old, new in zip(before, (counts.data, counts.indices, counts.indptr), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("shape", [(300, 200), (150, 400)])
def test_truncated_svd_of_a_matrix_of_low_rank_is_exact(shape):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(shape[0], 7)) @ rng.normal(size=(7, shape[1]))
    u, s, v = truncated_svd(sparse.csr_array(matrix.astype(np.float32)), 10, rng, Pool(1))
    np.testing.assert_allclose(s[:7], np.linalg.svd(matrix)[1][:7], rtol=1e-5)
    np.testing.assert_allclose(u * s @ v.T, matrix, atol=1e-4 * np.abs(matrix).max())
    np.testing.assert_allclose(u[:, :7].T @ u[:, :7], np.eye(7), atol=1e-5)
    np.testing.assert_allclose(v[:, :7].T @ v[:, :7], np.eye(7), atol=1e-5)


def test_truncated_svd_is_near_the_best_approximation():
    matrix = positive_pmi(random_counts(400, 500), Pool(1))
    u, s, v = truncated_svd(matrix, 50, np.random.default_rng(0), Pool(1))
    dense = matrix.toarray()
    best = np.sqrt(np.sum(np.linalg.svd(dense)[1][50:] ** 2))
    assert np.linalg.norm(dense - u * s @ v.T) < 1.01 * best


def test_the_start_is_the_same_for_any_number_of_threads():
    counts = random_counts(3000, 2500, density=0.02)
    starts = [svd_start(counts, 20, np.random.default_rng(3), Pool(threads)) for threads in (1, 2, 3, 8)]
    for embedding, linear in starts[1:]:
        np.testing.assert_array_equal(embedding, starts[0][0])
        np.testing.assert_array_equal(linear, starts[0][1])


def test_more_dimensions_than_rank_are_filled_with_noise_on_both_sides():
    embedding, linear = svd_start(random_counts(12, 9, density=0.6), 30, np.random.default_rng(0), Pool(1))
    assert embedding.shape == (12, 30)
    assert linear.shape == (30, 9)
    assert np.all(embedding[:, 9:] != 0)
    assert np.all(linear[9:] != 0)
    assert np.abs(embedding[:, 9:]).max() < 0.1


def test_dimensions_of_singular_value_zero_are_filled_too():
    embedding, linear = svd_start(sparse.csr_array(np.ones((5, 5))), 3, np.random.default_rng(0), Pool(1))  # no PMI
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
    linear = np.random.default_rng(0).standard_normal((5, 30), dtype=np.float32)
    with threadpool_limits(limits=2, user_api="blas"):
        fold_in(random_counts(20, 30), slice(15, None), linear, Pool(1))
    assert set(seen) == {1}
