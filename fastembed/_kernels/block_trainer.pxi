"""Training on many blocks: the tasks of block_tasks.pxi, run by a crew of threads on a model that is bound once.

The residual of a block needs its finished normaliser, so a block passes the shards twice:

    forward     logits and statistics of a shard
    merge       logsumexp and loss, by the leading thread only
    backward    the residual, the shard's part of dH, its own rows of dW and their update

Without bags a row of the embedding is visited once per epoch, and no other step reads it. So the forward pass of the
next block on a shard follows the backward pass on it, while its rows are in the cache, and no bit changes: a step has
the phases

    gather      H of the next block
    shards      for each shard: backward for the block, forward for the next one
    update      the rows of the embedding of the block

With bags, blocks share rows of the embedding: the gather and forward phases of a block follow the update by the one
before, and another phase is needed before it:

    sum         dH, over the shards

With several processes, the ranks, each has some of the shards: one or more nodes of the tree by which results are
merged. The ranks exchange the joined results of their nodes: those of the softmax after each forward phase and, with
bags, dH after the sum. Without bags, dH of several blocks is kept, since the update of the embedding can be deferred:
the ranks join it and update the rows together.

No bit depends on the number of threads: a task is a shard or a fixed number of rows, whichever thread runs it, and the
results of the shards are merged by a fixed tree (counts/groups.py, primitives.pxd).
"""

from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint8_t

from fastembed._kernels.bags cimport Bags, Groups
from fastembed._kernels.types cimport real

include "block_tasks.pxi"
include "crew.pxi"


cdef inline void run(BlockState* state, Crew* crew, Phase phase, Py_ssize_t tasks) noexcept nogil:
    state.phase = phase
    run_phase(crew, tasks)


cdef void pass_shards(BlockState* state, Crew* crew) noexcept nogil:
    """Backward for the block, if it is trained on; forward for the next one, if there is one."""
    cdef bint grouping = state.bags.starts != NULL and state.next.size != 0 and state.rate != 0
    if state.next.size != 0:
        run(state, crew, GATHER, pieces(state.next.size, PIECE_ROWS))
    run(state, crew, SHARDS, state.model.shards + grouping)


cdef void run_single(void* state, Py_ssize_t task, Py_ssize_t member) noexcept nogil:
    run_task(<BlockState*>state, task, member, <float*>(<BlockState*>state).model.weights)


cdef void run_double(void* state, Py_ssize_t task, Py_ssize_t member) noexcept nogil:
    run_task(<BlockState*>state, task, member, <double*>(<BlockState*>state).model.weights)


cdef class BlockTrainer:
    """A model, its counts, and the memory to train it in, bound once; and the crew of threads that makes the steps.

    Made by `block_trainer`. One thread at a time calls `step`; between `open` and `close`, others help it from within
    `work`. It holds references to the arrays that it points into.
    """

    cdef BlockState state
    cdef Crew crew
    cdef tuple arrays
    cdef object exchange  # the exchange with other processes, or None
    cdef object rows, next_rows  # keep the arrays alive that the state points to

    def __dealloc__(self):
        disband_crew(&self.crew)

    def open(self):
        """Let threads that call `work` wait for steps to help with; the first step is on any rows."""
        self.state.next.size = 0
        self.crew.closed = 0

    def close(self):
        """Let all calls of `work` return."""
        close_crew(&self.crew)

    def work(self, Py_ssize_t member):
        """Help with the steps of the leading thread, as member 1, 2, ... of the crew, until `close`."""
        with nogil:
            work_in_crew(&self.crew, member)

    def step(
        self, const Py_ssize_t[::1] rows, const Py_ssize_t[::1] next_rows,
        double rate, double linear_rate, double correction,
    ) -> float:
        """Make a step on a block; return the negative log-likelihood of its counts before it, in nats.

        If it is not finite, nothing is changed. The next step must be on `next_rows`, which are other rows, unless that
        is None. Rates of 0 change nothing.
        """
        cdef BlockState* state = &self.state
        cdef bint has_bags = state.bags.starts != NULL
        cdef const double* partials = state.scratch.partials
        cdef Py_ssize_t parts = state.model.shards, part_size = 3 * state.scratch.rows
        cdef Py_ssize_t of_rows = pieces(rows.shape[0], PIECE_ROWS)  # tasks
        cdef double nll
        state.rate, state.linear_rate, state.correction = rate, linear_rate, correction
        if state.next.size == 0:
            self.set_next(rows)
            state.training = False
            with nogil:
                pass_shards(state, &self.crew)
        state.block, state.next = state.next, state.block
        state.next.size = 0
        self.rows = self.next_rows
        if next_rows is not None and not has_bags:
            self.set_next(next_rows)
        with nogil:
            if state.exchange.nodes:
                join_nodes(state)
                partials, parts, part_size = state.exchange.partials, state.exchange.nodes, 3 * state.block.size
                with gil:
                    self.exchange.gather_partials(state.block.size)
            nll = merge(
                partials, parts, part_size, state.block.ids, state.block.size, &state.counts,
                state.scratch.log_normalisers, state.scratch.shares,
            )
            state.training = isfinite(nll) and (rate != 0 or linear_rate != 0)
            if state.training or state.next.size:
                pass_shards(state, &self.crew)
            if state.training and rate != 0 and has_bags:
                if state.model.shards > 1:
                    run(state, &self.crew, SUM, of_rows)
                if state.exchange.nodes:
                    with gil:
                        self.exchange.gather_gradients(state.block.size)
                    run(state, &self.crew, JOIN, of_rows)
                run(state, &self.crew, UPDATE, pieces(state.groups.size, NAMED_ROWS))
            elif state.training and rate != 0:
                run(state, &self.crew, UPDATE, of_rows)
                state.exchange.kept_rows += state.block.size
        return nll

    def take_kept(self) -> int:
        """Return how many rows of dH are kept for all ranks, in the order of the steps, and forget them."""
        cdef Py_ssize_t rows = self.state.exchange.kept_rows
        self.state.exchange.kept_rows = 0
        return rows

    cdef int set_next(self, const Py_ssize_t[::1] rows) except -1:
        self.next_rows = rows.base
        self.state.next.ids, self.state.next.size = &rows[0], rows.shape[0]
        return 0


