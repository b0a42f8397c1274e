"""The logits  x_r = f a_r + g b_r  of users r, for two matrices a and b (R, V) with contiguous rows.

User r has seen the items starts[r] to starts[r + 1] - 1 of `seen`; all other items are candidates. `x` (V,) is
scratch. ``tests/_kernels/test_mixture.py`` has the formulas in NumPy.
"""

from libc.math cimport INFINITY, log
from libc.stdint cimport int32_t

from fastembed._kernels.primitives cimport exponentials, maximum_of
from fastembed._kernels.types cimport real


cdef inline void mix(
    const real* a, const real* b, real f, real g, const int32_t[::1] starts, const int32_t[::1] seen, Py_ssize_t row,
    real[::1] x,
) noexcept nogil:
    cdef Py_ssize_t c, t
    for c in range(x.shape[0]):
        x[c] = f * a[c] + g * b[c]
    for t in range(starts[row], starts[row + 1]):
        x[seen[t]] = -INFINITY


def mixture_moments(
    const real[:, :] first, const real[:, :] second, double f, double g, const int32_t[::1] starts,
    const int32_t[::1] seen, real[::1] x, double[:, ::1] moments,
):
    """moments[r] = logsumexp x_r and the means of a, b, a a, a b, b b under softmax(x_r), over the candidates."""
    cdef Py_ssize_t row, c
    cdef const real* a
    cdef const real* b
    cdef double maximum, total, scale, p_a, p_b, mean_a, mean_b, a_a, a_b, b_b
    with nogil:
        for row in range(moments.shape[0]):
            a, b = &first[row, 0], &second[row, 0]
            mix(a, b, <real>f, <real>g, starts, seen, row, x)
            maximum = maximum_of(&x[0], x.shape[0])
            total = exponentials(&x[0], x.shape[0], <real>maximum)
            scale = 1 / total
            mean_a = mean_b = a_a = a_b = b_b = 0
            for c in range(x.shape[0]):
                p_a, p_b = x[c] * a[c] * scale, x[c] * b[c] * scale
                mean_a += p_a
                mean_b += p_b
                a_a += p_a * a[c]
                a_b += p_a * b[c]
                b_b += p_b * b[c]
            moments[row, 0], moments[row, 1], moments[row, 2] = maximum + log(total), mean_a, mean_b
            moments[row, 3], moments[row, 4], moments[row, 5] = a_a, a_b, b_b


def mixture_ranks(
    const real[:, :] first, const real[:, :] second, double f, double g, const int32_t[::1] starts,
    const int32_t[::1] seen, real[::1] x, const int32_t[::1] hidden_starts, const int32_t[::1] hidden,
    int32_t[::1] above,
):
    """above[t] = the number of candidates of row r with a higher x than hidden[t], for t from hidden_starts[r] on."""
    cdef Py_ssize_t row, t, c
    cdef int32_t count
    cdef real logit
    with nogil:
        for row in range(starts.shape[0] - 1):
            mix(&first[row, 0], &second[row, 0], <real>f, <real>g, starts, seen, row, x)
            for t in range(hidden_starts[row], hidden_starts[row + 1]):
                logit, count = x[hidden[t]], 0
                for c in range(x.shape[0]):
                    count += x[c] > logit
                above[t] = count
