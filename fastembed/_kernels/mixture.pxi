"""The logits  x_r = first_factor y_r + second_factor z_r  of users r.

The rows y_r of `first` (R, V) and the rows z_r of `second` (R, V) are contiguous. User r has seen the items
starts[r] to starts[r + 1] - 1 of `seen`; all other items are candidates. `x` (V,) is scratch.
``tests/_kernels/test_mixture.py`` has the formulas in NumPy.
"""

from libc.math cimport INFINITY, log
from libc.stdint cimport int32_t

from fastembed._kernels.primitives cimport exponentials, maximum_of
from fastembed._kernels.types cimport real


cdef inline void mix(
    const real* y, const real* z, real first_factor, real second_factor, const int32_t[::1] starts,
    const int32_t[::1] seen, Py_ssize_t row, real[::1] x,
) noexcept nogil:
    cdef Py_ssize_t c, t
    for c in range(x.shape[0]):
        x[c] = first_factor * y[c] + second_factor * z[c]
    for t in range(starts[row], starts[row + 1]):
        x[seen[t]] = -INFINITY


def mixture_moments(
    const real[:, :] first, const real[:, :] second, double first_factor, double second_factor,
    const int32_t[::1] starts, const int32_t[::1] seen, real[::1] x, double[:, ::1] moments,
):
    """moments[r] = logsumexp x_r and the means of y, z, y y, y z, z z under softmax(x_r), over the candidates."""
    cdef Py_ssize_t row, c
    cdef const real* y
    cdef const real* z
    cdef double maximum, total, scale, p_y, p_z, mean_y, mean_z, y_y, y_z, z_z
    with nogil:
        for row in range(moments.shape[0]):
            y, z = &first[row, 0], &second[row, 0]
            mix(y, z, <real>first_factor, <real>second_factor, starts, seen, row, x)
            maximum = maximum_of(&x[0], x.shape[0])
            total = exponentials(&x[0], x.shape[0], <real>maximum)
            scale = 1 / total
            mean_y = mean_z = y_y = y_z = z_z = 0
            for c in range(x.shape[0]):
                p_y, p_z = x[c] * y[c] * scale, x[c] * z[c] * scale
                mean_y += p_y
                mean_z += p_z
                y_y += p_y * y[c]
                y_z += p_y * z[c]
                z_z += p_z * z[c]
            moments[row, 0], moments[row, 1], moments[row, 2] = maximum + log(total), mean_y, mean_z
            moments[row, 3], moments[row, 4], moments[row, 5] = y_y, y_z, z_z


def mixture_ranks(
    const real[:, :] first, const real[:, :] second, double first_factor, double second_factor,
    const int32_t[::1] starts, const int32_t[::1] seen, real[::1] x,
    const int32_t[::1] hidden_starts, const int32_t[::1] hidden, int32_t[::1] above,
):
    """above[t] = the number of candidates of row r with a higher x than hidden[t], for t from hidden_starts[r] on."""
    cdef Py_ssize_t row, t, c
    cdef int32_t count
    cdef real logit
    with nogil:
        for row in range(starts.shape[0] - 1):
            mix(&first[row, 0], &second[row, 0], <real>first_factor, <real>second_factor, starts, seen, row, x)
            for t in range(hidden_starts[row], hidden_starts[row + 1]):
                logit, count = x[hidden[t]], 0
                for c in range(x.shape[0]):
                    count += x[c] > logit
                above[t] = count
