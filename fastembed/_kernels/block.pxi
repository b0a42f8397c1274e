"""A block of B examples against the vocabulary: the kernels between the three matrix products.

    X = H W_s^T + b          logits (B, n) of shard s       product, then `statistics`
    R = exp(X - lse) - Y / sum(Y)   residual: softmax - target, row by row     `residual`
    dH = R W_s               (B, D), summed over shards     product, then `update_embedding`
    dW_s = R^T (a H)         (n, D)                         product, then `update_linear`

Row b of a block is a row w of the counts N. Its target is the distribution N[w, :] / sum(N[w, :]), its weight in dW is
a_b. The kernels of a shard write memory of this shard only: its logits, its partial results, its rows of W. A fixed
binary tree merges the partial results of all shards, as in `merge_partials`.

Both updates are row-wise Adagrad (Duchi et al. 2011, with one sum of squares per row, so that a step keeps the
gradient's direction):

    S += |g|^2;  row -= rate * g / sqrt(S)

The first step of a row is as long as the rate. `row_rates` multiply the rate of each row of the embedding. Without sums
of squares (NULL), the embedding makes the steps of gradient descent:  row -= rate * g.

Tests compare with the twins `block_loss`, `block_residual` and `momentum_adagrad` of ``fastembed/reference.py``.
"""

from libc.math cimport exp, fabs, log, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from fastembed._kernels.exp cimport exp_nonpositive
from fastembed._kernels.primitives cimport (
    TREE_DEPTH, add_scaled, descend, exponentials, lower_bound, maximum_of, prefetch, scale_by, squared_length,
    step_length, whole_lines,
)
from fastembed._kernels.tile cimport FLOAT32, UINT32, Tile, tile_at, tile_value, value_size
from fastembed._kernels.types cimport real


cdef enum:
    MERGE_ROWS = 32      # rows of a block whose partial results are merged together
    SEARCHES_AHEAD = 8   # rows between the prefetch of a row's place in its tile and the search


cdef struct Counts:
    # The counts N in tiles, one per group of rows and shard of columns. Group g has the rows g, g + groups,
    # g + 2 groups, ..., so row w is in group w % groups, at the place w // groups. A value v of row w stands for the
    # count v * row_factors[w] * column_factors[column].
    const int64_t* bases           # (groups,): address of the bytes of each group
    const int64_t* offsets         # (groups, shards + 1): start of each tile in these bytes
    const int64_t* entries         # (groups, shards): number of entries of each tile
    const int64_t* filled          # (groups, shards): number of rows with entries
    const uint8_t* kinds           # (groups, shards): `Kind` of the values
    const double* row_factors      # (rows,)
    const double* column_factors   # indexed by the column of the whole vocabulary
    const double* totals           # (rows,): sum of the counts of each row
    Py_ssize_t rows, groups, shards


cdef struct TiledRow:
    # A row in a shard
    Tile tile
    Py_ssize_t place    # of the row in its group
    Py_ssize_t rows     # of the group


cdef struct Segment:
    # The entries of a row in a shard
    const void* values
    const uint16_t* columns  # relative to the shard
    int32_t entries, kind


# ---------------------------------------------------------------- kernels, one per mathematical step

cdef inline TiledRow tiled_row(const Counts* counts, Py_ssize_t row, Py_ssize_t s) noexcept nogil:
    """Return a row of the counts in shard s, with the tile of its group and its place there."""
    cdef Py_ssize_t group = row % counts.groups, t = group * counts.shards + s
    cdef const uint8_t* data = <const uint8_t*>counts.bases[group] + counts.offsets[t + group]
    return TiledRow(
        tile_at(data, counts.entries[t], counts.filled[t], counts.kinds[t]), row // counts.groups,
        (counts.rows - group + counts.groups - 1) // counts.groups,
    )


