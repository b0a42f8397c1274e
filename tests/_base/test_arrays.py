"""Sparse matrices in CSR form, and the largest of many values."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Classifier
from fastembed._base.arrays import canonical_csr, largest_of_rows
from fastembed.evaluation import split_users


def test_columns_that_lost_their_order_are_sorted():
    """SciPy remembers that they were in order, even if they no longer are."""
    counts = sparse.csr_array(np.array([[1.0, 2, 3]]))
    assert counts.has_canonical_format
    counts.indices[:] = [2, 0, 1]
    matrix = canonical_csr("counts", counts)
    assert_array_equal(matrix.indices, [0, 1, 2])
    assert_array_equal(matrix.data, [2, 3, 1])


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo"])
@pytest.mark.parametrize("index", [-1, 9])
def test_indices_that_a_caller_has_changed_are_checked(form, index):
    """SciPy trusts those of an array that it has made once."""
    counts = sparse.csr_array(np.eye(9)).asformat(form)
    (counts.row if form == "coo" else counts.indices)[3] = index
    with pytest.raises(ValueError, match=r"must be|exceeds|negative"):
        canonical_csr("counts", counts)
    with pytest.raises(ValueError, match=r"must be|exceeds|negative"):
        split_users(counts)
    if form == "csr":
        with pytest.raises(ValueError, match=r"(indices|index values) must be"):
            Classifier(threads=1).fit(list("abcdefghi"), np.eye(9)).partial_fit(list("abcdefghi"), counts)


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
