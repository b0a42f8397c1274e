"""The optimum of a row of the embedding given the linear layer: the vector of a document, or of a user.

Given its counts n, the row is the vector d that minimises

    f(d) = sum_c n_c (logsumexp(d W + b) - (d W + b)_c) + ridge / 2 |d|^2

f is strictly convex, so its minimum is unique and does not depend on the start or the order of the rows. For documents
this is PV-DBOW of Le and Mikolov (2014) with the full softmax instead of negative sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed import _kernels
from fastembed._base.arrays import Float32, Float64, aligned_zeros, padded_width
from fastembed._base.threads import Pool, SingleThreadedBlas
from fastembed._kernels import kernels_for, tiling
from fastembed.counts.groups import shard_bounds
from fastembed.trainer.rows import BATCH_LOGITS

Points = tuple[Float64, Float64, Float64]  # the rows d (B, D) of a block, f (B,) and its gradient (B, D)

MOST_BLOCK = 256  # largest number of rows per block
MOST_STEPS = 500  # a safety limit: rows with about as many counts as dimensions need the most steps, about 100
MOST_TRIALS = 30  # lengths of a step that are tried
FALL = 1e-4  # smallest decrease of f, as a share of that predicted by its slope
PAIRS = 10  # steps that L-BFGS remembers
TOLERANCE = 1e-3  # a row makes its last step when the norm of its gradient is at most this share of its counts
FEW = 6  # rows up to which a pass over W for each takes less time than two products with W


class Origin(NamedTuple):
    """What all rows have in common at 0: the probabilities p, and so the Hessian  sum(n) C + ridge I.

    Attributes
    ----------
    log_sum : float
        The logarithm of the sum of exp(b).
    mean : ndarray (D,)
        The mean of the columns of W under p.
    values, basis : ndarray (D,), ndarray (D, D)
        The eigenvalues, at least 0, and the eigenvectors of their covariance C.
    """

    log_sum: float
    mean: Float64
    values: Float64
    basis: Float64

    @classmethod
    def of(cls, linear: NDArray[Any], bias: NDArray[Any]) -> Origin:
        """Return the origin for W (D, V) and b (V,)."""
        w, p = linear.astype(np.float64), bias.astype(np.float64)
        log_sum = kernels_for(p.dtype).softmax(p)
        mean = w @ p
        w -= mean[:, None]
        with SingleThreadedBlas():  # the bits must not depend on the number of BLAS threads
            values, basis = np.linalg.eigh((w * p) @ w.T)
        return cls(log_sum, mean, np.maximum(values, 0), basis)

    def newton(self, gradient: Float64, totals: Float64, ridge: float) -> Float64:
        """Return the products (K, D) of the inverse Hessians of rows with these sums and their gradients."""
        rotated = (gradient @ self.basis) / (totals[:, None] * self.values + ridge)
        return rotated @ self.basis.T


class Layer(NamedTuple):
    """What rows are fitted to.

    Attributes
    ----------
    linear : ndarray (D, V)
    bias : ndarray (V,)
    ridge : float
        Above 0.
    origin : Origin or None
        The `Origin` of W and b. With it the first step from 0 is a step of Newton, which saves about one step.
    """

    linear: NDArray[Any]
    bias: NDArray[Any]
    ridge: float
    origin: Origin | None = None


def optimal_rows(
    counts: Any, layer: Layer, pool: Pool, tolerance: float = TOLERANCE, start: Float32 | None = None
) -> tuple[Float32, int]:
    """Return the optimal rows, (N, D), and the number of them that did not converge in `MOST_STEPS`.

    Parameters
    ----------
    counts : csr_array (N, V)
        n of each row; a row without counts is zero.
    layer : Layer
    pool : Pool
        Blocks of rows are its tasks; they do not depend on the number of threads.
    tolerance : float
        A row makes its last step when the norm of its gradient is at most this share of the sum of its counts.
    start : ndarray (N, D), optional
        The first rows; by default they are 0.
    """
    dim, outputs = layer.linear.shape
    size = max(1, min(MOST_BLOCK, BATCH_LOGITS // outputs))
    starts = range(0, counts.shape[0], size)
    minima, missed = np.empty((counts.shape[0], dim), np.float32), np.zeros(len(starts), int)

    def task(k: int) -> None:
        part = slice(starts[k], min(starts[k] + size, counts.shape[0]))
        first = None if start is None else start[part]
        minima[part], missed[k] = _minima(counts[part], layer, tolerance, first)

    with SingleThreadedBlas():  # the bits must not depend on the number of BLAS threads
        pool.run(task, len(starts))
    return minima, int(missed.sum())


def _minima(n: Any, layer: Layer, tolerance: float, start: Float32 | None) -> tuple[Float64, int]:
    """Return the optimal rows of a block, each by L-BFGS (Liu, Nocedal 1989), and the number that did not converge."""
    objective, origin = _Objective(n, layer), layer.origin if start is None else None
    totals, active = objective.totals, np.flatnonzero(objective.totals > 0)
    if start is None:
        d, (f, gradient) = np.zeros((len(totals), len(layer.linear))), objective.at_zero(origin)
    else:
        d = start.astype(np.float64)
        f, gradient = objective.at(d, np.arange(len(d)))
    curvature = _Curvature(*d.shape)
    for number in range(MOST_STEPS):
        steep = _steep(gradient, tolerance * totals, active)
        if number and len(last := active[~steep]):  # a last step, whose gradient nobody needs
            d[last] -= curvature.times_inverse_hessian(gradient[last], last)
        active = active[steep]
        if not len(active):
            break
        if origin is not None and not number:
            direction = -origin.newton(gradient[active], totals[active], layer.ridge)
        else:
            direction = -curvature.times_inverse_hessian(gradient[active], active)
        old_d, old_gradient = d[active], gradient[active]
        stuck = _move((d, f, gradient), objective, direction, active)
        curvature.add(d[active] - old_d, gradient[active] - old_gradient, active)
        active = np.delete(active, stuck)
    return d, int(np.count_nonzero(_steep(gradient, tolerance * totals, active)))


def _move(points: Points, objective: _Objective, direction: Float64, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Move the `rows` (K,) of a block along their directions (K, D), in place, until f falls.

    Return the places in `rows` of the rows that no step moves: the rest of their gradient is rounding error.

    A step has at first the length of the direction. A step that is too long becomes shorter: linear interpolation of
    the slope of f along the step gives the length at which the slope would be 0. A step with a slope of at most 0 at
    its end is not too long: f is convex, so f has fallen, even if rounding hides the fall.
    """
    old_d, old_f, slope = points[0][rows], points[1][rows], _dots(direction, points[2][rows])
    step, waiting = np.ones(len(rows)), np.arange(len(rows))
    for _ in range(MOST_TRIALS):
        moved = rows[waiting]
        d = old_d[waiting] + step[waiting, None] * direction[waiting]
        f, gradient = objective.at(d, moved)
        end_slope = _dots(gradient, direction[waiting])
        good = (end_slope <= 0) | (f <= old_f[waiting] + FALL * step[waiting] * slope[waiting])
        for values, new in zip(points, (d, f, gradient), strict=True):
            values[moved[good]] = new[good]
        root = slope[waiting] / (slope[waiting] - end_slope)
        waiting, root = waiting[~good], root[~good]
        if not len(waiting):
            break
        step[waiting] *= np.clip(root, 0.1, 0.5)
    return waiting


