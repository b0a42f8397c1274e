"""How scores become logits and probabilities, by three numbers that are fitted to documents.

Section 8 of docs/derivation.md has the formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import Float64

MOST_SCORES = 1 << 18  # in a calibration, from documents evenly among all: they determine three numbers well
MOST_WEIGHT = 4  # largest weight of a document, as a multiple of the median: a few documents do not decide alone
MOST_LOGIT = 17.0  # its sigmoid is 1 in float32
FIRM = 800  # FIRM / n is added to the precision 1 of the priors of n documents: few documents change less
MOST_EARLIER = 1000  # largest number of earlier documents that count, 0.1 each, so that new ones keep some weight
SPREAD = {False: 0.1, True: 2.0}  # standard deviation of the prior of the third number; 1 for the other numbers

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Calibration:
    """The logits of labels for the scores of the loss "squared", which are approximate probabilities.

    The logit of label l for the score s is, with one label per document,

        x_l = pi_l + slope * (g(s) - g(q_l)),      g(s) = asinh((s - third) / bend)

    where q_l is the share of the label, and pi_l its logit: a text that says nothing has the score q_l, and gets the
    shares. If documents may have several labels, with q the mean of the shares,

        x_l = log(q_l / q) + third + slope * asinh(s / (bend * (q_l / q) ** (1 / slope)))

    so that a frequent label is more probable than a rare one at a small score, and as probable at a large one. asinh is
    linear for small scores and logarithmic for large ones, as are the measured logits.

    Attributes
    ----------
    independent : bool
        Whether documents may have several labels: each label then has a sigmoid. Otherwise there is one softmax.
    slope, bend, third : float
        The third number is the shift of the scores, or the logit of a label with the mean share at the score 0.
    """

    independent: bool
    slope: float
    bend: float
    third: float

    def logits(self, scores: Array, prior: Array) -> Array:
        """Return the logits of scores (N, L), in their dtype, given those of the shares (L,).

        Examples
        --------
        >>> prior = np.log([0.2, 0.8])
        >>> Calibration(False, 2.0, 0.1, 0.0).logits(np.array([[0.2, 0.8]]), prior).round(4)
        array([[-1.6094, -0.2231]])
        """
        return self._expansion(scores, prior.astype(scores.dtype))[0]

    def _expansion(self, s: Array, pi: Array) -> tuple[Array, list[Array]]:
        """Return the logits (N, L), and the terms that their derivatives are made of."""
        kind = s.dtype.type
        u, beta, third = kind(self.slope), kind(self.bend), kind(self.third)
        if self.independent:
            c = pi - np.log(label_probabilities(pi.copy(), True).mean())
            z = s * (np.exp(-c / u) / beta)
            bent = np.arcsinh(z)
            return c + third + u * bent, [bent, z, c / u]
        q = label_probabilities(pi[None].copy(), False)[0]
        z, at_share = (s - third) / beta, (q - third) / beta
        bent = np.arcsinh(z) - np.arcsinh(at_share)
        return pi + u * bent, [bent, z, at_share]

    def _derivatives(self, bent: Array, z: Array, other: Array) -> list[Any]:
        """Return the derivatives of the logits by the logarithms of slope and bend, and by the third number."""
        ratio = z / np.sqrt(1 + z * z)
        if self.independent:
            return [self.slope * (bent + ratio * other), -self.slope * ratio, np.ones(1)]
        root = np.sqrt(1 + other * other)
        by_shift = (1 / root - 1 / np.sqrt(1 + z * z)) * (self.slope / self.bend)
        return [self.slope * bent, self.slope * (other / root - ratio), by_shift]

    def updated(self, scores: Array, labels: Any, weights: Float64, prior: Array, earlier: int = 0) -> Calibration:
        """Return the calibration of maximum posterior probability.

        The logarithms of slope and bend, and the third number, have normal priors around those of this calibration,
        of precision 1 + 800 / n + e / 10 with n documents and e earlier ones: few documents do not determine them.

        Parameters
        ----------
        scores : ndarray (N, L)
            The scores of documents that the weights were not trained on.
        labels : csr_array (N, L)
            1 where a document has a label.
        weights : ndarray of float64 (N,)
            A weight above 4 times the median positive weight counts as 4 times the median.
        prior : ndarray (L,)
            The logits of the shares of the labels.
        earlier : int
            The number of documents behind this calibration; more than 1,000 count as 1,000.
        """
        used = np.flatnonzero(weights > 0)
        if not len(used):
            return self
        used = used[:: -(-len(used) * len(prior) // MOST_SCORES)]
        s, y, pi = scores[used].astype(np.float64), labels[used].toarray(), prior.astype(np.float64)
        w = np.minimum(weights[used] / np.median(weights[used]), MOST_WEIGHT)
        if not self.independent:
            y /= y.sum(axis=1, keepdims=True)
        precision = 1 + FIRM / len(used) + min(earlier, MOST_EARLIER) / 10
        spread = np.array([1, 1, SPREAD[self.independent]])
        first = np.array([math.log(self.slope), math.log(self.bend), self.third])

        def posterior(t: Float64) -> tuple[float, Float64]:
            """Return the posterior's negative logarithm and its gradient."""
            at = Calibration(self.independent, math.exp(t[0]), math.exp(t[1]), float(t[2]))
            x, terms = at._expansion(s, pi)
            value = w @ _nll(x, y, self.independent)
            residual = w[:, None] * (label_probabilities(x, self.independent) - y)
            gradient = np.array([(residual * derivative).sum() for derivative in at._derivatives(*terms)])
            distance = (t - first) / spread
            return value + precision * distance @ distance / 2, gradient + precision * distance / spread

        from scipy import optimize  # here, since its import takes as long as all others together

        t = optimize.minimize(posterior, first, jac=True, method="BFGS").x
        return Calibration(self.independent, math.exp(t[0]), math.exp(t[1]), float(t[2]))


