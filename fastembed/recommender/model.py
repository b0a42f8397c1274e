"""`FittedRecommender`: the fitted state of a recommender, and its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import largest, largest_of_rows
from fastembed._base.estimator import fields_alone
from fastembed._base.threads import Pool, cached_property, ordered_map, single_threaded_blas
from fastembed._base.validation import shown, warn_user
from fastembed.recommender.data import USUAL, Interactions, flat_baskets, is_matrix, is_name, matrix_of, weights_of
from fastembed.recommender.scoring import TOLERANCE, Model, contributions, fold, normalise, scores
from fastembed.trainer.rows import BATCH_LOGITS
from fastembed.vectors.neighbors import Neighbors

T = TypeVar("T")
Array = NDArray[Any]
Scored = list[tuple[Any, float]]

FOLDED = 64  # users who are folded in together


@dataclass(frozen=True)
class Asked:
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
    """The rows of users that are known. Blocks of users are folded in when they are asked for, and kept.

    The bits of a row depend on the block, which is always the same, and not on who else is asked for.
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
            with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
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
    """

    model: Model
    data: Interactions
    history: list[dict[str, float]]

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

    @property
    def usual(self) -> Mapping[str, float]:
        """The weights of items without one, by the form in which they are given: the median, or 1 as in training."""
        unit = {self.data.unweighted: 1.0} if self.data.unweighted else {}
        return dict.fromkeys(USUAL, self.model.weight) | unit

    def asked(self, who: Any, skip_unknown: bool, pool: Pool, tolerance: float | None = TOLERANCE) -> Asked:
        """Return the users that are given by name, by baskets, or by rows of a matrix.

        The rows of users that are not known are found to a tolerance; None finds none.

        Raises
        ------
        KeyError
            If a user or an item is unknown, unless they are skipped: such a user has no items.
        TypeError, ValueError
            If `who` is none of these.
        """
        if is_name(who):
            return self._known([who], skip_unknown, pool, single=True)
        if is_matrix(who):
            matrix = self.rows_of(who, hidden=tolerance is None)
        else:
            if isinstance(who, bytes | dict) or hasattr(who, "columns") or not isinstance(who, Iterable):
                kinds = (
                    "a user, several, baskets of items (of a table, groupby(user)[item].agg(list)), or rows of a matrix"
                )
                raise TypeError(f"who must be {kinds}, got {shown(who)}")
            listed = who.tolist() if isinstance(who, np.ndarray) else list(who)
            if len(listed) == len(self.data.items) > 2 and all(is_name(each) and each in (0, 1) for each in listed):
                raise ValueError("who are 0 and 1, as many as there are items: a row of a matrix is X[k : k + 1]")
            if listed and all(map(is_name, listed)):
                return self._known(listed, skip_unknown, pool)
            matrix = self._matrix_of(listed, skip_unknown)
        none = np.empty((matrix.shape[0], 0), np.float32)
        rows = none if tolerance is None else fold(matrix, self.model, pool, tolerance)
        return Asked(matrix, rows, single=is_matrix(who) and who.ndim == 1)

    def hidden(self, seen: Any, given: Any, skip_unknown: bool, pool: Pool) -> Any:
        """Return the hidden items (N, V) of users of whom others are shown (N, V).

        Raises
        ------
        KeyError, TypeError, ValueError
            As `asked`; also if they are not of as many users, or a user is shown one of them.
        """
        given = given if is_matrix(given) else list(given)
        if not is_matrix(given) and any(map(is_name, given)):
            raise TypeError(f"hidden items are a list per user, or rows of a matrix, got {shown(given)}")
        hidden = self.asked(given, skip_unknown, pool, None).matrix
        if hidden.shape != seen.shape:
            raise ValueError(f"hidden must have one basket per user, {seen.shape[0]}, got {hidden.shape[0]}")
        both = seen.multiply(hidden).tocoo()
        if both.nnz:
            (item,) = self.data.items.names[both.col[:1]].tolist()
            raise ValueError(
                f"item {shown(item)} of row {both.row[0]} is both shown and hidden: leave out what a user had before"
            )
        return hidden

    def rows_of(self, given: Any, *, hidden: bool = False) -> Any:
        """Return a matrix of users as a csr_array of float32 (N, V); the weights of hidden items may all be 1.

        Raises
        ------
        TypeError, ValueError
            If it has not the items as columns, or a weight is negative or not finite.
        """
        if given.dtype.kind not in "biuf":
            raise TypeError(f"rows of users must be numbers, got dtype {given.dtype}; baskets are lists of items")
        matrix, items = weights_of(given, 1.0 if hidden else self.usual["matrix"]), len(self.data.items)
        if matrix.shape[1] != items:
            turned = "; is it the wrong way round? A row is a user" if matrix.shape[0] == items else ""
            raise ValueError(f"rows of users must have the {items:,} items as columns, got {matrix.shape}{turned}")
        return matrix

    def _known(self, names: list[Any], skip_unknown: bool, pool: Pool, single: bool = False) -> Asked:
        users, items = self.data.users, self.data.items
        try:
            ids = users.find(names, skip_unknown)
        except KeyError as error:
            hint = ""
            if (items.find(names, skip_unknown=True) >= 0).all():
                hint = f"; a basket of items is a list in a list, as [{shown(names)}]"
                if users.are_places() and not isinstance(names[0], str):
                    hint = f"; there are {len(items):,} items: is the matrix the wrong way round? A row is a user"
            raise KeyError(f"{error.args[0]}{hint}" if hint else error.args[0]) from None
        unnamed = not single and items.names.dtype.kind == "i" and users.are_places() and not items.are_places()
        if unnamed and (items.find(names, skip_unknown=True) >= 0).all():
            warn_user(f"{shown(names)} are users; the basket of these items is a list in a list, [{shown(names)}]")
        found = np.maximum(ids, 0)
        places: Any = slice(found[0], found[0] + 1) if len(found) == 1 else found  # a slice takes half of the time
        matrix, rows = self.data.matrix[places], self.known_rows.of(found, pool)
        if (ids < 0).any():
            rows[ids < 0] = 0
            matrix = sparse.csr_array(sparse.diags_array((ids >= 0).astype(np.float32)) @ matrix)
            matrix.eliminate_zeros()
        return Asked(matrix, rows, single)

    def _matrix_of(self, baskets: list[Any], skip_unknown: bool) -> Any:
        if baskets and all(isinstance(each, tuple) and len(each) == 2 for each in baskets):
            pair, seconds = baskets[0], [each[1] for each in baskets]
            numbers = all(isinstance(second, int | np.integer) for second in seconds)
            if numbers and (self.data.items.find(seconds, skip_unknown=True) < 0).all():
                raise TypeError(f"{pair[1]} of {pair} is no known item; an item and its weight are [[{pair}]]")
        names, weights, sizes, _ = flat_baskets(baskets, 0, self.usual["baskets"])
        ids, owners = self.data.items.find(names, skip_unknown), np.repeat(np.arange(len(sizes)), sizes)
        known = ids >= 0
        shape = len(sizes), len(self.data.items)
        return matrix_of(weights[known], (owners[known], ids[known]), shape)

    # ---------------------------------------------------------------- answers

    def answers(
        self, asked: Asked, threads: int, answer: Callable[[slice, Any], T], *, exclude_seen: bool = True
    ) -> Iterator[T]:
        """Yield ``answer(rows, log_p)`` for one block of users at a time: log probabilities (n, V) that it may change.

        Those of the items that a user has are -inf with `exclude_seen`, and the others those of one of the others.
        """
        size, users = max(1, BATCH_LOGITS // len(self.data.items)), asked.matrix.shape[0]

        def of_block(start: int) -> T:
            part = slice(start, min(start + size, users))
            seen = asked.matrix if users <= size else asked.matrix[part]
            return answer(part, self._log_p(asked.rows[part], seen, exclude_seen))

        starts = range(0, users, size)
        with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
            if len(starts) <= 1:  # the answer to one user does not wait for threads
                yield from map(of_block, starts)
            else:
                yield from ordered_map(of_block, starts, threads)

    def _log_p(self, rows: Array, seen: Any, exclude_seen: bool) -> Array:
        """Return the log probabilities of all items (n, V); those of a user without items are the items' shares."""
        log_p = scores(rows, seen, self.model, seen if exclude_seen else None)
        log_p[np.diff(seen.indptr) == 0] = self.model.bias
        return log_p

    def recommend(
        self, asked: Asked, topn: int, exclude_seen: bool, exclude: Array | None, among: Array | None, threads: int
    ) -> list[Scored]:
        """Return the most probable items of each user; `exclude` and `among` are numbers of items."""
        names = self.data.items.names

        def best(_: slice, log_p: Array) -> list[Scored]:
            if exclude is not None and len(exclude):
                log_p[:, exclude] = -np.inf
            columns = np.arange(len(names)) if among is None else np.unique(among)
            if among is not None:
                log_p = np.ascontiguousarray(log_p[:, columns])
            if among is not None or exclude is not None:
                normalise(log_p)
            places = largest_of_rows(log_p, topn)
            p = np.minimum(np.exp(np.take_along_axis(log_p, places, 1), dtype=np.float64), 1)  # float32 may round up
            found = names[columns[places]].tolist()
            return [
                list(zip(items[:count], values[:count], strict=True))
                for items, values, count in zip(found, p.tolist(), np.count_nonzero(p, axis=1), strict=True)
            ]

        found: list[Scored] = []
        for part in self.answers(asked, threads, best, exclude_seen=exclude_seen):
            found += part
        return found

    def explain(self, asked: Asked, item: int) -> Explanation:
        """Return what each item of the history of one user adds to the score of an item."""
        names, history = self.data.items.names.tolist(), asked.matrix.indices
        shares = contributions(asked.matrix, asked.rows[0], np.array([item]), self.model)[:, 0]
        bias = float((self.model.popularity if len(history) else self.model.bias)[item])
        log_p = self._log_p(asked.rows, asked.matrix, item not in history)
        order = largest(shares, len(shares))
        added = [(names[c], float(s)) for c, s in zip(history[order], shares[order], strict=True)]
        return Explanation(names[item], float(np.exp(log_p[0, item])), bias + float(shares.sum()), bias, added)

    def nll(self, asked: Asked, hidden: Any | None, threads: int) -> tuple[float, float]:
        """Return the nll of hidden items (N, V) given those shown, and their weight; by default of those shown."""
        targets = asked.matrix if hidden is None else hidden

        def sums(part: slice, log_p: Array) -> tuple[float, float]:
            y = targets[part]
            of_entries = log_p[np.repeat(np.arange(len(log_p)), np.diff(y.indptr)), y.indices].astype(np.float64)
            return -float(y.data @ of_entries), float(y.data.sum(dtype=np.float64))

        parts = list(self.answers(asked, threads, sums, exclude_seen=hidden is not None))
        return sum(nll for nll, _ in parts), sum(weight for _, weight in parts)


@dataclass(frozen=True)
class Explanation:
    """Why an item is recommended to a user: the bias of the item and what the items of the user add sum to its score.

    Attributes
    ----------
    item : str or int
    probability : float
        Of the item among those that the user does not have. That of :meth:`Recommender.recommend` for a basket is from
        a less exact vector, and may differ by a thousandth of it. Of an item that the user has, among all.
    score : float
        The logit of the item.
    bias : float
        The part of the score that is the same for everybody who has an item.
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
