"""The tasks of a step on a block: the work of one thread on one shard, or on some rows, in each phase of the step.

The forward phase also has tasks of other steps: the update of the embedding by the previous block, and the preparation
of the next block. `block_trainer.pxi` opens the phases and explains why the bits stay the same.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from fastembed._kernels.bags cimport Bags, Groups, gather_bags, group_bags, update_named
from fastembed._kernels.types cimport real

include "blas.pxi"
include "block.pxi"


cdef enum:
    PIECE_ROWS = 16   # rows of a block that one task prepares, gathers or updates
    NAMED_ROWS = 128  # rows of the embedding in the bags of a block that one task updates


cdef enum Phase:
    FORWARD   # the shards, the deferred update, and the preparation of the next block
    BACKWARD
    GATHER
    SUM
    JOIN      # merge dH of all ranks
    GROUP     # group the entries, if the forward phase has not done it
    UPDATE


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
    Groups groups              # with bags; of size 0 until the entries have been grouped


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
    Block block                # block of the step in progress
    Block next                 # next block, which is prepared meanwhile; or a block without rows
    const Py_ssize_t* waiting_ids  # rows of the embedding that the previous step has not updated yet
    Py_ssize_t waiting
    double waiting_rate
    Phase phase                # the forward phase has these numbers of tasks, in this order:
    Py_ssize_t shards          # shards
    Py_ssize_t updates         # pieces of the deferred update
    Py_ssize_t preparations    # pieces of the next block, and another task if its entries must be grouped


cdef inline void weight_row(BlockState* state, Block* block, Py_ssize_t b, const real* _) noexcept nogil:
    """a h of row b of a block, from its h."""
    cdef Py_ssize_t d, width = state.model.width
    cdef const real* h = <const real*>block.h + b * width
    cdef real* weighted = <real*>block.weighted_h + b * width
    cdef real weight = (<const real*>state.model.row_weights)[block.ids[b]]
    for d in range(state.model.dim):
        weighted[d] = weight * h[d]


cdef void prepare(BlockState* state, Py_ssize_t piece, const real* embedding) noexcept nogil:
    """PIECE_ROWS rows of the next block's H."""
    cdef Block* block = &state.next
    cdef Py_ssize_t first = piece * PIECE_ROWS, last = min(first + PIECE_ROWS, block.size)
    cdef Py_ssize_t b, d, dim = state.model.dim
    cdef real* h
    for b in range(first, last):
        h = <real*>block.h + b * state.model.width
        for d in range(dim):
            h[d] = embedding[block.ids[b] * dim + d]
        weight_row(state, block, b, embedding)


cdef void gather(BlockState* state, Py_ssize_t piece, const real* embedding) noexcept nogil:
    """PIECE_ROWS rows of H, with bags."""
    cdef Block* block = &state.block
    cdef Py_ssize_t first = piece * PIECE_ROWS, last = min(first + PIECE_ROWS, block.size), b
    gather_bags(
        embedding, state.model.dim, &state.bags, block.ids, block.size, first, last, <real*>block.h, state.model.width,
    )
    for b in range(first, last):
        weight_row(state, block, b, embedding)


cdef void group(BlockState* state, Block* block, const real* _) noexcept nogil:
    group_bags(
        &state.bags, block.ids, block.size, <const real*>state.model.bag_weights, state.scratch.slots,
        state.scratch.slot_of_entry, &block.groups, <const real*>state.bags.weights,
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
        embedding, model.dim, &state.block.groups, first, min(first + NAMED_ROWS, state.block.groups.size),
        <const real*>state.scratch.h_gradients, model.width, model.row_rates, model.squares, state.rate,
        <real*>state.scratch.row_gradients + member * model.width,
    )


cdef void forward(BlockState* state, Py_ssize_t s, const real* weights) noexcept nogil:
    """Shard s: logits, then their statistics."""
    cdef BlockModel* model = &state.model
    cdef BlockScratch* scratch = &state.scratch
    cdef Py_ssize_t begin = model.bounds[s], n = model.bounds[s + 1] - begin, size = state.block.size
    cdef real* logits = <real*>scratch.logits + s * scratch.rows * scratch.stride
    cdef Segment* segments = scratch.segments + s * scratch.rows
    cdef const real* bias = NULL
    find_segments(&state.counts, state.block.ids, size, s, segments)
    if model.bias != NULL:
        bias = <const real*>model.bias + begin
    product(
        state.gemm, c"T", c"N", <int>n, <int>size, <int>model.dim, weights + begin * model.width, <int>model.width,
        <const real*>state.block.h, <int>model.width, logits, <int>scratch.stride,
    )
    statistics(
        logits, scratch.stride, bias, n, state.block.ids, size, &state.counts, state.counts.column_factors + begin,
        segments, scratch.partials + 3 * s * size,
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
        r, scratch.stride, n, state.block.ids, size, &state.counts, state.counts.column_factors + begin,
        scratch.segments + s * scratch.rows, scratch.partials + 3 * s * size, scratch.log_normalisers,
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
        embedding, model.dim, state.waiting_ids, model.row_rates,
        first, min(first + PIECE_ROWS, state.waiting), <real*>state.scratch.h_gradients,
        model.shards, state.scratch.rows * model.width, model.width, model.squares, state.waiting_rate,
    )


cdef void keep_waiting(BlockState* state, Py_ssize_t piece, const real* embedding) noexcept nogil:
    """PIECE_ROWS rows of the dH of the update that waits, which is for all ranks to make."""
    cdef Py_ssize_t first = piece * PIECE_ROWS, last = min(first + PIECE_ROWS, state.waiting)
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
    cdef Py_ssize_t node, shards = state.exchange.node_shards, size = 3 * state.block.size
    for node in range(state.model.shards // shards):
        join_run(
            state.scratch.partials + node * shards * size, shards, state.block.size,
            state.exchange.joined + node * size,
        )


cdef inline Py_ssize_t pieces(Py_ssize_t rows, Py_ssize_t size) noexcept nogil:
    return (rows + size - 1) // size


cdef inline void run_forward_task(BlockState* state, Py_ssize_t task, real* weights) noexcept nogil:
    cdef real* embedding = <real*>state.model.embedding
    if task < state.shards:
        forward(state, task, weights)
        return
    task -= state.shards
    if task < state.updates:
        if state.exchange.nodes:
            keep_waiting(state, task, embedding)
        else:
            update_waiting(state, task, embedding)
        return
    task -= state.updates
    if task < state.preparations:
        prepare(state, task, embedding)
    else:
        group(state, &state.next, embedding)


cdef inline void run_task(BlockState* state, Py_ssize_t task, Py_ssize_t member, real* weights) noexcept nogil:
    cdef real* embedding = <real*>state.model.embedding
    if state.phase == FORWARD:
        run_forward_task(state, task, weights)
    elif state.phase == BACKWARD:
        backward(state, task, member, weights)
    elif state.phase == GATHER:
        gather(state, task, embedding)
    elif state.phase == SUM:
        sum_gradients(state, task, embedding)
    elif state.phase == JOIN:
        join_gradients(state, task, embedding)
    elif state.phase == GROUP:
        group(state, &state.block, embedding)
    else:
        update_bags(state, task, member, embedding)
