"""One block of B examples against one shard of the vocabulary: what stands between the three matrix products.

    X = H W_s^T + b          logits (B, n)                  product, then `block_statistics`
    P = exp(X - lse) - Y/N   residual: softmax - target     `block_residual`
    dH = P W_s               (B, D), summed over shards     product, then `block_update_embedding`
    dW_s = P^T (a H)         (n, D)                         product, then `block_update_linear`

Row b of a block is row rows[b] of the counts N, given as CSR with ascending columns: y_b = N[rows[b], :]. Its target
is its share y_b / sum(y_b); a_b weighs its part in dW. A shard's kernels write only what belongs to the shard: its
piece of X, its partial results, its rows of the linear layer. `block_merge` joins the partial results in shard order.

Both updates are row-wise Adagrad (Duchi et al. 2011 with one sum of squares for a row, so that a step keeps the
gradient's direction):  S += |g|^2;  row -= rate * g / sqrt(S).  A row's first step has the length of the rate.
"""

from libc.math cimport sqrt


cdef inline void add_bias(real* x, const real* bias, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(n):
        x[c] += bias[c]


def block_statistics(
    real[:, ::1] logits, const real[::1] bias, Py_ssize_t begin,
    const Py_ssize_t[::1] rows, const int64_t[::1] indptr, const int32_t[::1] indices, const double[::1] data,
    double[:, ::1] partials,
):
    """Add the bias, note (max, sum of exp(x - max), sum of y x) a row, leave exp(x - max) in place of the logits.

    `bias` is the shard's part (n,); `begin` its first column; `partials` (B, 3).
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
    """Sum over the block of sum(y) logsumexp(x) - sum y x: the negative log-likelihood of its counts, in nats.

    `partials` (S, B, 3) of the shards; `totals` (B,) the rows' sums of counts; `shares` (S, B) becomes
    exp(max of the shard - logsumexp), which turns a shard's exponentials into probabilities.
    """
    cdef Py_ssize_t s, b
    cdef double maximum, total, target_logit, log_normaliser, nll = 0
    cdef Partial* partial
    with nogil:
        for b in range(partials.shape[1]):
            maximum = -INFINITY
            total = target_logit = 0
            for s in range(partials.shape[0]):
                maximum = max(maximum, partials[s, b, 0])
            for s in range(partials.shape[0]):
                partial = <Partial*>&partials[s, b, 0]
                total += partial.total * exp(partial.maximum - maximum)
                target_logit += partial.target_logit
            log_normaliser = maximum + log(total)
            for s in range(partials.shape[0]):
                shares[s, b] = exp(partials[s, b, 0] - log_normaliser)
            nll += totals[b] * log_normaliser - target_logit
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
                if real is float:
                    add_scaled(&gradients[s, b, 0], 1, dim, <float_alone>g)
                else:
                    add_scaled(&gradients[s, b, 0], 1, dim, <double_alone>g)
            squares[row] += dot(g, g, dim)
            if squares[row] > 0:
                if real is float:
                    add_scaled(g, <float>(-rate / sqrt(squares[row])), dim, <float_alone>&embedding[row, 0])
                else:
                    add_scaled(g, -rate / sqrt(squares[row]), dim, <double_alone>&embedding[row, 0])


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
                if real is float:
                    add_scaled(m, <float>(-rate / (correction * sqrt(squares[c]))), dim, <float_alone>&weights[c, 0])
                else:
                    add_scaled(m, -rate / (correction * sqrt(squares[c])), dim, <double_alone>&weights[c, 0])
