"""One block of B examples against one shard of the vocabulary: the steps between the three matrix products.

    X = H W_s^T + b          logits (B, n)                  product, then `block_statistics`
    P = exp(X - lse) - Y/N   residual: softmax - target     `block_residual`
    dH = P W_s               (B, D), summed over shards     product, then `block_update_embedding`
    dW_s = P^T (a H)         (n, D)                         product, then `block_update_linear`

Row b of a block is row rows[b] of the counts N, given as CSR with ascending columns: y_b = N[rows[b], :]. Its target
is the distribution y_b / sum(y_b); a_b is its weight in dW. A shard's kernels write only what belongs to the shard: its
part of X, its partial results, its rows of the linear layer. `block_merge` merges the partial results in the order of
the shards.

Both updates are row-wise Adagrad (Duchi et al. 2011 with one sum of squares per row, so that a step keeps the
gradient's direction):  S += |g|^2;  row -= rate * g / sqrt(S).  A row's first step has the length of the rate.
"""

from libc.math cimport exp, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from fastembed._kernels.primitives cimport (
    Merged, Partial, add_scaled, dot, exponentials, lower_bound, maximum_of, merge_partials, scale_by,
)
from fastembed._kernels.types cimport real


cdef inline void add_bias(real* x, const real* bias, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(n):
        x[c] += bias[c]


def block_statistics(
    real[:, ::1] logits, const real[::1] bias, Py_ssize_t begin,
    const Py_ssize_t[::1] rows, const int64_t[::1] indptr, const int32_t[::1] indices, const double[::1] data,
    double[:, ::1] partials,
):
    """Add the bias, store (max, sum of exp(x - max), sum of y x) per row, put exp(x - max) in place of the logits.

    `bias` is the shard's part (n,), or None; `begin` its first column; `partials` (B, 3).
    """
    cdef Py_ssize_t b, t, end, n = logits.shape[1]
    cdef real* x
    cdef Partial* partial
    cdef real maximum
    with nogil:
        for b in range(logits.shape[0]):
            x = &logits[b, 0]
            if bias is not None:
                add_bias(x, &bias[0], n)
            partial = <Partial*>&partials[b, 0]
            partial.target_logit = 0
            end = indptr[rows[b] + 1]
            t = lower_bound(&indices[0], indptr[rows[b]], end, begin)
            while t < end and indices[t] < begin + n:
                partial.target_logit += data[t] * x[indices[t] - begin]
                t += 1
            maximum = maximum_of(x, n)
            partial.maximum = maximum
            partial.total = exponentials(x, n, maximum)


def block_merge(double[:, :, ::1] partials, const double[::1] totals, double[:, ::1] shares):
    """Return the negative log-likelihood of the block's counts in nats: the sum of sum(y) logsumexp(x) - sum y x.

    `partials` (S, B, 3) of the shards; `totals` (B,) the rows' sums of counts; `shares` (S, B) becomes
    exp(max of the shard - logsumexp), the factor that turns a shard's exponentials into probabilities.
    """
    cdef Py_ssize_t s, b, shards = partials.shape[0], rows = partials.shape[1]
    cdef double nll = 0
    cdef Merged merged
    with nogil:
        for b in range(rows):
            merged = merge_partials(<const Partial*>&partials[0, b, 0], shards, rows)
            for s in range(shards):
                shares[s, b] = exp(partials[s, b, 0] - merged.log_normaliser)
            nll += totals[b] * merged.log_normaliser - merged.target_logit
    return nll


def block_residual(
    real[:, ::1] exponentials, const double[::1] shares, const double[::1] totals, Py_ssize_t begin,
    const Py_ssize_t[::1] rows, const int64_t[::1] indptr, const int32_t[::1] indices, const double[::1] data,
):
    """exp(x - max) becomes softmax(x) - y / sum(y), in place; `shares` (B,) and `totals` (B,) as in block_merge."""
    cdef Py_ssize_t b, t, end, n = exponentials.shape[1]
    cdef real* x
    with nogil:
        for b in range(exponentials.shape[0]):
            x = &exponentials[b, 0]
            scale_by(x, <real>shares[b], n)
            end = indptr[rows[b] + 1]
            t = lower_bound(&indices[0], indptr[rows[b]], end, begin)
            while t < end and indices[t] < begin + n:
                x[indices[t] - begin] -= <real>(data[t] / totals[b])
                t += 1


def block_update_embedding(
    real[:, ::1] embedding, const Py_ssize_t[::1] rows, const real[:, :, ::1] gradients, double[::1] squares,
    double rate, real[::1] gradient,
):
    """Row-wise Adagrad on the block's rows of the embedding, in place.

    `gradients` (S, B, D) are the shards' parts, summed here in their order; `squares` (V_in,) the rows' sums S;
    `gradient` (D,) is scratch.
    """
    cdef Py_ssize_t s, b, row, dim = embedding.shape[1]
    cdef real* g = &gradient[0]
    with nogil:
        for b in range(rows.shape[0]):
            row = rows[b]
            memset(g, 0, dim * sizeof(real))
            for s in range(gradients.shape[0]):
                add_scaled(&gradients[s, b, 0], <real>1, dim, g)
            squares[row] += dot(g, g, dim)
            if squares[row] > 0:
                add_scaled(g, <real>(-rate / sqrt(squares[row])), dim, &embedding[row, 0])


def block_update_linear(
    real[:, ::1] weights, const real[:, ::1] gradients, real[:, ::1] momentum, double[::1] squares,
    double rate, double decay, double correction,
):
    """Row-wise Adagrad with momentum on the shard's rows of the linear layer, in place.

    m = decay m + (1 - decay) g;  row -= rate * (m / correction) / sqrt(S), with correction = 1 - decay^t after t
    blocks. `gradients` and `momentum` (n, D), `squares` (n,), `weights` (n, width).
    """
    cdef Py_ssize_t c, d, dim = gradients.shape[1]
    cdef real keep = <real>decay, take = <real>(1 - decay)
    cdef const real* g
    cdef real* m
    with nogil:
        for c in range(gradients.shape[0]):
            g = &gradients[c, 0]
            m = &momentum[c, 0]
            squares[c] += dot(g, g, dim)
            for d in range(dim):
                m[d] = keep * m[d] + take * g[d]
            if squares[c] > 0:
                add_scaled(m, <real>(-rate / (correction * sqrt(squares[c]))), dim, &weights[c, 0])