cdef inline Segment segment_of(const TiledRow* row) noexcept nogil:
    """Search a row in its tile; return its entries."""
    cdef const Tile* tile = &row.tile
    # tile.rows lists the rows with entries, in order. So a row is at the index of its place or lower, by at most the
    # number of rows without entries
    cdef Py_ssize_t first = max(<Py_ssize_t>0, row.place - (row.rows - tile.filled)), last = min(row.place, tile.filled)
    cdef Py_ssize_t k = lower_bound(tile.rows, first, last, row.place)
    cdef uint32_t begin
    if k == tile.filled or tile.rows[k] != row.place:
        return Segment(NULL, NULL, 0, 0)
    begin = tile.ends[k - 1] if k else 0
    return Segment(
        tile.values + begin * value_size(tile.kind), tile.columns + begin, <int32_t>(tile.ends[k] - begin), tile.kind,
    )


cdef void find_segments(
    const Counts* counts, const Py_ssize_t* rows, Py_ssize_t size, Py_ssize_t s, Segment* segments,
) noexcept nogil:
    """Search the rows of a block in shard s; first prefetch where a row probably is in its tile."""
    cdef Py_ssize_t b, likely
    cdef TiledRow row
    for b in range(size + SEARCHES_AHEAD):
        if b < size:
            row = tiled_row(counts, rows[b], s)
            likely = row.place * row.tile.filled // row.rows
            prefetch(row.tile.rows + likely)
            prefetch(row.tile.ends + likely)
        if b >= SEARCHES_AHEAD:
            row = tiled_row(counts, rows[b - SEARCHES_AHEAD], s)
            segments[b - SEARCHES_AHEAD] = segment_of(&row)


cdef inline void prefetch_segment(const Segment* segment) noexcept nogil:
    cdef Py_ssize_t t = 0
    while t < segment.entries:
        prefetch(segment.columns + t)
        prefetch(<const float*>segment.values + t)
        prefetch(<const float*>segment.values + t + 16)
        t += 32


cdef inline double target_logit(
    const tile_value* values, const uint16_t* columns, Py_ssize_t entries, const double* factors, const real* x,
) noexcept nogil:
    """Return the sum of y x over the entries of a row, without the row's factor."""
    cdef double total = 0
    cdef Py_ssize_t t
    for t in range(entries):
        total += values[t] * factors[columns[t]] * x[columns[t]]
    return total


cdef inline void subtract_shares(
    const tile_value* values, const uint16_t* columns, Py_ssize_t entries, const double* factors, double factor,
    real* x,
) noexcept nogil:
    """x_c -= y_c * factor for each entry of a row."""
    cdef Py_ssize_t t
    for t in range(entries):
        x[columns[t]] -= <real>(values[t] * factors[columns[t]] * factor)


cdef void statistics(
    real* logits, Py_ssize_t stride, const real* bias, Py_ssize_t n, Py_ssize_t size, const double* column_factors,
    const Segment* segments, double* partials,
) noexcept nogil:
    """Add the bias to the logits of a shard, store their statistics, and replace each logit by exp(x - max).

    The shard has n columns; `segments` (size,) are the entries of the rows in it. `partials` (3, size) become, per row,
    max, the sum of exp(x - max), and the sum of y x without the row's factor.
    """
    cdef Py_ssize_t b, c
    cdef real* x
    cdef real maximum
    cdef double target
    cdef const Segment* y
    for b in range(size):
        x, y = logits + b * stride, &segments[b]
        if b + 1 < size:
            prefetch_segment(&segments[b + 1])
        if bias != NULL:
            for c in range(n):
                x[c] += bias[c]
        maximum = maximum_of(x, n)
        if y.kind == FLOAT32:
            target = target_logit(<const float*>y.values, y.columns, y.entries, column_factors, x)
        elif y.kind == UINT32:
            target = target_logit(<const uint32_t*>y.values, y.columns, y.entries, column_factors, x)
        else:
            target = target_logit(<const double*>y.values, y.columns, y.entries, column_factors, x)
        partials[b] = maximum
        partials[size + b] = exponentials(x, n, maximum)
        partials[2 * size + b] = target


