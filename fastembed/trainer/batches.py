"""The probabilities of all outputs for many inputs: matrix products over the shards of the linear layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import largest
from fastembed._base.memory import check_free
from fastembed._base.sizes import SIZES
from fastembed._base.threads import Pool, single_threaded_blas
from fastembed._kernels import kernels_for
from fastembed.counts.groups import shard_bounds
from fastembed.trainer.inputs import Bags, Inputs, one
from fastembed.trainer.parameters import Parameters
from fastembed.trainer.rows import RowSteps

FEW_INPUTS = 8  # up to this number, the kernel for one example is at least as fast as a matrix product
ROWS_PER_TASK = 16  # rows per task of the softmax


def forward(parameters: Parameters, inputs: Inputs, pool: Pool, rows: RowSteps) -> NDArray[Any]:
    """Return `probabilities`; a few inputs are computed one by one."""
    if len(inputs) <= FEW_INPUTS:
        return np.stack([rows.probabilities(one(inputs, n)) for n in range(len(inputs))])
    return probabilities(parameters, inputs, pool)


def probabilities(parameters: Parameters, inputs: Inputs, pool: Pool) -> NDArray[Any]:
    """Return softmax(H @ linear + bias), (N, V), in the dtype of the parameters; H is embedding[inputs], or bags' sums.

    Raises
    ------
    FloatingPointError
        If a logit overflows.
    MemoryError
        If the result needs more memory than is free.
    """
    check_free(
        len(inputs) * parameters.outputs * parameters.dtype.itemsize,
        f"an answer of {parameters.outputs:,} probabilities for each of {len(inputs):,} inputs",
        "ask for fewer inputs, or for the most probable outputs with predict",
    )
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

    with single_threaded_blas():
        pool.run(multiply, len(bounds) - 1)
    pool.run(normalise, -(-len(p) // ROWS_PER_TASK))
    if not finite.all():
        n = int(np.argmin(finite))
        which = f"bag {n}" if isinstance(inputs, Bags) else f"input {int(inputs[n])}"
        raise FloatingPointError(
            f"a logit of {which} overflows {parameters.dtype}: the parameters are too large, or the learning rate was"
        )
    return p


def _hidden(parameters: Parameters, inputs: Inputs, pool: Pool) -> NDArray[Any]:
    """Return H, (N, D)."""
    if not isinstance(inputs, Bags):
        rows: NDArray[Any] = parameters.embedding[inputs]
        return rows
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
    check_free(
        len(inputs) * topn * (8 + parameters.dtype.itemsize),
        f"an answer of {topn:,} outputs for each of {len(inputs):,} inputs",
        "ask for fewer of them, or in parts",
    )
    outputs = np.empty((len(inputs), topn), np.intp)
    p = np.empty((len(inputs), topn), parameters.dtype)
    size = max(1, SIZES.batch_logits // parameters.outputs)
    for begin in range(0, len(inputs), size):
        end = min(begin + size, len(inputs))
        part = inputs.part(begin, end) if isinstance(inputs, Bags) else inputs[begin:end]
        block = probabilities(parameters, part, pool)
        for n, row in enumerate(block, begin):
            outputs[n] = largest(row, topn)
            p[n] = row[outputs[n]]
    return outputs, p
