"""Training on many examples in order, for any number of epochs: the kernels of row.pxi in a loop without the GIL.

The twin is `train` of ``fastembed/reference.py``. The way of a step, five calls deep:

    RowTrainer.step       one example (`train`: many)
      RowTrainer.descend  for the dtype
        train_rows        gather, pass, merge, descend
          pass_shard      logits, softmax, sums of one shard                                  row.pxi
            matvec_rows   one formula (add_weighted_rows, exponentials, ...)
"""

from libc.math cimport NAN, isfinite
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from fastembed._kernels.bags cimport Bags, gather_bag
from fastembed._kernels.float_mode cimport Mode, enter_default_mode, leave_default_mode
from fastembed._kernels.primitives cimport Merged, Partial, merge_partials
from fastembed._kernels.types cimport real

include "row.pxi"


cdef struct RowModel:
    # Parameters (void: in the model's dtype), bounds of the shards, factor on the loss
    void* embedding           # (V_in, dim)
    void* weights             # (V, width)
    const void* bias          # (V,) or NULL
    Py_ssize_t dim, width, shards
    const Py_ssize_t* bounds  # (shards + 1,)
    Tiling tiling
    double scale


cdef struct RowScratch:
    # Memory for one example
    void* h                   # (width,)
    void* logits              # (V,)
    void* expected            # (shards, width)
    void* observed            # (shards, width)
    Partial* partials         # (shards,)
    double* gradient          # (width,)


cdef struct Examples:
    Py_ssize_t size
    const Py_ssize_t* inputs  # (size,): rows of the embedding, unless there are bags
    Bags bags                 # the inputs, or all NULL
    const int64_t* starts     # (size + 1,): the target of example n has the entries starts[n] to starts[n + 1] - 1
    const int32_t* columns
    const double* amounts


cdef Py_ssize_t train_rows(
    const RowModel* model, const RowScratch* scratch, real* h, const Examples* examples, Py_ssize_t begin,
    Py_ssize_t end, double learning_rate, bint update_linear, double* sums,
) noexcept nogil:
    """Make the steps `begin` to end - 1 on this thread; h is `scratch.h` in the model's dtype.

    Steps are numbered over the epochs. With N examples, step k is on example k % N and adds the loss before it to
    sums[k // N]. Return `end`, or the number of the first step whose loss or result is not finite, which changes
    nothing.
    """
    cdef real* embedding = <real*>model.embedding
    cdef real* weights = <real*>model.weights
    cdef const real* bias = <const real*>model.bias
    cdef real* expected = <real*>scratch.expected
    cdef real* observed = <real*>scratch.observed
    cdef real* logits = NULL
    cdef const Py_ssize_t* bounds = model.bounds
    cdef Py_ssize_t width = model.width, dim = model.dim, shards = model.shards
    cdef const Bags* bags = &examples.bags
    cdef int32_t row
    cdef real one = 1
    cdef const int32_t* ids = &row
    cdef const real* bag_weights = &one
    cdef Py_ssize_t epoch = begin // examples.size, n = begin - epoch * examples.size, k, s, first, entries = 1
    cdef double loss, linear_step = 0
    cdef Merged merged
    cdef Target y
    if update_linear:
        logits = <real*>scratch.logits
        linear_step = learning_rate * model.scale
    memset(h, 0, width * sizeof(real))
    for k in range(begin, end):
        first = examples.starts[n]
        y = target_row(examples.columns + first, examples.amounts + first, examples.starts[n + 1] - first)
        if bags.starts != NULL:
            ids, bag_weights = bags.ids + bags.starts[n], <const real*>bags.weights + bags.starts[n]
            entries = bags.starts[n + 1] - bags.starts[n]
        else:
            row = <int32_t>examples.inputs[n]
        gather_bag(embedding, dim, ids, bag_weights, entries, h)
        for s in range(shards):
            pass_shard(
                weights, h, bias, bounds[s], bounds[s + 1], width, &y,
                logits, expected + s * width, observed + s * width, scratch.partials + s, model.tiling,
            )
        merged = merge_partials(scratch.partials, shards)
        loss = model.scale * (y.total * merged.log_normaliser - merged.target_logit)
        if not isfinite(loss):
            return k
        merge_gradient(
            scratch.partials, expected, observed, shards, width, merged.maximum, merged.total, y.total, model.scale,
            scratch.gradient,
        )
        if not descend_bag(
            embedding, ids, bag_weights, entries, h, scratch.gradient, dim, learning_rate, linear_step * y.total,
        ):
            return k
        if update_linear:
            for s in range(shards):
                descend_shard(
                    weights, h, logits, bounds[s], bounds[s + 1], width, &y, scratch.partials[s].maximum,
                    merged.log_normaliser, linear_step,
                )
        sums[epoch] += loss
        n += 1
        if n == examples.size:
            n = 0
            epoch += 1
    return end


