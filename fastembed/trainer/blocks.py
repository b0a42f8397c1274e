"""Block steps: the exact softmax of blocks of rows against their counts, over shards of the linear layer.

A block of B rows needs three matrix products a shard, with B·V exponentials between them (the kernels of
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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros
from fastembed._base.blas import single_threaded_blas
from fastembed._base.errors import TrainingDivergedError
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed.trainer.shards import shard_bounds

WORKSPACE_BYTES = 64 << 20
MOMENTUM = 0.9
ROW_WEIGHT_EXPONENT = 0.75
FINAL_RATE = 0.1
"""Share of the learning rates that is left at the end of the linear fall."""


@dataclass(frozen=True)
class Settings:
    """Of one fit; the meanings are those of `Trainer.fit_counts`."""

    epochs: int = 5
    learning_rate: float = 0.7
    linear_learning_rate: float = 1.0
    block_size: int = 256
    workspace_bytes: int = WORKSPACE_BYTES


def row_bytes(outputs: int, shards: int, dim: int, itemsize: int) -> int:
    """Return what a row of a block takes of the workspace: logits, gradients, partial results."""
    return outputs * itemsize + (shards + 2) * dim * itemsize + (4 * shards + 1) * 8


def _product(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any]) -> None:
    """Put a @ b into `out`, without a warning: an overflow shows in the loss, which is checked."""
    with np.errstate(over="ignore", invalid="ignore"):
        np.matmul(a, b, out=out)


class _Shard:
    """Rows begin to end - 1 of the linear layer: their parameters, optimizer state, and room for their logits."""

    def __init__(
        self,
        begin: int,
        end: int,
        weights: NDArray[Any],
        bias: NDArray[Any] | None,
        dim: int,
        squares: NDArray[np.float64],
        room: NDArray[Any],
    ) -> None:
        self.begin = begin
        self.size = end - begin
        self.weights = weights[begin:end]
        self.vectors = self.weights[:, :dim]
        self.bias = None if bias is None else bias[begin:end]
        self.momentum = np.zeros((self.size, dim), weights.dtype)
        self.squares = squares[begin:end]
        self._room = room

    def logits(self, rows: int) -> NDArray[Any]:
        """Return the memory for a block's logits, (rows, size)."""
        return self._room[: rows * self.size].reshape(rows, self.size)


