"""The Python interface of the kernels of bags.pxd."""

from libc.stdint cimport int32_t, int64_t

from fastembed._kernels.bags cimport Bags, Groups, gather_bags, group_bags, update_named
from fastembed._kernels.types cimport real


def bag_gather(
    const real[:, ::1] embedding, const int64_t[::1] starts, const int32_t[::1] ids, const real[::1] weights,
    const Py_ssize_t[::1] rows, Py_ssize_t first, Py_ssize_t last, real[:, ::1] h,
):
    """h[first:last] = X[rows[first:last]] @ embedding; h (B, at least D)."""
    cdef Bags bags = Bags(&starts[0], &ids[0], &weights[0])
    with nogil:
        gather_bags(
            &embedding[0, 0], embedding.shape[1], &bags, &rows[0], rows.shape[0], first, last, &h[0, 0], h.shape[1],
        )


def bag_group(
    const int64_t[::1] starts, const int32_t[::1] ids, const real[::1] weights, const Py_ssize_t[::1] rows,
    const real[::1] bag_weights, int32_t[::1] slots, int32_t[::1] slot_of_entry,
    int32_t[::1] named, int64_t[::1] ends, int32_t[::1] members, real[::1] grouped_weights,
) -> int:
    """Fill the `Groups` of the bags `rows` of a block; return their number.

    `bag_weights` (N,) or None; `slots` (V_in,) is -1, and stays so.
    """
    cdef Bags bags = Bags(&starts[0], &ids[0], &weights[0])
    cdef Groups groups = Groups(0, &named[0], &ends[0], &members[0], &grouped_weights[0])
    cdef const real* of_bags = NULL
    if bag_weights is not None:
        of_bags = &bag_weights[0]
    with nogil:
        group_bags(&bags, &rows[0], rows.shape[0], of_bags, &slots[0], &slot_of_entry[0], &groups, &weights[0])
    return groups.size


def bag_update(
    real[:, ::1] embedding, int32_t[::1] named, int64_t[::1] ends, int32_t[::1] members, real[::1] weights,
    Py_ssize_t first, Py_ssize_t last, const real[:, ::1] h_gradients, const double[::1] row_rates,
    double[::1] squares, double rate, real[::1] g,
):
    """`update_named` of the groups `first` to last - 1; h_gradients (B, width), g (width,), the rest (V_in,).

    `squares` is None for gradient descent.
    """
    cdef double* sums = NULL
    if squares is not None:
        sums = &squares[0]
    cdef Groups groups = Groups(named.shape[0], &named[0], &ends[0], &members[0], &weights[0])
    with nogil:
        update_named(
            &embedding[0, 0], embedding.shape[1], &groups, first, last, &h_gradients[0, 0], h_gradients.shape[1],
            &row_rates[0], sums, rate, &g[0],
        )
