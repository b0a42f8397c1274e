"""Sparse matrices in CSR form times dense ones."""


def csr_times_dense(
    const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] data, const real[:, ::1] dense,
    real[:, ::1] product, Py_ssize_t begin, Py_ssize_t end,
):
    """product[begin:end] = A[begin:end] @ dense. Each row is one sum in column order: the same bits for any split."""
    cdef Py_ssize_t row, t, dim = dense.shape[1]
    with nogil:
        for row in range(begin, end):
            memset(&product[row, 0], 0, dim * sizeof(real))
            for t in range(indptr[row], indptr[row + 1]):
                if real is float:
                    add_scaled(&dense[indices[t], 0], data[t], dim, <float_alone>&product[row, 0])
                else:
                    add_scaled(&dense[indices[t], 0], data[t], dim, <double_alone>&product[row, 0])
