"""One example: its loss, its step, by the row kernels; and the probabilities of many, by matrix products."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from threading import RLock
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastembed import _kernels
from fastembed._base.arrays import Float64, aligned_zeros, largest
from fastembed._base.threads import PARALLEL_BYTES, Pool, SingleThreadedBlas
from fastembed._kernels import kernels_for, tiling
from fastembed._kernels.cpu import DefaultFloatMode
from fastembed.counts.groups import shard_bounds
from fastembed.trainer.inputs import Bags, Inputs, Targets, one
from fastembed.trainer.parameters import Parameters

# In a call of the kernel that trains on examples. Python sees a Ctrl-C between two calls, a fraction of a second apart
MULTIPLICATIONS = 1 << 29
BATCH_LOGITS = 1 << 22  # of inputs whose probabilities are in memory at once, per thread
GROUPS_PER_THREAD = 4  # of shards: other threads take over the groups of a delayed thread
FIRST = np.zeros(1, np.intp)  # selects the first bag
STEP_OVERHEAD = 1 << 12  # fixed cost of a step, in multiplications
FEW_INPUTS = 8  # up to so many, the kernel for one example is at least as fast as a matrix product
ROWS_PER_TASK = 16  # rows per task of the softmax


class RowScratch:
    """The workspace of the row kernels for one example."""

    def __init__(self, outputs: int, width: int, shards: int, dtype: np.dtype[Any]) -> None:
        self.h = aligned_zeros((width,), dtype)
        self.logits = np.empty(outputs, dtype)
        self.partials = np.empty((shards, 3))
        self.expected = aligned_zeros((shards, width), dtype)
        self.observed = aligned_zeros((shards, width), dtype)
        self.gradient = np.empty(width)


class RowSteps:
    """Evaluates and trains one example at a time. `Trainer` has checked the arguments.

    Parameters
    ----------
    parameters : Parameters
        Updated in place.
    scale : float
        Factor on the loss.
    """

    def __init__(self, parameters: Parameters, scale: float, pool: Pool) -> None:
        weights, (outputs, width) = parameters.weights, parameters.weights.shape
        self._parameters, self._scale, self._pool = parameters, scale, pool
        self._kernels = kernels_for(parameters.dtype)
        self._bounds = shard_bounds(outputs)
        self._shards = len(self._bounds) - 1
        self._parallel = pool.threads > 1 and self._shards > 1 and weights.nbytes >= PARALLEL_BYTES
        self._tiling = tiling(outputs, weights.strides[0], _kernels.LEVEL2_BYTES)
        self._scratch = scratch = RowScratch(outputs, width, self._shards, parameters.dtype)
        self._row_trainer = self._kernels.row_trainer(
            parameters.embedding, weights, parameters.bias, self._bounds, *self._tiling, scale, scratch
        )

    def probabilities(self, i: int | Bags) -> NDArray[Any]:
        """Return softmax(h @ linear + bias), (V,); h is embedding[i], or the sum of one bag."""
        self._load(i)
        weights, bias, logits = self._parameters.weights, self._parameters.bias, np.empty_like(self._scratch.logits)
        self._over_shards(
            lambda first, last: self._kernels.matvec(weights, self._scratch.h, bias, self._bounds, first, last, logits)
        )
        self._check_finite(self._kernels.softmax(logits), i)
        return logits

    def loss(self, i: int | Bags, target: Targets) -> float:
        """Return the loss of one example."""
        loss, _ = self._pass(i, target, gradient=False, keep_logits=False)
        return self._check_finite(loss, i)

    def gradient(self, i: int | Bags, target: Targets) -> NDArray[Any]:
        """Return the gradient of the loss with respect to embedding[i], or to the sum of one bag, (D,)."""
        loss, _ = self._pass(i, target, gradient=True, keep_logits=False)
        self._check_finite(loss, i)
        with np.errstate(over="ignore"):
            gradient = self._scratch.gradient[: self._parameters.dim].astype(self._parameters.dtype)
        if not np.isfinite(gradient).all():
            raise FloatingPointError(
                f"the gradient of {_named(i)} overflows {gradient.dtype}: the parameters are too large"
            )
        return gradient

    def output_gradient(self, i: int | Bags, target: Targets) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the input h (D,), and the gradient of the loss with respect to the logits, (V,)."""
        p = self._parameters
        gradient = target.amounts.sum() * self.probabilities(i).astype(np.float64)
        np.subtract.at(gradient, target.columns, target.amounts)
        return self._scratch.h[: p.dim].astype(p.dtype), (self._scale * gradient).astype(p.dtype)

    def step(self, lock: RLock, i: int, output: int, rate: float, update_linear: bool) -> float:
        """Step on one example, whose target is one output, holding the lock; return the loss before the step."""
        if self._parallel:
            with lock, DefaultFloatMode():
                return self.step_on(i, Targets.one_hot([output]), rate, update_linear)
        loss: float = self._row_trainer.step(lock, i, output, rate, update_linear)
        if not isfinite(loss):
            with lock:
                self._raise_overflow(i, Targets.one_hot([output]))
        return loss

    def step_on(self, i: int | Bags, target: Targets, rate: float, update_linear: bool) -> float:
        """Step on one example, whose target is a row of weights; return the loss before the step."""
        inputs = i if isinstance(i, Bags) else np.array([i], dtype=np.intp)
        return float(self.train(inputs, target, rate, update_linear, 1)[0])

    def train(self, inputs: Inputs, targets: Targets, rate: float, update_linear: bool, epochs: int) -> Float64:
        """Step on the examples in their order, `epochs` times; return the mean loss of each epoch, (epochs,)."""
        sums, steps = np.zeros(epochs), epochs * len(inputs)
        steps_per_call = max(1, MULTIPLICATIONS // (self._parameters.weights.size + STEP_OVERHEAD))
        for begin in range(0, steps, steps_per_call):
            end = min(begin + steps_per_call, steps)
            if self._parallel:
                stop = self._train_in_parallel(inputs, targets, range(begin, end), rate, update_linear, sums)
            else:
                stop = self._row_trainer.train(inputs, *targets, begin, end, rate, update_linear, sums)
            if stop < end:
                n = stop % len(inputs)
                self._raise_overflow(one(inputs, n), targets.row(n))
        return sums / len(inputs)

    def _train_in_parallel(
        self, inputs: Inputs, targets: Targets, steps: range, rate: float, update_linear: bool, sums: Float64
    ) -> int:
        """Train as RowTrainer.train of the kernels, with the same bits, on several threads per step."""
        for step in steps:
            epoch, n = divmod(step, len(inputs))
            i, target = one(inputs, n), targets.row(n)
            loss, normaliser = self._pass(i, target, gradient=True, keep_logits=update_linear)
            linear_rate = rate * self._scale if update_linear else 0.0
            if not isfinite(loss) or not self._update(i, target, rate, linear_rate):
                return step
            if update_linear:
                self._update_linear(target, normaliser, linear_rate)
            sums[epoch] += loss
        return steps.stop

    def _update(self, i: int | Bags, target: Targets, rate: float, linear_rate: float) -> bool:
        """Update the rows of the input with the gradient of the last pass; return whether the result is finite."""
        embedding, scratch = self._parameters.embedding, self._scratch
        if isinstance(i, Bags):
            entries = slice(i.starts[0], i.starts[1])
            ids, weights = i.ids[entries], i.weights[entries]
        else:
            ids, weights = np.array([i], np.int32), np.ones(1, embedding.dtype)
        args = ids, weights, scratch.h, scratch.gradient, target.amounts, rate, linear_rate
        return bool(self._kernels.bag_descend(embedding, *args))

    def _pass(self, i: int | Bags, target: Targets, *, gradient: bool, keep_logits: bool) -> tuple[float, float]:
        """Return the loss and logsumexp of one example; leave its gradient and logits in the workspace."""
        self._load(i)
        weights, bias = self._parameters.weights, self._parameters.bias
        logits = self._scratch.logits if keep_logits else None
        expected, observed = (self._scratch.expected, self._scratch.observed) if gradient else (None, None)

        def pass_shards(first: int, last: int) -> None:
            self._kernels.row_pass(
                weights, self._scratch.h, bias, self._bounds, first, last, target.columns, target.amounts,
                logits, self._scratch.partials, expected, observed, *self._tiling,
            )  # fmt: skip

        self._over_shards(pass_shards)
        merged: tuple[float, float] = self._kernels.row_merge(
            self._scratch.partials, expected, observed, target.amounts, self._scale, self._scratch.gradient
        )
        return merged

    def _update_linear(self, target: Targets, normaliser: float, rate: float) -> None:
        """Update the linear layer, with the logits of the last pass."""
        weights = self._parameters.weights

        def update_shards(first: int, last: int) -> None:
            self._kernels.row_update_linear(
                weights, self._scratch.h, self._scratch.logits, self._bounds, first, last, target.columns,
                target.amounts, self._scratch.partials, normaliser, rate,
            )  # fmt: skip

        self._over_shards(update_shards)

    def _load(self, i: int | Bags) -> None:
        embedding, h = self._parameters.embedding, self._scratch.h
        if isinstance(i, Bags):
            self._kernels.bag_gather(embedding, i.starts, i.ids, i.weights, FIRST, 0, 1, h[None])
        else:
            h[: self._parameters.dim] = embedding[i]

    def _over_shards(self, task: Callable[[int, int], object]) -> None:
        """Call ``task(first, last)`` for groups of shards that together cover all shards."""
        if not self._parallel:
            task(0, self._shards)
            return
        groups = min(self._shards, GROUPS_PER_THREAD * self._pool.threads)
        ends = [g * self._shards // groups for g in range(groups + 1)]
        self._pool.run(lambda g: task(ends[g], ends[g + 1]), groups)

    def _raise_overflow(self, i: int | Bags, target: Targets) -> NoReturn:
        """Raise the error for an example on which no step could be made."""
        self.loss(i, target)
        dtype = self._parameters.dtype
        raise FloatingPointError(f"a step on {_named(i)} would overflow {dtype}: lower the learning rate or parameters")

    def _check_finite(self, loss: float, i: int | Bags) -> float:
        if not isfinite(loss):
            what = f"the loss of {_named(i)} is {loss}: it or its logits overflow {self._parameters.dtype}"
            raise FloatingPointError(f"{what}; lower the learning rate or parameters")
        return loss


def _named(i: int | Bags) -> str:
    """Return the name of an input in errors."""
    return f"a bag of {i.starts[1] - i.starts[0]} ids" if isinstance(i, Bags) else f"input {i}"


# ---------------------------------------------------------------- probabilities of many inputs


def probabilities(parameters: Parameters, inputs: Inputs, pool: Pool) -> NDArray[Any]:
    """Return softmax(H @ linear + bias), (N, V), in the dtype of the parameters; H is embedding[inputs], or bags' sums.

    Raises
    ------
    FloatingPointError
        If a logit overflows.
    """
    softmax, bounds = kernels_for(parameters.dtype).softmax, shard_bounds(parameters.outputs)
    h, bias = _hidden(parameters, inputs, pool), parameters.bias
    weights = parameters.weights[:, : parameters.dim]
    p = np.empty((len(inputs), parameters.outputs), parameters.dtype)
    finite = np.empty(len(inputs), bool)

    def multiply(shard: int) -> None:
        part = slice(bounds[shard], bounds[shard + 1])
        with np.errstate(over="ignore", invalid="ignore"):
            logits = np.matmul(h, weights[part].T, out=p[:, part])
            if bias is not None:
                logits += bias[part]

    def normalise(task: int) -> None:
        for n in range(task * ROWS_PER_TASK, min((task + 1) * ROWS_PER_TASK, len(p))):
            finite[n] = np.isfinite(softmax(p[n]))

    with SingleThreadedBlas():
        pool.run(multiply, len(bounds) - 1)
    pool.run(normalise, -(-len(p) // ROWS_PER_TASK))
    if not finite.all():
        raise FloatingPointError(
            f"the logits of example {int(np.argmin(finite))} overflow {parameters.dtype}: the parameters are too large"
        )
    return p


def _hidden(parameters: Parameters, inputs: Inputs, pool: Pool) -> NDArray[Any]:
    """Return H, (N, D)."""
    if not isinstance(inputs, Bags):
        return parameters.embedding[inputs]
    h = np.empty((len(inputs), parameters.dim), parameters.dtype)
    gather, every = kernels_for(parameters.dtype).bag_gather, np.arange(len(inputs))

    def task(number: int) -> None:
        first, last = number * ROWS_PER_TASK, min((number + 1) * ROWS_PER_TASK, len(inputs))
        gather(parameters.embedding, inputs.starts, inputs.ids, inputs.weights, every, first, last, h)

    pool.run(task, -(-len(inputs) // ROWS_PER_TASK))
    return h


def most_probable(
    parameters: Parameters, inputs: Inputs, topn: int, pool: Pool
) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Return the most probable outputs of each input and their probabilities, (N, topn) each.

    Probabilities descend; ties are in the order of the outputs. If `topn` is larger than V, there are V columns.
    """
    topn = min(topn, parameters.outputs)
    outputs = np.empty((len(inputs), topn), np.intp)
    p = np.empty((len(inputs), topn), parameters.dtype)
    size = max(1, BATCH_LOGITS // parameters.outputs)
    for begin in range(0, len(inputs), size):
        end = min(begin + size, len(inputs))
        part = inputs.part(begin, end) if isinstance(inputs, Bags) else inputs[begin:end]
        block = probabilities(parameters, part, pool)
        for n, row in enumerate(block, begin):
            outputs[n] = largest(row, topn)
            p[n] = row[outputs[n]]
    return outputs, p
