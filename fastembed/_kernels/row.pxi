"""One example against the whole vocabulary: matvec, stable softmax, loss, gradient, in-place updates.

Notation (docs/derivation.md): h = E[i], the example's embedding row; w_c the output vector of column c, a row of
`weights`; x_c = h . w_c + b_c the logits; y the target, given by its non-zero entries: `columns` (ascending) and
`amounts`.

    L      = scale * (sum(y) * logsumexp(x) - sum_c y_c x_c)
    dL/dh  = scale * (sum(y) * sum_c o_c w_c - sum_c y_c w_c)         o = softmax(x)
    dL/dw_c = scale * (sum(y) * o_c - y_c) * h

The embedding's gradient needs *one* pass over `weights`: the vocabulary is walked in tiles that stay in the
first-level cache, and each tile's logits are followed at once by its share of sum_c exp(x_c - m) w_c. When a tile
raises the running maximum m, what was summed so far is rescaled by exp(old - new) (online softmax). The passes are over
shards of the vocabulary; each leaves a partial result in its own slot, and `merge_shards` adds the slots in their
order. So the result depends on the shards' bounds, not on which thread ran which shard.

Rows of `weights` are padded with zeros to a whole number of cache lines; so is h. Loops over a row then need no tail.
"""

from libc.math cimport INFINITY, exp, log
from libc.stdint cimport INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, int32_t, int64_t
from libc.string cimport memcpy, memset

from fastembed._kernels.bits cimport bits32, bits64, double_of, float_of
from fastembed._kernels.exp cimport exp_nonpositive
from fastembed._kernels.types cimport double_alone, float_alone, real, real_alone


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
    TILE_BYTES = 24576  # of `weights`; half of a first-level cache of 48 KiB, the next tile being prefetched
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
    const real* weights, const real* h, const real* bias, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t width,
    real* logits,
) noexcept nogil:
    """x_c = h . w_c + b_(first + c). Eight rows at a time share the loads of h.

    Rows left over are summed in another order: where a call starts and ends decides bits, so it is at shards' bounds.
    """
    cdef Py_ssize_t c = 0, d
    cdef real s0, s1, s2, s3, s4, s5, s6, s7, t
    cdef const real* w
    while c + 8 <= rows:
        w = weights + c * width
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0
        for d in range(width):
            t = h[d]
            s0 += w[d] * t
            s1 += w[width + d] * t
            s2 += w[2 * width + d] * t
            s3 += w[3 * width + d] * t
            s4 += w[4 * width + d] * t
            s5 += w[5 * width + d] * t
            s6 += w[6 * width + d] * t
            s7 += w[7 * width + d] * t
        logits[c], logits[c + 1], logits[c + 2], logits[c + 3] = s0, s1, s2, s3
        logits[c + 4], logits[c + 5], logits[c + 6], logits[c + 7] = s4, s5, s6, s7
        c += 8
    while c < rows:
        logits[c] = dot(weights + c * width, h, width)
        c += 1
    if bias != NULL:
        for c in range(rows):
            logits[c] += bias[first + c]


