"""Inline functions that the kernels share.

Vectors: sums, scaled sums, a gradient step, the maximum, exponentials with their sum. Sparse rows: a search, the
weighted sum of dense rows. The softmax over several shards: `Partial`, the result for one shard, and its merge.
"""

from libc.math cimport fabs, log, sqrt
from libc.stdint cimport INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, int32_t, int64_t

from fastembed._kernels.bits cimport bits32, bits64, double_of, float_of
from fastembed._kernels.exp cimport exp_nonpositive
from fastembed._kernels.types cimport real, real_alone, row_id


cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define fastembed_prefetch(address) __builtin_prefetch(address)
    #else
    #define fastembed_prefetch(address) ((void)(address))
    #endif
    #if defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)
    #define fastembed_fma_float __builtin_fmaf
    #define fastembed_fma_double __builtin_fma
    #else
    #define fastembed_fma_float(a, b, c) ((a) * (b) + (c))
    #define fastembed_fma_double(a, b, c) ((a) * (b) + (c))
    #endif
    """
    void prefetch "fastembed_prefetch" (const void* address) noexcept nogil
    float fma_float "fastembed_fma_float" (float a, float b, float c) noexcept nogil
    double fma_double "fastembed_fma_double" (double a, double b, double c) noexcept nogil


cdef enum:
    CACHE_LINE = 64   # bytes
    SUM_LENGTH = 256  # exponentials per sum in their own dtype; these sums are added in double


# ---------------------------------------------------------------- vectors

cdef inline Py_ssize_t whole_lines(Py_ssize_t width, const real* _) noexcept nogil:
    """Return `width`, a whole number of cache lines: the compiler now knows, and makes no tails of loops."""
    return width & ~<Py_ssize_t>(CACHE_LINE // sizeof(real) - 1)


cdef inline real multiply_add(real a, real b, real c) noexcept nogil:
    """Return a b + c, in one instruction if the CPU has it.

    The compiler keeps the order of such terms. It would split a b + c d + ... into several sums, with more
    instructions than terms.
    """
    if real is float:
        return fma_float(a, b, c)
    else:
        return fma_double(a, b, c)


cdef inline double squared_length(const real* x, Py_ssize_t n) noexcept nogil:
    """Return x . x, in double: in float, the square of a number below 1e-23 is 0."""
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


cdef inline void descend(real* row, const real* direction, double step, Py_ssize_t n) noexcept nogil:
    """row -= step * direction; in double if the step overflows float, which a very short direction compensates."""
    cdef Py_ssize_t d
    if step < 1e38:
        add_scaled(direction, <real>-step, n, row)
    else:
        for d in range(n):
            row[d] = <real>(row[d] - step * direction[d])


cdef inline double step_length(double* square, const real* g, double rate, Py_ssize_t n) noexcept nogil:
    """Return the factor on the gradient g (n,) of a row.

    For Adagrad, with S in *square, it is rate / sqrt(S) after S += g . g, and 0 while S is 0. For gradient descent,
    with NULL, it is the rate.
    """
    if square == NULL:
        return rate
    square[0] += squared_length(g, n)
    return rate / sqrt(square[0]) if square[0] > 0 else 0


cdef inline real maximum_of(const real* x, Py_ssize_t n) noexcept nogil:
    """Return the largest of n numbers, compared as integers: floats would only vectorise if none were NaN.

    With all bits but the sign flipped in negative numbers, the bits as signed integers have the order of the numbers.
    A positive NaN is above infinity, so it is the maximum, and the loss becomes NaN.
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
    """Replace x_c by exp(x_c - maximum); return the sum.

    GCC 12 makes 32 instructions for 16 floats with AVX-512, and 31 for 8 with AVX2, where 26 would do. Three of the
    rest are for the clamp in `exp_nonpositive`; without them the loop is no faster.
    """
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
    const row_id* numbers, Py_ssize_t first, Py_ssize_t last, Py_ssize_t number,
) noexcept nogil:
    """Return the index of the first of the ascending numbers[first:last] that is not below `number`."""
    cdef Py_ssize_t left = last - first, half
    while left > 1:  # without a branch that depends on the numbers
        half = left // 2
        first += half if numbers[first + half - 1] < number else 0
        left -= half
    return first + (left == 1 and numbers[first] < number)


