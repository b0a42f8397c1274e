"""One block of B examples against the vocabulary: the kernels between the three matrix products.

    X = H W_s^T + b          logits (B, n) of shard s       product, then `statistics`
    P = exp(X - lse) - Y/N   residual: softmax - target     `residual`
    dH = P W_s               (B, D), summed over shards     product, then `update_embedding`
    dW_s = P^T (a H)         (n, D)                         product, then `update_linear`

Row b of a block is row rows[b] of the counts N, given by rows with ascending columns: y_b = N[rows[b], :]. Its target
is the distribution y_b / sum(y_b); a_b is its weight in dW. A shard's kernels write only what belongs to the shard: its
part of X, its partial results, its rows of the linear layer. The partial results of shards are merged by a fixed binary
tree, as in `merge_partials`.

Both updates are row-wise Adagrad (Duchi et al. 2011 with one sum of squares per row, so that a step keeps the
gradient's direction):  S += |g|^2;  row -= rate * g / sqrt(S).  The first step of a row has the length of the rate.
Each row of the embedding has a factor on the rate. Without sums of squares (NULL) the embedding makes the steps of
gradient descent:  row -= rate * g.
"""

from libc.math cimport exp, fabs, log, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from fastembed._kernels.exp cimport exp_nonpositive
from fastembed._kernels.primitives cimport (
    TREE_DEPTH, add_scaled, descend, exponentials, maximum_of, prefetch, scale_by, squared_length, step_length,
    whole_lines,
)
from fastembed._kernels.types cimport real


cdef enum:
    MERGE_ROWS = 32  # rows of a block whose partial results are merged together


cdef struct Counts:
    # The counts N as CSR with ascending columns, and their row sums: row w is from begins[w] to ends[w] - 1
    const int64_t* begins
    const int64_t* ends
    const int32_t* indices
    const double* data
    const double* totals


# ---------------------------------------------------------------- kernels, one per mathematical step

cdef inline void add_bias(real* x, const real* bias, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(n):
        x[c] += bias[c]


cdef inline void prefetch_counts(const Counts* counts, int64_t start) noexcept nogil:
    """The first ones of a row in a shard, while the row before is worked on."""
    prefetch(counts.indices + start)
    prefetch(counts.data + start)
    prefetch(counts.data + start + 8)


cdef void statistics(
    real* logits, Py_ssize_t stride, const real* bias, Py_ssize_t begin, Py_ssize_t n,
    Py_ssize_t size, const Counts* counts, const int64_t* starts, double* partials,
) noexcept nogil:
    """Add the bias, store (max, sum of exp(x - max), sum of y x) per row, put exp(x - max) in place of the logits.

    The shard has the columns begin to begin + n - 1. `starts` (2, size) is where each row's counts in it begin, and
    end; `partials` (3, size).
    """
    cdef Py_ssize_t b, t
    cdef real* x
    cdef real maximum
    cdef double target_logit
    for b in range(size):
        x = logits + b * stride
        if bias != NULL:
            add_bias(x, bias, n)
        target_logit = 0
        if b + 1 < size:
            prefetch_counts(counts, starts[b + 1])
        for t in range(starts[b], starts[size + b]):
            target_logit += counts.data[t] * x[counts.indices[t] - begin]
        maximum = maximum_of(x, n)
        partials[b] = maximum
        partials[size + b] = exponentials(x, n, maximum)
        partials[2 * size + b] = target_logit


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
    const double* partials, Py_ssize_t shards, Py_ssize_t size, Py_ssize_t first, Py_ssize_t n, PartialRows* waiting,
) noexcept nogil:
    """Join the results of the shards for rows `first` to first + n - 1, by the tree of `merge_partials`, in waiting[0].

    `partials` (shards, 3, size); n is at most MERGE_ROWS, and `waiting` (TREE_DEPTH,).
    """
    cdef Py_ssize_t depth = 0, s, runs
    cdef const double* of_shard
    for s in range(shards):
        of_shard = partials + 3 * s * size + first
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
    const double* partials, Py_ssize_t shards, const Py_ssize_t* rows, Py_ssize_t size, const Counts* counts,
    double* log_normalisers,
) noexcept nogil:
    """Return the negative log-likelihood of the block's counts in nats: the sum of sum(y) logsumexp(x) - sum y x.

    `partials` (shards, 3, size), merged by the tree of `merge_partials`; log_normalisers[b] becomes logsumexp(x).
    """
    cdef PartialRows[TREE_DEPTH] waiting
    cdef Py_ssize_t first = 0, n, b
    cdef double nll = 0
    memset(&waiting[0], 0, sizeof(waiting))
    while first < size:
        n = min(<Py_ssize_t>MERGE_ROWS, size - first)
        join_shards(partials, shards, size, first, n, &waiting[0])
        for b in range(n):
            log_normalisers[first + b] = waiting[0].maximum[b] + log(waiting[0].total[b])
            nll += counts.totals[rows[first + b]] * log_normalisers[first + b] - waiting[0].target_logit[b]
        first += n
    return nll


cdef void join_run(const double* partials, Py_ssize_t shards, Py_ssize_t size, double* joined) noexcept nogil:
    """The results of a run of shards as those of one: `partials` (shards, 3, size) become `joined` (3, size).

    With it in place of the run, `merge` gives the same bits, if the run is a subtree.
    """
    cdef PartialRows[TREE_DEPTH] waiting
    cdef Py_ssize_t first = 0, n
    memset(&waiting[0], 0, sizeof(waiting))
    while first < size:
        n = min(<Py_ssize_t>MERGE_ROWS, size - first)
        join_shards(partials, shards, size, first, n, &waiting[0])
        memcpy(joined + first, &waiting[0].maximum[0], n * sizeof(double))
        memcpy(joined + size + first, &waiting[0].total[0], n * sizeof(double))
        memcpy(joined + 2 * size + first, &waiting[0].target_logit[0], n * sizeof(double))
        first += n


cdef inline void subtract_shares(
    real* x, Py_ssize_t begin, const Counts* counts, int64_t first, int64_t last, double total,
) noexcept nogil:
    """x_(c - begin) -= y_c / total for the counts y from `first` to last - 1."""
    cdef double inverse = 1 / total
    cdef int64_t t
    for t in range(first, last):
        if real is float:  # in float the product rounds to the quotient, but not in double
            x[counts.indices[t] - begin] -= <real>(counts.data[t] * inverse)
        else:
            x[counts.indices[t] - begin] -= counts.data[t] / total


cdef void residual(
    real* exponentials, Py_ssize_t stride, Py_ssize_t begin, Py_ssize_t n,
    const Py_ssize_t* rows, Py_ssize_t size, const Counts* counts,
    const int64_t* starts, const double* maxima, const double* log_normalisers,
) noexcept nogil:
    """exp(x - max) becomes softmax(x) - y / sum(y), in place; `maxima` (size,) are those of the shard."""
    cdef Py_ssize_t b
    cdef real* x
    for b in range(size):
        x = exponentials + b * stride
        if b + 1 < size:
            prefetch_counts(counts, starts[b + 1])
        scale_by(x, <real>exp(maxima[b] - log_normalisers[b]), n)
        subtract_shares(x, begin, counts, starts[b], starts[size + b], counts.totals[rows[b]])


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
