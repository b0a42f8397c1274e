"""One example: its logits, their softmax, the loss and its gradients, and steps: twins of ``row.pxi``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastembed.reference.arrays import Array, Real


def matvec(h: Real, linear: Real, bias: Real | None = None) -> Array:
    """Return the logits x = h @ linear + bias, (V,), or (B, V) for the rows of a block.

    Examples
    --------
    >>> matvec([1.0, 2.0], [[1.0, 0.0], [0.0, 3.0]], [0.0, 1.0])
    array([1., 7.])
    """
    product = np.asarray(h, np.float64) @ np.asarray(linear, np.float64)
    return product if bias is None else product + np.asarray(bias, np.float64)


def logsumexp(x: Array) -> Array:
    """Return max(x) + log(sum(exp(x - max(x)))) along the last axis.

    Examples
    --------
    >>> logsumexp(np.array([[1e4, 1e4], [0.0, -np.inf]])) - [1e4 + np.log(2), 0]
    array([0., 0.])
    """
    largest = x.max(axis=-1, keepdims=True)
    return np.asarray((largest + np.log(np.exp(x - largest).sum(axis=-1, keepdims=True)))[..., 0])


def softmax(x: Array) -> Array:
    """Return exp(x - logsumexp(x)) along the last axis.

    Examples
    --------
    >>> softmax(np.log([1.0, 3.0]))
    array([0.25, 0.75])
    """
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def target_row(target: int | Real, outputs: int) -> Array:
    """Return y, (V,): one-hot for an id; weights are returned unchanged.

    Examples
    --------
    >>> target_row(1, 3)
    array([0., 1., 0.])
    """
    if np.ndim(target) == 0:
        return np.asarray(np.arange(outputs) == target, np.float64)
    return np.asarray(target, np.float64)


def loss(x: Array, y: Array, scale: float) -> float:
    """Return -scale * y @ log softmax(x), without the logarithm of a probability that may be 0.

    Examples
    --------
    >>> loss(np.array([0.0, 1e4]), np.array([1.0, 0.0]), scale=0.5)
    5000.0
    """
    return float(scale * (y.sum() * logsumexp(x) - y @ x))


def logits_gradient(x: Array, y: Array, scale: float) -> Array:
    """Return dL/dx = scale * (sum(y) * softmax(x) - y), (V,).

    Examples
    --------
    >>> logits_gradient(np.zeros(2), np.array([0.0, 1.0]), scale=1)
    array([ 0.5, -0.5])
    """
    return np.asarray(scale * (y.sum() * softmax(x) - y))


def gradient(h: Real, linear: Real, y: Array, scale: float, bias: Real | None = None) -> Array:
    """Return dL/dh = linear @ dL/dx, (D,).

    Examples
    --------
    >>> gradient([0.0], [[1.0, -1.0]], np.array([1.0, 0.0]), scale=1)
    array([-1.])
    """
    return np.asarray(linear, np.float64) @ logits_gradient(matvec(h, linear, bias), y, scale)


def linear_gradient(h: Real, linear: Real, y: Array, scale: float, bias: Real | None = None) -> Array:
    """Return dL/dW = outer(h, dL/dx), (D, V).

    Examples
    --------
    >>> linear_gradient([2.0], [[0.0, 0.0]], np.array([1.0, 0.0]), scale=1)
    array([[-1.,  1.]])
    """
    return np.outer(np.asarray(h, np.float64), logits_gradient(matvec(h, linear, bias), y, scale))


def statistics(x: Array, y: Array) -> Array:
    """Return (max, sum of exp(x - max), y @ x) of the logits of one shard, for the merge.

    Examples
    --------
    >>> statistics(np.array([0.0, 0.0]), np.array([0.0, 3.0]))
    array([0., 2., 0.])
    """
    return np.array([x.max(), np.exp(x - x.max()).sum(), y @ x])


def merge(partials: Array, total_target: float, scale: float) -> tuple[float, float]:
    """Return (loss, logsumexp) from the statistics (S, 3) of the shards.

    Examples
    --------
    >>> merge(np.array([[0.0, 1.0, 0.0], [0.0, 3.0, 0.0]]), total_target=1, scale=1) == (np.log(4), np.log(4))
    True
    """
    maxima, totals, target_logits = partials.T
    log_normaliser = float(logsumexp(maxima + np.log(totals)))
    return scale * (total_target * log_normaliser - float(target_logits.sum())), log_normaliser


def train(
    embedding: Real,
    linear: Real,
    inputs: Sequence[int],
    targets: Sequence[int | Real] | Array,
    *,
    bias: Real | None = None,
    scale: float | None = None,
    learning_rate: float = 1.0,
    update_linear: bool = False,
) -> tuple[Array, Array, Array]:
    """Make one step per example, in the order of the examples.

    Parameters
    ----------
    embedding, linear, bias : array_like (V_in, D), (D, V), (V,)
    inputs, targets : sequence (N,)
        A target is an id or a row of weights (V,).
    scale : float, optional
        1 / V by default.
    learning_rate, update_linear
        As for `fastembed.Trainer.step`.

    Returns
    -------
    losses : ndarray (N,)
        The loss of each example before its step.
    embedding, linear : ndarray (V_in, D), (D, V)

    Examples
    --------
    >>> losses, embedding, linear = train([[0.0]], [[1.0, -1.0]], inputs=[0], targets=[1], scale=1)
    >>> losses, embedding, linear
    (array([0.69314718]), array([[-1.]]), array([[ 1., -1.]]))
    """
    embedding, linear = np.array(embedding, np.float64), np.array(linear, np.float64)
    outputs = linear.shape[1]
    scale = 1 / outputs if scale is None else scale
    losses = np.empty(len(inputs))
    for n, (i, target) in enumerate(zip(inputs, targets, strict=True)):
        h, y = embedding[i].copy(), target_row(target, outputs)
        losses[n] = loss(matvec(h, linear, bias), y, scale)
        embedding[i] -= learning_rate * gradient(h, linear, y, scale, bias)
        if update_linear:
            linear -= learning_rate * linear_gradient(h, linear, y, scale, bias)
    return losses, embedding, linear


def step(
    embedding: Real,
    linear: Real,
    i: int,
    target: int | Real,
    *,
    bias: Real | None = None,
    scale: float | None = None,
    learning_rate: float = 1.0,
    update_linear: bool = False,
) -> tuple[float, Array, Array]:
    """Return (loss before the step, embedding, linear) after one step; see `train`.

    Examples
    --------
    >>> step([[0.0]], [[1.0, -1.0]], 0, 1, scale=1)[1]
    array([[-1.]])
    """
    losses, new_embedding, new_linear = train(
        embedding,
        linear,
        [i],
        [target],
        bias=bias,
        scale=scale,
        learning_rate=learning_rate,
        update_linear=update_linear,
    )
    return float(losses[0]), new_embedding, new_linear
