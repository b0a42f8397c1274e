"""Row steps: the row kernels run over the shards of the linear layer, on one thread or several."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed.trainer.checks import Targets
from fastembed.trainer.shards import shard_bounds

PARALLEL_BYTES = 64 << 20
"""Below this size of the linear layer a step stays on one thread: handing over costs more than it saves."""

GROUPS_PER_THREAD = 4
"""Shards are handed out in this many groups a thread, so that a thread that is held up leaves its share to others."""

PIECE = 1 << 31
"""Multiplications in one call of the kernel, about: Ctrl-C is heard between two calls, a fraction of a second apart."""

STEP_OVERHEAD = 1 << 12
"""What a step costs beside its multiplications, in multiplications."""


class _Scratch:
    """The memory that the row kernels work in, for one example."""

    def __init__(self, outputs: int, width: int, shards: int, dtype: np.dtype[Any]) -> None:
        self.h = aligned_zeros((width,), dtype)
        self.logits = np.empty(outputs, dtype)
        self.partials = np.empty((shards, 3))
        self.expected = aligned_zeros((shards, width), dtype)
        self.observed = aligned_zeros((shards, width), dtype)
        self.gradient = np.empty(width)


class RowSteps:
    """Evaluates and trains one example at a time. Arguments are as `Trainer` has checked them.

    Parameters
    ----------
    embedding : ndarray (V_in, D)
        Updated in place.
    weights : ndarray (V, width)
        The linear layer, vocabulary-major and padded; updated in place.
    bias : ndarray (V,) or None
    scale : float
        Factor on the loss.
    pool : Pool
    """

    def __init__(
        self,
        embedding: NDArray[Any],
        weights: NDArray[Any],
        bias: NDArray[Any] | None,
        scale: float,
        pool: Pool,
    ) -> None:
        outputs, width = weights.shape
        self._embedding, self._weights, self._bias = embedding, weights, bias
        self._scale, self._pool = scale, pool
        self._kernels = kernels_for(weights.dtype)
        self._bounds = shard_bounds(outputs)
        self._shards = len(self._bounds) - 1
        self._parallel = pool.threads > 1 and self._shards > 1 and weights.nbytes >= PARALLEL_BYTES

        self._scratch = _Scratch(outputs, width, self._shards, weights.dtype)
        self._trainer = self._kernels.row_trainer(embedding, weights, bias, self._bounds, scale, self._scratch)

    def probabilities(self, i: int) -> NDArray[Any]:
        """Return softmax(embedding[i] @ linear + bias), (V,)."""
        self._load(i)
        logits = np.empty_like(self._scratch.logits)

        def product(first: int, last: int) -> None:
            self._kernels.matvec(self._weights, self._scratch.h, self._bias, self._bounds, first, last, logits)

        self._over_shards(product)
        self._check_finite(self._kernels.softmax(logits), i)
        return logits

    def loss(self, i: int, target: Targets) -> float:
        """Return the loss of one example."""
        loss, _ = self._pass(i, target[1], target[2], gradient=False, keep_logits=False)
        return self._check_finite(loss, i)

    def gradient(self, i: int, target: Targets) -> NDArray[Any]:
        """Return the gradient of the loss with respect to embedding[i], (D,)."""
        loss, _ = self._pass(i, target[1], target[2], gradient=True, keep_logits=False)
        self._check_finite(loss, i)
        return self._scratch.gradient[: self._embedding.shape[1]].astype(self._embedding.dtype)

    def step(self, i: int, target: int, rate: float, update_linear: bool) -> float:
        """Step on one example with one output as its target; return the loss before the step."""
        if self._parallel:
            one = np.arange(2, dtype=np.int64), np.array([target], dtype=np.int32), np.ones(1)
            return float(self.descend(np.array([i], dtype=np.intp), one, rate, update_linear)[0])
        loss: float = self._trainer.step(i, target, rate, update_linear)
        return loss if isfinite(loss) else self._check_finite(loss, i)

    def descend(
        self, inputs: NDArray[np.intp], targets: Targets, rate: float, update_linear: bool
    ) -> NDArray[np.float64]:
        """Step through the examples in their order; return each one's loss before its step, (N,)."""
        losses = np.empty(len(inputs))
        descend = self._descend_parallel if self._parallel else self._descend_serial
        made = descend(inputs, targets, rate, update_linear, losses)
        if made < len(inputs):
            self._check_finite(losses[made], inputs[made])
        return losses

    def _descend_serial(
        self,
        inputs: NDArray[np.intp],
        targets: Targets,
        rate: float,
        update_linear: bool,
        losses: NDArray[np.float64],
    ) -> int:
        starts, columns, amounts = targets
        piece = max(1, PIECE // (self._weights.size + STEP_OVERHEAD))
        for first in range(0, len(inputs), piece):
            last = min(first + piece, len(inputs))
            made: int = first + self._trainer.train(
                inputs[first:last], starts[first : last + 1], columns, amounts, rate, update_linear, losses[first:last]
            )
            if made < last:
                return made
        return len(inputs)

    def _descend_parallel(
        self,
        inputs: NDArray[np.intp],
        targets: Targets,
        rate: float,
        update_linear: bool,
        losses: NDArray[np.float64],
    ) -> int:
        """Do the arithmetic of RowTrainer.train in the same order, with the shards of a step shared out."""
        starts, all_columns, all_amounts = targets
        for n, i in enumerate(inputs):
            columns, amounts = all_columns[starts[n] : starts[n + 1]], all_amounts[starts[n] : starts[n + 1]]
            losses[n], normaliser = self._pass(i, columns, amounts, gradient=True, keep_logits=update_linear)
            if not isfinite(losses[n]):
                return n
            self._kernels.row_update(self._embedding[i], self._scratch.gradient, rate)
            if update_linear:
                self._update_linear(columns, amounts, normaliser, rate * self._scale)
        return len(inputs)

    def _pass(
        self, i: int, columns: NDArray[np.int32], amounts: NDArray[np.float64], *, gradient: bool, keep_logits: bool
    ) -> tuple[float, float]:
        """Return the loss and logsumexp of one example; leave its gradient and logits in the scratch memory."""
        self._load(i)
        scratch = self._scratch
        logits = scratch.logits if keep_logits else None
        expected, observed = (scratch.expected, scratch.observed) if gradient else (None, None)

        def task(first: int, last: int) -> None:
            self._kernels.row_pass(
                self._weights, scratch.h, self._bias, self._bounds, first, last, columns, amounts,
                logits, scratch.partials, expected, observed,
            )  # fmt: skip

        self._over_shards(task)
        merged: tuple[float, float] = self._kernels.row_merge(
            scratch.partials, expected, observed, amounts, self._scale, scratch.gradient
        )
        return merged

    def _update_linear(
        self, columns: NDArray[np.int32], amounts: NDArray[np.float64], normaliser: float, step: float
    ) -> None:
        h, logits = self._scratch.h, self._scratch.logits

        def task(first: int, last: int) -> None:
            self._kernels.row_update_linear(
                self._weights, h, logits, self._bounds, first, last, columns, amounts, normaliser, step
            )

        self._over_shards(task)

    def _load(self, i: int) -> None:
        row = self._embedding[i]
        self._scratch.h[: len(row)] = row

    def _over_shards(self, task: Callable[[int, int], object]) -> None:
        """Call ``task(first, last)`` on groups of shards that together are all."""
        if not self._parallel:
            task(0, self._shards)
            return
        groups = min(self._shards, GROUPS_PER_THREAD * self._pool.threads)
        ends = [g * self._shards // groups for g in range(groups + 1)]
        self._pool.run(lambda g: task(ends[g], ends[g + 1]), groups)

    def _check_finite(self, loss: float, i: int) -> float:
        if not isfinite(loss):
            raise FloatingPointError(
                f"the loss of input {i} is {loss}: its logits overflow {self._weights.dtype}; the parameters are too"
                " large, or the learning rate is"
            )
        return loss
