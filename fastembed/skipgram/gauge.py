"""The gauge of a fit: which of many equivalent models is its result.

Any vector mu and invertible matrix A leave the logits unchanged:

    E W + b  =  (E - mu) A · A⁻¹ W  +  (b + mu W)

so the likelihood does not determine them, but the cosines between the rows of E depend on them. Here mu centres the
rows, and A shrinks each direction by its share of noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.threads import Pool, single_threaded_blas
from fastembed.counts.groups import Totals
from fastembed.skipgram.start import ordered_sum

# Two-sided windows count a pair of positions in the rows of both words, though it is one observation. Where pairs are
# counted once (one-sided windows, pairs of a graph), half of them is a cautious choice.
PAIRS_PER_COUNT = 0.5
LEAST_SHARE = 0.1  # no direction is scaled by less than this share of the largest factor: A stays well-conditioned
LEAST_VARIANCE = 1e-6  # smallest variance, as a share of the largest; its value does not matter where rows span nothing
PIECE = 2048  # rows in float64 at a time, per thread


def apply_gauge(
    embedding: NDArray[Any], linear: NDArray[Any], bias: NDArray[Any], totals: Totals, pool: Pool, bags: Any = None
) -> NDArray[np.float64]:
    """Transform a model into its gauge, in place. Its logits stay the same up to rounding.

    Let the rows of E be drawn with covariance C, and each be known from nu pairs, that is with precision nu F, where F
    is the covariance of the contexts' vectors under their shares (the Fisher information of a softmax near those
    shares). In the basis in which C is the identity and F is diagonal, the posterior mean in a direction is
    zeta / (1 + zeta) times the coordinate of the row, where zeta = nu gamma and gamma is the entry of F. A uses one nu
    for all words, so that it is one linear map: half the count of the word of a random pair. It matters if counts are
    few: with many, zeta / (1 + zeta) is 1. The letters are those of ``docs/derivation.md``, section 6.

    With bags X the rows are those of H = X E. mu centres H, and cannot be subtracted from E, whose rows have different
    weights in H. So only A changes the model: the bias stays the same, and the vectors of the inputs are X E A - mu A.

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
        mu A: the vector that was subtracted from every row, or is to be subtracted from those of H, in the new
        coordinates.

    Notes
    -----
    Without bags, a row without counts becomes the mean, which is zero.
    """
    with single_threaded_blas():
        rows, counted = embedding if bags is None else bags @ embedding, totals.rows > 0
        mean, covariance = _moments(rows, counted / np.count_nonzero(counted), pool)
        _, information = _moments(linear.T, totals.columns / totals.columns.sum(), pool)
        pairs: Any = PAIRS_PER_COUNT * (totals.rows @ totals.rows) / totals.rows.sum()
        change, inverse = _shrinking(covariance, information, pairs)

        def change_columns(k: int) -> None:  # W becomes A⁻¹ W, and b becomes b + mu W
            piece = slice(k * PIECE, (k + 1) * PIECE)
            columns = linear[:, piece].astype(np.float64)
            if bags is None:
                bias[piece] += (mean @ columns).astype(bias.dtype)
            linear[:, piece] = inverse @ columns

        def change_rows(k: int) -> None:  # E becomes (E - mu) A
            piece = slice(k * PIECE, (k + 1) * PIECE)
            embedding[piece] = (embedding[piece] - (mean if bags is None else 0.0)) @ change

        pool.run(change_columns, -(-linear.shape[1] // PIECE))
        pool.run(change_rows, -(-len(embedding) // PIECE))
    if bags is None:
        embedding[totals.rows == 0] = 0
    return np.asarray(mean @ change)


def _shrinking(
    covariance: NDArray[np.float64], information: NDArray[np.float64], pairs: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return A and its inverse: the posterior means zeta / (1 + zeta), in the basis common to both matrices.

    With C = R Rᵀ and Rᵀ F R = Q diag(gamma) Qᵀ, the rows' coordinates in the basis R Q have covariance 1 and precision
    nu gamma.
    The largest share is scaled to 1, since the common scale of the rows is arbitrary.
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


def _moments(
    rows: NDArray[Any], weights: NDArray[np.float64], pool: Pool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean (D,) and the covariance (D, D) of rows (V, D) under weights that sum to 1.

    It takes two passes, since the difference of E[xxᵀ] and E[x]E[x]ᵀ cancels if the mean is far from zero.
    """
    dim, pieces = rows.shape[1], [slice(begin, begin + PIECE) for begin in range(0, len(rows), PIECE)]
    mean = ordered_sum(lambda piece: weights[piece] @ rows[piece].astype(np.float64), pieces, (dim,), pool)

    def squares(piece: slice) -> NDArray[np.float64]:
        deviations = rows[piece] - mean
        deviations *= np.sqrt(weights[piece, None])
        return deviations.T @ deviations

    return mean, ordered_sum(squares, pieces, (dim, dim), pool)
