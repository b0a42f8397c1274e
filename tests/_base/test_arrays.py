"""Sparse matrices in CSR form, and the largest of many values."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed._base.arrays import canonical_csr, csr, largest, largest_of_rows, row_ranges


def test_columns_that_lost_their_order_are_sorted():
    """SciPy remembers that they were in order, even if they no longer are."""
    counts = sparse.csr_array(np.array([[1.0, 2, 3]]))
    assert counts.has_canonical_format
    counts.indices[:] = [2, 0, 1]
    matrix = canonical_csr("counts", counts)
    assert_array_equal(matrix.indices, [0, 1, 2])
    assert_array_equal(matrix.data, [2, 3, 1])


def test_a_canonical_matrix_is_not_copied():
    counts = sparse.csr_array(np.array([[1.0, 0, 3]]))
    assert np.shares_memory(canonical_csr("counts", counts).data, counts.data)


def test_csr_arrays_are_built_without_copies():
    matrix = sparse.random_array((40, 30), density=0.3, random_state=np.random.default_rng(0)).tocsr()
    indices, indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64)
    array = csr(matrix.data, indices, indptr, matrix.shape)
    assert np.shares_memory(array.indices, indices)
    assert np.shares_memory(array.data, matrix.data)


@given(st.lists(st.integers(0, 9), min_size=1), st.integers(1, 20))
def test_row_ranges_cover_all_rows_in_the_wanted_size(sizes, wanted):
    ranges = row_ranges(np.array(sizes), wanted)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(sizes)
    assert all(a < b for a, b in ranges)
    assert all(b == c for (_, b), (c, _) in pairwise(ranges))
    assert all(sum(sizes[a : b - 1]) <= wanted for a, b in ranges)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 49, 50, 51])
def test_ties_are_in_the_order_of_places(count):
    values = np.random.default_rng(0).integers(0, 9, 50) / 8
    expected = sorted(range(50), key=lambda place: (-values[place], place))[:count]
    assert largest(values, count).tolist() == expected


@given(
    st.lists(st.lists(st.sampled_from([-np.inf, -2.5, -0.0, 0.0, 1e-40, 0.5, 3.0, np.inf]), min_size=6, max_size=6)),
    st.integers(1, 8),
)
def test_the_largest_of_rows_are_those_of_each(rows, count):
    values = np.array(rows, np.float32).reshape(-1, 6)
    found = largest_of_rows(values, count)
    assert found.shape == (len(values), min(count, 6))
    assert found.tolist() == [largest(row, count).tolist() for row in values]
