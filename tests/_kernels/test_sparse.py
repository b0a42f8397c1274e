"""Positive PMI as a sparse matrix, and products of sparse matrices with dense ones, both ways."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

import twins


def random_matrix(rows, columns):
    rng = np.random.default_rng(rows)
    matrix = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.3)
    matrix[1::4] = 0
    matrix[0, 0] = 1
    return matrix


def in_blocks(matrix, bounds, dtype):
    """Return (bounds, starts, columns, data) as the kernels take them, with gaps between the rows."""
    starts = np.empty((len(bounds), len(matrix)), np.int64)
    columns, data = np.zeros(2 * matrix.size, np.uint16), np.full(2 * matrix.size, np.nan, dtype)
    for r, row in enumerate(matrix):
        starts[0, r] = place = 2 * r * len(row)
        for k, (first, last) in enumerate(itertools.pairwise(bounds)):
            found = np.flatnonzero(row[first:last])
            columns[place : place + len(found)], data[place : place + len(found)] = found, row[first:last][found]
            starts[k + 1, r] = place = place + len(found)
    return np.array(bounds, np.int32), starts, columns, data


def blocks_of(columns, number):
    return sorted({*range(0, columns, -(-columns // number)), columns})


@pytest.mark.parametrize(("rows", "columns", "blocks"), [(1, 1, 1), (2, 7, 3), (50, 301, 1), (50, 301, 6)])
def test_products_agree_with_dense_ones(kernels, near, rows, columns, blocks, dim):
    matrix = random_matrix(rows, columns).astype(kernels.dtype)
    stored = in_blocks(matrix, blocks_of(columns, blocks), kernels.dtype)
    rng = np.random.default_rng(dim)
    dense = rng.normal(size=(columns, dim)).astype(kernels.dtype)
    product = np.full((rows, dim), np.nan, kernels.dtype)
    kernels.csr_times_dense(*stored, dense, product, 0, rows)
    near(product, matrix.astype(float) @ dense.astype(float), scale=30)
    dense = rng.normal(size=(rows, dim)).astype(kernels.dtype)
    product = np.ones((columns, dim), kernels.dtype)  # they are added to it
    for k in range(len(stored[0]) - 1):
        kernels.add_transposed_csr_times_dense(*stored, dense, product, k)
    near(product, 1 + matrix.T.astype(float) @ dense.astype(float), scale=30)


@pytest.mark.parametrize("bounds", [[0, 90], [0, 1, 40, 89, 90]])
def test_positive_pmi_is_the_references(kernels, near, bounds):
    counts = sparse.random_array((40, 90), density=0.3, random_state=np.random.default_rng(2), format="csr")
    counts.data = np.ceil(counts.data * 9)
    totals = counts.sum(axis=0)
    weights = totals**0.75
    row_factors = 1 / np.maximum(counts.sum(axis=1), 1)
    column_factors = weights.sum() / np.maximum(weights, 1)
    starts = np.full((len(bounds), 40), -1, np.int64)
    columns, data = np.full(counts.nnz, 9999, np.uint16), np.full(counts.nnz, np.nan, kernels.dtype)
    indptr = counts.indptr.astype(np.int64)
    given = indptr[:-1], indptr[1:], counts.indices.astype(np.int32), counts.data, row_factors, column_factors
    for rows in ((0, 11), (11, 40)):
        kernels.positive_pmi(*given, np.array(bounds, np.int32), starts, columns, data, *rows, indptr[rows[0]])
    assert_array_equal(starts[0, [0, 11]], counts.indptr[[0, 11]])
    assert_array_equal(np.delete(starts[-1, :-1], 10), np.delete(starts[0, 1:], 10))  # no gaps but between the calls
    found = np.zeros((40, 90))
    for k, first in enumerate(bounds[:-1]):
        for row in range(40):
            entries = slice(starts[k, row], starts[k + 1, row])
            found[row, first + columns[entries].astype(int)] = data[entries]
    expected = twins.positive_pmi(counts.toarray())
    near(found, expected)
    assert (found > 0).sum() == (expected > 0).sum()
