"""Many blocks, one after another: the kernels of block.pxi and BLAS, by a crew of threads on a model bound once.

A block has two phases, since the residual needs the finished normaliser:

    forward     every shard: logits, statistics
    merge       logsumexp and loss, by the leading thread alone
    backward    every shard: residual, its part of dH, its own rows of dW and their update

A row of the embedding is visited once an epoch, and no other step reads it. So the update of the embedding by the block
before, and what the next block needs of the embedding and of its counts, can be made beside the shards of the forward
phase, by all threads, without changing a bit.

The products are BLAS's, called through the pointers that SciPy publishes, so that a phase needs neither Python nor the
GIL.
"""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint8_t

from fastembed._kernels.types cimport real

include "block.pxi"
include "crew.pxi"


# ---------------------------------------------------------------- matrix products, by BLAS

ctypedef void (*single_product)(
    char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*, float*, int*,
) noexcept nogil
ctypedef void (*double_product)(
    char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*,
) noexcept nogil


cdef inline void product(
    void* gemm, char a_transposed, char b_transposed, int m, int n, int k,
    const real* a, int a_stride, const real* b, int b_stride, real* c, int c_stride,
) noexcept nogil:
    """C (n, m) = op(B) (n, k) @ op(A) (k, m), by rows; to BLAS, by columns, it is C (m, n) = op(A) @ op(B)."""
    cdef real one = 1, zero = 0
    if real is float:
        (<single_product>gemm)(
            &a_transposed, &b_transposed, &m, &n, &k, &one, <real*>a, &a_stride, <real*>b, &b_stride, &zero, c,
            &c_stride,
        )
    else:
        (<double_product>gemm)(
            &a_transposed, &b_transposed, &m, &n, &k, &one, <real*>a, &a_stride, <real*>b, &b_stride, &zero, c,
            &c_stride,
        )


# ---------------------------------------------------------------- whole steps

cdef enum:
    PIECE_ROWS = 16  # of a block, that one task prepares, or whose rows of the embedding it updates


cdef struct BlockModel:
    # Parameters, all of one dtype where void; optimizer state; the division of the vocabulary into shards
    void* embedding            # (V_in, dim)
    void* weights              # (V, width)
    const void* bias           # (V,) or NULL
    void* momentum             # (V, width)
    double* squares            # (V_in,)
    double* linear_squares     # (V,)
    const uint8_t* movable     # (V_in,)
    const void* row_weights    # (V_in,), the weights a
    Py_ssize_t dim, width, shards
    const Py_ssize_t* bounds   # (shards + 1,)


cdef struct BlockScratch:
    # Memory for one block of at most B rows
    void* logits               # (shards, B, stride)
    void* h_gradients          # (shards, B, width)
    void* gradients            # (members of the crew, most rows of a shard, width)
    double* partials           # (shards, 3, B)
    double* log_normalisers    # (B,)
    Py_ssize_t rows, stride, shard_rows


cdef struct Block:
    const Py_ssize_t* ids
    Py_ssize_t size
    void* h                    # (B, width): H
    void* weighted_h           # (B, width): a H
    int64_t* starts            # (shards + 1, B): where the counts of a row in a shard begin


cdef struct BlockState:
    # What the crew works on
    BlockModel model
    BlockScratch scratch
    Counts counts
    void* gemm                 # of BLAS, for the model's dtype
    double decay               # of the momentum
    double rate, linear_rate, correction  # of the step in progress
    Block block                # of the step in progress
    Block next                 # is made ready meanwhile; or has no rows
    const Py_ssize_t* waiting_ids  # the rows of the embedding that the step before has still to update
    Py_ssize_t waiting
    double waiting_rate
    bint is_backward           # the phase, whose tasks are, in this order:
    Py_ssize_t shards          # these shards
    Py_ssize_t updates         # pieces of the update that waits
    Py_ssize_t preparations    # pieces of the next block


