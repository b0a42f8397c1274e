"""One block of B examples against the vocabulary: the kernels between the three matrix products.

    X = H W_s^T + b          logits (B, n) of shard s       product, then `statistics`
    P = exp(X - lse) - Y/N   residual: softmax - target     `residual`
    dH = P W_s               (B, D), summed over shards     product, then `update_embedding`
    dW_s = P^T (a H)         (n, D)                         product, then `update_linear`

Row b of a block is row rows[b] of the counts N: y_b = N[rows[b], :]. Its target is the distribution y_b / sum(y_b); a_b
is its weight in dW. A shard's kernels write only what belongs to the shard: its part of X, its partial results, its
rows of the linear layer. The partial results of shards are merged by a fixed binary tree, as in `merge_partials`.

Both updates are row-wise Adagrad (Duchi et al. 2011 with one sum of squares per row, so that a step keeps the
gradient's direction):  S += |g|^2;  row -= rate * g / sqrt(S).  The first step of a row has the length of the rate.
Each row of the embedding has a factor on the rate. Without sums of squares (NULL) the embedding makes the steps of
gradient descent:  row -= rate * g.
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
    SEARCHES_AHEAD = 8   # rows between the one that is searched in a tile and the one whose place there is prefetched


cdef struct Counts:
    # The counts N in tiles. Row w is at the place w // groups of group w % groups. A value v in it means the count
    # v * row_factors[w] * column_factors[column].
    const int64_t* bases           # (groups,): the address of the bytes of each group
    const int64_t* offsets         # (groups, shards + 1): where a tile begins in them
    const int64_t* entries         # (groups, shards)
    const int64_t* filled          # (groups, shards): the number of rows that have entries
    const uint8_t* kinds           # (groups, shards): the `Kind` of the values
    const double* row_factors      # (rows,)
    const double* column_factors   # by the column
    const double* totals           # (rows,): the sums of the counts
    Py_ssize_t rows, groups, shards


cdef struct TiledRow:
    # A row in a shard: its tile, its place in the group, and the rows of the group
    Tile tile
    Py_ssize_t place, rows


cdef struct Segment:
    # The entries of a row in a shard
    const void* values
    const uint16_t* columns
    int32_t entries, kind


# ---------------------------------------------------------------- kernels, one per mathematical step

cdef inline void add_bias(real* x, const real* bias, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(n):
        x[c] += bias[c]


cdef inline TiledRow tiled_row(const Counts* counts, Py_ssize_t row, Py_ssize_t s) noexcept nogil:
    """Row `row` of the counts in shard s."""
    cdef Py_ssize_t group = row % counts.groups, at = group * counts.shards + s
    cdef const uint8_t* data = <const uint8_t*>counts.bases[group] + counts.offsets[at + group]
    return TiledRow(
        tile_at(data, counts.entries[at], counts.filled[at], counts.kinds[at]), row // counts.groups,
        (counts.rows - group + counts.groups - 1) // counts.groups,
    )


cdef inline Segment segment_of(const TiledRow* row) noexcept nogil:
    """The entries of a row, by a search among the rows of its tile."""
    cdef const Tile* tile = &row.tile
    # Among the rows before it, and among those after it, as many have none as there are rows without in the group
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
    """The entries of the rows of a block in shard s, before they are needed: the searches do not wait for memory."""
    cdef Py_ssize_t b, near
    cdef TiledRow row
    for b in range(size + SEARCHES_AHEAD):
        if b < size:
            row = tiled_row(counts, rows[b], s)
            near = row.place * row.tile.filled // row.rows
            prefetch(row.tile.rows + near)
            prefetch(row.tile.ends + near)
        if b >= SEARCHES_AHEAD:
            row = tiled_row(counts, rows[b - SEARCHES_AHEAD], s)
            segments[b - SEARCHES_AHEAD] = segment_of(&row)


cdef inline void prefetch_segment(const Segment* segment) noexcept nogil:
    """While the row before is worked on."""
    cdef Py_ssize_t t = 0
    while t < segment.entries:
        prefetch(segment.columns + t)
        prefetch(<const float*>segment.values + t)
        prefetch(<const float*>segment.values + t + 16)
        t += 32


cdef inline double target_logit(
    const tile_value* values, const uint16_t* columns, Py_ssize_t entries, const double* factors, const real* x,
) noexcept nogil:
    """The sum of y x for the entries of a row, but for the factor of the row."""
    cdef double total = 0
    cdef Py_ssize_t t
    for t in range(entries):
        total += values[t] * factors[columns[t]] * x[columns[t]]
    return total


cdef inline void subtract_shares(
    const tile_value* values, const uint16_t* columns, Py_ssize_t entries, const double* factors, double factor,
    real* x,
) noexcept nogil:
    """x_c -= y_c * factor for the entries of a row."""
    cdef Py_ssize_t t
    for t in range(entries):
        x[columns[t]] -= <real>(values[t] * factors[columns[t]] * factor)


cdef void statistics(
    real* logits, Py_ssize_t stride, const real* bias, Py_ssize_t n, Py_ssize_t size, const double* column_factors,
    const Segment* segments, double* partials,
) noexcept nogil:
    """Add the bias, store (max, sum of exp(x - max), sum of y x) per row, put exp(x - max) in place of the logits.

    The sum of y x lacks the factor of the row. The shard has n columns, with `column_factors`; `segments` (size,) are
    the entries of the rows in it. `partials` (3, size).
    """
    cdef Py_ssize_t b
    cdef real* x
    cdef real maximum
    cdef double target
    cdef const Segment* y
    for b in range(size):
        x, y = logits + b * stride, &segments[b]
        if b + 1 < size:
            prefetch_segment(&segments[b + 1])
        if bias != NULL:
            add_bias(x, bias, n)
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
    """Join the results of the shards for rows `first` to first + n - 1, by the tree of `merge_partials`, in waiting[0].

    The `partials` (3, size) of the shards are `shard_size` apart; n is at most MERGE_ROWS, and `waiting` (TREE_DEPTH,).
    """
    cdef Py_ssize_t depth = 0, s, runs
    cdef const double* of_shard
    for s in range(shards):
        of_shard = partials + s * shard_size + first
        memcpy(&waiting[depth].maximum[0], of_shard, n * sizeof(double))
        memcpy(&waiting[depth].total[0], of_shard + size, n * sizeof(double))
        memcpy(&waiting[depth].target_logit[0], of_shard + 2 * size, n * sizeof(double))
        runs = s
        while runs & 1:
            depth -= 1
            join_rows(&waiting[depth], &waiting[depth + 1])
            runs >>= 1
        depth += 1
    while depth > 1:
        depth -= 1
        join_rows(&waiting[depth - 1], &waiting[depth])


cdef double merge(
    const double* partials, Py_ssize_t shards, Py_ssize_t shard_size, const Py_ssize_t* rows, Py_ssize_t size,
    const Counts* counts, double* log_normalisers, double* shares,
) noexcept nogil:
    """Return the negative log-likelihood of the block's counts in nats: the sum of sum(y) logsumexp(x) - sum y x.

    `partials` are merged by the tree of `merge_partials`; log_normalisers[b] becomes logsumexp(x), and shares[b] the
    factor of the row over sum(y).
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


