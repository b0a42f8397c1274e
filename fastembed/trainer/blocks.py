"""Block steps: the exact softmax of blocks of rows against their counts, over shards of the linear layer.

A block of B rows needs three matrix products per shard, with B·V exponentials between them (the kernels of
``_kernels/block.pxi``). The products are NumPy's, into memory allocated once, with BLAS held to one thread; the
threads are ours, each on one shard at a time. A block has two phases, since the residual needs the finished normaliser:

1. every shard: logits, statistics;                merge: logsumexp and loss
2. every shard: residual, its part of the gradient of H, its own rows' gradient and update;   merge: update of E
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros
from fastembed._base.blas import single_threaded_blas
from fastembed._base.errors import TrainingDivergedError
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed.trainer.options import FitOptions
from fastembed.trainer.parameters import Parameters
from fastembed.trainer.shards import shard_bounds

MOMENTUM = 0.9
ROW_WEIGHT_EXPONENT = 0.75
FINAL_RATE = 0.1  # share of the learning rates that is left at the end of the linear decay


def row_bytes(outputs: int, shards: int, dim: int, itemsize: int) -> int:
    """Return the bytes of the workspace that one row of a block takes: logits, gradients, partial results."""
    return outputs * itemsize + (shards + 2) * dim * itemsize + (4 * shards + 1) * 8


def affordable_rows(workspace_bytes: int, outputs: int, shards: int, dim: int, itemsize: int) -> int:
    """Return how many rows of a block fit into the workspace.

    The gradient buffers of the threads are not counted: with them the number of rows, and so the result, would depend
    on the number of threads.
    """
    row = row_bytes(outputs, shards, dim, itemsize)
    if workspace_bytes < row:
        raise ValueError(
            f"workspace_bytes must be at least {row}, what one row needs with {outputs} outputs and dim {dim};"
            f" got {workspace_bytes}"
        )
    return workspace_bytes // row


def _product(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any]) -> None:
    """Put a @ b into `out`, without a warning: an overflow shows in the loss, which is checked."""
    with np.errstate(over="ignore", invalid="ignore"):
        np.matmul(a, b, out=out)


def _front(buffer: NDArray[Any], *shape: int) -> NDArray[Any]:
    """Return the beginning of a buffer as a contiguous array of this shape."""
    return buffer.reshape(-1)[: math.prod(shape)].reshape(shape)


class _Shard:
    """Outputs begin to end - 1 of the linear layer: their parameters, optimizer state, and memory for their logits."""

    def __init__(self, parameters: Parameters, begin: int, end: int, logits: NDArray[Any]) -> None:
        self.begin = begin
        self.size = end - begin
        self.weights = parameters.weights[begin:end]
        self.vectors = self.weights[:, : parameters.dim]
        self.bias = None if parameters.bias is None else parameters.bias[begin:end]
        self.momentum = np.zeros((self.size, parameters.dim), parameters.dtype)
        self.squares = parameters.linear_squares[begin:end]
        self._logits = logits

    def logits(self, rows: int) -> NDArray[Any]:
        """Return the memory for the logits of a block, (rows, size)."""
        return _front(self._logits, rows, self.size)


@dataclass(frozen=True)
class _Buffers:
    """Memory for a block of B rows over S shards, beside its logits."""

    h: NDArray[Any]  # (B, D)
    weighted_h: NDArray[Any]  # (B, D)
    row_weights: NDArray[Any]  # (B, 1)
    totals: NDArray[np.float64]  # (B,)
    partials: NDArray[np.float64]  # (S, B, 3)
    shares: NDArray[np.float64]  # (S, B)
    h_gradients: NDArray[Any]  # (S, B, D)

    @classmethod
    def allocate(cls, rows: int, shards: int, dim: int, dtype: np.dtype[Any]) -> Self:
        return cls(
            h=np.empty((rows, dim), dtype),
            weighted_h=np.empty((rows, dim), dtype),
            row_weights=np.empty((rows, 1), dtype),
            totals=np.empty(rows),
            partials=np.empty((shards, rows, 3)),
            shares=np.empty((shards, rows)),
            h_gradients=np.empty((shards, rows, dim), dtype),
        )

    def front(self, rows: int) -> _Buffers:
        """Return views for a block of fewer rows, each contiguous."""
        shards, dim = len(self.shares), self.h.shape[1]
        return _Buffers(
            self.h[:rows],
            self.weighted_h[:rows],
            self.row_weights[:rows],
            self.totals[:rows],
            _front(self.partials, shards, rows, 3),
            _front(self.shares, shards, rows),
            _front(self.h_gradients, shards, rows, dim),
        )


class BlockFit:
    """One fit of parameters to counts. Arguments are as `Trainer` has checked them.

    Parameters
    ----------
    parameters : Parameters
        Updated in place.
    counts : csr_array (V_in, V)
        float64, canonical.
    options : FitOptions
    pool : Pool
    frozen : ndarray of int, optional
        Rows of the embedding that no step changes.
    """

    def __init__(
        self,
        parameters: Parameters,
        counts: Any,
        options: FitOptions,
        pool: Pool,
        frozen: NDArray[np.intp] | None = None,
    ) -> None:
        outputs, dim, dtype = parameters.outputs, parameters.dim, parameters.dtype
        self.parameters, self.options, self._pool = parameters, options, pool
        self._kernels = kernels_for(dtype)
        self._csr = (counts.indptr.astype(np.int64), counts.indices.astype(np.int32, copy=False), counts.data)
        self._totals = counts.sum(axis=1)
        self._rows = np.flatnonzero(self._totals)

        bounds = shard_bounds(outputs)
        shards = len(bounds) - 1
        affordable = affordable_rows(options.workspace_bytes, outputs, shards, dim, dtype.itemsize)
        self._block_size = block = min(options.block_size, len(self._rows), affordable)
        self._blocks_per_epoch = -(-len(self._rows) // block)
        logits = aligned_zeros((block * outputs,), dtype)
        self._shards = [
            _Shard(parameters, begin, end, logits[block * begin : block * end])
            for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ]
        self._buffers = _Buffers.allocate(block, shards, dim, dtype)
        self._h_gradient = np.empty(dim, dtype)
        # One per thread: the gradient of a shard is used up before the thread goes on to the next shard
        widest = max(shard.size for shard in self._shards)
        self._free_gradients = deque(np.empty((widest, dim), dtype) for _ in range(min(pool.threads, shards)))

        self._movable = np.ones(parameters.inputs, bool)
        if frozen is not None:
            self._movable[frozen] = False
        weight = self._totals**ROW_WEIGHT_EXPONENT
        self._row_weights = (weight / weight[self._rows].mean()).astype(dtype)[:, None]

    def epoch(self, number: int, rng: np.random.Generator) -> float:
        """Visit every row with counts once, in blocks of a random order.

        Returns the mean negative log-likelihood per pair, of each row before its step.
        """
        steps = (number - 1) * self._blocks_per_epoch
        nll = 0.0
        with single_threaded_blas():
            for block, rows in enumerate(self._blocks(rng.permutation(self._rows))):
                block_nll = self._step(rows, self._decay(steps), steps + 1)
                if not math.isfinite(block_nll):
                    raise TrainingDivergedError(
                        f"the loss of block {block} in epoch {number} is {block_nll}: logits overflow"
                        f" {self.parameters.dtype}; the parameters are too large, or a learning rate is",
                        number,
                        block,
                    )
                nll += block_nll
                steps += 1
        return nll / float(self._totals.sum())

    def nll(self) -> float:
        """Return the mean negative log-likelihood per pair; nothing is trained."""
        with single_threaded_blas():
            nll = sum(self._step(rows, 0.0, 1) for rows in self._blocks(self._rows))
        if not math.isfinite(nll):
            raise FloatingPointError(
                f"the loss is {nll}: logits overflow {self.parameters.dtype}; the parameters are too large"
            )
        return nll / float(self._totals.sum())

    def learning_rate_after(self, epoch: int) -> float:
        """Return the learning rate of the embedding at the end of an epoch."""
        return self.options.learning_rate * self._decay(epoch * self._blocks_per_epoch)

    def _blocks(self, order: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """Yield the rows of each block."""
        return (order[begin : begin + self._block_size] for begin in range(0, len(order), self._block_size))

    def _decay(self, steps: int) -> float:
        """Return the factor on the learning rates after some steps: from 1 down to FINAL_RATE."""
        return 1 - (1 - FINAL_RATE) * (steps / (self._blocks_per_epoch * self.options.epochs))

    def _step(self, rows: NDArray[np.intp], decay: float, step: int) -> float:
        """Make the step-th step, on one block; return the negative log-likelihood of its counts before it."""
        memory = self._buffers.front(len(rows))
        np.take(self.parameters.embedding, rows, axis=0, out=memory.h, mode="clip")  # "raise" would copy `out`
        np.take(self._totals, rows, out=memory.totals, mode="clip")
        np.take(self._row_weights, rows, axis=0, out=memory.row_weights, mode="clip")
        np.multiply(memory.h, memory.row_weights, out=memory.weighted_h)
        rate, linear_rate = self.options.learning_rate * decay, self.options.linear_learning_rate * decay

        def statistics(s: int) -> None:
            shard = self._shards[s]
            logits = shard.logits(len(rows))
            _product(memory.h, shard.vectors.T, logits)
            self._kernels.block_statistics(logits, shard.bias, shard.begin, rows, *self._csr, memory.partials[s])

        def update(s: int) -> None:
            shard = self._shards[s]
            residual = shard.logits(len(rows))
            self._kernels.block_residual(residual, memory.shares[s], memory.totals, shard.begin, rows, *self._csr)
            if rate:
                _product(residual, shard.vectors, memory.h_gradients[s])
            if linear_rate:
                self._update_linear(shard, residual, memory.weighted_h, linear_rate, step)

        self._pool.run(statistics, len(self._shards))
        nll: float = self._kernels.block_merge(memory.partials, memory.totals, memory.shares)
        if math.isfinite(nll) and (rate or linear_rate):
            self._pool.run(update, len(self._shards))
            if rate:
                self._update_embedding(rows, memory.h_gradients, rate)
        return nll

    def _update_linear(
        self, shard: _Shard, residual: NDArray[Any], weighted_h: NDArray[Any], rate: float, step: int
    ) -> None:
        """Step on the rows of the linear layer that are a shard's."""
        buffer = self._free_gradients.pop()
        gradient = buffer[: shard.size]
        _product(residual.T, weighted_h, gradient)
        self._kernels.block_update_linear(
            shard.weights, gradient, shard.momentum, shard.squares, rate, MOMENTUM, 1 - MOMENTUM**step
        )
        self._free_gradients.append(buffer)

    def _update_embedding(self, rows: NDArray[np.intp], gradients: NDArray[Any], rate: float) -> None:
        """Step on the rows of a block that are not frozen; `gradients` (S, B, D)."""
        movable = self._movable[rows]
        if not movable.all():
            rows, gradients = rows[movable], np.ascontiguousarray(gradients[:, movable])
        if len(rows):
            self._kernels.block_update_embedding(
                self.parameters.embedding, rows, gradients, self.parameters.squares, rate, self._h_gradient
            )
