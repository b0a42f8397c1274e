"""Inline functions that several kernels are built from.

Sums and scaled sums of vectors, the maximum, exponentials with their sum, the search in a sparse row, prefetching; and
`Partial`, what the softmax over one shard of the vocabulary leaves, with the merge of several.
"""

from libc.math cimport fabs, log
from libc.stdint cimport INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, int32_t, int64_t

from fastembed._kernels.bits cimport bits32, bits64, double_of, float_of
from fastembed._kernels.exp cimport exp_nonpositive
from fastembed._kernels.types cimport real, real_alone


cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define fastembed_prefetch(address) __builtin_prefetch(address)
    #else
    #define fastembed_prefetch(address) ((void)(address))
    #endif
    """
    void prefetch "fastembed_prefetch" (const void* address) noexcept nogil


cdef enum:
    CACHE_LINE = 64   # bytes
    SUM_LENGTH = 256  # exponentials that are summed in their own dtype; such sums are added in double


# ---------------------------------------------------------------- vectors

cdef inline Py_ssize_t whole_lines(Py_ssize_t width, const real* _) noexcept nogil:
    """`width`, which is a whole number of cache lines already: so the compiler knows, and loops have no tail."""
    return width & ~<Py_ssize_t>(CACHE_LINE // sizeof(real) - 1)


cdef inline real dot(const real* a, const real* b, Py_ssize_t n) noexcept nogil:
    cdef real s = 0
    cdef Py_ssize_t d
    for d in range(n):
        s += a[d] * b[d]
    return s


cdef inline double squared_length(const real* x, Py_ssize_t n) noexcept nogil:
    """x . x in double: in float, the square of a number below 1e-23 is 0."""
    cdef double s = 0
    cdef Py_ssize_t d
    for d in range(n):
        s += <double>x[d] * <double>x[d]
    return s


cdef inline double sum_of(const double* x, Py_ssize_t n) noexcept nogil:
    cdef double s = 0
    cdef Py_ssize_t c
    for c in range(n):
        s += x[c]
    return s


cdef inline void scale_by(real* x, real factor, Py_ssize_t n) noexcept nogil:
    """x *= factor."""
    cdef Py_ssize_t d
    for d in range(n):
        x[d] *= factor


cdef inline void add_scaled(const real* x, real factor, Py_ssize_t n, real_alone total) noexcept nogil:
    """total += factor * x."""
    cdef Py_ssize_t d
    for d in range(n):
        total[d] += factor * x[d]


cdef inline real maximum_of(const real* x, Py_ssize_t n) noexcept nogil:
    """The largest of n values. As integers, since a maximum of floats only vectorises if no NaN is assumed.

    Flipping all but the sign bit of the negative numbers makes the order of the bits, read as signed integers, the
    order of the numbers. A positive NaN is above infinity, so it becomes the maximum and then makes the loss NaN.
    """
    cdef Py_ssize_t c
    cdef int32_t bits_32, largest_32 = INT32_MIN
    cdef int64_t bits_64, largest_64 = INT64_MIN
    if real is float:
        for c in range(n):
            bits_32 = bits32(x[c])
            bits_32 ^= (bits_32 >> 31) & INT32_MAX
            largest_32 = bits_32 if bits_32 > largest_32 else largest_32
        return float_of(largest_32 ^ ((largest_32 >> 31) & INT32_MAX))
    else:
        for c in range(n):
            bits_64 = bits64(x[c])
            bits_64 ^= (bits_64 >> 63) & INT64_MAX
            largest_64 = bits_64 if bits_64 > largest_64 else largest_64
        return double_of(largest_64 ^ ((largest_64 >> 63) & INT64_MAX))


cdef inline double exponentials(real* x, Py_ssize_t n, real maximum) noexcept nogil:
    """x_c becomes exp(x_c - maximum), in place; returns the sum."""
    cdef Py_ssize_t first = 0, end, c
    cdef real value, partial
    cdef double total = 0
    while first < n:
        end = min(first + SUM_LENGTH, n)
        partial = 0
        for c in range(first, end):
            value = exp_nonpositive(x[c] - maximum)
            x[c] = value
            partial += value
        total += partial
        first = end
    return total


# ---------------------------------------------------------------- sparse rows

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


# ---------------------------------------------------------------- the softmax over several shards

cdef struct Partial:
    # One example's results from one shard, or from a run of shards
    double maximum        # m = max of its logits
    double total          # sum of exp(x - m)
    double target_logit   # sum of y x


cdef struct Merged:
    # One example's results from all shards
    double log_normaliser  # logsumexp(x)
    double target_logit    # sum of y x


cdef enum:
    TREE_DEPTH = 24  # partial sums that wait in a merge of fewer than 2^24 shards


cdef inline void join(Partial* left, const Partial* right) noexcept nogil:
    """`left` becomes the result of both runs of shards."""
    cdef double smaller = exp_nonpositive(-fabs(left.maximum - right.maximum))  # exp(min - max)
    if left.maximum >= right.maximum:
        left.total += right.total * smaller
    else:
        left.total = left.total * smaller + right.total
        left.maximum = right.maximum
    left.target_logit += right.target_logit


cdef inline Merged merge_partials(const Partial* partials, Py_ssize_t shards) noexcept nogil:
    """Merge the shards' results by a fixed binary tree.

    Shards 2k and 2k + 1 are joined, then such pairs, and so on: `waiting` holds the runs of shards whose other half is
    yet to come. With an aligned run of 2^n shards summed elsewhere, the bits are the same.
    """
    cdef Partial[TREE_DEPTH] waiting
    cdef Py_ssize_t depth = 0, s, runs
    cdef Merged merged
    for s in range(shards):
        waiting[depth] = partials[s]
        runs = s
        while runs & 1:
            depth -= 1
            join(&waiting[depth], &waiting[depth + 1])
            runs >>= 1
        depth += 1
    while depth > 1:
        depth -= 1
        join(&waiting[depth - 1], &waiting[depth])
    merged.log_normaliser = waiting[0].maximum + log(waiting[0].total)
    merged.target_logit = waiting[0].target_logit
    return merged