class _Objective:
    """f of the rows of a block, and its gradient.

    Parameters
    ----------
    n : csr_array (B, V)
    layer : Layer

    Attributes
    ----------
    totals : ndarray (B,)
        The sums of n.
    """

    def __init__(self, n: Any, layer: Layer) -> None:
        w, bias = layer.linear, layer.bias
        self._w, self._bias, self._ridge, self._softmax = w, bias, layer.ridge, kernels_for(w.dtype).softmax
        self.totals = np.asarray(n.sum(axis=1), np.float64).ravel()
        used, places = np.unique(n.indices, return_inverse=True)
        counts = sparse.csr_array((n.data, places, n.indptr), (n.shape[0], len(used)))
        self._observed, self._constant = (counts @ part.astype(np.float64) for part in (w.T[used], bias[used]))
        whole_lines = w.T.flags.c_contiguous and padded_width(len(w), w.dtype) == len(w)
        self._one_by_one = _one_by_one(n, w, bias) if whole_lines else None

    def at_zero(self, origin: Origin | None) -> tuple[Float64, Float64]:
        """Return f and its gradient at 0, where all rows have the same probabilities."""
        p = self._bias.copy()
        log_sum, mean = (self._softmax(p), self._w @ p) if origin is None else origin[:2]
        return self.totals * log_sum - self._constant, self.totals[:, None] * mean - self._observed

    def at(self, d: Float64, rows: NDArray[np.intp]) -> tuple[Float64, Float64]:
        """Return f (K,) and its gradient (K, D), where the `rows` (K,) are d (K, D)."""
        if self._one_by_one is not None and len(rows) <= FEW:
            f, gradient = self._one_by_one(d, rows)
        else:
            p: NDArray[Any] = d.astype(self._w.dtype) @ self._w
            # The kernel works in place, and returns the logarithm of the sum; each row stays in the cache
            log_sums = np.array([self._softmax(np.add(row, self._bias, out=row)) for row in p])
            f = self.totals[rows] * log_sums - _dots(self._observed[rows], d) - self._constant[rows]
            gradient = self.totals[rows, None] * (p @ self._w.T).astype(np.float64) - self._observed[rows]
        return f + self._ridge / 2 * (d**2).sum(axis=1), gradient + self._ridge * d