cdef struct PartialRows:
    # Like Partial, for MERGE_ROWS examples
    double[MERGE_ROWS] maximum
    double[MERGE_ROWS] total
    double[MERGE_ROWS] target_logit


cdef void join_rows(PartialRows* left, const PartialRows* right) noexcept nogil:
    """`join` for each row."""
    cdef Py_ssize_t r
    cdef double difference, smaller
    for r in range(MERGE_ROWS):
        difference = left.maximum[r] - right.maximum[r]
        smaller = exp_nonpositive(-fabs(difference))
        left.total[r] = (
            left.total[r] * (<double>1 if difference >= 0 else smaller)
            + right.total[r] * (smaller if difference >= 0 else <double>1)
        )
        left.maximum[r] = left.maximum[r] if difference >= 0 else right.maximum[r]
        left.target_logit[r] += right.target_logit[r]


cdef void join_shards(
    const double* partials, Py_ssize_t shards, Py_ssize_t shard_size, Py_ssize_t size, Py_ssize_t first, Py_ssize_t n,
    PartialRows* waiting,
) noexcept nogil:
    """Merge the partial results of shards by the tree of `merge_partials`, for n rows of a block from `first` on.

    `partials` (3, size) of successive shards are `shard_size` numbers apart. n is at most MERGE_ROWS. `waiting`
    (TREE_DEPTH,) is scratch; its first element becomes the result.
    """
    cdef Py_ssize_t depth = 0, s, joined
    cdef const double* part
    for s in range(shards):
        part = partials + s * shard_size + first
        memcpy(&waiting[depth].maximum[0], part, n * sizeof(double))
        memcpy(&waiting[depth].total[0], part + size, n * sizeof(double))
        memcpy(&waiting[depth].target_logit[0], part + 2 * size, n * sizeof(double))
        depth += 1
        # As a binary counter carries: the last two results are merged while they have the same number of shards
        joined = 1  # shards of the last result
        while (s + 1) % (2 * joined) == 0:
            depth -= 1
            join_rows(&waiting[depth - 1], &waiting[depth])
            joined *= 2
    while depth > 1:
        depth -= 1
        join_rows(&waiting[depth - 1], &waiting[depth])


cdef double merge(
    const double* partials, Py_ssize_t shards, Py_ssize_t shard_size, const Py_ssize_t* rows, Py_ssize_t size,
    const Counts* counts, double* log_normalisers, double* shares,
) noexcept nogil:
    """Merge the partial results of all shards; return the negative log-likelihood of the block's counts in nats.

    That is the sum over rows of sum(y) logsumexp(x) - sum y x. `partials` are as in `join_shards`. log_normalisers[b]
    becomes logsumexp(x), shares[b] the row's factor divided by sum(y).
    """
    cdef PartialRows[TREE_DEPTH] waiting
    cdef Py_ssize_t first = 0, n, b
    cdef double nll = 0, total, factor
    memset(&waiting[0], 0, sizeof(waiting))
    while first < size:
        n = min(<Py_ssize_t>MERGE_ROWS, size - first)
        join_shards(partials, shards, shard_size, size, first, n, &waiting[0])
        for b in range(n):
            total, factor = counts.totals[rows[first + b]], counts.row_factors[rows[first + b]]
            log_normalisers[first + b] = waiting[0].maximum[b] + log(waiting[0].total[b])
            shares[first + b] = factor / total
            nll += total * log_normalisers[first + b] - factor * waiting[0].target_logit[b]
        first += n
    return nll


cdef void residual(
    real* logits, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t size, const double* column_factors,
    const Segment* segments, const double* maxima, const double* log_normalisers, const double* shares,
) noexcept nogil:
    """Replace exp(x - max) of the logits x by softmax(x) - y / sum(y), in place.

    `maxima` (size,) are the shard's. The other arguments are as in `statistics` and `merge`.
    """
    cdef Py_ssize_t b
    cdef real* x
    cdef const Segment* y
    for b in range(size):
        x, y = logits + b * stride, &segments[b]
        if b + 1 < size:
            prefetch_segment(&segments[b + 1])
        scale_by(x, <real>exp(maxima[b] - log_normalisers[b]), n)
        if y.kind == FLOAT32:
            subtract_shares(<const float*>y.values, y.columns, y.entries, column_factors, shares[b], x)
        elif y.kind == UINT32:
            subtract_shares(<const uint32_t*>y.values, y.columns, y.entries, column_factors, shares[b], x)
        else:
            subtract_shares(<const double*>y.values, y.columns, y.entries, column_factors, shares[b], x)


