"""Training on many blocks, by a team of threads, of a model that is bound once.

The twin is `fit_counts` of ``fastembed/reference.py``. The way of a step, at most six calls deep; deeper functions loop
over numbers and are inlined:

    BlockTrainer.step   opens the phases; merges the partial results of the shards; lets the ranks exchange
      run_phase         opens a phase for the team                                              team.pxi
        take_tasks      takes its tasks one by one, on every thread
          run_task      one task of the phase: a shard, or some rows                            block_tasks.pxi
            backward    the products and kernels for a shard (forward: of the next block)
              residual  one formula (statistics, update_linear, update_embedding, ...)          block.pxi, bags.pxd

The residual of a block needs its normaliser, so a block passes the shards twice:

    forward     logits and statistics of each shard
    merge       logsumexp and loss, by the leading thread only
    backward    the residual, the shard's part of dH, the gradient and the update of its rows of W

Without bags, an epoch visits a row of the embedding once, and no other step reads it. So a shard's forward pass of the
next block follows its backward pass of the block, while its rows of W are in the cache, and no bit changes. The phases
of a step are GATHER (the next block), BACKWARD_FORWARD, UPDATE. Before them, the first step of an epoch makes the
forward pass of its block: GATHER, FORWARD. The last step opens BACKWARD and UPDATE alone.

With bags, blocks share rows of the embedding, so the forward pass of a block follows the update by the block before.
The phases are GATHER, FORWARD, BACKWARD_GROUP, SUM (of dH over the shards), UPDATE_NAMED.

With several ranks, each rank has some of the shards (`exchange.pxi`). The ranks exchange the partial results after each
forward pass, and with bags dH after SUM, which JOIN then sums over the ranks. Without bags, KEEP replaces UPDATE: the
ranks keep dH of several blocks, and update the embedding together.

No bit depends on the number of threads: a task is a shard or a fixed number of rows, whichever thread runs it, and a
fixed tree merges the results of the shards (counts/groups.py, primitives.pxd).
"""

from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint8_t

from fastembed._kernels.bags cimport Bags, Groups
from fastembed._kernels.types cimport real

include "team.pxi"


