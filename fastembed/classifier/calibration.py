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
CELLS, GROUPS = 4096, 64  # of scores; of labels by their shares
LEAST_WEIGHT = 0.02  # of the scores, so that they decide between documents
LONGEST = 4.0  # step of Newton's method
ROUNDS = 1000  # for a few documents that contradict the scores; a dozen for many

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Calibration:
    """The logits x of labels for their scores, and their probabilities.

    They are x = weight * (slope * g(score) + offset) + (1 - weight) * prior: a logarithmic pool of a curve that all
    labels have in common (Platt 1999), and of each label's share, whose logit is the prior. The less texts say of the
    labels, the smaller is the weight; it is above 1 if scores favour frequent labels too much.

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
    slope, offset, bend, shift, weight : float
    """

    loss: str
    several: bool
    slope: float
    offset: float
    bend: float = 0.0
    shift: float = 0.0
    weight: float = 1.0

    @property
    def independent(self) -> bool:
        """Whether the probabilities of labels are independent; otherwise they sum to 1."""
        return self.loss != "softmax" and self.several

    def logits(self, scores: Array, prior: Array) -> Array:
        """Return the logits of scores (N, L), in their dtype, given those of the shares: (L,), or (N, L).

        Examples
        --------
        >>> Calibration("ova", False, 2.0, 1.0, weight=0.5).logits(np.array([0.5, 1.0]), np.array([-1.0, 1.0]))
        array([0.5, 2. ])
        """
        kind = scores.dtype.type
        bent = np.arcsinh((scores - kind(self.shift)) / kind(self.bend)) if self.bend else scores
        curve = bent * kind(self.slope) + kind(self.offset)
        logits: Array = curve * kind(self.weight) + prior * kind(1 - self.weight)
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

    def fitted(
        self, scores: Array, labels: Any, weights: Float64, prior: Array, counts: Any = math.inf, earlier: int = 0
    ) -> Calibration:
        """Return the calibration of maximum posterior probability, or this one if the other predicts no better.

        The logarithms of slope and bend, the offset, ten times the shift, and the weight have normal priors around
        those of this calibration, of precision 1 + 800 / n + e / 10 with n documents and e earlier ones: few documents
        do not determine them. With less than 100 documents, whether it predicts better is seen on each half of them, by
        the nll of a calibration from the other half. With independent labels, the weight stays unless it is below 1 and
        no fewer first labels are right: their nll is that of all labels alike. A weight below 1 is by the shares
        without the document itself, one above 1 by all: its own label never seems more probable than it is.

        Parameters
        ----------
        scores : ndarray (N, L)
            The scores of documents that the weights were not trained on.
        labels : csr_array (N, L)
            1 where a document has a label.
        weights : ndarray of float64 (N,)
            Those above 4 times the median of the positive ones count as that.
        prior : ndarray (L,)
            The logits of the shares of the labels.
        counts : array_like (L,)
            The numbers of documents that the shares are of, to take one from; by default, these are none of them.
        earlier : int
            The number of documents that this calibration is from; more than 1,000 count as that.
        """
        used = np.flatnonzero(weights > 0)
        if len(used) < 2:
            return self
        used = used[:: -(-len(used) // MOST_DOCUMENTS)]
        s, y, w = scores[used].astype(np.float64), labels[used], weights[used]
        w = np.minimum(w / np.median(w), MOST_WEIGHT)
        dense, shares = y.toarray(), np.broadcast_to(prior.astype(np.float64), s.shape)
        others = shares + dense * np.log1p(-1 / np.maximum(counts, 2))  # about the shares without the document
        precision, found = 1 + FIRM / len(used) + min(earlier, MOST_EARLIER) / 10, []
        with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
            for part in (slice(None), slice(0, None, 2), slice(1, None, 2)):
                given = dense[part], w[part], precision
                best = self._maximum(s[part], others[part], *given)
                better = best.weight < 1
                if not self.independent and not better:
                    best = self._maximum(s[part], shares[part], *given)
                    better = best.weight > 1
                if self.independent or not better:
                    same = self._maximum(s[part], others[part], *given, pool=False)
                    first = [each.logits(s[part], others[part]).argmax(axis=1) for each in (best, same)]
                    right = [given[0][range(len(ids)), ids].sum() for ids in first]
                    best = best if better and right[0] >= right[1] else same
                if len(used) >= FEW:
                    return best
                found.append(best)
        gain = 0.0
        for part, half in ((slice(0, None, 2), found[2]), (slice(1, None, 2), found[1])):
            pools = [(each, others[part] if each.weight < 1 else shares[part]) for each in (self, half)]
            gains = [each.nll(each.logits(s[part], pool), y[part]) for each, pool in pools]
            gain += float(w[part] @ np.subtract(*gains))
        return found[0] if gain > 0 else self

    def _maximum(
        self, s: Float64, shares: Float64, y: Array, w: Float64, precision: float, *, pool: bool = True
    ) -> Calibration:
        """Return the maximum, found by Newton's method with step halving; by Gauss-Newton where that would ascend.

        The five numbers t are log(slope), the offset, log(bend), the shift over its standard deviation, and the weight,
        which stays without `pool`. The logits are x = weight c + (1 - weight) shares with the curve
        c = slope asinh(z) + offset and z = (s - shift) / bend, and root = sqrt(1 + z^2) is in the derivatives.
        """
        if self.independent:
            s, shares, y, w = self._cells(s, shares, y, w)
        else:  # (L, N), since sums over the few labels are slow in the last axis
            s, shares, y = [np.ascontiguousarray(each.T) for each in (s, shares, y)]
            y = y / np.maximum(y.sum(axis=0), 1)
        bends = self.bend > 0
        free = np.array([True, self.independent, bends, bends and not self.independent, pool])
        chosen, of_curve = np.flatnonzero(free), np.flatnonzero(free[:4])
        first = np.array([math.log(self.slope), self.offset, math.log(self.bend or 1), self.shift / SHIFT, self.weight])

        def expansion(t: Float64) -> tuple[float, Float64, Float64, Float64]:
            """Return the posterior's negative logarithm, its gradient, its Gauss-Newton Hessian, and its Hessian."""
            slope, bend, weight = math.exp(t[0]), math.exp(t[2]), t[4]
            z = (s - SHIFT * t[3]) / bend
            root = np.sqrt(1 + z * z)
            bent = slope * (np.sign(z) * np.log(np.abs(z) + root) if bends else s)  # asinh(z)
            terms = [bent, np.ones_like(s), -slope * z / root, -slope * SHIFT / (bend * root), bent + t[1] - shares]
            x = shares + weight * terms[4]
            by_t = np.stack([terms[k] for k in chosen])  # but for the factor `weight` of the first four
            factors = np.array([weight, weight, weight, weight, 1.0])[free]
            if self.independent:
                nll = np.logaddexp(0, x) - y * x
                p = np.exp(x - np.logaddexp(0, x))
                curvature = w * p * (1 - p)
            else:
                x -= x.max(axis=0)
                p = np.exp(x)
                nll = np.log(p.sum(axis=0)) - (y * x).sum(axis=0)
                p /= p.sum(axis=0)
                curvature = w * p  # less the products of the means, below
            residual, flat = w * (p - y), by_t.reshape(len(by_t), -1)
            sums = flat @ residual.ravel()
            gradient = factors * sums
            gauss_newton = (flat * curvature.ravel()) @ flat.T
            if not self.independent:
                means = (by_t * p).sum(axis=1)
                gauss_newton -= (means * w) @ means.T
            gauss_newton *= np.outer(factors, factors)
            # The rest of the Hessian: the second derivatives of x by t, times the residuals
            rest, third = np.zeros((5, 5)), residual * (weight * slope) / root**3
            rest[0, of_curve] = rest[of_curve, 0] = gradient[: len(of_curve)]  # by log(slope): the first derivative
            rest[0, 1] = rest[1, 0] = 0
            rest[2, 2], rest[2, 3] = (third * z).sum(), third.sum() * SHIFT / bend
            rest[3, 2:4] = rest[2, 3], -rest[2, 2] * (SHIFT / bend) ** 2
            rest[4, of_curve] = rest[of_curve, 4] = sums[: len(of_curve)]
            distance = (t - first)[free]
            gauss_newton += precision * np.eye(len(distance))  # of the prior
            value = float((w * nll).sum() + precision * distance @ distance / 2)
            return value, gradient + precision * distance, gauss_newton, gauss_newton + rest[np.ix_(free, free)]

        t = first
        least, gradient, gauss_newton, hessian = expansion(t)
        for _ in range(ROUNDS):
            step = np.zeros(5)
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
        bend, shift, weight = self.bend and math.exp(t[2]), float(SHIFT * t[3]), max(float(t[4]), LEAST_WEIGHT)
        return replace(self, slope=math.exp(t[0]), offset=float(t[1]), bend=bend, shift=shift, weight=weight)

    def _cells(self, s: Float64, shares: Float64, y: Array, w: Float64) -> tuple[Float64, Float64, Float64, Float64]:
        """Return scores, logits of shares, targets and weights of independent labels: those with 1, and others by bins.

        The others are many, and similar: their means stand for all in one of 4,096 bins of scores and of 64 groups of
        labels with similar shares.
        """
        has, groups = y > 0, min(y.shape[1], GROUPS)
        weights = np.broadcast_to(w[:, None], s.shape)
        rest, of_rest = s[~has], weights[~has]
        places = np.arcsinh(rest / self.bend) if self.bend else rest
        low, high = places.min(initial=0), places.max(initial=0)
        bins = ((places - low) * (CELLS / max(high - low, 1e-30))).astype(np.int64).clip(0, CELLS - 1)
        ranks = np.argsort(np.argsort(shares.max(axis=0), kind="stable"))
        bins += np.broadcast_to(ranks * groups // len(ranks) * CELLS, s.shape)[~has]
        sums = np.bincount(bins, of_rest, groups * CELLS)
        some = sums > 0
        means = [np.bincount(bins, of_rest * each[~has], len(sums))[some] / sums[some] for each in (s, shares)]
        s, shares = [np.concatenate([each[has], mean]) for each, mean in zip((s, shares), means, strict=True)]
        targets = np.repeat([1.0, 0.0], [has.sum(), some.sum()])
        return s, shares, targets, np.concatenate([weights[has], sums[some]])
