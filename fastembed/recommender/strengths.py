"""The strengths of the two models of a recommender, chosen by hidden items of users whom training has not seen.

    log p(c | u) = a b_c + g d_u W_c + h log(1 + max(0, (n_u B)_c) / floor) - log Z_u

The strengths are the ridge of the rows d_u, the factor of EASE in B, and a, g and h. Each model is *calibrated* alone:
a and its factor minimise the nll of the hidden items. The ridge, the factor of EASE, the share of each model in the
product, and the share of a that stays maximise the NDCG of the hidden items: the nll says more of the many items that
nobody could have predicted.

`choose_strengths` has the steps, `Search` the logits of each candidate, and `HiddenItems` says how well they predict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Float64, Int32
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed.recommender.item_to_item import Ease, ease_fits, without_heavy
from fastembed.recommender.model import FLOOR, Model, add_linked, damped
from fastembed.trainer.folding import Layer, optimal_rows

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
BEST = 10  # items, among which users look for the hidden ones
PRIOR = 3.0  # precision of the factors about 1; the weight of a hidden item is 1 at most
LEAST_FACTOR = 0.05  # below 0, what nobody takes would be first for users of whose items nothing is known
NEWTON_STEPS = 12


class Split(NamedTuple):
    """The counts n of users, divided for the choice of strengths.

    Attributes
    ----------
    training : csr_array (U, V)
        n, without the rows of N users.
    seen, hidden : csr_array (N, V)
        The rows of these users: the items that predict, and the items to predict.
    """

    training: Any
    seen: Any
    hidden: Any


class Strengths(NamedTuple):
    """What hidden items have chosen.

    Attributes
    ----------
    ridge : float
        Of the rows of users.
    ease : float
        The factor of EASE; 0 for the nearest items.
    factors : ndarray of float32 (3,)
        a, g and h.
    hits : dict of str to float
        For the record of the last epoch: the shares of the hidden items that are among the ten best, by the models and
        by popularity.
    """

    ridge: float
    ease: float
    factors: Float32
    hits: dict[str, float]


class Calibrated(NamedTuple):
    """A calibrated model, or the product of both.

    Attributes
    ----------
    factors : ndarray (2,) or (3,)
        Of b and of the model's own logits; or a, g and h of the product.
    logits : ndarray of float32 (N, V)
        The sum of b and the own logits, times their factors.
    """

    factors: Float64
    logits: Float32


class Candidate(NamedTuple):
    """A value of a strength, and what follows from it.

    Attributes
    ----------
    value : float
    model : Calibrated
    share : int
        The number in `SHARES` of the best share of the item-to-item model in the product.
    ndcg : float
        Of the product with this share.
    """

    value: float
    model: Calibrated
    share: int
    ndcg: float


CandidateOf = Callable[[float, Candidate | None], Candidate]  # of a value and the best candidate so far, if any


# ---------------------------------------------------------------- hidden items


def hide_items(n: Any, seed: int) -> Split | None:
    """Return counts without some users, a fifth of whose items is hidden; None if fewer than 200 items would be hidden.

    Training sees no item of these users: W fits the users of training, and would not tell how much the row of a new
    user must be held back.
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
    return Split(_entries(n, np.repeat(others, sizes)), _entries(part, ~mask), _entries(part, mask))


