"""`Recommender`: learns who takes what, and recommends items."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastembed._base import estimator
from fastembed._base.estimator import Transformer, with_known_names
from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_flag, check_integer
from fastembed.recommender.data import Names, is_name, read_interactions
from fastembed.recommender.model import ROUGH_TOLERANCE, Explanation, FittedRecommender, Query, Scored
from fastembed.recommender.options import RecommenderOptions
from fastembed.recommender.training import fitted
from fastembed.trainer.progress import FitProgress
from fastembed.trainer.run import EpochEnd, running
from fastembed.vectors.neighbors import Neighbors


@with_known_names
@dataclass(eq=False, repr=False, kw_only=True)
class Recommender(Transformer[FittedRecommender]):  # numpydoc ignore=PR02
    """Recommends items to users, by an exact softmax over all items.

    Two models give the logits: a vector of the user times vectors of items, and a matrix of items that are often taken
    together. The strengths of the two models and of popularity are chosen by hidden items of some users. A user without
    items gets the most popular items. The result has the same bits on any number of threads. Section 11 of
    ``docs/derivation.md`` has the formulas.

    Parameters
    ----------
    dim : int
        Dimension of the vectors.
    epochs : int, optional
        The number of passes over the users; by default fewer if users are many or have few items.
    seed : int
        Seed of the initial vectors, the order of the users, and the choice of the hidden items.
    threads : int, optional
        The number of threads; by default the number of CPUs.

    Raises
    ------
    AttributeError
        By methods and properties that need a fit, before a fit.
    KeyError
        For an unknown user or item. With ``skip_unknown=True`` unknown items are left out, and an unknown user has no
        items.
    TypeError, ValueError
        By any method, for an argument of another type or value than documented, and for a damaged file.
    OSError
        For a file that cannot be read or written. The old file stays.
    MemoryError
        If training needs more memory than is free.

    Notes
    -----
    Users and items are str or int. ``who`` is a user by name; several baskets, which are lists of items or of tuples
    (item, weight); or a SciPy sparse matrix (N, V), whose columns are `items_`. Several users by name are
    ``users=[...]``. An item without a weight has the median weight of training, or 1 if training had baskets without
    weights.

    `Recommender` is a scikit-learn estimator. Any number of threads may use a fitted recommender at the same time.

    Examples
    --------
    >>> baskets = [["bread", "butter"], ["bread", "butter", "jam"], ["bread", "jam"], ["nails", "hammer"]] * 9
    >>> model = Recommender(dim=2, threads=1).fit(baskets)
    >>> [item for item, _ in model.recommend([["bread", "jam"]], topn=1)[0]]
    ['butter']
    """

    dim: int = 128
    epochs: int | None = None
    seed: int = 0
    threads: int | None = None

    _read = FittedRecommender.load
    _input: ClassVar = {"sparse": True, "positive_only": True}

    # ---------------------------------------------------------------- training

    def fit(
        self,
        X: Any,
        y: object = None,
        *,
        user: str | int | None = None,
        item: str | int | None = None,
        weight: str | int | None = None,
        header: bool = True,
        progress: FitProgress | bool | None = None,
        on_epoch_end: EpochEnd | None = None,
    ) -> Self:
        """Learn from who took what.

        Parameters
        ----------
        X : matrix, pairs or baskets
            A sparse matrix or array of users and items; pairs, as a table in memory or structured files, with `user`
            and `item` to name two of the fields; or baskets, as lists of items, a text file with a basket per line, or
            CSV without names.
        y
            Ignored; scikit-learn passes it.
        user, item, weight : str or int, optional
            The fields of pairs, by name or number from 1. Weights of equal pairs are added up. A weight says how much a
            user likes an item: of star ratings, keep 4 stars and more, without weights.
        header : bool
            Whether the first row of CSV and TSV holds the names of the fields. If not, a row is a basket, unless fields
            are given.
        progress : bool or FitProgress, optional
            As for `SkipGram.fit`.
        on_epoch_end : callable, optional
            Called after each epoch with its record; training ends early if the call returns True. The model of this
            recommender changes only when `fit` ends.

        Returns
        -------
        Recommender
            Itself.

        Examples
        --------
        >>> bought = {"who": ["ann", "ann", "bob"], "what": [7, 8, 7]}
        >>> model = Recommender(threads=1).fit(bought, user="who", item="what")
        >>> model.items_.tolist(), model.users_.tolist()
        ([7, 8], ['ann', 'bob'])
        """
        options = self._options()
        with running(self, progress=progress, on_epoch_end=on_epoch_end) as run:
            self._model = fitted(read_interactions(X, user, item, weight, header=header), options, run)
        return self

    # ---------------------------------------------------------------- fitted properties

    @property
    def items_(self) -> NDArray[Any]:
        """The items (V,): int64, or str objects.

        The items of a matrix are its columns, 0 to V - 1. Other items have the order in which they first occur; if they
        are the numbers 0 to V - 1, they are sorted.
        """
        return self._fitted.data.items.names

    @property
    def users_(self) -> NDArray[Any]:
        """The users (U,): int64, or str objects; numbers from 0 if they have no names."""
        return self._fitted.data.users.names

    @property
    def item_factors_(self) -> NDArray[np.float32]:
        """The vectors of the items (V, D): the columns of W."""
        return self._fitted.model.linear.T

    @property
    def user_factors_(self) -> NDArray[np.float32]:
        """The vectors of the users (U, D), which are computed at first use."""
        state = self._fitted
        return state.known_rows.of(np.arange(len(state.data.users)), Pool(check_threads(self.threads)))

    @property
    def history_(self) -> list[dict[str, float]]:
        """The records of the epochs; see `Trainer.fit_counts`.

        `perplexity` is of the vectors alone, and may rise. Unless data are few, the last record has `found`, the
        share of hidden items among the ten best, and `found_by_popularity`, the same share for the most popular items.
        """
        return self._fitted.history

    @property
    def n_features_in_(self) -> int:
        """The number of items V, as scikit-learn names it."""
        return len(self._fitted.data.items)

    # ---------------------------------------------------------------- answers

    def recommend(
        self,
        who: Any = None,
        topn: int = 10,
        exclude_seen: bool = True,
        exclude: Iterable[Any] | None = None,
        among: Iterable[Any] | None = None,
        skip_unknown: bool = False,
        *,
        users: Iterable[Any] | None = None,
    ) -> Any:
        """Return the most probable items of a user or of several.

        Parameters
        ----------
        who : str or int, list of baskets, or sparse matrix
            A user of `fit` by name; or a list of baskets, also for a single basket; or rows of a matrix.
        topn : int
            The number of items; fewer if there are no more.
        exclude_seen : bool
            Leave out the items that a user has.
        exclude : iterable of items, optional
            Items to leave out.
        among : iterable of items, optional
            Recommend only these.
        skip_unknown : bool
            Skip unknown items, and give an unknown user popular items, instead of raising KeyError.
        users : iterable of str or int, optional
            Several users of `fit` by name, instead of `who`.

        Returns
        -------
        list of (item, float), or a list of these
            The items and their probabilities, the most probable first: a list of pairs for one user by name, otherwise
            a list of lists of pairs. The probabilities of all items that are not left out sum to 1. For baskets and
            rows of a matrix, the relative error of a probability is a thousandth at most.

        Examples
        --------
        >>> model = Recommender(threads=1).fit([["bread", "butter"], ["bread", "jam"], ["nails", "saw"]] * 5)
        >>> len(model.recommend(0)), len(model.recommend(users=[0, 1])), len(model.recommend([["bread"]], topn=2)[0])
        (3, 2, 2)
        >>> model.recommend([["bread", ("jam", 2.0)]], among=["butter"])
        [[('butter', 1.0)]]
        """
        topn, state = check_integer("topn", topn, low=1), self._fitted
        seen = check_flag("exclude_seen", exclude_seen)
        left_out, allowed = (self._item_ids(items, skip_unknown) for items in (exclude, among))
        threads = check_threads(self.threads)
        query = state.query(who, users, check_flag("skip_unknown", skip_unknown), Pool(threads), ROUGH_TOLERANCE)
        recommended = state.recommend(query, topn, seen, left_out, allowed, threads)
        return recommended[0] if query.single else recommended

    def _item_ids(self, items: Any, skip_unknown: bool) -> NDArray[np.intp] | None:
        if items is None:
            return None
        ids = self._fitted.data.items.find(items, skip_unknown)
        return ids[ids >= 0]

    def similar_items(self, item: Any, topn: int = 10, skip_unknown: bool = False) -> Any:
        """Return the items whose vectors have the largest cosine to the vector of an item, or of several items.

        Parameters
        ----------
        item : item, or iterable of items
        topn : int
        skip_unknown : bool
            Return an empty list for an unknown item, instead of raising KeyError.

        Returns
        -------
        list of (item, float), or a list of these
            Without the item itself. If few users have an item, its vector says little about it.

        Examples
        --------
        >>> baskets = [["bread", "butter"], ["bread", "butter", "jam"], ["nails", "saw"], ["nails", "saw", "drill"]] * 9
        >>> model = Recommender(dim=2, threads=1).fit(baskets)
        >>> model.similar_items("saw", topn=1)[0][0]
        'nails'
        """
        state = self._fitted
        return self._similar(item, topn, skip_unknown, state.data.items, state.near_items)

    def similar_users(self, user: Any, topn: int = 10, skip_unknown: bool = False) -> Any:
        """Return the users whose vectors have the largest cosine to the vector of a user, or of several users.

        Parameters
        ----------
        user : user, or iterable of users
        topn : int
        skip_unknown : bool
            Return an empty list for an unknown user, instead of raising KeyError.

        Returns
        -------
        list of (user, float), or a list of these
            Without the user, and without users who have no items.

        Examples
        --------
        >>> model = Recommender(dim=2, threads=1).fit([["bread", "butter"], ["nails", "saw"], ["bread", "butter"]])
        >>> model.similar_users(0, topn=1)[0][0]
        2
        """
        state = self._fitted
        near = state.known_rows.near(Pool(check_threads(self.threads)))
        return self._similar(user, topn, skip_unknown, state.data.users, near)

    def _similar(self, targets: Any, topn: int, skip_unknown: bool, known: Names, neighbors: Neighbors) -> Any:
        topn, single = check_integer("topn", topn, low=1), is_name(targets)
        ids = known.find([targets] if single else targets, check_flag("skip_unknown", skip_unknown))
        similar: list[Scored] = [[] for _ in ids]
        rows = ids[ids >= 0]
        answers = neighbors.nearest(neighbors.unit(rows), topn, excluded=rows[:, None].tolist())
        for place, (near, cosines) in zip(np.flatnonzero(ids >= 0), answers, strict=True):
            similar[place] = list(zip(known.names[near].tolist(), cosines.tolist(), strict=True))
        return similar[0] if single else similar

    def transform(self, X: Any = None, skip_unknown: bool = False, *, users: Iterable[Any] | None = None) -> Any:
        """Return the vectors of users.

        Parameters
        ----------
        X
            Who; see the class.
        skip_unknown : bool
            See the class.
        users : iterable of users, optional
            See the class.

        Returns
        -------
        ndarray of float32 (N, D)
            0 for a user without items. A DataFrame if `set_output` asks for it.

        Examples
        --------
        >>> model = Recommender(dim=2, threads=1).fit([["bread", "butter"], ["bread", "jam"], ["nails", "saw"]])
        >>> model.transform([["bread"], []]).shape
        (2, 2)
        """
        return estimator.output(self, self._query(X, users, skip_unknown)[1].rows, X if users is None else users)

    def fit_transform(self, X: Any, y: object = None, **fit_params: Any) -> Any:
        """Fit, and return the vectors of the users (U, D).

        Parameters
        ----------
        X, y, **fit_params
            As for :meth:`fit`.

        Returns
        -------
        ndarray of float32 (U, D)

        Examples
        --------
        >>> Recommender(dim=1, threads=1).fit_transform([["bread", "butter"], ["nails", "saw"]]).shape
        (2, 1)
        """
        return estimator.output(self, self.fit(X, y, **fit_params).user_factors_, X)

    def predict_proba(self, X: Any = None, skip_unknown: bool = False, *, users: Any = None) -> NDArray[np.float32]:
        """Return the probabilities of all items, also of the items that a user has.

        Parameters
        ----------
        X
            Who; see the class.
        skip_unknown : bool
            See the class.
        users : iterable of users, optional
            See the class.

        Returns
        -------
        ndarray of float32 (N, V)
            In the order of `items_`. Each row sums to 1.

        Examples
        --------
        >>> model = Recommender(dim=2, threads=1).fit([["bread", "butter"], ["bread", "jam"], ["nails", "saw"]])
        >>> model.predict_proba([["bread"]]).shape
        (1, 5)
        """
        state, query = self._query(X, users, skip_unknown)
        probabilities, threads = np.empty(query.matrix.shape, np.float32), check_threads(self.threads)
        for part, p in state.answers(query, threads, lambda part, log_p: (part, np.exp(log_p)), exclude_seen=False):
            probabilities[part] = p
        return probabilities

    def perplexity(self, X: Any = None, hidden: Any = None, skip_unknown: bool = False, *, users: Any = None) -> float:
        """Return the number of equally likely items that would be as hard to predict as the items of users.

        It is exp of a mean negative log-likelihood: of the hidden items among the items that are not in X, or without
        `hidden`, of the items of X among all items. The mean is over items, by their weights; in `held_out_items`, it
        is over users.

        Parameters
        ----------
        X
            Who; see the class.
        hidden : baskets or sparse rows, optional
            For each user in X a basket or row of other items.
        skip_unknown : bool
            See the class.
        users : iterable of users, optional
            See the class.

        Returns
        -------
        float

        Examples
        --------
        >>> baskets = [["bread", "butter"], ["bread", "butter", "jam"], ["nails", "saw"], ["nails", "saw", "drill"]] * 9
        >>> model = Recommender(dim=2, threads=1).fit(baskets)
        >>> 1 < model.perplexity([["bread"]], hidden=[["butter"]]) < 3
        True
        """
        state, query = self._query(X, users, skip_unknown)
        targets = None if hidden is None else state.hidden(query.matrix, hidden, skip_unknown)
        nll, weight = state.nll(query, targets, check_threads(self.threads))
        if not weight:
            raise ValueError("there is no item to predict")
        return math.exp(nll / weight)

    def explain(self, who: Any, item: Any, skip_unknown: bool = False) -> Explanation:
        """Return what each item of a user's history adds to the score of an item.

        Parameters
        ----------
        who
            A single user, basket or row; see the class.
        item : item
        skip_unknown : bool
            Leave out unknown items of the basket.

        Returns
        -------
        Explanation

        Examples
        --------
        >>> baskets = [["bread", "butter"], ["bread", "butter", "jam"], ["nails", "saw"], ["nails", "saw", "drill"]] * 9
        >>> why = Recommender(dim=2, threads=1).fit(baskets).explain([["bread", "saw"]], "butter")
        >>> why.contributions[0][0]
        'bread'
        """
        state, query = self._query(who, None, skip_unknown)
        if query.matrix.shape[0] != 1:
            raise ValueError(f"who must be one user, or one basket as [[...]], got {query.matrix.shape[0]}")
        return state.explain(query, int(state.data.items.find([item])[0]))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[Any]:
        """Return the names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features
            Ignored.

        Returns
        -------
        ndarray of object (D,)

        Examples
        --------
        >>> Recommender(dim=2).fit([["bread", "butter"], ["bread", "jam"], ["saw"]]).get_feature_names_out().tolist()
        ['recommender0', 'recommender1']
        """
        return np.array([f"recommender{k}" for k in range(len(self._fitted.model.linear))], object)

    # ---------------------------------------------------------------- private

    def _options(self) -> RecommenderOptions:
        """Check the parameters and return them."""
        check_threads(self.threads)
        return RecommenderOptions(self.dim, self.epochs, self.seed)

    def _query(self, who: Any, users: Any, skip_unknown: bool) -> tuple[FittedRecommender, Query]:
        state, skip = self._fitted, check_flag("skip_unknown", skip_unknown)
        return state, state.query(who, users, skip, Pool(check_threads(self.threads)))