FIRST = {False: Calibration(False, 2.0, 0.06, 0.0), True: Calibration(True, 2.0, 0.06, -6.0)}  # before any document


def _nll(logits: Float64, y: Array, independent: bool) -> Float64:
    """Return the nll of each document (N,). y (N, L) holds the shares of its labels, or 1 and 0 if independent."""
    log_sums = np.logaddexp(0, logits).sum(axis=1) if independent else np.logaddexp.reduce(logits, axis=1)
    nll: Float64 = log_sums - (y * logits).sum(axis=1)
    return nll


def nll(logits: Array, labels: Any, independent: bool) -> Float64:
    """Return the negative log-likelihood of the labels of each document (N,), in nats.

    It is sum_l log(1 + exp(x_l)) - y_l x_l, where y_l is 1 or 0, if labels are independent. Otherwise it is
    -sum_l y_l log p_l with p = softmax(x), where y_l is the share of each label; without a label the result is 0.

    Parameters
    ----------
    logits : ndarray (N, L)
    labels : csr_array (N, L)
        1 where a document has a label.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> nll(np.log([[1.0, 2.0, 1.0]]), csr_array([[1, 0, 1]]), False).round(4)
    array([1.3863])
    """
    y, sizes = labels.toarray().astype(np.float64), np.diff(labels.indptr)
    if independent:
        return _nll(logits.astype(np.float64), y, True)
    return np.where(sizes > 0, _nll(logits.astype(np.float64), y / np.maximum(sizes, 1)[:, None], False), 0.0)


def label_probabilities(logits: Array, independent: bool) -> Array:
    """Return the probabilities (N, L) of labels: of sigmoids if they are independent, or of a softmax.

    The logits are overwritten.

    Examples
    --------
    >>> label_probabilities(np.log([[1.0, 3.0]]), True)
    array([[0.5 , 0.75]])
    >>> label_probabilities(np.log([[1.0, 3.0]]), False)
    array([[0.25, 0.75]])
    """
    if independent:  # sigmoid(x) = exp(-log(1 + exp(-x)))
        np.logaddexp(0, np.negative(logits, out=logits), out=logits)
        return np.exp(np.negative(logits, out=logits), out=logits)
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def prior_logits(shares: Float64, independent: bool) -> npt.NDArray[np.float32]:
    """Return the logits (L,) whose probabilities are the shares of the labels.

    Unless labels are independent, a share of 0 becomes half of the smallest one.

    Examples
    --------
    >>> np.exp(prior_logits(np.array([0.5, 0.25]), True)).round(4)
    array([1.    , 0.3333], dtype=float32)
    """
    if independent:
        with np.errstate(divide="ignore"):
            logits = (np.log(shares) - np.log1p(-shares)).clip(-MOST_LOGIT, MOST_LOGIT)
    else:
        logits = np.log(np.maximum(shares, shares[shares > 0].min() / 2))
    return np.asarray(logits, np.float32)
