"""Positive pointwise mutual information as a sparse matrix, and products of sparse matrices.

A sparse matrix A (R, C) is in panels of columns: panel k has the columns bounds[k] to bounds[k + 1] - 1, and of each
row the entries starts[k, row] to starts[k + 1, row] - 1. Columns of entries are relative to the panel, in 16 bits. The
rows of a dense operand or product that belong to a panel stay in the second-level cache during a pass over all rows of
A.

The twin of `positive_pmi` is in ``tests/twins.py``.
"""

from libc.math cimport log
from libc.stdint cimport int32_t, int64_t, uint16_t
from libc.string cimport memset

from fastembed._kernels.bits cimport bits32, float_of
from fastembed._kernels.primitives cimport CACHE_LINE, add_gathered_rows, add_scaled, prefetch, whole_lines
from fastembed._kernels.types cimport real, real_alone

cdef enum:
    ROWS_AHEAD = 16  # rows ahead to prefetch: the entries of successive rows in a panel are far apart


cdef inline real logarithm(real x) noexcept nogil:
    """Return log x for finite x > 1. In float, a plain loop over it vectorises; the relative error is at most 1.2e-7.

    x = 2^n (1 + r) with 1 + r between sqrt(1/2) and sqrt(2), so log x = n ln2 + r + r^2 q(r). The polynomial q
    minimises the largest relative error.
    """
    cdef int32_t n
    cdef real r, q
    if real is double:
        return log(x)
    else:
        n = (bits32(x) - 0x3f3504f3) >> 23  # the bits of sqrt(1/2)
        r = float_of(bits32(x) - (n << 23)) - <float>1
        q = <float>-0.14307518303394318 + r * <float>0.08734836429357529
        q = <float>0.14917974174022675 + r * q
        q = <float>-0.16570508480072021 + r * q
        q = <float>0.19962072372436523 + r * q
        q = <float>-0.25001755356788635 + r * q
        q = <float>0.33333951234817505 + r * q
        q = <float>-0.49999991059303284 + r * q
        return n * <float>0.6931471805599453 + (r + r * r * q)


def positive_pmi(
    const int64_t[::1] begins, const int64_t[::1] ends, const int32_t[::1] indices, const double[::1] counts,
    const double[::1] row_factors, const double[::1] column_factors, const int32_t[::1] bounds, int64_t[:, :] starts,
    uint16_t[::1] columns, real[::1] data, Py_ssize_t place,
):
    """A_rc = log(N_rc f_r g_c) where that is positive.

    Row r of N has the entries begins[r] to ends[r] - 1 of `indices` and `counts`. The entries of A are written to
    `columns` and `data` from `place` on, without gaps, and their places to `starts`.
    """
    cdef Py_ssize_t row, t, k, first, panels = bounds.shape[0] - 1
    cdef double factor, ratio, largest = 3e38 if real is float else 1.7e308
    cdef int32_t column
    with nogil:
        for row in range(begins.shape[0]):
            k, first, factor = 0, place, row_factors[row]
            starts[0, row] = place
            for t in range(begins[row], ends[row]):
                column = indices[t]
                while column >= bounds[k + 1]:
                    k += 1
                    starts[k, row] = place
                ratio = counts[t] * factor * column_factors[column]
                columns[place] = <uint16_t>(column - bounds[k])
                data[place] = <real>(ratio if ratio < largest else largest)
                place += ratio > 1  # a branch would be unpredictable
            for t in range(first, place):
                data[t] = logarithm(data[t])
            while k < panels:
                k += 1
                starts[k, row] = place


cdef inline void scatter_row(
    const real* row, const uint16_t* columns, const real* data, Py_ssize_t entries, Py_ssize_t dim, real_alone product,
) noexcept nogil:
    """product[columns_t] += data_t row, for each t."""
    cdef Py_ssize_t t
    for t in range(entries):
        add_scaled(row, data[t], dim, product + columns[t] * dim)