cdef void join_run(
    const double* partials, Py_ssize_t shards, Py_ssize_t shard_size, Py_ssize_t size, double* joined,
) noexcept nogil:
    """The `partials` of a run of shards, as in `join_shards`, become those of one, `joined` (3, size).

    With it in place of the run, `merge` gives the same bits, if the run is a subtree.
    """
    cdef PartialRows[TREE_DEPTH] waiting
    cdef Py_ssize_t first = 0, n
    memset(&waiting[0], 0, sizeof(waiting))
    while first < size:
        n = min(<Py_ssize_t>MERGE_ROWS, size - first)
        join_shards(partials, shards, shard_size, size, first, n, &waiting[0])
        memcpy(joined + first, &waiting[0].maximum[0], n * sizeof(double))
        memcpy(joined + size + first, &waiting[0].total[0], n * sizeof(double))
        memcpy(joined + 2 * size + first, &waiting[0].target_logit[0], n * sizeof(double))
        first += n


cdef void residual(
    real* exponentials, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t size, const double* column_factors,
    const Segment* segments, const double* maxima, const double* log_normalisers, const double* shares,
) noexcept nogil:
    """exp(x - max) becomes softmax(x) - y / sum(y), in place; `maxima` (size,) are those of the shard.

    `column_factors` and `segments` are as in `statistics`, `log_normalisers` and `shares` as in `merge`.
    """
    cdef Py_ssize_t b
    cdef real* x
    cdef const Segment* y
    for b in range(size):
        x, y = exponentials + b * stride, &segments[b]
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
    """Sum the rows `first` to last - 1 of the shards' parts of dH by the tree of `merge_partials`, into shard 0.

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
    """A step on the embedding's rows rows[first] to rows[last - 1], but for those whose rate is 0.

    The step is row-wise Adagrad's, or that of gradient descent if `squares` is NULL. `gradients` are the shards' parts,
    as in `sum_shards`, which leaves their sum in shard 0.
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
    """Row-wise Adagrad with momentum on the n rows of a shard of the linear layer.

    m = decay m + (1 - decay) g;  row -= rate * (m / correction) / sqrt(S), with correction = 1 - decay^t after t
    blocks. `weights`, `gradients` and `momentum` (n, width).
    """
    cdef Py_ssize_t c, d
    cdef real keep = <real>decay, take = <real>(1 - decay)
    cdef const real* g
    cdef real* m
    width = whole_lines(width, weights)
    for c in range(n):
        g, m = gradients + c * width, momentum + c * width
        squares[c] += squared_length(g, width)
        for d in range(width):
            m[d] = keep * m[d] + take * g[d]
        if squares[c] > 0:
            descend(weights + c * width, m, rate / (correction * sqrt(squares[c])), width)


# ---------------------------------------------------------------- Python interface

def block_update_embedding(
    real[:, ::1] embedding, const Py_ssize_t[::1] rows, const double[::1] row_rates, real[:, :, ::1] gradients,
    double[::1] squares, double rate, Py_ssize_t first, Py_ssize_t last,
):
    """`update_embedding` of rows[first:last]; row_rates and squares (V_in,), gradients (S, B, width).

    `squares` is None for gradient descent.
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
