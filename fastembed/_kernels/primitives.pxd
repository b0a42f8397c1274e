"""Inline functions that several kernels are built from.

Sums and scaled sums of vectors, the maximum, exponentials with their sum, the search in a sparse row, prefetching; and
`Partial`, what the softmax over one shard of the vocabulary leaves, with the merge of several.
"""

from libc.math cimport INFINITY, exp, log
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

cdef inline real dot(const real* a, const real* b, Py_ssize_t n) noexcept nogil:
    cdef real s = 0
    cdef Py_ssize_t d
    for d in range(n):
        s += a[d] * b[d]
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
    # One example's results from one shard: a row of the arrays (..., 3) that Python calls `partials`
    double maximum        # m = max of its logits
    double total          # sum of exp(x - m)
    double target_logit   # sum of y x


cdef struct Merged:
    # One example's results from all shards
    double log_normaliser  # logsumexp(x)
    double target_logit    # sum of y x


cdef inline Merged merge_partials(const Partial* partials, Py_ssize_t shards, Py_ssize_t stride) noexcept nogil:
    """Merge the shards' results in their order; shard s left partials[s * stride]."""
    cdef double maximum = -INFINITY, total = 0
    cdef const Partial* partial
    cdef Py_ssize_t s
    cdef Merged merged
    merged.target_logit = 0
    for s in range(shards):
        maximum = max(maximum, partials[s * stride].maximum)
    for s in range(shards):
        partial = partials + s * stride
        total += partial.total * exp(partial.maximum - maximum)
        merged.target_logit += partial.target_logit
    merged.log_normaliser = maximum + log(total)
    return merged