cdef void sum_shards(
    real* gradients, Py_ssize_t shards, Py_ssize_t shard_size, Py_ssize_t width, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """Sum rows `first` to last - 1 of dH over the shards, by the tree of `merge_partials`, into the first shard.

    `gradients` (shards, shard_size / width, width).
    """
    cdef Py_ssize_t distance = 1, s, begin = first * width, length = whole_lines((last - first) * width, gradients)
    while distance < shards:
        s = 0
        while s + distance < shards:
            add_scaled(
                gradients + (s + distance) * shard_size + begin, <real>1, length, gradients + s * shard_size + begin,
            )
            s += 2 * distance
        distance *= 2


cdef void update_embedding(
    real* embedding, Py_ssize_t dim, const Py_ssize_t* rows, const double* row_rates, Py_ssize_t first,
    Py_ssize_t last, real* gradients, Py_ssize_t shards, Py_ssize_t shard_size, Py_ssize_t width, double* squares,
    double rate,
) noexcept nogil:
    """Sum dH over the shards and make a step on rows[first] to rows[last - 1] of the embedding.

    A row whose rate is 0 keeps its bits. `gradients` are as in `sum_shards`.
    """
    cdef Py_ssize_t b, row
    cdef double* square = NULL
    cdef double step
    sum_shards(gradients, shards, shard_size, width, first, last)
    for b in range(first, last):
        row = rows[b]
        if row_rates[row] != 0:
            if squares != NULL:
                square = squares + row
            step = step_length(square, gradients + b * width, rate * row_rates[row], whole_lines(width, gradients))
            if step != 0:
                descend(embedding + row * dim, gradients + b * width, step, dim)


cdef void update_linear(
    real* weights, const real* gradients, real* momentum, double* squares, Py_ssize_t n, Py_ssize_t width,
    double rate, double decay, double correction,
) noexcept nogil:
    """Make a step of row-wise Adagrad with momentum on the n rows of a shard of the linear layer.

    m = decay m + (1 - decay) g;  row -= rate * (m / correction) / sqrt(S)

    The correction is 1 - decay^t after t blocks. `weights`, `gradients` and `momentum` (n, width).
    """
    cdef Py_ssize_t c, d
    cdef real keep = <real>decay, add = <real>(1 - decay)
    cdef const real* g
    cdef real* m
    width = whole_lines(width, weights)
    for c in range(n):
        g, m = gradients + c * width, momentum + c * width
        squares[c] += squared_length(g, width)
        for d in range(width):
            m[d] = keep * m[d] + add * g[d]
        if squares[c] > 0:
            descend(weights + c * width, m, rate / (correction * sqrt(squares[c])), width)


# ---------------------------------------------------------------- Python interface

def block_update_embedding(
    real[:, ::1] embedding, const Py_ssize_t[::1] rows, const double[::1] row_rates, real[:, :, ::1] gradients,
    double[::1] squares, double rate, Py_ssize_t first, Py_ssize_t last,
):
    """Sum `gradients` (S, B, width) over S and make a step on the rows rows[first:last] of the embedding.

    `row_rates` and `squares` (V_in,); `squares` is None for gradient descent.
    """
    cdef Py_ssize_t width = gradients.shape[2], shard_size = gradients.shape[1] * width
    cdef double* sums = NULL
    if squares is not None:
        sums = &squares[0]
    with nogil:
        update_embedding(
            &embedding[0, 0], embedding.shape[1], &rows[0], &row_rates[0], first, last,
            &gradients[0, 0, 0], gradients.shape[0], shard_size, width, sums, rate,
        )
