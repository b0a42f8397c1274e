"""How scores of labels become probabilities: calibration to logits, and the likelihood of labels for these."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

LOSSES = ("squared", "ova", "softmax")
FIRST = {"ova": (1.0, 0.0), "squared": (2.0, -6.0), "softmax": (1.0, 0.0)}  # prior slope, and initial offset
BEND = 0.06  # the best of 0.01, 0.03, 0.06 and 0.1 by held-out nll on six sets together
ROUNDS = 30

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """The logits x = slope * g(score) + offset of labels (Platt 1999), and their probabilities.

    Scores of the loss "squared" are approximate probabilities; large ones are too small, since L2 shrinks them. Here
    g(s) = asinh(s / BEND), which is linear for small scores and logarithmic for large ones, as are the measured logits.
    Other scores are logits already: g(s) = s.

    If documents may have several labels, labels are independent: p_l = sigmoid(x_l), and the nll of a document is
    sum_l log(1 + exp(x_l)) - y_l x_l, where y_l is 1 or 0. If each has one label, or with the loss "softmax",
    p = softmax(x), and the nll is -sum_l y_l log p_l, where y_l is the share of each of its labels.

    Attributes
    ----------
    loss : {"squared", "ova", "softmax"}
    several : bool
        Whether documents may have several labels.
    slope, offset : float
    """

    loss: str
    several: bool
    slope: float
    offset: float

    @property
    def independent(self) -> bool:
        """Whether the probabilities of labels are independent; otherwise they sum to 1."""
        return self.loss != "softmax" and self.several

    def bent(self, scores: Array) -> Array:
        """Return g of scores."""
        return np.arcsinh(scores / scores.dtype.type(BEND)) if self.loss == "squared" else scores

    def logits(self, scores: Array) -> Array:
        """Return the logits of scores, in the dtype of the scores.

        Examples
        --------
        >>> Calibration("ova", False, 2.0, 1.0).logits(np.array([0.5]))
        array([2.])
        """
        logits: Array = self.bent(scores) * scores.dtype.type(self.slope) + scores.dtype.type(self.offset)
        return logits

    def prior(self, shares: Float64) -> npt.NDArray[np.float32]:
        """Return the logits (L,) whose probabilities are the shares of the labels, which must be above 0.

        Examples
        --------
        >>> np.exp(Calibration("ova", True, 1.0, 0.0).prior(np.array([0.5, 0.25]))).round(4)
        array([1.    , 0.3333], dtype=float32)
        """
        logits = np.log(shares / (1 - shares)) if self.independent else np.log(shares)
        prior: npt.NDArray[np.float32] = logits.astype(np.float32)
        return prior

    def probabilities(self, logits: Array) -> Array:
        """Return the probabilities (N, L); the logits are overwritten.

        Examples
        --------
        >>> Calibration("ova", True, 1.0, 0.0).probabilities(np.log([[1.0, 3.0]]))
        array([[0.5 , 0.75]])
        >>> Calibration("ova", False, 1.0, 0.0).probabilities(np.log([[1.0, 3.0]]))
        array([[0.25, 0.75]])
        """
        if self.independent:  # sigmoid(x) = exp(-log(1 + exp(-x)))
            np.logaddexp(0, np.negative(logits, out=logits), out=logits)
            np.exp(np.negative(logits, out=logits), out=logits)
            return logits
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits

    def nll(self, logits: Array, labels: Any) -> Float64:
        """Return the negative log-likelihood of the labels of each document (N,), in nats.

        Parameters
        ----------
        logits : ndarray (N, L)
        labels : csr_array (N, L)
            1 where a document has a label. Without one the nll is 0 unless labels are independent.

        Examples
        --------
        >>> from scipy.sparse import csr_array
        >>> Calibration("softmax", True, 1.0, 0.0).nll(np.log([[1.0, 2.0, 1.0]]), csr_array([[1, 0, 1]])).round(4)
        array([1.3863])
        """
        x = logits.astype(np.float64)
        sums = np.asarray(labels.multiply(x).sum(axis=1)).ravel()
        if self.independent:
            return np.asarray(np.logaddexp(0, x).sum(axis=1) - sums)
        sizes = np.diff(labels.indptr)
        return np.where(sizes > 0, np.logaddexp.reduce(x, axis=1) - sums / np.maximum(sizes, 1), 0.0)

    def fitted(self, scores: Array, labels: Any, weights: Float64) -> Calibration:
        """Return the slope and the offset of maximum likelihood, found by Newton's method with step halving.

        The slope is exp(t). The prior (t - t0)^2 / 2 is added to the nll, so that a few documents do not determine it;
        t0 is that of this calibration, where Newton's method starts. The offset is 0 if the softmax does not depend
        on it.

        Parameters
        ----------
        scores : ndarray (N, L)
            The scores of documents that the weights were not trained on.
        labels : csr_array (N, L)
            1 where a document has a label.
        weights : ndarray of float64 (N,)
        """
        s, y = self.bent(scores.astype(np.float64)), labels.toarray()
        if not self.independent:
            y /= np.maximum(y.sum(axis=1, keepdims=True), 1)
        first = math.log(self.slope)
        at = np.array([first, self.offset if self.independent else 0.0])
        value, gradient, hessian = _nll(at, s, y, weights, self.independent, first)
        for _ in range(ROUNDS):
            step = np.linalg.solve(hessian, gradient)
            while np.abs(step).max() > 1e-6:
                tried = _nll(at - step, s, y, weights, self.independent, first)
                if tried[0] < value:
                    break
                step /= 2
            else:
                break
            at = at - step
            value, gradient, hessian = tried
        return replace(self, slope=math.exp(at[0]), offset=float(at[1]))


def _nll(
    at: Array, s: Array, y: Array, weights: Array, independent: bool, first: float
) -> tuple[float, Float64, Float64]:
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
