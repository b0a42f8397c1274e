"""The product of a CSR matrix with a dense one, against the reference and by hand."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import reference


def random_csr(rows, columns, dtype):
    rng = np.random.default_rng(rows)
    dense = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.3)
    dense[1::4] = 0
    matrix = sparse.csr_array(dense.astype(dtype))
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 7), (50, 301)])
def test_a_product_is_the_references(kernels, near, rows, columns, dim):
    csr = random_csr(rows, columns, kernels.dtype)
    if not len(csr[1]):
        csr = np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, kernels.dtype)
    dense = np.random.default_rng(dim).normal(size=(columns, dim)).astype(kernels.dtype)
    product = np.full((rows, dim), np.nan, kernels.dtype)
    kernels.csr_times_dense(*csr, dense, product, 0, rows)
    near(product, reference.csr_times_dense(*csr, dense), scale=30)


def test_a_product_agrees_with_a_calculation_by_hand(kernels):
    """[[0, 2], [0, 0], [3, 1]] times [[1, 10], [4, 40]]."""
    csr = np.array([0, 1, 1, 3]), np.array([1, 0, 1], np.int32), np.array([2, 3, 1], kernels.dtype)
    product = np.empty((3, 2), kernels.dtype)
    kernels.csr_times_dense(*csr, np.array([[1, 10], [4, 40]], kernels.dtype), product, 0, 3)
    assert_array_equal(product, [[8, 80], [0, 0], [7, 70]])


def test_any_split_of_the_rows_gives_the_same_bits_and_touches_no_other_row(kernels):
    csr = random_csr(60, 200, kernels.dtype)
    dense = np.random.default_rng(0).normal(size=(200, 33)).astype(kernels.dtype)
    whole, parts = (np.full((60, 33), 7, kernels.dtype) for _ in range(2))
    kernels.csr_times_dense(*csr, dense, whole, 0, 60)
    kernels.csr_times_dense(*csr, dense, parts, 20, 41)
    assert (parts[:20] == 7).all()
    assert (parts[41:] == 7).all()
    kernels.csr_times_dense(*csr, dense, parts, 41, 60)
    kernels.csr_times_dense(*csr, dense, parts, 0, 20)
    assert_array_equal(parts, whole)
