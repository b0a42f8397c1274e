"""CSR times dense, as in the start by SVD, compared with SciPy's product."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

ROWS, COLUMNS, DIM, EACH = 2_000, 10_000, 120, 100


@pytest.fixture
def operands(dtype):
    rng = np.random.default_rng(0)
    matrix = sparse.random_array((ROWS, COLUMNS), density=EACH / COLUMNS, format="csr", random_state=rng, dtype=dtype)
    dense = rng.standard_normal((COLUMNS, DIM), dtype)
    return matrix, dense, matrix.astype(np.float64) @ dense.astype(np.float64)


def in_one_block(matrix):
    starts = np.stack([matrix.indptr[:-1], matrix.indptr[1:]]).astype(np.int64)
    return np.array([0, COLUMNS], np.int32), starts, matrix.indices.astype(np.uint16), matrix.data


def test_csr_times_dense(benchmark, kernels, operands, close):
    matrix, dense, expected = operands
    product = np.empty((ROWS, DIM), dense.dtype)
    benchmark(kernels.csr_times_dense, *in_one_block(matrix), dense, product, 0, ROWS)
    close(product, expected)


def test_transposed_csr_times_dense(benchmark, kernels, operands, close):
    matrix, dense, _ = operands
    dense, product = dense[:ROWS], np.zeros((COLUMNS, DIM), dense.dtype)
    kernels.add_transposed_csr_times_dense(*in_one_block(matrix), dense, product, 0)
    close(product, matrix.T.astype(np.float64) @ dense.astype(np.float64))
    benchmark(kernels.add_transposed_csr_times_dense, *in_one_block(matrix), dense, product, 0)


def test_csr_times_dense_scipy(benchmark, operands, close):
    matrix, dense, expected = operands
    close(benchmark(matrix.__matmul__, dense), expected)
