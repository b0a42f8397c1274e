"""One example against the whole vocabulary: matvec, stable softmax, loss, gradient, in-place updates.

Notation (docs/derivation.md): h is the embedding row of the example, w_c the output vector of column c, which is a row
of `weights`. The logits are x_c = h . w_c + b_c. The target y is given by its non-zero entries: `columns`, ascending,
and `amounts`.

    L      = scale * (sum(y) * logsumexp(x) - sum_c y_c x_c)
    dL/dh  = scale * (sum(y) * sum_c o_c w_c - sum_c y_c w_c)         o = softmax(x)
    dL/dw_c = scale * (sum(y) * o_c - y_c) * h

The gradient of h needs *one* pass over `weights`. A pass takes the rows in tiles that stay in the first-level cache:
the logits of a tile, then at once the tile's share of sum_c exp(x_c - m) w_c. When a tile raises the running maximum m,
the pass multiplies its sums by exp(old m - new m) (online softmax). Each shard of the vocabulary has a pass and a
partial result, and a fixed binary tree merges the partial results. So no bit depends on which thread runs which shard.

Rows of `weights` and h are padded with zeros to whole cache lines, so loops over a row have no tail. `whole_lines`
tells the compiler so and changes nothing.

If the input is a bag, h is the weighted sum of its rows, and the gradient of each row is its weight times dL/dh.

A step whose result would not be finite changes nothing: `descend_bag` returns False.

The twins are the functions of one example in ``fastembed/reference.py``.
"""

from libc.float cimport DBL_EPSILON, DBL_MAX, FLT_EPSILON, FLT_MAX
from libc.math cimport INFINITY, exp, fabs, isfinite, log
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from fastembed._kernels.exp cimport exp_nonpositive
from fastembed._kernels.primitives cimport (
    CACHE_LINE, TREE_DEPTH, Merged, Partial,
    add_scaled, exponentials, lower_bound, maximum_of, merge_partials, multiply_add, prefetch, scale_by, sum_of,
    whole_lines,
)
from fastembed._kernels.types cimport real, real_alone


cpdef enum:
    TILE_ROWS = 256        # largest number of rows of a tile, whose logits a kernel holds

cdef enum:
    GRADIENT_COLUMNS = 64  # columns of the gradient that are merged at once


cdef struct Tiling:
    # How a pass divides a shard into tiles; `fastembed._kernels.tiling` chooses it for the CPU's caches
    Py_ssize_t rows  # rows per tile: a multiple of 8, at most TILE_ROWS
    bint prefetch    # whether to prefetch the next tile


cdef struct Target:
    # The non-zero entries of a target y
    const int32_t* columns   # ascending
    const double* amounts
    Py_ssize_t entries
    double total             # sum(y)


cdef inline Target target_row(const int32_t* columns, const double* amounts, Py_ssize_t entries) noexcept nogil:
    cdef Target y
    y.columns, y.amounts, y.entries = columns, amounts, entries
    y.total = sum_of(amounts, entries)
    return y


# ---------------------------------------------------------------- kernels, one per mathematical step