cdef inline void add_gathered_rows(
    const real* dense, const row_id* rows, const real* data, Py_ssize_t entries, Py_ssize_t dim, real_alone total,
) noexcept nogil:
    """total += sum_t data_t dense[rows_t], eight rows at a time, then four."""
    cdef Py_ssize_t t = 0, d
    cdef const real* r0
    cdef const real* r1
    cdef const real* r2
    cdef const real* r3
    cdef const real* r4
    cdef const real* r5
    cdef const real* r6
    cdef const real* r7
    cdef real a0, a1, a2, a3, a4, a5, a6, a7
    while t + 8 <= entries:
        r0, r1 = dense + rows[t] * dim, dense + rows[t + 1] * dim
        r2, r3 = dense + rows[t + 2] * dim, dense + rows[t + 3] * dim
        r4, r5 = dense + rows[t + 4] * dim, dense + rows[t + 5] * dim
        r6, r7 = dense + rows[t + 6] * dim, dense + rows[t + 7] * dim
        a0, a1, a2, a3 = data[t], data[t + 1], data[t + 2], data[t + 3]
        a4, a5, a6, a7 = data[t + 4], data[t + 5], data[t + 6], data[t + 7]
        for d in range(dim):
            total[d] += (
                ((a0 * r0[d] + a1 * r1[d]) + (a2 * r2[d] + a3 * r3[d]))
                + ((a4 * r4[d] + a5 * r5[d]) + (a6 * r6[d] + a7 * r7[d]))
            )
        t += 8
    if t + 4 <= entries:
        r0, r1 = dense + rows[t] * dim, dense + rows[t + 1] * dim
        r2, r3 = dense + rows[t + 2] * dim, dense + rows[t + 3] * dim
        a0, a1, a2, a3 = data[t], data[t + 1], data[t + 2], data[t + 3]
        for d in range(dim):
            total[d] += (a0 * r0[d] + a1 * r1[d]) + (a2 * r2[d] + a3 * r3[d])
        t += 4
    while t < entries:
        add_scaled(dense + rows[t] * dim, data[t], dim, total)
        t += 1


# ---------------------------------------------------------------- the softmax over several shards

cdef struct Partial:
    # The result of one example for one shard, or for consecutive shards
    double maximum        # m = max of its logits
    double total          # sum of exp(x - m)
    double target_logit   # sum of y x


cdef struct Merged:
    # The result of one example for all shards
    double maximum         # m = max x
    double total           # sum of exp(x - m)
    double log_normaliser  # logsumexp(x) = m + log(total)
    double target_logit    # sum of y x


cdef enum:
    TREE_DEPTH = 24  # pending partial results in a merge of fewer than 2^24 shards


cdef inline void join(Partial* left, const Partial* right) noexcept nogil:
    """Make `left` the result of both runs of shards."""
    cdef double smaller = exp_nonpositive(-fabs(left.maximum - right.maximum))  # exp(min - max)
    if left.maximum >= right.maximum:
        left.total += right.total * smaller
    else:
        left.total = left.total * smaller + right.total
        left.maximum = right.maximum
    left.target_logit += right.target_logit


cdef inline Merged merge_partials(const Partial* partials, Py_ssize_t shards) noexcept nogil:
    """Merge the results of the shards by a fixed binary tree.

    The tree joins shards 2k and 2k + 1, then these pairs, and so on. `waiting` holds the results whose other half is
    missing. A run of 2^n shards that begins at a multiple of 2^n may be merged elsewhere: the bits are the same.
    """
    cdef Partial[TREE_DEPTH] waiting
    cdef Py_ssize_t depth = 0, s, joined
    cdef Merged merged
    for s in range(shards):
        waiting[depth] = partials[s]
        depth += 1
        joined = 1  # shards of the last result
        while (s + 1) % (2 * joined) == 0:  # the result before it has as many
            depth -= 1
            join(&waiting[depth - 1], &waiting[depth])
            joined *= 2
    while depth > 1:
        depth -= 1
        join(&waiting[depth - 1], &waiting[depth])
    merged.maximum, merged.total = waiting[0].maximum, waiting[0].total
    merged.log_normaliser = merged.maximum + log(merged.total)
    merged.target_logit = waiting[0].target_logit
    return merged
