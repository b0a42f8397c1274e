"""Block steps: the exact softmax of blocks of rows against their counts, over shards of the linear layer.

A block of B rows needs three matrix products per shard, with B·V exponentials between them. The kernels compute them
(``_kernels/block_trainer.pxi``), on plain Python threads that stay in the kernels for a whole epoch. This module has
the memory, the order of the rows, and the learning rates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros
from fastembed._base.progress import bar
from fastembed._base.threads import beside, matrix_product
from fastembed._kernels import kernels_for
from fastembed._kernels.cpu import CACHE_LINE
from fastembed.counts.buffer import TileBuffer
from fastembed.counts.groups import Draw, draw_order, plain_order, shard_bounds, split_rows
from fastembed.trainer.data import FitData, FitOptions
from fastembed.trainer.exchange import Exchange
from fastembed.trainer.inputs import Bags
from fastembed.trainer.parameters import Parameters, TrainingDivergedError
from fastembed.trainer.run import Run

MOMENTUM = 0.9
# In dW a row weighs this power of its total: between equal weight per row, 0, and per pair as in the loss, 1
ROW_WEIGHT_EXPONENT = 0.75
FINAL_RATE = 0.1  # share of the learning rates at the end of the linear decay
RowIds = NDArray[np.intp]


class BlockScratch:
    """The workspace for a block of B rows over S shards, and the optimizer state of one fit.

    The struct `ScratchPointers` in ``_kernels/block_tasks.pxi`` points into the arrays.

    Parameters
    ----------
    bounds : ndarray (S + 1,)
    """

    def __init__(self, parameters: Parameters, bounds: NDArray[np.intp], rows: int, threads: int) -> None:
        dtype, width = parameters.dtype, parameters.weights.shape[1]
        shards, widest = len(bounds) - 1, int(np.diff(bounds).max())
        # The logits of two rows are an odd number of cache lines apart: at a multiple of a large power of two they
        # would share cache sets
        stride = (-(-widest * dtype.itemsize // CACHE_LINE) | 1) * CACHE_LINE // dtype.itemsize
        self.h = aligned_zeros((2, rows, width), dtype)
        self.weighted_h = aligned_zeros((2, rows, width), dtype)
        self.logits = aligned_zeros((shards, rows, stride), dtype)
        self.h_gradients = aligned_zeros((shards, rows, width), dtype)
        # One per thread: the gradient of a shard is applied before the thread takes the next shard
        self.gradients = aligned_zeros((threads, widest, width), dtype)
        self.momentum = aligned_zeros((parameters.outputs, width), dtype)
        self.partials = np.empty((shards, 3, rows))
        self.log_normalisers, self.shares = np.empty((2, rows))
        self.segments = np.empty((shards, rows, 3), np.int64)


class BagScratch:
    """The workspace for the bags of a block, with at most M entries in total: see ``_kernels/bags.pxd``.

    `named` has the distinct rows of the embedding in the bags.

    Parameters
    ----------
    entries : int
        M.
    """

    def __init__(self, parameters: Parameters, entries: int, threads: int) -> None:
        dtype, width = parameters.dtype, parameters.weights.shape[1]
        most_named = min(entries, parameters.inputs)
        self.row_gradients = aligned_zeros((threads, width), dtype)
        self.slots = np.full(parameters.inputs, -1, np.int32)
        self.slot_of_entry = np.empty(entries, np.int32)
        self.named = np.empty(most_named, np.int32)
        self.ends = np.empty(most_named, np.int64)
        self.members = np.empty(entries, np.int32)
        self.grouped_weights = np.empty(entries, dtype)


class BlockSteps:
    """The steps of one fit on blocks of counts, or the likelihood of counts without steps.

    Parameters
    ----------
    parameters : Parameters
        Updated in place.
    data : FitData
        Weights of inputs are divided by their mean over the inputs with counts. By default an input with the total n
        has the weight n^0.75 in the gradient of the linear layer, and all bags have the same weight in the gradient of
        the embedding.
    run : Run
        Each of its ranks trains the linear layer of some of the shards.

    Attributes
    ----------
    exchange : Exchange or None
        The exchange between the ranks; None for one process.
    state : dict of str to ndarray
        The arrays that steps change and later steps need.

    Raises
    ------
    ValueError
        If all weights of inputs with counts are zero, or there are more ranks than shards.
    """

    def __init__(self, parameters: Parameters, data: FitData, options: FitOptions, run: Run) -> None:
        self.parameters, self.options = parameters, options
        counts, bags, input_weights, ranks = data.counts, data.bags, data.input_weights, run.ranks
        totals = counts.totals.rows
        self._total = float(totals.sum())
        self._group_rows = split_rows(totals > 0)
        rows = sum(map(len, self._group_rows))
        self._block_size = min(options.block_size, rows)
        self.blocks_per_epoch = -(-rows // self._block_size)

        # Factors on the steps of rows of the embedding, and on the gradients of the linear layer
        self._rates = np.ones(parameters.inputs) if data.row_rates is None else data.row_rates
        if bags is None and input_weights is not None:  # only its own input moves a row: weight 0 freezes it
            self._rates = np.where(input_weights > 0, self._rates, 0)
        row_weights = _relative_weights(input_weights, totals).astype(parameters.dtype)

        # The shards of this process, and their counts
        bounds = shard_bounds(parameters.outputs)
        if ranks.size > 1:
            shards = ranks.shards_of(ranks.rank, len(bounds) - 1)
            counts, bounds = counts.of_shards(shards), bounds[shards.start : shards.stop + 1]
        self._counts = TileBuffer(counts, self._group_rows, self._block_size)

        # The threads, and the memory that they work in
        kernels = kernels_for(parameters.dtype)
        tasks = 0 if bags is None else -(-self._block_size // kernels.PIECE_ROWS)
        self._threads = min(run.pool.threads, max(tasks, len(bounds) - 1))
        scratch = BlockScratch(parameters, bounds, self._block_size, self._threads)
        bag_scratch = None if bags is None else BagScratch(parameters, self._most_entries(bags), self._threads)
        squares = parameters.squares if options.optimizer == "adagrad" else None
        self.state = {**parameters.trained, "momentum": scratch.momentum}
        self.exchange: Exchange | None = None
        if ranks.size > 1:
            self.exchange = Exchange(run, parameters, self._rates, scratch.h_gradients, squares, bags=bags is not None)
        self._block_trainer = kernels.block_trainer(
            # The model, its shards, the factors, and the counts
            parameters, squares, bounds, self._rates, row_weights, self._counts,
            # How steps are made, and where
            matrix_product(parameters.dtype), MOMENTUM, scratch,
            # Bags, which weigh the same by default, and not as rows do
            bags, None if input_weights is None else row_weights, bag_scratch,
            self.exchange,
        )  # fmt: skip

    def epoch(self, number: int, rng: np.random.Generator) -> float:
        """Visit every row with counts once, in blocks of a random order (`draw_order`).

        Return the mean negative log-likelihood per pair, with each row before its step.
        """
        nll, order = 0.0, draw_order(self._group_rows, rng)
        with self._counts.reading(order) as hold, self._team():
            # A short epoch has no bar
            for block, rows, next_rows in bar(self._blocks(order), desc="blocks", total=self.blocks_per_epoch, delay=1):
                hold(block)
                step = (number - 1) * self.blocks_per_epoch + block
                block_nll = self._step(rows, next_rows, self.share_after(step), step + 1)
                if not math.isfinite(block_nll):
                    what = f"the loss of block {block} in epoch {number} is {block_nll}"
                    message = f"{what}, logits overflow {self.parameters.dtype}: lower the learning rates or parameters"
                    raise TrainingDivergedError(message, number, block)
                nll += block_nll
        if self.exchange is not None:
            self.exchange.meet(self._block_trainer, self.state["momentum"])
        return nll / self._total

    def nll(self) -> float:
        """Return the mean negative log-likelihood per pair; nothing is trained."""
        nll, order = 0.0, plain_order(self._group_rows)
        with self._counts.reading(order) as hold, self._team():
            for block, rows, next_rows in bar(self._blocks(order), desc="blocks", total=self.blocks_per_epoch):
                hold(block)
                nll += self._step(rows, next_rows, 0.0, 1)
        if not math.isfinite(nll):
            raise FloatingPointError(
                f"the loss is {nll}, logits overflow {self.parameters.dtype}: the parameters are too large"
            )
        return nll / self._total

    def share_after(self, steps: int) -> float:
        """Return the share of the learning rates after a number of steps: the rates fall linearly."""
        return 1 - (1 - FINAL_RATE) * (steps / (self.blocks_per_epoch * self.options.epochs))

    def shrink(self, epoch: int) -> None:
        """Multiply E by exp(-l2 * rate) and W by exp(-linear_l2 * rate), with their rates after an epoch."""
        options, p, share = self.options, self.parameters, self.share_after(epoch * self.blocks_per_epoch)
        factors = np.exp(-options.l2 * (options.learning_rate * share) * self._rates)
        p.embedding *= factors.astype(p.dtype)[:, None]
        factor = np.exp(-options.linear_l2 * options.linear_learning_rate * share)
        p.weights *= factor.astype(p.dtype)

    def _most_entries(self, bags: Bags) -> int:
        """Return the largest number of entries of the bags of a block in any order of the rows; at least 1."""
        sizes = np.diff(bags.starts)[np.concatenate(self._group_rows)]
        return max(1, int(np.partition(sizes, len(sizes) - self._block_size)[-self._block_size :].sum()))

    @contextmanager
    def _team(self) -> Iterator[None]:
        """Let the other threads work on the steps in a `with` block."""
        trainer = self._block_trainer
        trainer.open()
        with beside(trainer.work, self._threads - 1, trainer.close):
            yield

    def _blocks(self, order: list[Draw]) -> Iterator[tuple[int, RowIds, RowIds | None]]:
        """Return the number and the rows of each block, and the rows of the next one."""
        ends = np.arange(self._block_size, self.blocks_per_epoch * self._block_size, self._block_size)
        blocks = np.split(np.concatenate([draw.rows for draw in order]), ends)
        return zip(count(), blocks, [*blocks[1:], None], strict=False)

    def _step(self, rows: RowIds, next_rows: RowIds | None, share: float, step: int) -> float:
        """Make step number `step`, on one block; return the negative log-likelihood of its counts before the step."""
        rate, linear_rate = self.options.learning_rate * share, self.options.linear_learning_rate * share
        nll: float = self._block_trainer.step(rows, next_rows, rate, linear_rate, 1 - MOMENTUM**step)
        if self.exchange is not None and rate and math.isfinite(nll):
            self.exchange.stepped(self._block_trainer, rows, rate)
        return nll


def _relative_weights(weights: NDArray[np.float64] | None, totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of inputs, by default totals^0.75, divided by the mean weight of the inputs with counts.

    The weights choose the direction of a step on the linear layer alone; the loss weighs each pair equally. Weights in
    proportion to the totals would let the most frequent inputs determine each step.
    """
    present = totals > 0
    relative = totals**ROW_WEIGHT_EXPONENT
    if weights is not None:
        used = np.where(present, weights, 0)
        if not used.any():
            raise ValueError("input_weights must be positive for at least one input with counts, but all are zero")
        relative = np.ldexp(used, -np.frexp(used.max())[1])  # scaled to at most 1, so that no sum overflows
    return relative / relative[present].mean()
