"""The parameters that training starts from.

The start is a truncated SVD of the positive pointwise mutual information of counts. The logits of skip-gram model the
PMI (Levy & Goldberg 2014). So the best low-rank approximation of the positive PMI, split evenly between embedding and
linear layer, is close to the optimum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import Float32, Float64, aligned_zeros, padded_width
from fastembed._base.memory import give_back_freed
from fastembed._base.progress import bar
from fastembed._base.threads import Pool, ordered_sum
from fastembed.counts.groups import group_count, group_places, group_slice
from fastembed.counts.store import GroupedCounts
from fastembed.skipgram.pmi import PositivePMI, pmi_products

# Dimensions beyond the rank get normal noise of this scale: where both layers are zero, all gradients are zero.
# The ridge of new rows is FILL_SCALE times the mean square of a dimension.
FILL_SCALE = 0.01

# The Krylov space of the SVD grows in KRYLOV_STEPS steps, by STEP_SHARE columns per singular triplet (docs/design.md)
KRYLOV_STEPS, STEP_SHARE = 5, 0.45
KRYLOV_COLUMNS = 1024  # up to this size the Krylov space may exceed the matrix: a dense SVD would save no time
# Directions of a float32 product below this share of the largest singular value are rounding errors
ROUNDING = 1e-5
# A block R_k with a direction shorter than WEAK times the largest singular value is made orthogonal twice. In the
# second pass directions have length 1; a direction of which less than LEAST_LEFT remains is rounding, and becomes 0
WEAK, LEAST_LEFT = 0.01, 0.1
AXES_ROWS = 1024  # rows in float64 at a time, per thread
AXES_TASKS = 64  # largest number of tasks, each of which has a k x k matrix


def svd_start(
    counts: GroupedCounts, dim: int, rng: np.random.Generator, pool: Pool, memory: float = math.inf
) -> tuple[Float32, Float32]:
    """Return an embedding U √S (V_in, dim) and a linear layer √S Vᵀ (dim, V), where U S Vᵀ is near the positive PMI.

    Dimensions beyond the rank are filled with noise. `memory` as for `PositivePMI`.
    """
    pmi = PositivePMI(counts, pool, memory)
    give_back_freed()  # the memory of the groups of counts
    u, s, v = truncated_svd(pmi, min(dim, *pmi.shape), rng, pool)
    u = u[group_places(len(u))]  # the PMI has its rows in the order of groups
    rank = np.count_nonzero(s)
    roots = np.sqrt(s[:rank])
    embedding, linear = np.empty((len(u), dim), np.float32), np.empty((len(v), dim), np.float32)
    for vectors, side in ((u, embedding), (v, linear)):
        np.multiply(vectors[:, :rank], roots, out=side[:, :rank])
        side[:, rank:] = rng.standard_normal((len(side), dim - rank), dtype=np.float32) * np.float32(FILL_SCALE)
    return embedding, linear.T


def least_squares_rows(counts: GroupedCounts, known: int, linear: Float32, pool: Pool) -> Float32:
    """Return the rows of an embedding for the inputs from `known` on: M W^T (W W^T + λ)^-1, M their positive PMI.

    The rows fit M by least squares for a fixed linear layer W (D, V). They are a start of training;
    `folding.optimal_rows` returns the rows of the highest likelihood. The ridge λ, FILL_SCALE times the mean square of
    a dimension, bounds the rows if W does not have full rank.
    """
    w, inputs = linear.astype(np.float64), counts.shape[0]
    products: NDArray[Any] = np.zeros((inputs - known, len(w)))
    if known == inputs:
        return products.astype(np.float32)
    dense = np.ascontiguousarray(w.T)
    for group in range(group_count(inputs)):
        rows = np.arange(inputs)[group_slice(group, inputs)]
        new = rows >= known
        if new.any():
            products[rows[new] - known] = pmi_products(counts.read_group(group), group, counts.totals, dense, pool)[new]
    gram = w @ w.T
    gram[np.diag_indices_from(gram)] += FILL_SCALE * np.trace(gram) / len(gram)
    fitted: Float64 = np.linalg.solve(gram, products.T).T
    return np.ascontiguousarray(fitted, dtype=np.float32)


def log_shares(totals: Float64) -> Float64:
    """Return the fixed bias: the logarithm of each column's share of all counts, (V,), from the column totals.

    With it the logits only need to model how far a pair is from chance. Columns without counts may be targets in
    another text; together they get the share of the rarest column with counts.
    """
    empty = totals == 0
    if empty.any():
        totals = np.where(empty, totals[~empty].min() / np.count_nonzero(empty), totals)
    return np.log(totals) - np.log(totals.sum())


# ---------------------------------------------------------------- the SVD


def truncated_svd(
    matrix: PositivePMI, rank: int, rng: np.random.Generator, pool: Pool
) -> tuple[Float32, Float32, Float32]:
    """Return the leading singular triplets of M, by the randomised block Krylov method of Musco & Musco (2015).

    R = [R_1, ..., R_5] is an orthonormal basis of the span of G, MᵀM G, (MᵀM)² G, ..., where G is random and has about
    half as many columns as there are triplets. M R_k = L_k F_k, where L_k is orthonormal and F_k is square.
    So M R = L F, with L = [L_1, ..., L_5] and F = diag(F_1, ..., F_5). The L_k are not orthogonal to each
    other. With (L F)ᵀ L F = Q diag(s²) Qᵀ, U = L F Q diag(1/s) and V = R Q.

    If the space would exceed the smaller side of M, the SVD is dense. The bits are the same for any number of threads.

    Parameters
    ----------
    matrix : PositivePMI (m, n)
        Its entries are freed when R is complete.
    rank : int
        At most min(m, n).

    Returns
    -------
    u (m, rank), s (rank,), v (n, rank)
        M ≈ u @ diag(s) @ v.T, with s descending; columns for a singular value of zero are zero.
    """
    width, largest = step_width(rank), 0.0
    if space_size(rank, matrix.shape) < KRYLOV_STEPS * width:
        return _dense_svd(matrix, rank, pool)
    lefts, rights = list[Float32](), list[Float32]()
    factor = np.zeros((KRYLOV_STEPS * width, KRYLOV_STEPS * width))  # matrix @ rights = lefts @ factor
    for k in bar(range(KRYLOV_STEPS), desc="start"):
        left, right = (aligned_zeros((size, width), "float32") for size in matrix.shape)
        if k == 0:
            right[:] = rng.standard_normal(right.shape, dtype=np.float32)
            _orthonormalise(right, pool)
        else:
            matrix.transposed_times(lefts[-1], out=right)
            shortest = _complement(right, rights, pool, ROUNDING * largest)
            if shortest < WEAK * largest:
                _repair(right, rights, rng, pool)
        matrix.times(right, out=left)
        s, rotation = _orthonormalise(left, pool)
        largest = max(largest, s[0])
        lefts.append(left)
        rights.append(right)
        part = slice(k * width, (k + 1) * width)
        factor[part, part] = s[:, None] * rotation.T
    matrix.free()
    squares, rotation = np.linalg.eigh(factor.T @ _products(lefts, pool) @ factor)
    squares, rotation = squares[: -rank - 1 : -1], rotation[:, : -rank - 1 : -1]
    s, inverse = _roots(squares, (ROUNDING * largest) ** 2)
    u, v = (np.empty((size, rank), np.float32) for size in matrix.shape)
    _multiply(lefts, factor @ rotation * inverse, u, pool)
    _multiply(rights, rotation * (s > 0), v, pool)
    return u, s.astype(np.float32), v


def step_width(rank: int) -> int:
    """Return the number of columns of a block R_k: whole cache lines, so that no load crosses one."""
    return padded_width(math.ceil(STEP_SHARE * rank), "float32")


def space_size(rank: int, shape: tuple[int, int]) -> int:
    """Return the dimension of the Krylov space; of a dense SVD, if that is large and exceeds the smaller side of M."""
    krylov = KRYLOV_STEPS * step_width(rank)
    return krylov if krylov <= max(KRYLOV_COLUMNS, min(shape)) else min(shape)


def _complement(right: Float32, rights: list[Float32], pool: Pool, floor: float) -> float:
    """Make a block R_k orthogonal to `rights`, then orthonormal; return its smallest singular value in between.

    Directions whose singular value is below `floor` become zero.
    """
    shares = _products(rights, pool, right)
    _multiply([*rights, right], np.concatenate([-shares, np.eye(right.shape[1])]), right, pool)
    return float(_orthonormalise(right, pool, floor)[0][-1])


def _repair(right: Float32, rights: list[Float32], rng: np.random.Generator, pool: Pool) -> None:
    """Make a block R_k that `_complement` has made orthonormal, from short directions, orthogonal to `rights` again.

    Rounding errors of a short direction have parts along earlier blocks, which orthonormalising has made long. A zero
    column means that the Krylov space has ended: a random column replaces it.
    """
    empty = ~right.any(axis=0)
    right[:, empty] = rng.standard_normal((len(right), np.count_nonzero(empty)), dtype=np.float32)
    right[:, empty] /= np.sqrt(len(right))  # a length near 1
    _complement(right, rights, pool, LEAST_LEFT)


def _orthonormalise(matrix: Float32, pool: Pool, floor: float = 0.0) -> tuple[Float64, Float64]:
    """Replace a tall matrix (m, k) by q of its thin SVD q @ diag(s) @ rotation.T; return s and rotation.

    The eigenvectors of matrixᵀ matrix in float64 take a seventh of the time of a QR. They square the condition number,
    which is acceptable for products of an orthonormal basis. Axes below the rounding error of the squares, or below
    `floor`, become zero.
    """
    squares, rotation = np.linalg.eigh(_products([matrix], pool))
    squares, rotation = squares[::-1], rotation[:, ::-1]
    s, inverse = _roots(squares, max(squares[0] * len(squares) * np.finfo(np.float64).eps, floor**2))
    _multiply([matrix], rotation * inverse, matrix, pool)
    return s, rotation


def _roots(squares: Float64, floor: float) -> tuple[Float64, Float64]:
    """Return the square roots of eigenvalues, and the reciprocals of the roots; both are 0 up to `floor`."""
    roots = np.sqrt(np.where(squares > floor, squares, 0))
    return roots, np.divide(1, roots, out=np.zeros_like(roots), where=roots > 0)


def _products(parts: list[Float32], pool: Pool, matrix: Float32 | None = None) -> Float64:
    """Return AᵀA in float64, with A the parts (m, k) side by side; or AᵀB, with B the `matrix` (m, l)."""
    width = sum(part.shape[1] for part in parts)
    shape = width, width if matrix is None else matrix.shape[1]

    def task_products(task: list[slice]) -> Float64:
        products = np.zeros(shape)
        for rows in task:
            a = np.concatenate([part[rows] for part in parts], axis=1, dtype=np.float64)
            products += a.T @ (a if matrix is None else matrix[rows].astype(np.float64))
        return products

    return ordered_sum(task_products, _tasks(len(parts[0])), shape, pool)


def _multiply(parts: list[Float32], change: NDArray[Any], out: Float32, pool: Pool) -> None:
    """Set `out` to A @ change, with A the parts (m, k) side by side; `out` may be one of the parts."""
    tasks, change = _tasks(len(out)), change.astype(np.float32)

    def multiply(k: int) -> None:
        for rows in tasks[k]:
            out[rows] = np.concatenate([part[rows] for part in parts], axis=1) @ change

    pool.run(multiply, len(tasks))


def _tasks(rows: int) -> list[list[slice]]:
    """Return the pieces of rows of each task. They depend on the number of rows alone, and so do sums over tasks."""
    pieces = [slice(begin, begin + AXES_ROWS) for begin in range(0, rows, AXES_ROWS)]
    size = -(-len(pieces) // AXES_TASKS)
    return [pieces[begin : begin + size] for begin in range(0, len(pieces), size)]


def _dense_svd(matrix: PositivePMI, rank: int, pool: Pool) -> tuple[Float32, Float32, Float32]:
    """Return the triplets of `truncated_svd` where the Krylov space would exceed the matrix."""
    rows, columns = matrix.shape
    unit = np.eye(min(rows, columns), dtype=np.float32)
    dense = np.empty((max(rows, columns), len(unit)), np.float32)  # M, or its transpose
    (matrix.times if rows > columns else matrix.transposed_times)(unit, out=dense)
    s, rotation = _orthonormalise(dense, pool)
    s[s < ROUNDING * s[0]] = 0
    long, short = (side[:, :rank] * (s[:rank] > 0) for side in (dense, rotation.astype(np.float32)))
    u, v = (long, short) if rows > columns else (short, long)
    return u, s[:rank].astype(np.float32), v
