"""The tasks of a step on a block: what a thread computes for one shard, or for some rows, in each phase of the step.

`BlockTrainer.step` opens the phases, a `Team` takes the tasks.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from fastembed._kernels.bags cimport Bags, Groups, gather_bags, group_bags, update_named
from fastembed._kernels.types cimport real

include "blas.pxi"
include "exchange.pxi"


cpdef enum:
    PIECE_ROWS = 16   # rows of a block per task

cdef enum:
    NAMED_ROWS = 128  # distinct rows of the embedding in the bags of a block per task


cdef enum Phase:       # and its tasks
    GATHER             # pieces of the next block: H
    SHARDS             # shards: backward for the block, forward for the next one; with bags one more, to group the bags
    UPDATE             # without bags, pieces of the block: dH, the step on the embedding
    KEEP               # without bags, with several ranks, pieces of the block: dH, kept for a later step
    SUM                # with bags, pieces of the block: dH over the shards
    JOIN               # with bags and several ranks, pieces of the block: dH over the nodes of all ranks
    UPDATE_NAMED       # with bags, NAMED_ROWS of the rows in the bags: the step on the embedding


cdef struct BlockModel:
    # Parameters (void: in the model's dtype), state of the optimizer, bounds of the shards
    void* embedding            # (V_in, dim)
    void* weights              # (V, width)
    const void* bias           # (V,) or NULL
    void* momentum             # (V, width)
    double* squares            # (V_in,), or NULL: the embedding makes steps of gradient descent
    double* linear_squares     # (V,)
    const double* row_rates    # (V_in,): factors on the learning rate
    const void* row_weights    # (N,): the weights a in dW; N is V_in without bags
    const void* bag_weights    # (N,) or NULL: with bags, weights in the gradients of the embedding
    Py_ssize_t dim, width, shards
    const Py_ssize_t* bounds   # (shards + 1,)


cdef struct BlockScratch:
    # Memory for blocks of at most B rows: the arrays of the class of this name in trainer/blocks.py
    void* logits               # (shards, B, stride)
    void* h_gradients          # (shards, B, width): dH
    void* gradients            # (members of the team, shard_rows, width): dW of a shard
    double* partials           # (shards, 3, B)
    double* log_normalisers    # (B,)
    double* shares             # (B,): factor on the entries of a row in its target
    Segment* segments          # (shards, B)
    Py_ssize_t rows, stride, shard_rows
    # With bags
    void* row_gradients        # (members of the team, width)
    int32_t* slots             # (V_in,)
    int32_t* slot_of_entry     # (entries of a block,)


cdef struct Block:
    const Py_ssize_t* ids
    Py_ssize_t size
    void* h                    # (B, width): H
    void* weighted_h           # (B, width): a H


cdef struct BlockState:
    BlockModel model
    BlockScratch scratch
    Counts counts
    Bags bags
    Exchange exchange
    void* gemm                 # the function of BLAS for the model's dtype
    bint single                # whether that is float32
    double decay               # of the momentum
    double rate, linear_rate, correction  # learning rates and bias correction of the step
    bint training              # whether the step has a backward pass
    Block block                # block of the step
    Block next                 # block of the next forward pass; size 0 if that block is unknown
    Groups groups              # with bags, their entries in the block by row of the embedding
    Phase phase


cdef inline Py_ssize_t pieces(Py_ssize_t rows, Py_ssize_t size) noexcept nogil:
    return (rows + size - 1) // size


cdef void gather_rows(BlockState* state, Py_ssize_t first, Py_ssize_t last, const real* embedding) noexcept nogil:
    """Fill rows `first` to last - 1 of the next block: of H, unless `gather_bags` has done so, and of a H."""
    cdef Block* block = &state.next
    cdef Py_ssize_t b, d, dim = state.model.dim, width = state.model.width
    cdef const real* weights = <const real*>state.model.row_weights
    cdef real* h = <real*>block.h
    cdef real* weighted = <real*>block.weighted_h
    for b in range(first, last):
        if state.bags.starts == NULL:
            memcpy(h + b * width, embedding + block.ids[b] * dim, dim * sizeof(real))
        for d in range(dim):
            weighted[b * width + d] = weights[block.ids[b]] * h[b * width + d]


cdef void forward(BlockState* state, Py_ssize_t s, const real* weights) noexcept nogil:
    """Compute the logits of the next block in shard s, and their statistics."""
    cdef BlockModel* model = &state.model
    cdef BlockScratch* scratch = &state.scratch
    cdef Py_ssize_t begin = model.bounds[s], n = model.bounds[s + 1] - begin, size = state.next.size
    cdef real* logits = <real*>scratch.logits + s * scratch.rows * scratch.stride
    cdef Segment* segments = scratch.segments + s * scratch.rows
    cdef const real* bias = NULL
    find_segments(&state.counts, state.next.ids, size, s, segments)
    if model.bias != NULL:
        bias = <const real*>model.bias + begin
    product(
        state.gemm, c"T", c"N", <int>n, <int>size, <int>model.dim, weights + begin * model.width, <int>model.width,
        <const real*>state.next.h, <int>model.width, logits, <int>scratch.stride,
    )
    statistics(
        logits, scratch.stride, bias, n, size, state.counts.column_factors + begin, segments,
        scratch.partials + 3 * s * scratch.rows,
    )


cdef void backward(BlockState* state, Py_ssize_t s, Py_ssize_t member, real* weights) noexcept nogil:
    """Compute the residual of the block in shard s and its part of dH; make the step on the shard's rows of W."""
    cdef BlockModel* model = &state.model
    cdef BlockScratch* scratch = &state.scratch
    cdef Py_ssize_t begin = model.bounds[s], n = model.bounds[s + 1] - begin, size = state.block.size
    cdef Py_ssize_t dim = model.dim, width = model.width
    cdef real* r = <real*>scratch.logits + s * scratch.rows * scratch.stride
    cdef real* gradient
    residual(
        r, scratch.stride, n, size, state.counts.column_factors + begin, scratch.segments + s * scratch.rows,
        scratch.partials + 3 * s * scratch.rows, scratch.log_normalisers, scratch.shares,
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


cdef inline void run_task(BlockState* state, Py_ssize_t task, Py_ssize_t member, real* weights) noexcept nogil:
    """Run a task of the open phase, as a member of the team; `weights` are the model's."""
    cdef BlockModel* model = &state.model
    cdef Block* next = &state.next
    cdef real* embedding = <real*>model.embedding
    cdef real* h_gradients = <real*>state.scratch.h_gradients
    cdef Py_ssize_t width = model.width, shard_size = state.scratch.rows * width, first = task * PIECE_ROWS
    cdef Py_ssize_t last = min(first + PIECE_ROWS, next.size if state.phase == GATHER else state.block.size)
    if state.phase == GATHER:
        if state.bags.starts != NULL:
            gather_bags(embedding, model.dim, &state.bags, next.ids, next.size, first, last, <real*>next.h, width)
        gather_rows(state, first, last, embedding)
    elif state.phase == SHARDS and task < model.shards:
        if state.training:
            backward(state, task, member, weights)
        if next.size:
            forward(state, task, weights)
    elif state.phase == SHARDS:
        group_bags(
            &state.bags, next.ids, next.size, <const real*>model.bag_weights, state.scratch.slots,
            state.scratch.slot_of_entry, &state.groups, <const real*>state.bags.weights,
        )
    elif state.phase == UPDATE:
        update_embedding(
            embedding, model.dim, state.block.ids, model.row_rates, first, last, h_gradients, model.shards, shard_size,
            width, model.squares, state.rate,
        )
    elif state.phase == KEEP:
        keep_rows(&state.exchange, h_gradients, shard_size, width, first, last)
    elif state.phase == SUM:
        sum_nodes(&state.exchange, h_gradients, shard_size, width, first, last)
    elif state.phase == JOIN:
        join_gradients(&state.exchange, h_gradients, state.block.size, width, first, last)
    else:
        first = task * NAMED_ROWS
        update_named(
            embedding, model.dim, &state.groups, first, min(first + NAMED_ROWS, state.groups.size), h_gradients, width,
            model.row_rates, model.squares, state.rate, <real*>state.scratch.row_gradients + member * width,
        )
