"""Inputs that are weighted bags of rows of the embedding.

    h_n = sum_f X_nf E_f          (B, D)    `gather_bag`
    g_f = sum_n X_nf dL/dh_n      the gradient of each row of E in the bags of a block: `update_named`

X is in CSR form: bag n has the ids, ascending and distinct, and the weights from starts[n] to starts[n + 1] - 1.

Bags share rows of E, so `group_bags` groups the entries of the bags of a block by row of E. The groups are in the order
in which their rows first occur in the block; the entries of a group are in the order of the block. So g_f is one sum
whose order depends on the block alone, and a step reads and writes each row of E once.

The twins are `gather` and `scatter` of ``fastembed/reference.py``.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from fastembed._kernels.primitives cimport (
    CACHE_LINE, add_gathered_rows, descend, prefetch, step_length, whole_lines,
)
from fastembed._kernels.types cimport real, real_alone


cdef enum:
    BAG_AHEAD = 64   # most rows of the next bag that are prefetched
    NAMED_AHEAD = 6  # rows between the prefetch of a row and its update


cdef struct Bags:
    # X in CSR form
    const int64_t* starts   # NULL if there are no bags: input n is row n of the embedding
    const int32_t* ids
    const void* weights     # in the dtype of the model


cdef struct Groups:
    # The entries of the bags of a block, grouped by row of the embedding
    Py_ssize_t size         # number of groups
    int32_t* rows           # (size,)
    int64_t* ends           # (size,): where the entries of each group end
    int32_t* members        # (entries,): index of the bag in the block
    void* weights           # (entries,)


# ---------------------------------------------------------------- kernels, one per mathematical step

cdef inline void prefetch_row(const real* row, Py_ssize_t dim) noexcept nogil:
    cdef Py_ssize_t line, lines = dim * <Py_ssize_t>sizeof(real) // CACHE_LINE
    for line in range(lines):
        prefetch(<const char*>row + line * CACHE_LINE)
    prefetch(row + dim - 1)


cdef inline void gather_bag(
    const real* embedding, Py_ssize_t dim, const int32_t* ids, const real* weights, Py_ssize_t entries, real_alone h,
) noexcept nogil:
    """h = sum_t weights_t E[ids_t], in the order of the entries; 0 for an empty bag."""
    cdef Py_ssize_t d
    cdef const real* row
    if entries == 0:
        memset(h, 0, dim * sizeof(real))
        return
    row = embedding + ids[0] * dim
    for d in range(dim):
        h[d] = weights[0] * row[d]
    add_gathered_rows(embedding, ids + 1, weights + 1, entries - 1, dim, h)


cdef inline void gather_bags(
    const real* embedding, Py_ssize_t dim, const Bags* bags, const Py_ssize_t* rows, Py_ssize_t size,
    Py_ssize_t first, Py_ssize_t last, real* h, Py_ssize_t width,
) noexcept nogil:
    """Gather the bags rows[first] to rows[last - 1] of a block into H (size, width)."""
    cdef const real* weights = <const real*>bags.weights
    cdef Py_ssize_t b
    cdef int64_t t, begin, end
    for b in range(first, last):
        if b + 2 < size:
            prefetch(bags.ids + bags.starts[rows[b + 2]])
            prefetch(weights + bags.starts[rows[b + 2]])
        if b + 1 < last:
            begin, end = bags.starts[rows[b + 1]], bags.starts[rows[b + 1] + 1]
            for t in range(begin, min(end, begin + BAG_AHEAD)):
                prefetch_row(embedding + bags.ids[t] * dim, dim)
        begin, end = bags.starts[rows[b]], bags.starts[rows[b] + 1]
        gather_bag(embedding, dim, bags.ids + begin, weights + begin, end - begin, h + b * width)


cdef inline void group_bags(
    const Bags* bags, const Py_ssize_t* rows, Py_ssize_t size, const real* bag_weights, int32_t* slots,
    int32_t* slot_of_entry, Groups* groups, const real* weights,
) noexcept nogil:
    """Group the entries of the bags rows[0] to rows[size - 1] of a block; `weights` are `bags.weights`.

    `bag_weights` (N,) are factors on the weights in the groups, or NULL. `slots` (V_in,) is -1 everywhere before and
    after. `slot_of_entry` has room for all entries of the block.
    """
    cdef real* grouped = <real*>groups.weights
    cdef real weight = 1
    cdef Py_ssize_t b, count = 0, e = 0, k
    cdef int64_t t, place = 0, entries
    cdef int32_t f, slot
    for b in range(size):
        for t in range(bags.starts[rows[b]], bags.starts[rows[b] + 1]):
            f = bags.ids[t]
            slot = slots[f]
            if slot < 0:
                slot = <int32_t>count
                slots[f] = slot
                groups.rows[count] = f
                groups.ends[count] = 0
                count += 1
            groups.ends[slot] += 1
            slot_of_entry[e] = slot
            e += 1
    for k in range(count):  # ends[k] is the size of group k, becomes its start, and below its end
        slots[groups.rows[k]] = -1
        entries = groups.ends[k]
        groups.ends[k] = place
        place += entries
    e = 0
    for b in range(size):
        if bag_weights != NULL:
            weight = bag_weights[rows[b]]
        for t in range(bags.starts[rows[b]], bags.starts[rows[b] + 1]):
            slot = slot_of_entry[e]
            place = groups.ends[slot]
            groups.members[place] = <int32_t>b
            grouped[place] = weight * weights[t]
            groups.ends[slot] = place + 1
            e += 1
    groups.size = count


cdef inline void update_named(
    real* embedding, Py_ssize_t dim, const Groups* groups, Py_ssize_t first, Py_ssize_t last, const real* h_gradients,
    Py_ssize_t width, const double* row_rates, double* squares, double rate, real* g,
) noexcept nogil:
    """Make a step on the rows of groups `first` to last - 1; a row whose rate is 0 keeps its bits.

    The step is row-wise Adagrad's, or gradient descent's if `squares` is NULL. `h_gradients` (B, width) are dL/dh of
    the block. `g` (width,) is scratch, zero beyond `dim`.
    """
    cdef const real* weights = <const real*>groups.weights
    cdef int64_t begin = groups.ends[first - 1] if first else 0, end
    cdef Py_ssize_t k
    cdef int32_t row
    cdef double* square = NULL
    cdef double step
    for k in range(first, last):
        if k + NAMED_AHEAD < last:
            row = groups.rows[k + NAMED_AHEAD]
            prefetch_row(embedding + row * dim, dim)
            if squares != NULL:
                prefetch(squares + row)
            prefetch(row_rates + row)
        row, end = groups.rows[k], groups.ends[k]
        if row_rates[row] != 0:
            gather_bag(
                h_gradients, whole_lines(width, g), groups.members + begin, weights + begin, end - begin, g,
            )
            if squares != NULL:
                square = squares + row
            step = step_length(square, g, rate * row_rates[row], whole_lines(width, g))
            if step != 0:
                descend(embedding + row * dim, g, step, dim)
        begin = end