def _one_by_one(n: Any, linear: NDArray[Any], bias: NDArray[Any]) -> Callable[[Float64, NDArray[np.intp]], Any]:
    """Return a function of rows d (K, D), and their numbers, that gives f and its gradient without their priors.

    Each row takes one pass over W: the columns of W are contiguous, and whole cache lines.
    """
    kernels, weights = kernels_for(linear.dtype), linear.T
    tiles = tiling(len(weights), weights.strides[0], _kernels.LEVEL2_BYTES)
    n.sort_indices()
    items, amounts = n.indices.astype(np.int32, copy=False), n.data.astype(np.float64)
    bounds = shard_bounds(len(weights))
    shards, width = len(bounds) - 1, weights.shape[1]
    partials, (expected, observed) = np.empty((shards, 3)), aligned_zeros((2, shards, width), linear.dtype)

    def fit(d: Float64, rows: NDArray[np.intp]) -> tuple[Float64, Float64]:
        values, slopes = np.empty(len(d)), np.empty_like(d)
        for k, h in enumerate(d.astype(linear.dtype)):
            part = slice(n.indptr[rows[k]], n.indptr[rows[k] + 1])
            target, all_shards = (items[part], amounts[part]), (bounds, 0, shards)
            kernels.row_pass(weights, h, bias, *all_shards, *target, None, partials, expected, observed, *tiles)
            values[k], _ = kernels.row_merge(partials, expected, observed, amounts[part], 1.0, slopes[k])
        return values, slopes

    return fit


class _Curvature:
    """The Hessians of f at rows, as L-BFGS estimates them from the last steps and the changes of the gradients.

    Parameters
    ----------
    block, dim : int
        B and D.
    """

    def __init__(self, block: int, dim: int) -> None:
        self._steps, self._changes = (np.zeros((PAIRS, block, dim)) for _ in range(2))
        self._inverses = np.zeros((PAIRS, block))  # 1 / (step . change); 0 where there is none
        self._scales = np.zeros(block)  # scale of the initial inverse Hessian; 0 before the first step
        self._count = 0

    def add(self, steps: Float64, changes: Float64, rows: NDArray[np.intp]) -> None:
        """Add the pairs (K, D) of the `rows` (K,); pairs with a zero step are ignored."""
        dots, k = _dots(steps, changes), self._count % PAIRS
        moved = dots > 0
        self._steps[k, rows], self._changes[k, rows] = steps, changes
        self._inverses[k, rows] = np.divide(1, dots, out=np.zeros(len(rows)), where=moved)
        self._scales[rows[moved]] = dots[moved] / _dots(changes[moved], changes[moved])
        self._count += 1

    def times_inverse_hessian(self, gradient: Float64, rows: NDArray[np.intp]) -> Float64:
        """Return the products (K, D) of the approximate inverse Hessians and the gradients of the `rows`."""
        product, shares = gradient.copy(), {}
        places = [k % PAIRS for k in range(max(0, self._count - PAIRS), self._count)]
        for k in reversed(places):
            shares[k] = self._inverses[k, rows] * _dots(self._steps[k, rows], product)
            product -= shares[k][:, None] * self._changes[k, rows]
        first = 1 / np.maximum(1, np.linalg.norm(gradient, axis=1))
        product *= np.where(self._scales[rows] > 0, self._scales[rows], first)[:, None]
        for k in places:
            back = self._inverses[k, rows] * _dots(self._changes[k, rows], product)
            product += (shares[k] - back)[:, None] * self._steps[k, rows]
        return product


def _steep(gradient: Float64, bounds: Float64, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return whether each of the `rows` (K,) has not converged: the norm of its gradient is above its bound."""
    return np.linalg.norm(gradient[rows], axis=1) > bounds[rows]


def _dots(left: Float64, right: Float64) -> Float64:
    """Return the scalar products of the rows of two matrices (K, D)."""
    return np.einsum("ij,ij->i", left, right)
