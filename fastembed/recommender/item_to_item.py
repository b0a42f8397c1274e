"""The item-to-item model of a recommender: B (V, V), the ridge regressions of each item on other items.

The weights of column c of B minimise

    sum_u (n_uc - sum_i n_ui B_ic)^2 + sum_i λ_i B_ic^2   so they solve   (G + Λ)_SS B_Sc = G_Sc

=====  ============================================================================================================
n_uc   the count of item c of user u (`model.log_counts`)
S      a set of items other than c; the weights of items that are not in S are 0
G      (V, V), the counts of pairs: n^T n
f_i    the sum of the counts of item i
λ_i    the ridge of item i: a factor times sqrt(f_i), because the standard error of a count f is sqrt(f)
Λ, F   (V, V), diagonal, of λ and of f
=====  ============================================================================================================

1. *Nearest items* (Ning & Karypis 2011): S has the items with the highest cosine to c. The factor is 16.
2. *EASE* (Steck 2019): S has all other items. Hidden items choose the factor (`strengths.py`).

B knows the pairs of rare items that few dimensions cannot tell apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Int32, row_ranges
from fastembed._base.panels import Panels
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed._kernels.cooccur import product_rows, regression
from fastembed.recommender.model import scaled_rows, totals_of

HEAVY = 4  # medians of the counts of a user, above which a user is *heavy* and counts less
MOST_HEAVY = 400  # medians, above which a user is left out: most pairs of items may be pairs of very few users
HEAVY_EXPONENT = 0.25  # the row of a heavy user is multiplied by (|n_u| / 4 m)^-HEAVY_EXPONENT
NEIGHBOURS = 300  # items on which an item is regressed, at most: time and memory against the fit
PER_ROOT = 5  # neighbours per root of the number of all users, at most: few users say little about many neighbours
PER_USER = 32  # neighbours of an item per user of the item, at most: as for `PER_ROOT`
FEW_NEIGHBOURS = 64  # takes the place of NEIGHBOURS in a model that only chooses strengths, to save time
RIDGE_FACTOR = 16.0  # of the ridges λ of the nearest items: a higher factor trusts pairs of rare items less
MOST_PAIRS = 1 << 26  # entries of G, 8 bytes each: bounds the memory
PAIRS_PER_TASK = 1 << 23  # the products n_ui n_uj that a task adds up in G: more tasks share work evenly, and cost more
COLUMNS, EASE_COLUMNS = 32, 64  # columns of B per task, of the nearest items and of EASE: as `PAIRS_PER_TASK`
MOST_EASE = 4096  # the smaller of users and items, for EASE: bounds the time of the inverse
MOST_EASE_ITEMS = 24576  # items for EASE: bounds the time of the weights
MOST_WEIGHTS = 400  # in a column of EASE: most columns have 300 to 350
GROUPS = 1200  # groups of a column in `_largest_of_columns`, at least: more give a sharper threshold, and take longer
ROWS_AT_ONCE = 256  # rows that `_inverse` mirrors and `Ease.predicted` multiplies: bounds the temporary arrays


def item_weights(n: Any, pool: Pool, *, ease_factor: float = 0.0, neighbours: int = NEIGHBOURS) -> Any:
    """Return B, csr (V, V), of the counts n: by EASE with a factor, or by the nearest items if the factor is 0.

    If rounding makes the inverse of EASE fail, B is by the nearest items.
    """
    n = damp_heavy_users(n)
    if ease_factor and (weights := Ease(n).weights(ease_factor, pool)).nnz:
        return weights
    return nearest_weights(n, pool, neighbours)


def damp_heavy_users(n: Any) -> Any:
    """Return n with the row of each heavy user times  (|n_u| / 4 m)^(-1/4),  so that heavy users count less in  n^T n.

    |n_u| is the sum of the counts of a user, and m the median of the sums. A user is heavy above 4 m, and left out
    above 400 m.
    """
    totals = totals_of(n)
    ratios = totals / np.median(totals[totals > 0])
    kept = ratios <= MOST_HEAVY
    n = n if kept.all() else n[kept]
    return scaled_rows(n, np.maximum(1, ratios[kept] / HEAVY) ** -HEAVY_EXPONENT)


# ---------------------------------------------------------------- nearest items


class PairCounts(NamedTuple):
    """The counts of pairs,  G = n^T n,  in rows of columns and values.

    Attributes
    ----------
    begins, ends : ndarray of int32 (V + 1,), ndarray of int32 (V,)
        Where each row begins, and the place behind its end; a row may be shorter than its space.
    diagonals : ndarray of int32 (V,)
        The place of each value on the diagonal.
    columns, values : ndarray of int32, ndarray of float32
    """

    begins: Int32
    ends: Int32
    diagonals: Int32
    columns: Int32
    values: Float32


def nearest_weights(n: Any, pool: Pool, neighbours: int) -> Any:
    """Return B, csr (V, V), by the nearest items of each item, at most `neighbours`; fewer for an item of few users.

    If the counts of all pairs do not fit in memory, only the most frequent items have a column.
    """
    frequent, item_rows = _most_frequent(n)
    items, users = item_rows.shape
    most = min(neighbours, round(PER_ROOT * users**0.5))
    most_of_item = np.minimum(PER_USER * np.diff(item_rows.indptr), most).tolist()
    g = pair_counts(item_rows, pool)
    norms = np.sqrt(g.values[g.diagonals])
    g.values[g.diagonals] += RIDGE_FACTOR * np.sqrt(item_rows @ np.ones(users, np.float32))  # G + Λ
    starts = range(0, items, COLUMNS)
    task_columns: list[list[tuple[Int32, Float32]]] = [[] for _ in starts]

    def solve(k: int) -> None:
        places, hits = np.full(items, -1, np.int32), np.empty(items, np.int32)
        system, scratch = np.empty(most**2, np.float32), np.empty((3, most), np.float32)
        for c in range(starts[k], min(starts[k] + COLUMNS, items)):
            nearest = _nearest(g, norms, c, most_of_item[c])
            rows, weights = g.columns[nearest], g.values[nearest]  # the right side, G_Sc, becomes the weights
            if len(rows):
                regression(g.begins, g.diagonals, g.columns, g.values, rows, places, system, scratch, hits, weights)
            task_columns[k].append((rows, weights))

    pool.run(solve, len(starts))
    columns = [column for part in task_columns for column in part]
    rows, weights = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    places = np.repeat(frequent, [len(rows) for rows, _ in columns])
    pairs = frequent[rows].astype(np.int32), places.astype(np.int32)
    return sparse.csr_array((weights, pairs), (n.shape[1], n.shape[1]))


def _most_frequent(n: Any) -> tuple[NDArray[np.intp], Any]:
    """Return the most frequent items, as many as have `MOST_PAIRS` pairs at most, and their rows of n^T, csr (K, U).

    The pairs of the k most frequent items are estimated from above: k^2, or the sum of the pairs of each user.
    """
    users = np.bincount(n.indices, minlength=n.shape[1])
    order = np.argsort(-users, kind="stable")[: np.count_nonzero(users)]
    # Row u of `ranked` has the items of a user as their places in `order`, the most frequent first. If the row is
    # [2, 5, 9], `rank_in_row` is [0, 1, 2]
    ranked = n[:, order].sorted_indices()
    rank_in_row = np.arange(n.nnz, dtype=np.int32) - np.repeat(ranked.indptr[:-1], np.diff(ranked.indptr))
    # Each item of a user has two pairs with each more frequent item of the user, (i, j) and (j, i), and one with itself
    pairs = np.cumsum(np.bincount(ranked.indices, 2 * rank_in_row + 1))
    most = np.count_nonzero(np.minimum(np.arange(1.0, len(order) + 1) ** 2, pairs) <= MOST_PAIRS)
    return order[:most], ranked.T.tocsr()[:most]


def pair_counts(item_rows: Any, pool: Pool) -> PairCounts:
    """Return the counts of pairs from n^T, csr (V, U)."""
    n, items = item_rows.T.tocsr(), item_rows.shape[0]
    pairs = np.add.reduceat(np.diff(n.indptr)[item_rows.indices], item_rows.indptr[:-1], dtype=np.int64)
    begins = np.cumsum(np.append(0, np.minimum(pairs, items))).astype(np.int32)  # there are at most MOST_PAIRS
    ends, diagonals = np.empty(items, np.int32), np.empty(items, np.int32)
    g = PairCounts(begins, ends, diagonals, np.empty(begins[-1], np.int32), np.empty(begins[-1], np.float32))
    factors = item_rows.indptr, item_rows.indices, item_rows.data, n.indptr, n.indices, n.data
    ranges, words = row_ranges(pairs, PAIRS_PER_TASK), -(-items // 64)

    def fill(k: int) -> None:
        scratch = np.zeros(items, np.float32), np.empty(items + 1, np.int32)
        present = np.zeros(words, np.uint64), np.zeros(-(-words // 64), np.uint64)
        product_rows(*factors, *ranges[k], *scratch, *present, begins, ends, diagonals, g.columns, g.values)

    pool.run(fill, len(ranges))
    return g


def _nearest(g: PairCounts, norms: Float32, c: int, most: int) -> NDArray[np.intp]:
    """Return the places in G of the entries of row c with the highest cosines to c, ascending; at most `most`."""
    row = slice(g.begins[c], g.ends[c])
    cosines = g.values[row] / norms[g.columns[row]]  # cosine times the norm of c: the same order
    cosines[g.diagonals[c] - row.start] = 0  # an item is not its own neighbour
    count = min(most, len(cosines) - 1)
    nearest = np.argpartition(cosines, -count)[len(cosines) - count :]
    nearest.sort()
    return row.start + nearest


# ---------------------------------------------------------------- EASE


def ease_fits(users: int, items: int) -> bool:
    """Return whether the data are small enough for EASE."""
    return min(users, items) <= MOST_EASE and items <= MOST_EASE_ITEMS


class Ease:
    """EASE of one matrix of counts n, for any factor κ of the ridges  λ_i = κ sqrt(f_i).

    With  F = diag(f),  Z = n F^(-1/4)  and  M = I - (Z^T Z / κ + I)^-1 = Z^T (Z Z^T / κ + I)^-1 Z / κ,  the solution is

        B_ic = M_ic (f_c / f_i)^(1/4) / (1 - M_cc)   for i != c

    The matrix to invert is (V, V), or (U, U) if users are fewer than items. If rounding makes the inverse fail, B is 0.

    Attributes
    ----------
    roots : ndarray (V,)
        f^(1/4); 1 for items without counts.
    by_users : bool
        Whether users are fewer than items.
    gram : ndarray (K, K)
        Z Z^T of K users, or Z^T Z of K items.
    sides : csr_array (V, K)
        Z^T, or I. M is the product  sides · middle · sides^T,  with the matrix of `_middle`.
    """

    def __init__(self, n: Any) -> None:
        frequency = np.asarray(n.sum(axis=0), np.float64).ravel()
        self.roots = np.where(frequency > 0, frequency**0.5, 1).astype(np.float32) ** 0.5
        z = sparse.csr_array(n[np.diff(n.indptr) > 0] @ sparse.diags_array(1 / self.roots))
        self.by_users = z.shape[0] < z.shape[1]
        self.gram: Float32 = (z @ z.T if self.by_users else z.T @ z).toarray()
        self.sides: Any = z.T.tocsr() if self.by_users else sparse.eye_array(z.shape[1], dtype=z.dtype, format="csr")

    def _middle(self, factor: float) -> Float32:
        """Return the middle factor of M, (K, K), for a factor κ; 0 if the inverse fails."""
        system = self.gram / np.float32(factor)
        diagonal = np.diag_indices(len(system))
        system[diagonal] += 1
        inverse = _inverse(system)
        if inverse is None:
            return np.zeros(self.gram.shape, np.float32)
        if self.by_users:  # (Z Z^T / κ + I)^-1 / κ
            inverse /= np.float32(factor)
        else:  # I - (Z^T Z / κ + I)^-1
            np.negative(inverse, out=inverse)
            inverse[diagonal] += 1
        return inverse

    def predicted(self, n: Any, factor: float) -> Float32:
        """Return n B (N, V) of users with the counts n, csr (N, V): right for the items that they do not have."""
        middle, diagonal = self._middle(factor), np.empty(len(self.roots), np.float32)  # the diagonal of M
        kernels_for("float32").quadratic_forms(self.sides.indptr, self.sides.indices, self.sides.data, middle, diagonal)
        user_factors = (n @ sparse.diags_array(1 / self.roots) @ self.sides).toarray() @ middle
        user_factors = np.ascontiguousarray(user_factors.T)
        predictions, scales = np.empty(n.shape, np.float32), self.roots / (1 - diagonal)
        for first in range(0, len(self.roots), ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            predictions[:, part] = (self.sides[part] @ user_factors).T * scales[part]
        return predictions

    def weights(self, factor: float, pool: Pool) -> Any:
        """Return B, csr (V, V), with the `NEIGHBOURS` largest |B_ic| sqrt(f_i) of each column, or a few more."""
        middle, roots, items = self._middle(factor), self.roots, len(self.roots)
        rooted_sides = Panels.of(sparse.csr_array(sparse.diags_array(roots) @ self.sides))
        starts = range(0, items, EASE_COLUMNS)
        task_weights: list[Any] = [None] * len(starts)

        def solve(k: int) -> None:
            columns = np.arange(starts[k], min(starts[k] + EASE_COLUMNS, items), dtype=np.int32)
            item_factors = np.ascontiguousarray((self.sides[columns[0] : columns[-1] + 1] @ middle).T)
            # m = F^(1/4) M,  so M_ic = m_ic / roots_i  and  B_ic = m_ic / roots_i^2 * roots_c / (1 - M_cc).
            # In a column,  |B_ic| sqrt(f_i) = |B_ic| roots_i^2  has the order of  |m_ic|
            m = np.empty((items, len(columns)), np.float32)
            kernels_for("float32").csr_times_dense(*rooted_sides, item_factors, m, 0, items)
            diagonal = columns, np.arange(len(columns))
            scales = roots[columns] / (1 - m[diagonal] / roots[columns])
            m[diagonal] = 0
            rows, places = _largest_of_columns(np.abs(m))
            task_weights[k] = m[rows, places] * scales[places] / roots[rows] ** 2, rows, columns[places]

        pool.run(solve, len(starts))
        data, rows, columns = map(np.concatenate, zip(*task_weights, strict=True))
        return sparse.csr_array((data, (rows, columns)), (items, items))


def _inverse(matrix: Float32) -> Float32 | None:
    """Return the inverse of a positive definite matrix, in its memory; None if rounding makes the matrix singular."""
    from scipy.linalg import lapack  # here, since its import takes half as long as all others together

    factors, indefinite = lapack.spotrf(matrix.T, lower=True, overwrite_a=True)
    inverse, singular = lapack.spotri(factors, lower=True, overwrite_c=True)
    if indefinite or singular:
        return None
    inverse = inverse.T  # its upper triangle is the result
    for first in range(0, len(inverse), ROWS_AT_ONCE):
        part, after = slice(first, first + ROWS_AT_ONCE), slice(first + ROWS_AT_ONCE, None)
        inverse[part, part] = np.triu(inverse[part, part]) + np.triu(inverse[part, part], 1).T
        inverse[after, part] = inverse[part, after].T
    return inverse


def _largest_of_columns(magnitudes: Float32) -> tuple[Int32, Int32]:
    """Return the rows and the columns of the `NEIGHBOURS` largest magnitudes (V, K) of each column, or a few more.

    A column is divided into groups of one size: each g-th row is in a group, and a remainder of the rows in none. The
    `NEIGHBOURS`-th largest of the maxima of the groups is the threshold of the column, which at least `NEIGHBOURS`
    magnitudes reach. If more than `MOST_WEIGHTS` reach the threshold, because many items are alike, the column keeps
    its `NEIGHBOURS` largest.
    """
    items, width = magnitudes.shape
    most, size = min(NEIGHBOURS, items - 1), max(1, items // GROUPS)
    maxima = magnitudes[: items // size * size].reshape(size, -1, width).max(axis=0)
    thresholds = np.partition(np.ascontiguousarray(maxima.T), -most, axis=1)[:, -most]
    places = np.flatnonzero(magnitudes >= np.maximum(thresholds, np.finfo(np.float32).tiny))
    rows, columns = np.divmod(places.astype(np.int32), np.int32(width))
    for column in np.flatnonzero(np.bincount(columns) > MOST_WEIGHTS):
        entries = np.flatnonzero(columns == column)
        weakest = entries[np.argpartition(magnitudes[rows[entries], column], -most)[:-most]]
        rows, columns = np.delete(rows, weakest), np.delete(columns, weakest)
    return rows, columns