class BlockFit:
    """One fit of an embedding and a linear layer to counts. Arguments are as `Trainer` has checked them.

    Parameters
    ----------
    embedding : ndarray (V_in, D)
        Updated in place.
    weights : ndarray (V, width)
        The linear layer, vocabulary-major and padded; updated in place.
    bias : ndarray (V,) or None
    counts : csr_array (V_in, V)
        float64, canonical.
    settings : Settings
    pool : Pool
    squares : ndarray (V_in,), ndarray (V,)
        The sums of Adagrad for the rows of the embedding and of the linear layer; updated in place.
    frozen : ndarray of int, optional
        Rows of the embedding that no step changes.
    """

    def __init__(
        self,
        embedding: NDArray[Any],
        weights: NDArray[Any],
        bias: NDArray[Any] | None,
        counts: Any,
        settings: Settings,
        pool: Pool,
        squares: tuple[NDArray[np.float64], NDArray[np.float64]],
        frozen: NDArray[np.intp] | None = None,
    ) -> None:
        (inputs, dim), outputs, dtype = embedding.shape, len(weights), embedding.dtype
        self._embedding, self._weights, self._settings, self._pool = embedding, weights, settings, pool
        self._kernels = kernels_for(dtype)
        self._csr = (counts.indptr.astype(np.int64), counts.indices.astype(np.int32, copy=False), counts.data)
        self._totals = counts.sum(axis=1)
        self._rows = np.flatnonzero(self._totals)

        bounds = shard_bounds(outputs)
        shards = len(bounds) - 1
        shard_rows = int(np.diff(bounds).max())
        affordable = self._affordable_rows(outputs, shards)
        self._block = block = min(settings.block_size, len(self._rows), affordable)
        self._blocks = -(-len(self._rows) // block)
        logits = aligned_zeros((block * outputs,), dtype)
        self._shards = [
            _Shard(begin, end, weights, bias, dim, squares[1], logits[block * begin : block * end])
            for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ]
        # One buffer a thread: a shard's gradient is used up before the thread goes on to the next
        self._free = deque(np.empty((shard_rows, dim), dtype) for _ in range(min(pool.threads, shards)))
        self._workspace = {
            "h": np.empty((block, dim), dtype),
            "row_weights": np.empty((block, 1), dtype),
            "weighted_h": np.empty((block, dim), dtype),
            "h_gradients": np.empty(shards * block * dim, dtype),
            "totals": np.empty(block),
            "partials": np.empty(shards * block * 3),
            "shares": np.empty(shards * block),
        }
        self._h_gradient = np.empty(dim, dtype)
        self._squares, self._linear_squares = squares
        self._moves = np.ones(inputs, bool)
        if frozen is not None:
            self._moves[frozen] = False

        weight = self._totals**ROW_WEIGHT_EXPONENT
        self._row_weights = (weight / weight[self._rows].mean()).astype(dtype)[:, None]

    def _affordable_rows(self, outputs: int, shards: int) -> int:
        """Rows whose logits, gradients and partial results fit the workspace.

        The threads' gradient buffers come on top: with them the number of rows, and so the result, would depend on
        the number of threads.
        """
        dim = self._embedding.shape[1]
        row = row_bytes(outputs, shards, dim, self._embedding.dtype.itemsize)
        rows: int = self._settings.workspace_bytes // row
        if rows < 1:
            raise ValueError(
                f"workspace_bytes must be at least {row}, what one row needs with {outputs} outputs and dim {dim};"
                f" got {self._settings.workspace_bytes}"
            )
        return rows

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """What the steps change, but for the momentum; the linear layer as (V, width)."""
        return {
            "embedding": self._embedding,
            "linear.T": self._weights,
            "squares": self._squares,
            "linear_squares": self._linear_squares,
        }

    def epoch(self, number: int, rng: np.random.Generator) -> float:
        """Visit every row with counts once, in blocks of a random order.

        Returns the mean negative log-likelihood a pair, each row's before its step.
        """
        steps = (number - 1) * self._blocks
        nll = 0.0
        with single_threaded_blas():
            for block, rows in enumerate(self._cut(rng.permutation(self._rows))):
                block_nll = self._step(rows, self._fall(steps), steps + 1)
                if not math.isfinite(block_nll):
                    raise TrainingDivergedError(
                        f"the loss of block {block} in epoch {number} is {block_nll}: logits overflow"
                        f" {self._embedding.dtype}; the parameters are too large, or a learning rate is",
                        number,
                        block,
                    )
                nll += block_nll
                steps += 1
        return nll / float(self._totals.sum())

    def nll(self) -> float:
        """Return the mean negative log-likelihood a pair; nothing is trained."""
        with single_threaded_blas():
            nll = sum(self._step(rows, 0.0, 1) for rows in self._cut(self._rows))
        if not math.isfinite(nll):
            raise FloatingPointError(
                f"the loss is {nll}: logits overflow {self._embedding.dtype}; the parameters are too large"
            )
        return nll / float(self._totals.sum())

    def learning_rate_after(self, epoch: int) -> float:
        """Return the rate of the embedding at the end of an epoch."""
        return self._settings.learning_rate * self._fall(epoch * self._blocks)

    def _cut(self, order: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """Yield the rows of each block."""
        return (order[begin : begin + self._block] for begin in range(0, len(order), self._block))

    def _fall(self, steps: int) -> float:
        """Factor on the learning rates after some steps: from 1 down to FINAL_RATE."""
        return 1 - (1 - FINAL_RATE) * (steps / (self._blocks * self._settings.epochs))

    def _step(self, rows: NDArray[np.intp], fall: float, step: int) -> float:
        """Make the step-th step, on one block; return the negative log-likelihood of its counts before it."""
        b, shards, dim = len(rows), len(self._shards), self._embedding.shape[1]
        w = self._workspace
        h, row_weights, weighted_h, totals = (w[name][:b] for name in ("h", "row_weights", "weighted_h", "totals"))
        partials = w["partials"][: shards * b * 3].reshape(shards, b, 3)
        shares = w["shares"][: shards * b].reshape(shards, b)
        h_gradients = w["h_gradients"][: shards * b * dim].reshape(shards, b, dim)
        np.take(self._embedding, rows, axis=0, out=h, mode="clip")  # clip: raise would make a copy of out
        np.take(self._totals, rows, out=totals, mode="clip")
        np.take(self._row_weights, rows, axis=0, out=row_weights, mode="clip")
        np.multiply(h, row_weights, out=weighted_h)
        rate = self._settings.learning_rate * fall
        linear_rate = self._settings.linear_learning_rate * fall
        correction = 1 - MOMENTUM**step

        def statistics(s: int) -> None:
            shard = self._shards[s]
            logits = shard.logits(b)
            _product(h, shard.vectors.T, logits)
            self._kernels.block_statistics(logits, shard.bias, shard.begin, rows, *self._csr, partials[s])

        def update(s: int) -> None:
            shard = self._shards[s]
            residual = shard.logits(b)
            self._kernels.block_residual(residual, shares[s], totals, shard.begin, rows, *self._csr)
            if rate:
                _product(residual, shard.vectors, h_gradients[s])
            if linear_rate:
                buffer = self._free.pop()
                gradient = buffer[: shard.size]
                _product(residual.T, weighted_h, gradient)
                self._kernels.block_update_linear(
                    shard.weights, gradient, shard.momentum, shard.squares, linear_rate, MOMENTUM, correction
                )
                self._free.append(buffer)

        self._pool.run(statistics, shards)
        nll: float = self._kernels.block_merge(partials, totals, shares)
        if math.isfinite(nll) and (rate or linear_rate):
            self._pool.run(update, shards)
            if rate:
                self._update_embedding(rows, h_gradients, rate)
        return nll

    def _update_embedding(self, rows: NDArray[np.intp], gradients: NDArray[Any], rate: float) -> None:
        """Step on the rows of a block that are not frozen; `gradients` (shards, B, D)."""
        moves = self._moves[rows]
        if not moves.all():
            rows, gradients = rows[moves], np.ascontiguousarray(gradients[:, moves])
        if len(rows):
            self._kernels.block_update_embedding(
                self._embedding, rows, gradients, self._squares, rate, self._h_gradient
            )