cdef tuple bind_bags(BlockState* state, bags, scratch, const real* _):
    """Let a state point into the arrays of bags and of the memory for them; return these."""
    cdef const int64_t[::1] starts = bags.starts
    cdef const int32_t[::1] ids = bags.ids
    cdef const real[::1] weights = bags.weights
    cdef real[:, ::1] row_gradients = scratch.row_gradients
    cdef real[::1] grouped = scratch.grouped_weights
    cdef int32_t[::1] named = scratch.named, members = scratch.members
    cdef int64_t[::1] ends = scratch.ends
    cdef int32_t[::1] slots = scratch.slots, slot_of_entry = scratch.slot_of_entry
    state.bags = Bags(&starts[0], &ids[0], &weights[0])
    state.scratch.row_gradients = &row_gradients[0, 0]
    state.scratch.slots, state.scratch.slot_of_entry = &slots[0], &slot_of_entry[0]
    state.groups = Groups(0, &named[0], &ends[0], &members[0], &grouped[0])
    return (
        starts.base, ids.base, weights.base, row_gradients.base, grouped.base, named.base, members.base, ends.base,
        slots.base, slot_of_entry.base,
    )


cdef tuple bind_exchange(BlockState* state, exchange, const real* _):
    """Let a state point into the memory of an exchange with other processes; return its arrays."""
    cdef double[::1] joined = exchange.joined, partials = exchange.partials
    cdef real[:, :, ::1] kept = exchange.kept
    cdef real[::1] gradients = exchange.gradients
    state.exchange = Exchange(
        exchange.nodes, exchange.node_shards, &joined[0], &partials[0], &kept[0, 0, 0], kept.shape[1], 0, &gradients[0],
    )
    return joined.base, partials.base, kept.base, gradients.base