cdef void prepare(BlockState* state, Py_ssize_t piece, const real* embedding) noexcept nogil:
    """PIECE_ROWS rows of the next block: their H, and where their counts in each shard begin."""
    cdef Block* block = &state.next
    cdef Py_ssize_t first = piece * PIECE_ROWS, last = min(first + PIECE_ROWS, block.size)
    cdef Py_ssize_t b, d, s, t, end, row, dim = state.model.dim, width = state.model.width
    cdef real* h
    cdef real* weighted
    cdef real weight
    for b in range(first, last):
        row = block.ids[b]
        h, weighted = <real*>block.h + b * width, <real*>block.weighted_h + b * width
        weight = (<const real*>state.model.row_weights)[row]
        for d in range(dim):
            h[d] = embedding[row * dim + d]
            weighted[d] = weight * h[d]
        t, end = state.counts.indptr[row], state.counts.indptr[row + 1]
        for s in range(state.model.shards + 1):
            while t < end and state.counts.indices[t] < state.model.bounds[s]:
                t += 1
            block.starts[s * block.size + b] = t


cdef void forward(BlockState* state, Py_ssize_t s, const real* weights) noexcept nogil:
    """Shard s: logits, then their statistics."""
    cdef BlockModel* model = &state.model
    cdef BlockScratch* scratch = &state.scratch
    cdef Py_ssize_t begin = model.bounds[s], n = model.bounds[s + 1] - begin, size = state.block.size
    cdef real* logits = <real*>scratch.logits + s * scratch.rows * scratch.stride
    cdef const real* bias = NULL
    if model.bias != NULL:
        bias = <const real*>model.bias + begin
    product(
        state.gemm, c"T", c"N", <int>n, <int>size, <int>model.dim, weights + begin * model.width, <int>model.width,
        <const real*>state.block.h, <int>model.width, logits, <int>scratch.stride,
    )
    statistics(
        logits, scratch.stride, bias, begin, n, size, &state.counts,
        state.block.starts + s * size, scratch.partials + 3 * s * size,
    )


cdef void backward(BlockState* state, Py_ssize_t s, Py_ssize_t member, real* weights) noexcept nogil:
    """Shard s: the residual, its part of dH, and its own rows of the linear layer."""
    cdef BlockModel* model = &state.model
    cdef BlockScratch* scratch = &state.scratch
    cdef Py_ssize_t begin = model.bounds[s], n = model.bounds[s + 1] - begin, size = state.block.size
    cdef Py_ssize_t dim = model.dim, width = model.width
    cdef real* r = <real*>scratch.logits + s * scratch.rows * scratch.stride
    cdef real* gradient
    residual(
        r, scratch.stride, begin, n, state.block.ids, size, &state.counts,
        state.block.starts + s * size, scratch.partials + 3 * s * size, scratch.log_normalisers,
    )
    if state.rate != 0:
        product(
            state.gemm, c"N", c"N", <int>dim, <int>size, <int>n, weights + begin * width, <int>width,
            r, <int>scratch.stride, <real*>scratch.h_gradients + s * scratch.rows * width, <int>width,
        )
    if state.linear_rate != 0:
        gradient = <real*>scratch.gradients + member * scratch.shard_rows * width
        product(
            state.gemm, c"N", c"T", <int>dim, <int>n, <int>size, <const real*>state.block.weighted_h, <int>width,
            r, <int>scratch.stride, gradient, <int>width,
        )
        update_linear(
            weights + begin * width, gradient, <real*>model.momentum + begin * width, model.linear_squares + begin,
            n, width, state.linear_rate, state.decay, state.correction,
        )


cdef void update_waiting(BlockState* state, Py_ssize_t piece, real* embedding) noexcept nogil:
    """PIECE_ROWS rows of the embedding's update that waits."""
    cdef BlockModel* model = &state.model
    cdef Py_ssize_t first = piece * PIECE_ROWS
    update_embedding(
        embedding, model.dim, state.waiting_ids, model.movable,
        first, min(first + PIECE_ROWS, state.waiting), <real*>state.scratch.h_gradients,
        model.shards, state.scratch.rows * model.width, model.width, model.squares, state.waiting_rate,
    )


cdef inline Py_ssize_t pieces(Py_ssize_t rows) noexcept nogil:
    return (rows + PIECE_ROWS - 1) // PIECE_ROWS


