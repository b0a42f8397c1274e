"""One example against the whole vocabulary: matvec, stable softmax, loss, gradient, in-place updates.

Notation (docs/derivation.md): h = E[i], the example's embedding row; w_c the output vector of column c, a row of
`weights`; x_c = h . w_c + b_c the logits; y the target, given by its non-zero entries: `columns` (ascending) and `amounts`.

    L      = scale * (sum(y) * logsumexp(x) - sum_c y_c x_c)
    dL/dh  = scale * (sum(y) * sum_c o_c w_c - sum_c y_c w_c)         o = softmax(x)
    dL/dw_c = scale * (sum(y) * o_c - y_c) * h

The embedding's gradient needs *one* pass over `weights`: the vocabulary is walked in tiles that stay in the first-level cache,
and each tile's logits are followed at once by its share of sum_c exp(x_c - m) w_c. When a tile raises the running
maximum m, what was summed so far is rescaled by exp(old - new) (online softmax). The passes are over shards of the
vocabulary; each leaves a partial result in its own slot, and `merge` adds the slots in their order. So the result
depends on the shards' bounds, not on which thread ran which shard.

Rows of `weights` are padded with zeros to a whole number of cache lines; so is h. Loops over a row then need no tail.
"""

from libc.math cimport INFINITY, exp, log
from libc.stdint cimport int32_t
from libc.string cimport memset

from fastembed._kernels.exp cimport exp_nonpositive
from fastembed._kernels.types cimport real


cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define fastembed_prefetch(address) __builtin_prefetch((const void *)(address), 0, 3)
    #else
    #define fastembed_prefetch(address) ((void)(address))
    #endif
    """
    void prefetch "fastembed_prefetch" (const void* address) noexcept nogil


cdef enum:
    TILE_BYTES = 16384  # of `weights`; half of the smallest first-level cache in use, the next tile being prefetched
    TILE_ROWS = 256     # at most
    CACHE_LINE = 64


cdef struct Partial:
    # What one pass over a shard leaves beside its two vectors
    double maximum        # m = max of its logits
    double total          # sum of exp(x - m)
    double target_logit   # sum of y x


# ---------------------------------------------------------------- kernels, one per mathematical step

cdef inline real dot(const real* a, const real* b, Py_ssize_t n) noexcept nogil:
    cdef real s = 0
    cdef Py_ssize_t d
    for d in range(n):
        s += a[d] * b[d]
    return s


cdef inline void matvec_rows(
    const real* weights, const real* h, const real* bias, Py_ssize_t rows, Py_ssize_t width, real* logits,
) noexcept nogil:
    """x_c = h . w_c + b_c. Four rows at a time share the loads of h."""
    cdef Py_ssize_t c = 0, d
    cdef real s0, s1, s2, s3, t
    cdef const real* w0
    cdef const real* w1
    cdef const real* w2
    cdef const real* w3
    while c + 4 <= rows:
        w0 = weights + c * width
        w1 = w0 + width
        w2 = w1 + width
        w3 = w2 + width
        s0 = s1 = s2 = s3 = 0
        for d in range(width):
            t = h[d]
            s0 += w0[d] * t
            s1 += w1[d] * t
            s2 += w2[d] * t
            s3 += w3[d] * t
        logits[c] = s0
        logits[c + 1] = s1
        logits[c + 2] = s2
        logits[c + 3] = s3
        c += 4
    while c < rows:
        logits[c] = dot(weights + c * width, h, width)
        c += 1
    if bias != NULL:
        for c in range(rows):
            logits[c] += bias[c]


cdef inline real running_maximum(const real* x, Py_ssize_t n, real maximum) noexcept nogil:
    """max(maximum, x_0 ... x_n-1). A search for any larger value vectorises; the scalar scan then runs rarely."""
    cdef Py_ssize_t c
    cdef int rises = 0
    for c in range(n):
        rises |= x[c] > maximum
    if rises:
        for c in range(n):
            maximum = x[c] if x[c] > maximum else maximum
    return maximum


cdef inline double exponentials(const real* x, Py_ssize_t n, real maximum, real* e) noexcept nogil:
    """e_c = exp(x_c - maximum) for at most TILE_ROWS values; returns their sum."""
    cdef Py_ssize_t c
    cdef real s = 0
    for c in range(n):
        e[c] = exp_nonpositive(x[c] - maximum)
        s += e[c]
    return s


cdef inline void add_weighted_rows(
    const real* weights, const real* e, Py_ssize_t rows, Py_ssize_t width, real* total, const real* ahead,
) noexcept nogil:
    """total += sum_c e_c w_c, eight rows at a time; asks meanwhile for the rows at `ahead`, which come next."""
    cdef Py_ssize_t c = 0, d, line
    cdef Py_ssize_t lines = 8 * width * <Py_ssize_t>sizeof(real) // CACHE_LINE
    cdef const real* w
    cdef real e0, e1, e2, e3, e4, e5, e6, e7
    while c + 8 <= rows:
        w = weights + c * width
        for line in range(lines):
            prefetch(<const char*>(ahead + c * width) + line * CACHE_LINE)
        e0, e1, e2, e3 = e[c], e[c + 1], e[c + 2], e[c + 3]
        e4, e5, e6, e7 = e[c + 4], e[c + 5], e[c + 6], e[c + 7]
        for d in range(width):
            total[d] += (
                (e0 * w[d] + e1 * w[width + d] + e2 * w[2 * width + d] + e3 * w[3 * width + d])
                + (e4 * w[4 * width + d] + e5 * w[5 * width + d] + e6 * w[6 * width + d] + e7 * w[7 * width + d])
            )
        c += 8
    while c < rows:
        add_scaled(weights + c * width, e[c], width, total)
        c += 1


cdef inline void add_scaled(const real* x, real factor, Py_ssize_t n, real* total) noexcept nogil:
    """total += factor * x: the row update, with factor = -learning_rate."""
    cdef Py_ssize_t d
    for d in range(n):
        total[d] += factor * x[d]


cdef inline void scale_by(real* x, real factor, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t d
    for d in range(n):
        x[d] *= factor


cdef inline Py_ssize_t lower_bound(
    const int32_t* columns, Py_ssize_t first, Py_ssize_t last, Py_ssize_t column,
) noexcept nogil:
    """Index of the first of the ascending columns[first:last] that is not below `column`."""
    cdef Py_ssize_t middle
    while first < last:
        middle = first + (last - first) // 2
        if columns[middle] < column:
            first = middle + 1
        else:
            last = middle
    return first