cdef inline real maximum_of(const real* x, Py_ssize_t n) noexcept nogil:
    """The largest of n values. As integers, since a maximum of floats only vectorises if no NaN is assumed.

    Flipping all but the sign bit of the negative numbers makes the order of the bits, read as signed integers, the
    order of the numbers. A positive NaN is above infinity, so it comes out and spoils the loss, as it must.
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
    """x_c becomes exp(x_c - maximum), in place; returns the sum, in double over pieces of TILE_ROWS."""
    cdef Py_ssize_t first = 0, end, c
    cdef real value, piece
    cdef double total = 0
    while first < n:
        end = min(first + TILE_ROWS, n)
        piece = 0
        for c in range(first, end):
            value = exp_nonpositive(x[c] - maximum)
            x[c] = value
            piece += value
        total += piece
        first = end
    return total


cdef inline void add_weighted_rows(
    const real* weights, const real* e, Py_ssize_t rows, Py_ssize_t width, real_alone total, const real* ahead,
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


cdef inline void add_scaled(const real* x, real factor, Py_ssize_t n, real_alone total) noexcept nogil:
    """total += factor * x."""
    cdef Py_ssize_t d
    for d in range(n):
        total[d] += factor * x[d]


cdef inline double sum_of(const double* x, Py_ssize_t n) noexcept nogil:
    cdef double s = 0
    cdef Py_ssize_t c
    for c in range(n):
        s += x[c]
    return s


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


# ---------------------------------------------------------------- one pass over one shard of the vocabulary

cdef inline Py_ssize_t rows_per_tile(Py_ssize_t row_bytes) noexcept nogil:
    """Rows that fit TILE_BYTES: a multiple of 8 from 8 to TILE_ROWS."""
    cdef Py_ssize_t rows = TILE_BYTES // row_bytes // 8 * 8
    return min(max(rows, 8), <Py_ssize_t>TILE_ROWS)


cdef void pass_shard(
    const real* weights,      # (V, width)
    const real* h,            # (width,)
    const real* bias,         # (V,) or NULL
    Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width,
    const int32_t* columns, const double* amounts, Py_ssize_t targets,
    real* logits,             # (V,) or NULL: where to leave the logits
    real* expected,           # (width,) or NULL: sum_c exp(x_c - m) w_c
    real* observed,           # (width,) with `expected`: sum_c y_c w_c
    Partial* partial,
) noexcept nogil:
    cdef real x_buffer[TILE_ROWS]
    cdef real e[TILE_ROWS]
    cdef real* x
    cdef const real* tile
    cdef Py_ssize_t step = rows_per_tile(width * <Py_ssize_t>sizeof(real))
    cdef Py_ssize_t first = begin, rows, t = lower_bound(columns, 0, targets, begin)
    cdef real maximum = -INFINITY, raised, shrink
    cdef double total = 0, target_logit = 0
    if expected != NULL:
        memset(expected, 0, width * sizeof(real))
        memset(observed, 0, width * sizeof(real))
    while first < end:
        rows = min(step, end - first)
        tile = weights + first * width
        x = &x_buffer[0]
        if logits != NULL:
            x = logits + first
        matvec_rows(tile, h, bias, first, rows, width, x)
        raised = maximum_of(x, rows)
        if not raised <= maximum:  # so too if it is NaN, which spoils all sums
            shrink = <real>exp(<double>(maximum - raised))
            total *= shrink
            if expected != NULL:
                scale_by(expected, shrink, width)
            maximum = raised
        memcpy(e, x, rows * sizeof(real))
        total += exponentials(&e[0], rows, maximum)
        if expected != NULL:
            if real is float:
                add_weighted_rows(tile, e, rows, width, <float_alone>expected, tile + rows * width)
            else:
                add_weighted_rows(tile, e, rows, width, <double_alone>expected, tile + rows * width)
        while t < targets and columns[t] < first + rows:
            target_logit += amounts[t] * x[columns[t] - first]
            if expected != NULL:
                if real is float:
                    add_scaled(weights + columns[t] * width, <float>amounts[t], width, <float_alone>observed)
                else:
                    add_scaled(weights + columns[t] * width, amounts[t], width, <double_alone>observed)
            t += 1
        first += rows
    partial.maximum = maximum
    partial.total = total
    partial.target_logit = target_logit


cdef double merge_shards(
    Partial* partials, Py_ssize_t shards, double total_target, double scale, double* log_normaliser,
) noexcept nogil:
    """Loss, and logsumexp(x) in `log_normaliser`, from the shards' partial results in their order."""
    cdef double maximum = -INFINITY, total = 0, target_logit = 0
    cdef Py_ssize_t s
    for s in range(shards):
        maximum = max(maximum, partials[s].maximum)
    for s in range(shards):
        total += partials[s].total * exp(partials[s].maximum - maximum)
        target_logit += partials[s].target_logit
    log_normaliser[0] = maximum + log(total)
    return scale * (total_target * log_normaliser[0] - target_logit)


cdef void merge_gradient(
    const Partial* partials, const real* expected, const real* observed, Py_ssize_t shards, Py_ssize_t width,
    double log_normaliser, double total_target, double scale, double* gradient,
) noexcept nogil:
    """dL/dh = scale * (sum(y) * sum_c o_c w_c - sum_c y_c w_c)."""
    cdef double share
    cdef Py_ssize_t s, d
    memset(gradient, 0, width * sizeof(double))
    for s in range(shards):
        share = scale * total_target * exp(partials[s].maximum - log_normaliser)
        for d in range(width):
            gradient[d] += share * expected[s * width + d] - scale * observed[s * width + d]


cdef void descend_row(real* row, const double* gradient, Py_ssize_t dim, double learning_rate) noexcept nogil:
    """E[i] -= learning_rate * dL/dE[i]."""
    cdef Py_ssize_t d
    for d in range(dim):
        row[d] = <real>(row[d] - learning_rate * gradient[d])


cdef void descend_shard(
    real* weights, const real* h, const real* logits, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width,
    const int32_t* columns, const double* amounts, Py_ssize_t targets,
    double log_normaliser, double total_target, double step,
) noexcept nogil:
    """w_c -= step * (sum(y) * o_c - y_c) * h for the rows of a shard; step = learning_rate * scale."""
    cdef real e[TILE_ROWS]
    cdef Py_ssize_t first = begin, rows, c, t = lower_bound(columns, 0, targets, begin)
    cdef real factor = <real>(-step * total_target)
    while first < end:
        rows = min(<Py_ssize_t>TILE_ROWS, end - first)
        memcpy(e, logits + first, rows * sizeof(real))
        exponentials(&e[0], rows, <real>log_normaliser)
        scale_by(&e[0], factor, rows)
        while t < targets and columns[t] < first + rows:
            e[columns[t] - first] += <real>(step * amounts[t])
            t += 1
        for c in range(rows):
            if real is float:
                add_scaled(h, e[c], width, <float_alone>(weights + (first + c) * width))
            else:
                add_scaled(h, e[c], width, <double_alone>(weights + (first + c) * width))
        first += rows


