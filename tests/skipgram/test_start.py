"""The start: positive PMI, its products and its truncated SVD, and the rows of new words."""

import numpy as np
import pytest
from scipy import sparse

import twins
from fastembed._base.threads import Pool
from fastembed.counts.store import grouped
from fastembed.skipgram.pmi import PositivePMI
from fastembed.skipgram.start import least_squares_rows, log_shares, svd_start, truncated_svd


def random_counts(rows: int, columns: int, density: float = 0.2) -> sparse.csr_array:
    rng = np.random.default_rng(1)
    counts = sparse.random_array((rows, columns), density=density, random_state=rng, format="csr")
    counts.data = np.ceil(counts.data * 9)
    return counts


@pytest.mark.parametrize(("shape", "rank"), [((400, 500), 50), ((400, 500), 300), ((500, 400), 300)])
def test_truncated_svd_is_near_the_best_approximation(shape, rank, set_constant):
    """For 300 triplets, the Krylov space would have 720 columns, more than the matrix has."""
    set_constant("fastembed.skipgram.start.KRYLOV_COLUMNS", 500)
    counts = random_counts(*shape)
    pmi, dense = (PositivePMI(grouped(counts), Pool(1)), twins.positive_pmi(counts.toarray()))
    u, s, v = truncated_svd(pmi, rank, np.random.default_rng(0), Pool(2))
    best = np.sqrt(np.sum(np.linalg.svd(dense)[1][rank:] ** 2))
    assert np.linalg.norm(dense - u * s @ v.T) < (1.01 if rank == 50 else 1 + 1e-6) * best


@pytest.mark.parametrize("rank", [50, 100])
@pytest.mark.parametrize("kind", ["equal", "fast decay", "components"])
@pytest.mark.parametrize("columns", [1, 1024])
def test_truncated_svd_is_right_where_its_krylov_space_ends_early(kind, rank, columns, set_constant):
    """All singular values equal, of many sizes, or those of small graphs without edges between them."""
    set_constant("fastembed.skipgram.start.KRYLOV_COLUMNS", columns)
    rng = np.random.default_rng(3)
    dense = np.eye(200)
    if kind == "fast decay":
        factors = rng.standard_normal((2, 12, 200)) * 2.0 ** -(np.arange(12) / 2)[:, None]
        dense = np.floor(1e6 * np.exp(factors[0].T @ factors[1] / 4))
    elif kind == "components":
        dense = np.kron(np.diag(10.0 ** np.arange(6)), np.eye(20) + rng.integers(0, 9, (20, 20)))
    counts = sparse.csr_array(dense)
    pmi, dense = PositivePMI(grouped(counts), Pool(1)), twins.positive_pmi(dense)
    u, s, v = truncated_svd(pmi, rank, np.random.default_rng(0), Pool(1))
    best = np.sqrt(np.sum(np.linalg.svd(dense)[1][rank:] ** 2))
    assert np.linalg.norm(dense - u * s @ v.T) < 1.02 * best + 1e-4 * np.linalg.norm(dense)
    for vectors in (u, v):
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(rank), atol=1e-3)


def test_more_dimensions_than_rank_are_filled_with_noise_on_both_sides():
    counts = random_counts(12, 9, density=0.6)
    embedding, linear = svd_start(grouped(counts), 30, np.random.default_rng(0), Pool(1))
    assert embedding.shape == (12, 30)
    assert linear.shape == (30, 9)
    assert np.all(embedding[:, 9:] != 0)
    assert np.all(linear[9:] != 0)
    assert np.abs(embedding[:, 9:]).max() < 0.1
    counts = sparse.csr_array(np.ones((5, 5)))  # no PMI
    for side in svd_start(grouped(counts), 3, np.random.default_rng(0), Pool(1)):
        assert np.all(side != 0)


def test_new_rows_are_those_of_the_normal_equations():
    """With a ridge of a hundredth of the mean square; the PMI's shares are those of all rows."""
    counts, linear = random_counts(20, 30), np.random.default_rng(0).standard_normal((5, 30), dtype=np.float32)
    w = linear.astype(float)
    ridge = 0.01 * np.trace(w @ w.T) / 5 * np.eye(5)
    expected = twins.positive_pmi(counts.toarray())[15:] @ w.T @ np.linalg.inv(w @ w.T + ridge)
    found = least_squares_rows(grouped(counts), 15, linear, Pool(2))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert least_squares_rows(grouped(counts), 20, linear, Pool(2)).shape == (0, 5)
    counts = sparse.csr_array(np.diag([1.0, 0.0]))
    assert not least_squares_rows(grouped(counts), 1, linear[:, :2], Pool(1)).any()


def test_the_bias_is_the_log_of_the_shares_where_columns_without_counts_share_that_of_the_rarest():
    shares = np.exp(log_shares(np.array([6.0, 0, 2, 0, 0])))
    np.testing.assert_allclose(shares, [0.6, 0.2 / 3, 0.2, 0.2 / 3, 0.2 / 3])


@pytest.mark.parametrize("dim", [1, 7, 16, 17, 100])
@pytest.mark.parametrize("shape", [(1, 1), (7, 5000), (3000, 11), (200, 300)])
@pytest.mark.parametrize(("density", "index"), [(1.0, np.int32), (0.1, np.int64)])
@pytest.mark.usefixtures("library")
def test_products_of_any_shape(set_constant, shape, density, index, dim):
    set_constant("fastembed.skipgram.pmi.PMI_COLUMNS", 64)
    counts = random_counts(*shape, density)
    counts = (counts + sparse.csr_array(([1.0], ([0], [0])), shape)).tocsr()
    counts.indptr, counts.indices = counts.indptr.astype(index), counts.indices.astype(index)
    expected = twins.positive_pmi(counts.toarray())
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((size, dim), dtype=np.float32) for size in reversed(shape))
    matrix = PositivePMI(grouped(counts), Pool(2))
    for found, wanted in (
        (matrix.times(x, out=np.empty_like(y)), expected @ x),
        (matrix.transposed_times(y, out=np.empty_like(x)), expected.T @ y),
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-5 * (1 + np.abs(wanted).max()))


def test_columns_beyond_16_bits():
    """A row of a graph has few of very many columns, so that narrow blocks would be empty."""
    rows, columns = np.repeat(np.arange(50), 3), np.random.default_rng(0).integers(200_000, size=150)
    columns[:2] = 0, 199_999
    counts = sparse.csr_array((np.ones(150), (rows, columns)), (50, 200_000))
    counts.sum_duplicates()
    matrix = PositivePMI(grouped(counts), Pool(1))
    dense = np.arange(200_000, dtype=np.float32)[:, None]
    expected = counts.copy()
    weights = counts.sum(axis=0) ** 0.75
    expected.data = np.log(counts.data / 3 * weights.sum() / weights[counts.indices])
    found = matrix.times(dense, out=np.empty((50, 1), np.float32))
    np.testing.assert_allclose(found, expected @ dense, rtol=1e-5)
    assert np.diff(matrix._bounds).max() <= 65_536


def test_amounts_of_extreme_size_stay_finite():
    counts = sparse.csr_array(np.array([[1e-320, 1e300], [1e300, 1.0]]))
    matrix = PositivePMI(grouped(counts), Pool(1))
    found = matrix.times(np.eye(2, dtype=np.float32), out=np.empty((2, 2), np.float32))
    np.testing.assert_array_equal(found > 0, [[False, True], [True, False]])
    assert np.isfinite(found).all()
