"""The optimum of a row of the embedding given the linear layer: the vector of a document, or of a user.

Given its counts n, the row is the vector d that minimises

    f(d) = sum_c n_c (logsumexp(d W + b) - (d W + b)_c) + ridge / 2 |d|^2

f is strictly convex, so its minimum is unique and does not depend on the start or the order of the rows. For documents
this is PV-DBOW of Le and Mikolov (2014) with the full softmax instead of negative sampling.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.sizes import SIZES
from fastembed._base.threads import Pool, single_threaded_blas
from fastembed._kernels import kernels_for

Float32: TypeAlias = NDArray[np.float32]
Float64: TypeAlias = NDArray[np.float64]

MOST_BLOCK = 256  # largest number of rows per block
MOST_STEPS = 500  # a safety limit: about 100 steps are needed where the counts are as many as the dimensions
MOST_CUTS = 30
FALL = 1e-4  # smallest decrease of f, as a share of that predicted by its slope
PAIRS = 10
TOLERANCE = 1e-3  # largest norm of the gradient at convergence, as a share of the sum of the counts


def optimal_rows(
    counts: Any,
    linear: NDArray[Any],
    bias: NDArray[Any] | None,
    ridge: float,
    pool: Pool,
    tolerance: float = TOLERANCE,
    start: Float32 | None = None,
) -> tuple[Float32, int]:
    """Return the optimal rows, (N, D), and the number of them that did not converge in `MOST_STEPS`.

    Parameters
    ----------
    counts : csr_array (N, V)
        n of each row; a row without counts is zero.
    linear : ndarray (D, V)
    bias : ndarray (V,), optional
    ridge : float
        Above 0.
    pool : Pool
        Blocks of rows are its tasks; they do not depend on the number of threads.
    tolerance : float
        Largest norm of the gradient at convergence, as a share of the sum of the counts.
    start : ndarray (N, D), optional
        The first rows; by default they are 0.
    """
    size = max(1, min(MOST_BLOCK, SIZES.batch_logits // linear.shape[1]))
    cuts = range(0, counts.shape[0], size)
    found, missed = np.empty((counts.shape[0], len(linear)), np.float32), np.zeros(len(cuts), int)

    def task(k: int) -> None:
        part = slice(cuts[k], min(cuts[k] + size, counts.shape[0]))
        found[part], missed[k] = _minima(
            counts[part], linear, bias, ridge, tolerance, None if start is None else start[part]
        )

    with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
        pool.run(task, len(cuts))
    return found, int(missed.sum())


def _minima(
    n: Any,
    linear: NDArray[Any],
    bias: NDArray[Any] | None,
    ridge: float,
    tolerance: float,
    start: Float32 | None,
) -> tuple[Float64, int]:
    """Return the optimal rows of a block, each by L-BFGS (Liu, Nocedal 1989), and the number that did not converge.

    A step is as long as the pairs of the last ones say, 1 at most at first; a step that is too long is cut to where the
    slope along it would be 0 if it were linear. f is convex: where the slope has not turned, f has fallen, whatever the
    rounding of f says.
    """
    totals = np.asarray(n.sum(axis=1), np.float64).ravel()
    used, places = np.unique(n.indices, return_inverse=True)
    observed = sparse.csr_array((n.data, places, n.indptr), (n.shape[0], len(used))) @ linear.T[used].astype(np.float64)
    softmax = kernels_for(linear.dtype).softmax  # in place; it returns the logarithm of the sum
    constant = np.zeros(len(totals)) if bias is None else np.asarray(n @ bias.astype(np.float64)).ravel()

    def objective(d: Float64, rows: Any) -> tuple[Float64, Float64]:  # f (B,) of some rows, and its gradient
        p: NDArray[Any] = d.astype(linear.dtype) @ linear
        if bias is not None:
            p += bias
        normaliser = np.array([softmax(row) for row in p])
        expected = (p @ linear.T).astype(np.float64)
        fit = totals[rows] * normaliser - np.einsum("ij,ij->i", observed[rows], d) - constant[rows]
        return fit + ridge / 2 * (d**2).sum(axis=1), totals[rows, None] * expected - observed[rows] + ridge * d

    d = np.zeros((len(totals), len(linear))) if start is None else start.astype(np.float64)
    f, gradient = objective(d if start is not None else d[:1], slice(None))  # at 0 all have the same probabilities
    history = _History(*d.shape)
    active = np.flatnonzero(totals > 0)
    for _ in range(MOST_STEPS):
        active = active[_steep(gradient, tolerance * totals, active)]
        if not len(active):
            break
        direction = -history.times_inverse_hessian(gradient[active], active)
        slope = _dots(direction, gradient[active])
        before = d[active], gradient[active]
        step, waiting = np.ones(len(active)), np.arange(len(active))
        for _ in range(MOST_CUTS):
            rows = active[waiting]
            tried = before[0][waiting] + step[waiting, None] * direction[waiting]
            value, slopes = objective(tried, rows)
            turned = _dots(slopes, direction[waiting])
            good = (turned <= 0) | (value <= f[rows] + FALL * step[waiting] * slope[waiting])
            d[rows[good]], f[rows[good]], gradient[rows[good]] = tried[good], value[good], slopes[good]
            root = slope[waiting] / (slope[waiting] - turned)
            waiting, root = waiting[~good], root[~good]
            if not len(waiting):
                break
            step[waiting] *= np.clip(root, 0.1, 0.5)
        history.add(d[active] - before[0], gradient[active] - before[1], active)
        active = np.delete(active, waiting)  # no step decreases f: the rest is rounding error
    return d, int(np.count_nonzero(_steep(gradient, tolerance * totals, active)))


class _History:
    """The last steps of rows and the changes of their gradients, from which L-BFGS estimates the curvature.

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
