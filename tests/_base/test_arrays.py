"""Sparse matrices in CSR form, and the largest of many values."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed._base.arrays import canonical_csr, largest_of_rows


def test_columns_that_lost_their_order_are_sorted():
    """SciPy remembers that they were in order, even if they no longer are."""
    counts = sparse.csr_array(np.array([[1.0, 2, 3]]))
    assert counts.has_canonical_format
    counts.indices[:] = [2, 0, 1]
    matrix = canonical_csr("counts", counts)
    assert_array_equal(matrix.indices, [0, 1, 2])
    assert_array_equal(matrix.data, [2, 3, 1])


@pytest.mark.parametrize("columns", [1, 5, 129, 1000])
@pytest.mark.parametrize("kind", ["different", "ties", "infinite"])
def test_the_largest_of_rows_are_those_of_a_stable_sort(columns, kind):
    values = np.random.default_rng(0).normal(size=(7, columns)).astype(np.float32)
    if kind == "ties":
        values = np.round(values) * np.float32(-0.0 if columns == 5 else 1)
    elif kind == "infinite":
        values[:, 1:] = -np.inf
    for count in (1, 2, columns):
        expected = np.argsort(-values, axis=1, kind="stable")[:, :count]
        assert_array_equal(largest_of_rows(values, count), expected)