def csr_times_dense(
    const int32_t[::1] bounds, const int64_t[:, ::1] starts, const uint16_t[::1] columns, const real[::1] data,
    const real[:, ::1] dense, real[:, ::1] product, Py_ssize_t begin, Py_ssize_t end,
):
    """product[begin:end] = A[begin:end] @ dense, each row summed in the order of the columns."""
    cdef Py_ssize_t row, k, first, entries, dim = dense.shape[1]
    cdef const real* panel
    with nogil:
        memset(&product[begin, 0], 0, (end - begin) * dim * sizeof(real))
        for k in range(starts.shape[0] - 1):
            panel = &dense[bounds[k], 0]
            for row in range(begin, end):
                first, entries = starts[k, row], starts[k + 1, row] - starts[k, row]
                if entries:
                    add_gathered_rows(panel, &columns[first], &data[first], entries, dim, &product[row, 0])


def add_transposed_csr_times_dense(
    const int32_t[::1] bounds, const int64_t[:, ::1] starts, const uint16_t[::1] columns, const real[::1] data,
    const real[:, ::1] dense, real[:, ::1] product, Py_ssize_t k,
):
    """Add the rows of A.T @ dense for panel k to `product`, each summed in the order of the rows of A."""
    if not columns.shape[0]:  # a memoryview of length 0 has no first element
        return
    cdef Py_ssize_t row, first, entries, ahead, dim = dense.shape[1], rows = starts.shape[1]
    cdef const uint16_t* all_columns = &columns[0]
    cdef const real* all_data = &data[0]
    cdef real* panel = &product[bounds[k], 0]
    cdef Py_ssize_t whole = whole_lines(dim, panel)
    with nogil:
        for row in range(rows):
            ahead = starts[k, min(row + ROWS_AHEAD, rows - 1)]
            prefetch(all_columns + ahead)
            prefetch(all_data + ahead)
            prefetch(<const char*>(all_data + ahead) + CACHE_LINE)
            first, entries = starts[k, row], starts[k + 1, row] - starts[k, row]
            if dim == whole:  # the compiler makes a loop without a tail
                scatter_row(&dense[row, 0], all_columns + first, all_data + first, entries, whole, panel)
            else:
                scatter_row(&dense[row, 0], all_columns + first, all_data + first, entries, dim, panel)


def add_log_product(
    const int32_t[::1] starts, const int32_t[::1] columns, const real[::1] counts, const int32_t[::1] ends,
    const int32_t[::1] indices, const real[::1] data, double factor, double floor, real[::1] sums, real[:, ::1] logits,
):
    """logits += factor log(1 + max(0, N B) / floor), for N (R, V) and B (V, V) in CSR form.

    N has `starts`, `columns` and `counts`; B has `ends`, where its rows begin and the last one ends, `indices` and
    `data`. `sums` (V,) is scratch for a row of N B.
    """
    cdef Py_ssize_t row, t, k, c, ahead, n = sums.shape[0]
    cdef real count, scale = <real>(1 / floor), times = <real>factor, one = 1, zero = 0
    cdef real* total = &sums[0]
    cdef real* x
    with nogil:
        for row in range(starts.shape[0] - 1):
            memset(total, 0, n * sizeof(real))
            for t in range(starts[row], starts[row + 1]):
                count = counts[t]
                ahead = columns[min(t + 1, starts[row + 1] - 1)]  # rows of B are scattered in memory
                for k in range(ends[ahead], ends[ahead + 1], 16):
                    prefetch(&indices[k])
                    prefetch(&data[k])
                for k in range(ends[columns[t]], ends[columns[t] + 1]):
                    total[indices[k]] += count * data[k]
            x = &logits[row, 0]
            for c in range(n):
                x[c] += times * logarithm(one + scale * max(total[c], zero))


def quadratic_forms(
    const int32_t[::1] starts, const int32_t[::1] columns, const real[::1] data, const real[:, ::1] dense,
    real[::1] forms,
):
    """forms[r] = a D a^T, where a is row r of a CSR matrix and D, `dense`, is symmetric."""
    cdef Py_ssize_t row, s, t
    cdef double form, half
    with nogil:
        for row in range(forms.shape[0]):
            form = 0
            for s in range(starts[row], starts[row + 1]):
                half = dense[columns[s], columns[s]] * data[s] / 2
                for t in range(starts[row], s):
                    half += dense[columns[s], columns[t]] * data[t]
                form += 2 * half * data[s]
            forms[row] = <real>form
