"""The loss "squared" with full rank: an epoch of dual coordinate ascent on a tile of labels.

Document i is the bag x_i with the cost C_i; y_il is 1 if it has label l, else 0. Label l has weights w_l, a bias b_l,
and for each document the score m_il = x_i . w_l + b_l. The objective of a label is

    |w_l|^2 / 2 + sum_i C_i (y_il - m_il)^2 / 2

At its minimum w_l = sum_i a_il x_i, with the duals a_il = C_i (y_il - m_il). A step keeps the first equation and solves
the second for one document. Adding d to a_il adds |x_i|^2 d to m_il, so

    d = (C_i (y_il - m_il) - a_il) / (1 + |x_i|^2 C_i)

docs/derivation.md, section 8, has X_i, kappa_i, x_il and theta_il for x_i, C_i, m_il and a_il. The twin is
`squares_epoch` of ``tests/twins.py``.

The bias is u times the weight of one more feature, which is u in every document. `bias_square` is u^2. With a larger u,
l2 draws the bias less to its first value, but documents are more alike, so training takes more epochs.

Most features occur in one document alone. The weight of such a feature f of document i is x_if a_il, so it needs no
row. Together these features add unshared_i a_il to m_il, where unshared_i is the sum of their x_if^2. |x_i|^2 includes
them.

Labels are independent. A tile has as many labels as fit a cache line; its weights, a row per feature, are contiguous.
The compiler does not know `width`: it would unroll the loops before it vectorises them, which doubles their time.
"""

from libc.math cimport fabs
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from fastembed._kernels.primitives cimport add_gathered_rows, add_scaled, maximum_of, prefetch
from fastembed._kernels.types cimport real, real_alone

cdef enum:
    MOST_LANES = 16
    LINE_ENTRIES = 16  # ids of a cache line
    # Documents between a prefetch and its use. Each prefetch needs the data of the prefetch before:
    ENTRIES_AHEAD = 40   # of the arrays with one number per document
    BAGS_AHEAD = 16      # of two cache lines of the bag
    DOCUMENTS_AHEAD = 6  # of the rows of the bag


cdef inline double ascend_squares(
    const real* m, const real* y, real square, real cost, real_alone dual, real_alone change, Py_ssize_t width,
) noexcept nogil:
    """Make the step of one document on the labels of a tile; return the loss before the step, divided by the cost."""
    cdef Py_ssize_t d
    cdef real divisor = <real>1 + square * cost, loss = 0
    for d in range(width):
        loss += (y[d] - m[d]) * (y[d] - m[d])
        change[d] = (cost * (y[d] - m[d]) - dual[d]) / divisor
        dual[d] += change[d]
    return loss / 2


def squares_epoch(
    const int64_t[::1] starts, const int32_t[::1] ids, const real[::1] weights, const real[::1] squares,
    const real[::1] unshared, const int64_t[::1] label_starts, const int32_t[::1] label_ids, const real[::1] costs,
    const int64_t[::1] order, real[:, ::1] bias, real[:, :, ::1] rows, real[:, :, ::1] dual,
    Py_ssize_t tile, real bias_square, double[:, ::1] sums,
):
    """Make the steps of the documents `order` on one tile of labels.

    `squares` are |x_i|^2 plus the `bias_square`. sums[tile] becomes the sum of the losses before each step, and the
    largest change of a score by a step, |x_i|^2 |d|.
    """
    cdef Py_ssize_t width = rows.shape[2], k, t, i, ahead, first = tile * width, count = order.shape[0]
    cdef real* tile_rows = &rows[tile, 0, 0]
    cdef real* tile_dual = &dual[tile, 0, 0]
    cdef const int32_t* labels = &label_ids[0] if label_ids.shape[0] else NULL
    cdef real[MOST_LANES] m, change, largest
    cdef real[MOST_LANES + 1] y  # the last element is for the labels of other tiles
    cdef double loss = 0
    with nogil:
        memset(&largest[0], 0, sizeof(largest))
        for k in range(count):
            i = order[k]
            if k + ENTRIES_AHEAD < count:
                ahead = order[k + ENTRIES_AHEAD]
                prefetch(&starts[0] + ahead)
                prefetch(&label_starts[0] + ahead)
                prefetch(labels + ahead)  # right if all documents have one label
                prefetch(&squares[0] + ahead)
                prefetch(&unshared[0] + ahead)
                prefetch(&costs[0] + ahead)
            if k + BAGS_AHEAD < count:
                t = starts[order[k + BAGS_AHEAD]]
                prefetch(&ids[0] + t)
                prefetch(&ids[0] + t + LINE_ENTRIES)
                prefetch(&weights[0] + t)
                prefetch(&weights[0] + t + LINE_ENTRIES)
            if k + DOCUMENTS_AHEAD < count:
                ahead = order[k + DOCUMENTS_AHEAD]
                for t in range(starts[ahead], starts[ahead + 1]):
                    prefetch(tile_rows + ids[t] * width)
                prefetch(tile_dual + ahead * width)
            memcpy(&m[0], &bias[tile, 0], width * sizeof(real))
            t = starts[i]
            add_gathered_rows(tile_rows, &ids[0] + t, &weights[0] + t, starts[i + 1] - t, width, &m[0])
            add_scaled(tile_dual + i * width, unshared[i], width, &m[0])
            memset(&y[0], 0, width * sizeof(real))
            for t in range(label_starts[i], label_starts[i + 1]):
                y[min(<size_t>(label_ids[t] - first), <size_t>width)] = 1  # a branch would be unpredictable
            loss += costs[i] * ascend_squares(
                &m[0], &y[0], squares[i], costs[i], tile_dual + i * width, &change[0], width
            )
            for t in range(width):
                largest[t] = max(largest[t], squares[i] * <real>fabs(change[t]))
            add_scaled(&change[0], bias_square, width, &bias[tile, 0])
            for t in range(starts[i], starts[i + 1]):
                add_scaled(&change[0], weights[t], width, tile_rows + ids[t] * width)
        sums[tile, 0] = loss
        sums[tile, 1] = maximum_of(&largest[0], width)
