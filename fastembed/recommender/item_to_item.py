"""The item-to-item model of a recommender: B (V, V), from the counts n of users.

Column c of B is the ridge regression of item c on the items that are nearest to it by the cosine (Ning & Karypis 2011),
or on all others (EASE of Steck 2019). It knows the pairs of rare items that few dimensions cannot tell apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Int32, column_blocks, row_ranges
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed._kernels.cooccur import product_rows, regression
from fastembed.recommender.scoring import scaled_rows, totals_of

# The largest number of neighbours of an item: times the users of the item, times the root of all users, and in any case
PER_USER, PER_ROOT, NEIGHBOURS = 32, 5, 300
FEW_NEIGHBOURS = 64  # in any case, of the model that is trained again once its strengths are chosen
RIDGE_FACTOR = 16.0
MOST_EASE, MOST_EASE_ITEMS = 4096, 24576  # users or items, the fewer of both, and items
MOST_PAIRS = 1 << 26  # of items whose counts are in memory
MOST_WEIGHTS = 400  # of a column; usually there are 300 to 350
GROUPS = 1200  # of the weights of a column
PAIRS_PER_TASK = 1 << 23  # of G
ROWS_MIRRORED = 256  # of the inverse, at a time
COLUMNS, EASE_COLUMNS = 32, 64  # of B per task
HEAVY, MOST_HEAVY, DAMPING = 4, 400, 0.25  # times the median sum of counts; the power of their ratio


def item_to_item(n: Any, ease: float, pool: Pool, *, few: bool = False) -> Any:
    """Return B, csr (V, V), by `Ease` with a factor; of the nearest items if that is 0, or the data too large."""
    n = without_heavy(n)
    b = Ease(n, ease).weights(pool) if ease and ease_fits(*n.shape) else None
    return b if b is not None and b.nnz else item_weights(n, pool, few=few)


def without_heavy(n: Any) -> Any:
    """Return n with the rows of heavy users times  (n_u / 4 m)^(-t/2),  so that they count less in n^T n, the pairs.

    Users with more than `MOST_HEAVY` m are left out: they may have most pairs.
    """
    totals = totals_of(n)
    ratios = totals / np.median(totals[totals > 0])
    kept = ratios <= MOST_HEAVY
    n = n if kept.all() else n[kept]
    return scaled_rows(n, np.maximum(1, ratios[kept] / HEAVY) ** -DAMPING)


def item_weights(n: Any, pool: Pool, *, few: bool = False) -> Any:
    """Return B, csr (V, V): column c solves  (G + Λ) B_c = G_c  for the nearest items of c, with G = n^T n.

    The nearest are those with the highest cosine; fewer for an item of few users. Λ is diagonal,  λ_i = 16 sqrt(f_i),
    f the column sums: the standard error of a count f is sqrt(f). If the counts of all pairs do not fit in memory, only
    the most frequent items have a column. With `few`, an item has 64 neighbours at most: enough to choose strengths.
    """
    items = n.shape[1]
    kept, of_items = _most_frequent(n)
    begins, ends, diagonals, ids, g = _products(of_items, pool)
    norms = np.sqrt(g[diagonals])
    g[diagonals] += RIDGE_FACTOR * np.sqrt(of_items @ np.ones(n.shape[0], np.float32))
    starts = range(0, len(kept), COLUMNS)
    most = min(FEW_NEIGHBOURS if few else NEIGHBOURS, round(PER_ROOT * n.shape[0] ** 0.5))
    neighbours = np.minimum(PER_USER * np.diff(of_items.indptr), most).tolist()
    found: list[list[tuple[Int32, Float32]]] = [[] for _ in starts]

    def solve(k: int) -> None:
        places, hits = np.full(len(kept), -1, np.int32), np.empty(len(kept), np.int32)
        system, scratch = np.empty(most**2, np.float32), np.empty((3, most), np.float32)
        for c in range(starts[k], min(starts[k] + COLUMNS, len(kept))):
            row = slice(begins[c], ends[c])
            closeness = g[row] / norms[ids[row]]
            closeness[diagonals[c] - begins[c]] = 0  # an item is not its own neighbour
            count = min(neighbours[c], len(closeness) - 1)
            chosen = np.argpartition(closeness, -count)[-count:] if count else np.zeros(0, np.intp)
            chosen.sort()
            nearest, counts = ids[row][chosen], g[row][chosen]
            if count:
                regression(begins, diagonals, ids, g, nearest, places, system, scratch, hits, counts)
            found[k].append((nearest, counts))

    pool.run(solve, len(starts))
    ids, g = np.empty(0, np.int32), np.empty(0, np.float32)  # B takes as much
    columns = [column for part in found for column in part]
    lengths = [len(rows) for rows, _ in columns]
    rows, data = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    pairs = kept[rows].astype(np.int32), np.repeat(kept, lengths).astype(np.int32)
    return sparse.csr_array((data, pairs), (items, items))


def _most_frequent(n: Any) -> tuple[NDArray[np.intp], Any]:
    """Return the most frequent items, of which at most `MOST_PAIRS` pairs occur, and their rows of n^T, csr (K, U)."""
    users = np.bincount(n.indices, minlength=n.shape[1])
    order = np.argsort(-users, kind="stable")[: np.count_nonzero(users)]
    of_items = n[:, order].T.tocsr()
    ranked = of_items.T.tocsr()
    before = np.arange(n.nnz, dtype=np.int32) - np.repeat(ranked.indptr[:-1], np.diff(ranked.indptr))
    pairs = np.cumsum(np.bincount(ranked.indices, 2 * before + 1))  # of the first item, of two, and so on
    most = np.count_nonzero(np.minimum(np.arange(1.0, len(order) + 1) ** 2, pairs) <= MOST_PAIRS)
    return order[:most], of_items[:most]


def _products(of_items: Any, pool: Pool) -> tuple[Int32, Int32, Int32, Int32, Float32]:
    """Return  G = n^T n  from n^T, csr (V, U): where rows begin and end, diagonals, columns and values."""
    n, items = of_items.T.tocsr(), of_items.shape[0]
    pairs = np.add.reduceat(np.diff(n.indptr)[of_items.indices], of_items.indptr[:-1], dtype=np.int64)
    begins = np.cumsum(np.append(0, np.minimum(pairs, items))).astype(np.int32)  # there are at most MOST_PAIRS
    ends, diagonals = np.empty(items, np.int32), np.empty(items, np.int32)
    ids, g = np.empty(begins[-1], np.int32), np.empty(begins[-1], np.float32)
    factors = of_items.indptr, of_items.indices, of_items.data, n.indptr, n.indices, n.data
    ranges, words = row_ranges(pairs, PAIRS_PER_TASK), -(-items // 64)

    def fill(k: int) -> None:
        scratch = np.zeros(items, np.float32), np.empty(items + 1, np.int32)
        present = np.zeros(words, np.uint64), np.zeros(-(-words // 64), np.uint64)
        product_rows(*factors, *ranges[k], *scratch, *present, begins, ends, diagonals, ids, g)

    pool.run(fill, len(ranges))
    return begins, ends, diagonals, ids, g


def ease_fits(users: int, items: int) -> bool:
    """Return whether the inverse of `Ease` is small enough to be tried."""
    return min(users, items) <= MOST_EASE and items <= MOST_EASE_ITEMS


class Ease:
    """The regression of each item on all others (Steck 2019), with the ridges  λ_i = factor sqrt(f_i).

    With  Z = n Λ^(-1/2)  and  M = I - (Z^T Z + I)^-1 = Z^T (Z Z^T + I)^-1 Z:  B_ic = M_ic sqrt(λ_c / λ_i) / (1 - M_cc).
    The inverse is that of the items or of the users, whichever are fewer. Where rounding lets it fail, B is 0.
    """

    def __init__(self, n: Any, factor: float) -> None:
        from scipy.linalg import lapack  # here, since its import takes half as long as all others together

        frequency = np.asarray(n.sum(axis=0), np.float64).ravel()
        self.roots = np.where(frequency > 0, factor * frequency**0.5, 1).astype(np.float32) ** 0.5
        self.to_z = sparse.diags_array(1 / self.roots)
        z = sparse.csr_array(n[np.diff(n.indptr) > 0] @ self.to_z)
        self.by_users = z.shape[0] < z.shape[1]
        system = (z @ z.T if self.by_users else z.T @ z).toarray()
        system[np.diag_indices(len(system))] += 1
        factors, indefinite = lapack.spotrf(system.T, lower=True, overwrite_a=True)
        inverse, singular = lapack.spotri(factors, lower=True, overwrite_c=True)
        inverse = inverse.T  # its upper triangle
        for first in range(0, len(inverse), ROWS_MIRRORED):
            part, after = slice(first, first + ROWS_MIRRORED), slice(first + ROWS_MIRRORED, None)
            inverse[part, part] = np.triu(inverse[part, part]) + np.triu(inverse[part, part], 1).T
            inverse[after, part] = inverse[part, after].T
        self.z = z.T.tocsr() if self.by_users else sparse.eye_array(len(frequency), dtype=np.float32, format="csr")
        if not self.by_users:
            np.negative(inverse, out=inverse)
            inverse[np.diag_indices(len(inverse))] += 1
        if indefinite or singular:
            inverse[:] = 0
        self.middle = inverse  # M = z middle z^T

    def _parts(self, size: int) -> list[slice]:
        return [slice(first, first + size) for first in range(0, len(self.roots), size)]

    def predicted(self, n: Any) -> Float32:
        """Return n B (N, V) of users with the counts n, csr (N, V): of the items that they do not have."""
        own = np.empty(len(self.roots), np.float32)  # the diagonal of M
        kernels_for("float32").quadratic_forms(self.z.indptr, self.z.indices, self.z.data, self.middle, own)
        of_users = np.ascontiguousarray(((n @ self.to_z @ self.z).toarray() @ self.middle).T)
        found, scales = np.empty(n.shape, np.float32), self.roots / (1 - own)
        for part in self._parts(ROWS_MIRRORED):
            found[:, part] = (self.z[part] @ of_users).T * scales[part]
        return found

    def weights(self, pool: Pool) -> Any:
        """Return B, csr (V, V): of each column the weights for which |B_ic| sqrt(f_i) is largest.

        They are those that are not below the least of the largest of some groups of them: `MOST_WEIGHTS` at most, or
        `NEIGHBOURS`.
        """
        items, parts = len(self.roots), self._parts(EASE_COLUMNS)
        z = column_blocks(sparse.csr_array(sparse.diags_array(self.roots) @ self.z))
        most, size = min(NEIGHBOURS, items - 1), max(1, items // GROUPS)
        found: list[Any] = [None] * len(parts)

        def solve(k: int) -> None:
            part = parts[k]
            of_users = np.ascontiguousarray((self.z[part] @ self.middle).T)
            b = np.empty((items, of_users.shape[1]), np.float32)  # columns of M, in rows times their roots
            kernels_for("float32").csr_times_dense(*z, of_users, b, 0, items)
            roots, own = self.roots[part], (np.arange(items)[part], np.arange(b.shape[1]))
            scales, b[own] = roots / (1 - b[own] / roots), 0
            magnitudes = np.abs(b)
            maxima = magnitudes[: items // size * size].reshape(size, -1, b.shape[1]).max(axis=0)
            least = np.partition(np.ascontiguousarray(maxima.T), -most, axis=1)[:, -most]
            places = np.flatnonzero(magnitudes >= np.maximum(least, np.finfo(np.float32).tiny))
            rows, columns = np.divmod(places.astype(np.int32), np.int32(b.shape[1]))
            for column in np.flatnonzero(np.bincount(columns) > MOST_WEIGHTS):  # of items that are alike
                alike = np.flatnonzero(columns == column)
                alike = alike[np.argpartition(magnitudes[rows[alike], column], -most)[:-most]]
                places, rows, columns = (np.delete(each, alike) for each in (places, rows, columns))
            weights = b.ravel()[places] * scales[columns] / self.roots[rows] ** 2
            found[k] = weights, rows, columns + np.int32(part.start)

        pool.run(solve, len(parts))
        data, rows, columns = map(np.concatenate, zip(*found, strict=True))
        return sparse.csr_array((data, (rows, columns)), (items, items))


def ends_of(n: Any, mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Return where the rows of n begin and end among the entries in the mask, (N + 1,), of the dtype of `n.indptr`."""
    ends = np.zeros(len(mask) + 1, n.indptr.dtype)
    np.cumsum(mask, out=ends[1:])
    return ends[n.indptr]