def most_hiding(users: int, items: int) -> int:
    """Return the largest number of users with hidden items, if so many `users` have two items or more."""
    return min(MOST_HIDING, int(HIDING_ROOT / items**0.5), HIDDEN_LOGITS // items, round(HIDING_SHARE * users))


def _entries(n: Any, mask: NDArray[np.bool_]) -> Any:
    """Return n with the entries in the mask alone; its indices have the dtype of the indices of n."""
    ends = np.zeros(len(mask) + 1, n.indptr.dtype)
    np.cumsum(mask, out=ends[1:])
    return sparse.csr_array((n.data[mask], n.indices[mask], ends[n.indptr]), shape=n.shape)


# ---------------------------------------------------------------- the search


def choose_strengths(model: Model, split: Split, pool: Pool) -> Strengths:
    """Return the strengths that predict the hidden items of a split best.

    Parameters
    ----------
    model : Model
        W and B, learned from ``split.training``.
    split : Split
    pool : Pool
    """
    search, ease = Search(model, split, pool), 0.0
    best = climb(RIDGES, search.with_ridge)
    ridge, search.low_rank = best.value, best.model
    if ease_fits(*split.training.shape):
        search.ease = Ease(without_heavy(split.training))
        other = climb(EASE_FACTORS, search.with_ease, best.ndcg)
        if other.ndcg > best.ndcg:
            ease, search.linked = other.value, other.model
    product = climb(POPULARITIES, search.with_popularity).model
    factors = (search.scale(product) * product.factors).astype(np.float32)
    return Strengths(ridge, ease, factors, search.hits(product))


def climb(values: Sequence[float], candidate: CandidateOf, least: float = 0.0) -> Candidate:
    """Return the best candidate by a climb from the middle value: down, or else up, as long as the NDCG rises.

    If the NDCG of the middle value is below `least`, no other value is tried.
    """
    middle = len(values) // 2
    start = candidate(values[middle], None)
    if start.ndcg < least:
        return start
    lower = _last_rise(start, values[:middle][::-1], candidate)
    return lower if lower is not start else _last_rise(start, values[middle + 1 :], candidate)


def _last_rise(best: Candidate, values: Sequence[float], candidate: CandidateOf) -> Candidate:
    """Return the last candidate, from `best` over the values on, up to which the NDCG rises."""
    for value in values:
        following = candidate(value, best)
        if following.ndcg <= best.ndcg:
            break
        best = following
    return best


class Search:
    """The candidates for each strength, by the hidden items of a split.

    Attributes
    ----------
    linked : Calibrated
        The item-to-item model: B of the nearest items, until EASE is better.
    low_rank : Calibrated
        The low-rank model, once its ridge is chosen.
    ease : Ease
        Of the users of training, once EASE is tried.
    """

    low_rank: Calibrated
    ease: Ease

    def __init__(self, model: Model, split: Split, pool: Pool) -> None:
        self._model, self._split, self._pool = model, split, pool
        self._users = HiddenItems(split.seen, split.hidden)
        self._damped = damped(split.seen, model)
        self._rows: Float32 | None = None  # of the users by the last ridge: the rows by the next ridge are near
        logits = np.zeros(split.seen.shape, np.float32)
        add_linked(split.seen, model, 1, logits)
        self.linked = self._calibrated(logits, np.ones(2))

    def with_ridge(self, ridge: float, best: Candidate | None) -> Candidate:
        """Return the low-rank model with a ridge."""
        layer = Layer(self._model.linear, self._model.bias, ridge)
        self._rows = optimal_rows(self._damped, layer, self._pool, CHOICE_TOLERANCE, self._rows)[0]
        start = np.ones(2) if best is None else best.model.factors
        model = self._calibrated(self._rows @ self._model.linear, start)
        share, ndcg = self._users.best_share(model.logits, self.linked.logits, shares_near(best, 1))
        return Candidate(ridge, model, share, ndcg)

    def with_ease(self, factor: float, best: Candidate | None) -> Candidate:
        """Return the item-to-item model of EASE with a factor."""
        predicted = self.ease.predicted(self._split.seen, factor)
        start = self.linked.factors if best is None else best.model.factors
        model = self._calibrated(np.log1p(np.maximum(predicted, 0) / np.float32(FLOOR)), start)
        share, ndcg = self._users.best_share(self.low_rank.logits, model.logits, shares_near(best, 1))
        return Candidate(factor, model, share, ndcg)

    def with_popularity(self, popularity: float, best: Candidate | None) -> Candidate:
        """Return the product of both models, of which each has a part of its factor of b.

        The nll wants popularity for the items that nothing links. With less of it, what links items counts more.
        """
        low_rank, linked = (
            each.logits + np.float32((popularity - 1) * each.factors[0]) * self._model.bias
            for each in (self.low_rank, self.linked)
        )
        number, ndcg = self._users.best_share(low_rank, linked, shares_near(best, 2))
        share = SHARES[number]
        factors = (1 - share) * np.append(self.low_rank.factors, 0) + share * np.insert(self.linked.factors, 1, 0)
        factors[0] *= popularity
        low_rank *= np.float32(1 - share)
        linked *= np.float32(share)
        low_rank += linked
        return Candidate(popularity, Calibrated(factors, low_rank), number, ndcg)

    def scale(self, product: Calibrated) -> float:
        """Return the factor that calibrates the product, without a change of the order of items.

        Hidden items that no user of training has do not count: once training has all users, hardly any item is without
        a user.
        """
        hidden, nothing = self._split.hidden, np.zeros_like(self._model.bias)
        known = HiddenItems(self._split.seen, _entries(hidden, np.isin(hidden.indices, self._split.training.indices)))
        return float(known.calibrated(np.broadcast_to(nothing, hidden.shape), product.logits, np.ones(2))[1])

    def hits(self, product: Calibrated) -> dict[str, float]:
        """Return the shares of the hidden items among the best ones, by the product and by popularity."""
        share, popular = self._users.hit_share, np.broadcast_to(self._model.bias, product.logits.shape).copy()
        return {"found": share(product.logits), "found_by_popularity": share(popular)}

    def _calibrated(self, logits: Float32, start: Float64) -> Calibrated:
        """Return the model with these logits, which change in place; `start` are the first factors."""
        bias = self._model.bias
        factors = self._users.calibrated(np.broadcast_to(bias, logits.shape), logits, start)
        logits[:] = np.float32(factors[1]) * logits + np.float32(factors[0]) * bias
        return Calibrated(factors, logits)


def shares_near(best: Candidate | None, width: int) -> range:
    """Return the numbers of the shares that are near the share of a candidate, or of all."""
    if best is None:
        return range(len(SHARES))
    return range(max(0, best.share - width), min(best.share + width + 1, len(SHARES)))


class HiddenItems:
    """Users with their seen and their hidden items, csr (N, V): how well logits (N, V) predict the hidden ones.

    Items that a user has seen are not candidates. A hidden item of a user with k hidden ones has the weight k^-t.
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
        """Return the share of the hidden items that are among the best `BEST`."""
        return float((self._ranks(logits, logits, 0) < BEST).mean())

    def _ranks(self, first: Float32, second: Float32, share: float) -> Int32:
        """Return how many unseen items are above each hidden one, with a share of `second`."""
        above = np.empty(len(self._entry_weights), np.int32)
        kernels_for("float32").mixture_ranks(first, second, 1 - share, share, *self._seen, *self._hidden, above)
        return above
