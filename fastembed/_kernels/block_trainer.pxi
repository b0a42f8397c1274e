"""Training on many blocks, by a team of threads, of a model that is bound once.

The way of a step, at most six calls deep; what is below loops over numbers, and is inlined:

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

Without bags, an epoch visits a row of the embedding once, and no other step reads it. So the forward pass of the next
block on a shard follows the backward pass of the block, while the shard's rows are in the cache, and no bit changes.
The phases of a step are GATHER (the next block), SHARDS (backward and forward), UPDATE.

A task of the phase SHARDS makes the backward pass if `state.training`, and the forward pass if `state.next` has rows.

With bags, blocks share rows of the embedding, so the forward pass of a block follows the update by the block before.
The phases are GATHER, SHARDS (forward), SHARDS (backward), SUM (of dH over the shards), UPDATE_NAMED.

With several ranks, each rank has some of the shards (`exchange.pxi`). The ranks exchange the partial results after each
forward pass, and with bags dH after SUM. Without bags they keep dH of several blocks, in place of UPDATE, and update
the embedding together.

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
    cdef object exchange  # the exchange with other ranks, or None

    def __dealloc__(self):
        disband_team(&self.team)

    def open(self):
        """Let threads that call `work` wait for steps to help with. The next step may be on any rows."""
        self.state.next.size = 0
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
        cdef bint with_bags = state.bags.starts != NULL, with_ranks = state.exchange.nodes != 0
        cdef const double* partials = state.scratch.partials
        cdef Py_ssize_t shards = state.model.shards, parts = shards, part_size = 3 * state.scratch.rows
        cdef Py_ssize_t size = rows.shape[0], row_tasks = pieces(size, PIECE_ROWS)
        cdef double nll
        state.rate, state.linear_rate, state.correction = rate, linear_rate, correction
        # `next` has rows if the step before has made the forward pass on this block. Otherwise the pass is made here
        if state.next.size == 0:
            state.next.ids, state.next.size, state.training = &rows[0], size, False
            with nogil:
                run_phase(team, GATHER, row_tasks)
                run_phase(team, SHARDS, shards + (with_bags and rate != 0))  # the task after the shards groups the bags
        # The block takes the memory that the forward pass filled, `next` the memory of the block before
        state.block, state.next = state.next, state.block
        state.block.ids, state.next.size = &rows[0], 0  # the array that `next.ids` pointed into may be freed
        if next_rows is not None and not with_bags:
            state.next.ids, state.next.size = &next_rows[0], next_rows.shape[0]
        with nogil:
            if with_ranks:
                join_nodes(&state.exchange, partials, part_size, size)
                partials, parts, part_size = state.exchange.partials, state.exchange.nodes, 3 * size
                with gil:
                    self.exchange.gather_partials(size)
            nll = merge(
                partials, parts, part_size, state.block.ids, size, &state.counts, state.scratch.log_normalisers,
                state.scratch.shares,
            )
            state.training = isfinite(nll) and (rate != 0 or linear_rate != 0)
            if state.next.size:
                run_phase(team, GATHER, pieces(state.next.size, PIECE_ROWS))
            if state.training or state.next.size:
                run_phase(team, SHARDS, shards)  # backward; forward for the next block
            if not state.training or rate == 0:
                pass
            elif with_bags:
                if shards > 1:
                    run_phase(team, SUM, row_tasks)
                if with_ranks:
                    with gil:
                        self.exchange.gather_gradients(size)
                    run_phase(team, JOIN, row_tasks)
                run_phase(team, UPDATE_NAMED, pieces(state.groups.size, NAMED_ROWS))
            elif with_ranks:
                run_phase(team, KEEP, row_tasks)
                state.exchange.kept_rows += size
            else:
                run_phase(team, UPDATE, row_tasks)
        return nll

    def take_kept(self) -> int:
        """Return how many rows of dH the exchange keeps, in the order of the steps, and forget them."""
        cdef Py_ssize_t rows = self.state.exchange.kept_rows
        self.state.exchange.kept_rows = 0
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
        None for a single process, or an object with the attributes of `Exchange` in exchange.pxi: nodes, node_shards,
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
    trainer.state.gemm, trainer.state.single, trainer.state.decay = function_of(gemm), real is float, decay
    trainer.arrays = (
        embedding, weights, bias, squares, linear_squares, bounds, row_rates, row_weights, counts, gemm, scratch, bags,
        bag_weights, bag_scratch,
    )
    trainer.state.bags = Bags(NULL, NULL, NULL)
    if bag_weights is not None:
        trainer.state.model.bag_weights = &bag_weights[0]
    if bags is not None:
        bind_bags(&trainer.state, bags, bag_scratch, &embedding[0, 0])
    trainer.state.exchange = Exchange(0, bounds.shape[0] - 1, 1, NULL, NULL, NULL, NULL, 0, 0)
    trainer.exchange = exchange
    if exchange is not None:
        bind_exchange(&trainer.state.exchange, exchange, &embedding[0, 0])
    return trainer
