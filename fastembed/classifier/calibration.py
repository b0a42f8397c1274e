"""Calibration of scores to logits, by the slope and offset that maximise the likelihood of left-out documents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed.classifier.likelihood import Likelihood

FIRST = {"ova": (1.0, 0.0), "squared": (2.0, -6.0)}  # prior slope, with the weight of one document, and initial offset
BEND = 0.06  # the best of 0.01, 0.03, 0.06 and 0.1 by held-out nll on six sets together
ROUNDS = 30

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Calibration:
    """The logits slope * g(score) + offset (Platt 1999).

    Scores of the loss "squared" are approximate probabilities; large ones are too small, since L2 shrinks them. Here
    g(s) = asinh(s / BEND), which is linear for small scores and logarithmic for large ones, as are the measured logits.
    Other scores are logits already: g(s) = s.

    Attributes
    ----------
    loss : str
    slope, offset : float
    """

    loss: str
    slope: float = 1.0
    offset: float = 0.0

    def logits(self, scores: Array) -> Array:
        """Return the logits of scores, in the dtype of the scores.

        Examples
        --------
        >>> Calibration("ova", 2.0, 1.0).logits(np.array([0.5]))
        array([2.])
        """
        logits: Array = bent(scores, self.loss) * scores.dtype.type(self.slope) + scores.dtype.type(self.offset)
        return logits


def bent(scores: Array, loss: str) -> Array:
    """Return g of scores."""
    return np.arcsinh(scores / scores.dtype.type(BEND)) if loss == "squared" else scores


def calibrated(
    scores: Array,
    labels: Any,
    weights: npt.NDArray[np.float64],
    likelihood: Likelihood,
    known: Calibration | None = None,
) -> Calibration:
    """Return the slope and the offset of maximum likelihood, found by Newton's method with step halving.

    The slope is exp(t). The prior (t - t0)^2 / 2 is added to the nll, so that a few documents do not determine it. The
    offset is 0 if the softmax does not depend on it.

    Parameters
    ----------
    scores : ndarray (N, L)
        The scores of documents that the weights were not trained on.
    labels : csr_array (N, L)
        1 where a document has a label.
    weights : ndarray of float64 (N,)
    likelihood : Likelihood
    known : Calibration, optional
        The calibration of t0, where Newton's method starts; by default `FIRST`.
    """
    s, y = bent(scores.astype(np.float64), likelihood.loss), labels.toarray()
    if not likelihood.independent:
        y /= np.maximum(y.sum(axis=1, keepdims=True), 1)
    start = known or Calibration(likelihood.loss, *FIRST[likelihood.loss])
    first = math.log(start.slope)
    at = np.array([first, start.offset if likelihood.independent else 0.0])
    value, gradient, hessian = _nll(at, s, y, weights, likelihood.independent, first)
    for _ in range(ROUNDS):
        step = np.linalg.solve(hessian, gradient)
        while np.abs(step).max() > 1e-6:
            tried = _nll(at - step, s, y, weights, likelihood.independent, first)
            if tried[0] < value:
                break
            step /= 2
        else:
            break
        at = at - step
        value, gradient, hessian = tried
    return Calibration(likelihood.loss, math.exp(at[0]), float(at[1]))


def _nll(
    at: Array, s: Array, y: Array, weights: Array, independent: bool, first: float
) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the nll, its gradient by t and the offset, and a positive definite part of its Hessian (Gauss-Newton)."""
    slope, w = math.exp(at[0]), weights[:, None]
    x = slope * s
    gradient, hessian = np.zeros(2), np.diag([1.0, 1e-9])
    if independent:
        x += at[1]
        e = np.exp(-np.abs(x))
        losses = (np.log1p(e) + np.maximum(x, 0) - y * x).sum(axis=1)
        p = np.where(x >= 0, 1, e) / (1 + e)
        residual, curvature, by_t = w * (p - y), w * p * (1 - p), slope * s
        gradient[:] = (residual * by_t).sum(), residual.sum()
        mixed = (curvature * by_t).sum()
        hessian += [[(curvature * by_t**2).sum(), mixed], [mixed, curvature.sum()]]
    else:
        largest = x.max(axis=1, keepdims=True)
        p = np.exp(x - largest)
        sums = p.sum(axis=1, keepdims=True)
        p /= sums
        losses = (np.log(sums) + largest)[:, 0] * y.sum(axis=1) - (y * x).sum(axis=1)
        mean = (p * x).sum(axis=1, keepdims=True)
        gradient[0] = (w * (p * y.sum(axis=1, keepdims=True) - y) * x).sum()
        hessian[0, 0] += (w * p * (x - mean) ** 2).sum()
    gradient[0] += at[0] - first
    return float(weights @ losses) + (at[0] - first) ** 2 / 2, gradient, hessian