cdef class BlockTrainer:
    """A model, its counts, and the memory to train it in, bound once; and the team of threads that makes the steps.

    `block_trainer` makes it. One thread at a time calls `step`; between `open` and `close`, other threads help from
    within `work`. It keeps alive the arrays that it points into, and the objects whose arrays it points into.
    """

    cdef BlockState state
    cdef Team team
    cdef tuple arrays
    cdef object exchange    # the exchange with other ranks, or None
    cdef bint forward_done  # whether the block of the next step has had its forward pass

    def __dealloc__(self):
        disband_team(&self.team)

    def open(self):
        """Let threads that call `work` wait for steps to help with. The next step may be on any rows."""
        self.forward_done = False
        self.team.closed = 0

    def close(self):
        """Let all calls of `work` return."""
        close_team(&self.team)

    def work(self, Py_ssize_t member):
        """Help with the steps of the leading thread, as member 1, 2, ... of the team, until `close`."""
        with nogil:
            work_in_team(&self.team, member)

    def step(
        self, const Py_ssize_t[::1] rows, const Py_ssize_t[::1] next_rows,
        double rate, double linear_rate, double correction,
    ) -> float:
        """Make a step on a block; return the negative log-likelihood of its counts before the step, in nats.

        If it is not finite, nothing changes. The next step must be on `next_rows`, which are other rows, unless that is
        None. Rates of 0 change nothing.
        """
        cdef BlockState* state = &self.state
        cdef Team* team = &self.team
        cdef Py_ssize_t shards = state.model.shards, size = rows.shape[0], row_tasks = pieces(size, PIECE_ROWS)
        cdef bint with_bags = state.bags.starts != NULL, with_ranks = state.ranks.nodes != 0
        cdef bint looks_ahead = next_rows is not None and not with_bags, trains, trains_embedding
        cdef double nll
        state.rate, state.linear_rate, state.correction = rate, linear_rate, correction
        with nogil:
            if not self.forward_done:
                state.forward.ids, state.forward.size = &rows[0], size
                run_phase(team, GATHER, row_tasks)
                run_phase(team, FORWARD, shards)
            # The forward pass of the next block takes the memory of the block before
            state.block, state.forward = state.forward, state.block
            state.block.ids = &rows[0]  # the step before got these ids as `next_rows`, which may be freed
            nll = self.merge_shards()
            trains = isfinite(nll) and (rate != 0 or linear_rate != 0)
            trains_embedding = trains and rate != 0
            # The shards: the linear layer, and dH
            if looks_ahead:
                state.forward.ids, state.forward.size = &next_rows[0], next_rows.shape[0]
                run_phase(team, GATHER, pieces(next_rows.shape[0], PIECE_ROWS))
                run_phase(team, BACKWARD_FORWARD if trains else FORWARD, shards)
            elif trains_embedding and with_bags:
                run_phase(team, BACKWARD_GROUP, shards + 1)
            elif trains:
                run_phase(team, BACKWARD, shards)
            self.forward_done = looks_ahead
            # The embedding
            if trains_embedding and with_bags:
                if shards > 1:
                    run_phase(team, SUM, row_tasks)
                if with_ranks:
                    with gil:
                        self.exchange.gather_gradients(size)
                    run_phase(team, JOIN, row_tasks)
                run_phase(team, UPDATE_NAMED, pieces(state.groups.size, NAMED_ROWS))
            elif trains_embedding and with_ranks:
                run_phase(team, KEEP, row_tasks)
                state.ranks.kept_rows += size
            elif trains_embedding:
                run_phase(team, UPDATE, row_tasks)
        return nll

    cdef double merge_shards(self) except? -1 nogil:
        """Merge the partial results of the block in the shards of all ranks; return its negative log-likelihood."""
        cdef BlockState* state = &self.state
        cdef const double* partials = state.scratch.partials
        cdef Py_ssize_t size = state.block.size, parts = state.model.shards, part_size = 3 * state.scratch.rows
        if state.ranks.nodes != 0:
            join_nodes(&state.ranks, partials, part_size, size)
            with gil:
                self.exchange.gather_partials(size)
            partials, parts, part_size = state.ranks.partials, state.ranks.nodes, 3 * size
        return merge(
            partials, parts, part_size, state.block.ids, size, &state.counts, state.scratch.log_normalisers,
            state.scratch.shares,
        )

    def take_kept(self) -> int:
        """Return how many rows of dH the exchange keeps, in the order of the steps, and forget them."""
        cdef Py_ssize_t rows = self.state.ranks.kept_rows
        self.state.ranks.kept_rows = 0
        return rows


cdef int bind_bags(BlockState* state, bags, scratch, const real* _) except -1:
    """Point into the arrays of bags and of their scratch memory. `_` only selects the dtype."""
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
    return 0


