"""Many examples, one after another: the kernels of row.pxi in a loop without the GIL, on a model bound once."""

from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from fastembed._kernels.types cimport real


cdef Py_ssize_t train_rows(
    real* embedding, Py_ssize_t dim, real* weights, Py_ssize_t width, const real* bias,
    const Py_ssize_t* bounds, Py_ssize_t shards,
    Py_ssize_t examples, const Py_ssize_t* inputs,
    const int64_t* starts, const int32_t* columns, const double* amounts,
    double scale, double learning_rate, bint update_linear,
    real* h, real* logits, Partial* partials, real* expected, real* observed, double* gradient, double* losses,
) noexcept nogil:
    """Steps over examples in their order, every shard on this thread. Returns their number: fewer than asked where a
    loss is not finite, and then nothing of that example has been changed."""
    cdef Py_ssize_t n, s, d, first, targets
    cdef real* x = NULL
    cdef real* row
    cdef double log_normaliser = 0, total_target
    if update_linear:
        x = logits
    memset(h, 0, width * sizeof(real))
    for n in range(examples):
        row = embedding + inputs[n] * dim
        first, targets = starts[n], starts[n + 1] - starts[n]
        total_target = sum_of(amounts + first, targets)
        for d in range(dim):
            h[d] = row[d]
        for s in range(shards):
            pass_shard(
                weights, h, bias, bounds[s], bounds[s + 1], width, columns + first, amounts + first, targets,
                x, expected + s * width, observed + s * width, partials + s,
            )
        losses[n] = merge_shards(partials, shards, total_target, scale, &log_normaliser)
        if not isfinite(losses[n]):
            return n
        merge_gradient(
            partials, expected, observed, shards, width, log_normaliser, total_target, scale, gradient,
        )
        descend_row(row, gradient, dim, learning_rate)
        if update_linear:
            for s in range(shards):
                descend_shard(
                    weights, h, x, bounds[s], bounds[s + 1], width, columns + first, amounts + first, targets,
                    log_normaliser, total_target, learning_rate * scale,
                )
    return examples


cdef class RowTrainer:
    """A model and the memory to train it in, bound once, so that a step costs little more than its arithmetic.

    Made by `row_trainer`. It holds references to the arrays it points into.
    """

    cdef bint single                 # float32, or float64
    cdef tuple owners
    cdef void* embedding
    cdef void* weights
    cdef const void* bias
    cdef const Py_ssize_t* bounds
    cdef void* h
    cdef void* logits
    cdef void* expected
    cdef void* observed
    cdef Partial* partials
    cdef double* gradient
    cdef Py_ssize_t dim, width, shards
    cdef double scale

    cdef Py_ssize_t descend(
        self, Py_ssize_t examples, const Py_ssize_t* inputs, const int64_t* starts, const int32_t* columns,
        const double* amounts, double learning_rate, bint update_linear, double* losses,
    ) noexcept nogil:
        if self.single:
            return train_rows(
                <float*>self.embedding, self.dim, <float*>self.weights, self.width, <const float*>self.bias,
                self.bounds, self.shards, examples, inputs, starts, columns, amounts,
                self.scale, learning_rate, update_linear, <float*>self.h, <float*>self.logits, self.partials,
                <float*>self.expected, <float*>self.observed, self.gradient, losses,
            )
        return train_rows(
            <double*>self.embedding, self.dim, <double*>self.weights, self.width, <const double*>self.bias,
            self.bounds, self.shards, examples, inputs, starts, columns, amounts,
            self.scale, learning_rate, update_linear, <double*>self.h, <double*>self.logits, self.partials,
            <double*>self.expected, <double*>self.observed, self.gradient, losses,
        )

    def step(self, Py_ssize_t i, int32_t target, double learning_rate, bint update_linear) -> float:
        """One step on input row i with output `target`; returns the loss before it, and changes nothing if that is
        not finite."""
        cdef int64_t[2] starts = [0, 1]
        cdef double one = 1, loss
        with nogil:
            self.descend(1, &i, starts, &target, &one, learning_rate, update_linear, &loss)
        return loss

    def train(
        self, const Py_ssize_t[::1] inputs, const int64_t[::1] starts, const int32_t[::1] columns,
        const double[::1] amounts, double learning_rate, bint update_linear, double[::1] losses,
    ) -> int:
        """Steps over all examples, without the GIL.

        Example n has input row inputs[n] and the target entries starts[n] to starts[n + 1] of `columns` and `amounts`.
        losses[n] is its loss before the step. Returns the number of steps made, as `train_rows` does.
        """
        cdef Py_ssize_t made
        with nogil:
            made = self.descend(
                inputs.shape[0], &inputs[0], &starts[0], &columns[0], &amounts[0], learning_rate, update_linear,
                &losses[0],
            )
        return made


def row_trainer(
    real[:, ::1] embedding, real[:, ::1] weights, const real[::1] bias, const Py_ssize_t[::1] bounds, double scale,
    real[::1] h, real[::1] logits, double[:, ::1] partials, real[:, ::1] expected, real[:, ::1] observed,
    double[::1] gradient,
) -> RowTrainer:
    """Bind a model: embedding (V_in, D), weights (V, width), bias (V,) or None, the shards' bounds (S + 1,).

    The rest is scratch: h (width,), logits (V,), partials (S, 3), expected and observed (S, width), gradient (width,).
    """
    cdef RowTrainer bound = RowTrainer.__new__(RowTrainer)
    bound.owners = (
        embedding.base, weights.base, None if bias is None else bias.base, bounds.base,
        h.base, logits.base, partials.base, expected.base, observed.base, gradient.base,
    )
    bound.single = real is float
    bound.embedding, bound.dim = &embedding[0, 0], embedding.shape[1]
    bound.weights, bound.width = &weights[0, 0], weights.shape[1]
    bound.bias = NULL
    if bias is not None:
        bound.bias = &bias[0]
    bound.bounds, bound.shards = &bounds[0], bounds.shape[0] - 1
    bound.scale = scale
    bound.h, bound.logits, bound.gradient = &h[0], &logits[0], &gradient[0]
    bound.partials = <Partial*>&partials[0, 0]
    bound.expected, bound.observed = &expected[0, 0], &observed[0, 0]
    return bound
