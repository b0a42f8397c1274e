"""The strengths of a recommender's two models: those that predict hidden items of users best.

Training keeps some users away, a fifth of their items is hidden, and what predicts these best is chosen. Then both
models are trained anew, with all users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Float64
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed.recommender.item_to_item import Ease, ease_fits, ends_of, without_heavy
from fastembed.recommender.scoring import FLOOR, Model, add_linked, damped
from fastembed.trainer.folding import optimal_rows

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
PRIOR = 3.0  # precision of the factors about 1; the weight of a hidden item is 1 at most
LEAST_FACTOR = 0.05  # below 0, what nobody takes would be first for users of whose items nothing is known
NEWTON_STEPS = 12


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
    return sparse.csr_array((n.data[mask], n.indices[mask], ends_of(n, mask)), shape=n.shape)


def select(model: Model, shown: Any, seen: Any, hidden: Any, pool: Pool) -> tuple[dict[str, Any], float]:
    """Return the ridge and the factors that predict the hidden items of users best, and the factor of `Ease`, or 0.

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
    of_linked = calibrate(linked, np.ones(2))

    def near(best: _Tried | None, width: int = 1) -> range:
        return range(len(SHARES))[max(0, best.share - width) if best else 0 : best.share + width + 1 if best else None]

    def with_ridge(ridge: float, best: _Tried | None) -> _Tried:
        nonlocal rows  # those of the ridge before are near
        rows = optimal_rows(n, model.linear, model.bias, ridge, pool, CHOICE_TOLERANCE, rows)[0]
        low_rank = rows @ model.linear
        factors = calibrate(low_rank, np.ones(2) if best is None else best.factors)
        return _Tried(ridge, factors, low_rank, *users.best_share(low_rank, linked, near(best)))

    def with_ease(factor: float, best: _Tried | None) -> _Tried:
        predicted = np.log1p(np.maximum(Ease(others, factor).predicted(seen), 0) / np.float32(FLOOR))
        factors = calibrate(predicted, of_linked if best is None else best.factors)
        return _Tried(factor, factors, predicted, *users.best_share(low.logits, predicted, near(best)))

    def with_popularity(popularity: float, best: _Tried | None) -> _Tried:
        less = popularity - 1
        parts = [each.logits + np.float32(less * each.factors[0]) * bias for each in (low, second)]
        number, ndcg = users.best_share(parts[0], parts[1], near(best, 2))
        share = SHARES[number]
        factors = (1 - share) * np.append(low.factors, 0) + share * np.insert(second.factors, 1, 0)
        factors[0] *= popularity
        for part, of_part in zip(parts, (1 - share, share), strict=True):
            part *= np.float32(of_part)
        parts[0] += parts[1]
        return _Tried(popularity, factors, parts[0], number, ndcg)

    low = _climbed(RIDGES, with_ridge)
    second = _Tried(0.0, of_linked, linked, low.share, low.ndcg)
    if ease_fits(*shown.shape):
        others = without_heavy(shown)
        second = max(second, _climbed(EASE_FACTORS, with_ease, low.ndcg), key=lambda tried: tried.ndcg)
    best = _climbed(POPULARITIES, with_popularity)
    hidden, nothing = _entries(hidden, np.isin(hidden.indices, shown.indices)), np.zeros_like(bias)
    scale = _Hidden(seen, hidden).calibrated(np.broadcast_to(nothing, hidden.shape), best.logits, np.ones(2))[1]
    return {"ridge": low.value, "factors": (scale * best.factors).astype(np.float32)}, second.value


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

    If the NDCG of the middle one is below the least, no other is tried.
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
        self._of_seen = seen.indptr, seen.indices, np.empty(seen.shape[1], np.float32)
        self._of_hidden = hidden.indptr, hidden.indices
        self._entries = np.repeat(np.arange(len(sizes)), sizes), hidden.indices
        self._entry_weights = np.repeat(self._weights / np.maximum(sizes, 1), sizes)

    def calibrated(self, first: Float32, second: Float32, start: Float64) -> Float64:
        """Return the factors f and g with the lowest weighted nll of  f first + g second,  by projected Newton steps.

        A prior with the mean 1 keeps them near it where hidden items are few. None is below `LEAST_FACTOR`.

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
        """Return the nll and that of the prior, per weight, its gradient (2,) and its Hessian (2, 2)."""
        moments = np.empty((len(self._weights), 6))
        kernels_for("float32").mixture_moments(first, second, *factors, *self._of_seen, moments)
        log_sums, means, squares = self._weights @ moments[:, 0], moments[:, 1:3], self._weights @ moments[:, 3:]
        weighted = self._weights[:, None] * means
        nll = log_sums - self._entry_weights @ (factors @ hidden) + PRIOR / 2 * ((factors - 1) ** 2).sum()
        gradient = weighted.sum(axis=0) - hidden @ self._entry_weights + PRIOR * (factors - 1)
        hessian = squares[[[0, 1], [1, 2]]] - weighted.T @ means + PRIOR * np.eye(2)
        total = max(self._weights.sum(), 1)
        return float(nll / total), gradient / total, hessian / total

    def best_share(self, first: Float32, second: Float32, shares: range) -> tuple[int, float]:
        """Return the number of a share of `second`, beside `first`, and the highest NDCG.

        Of the shares that lose no more than half a standard error to that, it is the one nearest to the usual one.
        """
        ndcg = {k: self.ndcg(first, second, SHARES[k]) for k in shares}
        best = max(ndcg.values(), key=np.mean)
        losses = {k: best - each for k, each in ndcg.items()}
        near = [k for k, loss in losses.items() if loss.mean() <= MARGIN * loss.std() / len(loss) ** 0.5]
        return min(near, key=lambda k: abs(SHARES[k] - USUAL_SHARE)), float(best.mean())

    def ndcg(self, first: Float32, second: Float32, share: float) -> Float64:
        """Return the NDCG at `DEPTH` (N,), among the items that a user has not seen, with a share of `second`."""
        above = np.empty(len(self._entry_weights), np.int32)
        kernels_for("float32").mixture_ranks(first, second, 1 - share, share, *self._of_seen, *self._of_hidden, above)
        gains = np.bincount(self._entries[0], (above < DEPTH) / np.log2(above + 2), len(self._ideal))
        return gains / self._ideal