cdef class RowTrainer:
    """A model and the memory to train it in, bound once, so that a step costs little more than its arithmetic.

    `row_trainer` makes it. It keeps the arrays alive that it points into.
    """

    cdef bint single  # float32 if true, otherwise float64
    cdef RowModel model
    cdef RowScratch scratch
    cdef tuple arrays

    cdef Py_ssize_t descend(
        self, const Examples* examples, Py_ssize_t begin, Py_ssize_t end, double learning_rate, bint update_linear,
        double* sums,
    ) noexcept nogil:
        if self.single:
            return train_rows(
                &self.model, &self.scratch, <float*>self.scratch.h, examples, begin, end, learning_rate, update_linear,
                sums,
            )
        return train_rows(
            &self.model, &self.scratch, <double*>self.scratch.h, examples, begin, end, learning_rate, update_linear,
            sums,
        )

    def step(self, lock, Py_ssize_t i, int32_t target, double learning_rate, bint update_linear) -> float:
        """Make one step on input row i with output `target`, holding the lock; return the loss before the step.

        If the loss or the result of the step is not finite, return NaN and change nothing. Python's `with` would hold
        the lock, too, but takes longer than the step of a small model.
        """
        cdef int64_t[2] starts = [0, 1]
        cdef double one = 1, loss = 0
        cdef Examples example = Examples(1, &i, Bags(NULL, NULL, NULL), &starts[0], &target, &one)
        cdef Py_ssize_t made
        cdef Mode mode
        lock.acquire()
        with nogil:
            mode = enter_default_mode()
            made = self.descend(&example, 0, 1, learning_rate, update_linear, &loss)
            leave_default_mode(mode)
        lock.release()
        return loss if made else NAN

    def train(
        self, inputs, const int64_t[::1] starts, const int32_t[::1] columns, const double[::1] amounts,
        Py_ssize_t begin, Py_ssize_t end, double learning_rate, bint update_linear, double[::1] sums,
    ) -> int:
        """Make the steps `begin` to end - 1 as `train_rows`; return `end`, or the number of the step that fails.

        `inputs` are rows of the embedding (N,), or an object of bags with int64 starts (N + 1,), int32 ids, and
        weights. The target of example n has the entries starts[n] to starts[n + 1] - 1 of `columns` and `amounts`. The
        losses are added to `sums` (epochs,).
        """
        cdef const Py_ssize_t[::1] rows
        cdef const int64_t[::1] bag_starts
        cdef const int32_t[::1] ids
        cdef const float[::1] singles
        cdef const double[::1] doubles
        cdef Examples examples = Examples(
            len(inputs), NULL, Bags(NULL, NULL, NULL), &starts[0], &columns[0], &amounts[0],
        )
        if hasattr(inputs, "starts"):
            bag_starts, ids = inputs.starts, inputs.ids
            examples.bags.starts, examples.bags.ids = &bag_starts[0], &ids[0]
            if self.single:
                singles = inputs.weights
                examples.bags.weights = &singles[0]
            else:
                doubles = inputs.weights
                examples.bags.weights = &doubles[0]
        else:
            rows = inputs
            examples.inputs = &rows[0]
        with nogil:
            end = self.descend(&examples, begin, end, learning_rate, update_linear, &sums[0])
        return end


def row_trainer(
    real[:, ::1] embedding, real[:, ::1] weights, const real[::1] bias, const Py_ssize_t[::1] bounds,
    Py_ssize_t tile_rows, bint prefetch, double scale, scratch,
) -> RowTrainer:
    """Bind a model: embedding (V_in, D), weights (V, width), bias (V,) or None, bounds of the shards (S + 1,).

    `tile_rows` and `prefetch` are a `Tiling`; `scale` is the factor on the loss. `scratch` is an object with memory to
    work in. Of the model's dtype: h (width,), logits (V,), expected and observed (S, width). Of float64: partials
    (S, 3), gradient (width,).
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
    trainer.model = RowModel(
        &embedding[0, 0], &weights[0, 0], b,
        embedding.shape[1], weights.shape[1], bounds.shape[0] - 1, &bounds[0],
        Tiling(tile_rows, prefetch), scale,
    )
    trainer.scratch = RowScratch(
        &h[0], &logits[0], &expected[0, 0], &observed[0, 0], <Partial*>&partials[0, 0], &gradient[0],
    )
    trainer.arrays = embedding, weights, bias, bounds, scratch
    return trainer