cdef inline void run_task(BlockState* state, Py_ssize_t task, Py_ssize_t member, real* weights) noexcept nogil:
    if task < state.shards and state.is_backward:
        backward(state, task, member, weights)
    elif task < state.shards:
        forward(state, task, weights)
    elif task < state.shards + state.updates:
        update_waiting(state, task - state.shards, <real*>state.model.embedding)
    else:
        prepare(state, task - state.shards - state.updates, <real*>state.model.embedding)


cdef void run_state(BlockState* state, Crew* crew, bint is_backward, Py_ssize_t shards) noexcept nogil:
    """Run a phase: some shards, the update that waits, and the next block, where there are such."""
    state.is_backward, state.shards = is_backward, shards
    state.updates, state.preparations = pieces(state.waiting), pieces(state.next.size)
    run_phase(crew, shards + state.updates + state.preparations)
    state.waiting = 0


cdef void run_single(void* state, Py_ssize_t task, Py_ssize_t member) noexcept nogil:
    run_task(<BlockState*>state, task, member, <float*>(<BlockState*>state).model.weights)


cdef void run_double(void* state, Py_ssize_t task, Py_ssize_t member) noexcept nogil:
    run_task(<BlockState*>state, task, member, <double*>(<BlockState*>state).model.weights)


cdef class BlockTrainer:
    """A model, its counts, and the memory to train it in, bound once; and the crew of threads that makes the steps.

    Made by `block_trainer`. One thread at a time calls `step` and `finish`; between `open` and `close`, others help
    it from within `work`. It holds references to the arrays that it points into.

    `epoch`, `blocks` and `nll` say how far training has come: the blocks of an epoch that have been trained on, and the
    sum of their negative log-likelihoods. No Ctrl-C comes between a step and these.
    """

    cdef readonly Py_ssize_t epoch, blocks
    cdef readonly double nll
    cdef BlockState state
    cdef Crew crew
    cdef tuple arrays
    cdef object rows, next_rows, waiting_rows  # what the state points into

    def __dealloc__(self):
        disband_crew(&self.crew)

    def open(self):
        """Let threads that call `work` wait for steps to help with."""
        self.crew.closed = 0

    def close(self):
        """Let all calls of `work` return."""
        close_crew(&self.crew)

    def work(self, Py_ssize_t member):
        """Help with the steps of the leading thread, as member 1, 2, ... of the crew, until `close`."""
        with nogil:
            work_in_crew(&self.crew, member)

    def begin(self, Py_ssize_t epoch, Py_ssize_t blocks, double nll):
        """Count the steps of an epoch, of which so many blocks have been trained on."""
        self.epoch, self.blocks, self.nll = epoch, blocks, nll

    def step(
        self, const Py_ssize_t[::1] rows, const Py_ssize_t[::1] next_rows,
        double rate, double linear_rate, double correction,
    ) -> float:
        """Make a step on a block; return the negative log-likelihood of its counts before it, in nats.

        If that is not finite, nothing is changed. Until `finish`, all blocks are of different rows, the update of the
        block's rows of the embedding may wait, and the next step is on `next_rows`, unless they are None. Rates of 0
        change nothing.
        """
        cdef BlockState* state = &self.state
        cdef Py_ssize_t shards = state.model.shards
        cdef double nll
        if state.next.size == 0:
            self.set_next(rows)
            with nogil:
                run_state(state, &self.crew, False, 0)
        state.block, state.next = state.next, state.block
        state.next.size = 0
        self.rows, self.next_rows = self.next_rows, None
        if next_rows is not None:
            self.set_next(next_rows)
        state.rate, state.linear_rate, state.correction = rate, linear_rate, correction
        with nogil:
            run_state(state, &self.crew, False, shards)
            nll = merge(
                state.scratch.partials, shards, state.block.ids, state.block.size, &state.counts,
                state.scratch.log_normalisers,
            )
            if isfinite(nll) and (rate != 0 or linear_rate != 0):
                state.is_backward = True
                run_phase(&self.crew, shards)
                if rate != 0:
                    state.waiting_ids, state.waiting, state.waiting_rate = state.block.ids, state.block.size, rate
        if state.waiting:
            self.waiting_rows = self.rows
        if isfinite(nll):
            self.blocks += 1
            self.nll += nll
        return nll

    def finish(self):
        """Make the update of the embedding that waits, and forget the next rows."""
        self.state.next.size = 0
        with nogil:
            run_state(&self.state, &self.crew, False, 0)

    cdef int set_next(self, const Py_ssize_t[::1] rows) except -1:
        self.next_rows = rows.base
        self.state.next.ids, self.state.next.size = &rows[0], rows.shape[0]
        return 0