def block_trainer(
    parameters, double[::1] squares, const Py_ssize_t[::1] bounds, const double[::1] row_rates,
    const real[::1] row_weights, counts, gemm, double decay, scratch, bags, const real[::1] bag_weights, bag_scratch,
    exchange,
) -> BlockTrainer:
    """Bind a model and its counts.

    Parameters
    ----------
    parameters
        Object with the parameters, in one dtype: embedding (V_in, D), weights (V, width), bias (V,) or None; and with
        Adagrad's sums of squares for the linear layer, float64: linear_squares (V,).
    squares : float64 (V_in,) or None
        Adagrad's sums of squares for the embedding; None for gradient descent.
    bounds : (S + 1,)
        Of the shards. With an exchange, they are a run of the shards of all ranks.
    row_rates : float64 (V_in,)
        Factors on the rate of each row of the embedding; a row with 0 never changes.
    row_weights : (N,)
        The weights a.
    counts
        Object with the tiles of the counts (N, V), as `Counts` in block.pxi: int64 bases (G,), offsets (G, S + 1),
        entries (G, S) and filled (G, S); uint8 kinds (G, S); float64 row_factors (N,) and column_factors (columns of
        the S shards,), and the sums of the rows, totals (N,). The bases may change between steps, except for groups
        with rows in the block or the next one.
    gemm
        Capsule of BLAS's function for the dtype, with integers of type int.
    decay : float
        Of the momentum.
    scratch
        Object with memory to work in. Of the model's dtype: h and weighted_h (2, B, width), logits (S, B, stride),
        h_gradients (S, B, width), momentum (V, width), gradients (members of the team, most rows of a shard, width);
        h, weighted_h, h_gradients and gradients are zero beyond D. Of float64: partials (S, 3, B), log_normalisers and
        shares (B,). Of int64: segments (S, B, 3).
    bags
        Object with int64 starts (N + 1,), int32 ids, and weights; or None: input n is row n of the embedding.
    bag_weights : (N,) or None
        Weights of the bags in the gradients of the embedding.
    bag_scratch
        Object with memory for bags that have at most M entries per block, or None. Of the model's dtype: row_gradients
        (members of the team, width), zero beyond D, and grouped_weights (M,). Of int32: named, members and
        slot_of_entry (M,), and slots (V_in,), all -1. Of int64: ends (M,).
    exchange
        None for a single process, or an object with the attributes of `RankMemory` in exchange.pxi: nodes, node_shards,
        rank_partials, partials, gradients, kept. Its gather_partials(size) fills `partials` with the first 3 size
        numbers per node of `rank_partials` of all ranks. Its gather_gradients(size) fills `gradients` with the first
        `size` rows of h_gradients[s] of all ranks, where s is the first shard of a node.
    """
    cdef BlockTrainer trainer = BlockTrainer.__new__(BlockTrainer)
    cdef real[:, ::1] embedding = parameters.embedding, weights = parameters.weights
    cdef const real[::1] bias = parameters.bias
    cdef double[::1] linear_squares = parameters.linear_squares
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
    cdef const double[::1] totals = counts.totals
    cdef const real* b = NULL
    cdef double* sums = NULL
    if bias is not None:
        b = &bias[0]
    if squares is not None:
        sums = &squares[0]
    form_team(&trainer.team, gradients.shape[0], &trainer.state)
    trainer.state.model = BlockModel(
        &embedding[0, 0], &weights[0, 0], b, &momentum[0, 0], sums, &linear_squares[0], &row_rates[0],
        &row_weights[0], NULL, embedding.shape[1], weights.shape[1], bounds.shape[0] - 1, &bounds[0],
    )
    trainer.state.scratch = ScratchPointers(
        &logits[0, 0, 0], &h_gradients[0, 0, 0], &gradients[0, 0, 0], &partials[0, 0, 0], &log_normalisers[0],
        &shares[0], <Segment*>&segments[0, 0, 0], logits.shape[1], logits.shape[2], gradients.shape[1],
        NULL, NULL, NULL,
    )
    trainer.state.block = Block(NULL, 0, &h[0, 0, 0], &weighted_h[0, 0, 0])
    trainer.state.forward = Block(NULL, 0, &h[1, 0, 0], &weighted_h[1, 0, 0])
    trainer.state.counts = Counts(
        &bases[0], &offsets[0, 0], &entries[0, 0], &filled[0, 0], &kinds[0, 0], &row_factors[0],
        &column_factors[0] - bounds[0], &totals[0], totals.shape[0], bases.shape[0], bounds.shape[0] - 1,
    )
    trainer.state.gemm, trainer.state.single, trainer.state.decay = function_of(gemm), real is float, decay
    trainer.arrays = (
        embedding, weights, bias, squares, linear_squares, bounds, row_rates, row_weights, counts, gemm, scratch, bags,
        bag_weights, bag_scratch,
    )
    if bag_weights is not None:
        trainer.state.model.bag_weights = &bag_weights[0]
    if bags is not None:
        bind_bags(&trainer.state, bags, bag_scratch, &embedding[0, 0])
    trainer.state.ranks = RankMemory(0, bounds.shape[0] - 1, 1, NULL, NULL, NULL, NULL, 0, 0)
    trainer.exchange = exchange
    if exchange is not None:
        bind_exchange(&trainer.state.ranks, exchange, &embedding[0, 0])
    return trainer
