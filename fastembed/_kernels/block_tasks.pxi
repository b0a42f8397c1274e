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


cdef enum Phase:        # what its tasks compute                           a task per        if
    GATHER              # H of the forward pass                            PIECE_ROWS rows
    FORWARD             # the forward pass                                 shard
    BACKWARD            # the backward pass                                shard
    BACKWARD_FORWARD    # the same, and the next block's forward pass      shard             no bags
    BACKWARD_GROUP      # the backward pass; one more task groups bags     shard             bags
    UPDATE              # dH, and the step on the embedding                PIECE_ROWS rows   no bags
    KEEP                # dH, kept for a later step                        PIECE_ROWS rows   no bags, several ranks
    SUM                 # dH, summed over the shards                       PIECE_ROWS rows   bags
    JOIN                # dH, summed over the nodes of all ranks           PIECE_ROWS rows   bags, several ranks
    UPDATE_NAMED        # the step on the embedding                        NAMED_ROWS rows   bags


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


cdef struct ScratchPointers:
    # Memory for blocks of at most B rows: the arrays of `BlockScratch` and `BagScratch` in trainer/blocks.py
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
    ScratchPointers scratch
    Counts counts
    Bags bags
    RankMemory ranks
    void* gemm                 # the function of BLAS for the model's dtype
    bint single                # whether that is float32
    double decay               # of the momentum
    double rate, linear_rate, correction  # learning rates and bias correction of the step
    Block forward              # block of the forward pass: of the step, or of the next step
    Block block                # block of the step, after its forward pass
    Groups groups              # with bags, their entries in the block by row of the embedding
    Phase phase


cdef inline Py_ssize_t pieces(Py_ssize_t rows, Py_ssize_t size) noexcept nogil:
    return (rows + size - 1) // size


cdef void gather_rows(BlockState* state, Py_ssize_t first, Py_ssize_t last, const real* embedding) noexcept nogil:
    """Fill rows `first` to last - 1 of H, with bags by `gather_bags`, and of a H, of the block of the forward pass."""
    cdef Block* block = &state.forward
    cdef Py_ssize_t b, d, dim = state.model.dim, width = state.model.width
    cdef const real* weights = <const real*>state.model.row_weights
    cdef real* h = <real*>block.h
    cdef real* weighted = <real*>block.weighted_h
    if state.bags.starts != NULL:
        gather_bags(embedding, dim, &state.bags, block.ids, block.size, first, last, h, width)
    for b in range(first, last):
        if state.bags.starts == NULL:
            memcpy(h + b * width, embedding + block.ids[b] * dim, dim * sizeof(real))
        for d in range(dim):
            weighted[b * width + d] = weights[block.ids[b]] * h[b * width + d]


cdef void forward(BlockState* state, Py_ssize_t s, const real* weights) noexcept nogil:
    """Compute the logits of the block of the forward pass in shard s, and their statistics."""
    cdef BlockModel* model = &state.model
    cdef ScratchPointers* scratch = &state.scratch
    cdef Py_ssize_t begin = model.bounds[s], n = model.bounds[s + 1] - begin, size = state.forward.size
    cdef real* logits = <real*>scratch.logits + s * scratch.rows * scratch.stride
    cdef Segment* segments = scratch.segments + s * scratch.rows
    cdef const real* bias = NULL
    find_segments(&state.counts, state.forward.ids, size, s, segments)
    if model.bias != NULL:
        bias = <const real*>model.bias + begin
    product(
        state.gemm, c"T", c"N", <int>n, <int>size, <int>model.dim, weights + begin * model.width, <int>model.width,
        <const real*>state.forward.h, <int>model.width, logits, <int>scratch.stride,
    )
    statistics(
        logits, scratch.stride, bias, n, size, state.counts.column_factors + begin, segments,
        scratch.partials + 3 * s * scratch.rows,
    )


cdef void backward(BlockState* state, Py_ssize_t s, Py_ssize_t member, real* weights) noexcept nogil:
    """Compute the residual of the block in shard s and its part of dH; make the step on the shard's rows of W."""
    cdef BlockModel* model = &state.model
    cdef ScratchPointers* scratch = &state.scratch
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
    cdef Block* block = &state.forward if state.phase == GATHER else &state.block
    cdef real* embedding = <real*>model.embedding
    cdef real* h_gradients = <real*>state.scratch.h_gradients
    cdef Py_ssize_t width = model.width, shard_size = state.scratch.rows * width
    cdef Py_ssize_t first = task * PIECE_ROWS, last = min(first + PIECE_ROWS, block.size)
    if state.phase == GATHER:
        gather_rows(state, first, last, embedding)
    elif state.phase == FORWARD:
        forward(state, task, weights)
    elif state.phase == BACKWARD_GROUP and task == model.shards:
        group_bags(
            &state.bags, block.ids, block.size, <const real*>model.bag_weights, state.scratch.slots,
            state.scratch.slot_of_entry, &state.groups, <const real*>state.bags.weights,
        )
    elif state.phase == BACKWARD or state.phase == BACKWARD_GROUP:
        backward(state, task, member, weights)
    elif state.phase == BACKWARD_FORWARD:
        backward(state, task, member, weights)
        forward(state, task, weights)
    elif state.phase == UPDATE:
        update_embedding(
            embedding, model.dim, block.ids, model.row_rates, first, last, h_gradients, model.shards, shard_size, width,
            model.squares, state.rate,
        )
    elif state.phase == KEEP:
        keep_rows(&state.ranks, h_gradients, shard_size, width, first, last)
    elif state.phase == SUM:
        sum_nodes(&state.ranks, h_gradients, shard_size, width, first, last)
    elif state.phase == JOIN:
        join_gradients(&state.ranks, h_gradients, block.size, width, first, last)
    else:
        first = task * NAMED_ROWS
        update_named(
            embedding, model.dim, &state.groups, first, min(first + NAMED_ROWS, state.groups.size), h_gradients, width,
            model.row_rates, model.squares, state.rate, <real*>state.scratch.row_gradients + member * width,
        )
