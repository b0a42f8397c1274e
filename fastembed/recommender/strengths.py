"""The item-to-item model of a recommender, and the strengths of its two models.

B (V, V) is learned from the counts n of users. Column c of B is the ridge regression of item c on the items that are
nearest to it by the cosine (Ning & Karypis 2011), or on all others (EASE of Steck 2019). It knows the pairs of rare
items that few dimensions cannot tell apart.

Strengths: training keeps some users away, a fifth of their items is hidden, and what predicts these best is chosen.
Then both models are trained anew, with all users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Float64, Int32, column_blocks, row_ranges
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed._kernels.cooccur import product_rows, regression
from fastembed.recommender.model import FLOOR, Model, add_linked, damped, scaled_rows, totals_of
from fastembed.trainer.folding import Layer, optimal_rows

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

HIDDEN_SHARE = 0.2  # of the items of a user
# The largest number of users with hidden items: a quarter of the users, 65,536 / sqrt(items), and 1,500
HIDING_SHARE, HIDING_ROOT, MOST_HIDING = 0.25, 1 << 16, 1500
HIDDEN_LOGITS = 1 << 24  # of the users with hidden items
LEAST_HIDDEN = 200  # items, from which the strengths can be chosen
HIDDEN_EXPONENT = 0.5  # of the number of a user's hidden items, in the weight of the user
RIDGES = (0.3, 0.75, 2.0, 5.0, 12.0)
EASE_FACTORS = (1.0, 4.0, 16.0, 64.0)
SHARES = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.85, 0.92, 0.96, 1.0)  # of the item-to-item model in the product
USUAL_SHARE, MARGIN = 0.6, 0.5  # the share where hidden items tell little: less than this many standard errors
POPULARITIES = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the factor of the bias that the nll chooses
CHOICE_TOLERANCE = 1e-2  # of the rows of users: see `optimal_rows`
DEPTH = 100  # of the NDCG
FOUND = 10  # best items, among which users look for the hidden ones
PRIOR = 3.0  # precision of the factors about 1; the weight of a hidden item is 1 at most
LEAST_FACTOR = 0.05  # below 0, what nobody takes would be first for users of whose items nothing is known
NEWTON_STEPS = 12


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
    kept, item_rows = _most_frequent(n)
    begins, ends, diagonals, ids, g = _products(item_rows, pool)
    norms = np.sqrt(g[diagonals])
    g[diagonals] += RIDGE_FACTOR * np.sqrt(item_rows @ np.ones(n.shape[0], np.float32))
    starts = range(0, len(kept), COLUMNS)
    most = min(FEW_NEIGHBOURS if few else NEIGHBOURS, round(PER_ROOT * n.shape[0] ** 0.5))
    neighbours = np.minimum(PER_USER * np.diff(item_rows.indptr), most).tolist()
    task_columns: list[list[tuple[Int32, Float32]]] = [[] for _ in starts]

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
            task_columns[k].append((nearest, counts))

    pool.run(solve, len(starts))
    ids, g = np.empty(0, np.int32), np.empty(0, np.float32)  # B takes as much
    columns = [column for part in task_columns for column in part]
    lengths = [len(rows) for rows, _ in columns]
    rows, data = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    pairs = kept[rows].astype(np.int32), np.repeat(kept, lengths).astype(np.int32)
    return sparse.csr_array((data, pairs), (items, items))


def _most_frequent(n: Any) -> tuple[NDArray[np.intp], Any]:
    """Return the most frequent items, of which at most `MOST_PAIRS` pairs occur, and their rows of n^T, csr (K, U)."""
    users = np.bincount(n.indices, minlength=n.shape[1])
    order = np.argsort(-users, kind="stable")[: np.count_nonzero(users)]
    item_rows = n[:, order].T.tocsr()
    ranked = item_rows.T.tocsr()
    before = np.arange(n.nnz, dtype=np.int32) - np.repeat(ranked.indptr[:-1], np.diff(ranked.indptr))
    pairs = np.cumsum(np.bincount(ranked.indices, 2 * before + 1))  # of the first item, of two, and so on
    most = np.count_nonzero(np.minimum(np.arange(1.0, len(order) + 1) ** 2, pairs) <= MOST_PAIRS)
    return order[:most], item_rows[:most]


def _products(item_rows: Any, pool: Pool) -> tuple[Int32, Int32, Int32, Int32, Float32]:
    """Return  G = n^T n  from n^T, csr (V, U): where rows begin and end, diagonals, columns and values."""
    n, items = item_rows.T.tocsr(), item_rows.shape[0]
    pairs = np.add.reduceat(np.diff(n.indptr)[item_rows.indices], item_rows.indptr[:-1], dtype=np.int64)
    begins = np.cumsum(np.append(0, np.minimum(pairs, items))).astype(np.int32)  # there are at most MOST_PAIRS
    ends, diagonals = np.empty(items, np.int32), np.empty(items, np.int32)
    ids, g = np.empty(begins[-1], np.int32), np.empty(begins[-1], np.float32)
    factors = item_rows.indptr, item_rows.indices, item_rows.data, n.indptr, n.indices, n.data
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
        diagonal = np.empty(len(self.roots), np.float32)  # the diagonal of M
        kernels_for("float32").quadratic_forms(self.z.indptr, self.z.indices, self.z.data, self.middle, diagonal)
        user_factors = np.ascontiguousarray(((n @ self.to_z @ self.z).toarray() @ self.middle).T)
        predictions, scales = np.empty(n.shape, np.float32), self.roots / (1 - diagonal)
        for part in self._parts(ROWS_MIRRORED):
            predictions[:, part] = (self.z[part] @ user_factors).T * scales[part]
        return predictions

    def weights(self, pool: Pool) -> Any:
        """Return B, csr (V, V): of each column the weights for which |B_ic| sqrt(f_i) is largest.

        The threshold is the least of the `NEIGHBOURS` largest maxima of groups of weights. A column of more than
        `MOST_WEIGHTS` keeps its `NEIGHBOURS` largest.
        """
        items, parts = len(self.roots), self._parts(EASE_COLUMNS)
        z = column_blocks(sparse.csr_array(sparse.diags_array(self.roots) @ self.z))
        most, size = min(NEIGHBOURS, items - 1), max(1, items // GROUPS)
        task_weights: list[Any] = [None] * len(parts)

        def solve(k: int) -> None:
            part = parts[k]
            item_factors = np.ascontiguousarray((self.z[part] @ self.middle).T)
            b = np.empty((items, item_factors.shape[1]), np.float32)  # columns of M, in rows times their roots
            kernels_for("float32").csr_times_dense(*z, item_factors, b, 0, items)
            roots, diagonal = self.roots[part], (np.arange(items)[part], np.arange(b.shape[1]))
            scales, b[diagonal] = roots / (1 - b[diagonal] / roots), 0
            magnitudes = np.abs(b)
            maxima = magnitudes[: items // size * size].reshape(size, -1, b.shape[1]).max(axis=0)
            least = np.partition(np.ascontiguousarray(maxima.T), -most, axis=1)[:, -most]
            places = np.flatnonzero(magnitudes >= np.maximum(least, np.finfo(np.float32).tiny))
            rows, columns = np.divmod(places.astype(np.int32), np.int32(b.shape[1]))
            for column in np.flatnonzero(np.bincount(columns) > MOST_WEIGHTS):  # of items that are alike
                alike = np.flatnonzero(columns == column)
                alike = alike[np.argpartition(magnitudes[rows[alike], column], -most)[:-most]]
                places, rows, columns = (np.delete(array, alike) for array in (places, rows, columns))
            weights = b.ravel()[places] * scales[columns] / self.roots[rows] ** 2
            task_weights[k] = weights, rows, columns + np.int32(part.start)

        pool.run(solve, len(parts))
        data, rows, columns = map(np.concatenate, zip(*task_weights, strict=True))
        return sparse.csr_array((data, (rows, columns)), (items, items))


# ---------------------------------------------------------------- strengths


def hiding(n: Any, seed: int) -> tuple[Any, Any, Any] | None:
    """Return n without the rows of some users, and the seen and the hidden items of these; None if they are too few.

    Training does not see their other items either: W is made to fit those of its users, so that it would not tell how
    much the row of a new user must be held back.
    """
    rng = np.random.default_rng(seed)
    sizes = np.diff(n.indptr)
    able = np.flatnonzero(sizes >= 2)
    most = most_hiding(len(able), n.shape[1])
    if most < 1:
        return None
    chosen = np.sort(rng.choice(able, most, replace=False))
    part = n[chosen]
    mask = np.zeros(part.nnz, bool)
    for first, last in zip(part.indptr[:-1], part.indptr[1:], strict=True):
        places = np.arange(first, last)
        mask[rng.choice(places, max(1, round(HIDDEN_SHARE * len(places))), replace=False)] = True
    if np.count_nonzero(mask) < LEAST_HIDDEN:
        return None
    others = ~np.isin(np.arange(n.shape[0]), chosen)
    return _entries(n, np.repeat(others, sizes)), _entries(part, ~mask), _entries(part, mask)


def most_hiding(users: int, items: int) -> int:
    """Return of how many users items are hidden at most, of so many with two items or more."""
    return min(MOST_HIDING, int(HIDING_ROOT / items**0.5), HIDDEN_LOGITS // items, round(HIDING_SHARE * users))


def _entries(n: Any, mask: NDArray[np.bool_]) -> Any:
    """Return n with the entries in the mask alone; its indices have the dtype of those of n."""
    ends = np.zeros(len(mask) + 1, n.indptr.dtype)
    np.cumsum(mask, out=ends[1:])
    return sparse.csr_array((n.data[mask], n.indices[mask], ends[n.indptr]), shape=n.shape)


def select(
    model: Model, shown: Any, seen: Any, hidden: Any, pool: Pool
) -> tuple[dict[str, Any], float, dict[str, float]]:
    """Return the ridge and the factors that predict the hidden items of users best, and the factor of `Ease`, or 0.

    Also the shares of these items that are among the ten best: by the models, and by popularity.

    Each of the two models is calibrated by two factors, of the bias and of its own logits: those with the lowest nll.
    The ridge, and the share of each model in their product, are those that rank the hidden items best (NDCG): the nll
    says more of the many items that nobody could have predicted. Of the shares that lose no more than half a standard
    error to the best, the one nearest to `USUAL_SHARE` is taken. The ridges are tried from the middle one on, as long
    as they become better, with shares that are next to the best so far. So are the factors of `Ease`, where users or
    items are few enough; it takes the place of the nearest items if it is better. Then a share of the weight of
    popularity is chosen, which the nll wants for the items that nothing links, and once more that of each model: with
    less popularity, more is left to what links items. At last the product is calibrated, which does not change the
    order, by the hidden items that others, those `shown`, have: once training has all users, hardly any item is without
    one.
    """
    users, n, bias = _Hidden(seen, hidden), damped(seen, model), model.bias
    rows: Float32 | None = None

    def calibrate(logits: Float32, start: Float64) -> Float64:  # in place
        factors = users.calibrated(np.broadcast_to(bias, logits.shape), logits, start)
        logits[:] = np.float32(factors[1]) * logits + np.float32(factors[0]) * bias
        return factors

    linked = np.zeros(seen.shape, np.float32)
    add_linked(seen, model, 1, linked)
    linked_factors = calibrate(linked, np.ones(2))

    def near(best: _Tried | None, width: int = 1) -> range:
        return range(len(SHARES))[max(0, best.share - width) if best else 0 : best.share + width + 1 if best else None]

    def with_ridge(ridge: float, best: _Tried | None) -> _Tried:
        nonlocal rows  # those of the ridge before are near
        rows = optimal_rows(n, Layer(model.linear, model.bias, ridge), pool, CHOICE_TOLERANCE, rows)[0]
        low_rank = rows @ model.linear
        factors = calibrate(low_rank, np.ones(2) if best is None else best.factors)
        return _Tried(ridge, factors, low_rank, *users.best_share(low_rank, linked, near(best)))

    def with_ease(factor: float, best: _Tried | None) -> _Tried:
        predicted = np.log1p(np.maximum(Ease(others, factor).predicted(seen), 0) / np.float32(FLOOR))
        factors = calibrate(predicted, linked_factors if best is None else best.factors)
        return _Tried(factor, factors, predicted, *users.best_share(low.logits, predicted, near(best)))

    def with_popularity(popularity: float, best: _Tried | None) -> _Tried:
        less = popularity - 1
        parts = [tried.logits + np.float32(less * tried.factors[0]) * bias for tried in (low, second)]
        number, ndcg = users.best_share(parts[0], parts[1], near(best, 2))
        share = SHARES[number]
        factors = (1 - share) * np.append(low.factors, 0) + share * np.insert(second.factors, 1, 0)
        factors[0] *= popularity
        for part, weight in zip(parts, (1 - share, share), strict=True):
            part *= np.float32(weight)
        parts[0] += parts[1]
        return _Tried(popularity, factors, parts[0], number, ndcg)

    low = _climbed(RIDGES, with_ridge)
    second = _Tried(0.0, linked_factors, linked, low.share, low.ndcg)
    if ease_fits(*shown.shape):
        others = without_heavy(shown)
        second = max(second, _climbed(EASE_FACTORS, with_ease, low.ndcg), key=lambda tried: tried.ndcg)
    best = _climbed(POPULARITIES, with_popularity)
    hidden, nothing = _entries(hidden, np.isin(hidden.indices, shown.indices)), np.zeros_like(bias)
    scale = _Hidden(seen, hidden).calibrated(np.broadcast_to(nothing, hidden.shape), best.logits, np.ones(2))[1]
    popular = np.broadcast_to(bias, best.logits.shape).copy()
    hits = {"found": users.hit_share(best.logits), "found_by_popularity": users.hit_share(popular)}
    return {"ridge": low.value, "factors": (scale * best.factors).astype(np.float32)}, second.value, hits


@dataclass(frozen=True)
class _Tried:
    """A strength of a model: the factors that calibrate it, its logits (N, V), and the number of the best share."""

    value: float
    factors: Float64
    logits: Float32
    share: int
    ndcg: float


def _climbed(values: Sequence[float], tried: Callable[[float, _Tried | None], _Tried], least: float = 0) -> _Tried:
    """Return the best of some values, tried from the middle one down, or else up, as long as they become better.

    If the NDCG of the middle value is below `least`, no other value is tried.
    """
    middle = len(values) // 2
    first = best = tried(values[middle], None)
    for others in (values[:middle][::-1], values[middle + 1 :]):
        for value in others if best is first and best.ndcg >= least else ():
            other = tried(value, best)
            if other.ndcg <= best.ndcg:
                break
            best = other
    return best


class _Hidden:
    """Some users with their seen and their hidden items, csr (N, V): how well logits (N, V) predict the hidden ones.

    Items that a user has seen are not candidates. A hidden item of a user with k of them has the weight k^-t.
    """

    def __init__(self, seen: Any, hidden: Any) -> None:
        sizes = np.diff(hidden.indptr)
        self._weights = sizes ** (1 - HIDDEN_EXPONENT)
        self._ideal = np.cumsum(1 / np.log2(np.arange(2, DEPTH + 2)))[np.minimum(sizes, DEPTH) - 1]
        self._seen = seen.indptr, seen.indices, np.empty(seen.shape[1], np.float32)
        self._hidden = hidden.indptr, hidden.indices
        self._entries = np.repeat(np.arange(len(sizes)), sizes), hidden.indices
        self._entry_weights = np.repeat(self._weights / np.maximum(sizes, 1), sizes)

    def calibrated(self, first: Float32, second: Float32, start: Float64) -> Float64:
        """Return the factors f and g with the lowest weighted nll of  f first + g second,  by projected Newton steps.

        A prior with the mean 1 keeps the factors near 1 where hidden items are few. `LEAST_FACTOR` is the lower bound.

        Parameters
        ----------
        first, second : ndarray (N, V)
        start : ndarray (2,)
            The first factors.
        """
        hidden = np.array([first[self._entries], second[self._entries]], np.float64)
        factors, (nll, gradient, hessian) = start, self._nll(first, second, hidden, start)
        for _ in range(NEWTON_STEPS):
            free = (factors > LEAST_FACTOR) | (gradient < 0)
            step = np.zeros_like(factors)
            step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
            after = np.maximum(factors - step, LEAST_FACTOR)
            if gradient @ (factors - after) < 2e-5:
                return after
            while (tried := self._nll(first, second, hidden, after))[0] > nll and np.abs(step).max() >= 1e-6:
                step = step / 2
                after = np.maximum(factors - step, LEAST_FACTOR)
            factors, (nll, gradient, hessian) = after, tried
        return factors

    def _nll(
        self, first: Float32, second: Float32, hidden: Float64, factors: Float64
    ) -> tuple[float, Float64, Float64]:
        """Return the negative log posterior per unit of weight, its gradient (2,) and its Hessian (2, 2)."""
        moments = np.empty((len(self._weights), 6))
        kernels_for("float32").mixture_moments(first, second, *factors, *self._seen, moments)
        log_sums, means, squares = self._weights @ moments[:, 0], moments[:, 1:3], self._weights @ moments[:, 3:]
        weighted = self._weights[:, None] * means
        nll = log_sums - self._entry_weights @ (factors @ hidden) + PRIOR / 2 * ((factors - 1) ** 2).sum()
        gradient = weighted.sum(axis=0) - hidden @ self._entry_weights + PRIOR * (factors - 1)
        hessian = squares[[[0, 1], [1, 2]]] - weighted.T @ means + PRIOR * np.eye(2)
        total = max(self._weights.sum(), 1)
        return float(nll / total), gradient / total, hessian / total

    def best_share(self, first: Float32, second: Float32, shares: range) -> tuple[int, float]:
        """Return the number of a share of `second`, beside `first`, and the highest NDCG.

        Among the shares within half a standard error of the highest NDCG, it is the nearest to `USUAL_SHARE`.
        """
        ndcg = {k: self.ndcg(first, second, SHARES[k]) for k in shares}
        best = max(ndcg.values(), key=np.mean)
        losses = {k: best - gains for k, gains in ndcg.items()}
        near = [k for k, loss in losses.items() if loss.mean() <= MARGIN * loss.std() / len(loss) ** 0.5]
        return min(near, key=lambda k: abs(SHARES[k] - USUAL_SHARE)), float(best.mean())

    def ndcg(self, first: Float32, second: Float32, share: float) -> Float64:
        """Return the NDCG at `DEPTH` (N,), among the items that a user has not seen, with a share of `second`."""
        above = self._ranks(first, second, share)
        gains = np.bincount(self._entries[0], (above < DEPTH) / np.log2(above + 2), len(self._ideal))
        return gains / self._ideal

    def hit_share(self, logits: Float32) -> float:
        """Return the share of the hidden items that are among the best `FOUND`."""
        return float((self._ranks(logits, logits, 0) < FOUND).mean())

    def _ranks(self, first: Float32, second: Float32, share: float) -> Int32:
        """Return how many unseen items are above each hidden one, with a share of `second`."""
        above = np.empty(len(self._entry_weights), np.int32)
        kernels_for("float32").mixture_ranks(first, second, 1 - share, share, *self._seen, *self._hidden, above)
        return above