cdef void* function_of(capsule) except NULL:
    """The function in a capsule of `scipy.linalg.cython_blas`, whose name is the signature."""
    cdef bytes signature = PyCapsule_GetName(capsule)
    if not signature.startswith(b"void (char *, char *, int *, int *, int *,"):
        raise ImportError(f"SciPy's BLAS must take integers of type int, got the function {signature.decode()}")
    return PyCapsule_GetPointer(capsule, signature)


def block_trainer(
    real[:, ::1] embedding, real[:, ::1] weights, const real[::1] bias, double[::1] squares, double[::1] linear_squares,
    const Py_ssize_t[::1] bounds, const uint8_t[::1] movable, const real[::1] row_weights,
    const int64_t[::1] indptr, const int32_t[::1] indices, const double[::1] data, const double[::1] totals,
    gemm, double decay, scratch,
) -> BlockTrainer:
    """Bind a model: embedding (V_in, D), weights (V, width), bias (V,) or None, squares and linear_squares; counts
    (V_in, V) as CSR and their `totals` (V_in,); `movable` (V_in,) is 0 for rows of the embedding that no step changes;
    `row_weights` (V_in,), the weights a; `gemm`, a capsule of BLAS's function for the dtype, whose integers are int.

    `scratch` has, as attributes, the memory to work in: of the model's dtype h and weighted_h (2, B, width), logits
    (S, B, stride), h_gradients (S, B, width), momentum (V, width) and gradients (members of the crew, rows, width), of
    which h, weighted_h, h_gradients and gradients are zero beyond D; of float64 partials (S, 3, B) and log_normalisers
    (B,); of int64 starts (2, S + 1, B).
    """
    cdef BlockTrainer trainer = BlockTrainer.__new__(BlockTrainer)
    cdef real[:, ::1] momentum = scratch.momentum
    cdef real[:, :, ::1] h = scratch.h, weighted_h = scratch.weighted_h
    cdef real[:, :, ::1] logits = scratch.logits, h_gradients = scratch.h_gradients, gradients = scratch.gradients
    cdef double[:, :, ::1] partials = scratch.partials
    cdef double[::1] log_normalisers = scratch.log_normalisers
    cdef int64_t[:, :, ::1] starts = scratch.starts
    cdef const real* b = NULL
    cdef Task task = run_double
    if bias is not None:
        b = &bias[0]
    if real is float:
        task = run_single
    form_crew(&trainer.crew, gradients.shape[0], task, &trainer.state)
    trainer.state.model = BlockModel(
        &embedding[0, 0], &weights[0, 0], b, &momentum[0, 0], &squares[0], &linear_squares[0], &movable[0],
        &row_weights[0], embedding.shape[1], weights.shape[1], bounds.shape[0] - 1, &bounds[0],
    )
    trainer.state.scratch = BlockScratch(
        &logits[0, 0, 0], &h_gradients[0, 0, 0], &gradients[0, 0, 0], &partials[0, 0, 0], &log_normalisers[0],
        logits.shape[1], logits.shape[2], gradients.shape[1],
    )
    trainer.state.block = Block(NULL, 0, &h[0, 0, 0], &weighted_h[0, 0, 0], &starts[0, 0, 0])
    trainer.state.next = Block(NULL, 0, &h[1, 0, 0], &weighted_h[1, 0, 0], &starts[1, 0, 0])
    trainer.state.counts = Counts(&indptr[0], &indices[0], &data[0], &totals[0])
    trainer.state.gemm = function_of(gemm)
    trainer.state.decay = decay
    trainer.arrays = (
        embedding.base, weights.base, None if bias is None else bias.base, squares.base, linear_squares.base,
        bounds.base, movable.base, row_weights.base, indptr.base, indices.base, data.base, totals.base, gemm,
        h.base, weighted_h.base, momentum.base, logits.base, h_gradients.base, gradients.base, partials.base,
        log_normalisers.base, starts.base,
    )
    return trainer
