"""Many examples, one after another: the kernels of row.pxi in a loop without the GIL, on a model bound once."""

from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from fastembed._kernels.primitives cimport Merged, Partial, merge_partials
from fastembed._kernels.types cimport real

include "row.pxi"


cdef struct Model:
    # Parameters, all of one dtype; the division of the vocabulary into shards; the factor on the loss
    void* embedding           # (V_in, dim)
    void* weights             # (V, width)
    const void* bias          # (V,) or NULL
    Py_ssize_t dim, width, shards
    const Py_ssize_t* bounds  # (shards + 1,)
    double scale


cdef struct Scratch:
    # Memory for one example, of the model's dtype where it is void
    void* h                   # (width,)
    void* logits              # (V,)
    void* expected            # (shards, width)
    void* observed            # (shards, width)
    Partial* partials         # (shards,)
    double* gradient          # (width,)


cdef struct Examples:
    # Example n has the input row inputs[n] and the target entries starts[n] to starts[n + 1] of columns and amounts
    Py_ssize_t size
    const Py_ssize_t* inputs
    const int64_t* starts
    const int32_t* columns
    const double* amounts


cdef Py_ssize_t train_rows(
    const Model* model, const Scratch* scratch, real* h, const Examples* examples,
    double learning_rate, bint update_linear, double* losses,
) noexcept nogil:
    """Step through examples in their order, every shard on this thread; h is `scratch.h`, in the model's dtype.

    Returns the number of steps made: fewer than there are examples if a loss is not finite, and then that example
    has changed nothing.
    """
    cdef real* embedding = <real*>model.embedding
    cdef real* weights = <real*>model.weights
    cdef const real* bias = <const real*>model.bias
    cdef real* expected = <real*>scratch.expected
    cdef real* observed = <real*>scratch.observed
    cdef real* logits = NULL
    cdef real* row
    cdef const Py_ssize_t* bounds = model.bounds
    cdef Py_ssize_t n, s, d, first, width = model.width, dim = model.dim, shards = model.shards
    cdef Merged merged
    cdef Target y
    if update_linear:
        logits = <real*>scratch.logits
    memset(h, 0, width * sizeof(real))
    for n in range(examples.size):
        row = embedding + examples.inputs[n] * dim
        first = examples.starts[n]
        y = target_row(examples.columns + first, examples.amounts + first, examples.starts[n + 1] - first)
        for d in range(dim):
            h[d] = row[d]
        for s in range(shards):
            pass_shard(
                weights, h, bias, bounds[s], bounds[s + 1], width, &y,
                logits, expected + s * width, observed + s * width, scratch.partials + s,
            )
        merged = merge_partials(scratch.partials, shards)
        losses[n] = model.scale * (y.total * merged.log_normaliser - merged.target_logit)
        if not isfinite(losses[n]):
            return n
        merge_gradient(
            scratch.partials, expected, observed, shards, width, merged.log_normaliser, y.total, model.scale,
            scratch.gradient,
        )
        descend_row(row, scratch.gradient, dim, learning_rate)
        if update_linear:
            for s in range(shards):
                descend_shard(
                    weights, h, logits, bounds[s], bounds[s + 1], width, &y, merged.log_normaliser,
                    learning_rate * model.scale,
                )
    return examples.size


cdef class RowTrainer:
    """A model and the memory to train it in, bound once, so that a step costs little more than its arithmetic.

    Made by `row_trainer`. It holds references to the arrays that it points into.
    """

    cdef bint single  # float32, or else float64
    cdef Model model
    cdef Scratch scratch
    cdef tuple arrays

    cdef Py_ssize_t descend(
        self, const Examples* examples, double learning_rate, bint update_linear, double* losses,
    ) noexcept nogil:
        if self.single:
            return train_rows(
                &self.model, &self.scratch, <float*>self.scratch.h, examples, learning_rate, update_linear, losses,
            )
        return train_rows(
            &self.model, &self.scratch, <double*>self.scratch.h, examples, learning_rate, update_linear, losses,
        )

    def step(self, Py_ssize_t i, int32_t target, double learning_rate, bint update_linear) -> float:
        """Make one step on input row i with output `target`; return the loss before it.

        If that is not finite, nothing is changed.
        """
        cdef int64_t[2] starts = [0, 1]
        cdef double one = 1, loss
        cdef Examples example = Examples(1, &i, &starts[0], &target, &one)
        with nogil:
            self.descend(&example, learning_rate, update_linear, &loss)
        return loss

    def train(
        self, const Py_ssize_t[::1] inputs, const int64_t[::1] starts, const int32_t[::1] columns,
        const double[::1] amounts, double learning_rate, bint update_linear, double[::1] losses,
    ) -> int:
        """Step through all examples; return the number of steps made, as `train_rows` does.

        Example n has the input row inputs[n] and the target entries starts[n] to starts[n + 1] of `columns` and
        `amounts`. losses[n] becomes its loss before the step.
        """
        cdef Examples examples = Examples(inputs.shape[0], &inputs[0], &starts[0], &columns[0], &amounts[0])
        cdef Py_ssize_t made
        with nogil:
            made = self.descend(&examples, learning_rate, update_linear, &losses[0])
        return made


def row_trainer(
    real[:, ::1] embedding, real[:, ::1] weights, const real[::1] bias, const Py_ssize_t[::1] bounds, double scale,
    scratch,
) -> RowTrainer:
    """Bind a model: embedding (V_in, D), weights (V, width), bias (V,) or None, the shards' bounds (S + 1,).

    `scratch` has, as attributes, the memory to work in: h (width,), logits (V,), expected and observed (S, width) of
    the model's dtype, partials (S, 3) and gradient (width,) of float64.
    """
    cdef RowTrainer trainer = RowTrainer.__new__(RowTrainer)
    cdef real[::1] h = scratch.h, logits = scratch.logits
    cdef real[:, ::1] expected = scratch.expected, observed = scratch.observed
    cdef double[:, ::1] partials = scratch.partials
    cdef double[::1] gradient = scratch.gradient
    cdef const real* b = NULL
    if bias is not None:
        b = &bias[0]
    trainer.single = real is float
    trainer.model = Model(
        &embedding[0, 0], &weights[0, 0], b,
        embedding.shape[1], weights.shape[1], bounds.shape[0] - 1, &bounds[0], scale,
    )
    trainer.scratch = Scratch(
        &h[0], &logits[0], &expected[0, 0], &observed[0, 0], <Partial*>&partials[0, 0], &gradient[0],
    )
    trainer.arrays = (
        embedding.base, weights.base, None if bias is None else bias.base, bounds.base,
        h.base, logits.base, expected.base, observed.base, partials.base, gradient.base,
    )
    return trainer
