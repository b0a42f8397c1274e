"""The tasks of a step on a block: the work of one thread on one shard, or on some rows, in each phase of the step.

`block_trainer.pxi` opens the phases.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from fastembed._kernels.bags cimport Bags, Groups, gather_bags, group_bags, update_named
from fastembed._kernels.types cimport real

include "blas.pxi"
include "block.pxi"


cdef enum:
    PIECE_ROWS = 16   # rows of a block that one task gathers or updates
    NAMED_ROWS = 128  # rows of the embedding in the bags of a block that one task updates


cdef enum Phase:
    GATHER  # the rows of the next block
    SHARDS  # the shards: backward for this block, forward for the next one; and the entries of its bags
    SUM     # with bags: dH, over the shards
    JOIN    # with bags: dH, over the ranks
    UPDATE  # the embedding


cdef struct BlockModel:
    # Parameters, all of one dtype where void; optimizer state; the division of the vocabulary into shards
    void* embedding            # (V_in, dim)
    void* weights              # (V, width)
    const void* bias           # (V,) or NULL
    void* momentum             # (V, width)
    double* squares            # (V_in,), or NULL: the embedding makes steps of gradient descent
    double* linear_squares     # (V,)
    const double* row_rates    # (V_in,), factors on the learning rate
    const void* row_weights    # (N,), the weights a in dW; N is V_in if there are no bags
    const void* bag_weights    # (N,) or NULL: with bags, the weights in the gradients of shared rows
    Py_ssize_t dim, width, shards
    const Py_ssize_t* bounds   # (shards + 1,)


cdef struct BlockScratch:
    # Memory for one block of at most B rows
    void* logits               # (shards, B, stride)
    void* h_gradients          # (shards, B, width)
    void* gradients            # (members of the crew, most rows of a shard, width)
    double* partials           # (shards, 3, B)
    double* log_normalisers    # (B,)
    double* shares             # (B,): the factor on the entries of a row in its target
    Segment* segments          # (shards, B)
    Py_ssize_t rows, stride, shard_rows
    # With bags
    void* row_gradients        # (members of the crew, width)
    int32_t* slots             # (V_in,)
    int32_t* slot_of_entry     # (entries of a block,)


cdef struct Block:
    const Py_ssize_t* ids
    Py_ssize_t size
    void* h                    # (B, width): H
    void* weighted_h           # (B, width): a H


cdef struct Exchange:
    # Memory for the exchange with other processes, each of which has some nodes of the tree; unused by a single one
    Py_ssize_t nodes           # nodes of all processes; 0 for a single process
    Py_ssize_t node_shards     # shards per node; all shards for a single process
    double* joined             # (own nodes, 3, size), the results of this process for a block of that size
    double* partials           # (nodes, 3, size), the results of all processes
    void* kept                 # (own nodes, capacity, width), without bags: dH of several blocks by this process
    Py_ssize_t capacity, kept_rows
    void* gradients            # (nodes, size, width), with bags: dH of the block by all processes


cdef struct BlockState:
    # The work of the crew
    BlockModel model
    BlockScratch scratch
    Counts counts
    Bags bags
    Exchange exchange
    void* gemm                 # the function of BLAS for the dtype of the model
    double decay               # decay of the momentum
    double rate, linear_rate, correction  # rates and bias correction of the step in progress
    bint training              # whether the step changes something
    Block block                # block of the step in progress
    Block next                 # block whose logits are next, or one without rows
    Groups groups              # with bags, the entries of the last block
    Phase phase


cdef void gather(BlockState* state, Py_ssize_t piece, const real* embedding) noexcept nogil:
    """PIECE_ROWS rows of H and of a H of the next block."""
    cdef Block* block = &state.next
    cdef Py_ssize_t first = piece * PIECE_ROWS, last = min(first + PIECE_ROWS, block.size)
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


cdef void group(BlockState* state, const real* _) noexcept nogil:
    """The entries of the bags of the next block."""
    group_bags(
        &state.bags, state.next.ids, state.next.size, <const real*>state.model.bag_weights, state.scratch.slots,
        state.scratch.slot_of_entry, &state.groups, <const real*>state.bags.weights,
    )


cdef inline void sum_nodes(BlockState* state, Py_ssize_t first, Py_ssize_t last, const real* _) noexcept nogil:
    """Rows `first` to last - 1 of dH, over the shards of each node, into its first one."""
    cdef Py_ssize_t width = state.model.width, s = 0
    cdef Py_ssize_t shard_size = state.scratch.rows * width
    while s < state.model.shards:
        sum_shards(
            <real*>state.scratch.h_gradients + s * shard_size, state.exchange.node_shards, shard_size, width,
            first, last,
        )
        s += state.exchange.node_shards


cdef void sum_gradients(BlockState* state, Py_ssize_t piece, const real* embedding) noexcept nogil:
    """PIECE_ROWS rows of dH, over the shards of each node."""
    cdef Py_ssize_t first = piece * PIECE_ROWS
    sum_nodes(state, first, min(first + PIECE_ROWS, state.block.size), embedding)


cdef void update_bags(BlockState* state, Py_ssize_t piece, Py_ssize_t member, real* embedding) noexcept nogil:
    """NAMED_ROWS rows of the embedding that the block's bags name."""
    cdef BlockModel* model = &state.model
    cdef Py_ssize_t first = piece * NAMED_ROWS
    update_named(
        embedding, model.dim, &state.groups, first, min(first + NAMED_ROWS, state.groups.size),
        <const real*>state.scratch.h_gradients, model.width, model.row_rates, model.squares, state.rate,
        <real*>state.scratch.row_gradients + member * model.width,
    )