def block_trainer(
    real[:, ::1] embedding, real[:, ::1] weights, const real[::1] bias, double[::1] squares, double[::1] linear_squares,
    const Py_ssize_t[::1] bounds, const double[::1] row_rates, const real[::1] row_weights, counts,
    const double[::1] totals, gemm, double decay, scratch, bags, const real[::1] bag_weights, bag_scratch, exchange,
) -> BlockTrainer:
    """Bind a model: embedding (V_in, D), weights (V, width), bias (V,) or None; squares (V_in,), or None for gradient
    descent; linear_squares (V,); `counts` (N, V), and the `totals` (N,) of their rows; `row_rates` (V_in,), factors on
    the rate of the rows of the embedding, 0 for those that no step changes; `row_weights` (N,), the weights a; `gemm`,
    a capsule of BLAS's function for the dtype, whose integers are int.

    `counts` are in groups of rows and shards of columns (counts/groups.py), each with a tile. It has, as attributes, of
    int64 bases (G,), the addresses of the groups, offsets (G, S + 1) of their tiles, entries (G, S) and filled (G, S),
    the numbers of their entries and of the rows that have some; of uint8 kinds (G, S) of the values; of
    float64 row_factors (N,) and column_factors, those of the columns of the S shards. `Counts` in block.pxi says what
    is in a tile. Addresses may change from step to step, but not while a row of the group is in a block or in the next
    one.

    `scratch` has, as attributes, the memory to work in: of the model's dtype h and weighted_h (2, B, width), logits
    (S, B, stride), h_gradients (S, B, width), momentum (V, width) and gradients (members of the crew, rows, width), of
    which h, weighted_h, h_gradients and gradients are zero beyond D; of float64 partials (S, 3, B), log_normalisers
    and shares (B,); of int64 segments (S, B, 3).

    `bags` is None, and then N is V_in, and input n is row n of the embedding; or has starts (N + 1,) of int64, ids of
    int32 and weights of the model's dtype; `bag_weights` (N,), or None, are the weights of the bags in the gradients of
    the rows of the embedding. Then `bag_scratch` has: of the model's dtype row_gradients (members of the
    crew, width), zero beyond D, and grouped_weights (M,), where no block has more than M entries; of int32 named,
    members and slot_of_entry (M,), and slots (V_in,), which are -1; of int64 ends (M,).

    `exchange` is None, or `bounds` are those of a run of the shards, and the others are other processes': an object
    with `nodes`, the number of all nodes, and `node_shards`, the number of the shards of each, which divides that of
    this run, n times; of float64 joined (3 n B,) and partials (3 nodes B,); of the model's dtype kept (n, rows, width),
    for the rows of dH between two calls of `take_kept`, and with bags gradients (nodes B width,). Its
    gather_partials(size) puts the first 3 size numbers of `joined` for each node of each rank into `partials`, end to
    end, and gather_gradients(size) those of h_gradients[s, :size], where s is the node's first shard, into `gradients`.
    """
    cdef BlockTrainer trainer = BlockTrainer.__new__(BlockTrainer)
    cdef real[:, ::1] momentum = scratch.momentum
    cdef real[:, :, ::1] h = scratch.h, weighted_h = scratch.weighted_h
    cdef real[:, :, ::1] logits = scratch.logits, h_gradients = scratch.h_gradients, gradients = scratch.gradients
    cdef double[:, :, ::1] partials = scratch.partials
    cdef double[::1] log_normalisers = scratch.log_normalisers, shares = scratch.shares
    cdef int64_t[:, :, ::1] segments = scratch.segments
    cdef const int64_t[::1] bases = counts.bases
    cdef const int64_t[:, ::1] offsets = counts.offsets, entries = counts.entries, filled = counts.filled
    cdef const uint8_t[:, ::1] kinds = counts.kinds
    cdef const double[::1] row_factors = counts.row_factors, column_factors = counts.column_factors
    cdef const real* b = NULL
    cdef double* sums = NULL
    cdef Task task = run_single if real is float else run_double
    if bias is not None:
        b = &bias[0]
    if squares is not None:
        sums = &squares[0]
    form_crew(&trainer.crew, gradients.shape[0], task, &trainer.state)
    trainer.state.model = BlockModel(
        &embedding[0, 0], &weights[0, 0], b, &momentum[0, 0], sums, &linear_squares[0], &row_rates[0],
        &row_weights[0], NULL, embedding.shape[1], weights.shape[1], bounds.shape[0] - 1, &bounds[0],
    )
    trainer.state.scratch = BlockScratch(
        &logits[0, 0, 0], &h_gradients[0, 0, 0], &gradients[0, 0, 0], &partials[0, 0, 0], &log_normalisers[0],
        &shares[0], <Segment*>&segments[0, 0, 0], logits.shape[1], logits.shape[2], gradients.shape[1],
        NULL, NULL, NULL,
    )
    trainer.state.block = Block(NULL, 0, &h[0, 0, 0], &weighted_h[0, 0, 0])
    trainer.state.next = Block(NULL, 0, &h[1, 0, 0], &weighted_h[1, 0, 0])
    trainer.state.counts = Counts(
        &bases[0], &offsets[0, 0], &entries[0, 0], &filled[0, 0], &kinds[0, 0], &row_factors[0],
        &column_factors[0] - bounds[0], &totals[0], totals.shape[0], bases.shape[0], bounds.shape[0] - 1,
    )
    trainer.state.gemm = function_of(gemm)
    trainer.state.decay = decay
    trainer.arrays = (
        embedding.base, weights.base, None if bias is None else bias.base,
        None if squares is None else squares.base, linear_squares.base, bounds.base, row_rates.base,
        row_weights.base, bases.base, offsets.base, entries.base, filled.base, kinds.base, row_factors.base,
        column_factors.base, totals.base, gemm, h.base, weighted_h.base, momentum.base, logits.base, h_gradients.base,
        gradients.base, partials.base, log_normalisers.base, shares.base, segments.base,
    )
    trainer.state.bags = Bags(NULL, NULL, NULL)
    if bag_weights is not None:
        trainer.state.model.bag_weights = &bag_weights[0]
        trainer.arrays += (bag_weights.base,)
    if bags is not None:
        trainer.arrays += bind_bags(&trainer.state, bags, bag_scratch, &embedding[0, 0])
    trainer.state.exchange = Exchange(0, bounds.shape[0] - 1, NULL, NULL, NULL, 0, 0, NULL)
    trainer.exchange = exchange
    if exchange is not None:
        trainer.arrays += bind_exchange(&trainer.state, exchange, &embedding[0, 0])
    return trainer
