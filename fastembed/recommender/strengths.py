"""The strengths of the two models of a recommender, chosen by hidden items of users whom training has not seen.

    log p(c | u) = a b_c + g d_u W_c + h log(1 + max(0, (n_u B)_c) / floor) - log Z_u

===========  ======================================================================================================
b            (V,), the logarithms of the shares of the items: their popularity
d_u W_c      the logit of the low-rank model; its strength is the ridge of d_u
log(1 + ..)  the logit of the item-to-item model; its strength is the factor of EASE in B
a, g, h      the factors of the three terms; `Model.factors`
===========  ======================================================================================================

Each model is *calibrated* alone: its factor of b, and g or h, minimise the nll of the hidden items. The product has the
mean of both factors of b, weighted by the shares of the models and times a scale: a. The ridge, the factor of EASE, the
shares and the scale maximise the NDCG of the hidden items, because items that nobody could predict dominate the nll.

`choose_strengths` has the steps, `Search` the logits of each candidate, and `HiddenItemScorer` says how well they
predict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Float64, Int32
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for
from fastembed.recommender.item_to_item import Ease, damp_heavy_users, ease_fits
from fastembed.recommender.model import FLOOR, Model, add_item_logits, damped
from fastembed.trainer.folding import Layer, optimal_rows

HIDDEN_SHARE = 0.2  # of the items of a user: more hidden items choose with less noise, but from shorter histories
# More users with hidden items choose with less noise, but leave the first training fewer users. The least of the four
# numbers is taken; the last three bound the time and the memory of a choice
HIDING_SHARE = 0.25  # of the users with two items or more
MOST_HIDING = 1500  # users
HIDING_ROOT = 1 << 16  # users, times the square root of the number of items
HIDDEN_LOGITS = 1 << 24  # users times items: the logits of one candidate
LEAST_HIDDEN = 200  # hidden items; fewer would choose by chance
HIDDEN_EXPONENT = 0.5  # a hidden item weighs k^-0.5 if its user has k: between one weight per item and one per user
RIDGES = (0.3, 0.75, 2.0, 5.0, 12.0)  # of d_u, from close to the history to close to popularity
EASE_FACTORS = (1.0, 4.0, 16.0, 64.0)  # of the ridges of EASE; `item_to_item.py`
SHARES = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.85, 0.92, 0.96, 1.0)  # of the item-to-item model; the rest is low rank
USUAL_SHARE = 0.6  # the share that is chosen if hidden items do not clearly say another
MARGIN = 0.5  # standard errors of NDCG within which shares are alike: a wider margin takes `USUAL_SHARE` more often
BIAS_SCALES = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the factors of b that minimise the nll
CHOICE_TOLERANCE = 1e-2  # the tolerance of `optimal_rows` here: the order of candidates needs no exact rows
DEPTH = 100  # the best items that count in NDCG: more than a list shows, so that more hidden items say something
BEST = 10  # a hidden item is a hit among this many best items, as `recommend` returns by default
PRIOR = 3.0  # the precision of the prior of the factors, in hidden items of weight 1: a higher one keeps them nearer 1
LEAST_FACTOR = 0.05  # the lower bound of a, g and h: a negative factor would turn an order of items around
NEWTON_STEPS = 12  # at most
LEAST_GAIN = 2e-5  # nats of nll per unit of weight: a Newton step that promises less is the last


class Split(NamedTuple):
    """The counts n of users, divided for the choice of strengths.

    Attributes
    ----------
    training : csr_array (U, V)
        n, with the rows of N users emptied.
    seen, hidden : csr_array (N, V)
        The rows of the N users, in two: the items that predict, and the items to predict.
    """

    training: Any
    seen: Any
    hidden: Any


class Strengths(NamedTuple):
    """The strengths that hidden items have chosen.

    Attributes
    ----------
    ridge : float
        The ridge of the rows d_u.
    ease_factor : float
        The factor of EASE; 0 if B is by the nearest items.
    factors : ndarray of float32 (3,)
        a, g and h.
    hits : dict of str to float
        For the record of the last epoch: the share of the hidden items that are among the ten best items by the models,
        and the share by popularity.
    """

    ridge: float
    ease_factor: float
    factors: Float32
    hits: dict[str, float]


class Calibrated(NamedTuple):
    """A calibrated model, or the product of both.

    Attributes
    ----------
    factors : ndarray (2,) or (3,)
        The factors of b and of the term of the model; or a, g and h of the product.
    logits : ndarray of float32 (N, V)
        The sum of the terms times their factors.
    """

    factors: Float64
    logits: Float32


class Candidate(NamedTuple):
    """A value of a strength, the model with this value, and how well the model predicts.

    Attributes
    ----------
    value : float
    calibrated : Calibrated
        The model; for a scale of b, the product of both models.
    share_index : int
        The place in `SHARES` of the share of the item-to-item model in the product.
    mixture_ndcg : float
        The highest NDCG of a product with the other model, which may have another share than `share_index`; see
        `HiddenItemScorer.best_share`.
    """

    value: float
    calibrated: Calibrated
    share_index: int
    mixture_ndcg: float


CandidateOf = Callable[[float, Candidate | None], Candidate]  # takes a value, and the best candidate so far or None


# ---------------------------------------------------------------- hidden items


def hide_items(n: Any, seed: int) -> Split | None:
    """Return a split that hides a fifth of the items of some users; None if fewer than 200 would be hidden.

    Training sees no item of these users. W fits the users of training better than new users, so hidden items of the
    users of training would choose a ridge that is too low for new users.
    """
    rng = np.random.default_rng(seed)
    sizes = np.diff(n.indptr)
    able = np.flatnonzero(sizes >= 2)
    chosen = np.sort(rng.choice(able, number_of_hiding_users(len(able), n.shape[1]), replace=False))
    part = n[chosen]
    mask = np.zeros(part.nnz, bool)
    for first, last in zip(part.indptr[:-1], part.indptr[1:], strict=True):
        places = np.arange(first, last)
        mask[rng.choice(places, max(1, round(HIDDEN_SHARE * len(places))), replace=False)] = True
    if np.count_nonzero(mask) < LEAST_HIDDEN:
        return None
    trains = ~np.isin(np.arange(n.shape[0]), chosen)
    return Split(_entries(n, np.repeat(trains, sizes)), _entries(part, ~mask), _entries(part, mask))


def number_of_hiding_users(users: int, items: int) -> int:
    """Return the number of users with hidden items, from the number of users with two items or more."""
    return min(MOST_HIDING, int(HIDING_ROOT / items**0.5), HIDDEN_LOGITS // items, round(HIDING_SHARE * users))


def _entries(n: Any, mask: NDArray[np.bool_]) -> Any:
    """Return n with only the entries in the mask, csr; the dtypes of the index arrays stay."""
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
    search = Search(model, split, pool)
    low_rank = climb(RIDGES, search.with_ridge)
    item_model, ease_factor = search.nearest, 0.0
    if ease_fits(*split.training.shape):
        with_ease = partial(search.with_ease, Ease(damp_heavy_users(split.training)), low_rank.calibrated)
        by_ease = climb(EASE_FACTORS, with_ease, low_rank.mixture_ndcg)
        if by_ease.mixture_ndcg > low_rank.mixture_ndcg:  # low rank and EASE, above low rank and the nearest items
            item_model, ease_factor = by_ease.calibrated, by_ease.value
    product = climb(BIAS_SCALES, partial(search.with_bias_scale, low_rank.calibrated, item_model)).calibrated
    factors = (search.product_factor(product) * product.factors).astype(np.float32)
    return Strengths(low_rank.value, ease_factor, factors, search.hits(product))


def climb(values: Sequence[float], candidate: CandidateOf, least: float = 0.0) -> Candidate:
    """Return the best candidate by a climb from the middle value: down, or else up, as long as the NDCG rises.

    If the NDCG of the middle value is below `least`, no other value is tried.
    """
    middle = len(values) // 2
    start = candidate(values[middle], None)
    if start.mixture_ndcg < least:
        return start
    lower = _last_rise(start, values[:middle][::-1], candidate)
    return lower if lower is not start else _last_rise(start, values[middle + 1 :], candidate)


def _last_rise(best: Candidate, values: Sequence[float], candidate: CandidateOf) -> Candidate:
    """Return the last candidate before the NDCG falls or stays, along `best` and the candidates of the values."""
    for value in values:
        following = candidate(value, best)
        if following.mixture_ndcg <= best.mixture_ndcg:
            break
        best = following
    return best


class Search:
    """The candidates for each strength, by the hidden items of a split.

    Attributes
    ----------
    nearest : Calibrated
        The item-to-item model by the nearest items.
    """

    def __init__(self, model: Model, split: Split, pool: Pool) -> None:
        self._model, self._split, self._pool = model, split, pool
        self._scorer = HiddenItemScorer(split.seen, split.hidden)
        self._damped = damped(split.seen, model)
        self._rows: Float32 | None = None  # the rows by the last ridge, from which the rows by the next ridge start
        logits = np.zeros(split.seen.shape, np.float32)
        add_item_logits(split.seen, model, 1, logits)
        self.nearest = self._calibrated(logits, np.ones(2))

    def with_ridge(self, ridge: float, best: Candidate | None) -> Candidate:
        """Return the candidate of a ridge: the low-rank model, and the best share of the nearest items beside it."""
        layer = Layer(self._model.linear, self._model.bias, ridge)
        self._rows = optimal_rows(self._damped, layer, self._pool, CHOICE_TOLERANCE, self._rows)[0]
        start = np.ones(2) if best is None else best.calibrated.factors
        low_rank = self._calibrated(self._rows @ self._model.linear, start)
        share_index, ndcg = self._scorer.best_share(low_rank.logits, self.nearest.logits, shares_near(best, 1))
        return Candidate(ridge, low_rank, share_index, ndcg)

    def with_ease(self, ease: Ease, low_rank: Calibrated, factor: float, best: Candidate | None) -> Candidate:
        """Return the candidate of a factor of EASE, and the best share of EASE beside the low-rank model."""
        predicted = ease.predicted(self._split.seen, factor)
        start = (self.nearest if best is None else best.calibrated).factors
        by_ease = self._calibrated(np.log1p(np.maximum(predicted, 0) / np.float32(FLOOR)), start)
        share_index, ndcg = self._scorer.best_share(low_rank.logits, by_ease.logits, shares_near(best, 1))
        return Candidate(factor, by_ease, share_index, ndcg)

    def with_bias_scale(
        self, low_rank: Calibrated, item_model: Calibrated, scale: float, best: Candidate | None
    ) -> Candidate:
        """Return the candidate of a scale, by which the factors of b in both models are multiplied.

        Calibration makes the factors of b high, because popularity predicts the hidden items that neither model
        predicts. With lower factors of b, the two models decide more of the order of items.
        """
        (a, g), logits = self._with_scaled_bias(low_rank, scale)
        (item_a, h), item_logits = self._with_scaled_bias(item_model, scale)
        share_index, ndcg = self._scorer.best_share(logits, item_logits, shares_near(best, 2))
        rest, share = 1 - SHARES[share_index], SHARES[share_index]
        logits *= np.float32(rest)  # in place, to save memory: the logits of the low-rank model become the product
        item_logits *= np.float32(share)
        logits += item_logits
        product = Calibrated(np.array([rest * a + share * item_a, rest * g, share * h]), logits)
        return Candidate(scale, product, share_index, ndcg)

    def _with_scaled_bias(self, model: Calibrated, scale: float) -> Calibrated:
        """Return a model whose factor of b, which its logits contain, is multiplied by a scale."""
        a, factor = model.factors
        logits = model.logits + np.float32((scale - 1) * a) * self._model.bias
        return Calibrated(np.array([scale * a, factor]), logits)

    def product_factor(self, product: Calibrated) -> float:
        """Return the factor on all logits of the product that minimises the nll: the order of items stays.

        Hidden items that no user of training has are ignored: after training with all users, hardly any item has no
        user.
        """
        split, zeros = self._split, np.zeros_like(self._model.bias)
        hidden = _entries(split.hidden, np.isin(split.hidden.indices, split.training.indices))
        zero_term = np.broadcast_to(zeros, hidden.shape)  # its factor changes nothing
        return float(HiddenItemScorer(split.seen, hidden).best_factors(zero_term, product.logits, np.ones(2))[1])

    def hits(self, product: Calibrated) -> dict[str, float]:
        """Return the shares of the hidden items that are hits, by the product and by popularity."""
        rate, popular = self._scorer.hit_rate, np.broadcast_to(self._model.bias, product.logits.shape).copy()
        return {"found": rate(product.logits), "found_by_popularity": rate(popular)}

    def _calibrated(self, logits: Float32, start: Float64) -> Calibrated:
        """Return the calibrated model with these logits, which change in place; Newton's method begins at `start`."""
        bias = self._model.bias
        factors = self._scorer.best_factors(np.broadcast_to(bias, logits.shape), logits, start)
        logits[:] = np.float32(factors[1]) * logits + np.float32(factors[0]) * bias
        return Calibrated(factors, logits)


