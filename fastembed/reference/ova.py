"""One-versus-all training: twins of ``ova.pxi``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fastembed.reference.arrays import Array, Real


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)).

    Examples
    --------
    >>> sigmoid(np.array([0.0, np.log(3), -1e4]))
    array([0.5 , 0.75, 0.  ])
    """
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e))


def ova_loss(x: Array, y: Array) -> float:
    """Return the sum of log(1 + exp(x)) - y x: the cross-entropy of one sigmoid per label.

    Examples
    --------
    >>> round(ova_loss(np.array([0.0, 1e4]), np.array([1.0, 0.0])) - 1e4, 4)
    0.6931
    """
    return float((np.logaddexp(0, x) - y * x).sum())


def ova_gradient(x: Array, y: Array) -> Array:
    """Return dL/dx = sigmoid(x) - y of `ova_loss`.

    Examples
    --------
    >>> ova_gradient(np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    array([-0.5,  0.5])
    """
    return sigmoid(x) - y


def ova_epoch(
    bags: Real,
    targets: Real,
    costs: Real,
    bias: Real,
    rows: Real,
    dual: Real,
    order: Iterable[int],
    squared: bool = False,
) -> tuple[Array, Array, float, float]:
    """Return rows and dual after an epoch of dual coordinate ascent, the loss before the steps, the change of dual.

    Parameters
    ----------
    bags : array_like (N, F)
    targets : array_like (N, L)
        1 where a document has a label, else 0.
    costs : array_like (N,)
        C_i, the weights of the losses of the documents.
    bias : array_like (L,)
    rows : array_like (F, L)
        The weights: their initial values plus the sum of dual_i x_i.
    dual : array_like (N, L)
    order : iterable of int
        The documents, in the order of their steps.
    squared : bool
        Whether the loss is (y - x)^2 / 2, with x in place of sigmoid(x).

    Examples
    --------
    At the minimum the residual C (y - sigmoid(x)) is the dual, and no step moves anything:

    >>> rows, dual = [[0.0]], [[0.0]]
    >>> for _ in range(20):
    ...     rows, dual, loss, moved = ova_epoch([[1.0]], [[1.0]], [2.0], [0.0], rows, dual, [0])
    >>> round(moved, 12), bool(np.isclose(rows[0, 0], 2 * (1 - sigmoid(rows[0, 0]))))
    (0.0, True)
    """
    x, y, c = (np.asarray(a, np.float64) for a in (bags, targets, costs))
    w, a, b = np.array(rows, np.float64), np.array(dual, np.float64), np.asarray(bias, np.float64)
    loss = distance = 0.0
    for i in order:
        square, m = x[i] @ x[i], x[i] @ w + b
        if squared:
            loss += c[i] * float(((y[i] - m) ** 2).sum()) / 2
            change = c[i] * (y[i] - (m + square * (c[i] * y[i] - a[i])) / (1 + square * c[i])) - a[i]
        else:
            loss += c[i] * ova_loss(m, y[i])
            z = m
            for step in range(4):
                p = sigmoid(z)
                z = z - (z - m - square * (c[i] * (y[i] - p) - a[i])) / (1 + square * c[i] * p * (1 - p))
                if step == 0:
                    z = np.where(z * m > 0, z, 0)
            change = c[i] * (y[i] - sigmoid(z)) - a[i]
        a[i] += change
        w += np.outer(x[i], change)
        distance += float(np.abs(change).sum())
    return w, a, loss, distance