cdef void forward(BlockState* state, Py_ssize_t s, const real* weights) noexcept nogil:
    """Shard s, for the next block: logits, then their statistics."""
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
    """Shard s: the residual, its part of dH, and its own rows of the linear layer."""
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


cdef void update_rows(BlockState* state, Py_ssize_t piece, real* embedding) noexcept nogil:
    """PIECE_ROWS rows of the embedding, without bags."""
    cdef BlockModel* model = &state.model
    cdef Py_ssize_t first = piece * PIECE_ROWS
    update_embedding(
        embedding, model.dim, state.block.ids, model.row_rates, first, min(first + PIECE_ROWS, state.block.size),
        <real*>state.scratch.h_gradients, model.shards, state.scratch.rows * model.width, model.width, model.squares,
        state.rate,
    )


cdef void keep_rows(BlockState* state, Py_ssize_t piece, const real* embedding) noexcept nogil:
    """PIECE_ROWS rows of dH, for the update that all ranks make."""
    cdef Py_ssize_t first = piece * PIECE_ROWS, last = min(first + PIECE_ROWS, state.block.size)
    cdef Py_ssize_t width = state.model.width, node
    cdef Py_ssize_t node_size = state.exchange.node_shards * state.scratch.rows * width
    cdef real* kept = <real*>state.exchange.kept + state.exchange.kept_rows * width
    sum_nodes(state, first, last, embedding)
    for node in range(state.model.shards // state.exchange.node_shards):
        memcpy(
            kept + (node * state.exchange.capacity + first) * width,
            <real*>state.scratch.h_gradients + node * node_size + first * width,
            (last - first) * width * sizeof(real),
        )


cdef void join_gradients(BlockState* state, Py_ssize_t piece, const real* _) noexcept nogil:
    """PIECE_ROWS rows of dH, over the nodes of all ranks."""
    cdef Py_ssize_t first = piece * PIECE_ROWS, last = min(first + PIECE_ROWS, state.block.size)
    cdef Py_ssize_t width = state.model.width
    cdef real* gradients = <real*>state.exchange.gradients
    sum_shards(gradients, state.exchange.nodes, state.block.size * width, width, first, last)
    memcpy(
        <real*>state.scratch.h_gradients + first * width, gradients + first * width,
        (last - first) * width * sizeof(real),
    )


cdef void join_nodes(BlockState* state) noexcept nogil:
    """The results of the shards of each node."""
    cdef Py_ssize_t node, shards = state.exchange.node_shards, size = state.block.size
    for node in range(state.model.shards // shards):
        join_run(
            state.scratch.partials + 3 * node * shards * state.scratch.rows, shards, 3 * state.scratch.rows, size,
            state.exchange.joined + 3 * node * size,
        )


cdef inline Py_ssize_t pieces(Py_ssize_t rows, Py_ssize_t size) noexcept nogil:
    return (rows + size - 1) // size


cdef inline void run_task(BlockState* state, Py_ssize_t task, Py_ssize_t member, real* weights) noexcept nogil:
    cdef real* embedding = <real*>state.model.embedding
    if state.phase == GATHER:
        gather(state, task, embedding)
    elif state.phase == SHARDS:
        if task == state.model.shards:
            group(state, embedding)
            return
        if state.training:
            backward(state, task, member, weights)
        if state.next.size:
            forward(state, task, weights)
    elif state.phase == SUM:
        sum_gradients(state, task, embedding)
    elif state.phase == JOIN:
        join_gradients(state, task, embedding)
    elif state.bags.starts != NULL:
        update_bags(state, task, member, embedding)
    elif state.exchange.nodes:
        keep_rows(state, task, embedding)
    else:
        update_rows(state, task, embedding)
