"""The Python interface of the kernels of bags.pxd."""

from libc.stdint cimport int32_t, int64_t

from fastembed._kernels.bags cimport Bags, gather_bags
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