cdef inline void prefetch_half(const real* ahead, Py_ssize_t c, Py_ssize_t width) noexcept nogil:
    """For the eight rows from c on, prefetch four rows of the next tile: of its half at `ahead`, which may be NULL.

    A pass uses each tile twice. Each use prefetches half of the next tile, so that memory is never idle.
    """
    cdef Py_ssize_t line
    if ahead != NULL:
        for line in range(4 * width * <Py_ssize_t>sizeof(real) // CACHE_LINE):
            prefetch(<const char*>(ahead + c // 2 * width) + line * CACHE_LINE)


cdef inline void matvec_rows(
    const real* weights, const real* h, const real* bias, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t width,
    real* logits, const real* ahead,
) noexcept nogil:
    """x_c = h . w_c + b_(first + c). Eight rows at a time share the loads of h; `ahead` is as in `prefetch_half`.

    The last rows % 8 rows have another order of summation, so the bits depend on where a call begins and ends: at the
    bounds of shards, or of tiles.
    """
    cdef Py_ssize_t c = 0, d
    cdef real s0, s1, s2, s3, s4, s5, s6, s7, t
    cdef const real* w
    width = whole_lines(width, weights)
    while c + 8 <= rows:
        w = weights + c * width
        prefetch_half(ahead, c, width)
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
        w, s0 = weights + c * width, 0
        for d in range(width):
            s0 += w[d] * h[d]
        logits[c] = s0
        c += 1
    if bias != NULL:
        for c in range(rows):
            logits[c] += bias[first + c]


cdef inline void add_weighted_rows(
    const real* weights, const real* e, Py_ssize_t rows, Py_ssize_t width, real_alone total, const real* ahead,
) noexcept nogil:
    """total += sum_c e_c w_c, eight rows at a time; `ahead` is as in `prefetch_half`."""
    cdef Py_ssize_t c = 0, d
    cdef const real* w
    cdef real e0, e1, e2, e3, e4, e5, e6, e7, t
    width = whole_lines(width, weights)
    while c + 8 <= rows:
        w = weights + c * width
        prefetch_half(ahead, c, width)
        e0, e1, e2, e3 = e[c], e[c + 1], e[c + 2], e[c + 3]
        e4, e5, e6, e7 = e[c + 4], e[c + 5], e[c + 6], e[c + 7]
        for d in range(width):
            t = multiply_add(e0, w[d], total[d])
            t = multiply_add(e1, w[width + d], t)
            t = multiply_add(e2, w[2 * width + d], t)
            t = multiply_add(e3, w[3 * width + d], t)
            t = multiply_add(e4, w[4 * width + d], t)
            t = multiply_add(e5, w[5 * width + d], t)
            t = multiply_add(e6, w[6 * width + d], t)
            total[d] = multiply_add(e7, w[7 * width + d], t)
        c += 8
    while c < rows:
        add_scaled(weights + c * width, e[c], width, total)
        c += 1


cdef inline void add_outer(
    const real* h, const real* e, Py_ssize_t rows, Py_ssize_t width, real_alone weights,
) noexcept nogil:
    """w_c += e_c h, one row at a time, which suits memory better than several."""
    cdef Py_ssize_t c, d
    width = whole_lines(width, h)
    for c in range(rows):
        for d in range(width):
            weights[c * width + d] += e[c] * h[d]


# ---------------------------------------------------------------- one pass over one shard of the vocabulary

cdef void pass_shard(
    const real* weights,      # (V, width)
    const real* h,            # (width,)
    const real* bias,         # (V,) or NULL
    Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width,
    const Target* y,
    real* logits,             # (V,) or NULL, written
    real* expected,           # (width,) or NULL, written: sum_c exp(x_c - m) w_c
    real* observed,           # (width,) with `expected`, written: sum_c y_c w_c
    Partial* partial, Tiling tiling,
) noexcept nogil:
    cdef real e[TILE_ROWS]  # the logits x_c of the tile, then exp(x_c - m)
    cdef const real* tile
    cdef const real* ahead = NULL   # the next tile
    cdef const real* middle = NULL  # its second half
    cdef Py_ssize_t first = begin, rows, c, t = lower_bound(y.columns, 0, y.entries, begin)
    cdef real maximum = -INFINITY, raised, shrink
    cdef double total = 0, target_logit = 0
    width = whole_lines(width, weights)
    if expected != NULL:
        memset(expected, 0, width * sizeof(real))
        memset(observed, 0, width * sizeof(real))
    while first < end:
        rows = min(tiling.rows, end - first)
        tile = weights + first * width
        if expected != NULL and tiling.prefetch:
            ahead = tile + rows * width
            middle = ahead + rows // 2 * width
        matvec_rows(tile, h, bias, first, rows, width, &e[0], ahead)
        while t < y.entries and y.columns[t] < first + rows:
            c = y.columns[t]
            target_logit += y.amounts[t] * e[c - first]
            if expected != NULL:
                add_scaled(weights + c * width, <real>y.amounts[t], width, observed)
            t += 1
        if logits != NULL:
            memcpy(logits + first, e, rows * sizeof(real))
        raised = maximum_of(&e[0], rows)
        if not raised <= maximum:  # also if it is NaN, which makes all sums NaN
            shrink = exp_nonpositive(maximum - raised)
            total *= shrink
            if expected != NULL:
                scale_by(expected, shrink, width)
            maximum = raised
        total += exponentials(&e[0], rows, maximum)
        if expected != NULL:
            add_weighted_rows(tile, &e[0], rows, width, expected, middle)
        first += rows
    partial.maximum = maximum
    partial.total = total
    partial.target_logit = target_logit


cdef void merge_gradient(
    const Partial* partials, const real* expected, const real* observed, Py_ssize_t shards, Py_ssize_t width,
    double maximum, double total, double total_target, double scale, double* gradient,
) noexcept nogil:
    """dL/dh = scale * (sum(y) * sum_c o_c w_c - sum_c y_c w_c), summed over shards by the tree of `merge_partials`.

    o_c = exp(x_c - m) / sum_c exp(x_c - m) uses the `maximum` m and the `total` of all shards, and does not wait for
    the logarithm in the loss.
    """
    cdef double[TREE_DEPTH][GRADIENT_COLUMNS] waiting
    cdef double share
    cdef Py_ssize_t first = 0, columns, depth, s, runs, d
    cdef const real* e
    cdef const real* o
    width = whole_lines(width, expected)
    while first < width:
        columns = whole_lines(min(<Py_ssize_t>GRADIENT_COLUMNS, width - first), expected)
        depth = 0
        for s in range(shards):
            share = total_target / total
            if partials[s].maximum < maximum:  # with one shard, the branch saves an exponential that delays the step
                share *= exp_nonpositive(partials[s].maximum - maximum)
            e, o = expected + s * width + first, observed + s * width + first
            for d in range(columns):
                waiting[depth][d] = share * e[d] - o[d]
            runs = s
            while runs & 1:
                depth -= 1
                add_scaled(&waiting[depth + 1][0], <double>1, columns, &waiting[depth][0])
                runs >>= 1
            depth += 1
        while depth > 1:
            depth -= 1
            add_scaled(&waiting[depth][0], <double>1, columns, &waiting[depth - 1][0])
        for d in range(columns):
            gradient[first + d] = scale * waiting[0][d]
        first += columns


cdef inline bint is_short(double linear_step, const real* h, Py_ssize_t dim) noexcept nogil:
    """Return whether linear_step * h is so short that no w_c overflows when it moves by it.

    The limit is a quarter of the spacing of the largest numbers: added to a finite number it gives a finite number.
    """
    cdef Py_ssize_t d
    cdef double length = 0, limit = FLT_MAX * (FLT_EPSILON / 8) if real is float else DBL_MAX * (DBL_EPSILON / 8)
    for d in range(dim):
        length += fabs(h[d])
    return linear_step * length < limit


cdef bint descend_bag(
    real* embedding, const int32_t* ids, const real* weights, Py_ssize_t entries, const real* h,
    const double* gradient, Py_ssize_t dim, double learning_rate, double linear_step,
) noexcept nogil:
    """E[ids_t] -= learning_rate * weights_t * dL/dh for each row of a bag, whose ids are distinct; return success.

    h is the sum of the bag. `linear_step` bounds the factor on h in each step of `descend_shard`; without such steps it
    is 0. If a row would overflow, or a w_c might, nothing changes.
    """
    cdef Py_ssize_t t, d, finite = 0
    cdef real* row
    cdef real moved
    cdef double step
    if linear_step != 0 and not is_short(linear_step, h, dim):
        return False
    for t in range(entries):
        row, step = embedding + ids[t] * dim, learning_rate * weights[t]
        for d in range(dim):
            moved = <real>(row[d] - step * gradient[d])
            finite += isfinite(moved)
    if finite != entries * dim:
        return False
    for t in range(entries):
        row, step = embedding + ids[t] * dim, learning_rate * weights[t]
        for d in range(dim):
            row[d] = <real>(row[d] - step * gradient[d])
    return True


cdef void descend_shard(
    real* weights, const real* h, const real* logits, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width,
    const Target* y, double maximum, double log_normaliser, double step,
) noexcept nogil:
    """w_c -= step * (sum(y) * o_c - y_c) * h for the rows of a shard; step is learning_rate * scale.

    o_c = exp(x_c - m) exp(m - logsumexp(x)), where m is the `maximum` of the shard. So x_c - m is exact where it
    matters, and the second factor is in double.
    """
    cdef real e[TILE_ROWS]
    cdef Py_ssize_t first = begin, rows, t = lower_bound(y.columns, 0, y.entries, begin)
    cdef real factor = <real>(-step * y.total * exp(maximum - log_normaliser))
    while first < end:
        rows = min(<Py_ssize_t>TILE_ROWS, end - first)
        memcpy(e, logits + first, rows * sizeof(real))
        exponentials(&e[0], rows, <real>maximum)
        scale_by(&e[0], factor, rows)
        while t < y.entries and y.columns[t] < first + rows:
            e[y.columns[t] - first] += <real>(step * y.amounts[t])
            t += 1
        add_outer(h, &e[0], rows, width, weights + first * width)
        first += rows


# ---------------------------------------------------------------- Python interface

def exp_array(const real[::1] x, real[::1] out):
    """out = exp(x) for x <= 0, by the exponential of the kernels."""
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
                &weights[begin, 0], &h[0], b, begin, bounds[s + 1] - begin, weights.shape[1], &logits[begin], NULL,
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
    Py_ssize_t tile_rows, bint prefetch,
):
    """Pass shards `first` to last - 1.

    Fill their rows of `partials` and, unless these are None, of `expected` and `observed`, and their part of `logits`.
    `tile_rows` and `prefetch` are a `Tiling`.
    """
    cdef Target y
    cdef Tiling tiling = Tiling(tile_rows, prefetch)
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
        y = target_row(&columns[0], &amounts[0], columns.shape[0])
        for s in range(first, last):
            if expected is not None:
                e, o = &expected[s, 0], &observed[s, 0]
            pass_shard(
                &weights[0, 0], &h[0], b, bounds[s], bounds[s + 1], weights.shape[1],
                &y, x, e, o, <Partial*>&partials[s, 0], tiling,
            )


def row_merge(
    double[:, ::1] partials, const real[:, ::1] expected, const real[:, ::1] observed,
    const double[::1] amounts, double scale, double[::1] gradient,
):
    """Return (loss, logsumexp); fill `gradient` (width,) unless `expected` is None."""
    cdef double loss, total_target
    cdef Merged merged
    cdef Py_ssize_t shards = partials.shape[0]
    with nogil:
        total_target = sum_of(&amounts[0], amounts.shape[0])
        merged = merge_partials(<const Partial*>&partials[0, 0], shards)
        loss = scale * (total_target * merged.log_normaliser - merged.target_logit)
        if expected is not None:
            merge_gradient(
                <const Partial*>&partials[0, 0], &expected[0, 0], &observed[0, 0], shards, expected.shape[1],
                merged.maximum, merged.total, total_target, scale, &gradient[0],
            )
    return loss, merged.log_normaliser


def bag_descend(
    real[:, ::1] embedding, const int32_t[::1] ids, const real[::1] weights, const real[::1] h,
    const double[::1] gradient, const double[::1] amounts, double learning_rate, double linear_rate,
) -> bool:
    """embedding[ids_t] -= learning_rate * weights_t * gradient, of a bag whose sum is h; return success.

    If a number would overflow, or might in `row_update_linear` with a step of `linear_rate`, nothing changes.
    """
    cdef bint done
    cdef double linear_step
    # A memoryview of length 0 has no first element
    cdef const int32_t* first_id = &ids[0] if ids.shape[0] else NULL
    cdef const real* first_weight = &weights[0] if ids.shape[0] else NULL
    with nogil:
        linear_step = linear_rate * sum_of(&amounts[0], amounts.shape[0])
        done = descend_bag(
            &embedding[0, 0], first_id, first_weight, ids.shape[0], &h[0], &gradient[0], embedding.shape[1],
            learning_rate, linear_step,
        )
    return done


def row_update_linear(
    real[:, ::1] weights, const real[::1] h, const real[::1] logits,
    const Py_ssize_t[::1] bounds, Py_ssize_t first, Py_ssize_t last,
    const int32_t[::1] columns, const double[::1] amounts, const double[:, ::1] partials,
    double log_normaliser, double step,
):
    """Make the step on shards `first` to last - 1 of the linear layer, with the results of `row_pass`."""
    cdef Target y
    cdef Py_ssize_t s
    with nogil:
        y = target_row(&columns[0], &amounts[0], columns.shape[0])
        for s in range(first, last):
            descend_shard(
                &weights[0, 0], &h[0], &logits[0], bounds[s], bounds[s + 1], weights.shape[1],
                &y, partials[s, 0], log_normaliser, step,
            )