def shares_near(best: Candidate | None, width: int) -> range:
    """Return the places in `SHARES` up to `width` beside the share of a candidate; all places without a candidate."""
    if best is None:
        return range(len(SHARES))
    return range(max(0, best.share_index - width), min(best.share_index + width + 1, len(SHARES)))


class HiddenItemScorer:
    """Users with their seen and their hidden items, csr (N, V): how well logits (N, V) predict the hidden ones.

    Items that a user has seen are not ranked. A hidden item has the weight 1 / sqrt(k) if its user has k hidden items.
    """

    def __init__(self, seen: Any, hidden: Any) -> None:
        sizes = np.diff(hidden.indptr)
        self._weights = sizes ** (1 - HIDDEN_EXPONENT)
        self._ideal = np.cumsum(1 / np.log2(np.arange(2, DEPTH + 2)))[np.minimum(sizes, DEPTH) - 1]
        self._seen = seen.indptr, seen.indices, np.empty(seen.shape[1], np.float32)
        self._hidden = hidden.indptr, hidden.indices
        self._hidden_places = np.repeat(np.arange(len(sizes)), sizes), hidden.indices
        self._entry_weights = np.repeat(self._weights / np.maximum(sizes, 1), sizes)

    def best_factors(self, first: Float32, second: Float32, start: Float64) -> Float64:
        """Return the factors of two terms whose sum has the lowest weighted nll, by projected Newton steps.

        A prior with the mean 1 keeps the factors near 1 where hidden items are few. `LEAST_FACTOR` is the lower bound:
        a factor at the bound that the gradient would lower is not free to move. A step after which the nll is higher is
        halved.

        Parameters
        ----------
        first, second : ndarray (N, V)
            The terms.
        start : ndarray (2,)
            The factors before the first step.
        """
        hidden = np.array([first[self._hidden_places], second[self._hidden_places]], np.float64)
        nll_at = partial(self._nll, first, second, hidden)
        factors, (nll, gradient, hessian) = start, nll_at(start)
        for _ in range(NEWTON_STEPS):
            free = (factors > LEAST_FACTOR) | (gradient < 0)
            step = np.zeros_like(factors)
            step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
            moved = np.maximum(factors - step, LEAST_FACTOR)
            if gradient @ (factors - moved) < LEAST_GAIN:
                return moved
            following = nll_at(moved)
            while following[0] > nll:
                step /= 2
                moved = np.maximum(factors - step, LEAST_FACTOR)
                following = nll_at(moved)
            factors, (nll, gradient, hessian) = moved, following
        return factors

    def _nll(
        self, first: Float32, second: Float32, hidden: Float64, factors: Float64
    ) -> tuple[float, Float64, Float64]:
        """Return the negative log posterior per unit of weight, its gradient (2,) and its Hessian (2, 2)."""
        moments = np.empty((len(self._weights), 6))  # logsumexp, two means, and the means of three products
        kernels_for("float32").mixture_moments(first, second, *factors, *self._seen, moments)
        log_sum, means, products = self._weights @ moments[:, 0], moments[:, 1:3], self._weights @ moments[:, 3:]
        weighted = self._weights[:, None] * means
        nll = log_sum - self._entry_weights @ (factors @ hidden) + PRIOR / 2 * ((factors - 1) ** 2).sum()
        gradient = weighted.sum(axis=0) - hidden @ self._entry_weights + PRIOR * (factors - 1)
        hessian = products[[[0, 1], [1, 2]]] - weighted.T @ means + PRIOR * np.eye(2)
        total = max(self._weights.sum(), 1)
        return float(nll / total), gradient / total, hessian / total

    def best_share(self, first: Float32, second: Float32, indices: range) -> tuple[int, float]:
        """Return the place in `SHARES` of the chosen share of `second`, and the highest mean NDCG of a share.

        Of the shares whose mean NDCG is as high as the highest, up to `MARGIN` standard errors of the difference, the
        share nearest to `USUAL_SHARE` is chosen.

        Parameters
        ----------
        first, second : ndarray (N, V)
        indices : range
            The places in `SHARES` of the shares to try.
        """
        ndcg = {index: self.ndcg(first, second, SHARES[index]) for index in indices}
        highest = max(ndcg.values(), key=np.mean)
        losses = {index: highest - each for index, each in ndcg.items()}  # (N,), user by user
        alike = [index for index, loss in losses.items() if loss.mean() <= MARGIN * loss.std() / len(loss) ** 0.5]
        return min(alike, key=lambda index: abs(SHARES[index] - USUAL_SHARE)), float(highest.mean())

    def ndcg(self, first: Float32, second: Float32, share: float) -> Float64:
        """Return the NDCG at `DEPTH` (N,), among the items that a user has not seen, with a share of `second`."""
        above = self._ranks(first, second, share)
        gains = np.bincount(self._hidden_places[0], (above < DEPTH) / np.log2(above + 2), len(self._ideal))
        return gains / self._ideal

    def hit_rate(self, logits: Float32) -> float:
        """Return the share of the hidden items that are among the best `BEST`."""
        return float((self._ranks(logits, logits, 0) < BEST).mean())

    def _ranks(self, first: Float32, second: Float32, share: float) -> Int32:
        """Return how many unseen items are above each hidden one, with a share of `second`."""
        above = np.empty(len(self._entry_weights), np.int32)
        kernels_for("float32").mixture_ranks(first, second, 1 - share, share, *self._seen, *self._hidden, above)
        return above
