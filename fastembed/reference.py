"""One example and a block of examples against a linear layer, in NumPy: a readable form of what the kernels compute.

The code follows ``docs/derivation.md`` line by line, in the same symbols, in float64, without regard to memory. The
parameters may have any real dtype, and do not change; the results are new float64 arrays. Matrices have the
mathematical shapes: the linear layer is (D, V), the target ``y`` of an example is a dense row (V,), and bags are a
dense matrix. The tests compare the kernels with this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Real = npt.ArrayLike
Ids = npt.NDArray[np.integer]

__all__ = [
    "block_loss",
    "block_residual",
    "fit_counts",
    "gather",
    "gradient",
    "linear_gradient",
    "logits_gradient",
    "logsumexp",
    "loss",
    "matvec",
    "momentum_adagrad",
    "scatter",
    "softmax",
    "step",
    "target_row",
    "train",
]

# ---------------------------------------------------------------- one example


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


def step(embedding: Real, linear: Real, i: int, target: int | Real, **options: Any) -> tuple[float, Array, Array]:
    """Return (loss before the step, embedding, linear) after one step; `train` describes the options.

    Examples
    --------
    >>> step([[0.0]], [[1.0, -1.0]], 0, 1, scale=1)[1]
    array([[-1.]])
    """
    losses, new_embedding, new_linear = train(embedding, linear, [i], [target], **options)
    return float(losses[0]), new_embedding, new_linear


# ---------------------------------------------------------------- a block of rows, or of bags, against their counts


def block_loss(x: Array, counts: Array) -> float:
    """Return the negative log-likelihood of the counts (B, V) under the logits (B, V), in nats.

    Examples
    --------
    >>> round(block_loss(np.zeros((1, 2)), np.array([[1.0, 2.0]])), 6)  # 3 log 2
    2.079442
    """
    return float(counts.sum(axis=1) @ logsumexp(x) - (counts * x).sum())


def block_residual(x: Array, counts: Array) -> Array:
    """Return softmax(x) - counts / (sum of each row), (B, V).

    Examples
    --------
    >>> block_residual(np.zeros((1, 2)), np.array([[1.0, 3.0]]))
    array([[ 0.25, -0.25]])
    """
    return np.asarray(softmax(x) - counts / counts.sum(axis=1, keepdims=True))


def gather(bags: Real, embedding: Real) -> Array:
    """Return h_n = sum_f X_nf E_f for the weighted bags X (B, V_in), (B, D).

    Examples
    --------
    >>> gather([[1.0, 0.0, -2.0]], [[1.0, 1.0], [5.0, 5.0], [0.0, 3.0]])
    array([[ 1., -5.]])
    """
    return np.asarray(bags, np.float64) @ np.asarray(embedding, np.float64)


def scatter(bags: Real, h_gradients: Real) -> Array:
    """Return g_f = sum_n X_nf dL/dh_n, the gradients of the rows of the embedding, (V_in, D).

    Examples
    --------
    >>> scatter([[1.0, 0.0, -2.0], [1.0, 0.0, 0.0]], [[3.0], [4.0]])
    array([[ 7.],
           [ 0.],
           [-6.]])
    """
    return np.asarray(bags, np.float64).T @ np.asarray(h_gradients, np.float64)


def momentum_adagrad(
    parameters: Real, direction: Array, gradients: Array, squares: Array, rate: float | Array
) -> tuple[Array, Array]:
    """Return (parameters, squares) after a row-wise Adagrad step: G += g @ g, row -= rate * direction / sqrt(G).

    The gradients and the direction are (R, D); without momentum they are the same. `rate` may be an array (R,).

    Examples
    --------
    >>> momentum_adagrad([[1.0]], np.array([[1.0]]), np.array([[3.0]]), np.array([0.0]), rate=3)
    (array([[0.]]), array([9.]))
    """
    squares = squares + (gradients**2).sum(axis=1)
    rates = np.divide(rate, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)
    return np.asarray(parameters, np.float64) - rates[:, None] * direction, squares


def _epoch_order(visited: Ids, groups: int, rng: np.random.Generator) -> Ids:
    """Return the rows with counts in a random order, shuffled two groups at a time."""
    drawn = [g for g in rng.permutation(groups) if np.any(visited % groups == g)]
    pairs = [drawn[first : first + 2] for first in range(0, len(drawn), 2)]
    rows_of = [np.concatenate([visited[visited % groups == g] for g in pair]) for pair in pairs]
    return np.concatenate([rng.permutation(rows) for rows in rows_of])


def fit_counts(
    embedding: Real,
    linear: Real,
    counts: Array,
    *,
    bags: Array | None = None,
    bias: Real | None = None,
    epochs: int = 5,
    learning_rate: float = 0.7,
    linear_learning_rate: float = 1.0,
    block_size: int = 256,
    optimizer: str = "adagrad",
    l2: float = 0.0,
    linear_l2: float = 0.0,
    frozen_rows: Sequence[int] = (),
    row_rates: Real = 1.0,
    input_weights: Array | None = None,
    squares: tuple[Array, Array] | None = None,
    seed: int | np.random.Generator | None = 0,
    momentum: float = 0.9,
    weight_exponent: float = 0.75,
    final_rate: float = 0.1,
    group_rows: int = 4096,
) -> tuple[list[float], Array, Array]:
    """Fit all inputs to their counts, as `fastembed.Trainer.fit_counts` does with the same block size.

    Parameters
    ----------
    embedding, linear, bias : array_like (V_in, D), (D, V), (V,)
    counts : ndarray (N, V)
        A dense array.
    bags : ndarray (N, V_in), optional
        A dense array; the identity by default.
    epochs, learning_rate, linear_learning_rate, block_size, optimizer, l2, linear_l2, frozen_rows, row_rates
        As for `fastembed.Trainer.fit_counts`.
    input_weights, seed
        As for `fastembed.Trainer.fit_counts`.
    squares : ndarray (V_in,), ndarray (V,), optional
        Adagrad's sums for the rows of the embedding and of the linear layer, updated in place; zeros by default.
    momentum, weight_exponent, final_rate : float
        Constants of the method; see docs/derivation.md, section 5.
    group_rows : int
        The largest number of rows of a group; an epoch visits the groups in a random order, two at a time.

    Returns
    -------
    nlls : list of float
        The mean negative log-likelihood per pair of each epoch.
    embedding, linear : ndarray (V_in, D), (D, V)

    Examples
    --------
    >>> nlls, embedding, linear = fit_counts(np.eye(2), np.eye(2), np.array([[0.0, 4.0], [1.0, 0.0]]), epochs=30)
    >>> nlls[0] > 1 > nlls[-1]
    True
    """
    embedding, linear = np.array(embedding, np.float64), np.array(linear, np.float64)
    bags = np.eye(len(embedding)) if bags is None else np.asarray(bags, np.float64)
    rates = np.broadcast_to(np.asarray(row_rates, np.float64), len(embedding)).copy()
    rates[list(frozen_rows)] = 0
    row_squares, column_squares = squares or (np.zeros(len(embedding)), np.zeros(linear.shape[1]))
    mean_gradient = np.zeros_like(linear)
    totals = counts.sum(axis=1)
    visited = np.flatnonzero(totals)
    alpha = totals**weight_exponent if input_weights is None else input_weights / np.max(input_weights[visited])
    alpha = alpha / alpha[visited].mean()
    bag_weights = np.ones(len(counts)) if input_weights is None else alpha
    rng = np.random.default_rng(seed)
    blocks, groups = -(-len(visited) // block_size), -(-len(counts) // group_rows)
    nlls = []
    for epoch in range(epochs):
        order = _epoch_order(visited, groups, rng)
        nll = 0.0
        for block in range(blocks):
            rows = order[block * block_size : (block + 1) * block_size]
            t = epoch * blocks + block
            decay = 1 - (1 - final_rate) * t / (blocks * epochs)
            h = gather(bags[rows], embedding)
            x = matvec(h, linear, bias)
            nll += block_loss(x, counts[rows])
            residual = block_residual(x, counts[rows])
            h_gradient, w_gradient = residual @ linear.T, h.T @ (alpha[rows, None] * residual)
            named = np.flatnonzero(bags[rows].any(axis=0) & (rates > 0))
            g = scatter(bags[rows], bag_weights[rows, None] * h_gradient)[named]
            if optimizer == "sgd":
                embedding[named] -= decay * learning_rate * rates[named, None] * g
            else:
                embedding[named], row_squares[named] = momentum_adagrad(
                    embedding[named], g, g, row_squares[named], decay * learning_rate * rates[named]
                )
            mean_gradient = momentum * mean_gradient + (1 - momentum) * w_gradient
            direction = mean_gradient / (1 - momentum ** (t + 1))
            vectors, column_squares[:] = momentum_adagrad(
                linear.T, direction.T, w_gradient.T, column_squares, decay * linear_learning_rate
            )
            linear = vectors.T
        last = 1 - (1 - final_rate) * (epoch + 1) / epochs
        embedding *= np.exp(-l2 * last * learning_rate * rates)[:, None]
        shrunk: Array = linear * np.exp(-linear_l2 * last * linear_learning_rate)
        linear = shrunk
        nlls.append(nll / float(totals.sum()))
    return nlls, embedding, linear
