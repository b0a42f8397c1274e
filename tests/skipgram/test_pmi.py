"""`PositivePMI`: its entries and its products, for any number of threads and any shape."""

import errno

import numpy as np
import pytest
from scipy import sparse

import twins
from fastembed._base.threads import Pool
from fastembed.counts import groups
from fastembed.counts.groups import Totals
from fastembed.skipgram import start as pmi
from fastembed.skipgram.start import PositivePMI, RowSpill


def random_counts(rows, columns, density=0.2):
    rng = np.random.default_rng(1)
    counts = sparse.random_array((rows, columns), density=density, random_state=rng, format="csr")
    counts.data = np.ceil(counts.data * 9)
    return counts


def entries(counts, threads=1, dtype=np.float64):
    """Return the matrix itself: its product with the unit matrix."""
    matrix = PositivePMI(counts, Totals.of(counts, Pool(2)), Pool(threads), dtype)
    return matrix.times(np.eye(counts.shape[1], dtype=dtype), out=np.empty(counts.shape, dtype))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_entries_by_hand(dtype, tolerance):
    counts = sparse.csr_array(np.array([[4.0, 0.0, 1.0], [0.0, 0.0, 0.0], [2.0, 3.0, 0.0]]))
    n, rows, columns = counts.toarray(), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(n * np.sum(columns**0.75) / np.outer(rows, columns**0.75))
    expected = np.where(n > 0, np.maximum(expected, 0), 0)
    assert np.any(expected > 0)
    np.testing.assert_allclose(entries(counts, dtype=dtype), expected, rtol=tolerance)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5000), (3000, 11), (200, 300)])
@pytest.mark.parametrize("density", [1.0, 0.1])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_products_of_any_shape(set_constant, shape, density, index):
    set_constant(pmi, "BLOCK_COLUMNS", 64)
    counts = random_counts(*shape, density)
    counts = (counts + sparse.csr_array(([1.0], ([0], [0])), shape)).tocsr()
    counts.indptr, counts.indices = counts.indptr.astype(index), counts.indices.astype(index)
    expected = twins.positive_pmi(counts.toarray())
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(size, 9)) for size in reversed(shape))
    matrix = PositivePMI(counts, Totals.of(counts, Pool(2)), Pool(2), np.float64)
    np.testing.assert_allclose(matrix.times(x, out=np.empty_like(y)), expected @ x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(matrix.transposed_times(y, out=np.empty_like(x)), expected.T @ y, rtol=1e-9, atol=1e-9)


def test_products_are_the_same_on_any_number_of_threads():
    counts = random_counts(700, 2500)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((size, 30), dtype=np.float32) for size in (2500, 700))
    found = []
    for threads in (1, 2, 5):
        matrix = PositivePMI(counts, Totals.of(counts, Pool(2)), Pool(threads))
        found.append((matrix.times(x, out=np.empty_like(y)), matrix.transposed_times(y, out=np.empty_like(x))))
    for times, transposed in found[1:]:
        np.testing.assert_array_equal(times, found[0][0])
        np.testing.assert_array_equal(transposed, found[0][1])


def test_the_counts_stay_as_they_are():
    counts = random_counts(20, 30)
    before = counts.data.copy(), counts.indices.copy(), counts.indptr.copy()
    entries(counts)
    for old, new in zip(before, (counts.data, counts.indices, counts.indptr), strict=True):
        np.testing.assert_array_equal(old, new)


def test_columns_beyond_16_bits():
    """A row of a graph has few of very many columns, so that narrow blocks would be empty."""
    rows, columns = np.repeat(np.arange(50), 3), np.random.default_rng(0).integers(200_000, size=150)
    columns[:2] = 0, 199_999
    counts = sparse.csr_array((np.ones(150), (rows, columns)), (50, 200_000))
    counts.sum_duplicates()
    matrix = PositivePMI(counts, Totals.of(counts, Pool(2)), Pool(1))
    dense = np.arange(200_000, dtype=np.float32)[:, None]
    expected = counts.copy()
    weights = counts.sum(axis=0) ** 0.75
    expected.data = np.log(counts.data / 3 * weights.sum() / weights[counts.indices])
    found = matrix.times(dense, out=np.empty((50, 1), np.float32))
    np.testing.assert_allclose(found, expected @ dense, rtol=1e-5)
    assert np.diff(matrix._bounds).max() <= 65_536


def test_amounts_of_extreme_size_stay_finite():
    counts = sparse.csr_array(np.array([[1e-320, 1e300], [1e300, 1.0]]))
    np.testing.assert_array_equal(entries(counts) > 0, [[False, True], [True, False]])
    assert np.isfinite(entries(counts)).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_entries_in_a_file_give_the_same_bits(sizes, threads):
    """Also where some groups have no entries at all."""
    sizes.group_rows = 64
    counts = random_counts(700, 900)
    counts = sparse.csr_array(sparse.diags_array((np.arange(700) % 11 != 3).astype(float)) @ counts)  # of 11 groups
    counts.eliminate_zeros()
    counts.sort_indices()  # a product of SciPy has them in another order
    totals = Totals.of(counts, Pool(1))
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((size, 32), dtype=np.float32) for size in (900, 700))
    kept, fitting = (PositivePMI(counts, totals, Pool(threads), memory=memory) for memory in (None, 10**9))
    assert kept._spill is fitting._spill is None
    expected = kept.times(x, out=np.empty_like(y)), kept.transposed_times(y, out=np.empty_like(x))
    half = sum(rows.memory for rows in fitting._rows) // 2
    for memory, in_memory in ((half, 5), (1, 0)):
        spilled = PositivePMI(counts, totals, Pool(threads), memory=memory)
        assert len(spilled._rows) == in_memory
        for _ in range(2):
            found = spilled.times(x, out=np.empty_like(y)), spilled.transposed_times(y, out=np.empty_like(x))
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])


def test_the_rows_are_those_of_one_group_after_another(sizes):
    sizes.group_rows = 8
    counts = random_counts(20, 30, density=0.8)
    dense = twins.positive_pmi(counts.toarray())
    order = np.concatenate([np.arange(20)[groups.group_slice(group, 20)] for group in range(3)])
    np.testing.assert_allclose(entries(counts), dense[order], rtol=1e-9, atol=1e-9)


def test_a_full_disk_says_where_it_is_full(monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    spill = RowSpill()
    spill._file = Full()
    counts = random_counts(20, 30)
    pool = Pool(1)
    totals = Totals.of(counts, pool)
    rows = PositivePMI(counts, totals, pool)._rows[0].without_gaps()
    with pytest.raises(OSError, match="TMPDIR") as caught:
        spill.append(rows)
    assert caught.value.errno == errno.ENOSPC
