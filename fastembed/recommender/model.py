"""The fitted model of a recommender: its arrays, the vector, the scores and the reasons it gives a user, and its file.

The product of a low-rank and an item-to-item model, in an exact softmax over all items, is

    log p(c | u) = a b_c + g d_u W_c + h log(1 + max(0, (n_u B)_c) / floor) - log Z_u

========  =========================================================================================================
u, c      a user, and an item; there are U users, V items and D dimensions
n_uc      the count of c in the history of u: log2(1 + weight / median weight); |n_u| is the sum over the items of u
b         (V,), the logarithms of the shares of the items
W         (D, V), the low-rank model; `training.py` trains W
d_u       (D,), the row of u, which minimises  s_u sum_c n_uc (logsumexp(d W + b) - (d W + b)_c) + ridge / 2 |d|^2
s_u       (|n_u| / m)^(-1/2), the damping: an item counts less if the user has many; m is the median of |n_u|
B         (V, V) with a zero diagonal: the weights of the *other* items of a user; `item_to_item.py` computes B
a, g, h   the factors, which `strengths.py` chooses with the ridge
log Z_u   the logarithm of the sum over all items, so that the probabilities sum to 1
========  =========================================================================================================

Without s_u, d_u is the vector of a document (`trainer/folding.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Float64, canonical_csr, largest_of_rows
from fastembed._base.estimator import fields_alone
from fastembed._base.threads import Pool, SingleThreadedBlas, cached_property, ordered_map
from fastembed._base.validation import plain, shown
from fastembed._kernels import kernels_for
from fastembed.corpus.sources import form_of
from fastembed.formats.registry import check_model_name
from fastembed.formats.table import PathLike
from fastembed.formats.tensors import header, pack_names, parts_of, unpack_names, write_tensors
from fastembed.recommender.data import Interactions, Names, flat_baskets, is_name, matrix_of, narrow
from fastembed.trainer.folding import Layer, Origin, optimal_rows
from fastembed.trainer.rows import BATCH_LOGITS
from fastembed.vectors.neighbors import Neighbors

T = TypeVar("T")
Array = NDArray[Any]
Scored = list[tuple[Any, float]]

TOLERANCE = 1e-5  # the gradient of a row at which `optimal_rows` ends, as a share of the counts
ROUGH_TOLERANCE = 1e-4  # the same for `recommend`: changes the logarithm of a probability by at most .0005
DAMPING_EXPONENT = 0.5  # s_u = (|n_u| / m)^-DAMPING_EXPONENT: with 0 all items weigh the same, with 1 all users
FLOOR = 0.1  # the floor in the logarithm, in counts: a lower floor brings small sums closer to large ones
# The numbers of `Model`, by their names in a file
NUMBERS = {"ridge": "ridge", "median": "median_total", "weight": "median_weight"}
FOLDED = 64  # users whose rows `KnownRows` computes together: more make faster products, fewer a faster first answer


@dataclass(frozen=True)
class Model:
    """The fitted arrays, of which the row of any user (the user is *folded in*) and the scores of items are computed.

    Attributes
    ----------
    linear : ndarray (D, V), float32
        W.
    bias : ndarray (V,), float32
        b.
    item_weights : csr_array (V, V), float32
        B.
    ridge : float
        The ridge of the rows d_u.
    median_total : float
        m, the median of |n_u|.
    median_weight : float
        The median of the weights w in the data; the count of w is log2(1 + w / median_weight): 1 for the median.
    factors : ndarray (3,), float32
        a, g and h.
    """

    linear: Float32
    bias: Float32
    item_weights: Any
    ridge: float
    median_total: float
    median_weight: float
    factors: Float32

    __getstate__ = fields_alone

    @cached_property
    def origin(self) -> Origin:
        """What all users have in common at d = 0."""
        return Origin.of(self.linear, self.bias)


def fold(x: Any, model: Model, pool: Pool, tolerance: float = TOLERANCE) -> Float32:
    """Return the rows (N, D) of users with the items x, csr (N, V): unique optima given W; zero without items."""
    n = damped(log_counts(x, model.median_weight), model)
    return optimal_rows(n, Layer(model.linear, model.bias, model.ridge, model.origin), pool, tolerance)[0]


def log_probabilities(d: Float32, x: Any, model: Model, left_out: Any = None) -> Float32:
    """Return log p(c | u), (N, V), of users with the rows d (N, D) and the items x, csr (N, V); see `normalise`."""
    a, g, h = model.factors
    logits: Float32 = (g * d) @ model.linear
    logits += a * model.bias
    add_item_logits(log_counts(x, model.median_weight), model, h, logits)
    normalise(logits, left_out)
    return logits


def normalise(logits: Float32, left_out: Any = None) -> None:
    """Turn logits (N, V) into log probabilities, in place; -inf where `left_out`, csr (N, V), has an entry.

    A row may be -inf as a whole.
    """
    if left_out is not None:
        logits[np.repeat(np.arange(len(logits)), np.diff(left_out.indptr)), left_out.indices] = -np.inf
    softmax, scratch = kernels_for("float32").softmax, np.empty(logits.shape[1], np.float32)
    for row in logits if len(scratch) else ():  # row by row, so that a row stays in the cache; there may be no column
        scratch[:] = row
        if np.isfinite(log_sum := softmax(scratch)):  # changes `scratch`, and returns the logarithm of the sum
            row -= log_sum


def contributions(x: Any, d: Float32, items: NDArray[np.intp], model: Model) -> Float64:
    """Return what each item of a user adds to the logits of some items, (nnz, K); the rest of a logit is a * b_c.

    At its optimum,  d = s_u / ridge · sum_c n_c (w_c - sum_k p_k w_k):  a sum over the items of the user. The logarithm
    of the item-to-item model is divided among these items in proportion to n_c B_ci.

    Parameters
    ----------
    x : csr_array (1, V)
        The items.
    d : ndarray (D,)
        The row of the user.
    items : ndarray (K,)
        The items to explain.
    model : Model
    """
    n, w = log_counts(x, model.median_weight), model.linear
    p = d @ w + model.bias
    kernels_for("float32").softmax(p)  # in place
    centred = (w[:, n.indices] - (w @ p)[:, None]).astype(np.float64)
    scale = model.factors[1] * damping(n.data.sum(keepdims=True), model) / model.ridge
    shares: Float64 = (scale * n.data[:, None]) * (centred.T @ w[:, items])
    parts = n.data[:, None] * model.item_weights[n.indices][:, items].toarray().astype(np.float64)
    total = parts.sum(axis=0)
    log = model.factors[2] * np.log1p(np.maximum(total, 0) / FLOOR)
    shares += parts * np.divide(log, total, out=np.zeros_like(log), where=total > 0)
    return shares


def log_counts(x: Any, weight: float) -> Any:
    """Return the counts  n = log2(1 + x / weight)  of the weights x, csr. Indices of int32 are shared with x."""
    data = x.data / np.float32(weight)
    data += 1
    np.log2(data, out=data)
    indices, indptr = (array.astype(np.int32, copy=False) for array in (x.indices, x.indptr))
    return sparse.csr_array((data, indices, indptr), shape=x.shape)


def totals_of(n: Any) -> Float64:
    """Return the sums of the rows, (N,)."""
    return np.asarray(n.sum(axis=1), np.float64).ravel()


def damping(totals: Float64, model: Model) -> Float64:
    """Return  s_u  of users with the sums of counts |n_u|; 0 for a user without items."""
    return np.power(totals / model.median_total, -DAMPING_EXPONENT, out=np.zeros_like(totals), where=totals > 0)


def damped(n: Any, model: Model) -> Any:
    """Return the damped counts  s_u n_uc  of users, csr, for which `trainer/folding.py` computes the rows d_u."""
    return scaled_rows(n, damping(totals_of(n), model))


def scaled_rows(n: Any, factors: Float64) -> Any:
    """Return the rows of n times their factors, csr; the indices are shared with n, not copied."""
    data = np.repeat(factors.astype(np.float32), np.diff(n.indptr))
    data *= n.data
    return sparse.csr_array((data, n.indices, n.indptr), shape=n.shape)


def add_item_logits(n: Any, model: Model, factor: float, logits: Float32) -> None:
    """Add  factor log(1 + max(0, n B) / floor)  of counts n (N, V) to logits (N, V), in place."""
    counts, weights = ((m.indptr, m.indices, m.data) for m in (n, model.item_weights))
    sums = np.empty(logits.shape[1], np.float32)
    kernels_for("float32").add_log_product(*counts, *weights, factor, FLOOR, sums, logits)


# ---------------------------------------------------------------- answers


@dataclass(frozen=True)
class Query:
    """Users to answer.

    Attributes
    ----------
    matrix : csr_array (N, V), float32
        Their histories.
    rows : ndarray of float32 (N, D)
    single : bool
        Whether one user was given, and not several.
    """

    matrix: Any
    rows: NDArray[np.float32]
    single: bool = False


class KnownRows:
    """The rows of known users. A block of users is folded in when one of its users is first asked for, and kept.

    A user is always in the same block, so that the bits of a row do not depend on the other users asked for.
    """

    def __init__(self, seen: Any, model: Model) -> None:
        self._seen, self._model = seen, model
        self._rows = np.zeros((seen.shape[0], len(model.linear)), np.float32)
        self._folded = np.zeros(-(-seen.shape[0] // FOLDED), bool)
        self._near: Neighbors | None = None

    def of(self, ids: NDArray[np.intp], pool: Pool) -> NDArray[np.float32]:
        """Return the rows (N, D) of users by number; several threads may ask at the same time."""
        blocks = np.unique(ids // FOLDED)
        missing = blocks[~self._folded[blocks]]

        def task(k: int) -> None:
            part = slice(missing[k] * FOLDED, (missing[k] + 1) * FOLDED)
            self._rows[part] = fold(self._seen[part], self._model, Pool(1))
            self._folded[missing[k]] = True

        if len(missing):
            with SingleThreadedBlas():  # the bits must not depend on the number of BLAS threads
                pool.run(task, len(missing))
        return self._rows[ids]

    def near(self, pool: Pool) -> Neighbors:
        """Return the search for users by their rows."""
        if self._near is None:
            self.of(np.arange(len(self._rows)), pool)
            self._near = Neighbors(self._rows)
        return self._near


@dataclass(frozen=True)
class FittedRecommender:
    """The fitted state of a recommender.

    Attributes
    ----------
    model : Model
        What folding and scoring need.
    data : Interactions
        The names of users and items, and the users' histories.
    history : list of dict
    settings : dict
        The parameters of the `Recommender` by name, without the number of threads.
    """

    model: Model
    data: Interactions
    history: list[dict[str, float]]
    settings: dict[str, Any]

    __getstate__ = fields_alone

    @cached_property
    def near_items(self) -> Neighbors:
        """The search for items by their vectors."""
        return Neighbors(np.ascontiguousarray(self.model.linear.T))

    @cached_property
    def known_rows(self) -> KnownRows:
        """The rows of the users."""
        return KnownRows(self.data.matrix, self.model)

    # ---------------------------------------------------------------- who is asked about

    def default_weight(self, form: str) -> float:
        """Return the weight of an item without a weight, in the form "pairs" or "baskets".

        The weight is 1 if the data of the fit had this form and no weights, and the median weight otherwise.
        """
        return 1.0 if self.data.form_without_weights == form else self.model.median_weight

    def query(self, who: Any, users: Any, skip_unknown: bool, pool: Pool, tolerance: float = TOLERANCE) -> Query:
        """Return the users to answer: `who` is one name, baskets, or rows of a matrix; `users` is several names.

        The rows of new users are optimal within the tolerance.

        Raises
        ------
        KeyError
            If a user or an item is unknown. With `skip_unknown` unknown items are left out; unknown users have none.
        TypeError, ValueError
            If `who` is of another type, could be users or a basket, or not exactly one of `who` and `users` is given.
        """
        if (who is None) == (users is None):
            raise TypeError("give either baskets, a user or rows of a matrix, or users=[...] by name")
        if users is not None:
            return self._known(users, skip_unknown, pool)
        if is_name(who):
            return self._known([who], skip_unknown, pool, single=True)
        form = form_of(who)
        if form != "matrix":
            if form != "items":
                raise TypeError(f"who must be a user, baskets of items, or rows of a matrix, got {shown(who)}")
            who = who.tolist() if isinstance(who, np.ndarray) else list(who)
            if who and all(map(is_name, who)):
                text = shown(who)
                raise TypeError(f"{text} may be users or a basket: give users by users={text}, a basket as [{text}]")
        matrix = self.rows_of(who, skip_unknown)
        return Query(matrix, fold(matrix, self.model, pool, tolerance), single=form == "matrix" and who.ndim == 1)

    def hidden(self, seen: Any, source: Any, skip_unknown: bool) -> Any:
        """Return the hidden items (N, V) of users whose seen items are `seen` (N, V).

        Raises
        ------
        KeyError, TypeError, ValueError
            As `query`; also if the numbers of users differ, or a hidden item is seen.
        """
        hidden = self.rows_of(source, skip_unknown)
        if hidden.shape != seen.shape:
            raise ValueError(f"hidden must have one basket per user, {seen.shape[0]}, got {hidden.shape[0]}")
        both = seen.multiply(hidden).tocoo()
        if both.nnz:
            (item,) = self.data.items.names[both.col[:1]].tolist()
            raise ValueError(f"item {shown(item)} of row {both.row[0]} is both shown and hidden: take it out of hidden")
        return hidden

    def rows_of(self, source: Any, skip_unknown: bool) -> Any:
        """Return baskets or a matrix of users as a csr_array of float32 (N, V).

        Raises
        ------
        KeyError, TypeError, ValueError
            If an item is unknown, unless they are skipped, or a matrix has other columns than the items.
        """
        items = self.data.items
        if form_of(source) == "matrix":
            matrix = narrow(canonical_csr("X", source.reshape((1, -1)) if source.ndim == 1 else source))
            if matrix.shape[1] != len(items):
                raise ValueError(f"rows of users must have the {len(items):,} items as columns, got {matrix.shape}")
            return matrix
        names, weights, sizes, _ = flat_baskets(source, 0, self.default_weight("baskets"))
        ids, owners = items.find(names, skip_unknown), np.repeat(np.arange(len(sizes)), sizes)
        known = ids >= 0
        return matrix_of(weights[known], (owners[known], ids[known]), (len(sizes), len(items)))

    def _known(self, names: Any, skip_unknown: bool, pool: Pool, single: bool = False) -> Query:
        ids = self.data.users.find(names, skip_unknown)
        safe = np.maximum(ids, 0)  # an unknown user has the row of user 0 until the row is emptied below
        places: Any = slice(safe[0], safe[0] + 1) if len(safe) == 1 else safe  # a slice takes half of the time
        matrix, rows = self.data.matrix[places], self.known_rows.of(safe, pool)
        if (ids < 0).any():
            rows[ids < 0] = 0
            matrix = sparse.csr_array(sparse.diags_array((ids >= 0).astype(np.float32)) @ matrix)
            matrix.eliminate_zeros()
        return Query(matrix, rows, single)

    # ---------------------------------------------------------------- answers

    def answers(
        self, query: Query, threads: int, answer: Callable[[slice, Any], T], *, exclude_seen: bool = True
    ) -> Iterator[T]:
        """Yield ``answer(rows, log_p)`` for one block of users at a time; it may change the log probabilities (n, V).

        With `exclude_seen`, the items of a user have -inf, and the probabilities of all other items sum to 1.
        """
        size, users = max(1, BATCH_LOGITS // len(self.data.items)), query.matrix.shape[0]

        def answer_block(start: int) -> T:
            part = slice(start, min(start + size, users))
            seen = query.matrix if users <= size else query.matrix[part]
            return answer(part, self._log_p(query.rows[part], seen, exclude_seen))

        starts = range(0, users, size)
        with SingleThreadedBlas():  # the bits must not depend on the number of BLAS threads
            if len(starts) <= 1:  # the answer to one user does not wait for threads
                yield from map(answer_block, starts)
            else:
                yield from ordered_map(answer_block, starts, threads)

    def _log_p(self, rows: Array, seen: Any, exclude_seen: bool) -> Array:
        """Return the log probabilities of all items (n, V); for a user without items, they are b."""
        log_p = log_probabilities(rows, seen, self.model, seen if exclude_seen else None)
        log_p[np.diff(seen.indptr) == 0] = self.model.bias
        return log_p

    def recommend(
        self, query: Query, topn: int, exclude_seen: bool, exclude: Array | None, among: Array | None, threads: int
    ) -> list[Scored]:
        """Return the most probable items of each user; `exclude` and `among` are numbers of items."""
        names = self.data.items.names

        def best(_: slice, log_p: Array) -> list[Scored]:
            if exclude is not None and len(exclude):
                log_p[:, exclude] = -np.inf
            columns = np.arange(len(names)) if among is None else np.unique(among)
            log_p = log_p if among is None else np.ascontiguousarray(log_p[:, columns])
            if among is not None or exclude is not None:
                normalise(log_p)
            places = largest_of_rows(log_p, topn)
            p = np.minimum(np.exp(np.take_along_axis(log_p, places, 1), dtype=np.float64), 1)  # rounding may exceed 1
            best_items = names[columns[places]].tolist()
            return [
                list(zip(items[:count], values[:count], strict=True))
                for items, values, count in zip(best_items, p.tolist(), np.count_nonzero(p, axis=1), strict=True)
            ]

        return [scored for part in self.answers(query, threads, best, exclude_seen=exclude_seen) for scored in part]

    def explain(self, query: Query, item: int) -> Explanation:
        """Return what each item of the history of one user adds to the score of an item."""
        names, history = self.data.items.names.tolist(), query.matrix.indices
        shares = contributions(query.matrix, query.rows[0], np.array([item]), self.model)[:, 0]
        bias = float((self.model.factors[0] if len(history) else 1) * self.model.bias[item])
        log_p = self._log_p(query.rows, query.matrix, item not in history)
        order = np.argsort(-shares, kind="stable")
        added = [(names[c], float(s)) for c, s in zip(history[order], shares[order], strict=True)]
        return Explanation(names[item], float(np.exp(log_p[0, item])), bias + float(shares.sum()), bias, added)

    def nll(self, query: Query, hidden: Any | None, threads: int) -> tuple[float, float]:
        """Return the nll of hidden items (N, V) given the history, and their weight; None: of the history itself."""
        targets = query.matrix if hidden is None else hidden

        def sums(part: slice, log_p: Array) -> tuple[float, float]:
            y = targets[part]
            entry_log_p = log_p[np.repeat(np.arange(len(log_p)), np.diff(y.indptr)), y.indices].astype(np.float64)
            return -float(y.data @ entry_log_p), float(y.data.sum(dtype=np.float64))

        parts = list(self.answers(query, threads, sums, exclude_seen=hidden is not None))
        return sum(nll for nll, _ in parts), sum(weight for _, weight in parts)

    # ---------------------------------------------------------------- file

    def save(self, path: PathLike) -> None:
        """Write the fitted state."""
        check_model_name(path)
        seen = self.data.matrix
        model, weights = self.model, self.model.item_weights
        tensors = {"linear": np.ascontiguousarray(model.linear), "bias": model.bias, "factors": model.factors}
        tensors |= {"similar.indptr": weights.indptr, "similar.indices": weights.indices, "similar.data": weights.data}
        tensors |= {name: np.array(getattr(model, attribute)) for name, attribute in NUMBERS.items()}
        tensors |= {"seen.items": seen.indices, "seen.starts": seen.indptr, "seen.weights": seen.data}
        tensors |= pack_names(self.data.users.names, "users") | pack_names(self.data.items.names, "items")
        texts = {"history": json.dumps(plain(self.history), ensure_ascii=False)}
        texts["unweighted"] = self.data.form_without_weights
        write_tensors(path, tensors, header("recommender", self.settings) | texts)

    @classmethod
    def load(cls, path: PathLike) -> FittedRecommender:
        """Return the fitted state of a file, whose settings are not checked.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it does not hold a recommender, or is damaged.
        """
        with parts_of(path, "recommender", "a recommender that fits") as (tensors, settings, metadata):
            users, items = (Names(what, unpack_names(tensors, f"{what}s")) for what in ("user", "item"))
            parts = tuple(tensors[f"seen.{name}"] for name in ("weights", "items", "starts"))
            seen: Any = sparse.csr_array(parts, shape=(len(users), len(items)))
            parts = tuple(np.array(tensors[f"similar.{name}"]) for name in ("data", "indices", "indptr"))
            model = Model(
                np.array(tensors["linear"], order="F"),
                np.array(tensors["bias"]),
                sparse.csr_array(parts, shape=2 * tensors["bias"].shape),
                factors=np.array(tensors["factors"], np.float32).reshape(3),
                **{attribute: float(tensors[name]) for name, attribute in NUMBERS.items()},
            )
            if not (len(items),) == model.bias.shape == model.linear.shape[1:]:
                raise ValueError(f"{len(items)} items, but a model of {model.linear.shape[-1]}")
            for matrix in (seen, model.item_weights):
                matrix.check_format(full_check=True)  # kernels use its columns as indices, unchecked
            data = Interactions(seen, users, items, metadata.get("unweighted", ""))
            return cls(model, data, json.loads(metadata["history"]), settings)


@dataclass(frozen=True)
class Explanation:
    """Why an item is recommended to a user: its score is the bias plus the contributions of the items of the user.

    Attributes
    ----------
    item : str or int
    probability : float
        Of the item among the items that the user does not have, or among all items if the user has the item. For
        baskets, :meth:`Recommender.recommend` is less exact: its probability may differ by a thousandth.
    score : float
        The logit of the item.
    bias : float
        The part of the score that is the same for all users with items.
    contributions : list of (item, float)
        What each item of the history adds, the largest first.

    Examples
    --------
    >>> print(Explanation("jam", 0.5, 1.25, -1.0, [("bread", 2.5), ("nails", -0.25)]))
    jam  probability 0.5000  score 1.250
        2.500  bread
       -0.250  nails
       -1.000  for everybody
    """

    item: Any
    probability: float
    score: float
    bias: float
    contributions: list[tuple[Any, float]]

    def __str__(self) -> str:
        lines = [f"{self.item}  probability {self.probability:.4f}  score {self.score:.3f}"]
        lines += [f"{share:9.3f}  {item}" for item, share in [*self.contributions, ("for everybody", self.bias)]]
        return "\n".join(lines)

    __repr__ = __str__
