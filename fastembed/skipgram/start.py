"""The start of training: a randomised SVD of the positive pointwise mutual information of counts.

The logits of skip-gram model the PMI (Levy & Goldberg 2014). So the best low-rank approximation of the positive PMI,
split evenly between embedding and linear layer, is close to the optimum.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros, padded_width
from fastembed._base.blas import single_threaded_blas
from fastembed._base.threads import Pool
from fastembed.skipgram.pmi import PositivePMI, pmi_products
from fastembed.trainer.groups import GroupedCounts, as_groups, group_count, group_slice
from fastembed.trainer.totals import Totals

OVERSAMPLING = 20  # columns of the randomised SVD in addition to the rank
POWER_ITERATIONS = 3
# The scale of the normal noise in dimensions beyond the rank: if both layers were zero there, so would all gradients
# be. Also the ridge of new rows, as a share of the mean square.
FILL_SCALE = 0.01
AXES_ROWS = 1024  # rows in float64 at a time, per thread
AXES_TASKS = 64  # largest number of tasks, each of which has a k x k matrix


class Multiplicable(Protocol):
    """A matrix M that only supports products."""

    shape: tuple[int, int]

    def times(self, dense: NDArray[np.float32], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return M @ dense, in `out`."""

    def transposed_times(self, dense: NDArray[np.float32], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return M.T @ dense, in `out`."""


def truncated_svd(
    matrix: Multiplicable, rank: int, rng: np.random.Generator, pool: Pool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the leading singular triplets, by the randomised range finder of Halko, Martinsson & Tropp (2011).

    It uses OVERSAMPLING additional columns and POWER_ITERATIONS power iterations, and orthonormalises each product. The
    bits are the same for any number of threads. The rows of the dense factors are padded with zeros to whole cache
    lines, so that no load crosses a line.

    Parameters
    ----------
    matrix : Multiplicable (m, n)
    rank : int
        At most min(m, n).
    rng : Generator
    pool : Pool

    Returns
    -------
    u (m, rank), s (rank,), v (n, rank)
        matrix ≈ u @ diag(s) @ v.T, with s descending; columns for a singular value of zero are zero.
    """
    width = min(rank + OVERSAMPLING, *matrix.shape)
    left, right = (aligned_zeros((size, padded_width(width, "float32")), "float32") for size in matrix.shape)
    u, v = left[:, :width], right[:, :width]
    v[:] = rng.standard_normal(v.shape, dtype=np.float32)
    with single_threaded_blas():
        for _ in range(POWER_ITERATIONS):
            matrix.times(right, out=left)
            _principal_axes(u, pool)
            matrix.transposed_times(left, out=right)
            _principal_axes(v, pool)
        matrix.times(right, out=left)
        _principal_axes(u, pool)
        matrix.transposed_times(left, out=right)
        s, rotation = _principal_axes(v, pool)  # matrix ≈ u (v s rotationᵀ)ᵀ
        _rotate(u, rotation, pool)
    return u[:, :rank], s[:rank], v[:, :rank]


def svd_start(
    counts: GroupedCounts | Any,
    totals: Totals,
    dim: int,
    rng: np.random.Generator,
    pool: Pool,
    memory: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return an embedding U·√S (V_in, dim) and a linear layer √S·Vᵀ (dim, V) from the positive PMI of counts.

    Dimensions beyond the rank are filled with noise. `memory` as for `PositivePMI`.
    """
    pmi = PositivePMI(counts, totals, pool, memory=memory)
    u, s, v = truncated_svd(pmi, min(dim, *pmi.shape), rng, pool)
    rank = np.count_nonzero(s)
    embedding, linear = np.empty((len(u), dim), np.float32), np.empty((len(v), dim), np.float32)
    roots, first = np.sqrt(s[:rank]), 0
    for group in range(group_count(len(u))):  # the PMI has its rows in the order of groups
        rows = embedding[group_slice(group, len(u))]
        np.multiply(u[first : first + len(rows), :rank], roots, out=rows[:, :rank])
        first += len(rows)
    np.multiply(v[:, :rank], roots, out=linear[:, :rank])
    for side in (embedding, linear):
        side[:, rank:] = rng.standard_normal((len(side), dim - rank), dtype=np.float32) * np.float32(FILL_SCALE)
    return embedding, linear.T


def fold_in(
    counts: GroupedCounts | Any, totals: Totals, first: int, linear: NDArray[np.float32], pool: Pool
) -> NDArray[np.float32]:
    """Return rows of an embedding for inputs that a linear layer has not seen: M W^T (W W^T + λ)^-1, M their PMI.

    They are the inputs from `first` on. The rows are the least-squares fit of their positive PMI by the fixed linear
    layer (D, V). A ridge λ, FILL_SCALE times the mean square of a dimension, bounds them if the layer does not have
    full rank.
    """
    groups, w = as_groups(counts), linear.astype(np.float64)
    inputs = groups.shape[0]
    products: NDArray[Any] = np.zeros((inputs - first, len(w)))
    if first == inputs:
        return products.astype(np.float32)
    dense = np.ascontiguousarray(w.T)
    for group in range(group_count(inputs)):
        rows = np.arange(inputs)[group_slice(group, inputs)]
        new = rows >= first
        part, own = groups.read_group(group).taken(new), totals.rows[rows[new]]
        products[rows[new] - first] = pmi_products(part, own, totals, dense, pool)
    if not products.any():
        return products.astype(np.float32)
    with single_threaded_blas():
        gram = w @ w.T
        gram[np.diag_indices_from(gram)] += FILL_SCALE * np.trace(gram) / len(gram)
        fitted: NDArray[np.float64] = np.linalg.solve(gram, products.T).T
    return np.ascontiguousarray(fitted, dtype=np.float32)


def log_shares(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fixed bias: the logarithm of each column's share of all counts, (V,), from the column totals.

    With it the logits only need to model how far a pair is from chance. Columns without counts may be targets in
    another text; together they get the share of the rarest column with counts.
    """
    empty = totals == 0
    if empty.any():
        totals = np.where(empty, totals[~empty].min() / np.count_nonzero(empty), totals)
    shares: NDArray[np.float64] = np.log(totals) - np.log(totals.sum())
    return shares


def _principal_axes(matrix: NDArray[np.float32], pool: Pool) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return s, rotation of the thin SVD q @ diag(s) @ rotation.T of a tall matrix (m, k), which becomes q.

    It is computed from the eigenvectors of matrixᵀ matrix in float64, in a seventh of the time of a QR. This squares
    the condition number, which is acceptable for products of an orthonormal basis. Axes below the rounding error of the
    squares become zero.
    """
    tasks = _tasks(len(matrix))
    squares_of = np.zeros((len(tasks), *matrix.shape[1:] * 2))

    def add_squares(k: int) -> None:
        for rows in tasks[k]:
            exact = matrix[rows].astype(np.float64)
            squares_of[k] += exact.T @ exact

    pool.run(add_squares, len(tasks))
    squares, rotation = np.linalg.eigh(squares_of.sum(axis=0))
    squares, rotation = squares[::-1], rotation[:, ::-1]
    real = squares > squares[0] * len(squares) * np.finfo(np.float64).eps
    s = np.sqrt(np.where(real, squares, 0))
    _rotate(matrix, rotation * np.divide(1, s, out=np.zeros_like(s), where=real), pool)
    return s.astype(np.float32), rotation


def _rotate(matrix: NDArray[np.float32], change: NDArray[np.float64], pool: Pool) -> None:
    """Multiply a matrix (m, k) by another (k, k), in place."""
    tasks = _tasks(len(matrix))

    def rotate(k: int) -> None:
        for rows in tasks[k]:
            matrix[rows] = matrix[rows].astype(np.float64) @ change

    pool.run(rotate, len(tasks))


def _tasks(rows: int) -> list[list[slice]]:
    """Return the pieces of rows of each task; they depend on the number of rows only, so the sums do too."""
    pieces = [slice(begin, begin + AXES_ROWS) for begin in range(0, rows, AXES_ROWS)]
    each = -(-len(pieces) // AXES_TASKS)
    return [pieces[begin : begin + each] for begin in range(0, len(pieces), each)]
