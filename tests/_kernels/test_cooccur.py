"""The kernels that count windows; the counts of windows are compared with the reference in tests/counts."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import twins
from fastembed._kernels import cooccur


def test_a_kernel_that_is_told_to_stop_leaves_the_rest_out():
    ids = np.array([-1, *[0, 1] * 50, -1], np.int32)
    starts, positions, places = np.array([0, 50, 100]), np.empty(100, np.int32), np.array([0, 50], np.int32)
    cooccur.gather_positions(ids, 0, len(ids), places, positions)
    lengths, columns, values = np.empty(2, np.int64), np.empty(4, np.int32), np.empty(4)
    scratch = np.zeros(2), np.empty(3, np.int32), np.zeros(1, np.uint64), np.zeros(1, np.uint64)
    weights = np.ones(1)
    written = [
        cooccur.count_rows(
            ids, starts, positions, 0, 2, weights, weights, 2, False, *scratch, lengths, columns, values,
            np.array([stop], np.int32),
        )
        for stop in (0, 1)
    ]  # fmt: skip
    assert written == [2, 0]
    assert lengths.tolist() == [0, 0]


def test_positions_are_those_of_the_twin():
    ids = np.random.default_rng(0).integers(-1, 9, 300).astype(np.int32)
    expected = twins.positions(ids, 10)
    sizes = np.zeros(10, np.int32)
    for piece in ((0, 100), (100, 300)):
        cooccur.count_ids(ids, *piece, sizes)
    assert sizes.tolist() == list(map(len, expected))
    places, positions = (np.cumsum(sizes) - sizes).astype(np.int32), np.empty(sizes.sum(), np.int32)
    for piece in ((0, 100), (100, 300)):
        cooccur.gather_positions(ids, *piece, places, positions)
    assert_array_equal(positions, np.concatenate(expected))


def test_totals_are_those_of_the_twin():
    counts = sparse.random_array((30, 20), density=0.2, random_state=np.random.default_rng(0), format="csr")
    indptr, indices = counts.indptr.astype(np.int64), counts.indices.astype(np.int32)
    rows, columns = np.full(30, np.nan), np.ones(20)  # they are added to the sums of columns
    cooccur.add_totals(indptr[:-1], indptr[1:], indices, counts.data, rows, columns)
    expected = twins.totals(counts.toarray())
    assert_allclose(rows, expected[0], rtol=1e-12)
    assert_allclose(columns - 1, expected[1], rtol=1e-12)