# ---------------------------------------------------------------- what Python calls

def exp_array(const real[::1] x, real[::1] out):
    """out = exp(x) for x <= 0, as the kernels above take it."""
    with nogil:
        memcpy(&out[0], &x[0], x.shape[0] * sizeof(real))
        exponentials(&out[0], x.shape[0], <real>0)


def matvec(
    const real[:, ::1] weights, const real[::1] h, const real[::1] bias,
    const Py_ssize_t[::1] bounds, Py_ssize_t first, Py_ssize_t last, real[::1] logits,
):
    """logits = weights @ h + bias for the rows of shards first to last - 1."""
    cdef Py_ssize_t s, begin
    cdef const real* b = NULL
    if bias is not None:
        b = &bias[0]
    with nogil:
        for s in range(first, last):
            begin = bounds[s]
            matvec_rows(
                &weights[begin, 0], &h[0], b, begin, bounds[s + 1] - begin, weights.shape[1], &logits[begin],
            )


def softmax(real[::1] logits):
    """Replace logits by softmax(logits), in place; return logsumexp(logits)."""
    cdef Py_ssize_t n = logits.shape[0]
    cdef real maximum
    cdef double total
    with nogil:
        maximum = maximum_of(&logits[0], n)
        total = exponentials(&logits[0], n, maximum)
        scale_by(&logits[0], <real>(1 / total), n)
    return maximum + log(total)


def row_pass(
    const real[:, ::1] weights, const real[::1] h, const real[::1] bias,
    const Py_ssize_t[::1] bounds, Py_ssize_t first, Py_ssize_t last,
    const int32_t[::1] columns, const double[::1] amounts,
    real[::1] logits, double[:, ::1] partials, real[:, ::1] expected, real[:, ::1] observed,
):
    """The passes of shards first to last - 1; fills their `partials` and, unless None, the three arrays beside them."""
    cdef Py_ssize_t s
    cdef const real* b = NULL
    cdef real* x = NULL
    cdef real* e = NULL
    cdef real* o = NULL
    if bias is not None:
        b = &bias[0]
    if logits is not None:
        x = &logits[0]
    with nogil:
        for s in range(first, last):
            if expected is not None:
                e, o = &expected[s, 0], &observed[s, 0]
            pass_shard(
                &weights[0, 0], &h[0], b, bounds[s], bounds[s + 1], weights.shape[1],
                &columns[0], &amounts[0], columns.shape[0], x, e, o, <Partial*>&partials[s, 0],
            )


def row_merge(
    double[:, ::1] partials, const real[:, ::1] expected, const real[:, ::1] observed,
    const double[::1] amounts, double scale, double[::1] gradient,
):
    """Return (loss, logsumexp); fill `gradient` (width,) unless `expected` is None."""
    cdef double log_normaliser = 0, loss, total_target = sum_of(&amounts[0], amounts.shape[0])
    cdef Py_ssize_t shards = partials.shape[0]
    with nogil:
        loss = merge_shards(<Partial*>&partials[0, 0], shards, total_target, scale, &log_normaliser)
        if expected is not None:
            merge_gradient(
                <const Partial*>&partials[0, 0], &expected[0, 0], &observed[0, 0], shards, expected.shape[1],
                log_normaliser, total_target, scale, &gradient[0],
            )
    return loss, log_normaliser


def row_update(real[::1] row, const double[::1] gradient, double learning_rate):
    """row -= learning_rate * gradient[:len(row)], in place."""
    with nogil:
        descend_row(&row[0], &gradient[0], row.shape[0], learning_rate)


def row_update_linear(
    real[:, ::1] weights, const real[::1] h, const real[::1] logits,
    const Py_ssize_t[::1] bounds, Py_ssize_t first, Py_ssize_t last,
    const int32_t[::1] columns, const double[::1] amounts, double log_normaliser, double step,
):
    """Shards first to last - 1 of the linear layer's update, in place, from the logits that `row_pass` left."""
    cdef Py_ssize_t s
    cdef double total_target
    with nogil:
        total_target = sum_of(&amounts[0], amounts.shape[0])
        for s in range(first, last):
            descend_shard(
                &weights[0, 0], &h[0], &logits[0], bounds[s], bounds[s + 1], weights.shape[1],
                &columns[0], &amounts[0], columns.shape[0], log_normaliser, total_target, step,
            )
