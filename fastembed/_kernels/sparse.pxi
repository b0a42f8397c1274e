"""Sparse matrices in CSR form times dense ones."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from fastembed._kernels.primitives cimport CACHE_LINE, add_scaled, prefetch
from fastembed._kernels.types cimport real, real_alone


cdef inline void add_gathered_rows(
    const real* dense, const int32_t* indices, const real* data, Py_ssize_t entries, Py_ssize_t dim, real_alone total,
) noexcept nogil:
    """total += sum_t data_t dense[indices_t], four rows at a time; prefetches the four that come next."""
    cdef Py_ssize_t t = 0, d, ahead, line, lines = dim * <Py_ssize_t>sizeof(real) // CACHE_LINE + 1
    cdef const real* r0
    cdef const real* r1
    cdef const real* r2
    cdef const real* r3
    cdef real a0, a1, a2, a3
    while t + 4 <= entries:
        for ahead in range(t + 4, min(t + 8, entries)):
            for line in range(lines):
                prefetch(<const char*>(dense + indices[ahead] * dim) + line * CACHE_LINE)
        r0, r1 = dense + indices[t] * dim, dense + indices[t + 1] * dim
        r2, r3 = dense + indices[t + 2] * dim, dense + indices[t + 3] * dim
        a0, a1, a2, a3 = data[t], data[t + 1], data[t + 2], data[t + 3]
        for d in range(dim):
            total[d] += (a0 * r0[d] + a1 * r1[d]) + (a2 * r2[d] + a3 * r3[d])
        t += 4
    while t < entries:
        add_scaled(dense + indices[t] * dim, data[t], dim, total)
        t += 1


def csr_times_dense(
    const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] data, const real[:, ::1] dense,
    real[:, ::1] product, Py_ssize_t begin, Py_ssize_t end,
):
    """product[begin:end] = A[begin:end] @ dense. Each row is one sum in column order: the same bits for any split."""
    cdef Py_ssize_t row, first, entries, dim = dense.shape[1]
    cdef real* total
    with nogil:
        for row in range(begin, end):
            total = &product[row, 0]
            memset(total, 0, dim * sizeof(real))
            first, entries = indptr[row], indptr[row + 1] - indptr[row]
            if entries == 0:
                continue
            add_gathered_rows(&dense[0, 0], &indices[first], &data[first], entries, dim, total)
