"""How scores of labels become probabilities: calibration to logits, and the likelihood of labels for these."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import Float64
from fastembed._base.threads import single_threaded_blas

LOSSES = ("squared", "ova", "softmax")
FIRST = {"ova": (1.0, 0.0, 0.0), "squared": (2.0, -6.0, 0.06), "softmax": (1.0, 0.0, 0.0)}  # slope, offset, bend
MOST_WEIGHT = 4  # largest weight of a document in a calibration over their median
MOST_LOGIT = 17.0  # its sigmoid is 1 in float32
SHIFT = 0.1  # standard deviation of the prior of the shift
FEW = 100  # documents; by fewer, a calibration must prove itself
FIRM = 800  # FIRM / n is added to the precision 1 of the priors, with n documents
MOST_EARLIER = 1000  # earlier documents, of which ten add 1 to it
MOST_DOCUMENTS = 4000  # evenly among all: they determine so few numbers well
CELLS = 4096
LONGEST = 4.0  # step of Newton's method
ROUNDS = 1000  # for a few documents that contradict the scores; a dozen for many

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Calibration:
    """The logits x = slope * g(score) + offset of labels (Platt 1999), and their probabilities.

    Scores of the loss "squared" are approximate probabilities; large ones are too small, since L2 shrinks them. Here
    g(s) = asinh((s - shift) / bend), which is linear near the shift and logarithmic for larger scores, as are the
    measured logits. Other scores are logits already: g(s) = s, and the bend is 0. The shift is 0, unless each document
    has one label; then the softmax does not depend on the offset.

    If documents may have several labels, labels are independent: p_l = sigmoid(x_l), and the nll of a document is
    sum_l log(1 + exp(x_l)) - y_l x_l, where y_l is 1 or 0. If each has one label, or with the loss "softmax",
    p = softmax(x), and the nll is -sum_l y_l log p_l, where y_l is the share of each of its labels.

    Attributes
    ----------
    loss : {"squared", "ova", "softmax"}
    several : bool
        Whether documents may have several labels.
    slope, offset, bend, shift : float
    """

    loss: str
    several: bool
    slope: float
    offset: float
    bend: float = 0.0
    shift: float = 0.0

    @property
    def independent(self) -> bool:
        """Whether the probabilities of labels are independent; otherwise they sum to 1."""
        return self.loss != "softmax" and self.several

    def logits(self, scores: Array) -> Array:
        """Return the logits of scores, in the dtype of the scores.

        Examples
        --------
        >>> Calibration("ova", False, 2.0, 1.0).logits(np.array([0.5]))
        array([2.])
        """
        kind = scores.dtype.type
        bent = np.arcsinh((scores - kind(self.shift)) / kind(self.bend)) if self.bend else scores
        logits: Array = bent * kind(self.slope) + kind(self.offset)
        return logits

    def prior(self, shares: Float64) -> npt.NDArray[np.float32]:
        """Return the logits (L,) whose probabilities are the shares of the labels.

        Unless labels are independent, a share of 0 becomes half of the smallest one.

        Examples
        --------
        >>> np.exp(Calibration("ova", True, 1.0, 0.0).prior(np.array([0.5, 0.25]))).round(4)
        array([1.    , 0.3333], dtype=float32)
        """
        if self.independent:
            with np.errstate(divide="ignore"):
                logits = (np.log(shares) - np.log1p(-shares)).clip(-MOST_LOGIT, MOST_LOGIT)
        else:
            logits = np.log(np.maximum(shares, shares[shares > 0].min() / 2))
        return np.asarray(logits, np.float32)

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

    def fitted(self, scores: Array, labels: Any, weights: Float64, earlier: int = 0) -> Calibration:
        """Return the calibration of maximum posterior probability, or this one if the other predicts no better.

        The logarithms of slope and bend, the offset, and ten times the shift, have normal priors around those of this
        calibration, of precision 1 + 800 / n + e / 10 with n documents and e earlier ones: few documents do not
        determine them. With less than 100 documents, whether it predicts better is seen on each half of them, by the
        nll of a calibration from the other half.

        Parameters
        ----------
        scores : ndarray (N, L)
            The scores of documents that the weights were not trained on.
        labels : csr_array (N, L)
            1 where a document has a label.
        weights : ndarray of float64 (N,)
            Those above 4 times the median of the positive ones count as that.
        earlier : int
            The number of documents that this calibration is from; more than 1,000 count as that.
        """
        used = np.flatnonzero(weights > 0)
        if len(used) < 2:
            return self
        used = used[:: -(-len(used) // MOST_DOCUMENTS)]
        s, y, w = scores[used].astype(np.float64), labels[used], weights[used]
        w = np.minimum(w / np.median(w), MOST_WEIGHT)
        precision = 1 + FIRM / len(used) + min(earlier, MOST_EARLIER) / 10
        with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
            found = self._maximum(s, y, w, precision)
            if len(used) >= FEW:
                return found
            gain = 0.0
            for first in (0, 1):
                part, other = slice(first, None, 2), slice(1 - first, None, 2)
                half = self._maximum(s[other], y[other], w[other], precision)
                gains = self.nll(self.logits(s[part]), y[part]) - half.nll(half.logits(s[part]), y[part])
                gain += float(w[part] @ gains)
        return found if gain > 0 else self

    def _maximum(self, s: Float64, labels: Any, w: Float64, precision: float) -> Calibration:
        """Return the maximum, found by Newton's method with step halving; by Gauss-Newton where that would ascend.

        The four numbers t are log(slope), the offset, log(bend), and the shift over its standard deviation. The logits
        are x = slope asinh(z) + offset with z = (s - shift) / bend, and root = sqrt(1 + z^2) is in its derivatives.
        """
        y = labels.toarray()
        if self.independent:
            s, y, w = self._cells(s, y, w)
        else:  # (L, N), since sums over the few labels are slow in the last axis
            s, y = np.ascontiguousarray(s.T), np.ascontiguousarray(y.T)
            y /= np.maximum(y.sum(axis=0), 1)
        bends = self.bend > 0
        free = np.array([True, self.independent, bends, bends and not self.independent])
        first = np.array([math.log(self.slope), self.offset, math.log(self.bend or 1), self.shift / SHIFT])

        def expansion(t: Float64) -> tuple[float, Float64, Float64, Float64]:
            """Return the posterior's negative logarithm, its gradient, its Gauss-Newton Hessian, and its Hessian."""
            slope, bend = math.exp(t[0]), math.exp(t[2])
            z = (s - SHIFT * t[3]) / bend
            root = np.sqrt(1 + z * z)
            x = slope * (np.sign(z) * np.log(np.abs(z) + root) if bends else s)  # asinh(z); the offset is added below
            by_t = np.stack([x, np.ones_like(x), -slope * z / root, -slope * SHIFT / (bend * root)])[free]
            if self.independent:
                nll, p = _nll_of_sigmoids(x + t[1], y)
                curvature = w * p * (1 - p)
            else:
                nll, p = _nll_of_softmax(x, y)
                curvature = w * p  # less the products of the means, below
            residual, flat = w * (p - y), by_t.reshape(len(by_t), -1)
            gradient = flat @ residual.ravel()
            gauss_newton = (flat * curvature.ravel()) @ flat.T
            if not self.independent:
                means = (by_t * p).sum(axis=1)
                gauss_newton -= (means * w) @ means.T
            # The rest of the Hessian: the second derivatives of x by t, times the residuals
            rest, third = np.zeros((4, 4)), residual * slope / root**3
            rest[0, free] = rest[free, 0] = gradient  # by log(slope) and another number: the first derivative
            rest[0, 1] = rest[1, 0] = 0
            rest[2, 2], rest[2, 3] = (third * z).sum(), third.sum() * SHIFT / bend
            rest[3, 2:] = rest[2, 3], -rest[2, 2] * (SHIFT / bend) ** 2
            distance = (t - first)[free]
            gauss_newton += precision * np.eye(len(distance))  # of the prior
            value = float((w * nll).sum() + precision * distance @ distance / 2)
            return value, gradient + precision * distance, gauss_newton, gauss_newton + rest[np.ix_(free, free)]

        t = first
        least, gradient, gauss_newton, hessian = expansion(t)
        for _ in range(ROUNDS):
            step = np.zeros(4)
            step[free] = np.linalg.solve(hessian, gradient)
            if step[free] @ gradient <= 0:
                step[free] = np.linalg.solve(gauss_newton, gradient)
            step /= max(1, np.abs(step).max() / LONGEST)
            while np.abs(step).max() > 1e-6 and not (tried := expansion(t - step))[0] < least:
                step /= 2
            if np.abs(step).max() <= 1e-6:
                break
            t = t - step
            least, gradient, gauss_newton, hessian = tried
        bend, shift = self.bend and math.exp(t[2]), float(SHIFT * t[3])
        return replace(self, slope=math.exp(t[0]), offset=float(t[1]), bend=bend, shift=shift)

    def _cells(self, s: Float64, y: Array, w: Float64) -> tuple[Float64, Float64, Float64]:
        """Return scores, targets and weights of independent labels: those with 1, and the others by bins of scores.

        The others are many, and similar: the mean score of each of 4,096 bins stands for all that are in it.
        """
        has = y > 0
        weights = np.broadcast_to(w[:, None], s.shape)
        rest, of_rest = s[~has], weights[~has]
        places = np.arcsinh(rest / self.bend) if self.bend else rest
        low, high = places.min(initial=0), places.max(initial=0)
        bins = ((places - low) * (CELLS / max(high - low, 1e-30))).astype(np.int64).clip(0, CELLS - 1)
        sums = np.bincount(bins, of_rest, CELLS)
        some = sums > 0
        means = np.bincount(bins, of_rest * rest, CELLS)[some] / sums[some]
        targets = np.repeat([1.0, 0.0], [has.sum(), some.sum()])
        return np.concatenate([s[has], means]), targets, np.concatenate([weights[has], sums[some]])


def _nll_of_sigmoids(x: Float64, y: Float64) -> tuple[Float64, Float64]:
    """Return the negative log-likelihoods of targets y for logits x, and the probabilities, all of one shape."""
    e = np.exp(-np.abs(x))
    return np.log(1 + e) + np.maximum(x, 0) - y * x, np.where(x < 0, e, 1) / (1 + e)


def _nll_of_softmax(x: Float64, y: Float64) -> tuple[Float64, Float64]:
    """Return the same of shares y of labels (L, N): the negative log-likelihoods (N,) and probabilities (L, N)."""
    largest = x.max(axis=0)
    p = np.exp(x - largest)
    sums = p.sum(axis=0)
    return np.log(sums) + largest - (y * x).sum(axis=0), p / sums
