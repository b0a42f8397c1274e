"""The gauge that training ends in: one of many models with the same logits.

Any vector mu and invertible matrix A leave the logits unchanged:

    E W + b  =  (E - mu) A · A⁻¹ W  +  (b + mu W)

So the likelihood does not determine mu and A, but the cosines between the rows of E depend on both. Here mu centres
the rows, and A shrinks each direction by its share of noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import Float64
from fastembed._base.threads import Pool, ordered_sum
from fastembed.counts.store import Totals

# Two-sided windows count a pair of positions twice, in the rows of both words, though it is one observation. One-sided
# windows and graphs count a pair once: half is then a cautious choice.
PAIRS_PER_COUNT = 0.5
LEAST_SHARE = 0.1  # no direction is scaled by less than this share of the largest factor: A stays well-conditioned
LEAST_VARIANCE = 1e-6  # smallest variance, as a share of the largest: any value serves in directions without rows
GAUGE_ROWS = 2048  # rows in float64 at a time, per thread


def apply_gauge(
    embedding: NDArray[Any], linear: NDArray[Any], bias: NDArray[Any], totals: Totals, pool: Pool, bags: Any = None
) -> Float64:
    """Set E to (E - mu) A, W to A⁻¹ W and b to b + mu W, in place: the logits stay the same up to rounding.

    mu is the mean of the rows of E. A follows from the model of section 6 of ``docs/derivation.md``: rows of E have the
    covariance C, and nu pairs measure a row with the precision nu F. F is the covariance of the contexts' vectors under
    their shares, the Fisher information of a softmax near these shares. In a basis in which C is the identity and F is
    diagonal with entries gamma, the posterior mean of a coordinate is zeta / (1 + zeta) times its value, with zeta = nu
    gamma. A applies these factors. All words share nu = ½ Σ n² / Σ n, with n the sums of the rows: half of the mean
    count of a word, when words are drawn by their pairs. So A is the same for all words, and linear. With many counts
    the factors are close to 1.

    With bags X the vectors of the words are the rows of H = X E, and mu is their mean. The rows of X have different
    sums, so a vector subtracted from all rows of E would not centre H. E becomes E A, the bias stays, and the caller
    subtracts mu A from the rows of H.

    Parameters
    ----------
    embedding : ndarray (V_in, D)
    linear : ndarray (D, V)
    bias : ndarray (V,)
    totals : Totals
        The sums of the rows and columns of the counts that the model was fitted to.
    pool : Pool
        The bits are the same for any number of threads.
    bags : csr_array (N, V_in), optional
        X.

    Returns
    -------
    ndarray (D,)
        mu A: subtracted from the rows here, or, with bags, to be subtracted from the rows of X E A.

    Notes
    -----
    Without bags, rows without counts become zero, the mean.
    """
    vectors, has_counts = embedding if bags is None else bags @ embedding, totals.rows > 0
    mean, covariance = _moments(vectors, has_counts / np.count_nonzero(has_counts), pool)
    _, information = _moments(linear.T, totals.columns / totals.columns.sum(), pool)
    pairs: Any = PAIRS_PER_COUNT * (totals.rows @ totals.rows) / totals.rows.sum()
    change, inverse = _shrinkage(covariance, information, pairs)
    subtracted = mean if bags is None else np.zeros_like(mean)
    columns, rows = _pieces(linear.shape[1]), _pieces(len(embedding))

    def change_columns(k: int) -> None:  # W becomes A⁻¹ W, and b becomes b + mu W
        part = linear[:, columns[k]].astype(np.float64)
        bias[columns[k]] += (subtracted @ part).astype(bias.dtype)
        linear[:, columns[k]] = inverse @ part

    def change_rows(k: int) -> None:  # E becomes (E - mu) A
        embedding[rows[k]] = (embedding[rows[k]] - subtracted) @ change

    pool.run(change_columns, len(columns))
    pool.run(change_rows, len(rows))
    if bags is None:
        embedding[totals.rows == 0] = 0
    return np.asarray(mean @ change)


def _shrinkage(covariance: Float64, information: Float64, pairs: float) -> tuple[Float64, Float64]:
    """Return A of `apply_gauge` and its inverse: A multiplies each coordinate by zeta / (1 + zeta); `pairs` is nu.

    With C = R Rᵀ and Rᵀ F R = Q diag(gamma) Qᵀ, coordinates in the basis R Q have the covariance 1 and the precisions
    nu gamma. The largest factor is scaled to 1, since the common scale of the rows is arbitrary.
    """
    variances, axes = np.linalg.eigh(covariance)
    if variances[-1] <= 0:  # all rows are equal
        return np.eye(len(axes)), np.eye(len(axes))
    scale = np.sqrt(np.maximum(variances, LEAST_VARIANCE * variances[-1]))
    root = axes * scale
    gamma, rotation = np.linalg.eigh(root.T @ information @ root)
    zeta = pairs * np.maximum(gamma, 0)
    shares = zeta / (1 + zeta)
    if shares[-1] == 0:  # all columns are equal
        return np.eye(len(axes)), np.eye(len(axes))
    shares = np.maximum(shares / shares[-1], LEAST_SHARE)
    basis, dual = root @ rotation, (axes / scale) @ rotation  # dual = basis⁻ᵀ
    return dual * shares @ basis.T, dual / shares @ basis.T


def _moments(rows: NDArray[Any], weights: Float64, pool: Pool) -> tuple[Float64, Float64]:
    """Return the mean (D,) and the covariance (D, D) of rows (V, D) under weights that sum to 1.

    There are two passes: E[xxᵀ] - E[x]E[x]ᵀ loses digits if the mean is far from zero.
    """
    dim, pieces = rows.shape[1], _pieces(len(rows))
    mean = ordered_sum(lambda piece: weights[piece] @ rows[piece].astype(np.float64), pieces, (dim,), pool)

    def squares(piece: slice) -> Float64:
        deviations = rows[piece] - mean
        deviations *= np.sqrt(weights[piece, None])
        return deviations.T @ deviations

    return mean, ordered_sum(squares, pieces, (dim, dim), pool)


def _pieces(size: int) -> list[slice]:
    """Return the rows or columns of each task."""
    return [slice(begin, begin + GAUGE_ROWS) for begin in range(0, size, GAUGE_ROWS)]
