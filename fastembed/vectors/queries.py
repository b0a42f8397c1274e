"""What can be asked of vectors with tokens: lookup, similarity, neighbours, analogies. A base of `Vectors`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.lookup import check_token
from fastembed._base.validation import check_choice, check_finite, check_integer, check_number
from fastembed.vectors.neighbors import METHODS, Ids, Matrix, Neighbors, unit_vectors

Token = str | int | np.integer[Any]
"""A token or its id."""

Query = Token | npt.NDArray[np.floating[Any]]
"""A token, its id, or a vector (D,)."""

Weighted = Query | tuple[Query, float]


class Queries:
    """Questions to V tokens and their matrix, which a derived class sets.

    Wherever a token is asked for, its id, the place of its row, will do: integers are ids, arrays of floats vectors.
    """

    _tokens: tuple[str, ...]
    _ids: dict[str, int]
    _matrix: Matrix

    def __len__(self) -> int:
        return len(self._tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, tokens: Token | Iterable[Token]) -> Matrix:
        """Return the vector of a token, shape (D,), read-only; or those of several, a new array of shape (N, D)."""
        key = self._id(tokens) if isinstance(tokens, str | int | np.integer) else self._several("tokens", tokens)
        rows: Matrix = self._matrix[key]
        return rows

    def similarity(self, a: Token, b: Token) -> float:
        """Return the cosine of the angle between the vectors of two tokens, from -1 to 1; 0 if one of them is zero.

        Parameters
        ----------
        a, b : str or int
            Tokens or ids.

        Raises
        ------
        KeyError
            If a token is unknown; the message gives the closest spellings.
        TypeError, ValueError
            If something is neither a token nor an id.

        Examples
        --------
        >>> from fastembed import Vectors
        >>> Vectors(["a", "b"], np.array([[3.0, 0.0], [4.0, 3.0]])).similarity("a", "b")
        0.8
        """
        unit_a, unit_b = unit_vectors(self[[a, b]])
        return float(np.clip(unit_a @ unit_b, -1.0, 1.0))

    def distance(self, a: Token, b: Token) -> float:
        """Return the cosine distance of two tokens, 1 - :meth:`similarity`: from 0 to 2.

        The parameters and the errors are those of :meth:`similarity`.

        Examples
        --------
        >>> from fastembed import Vectors
        >>> Vectors(["a", "b"], np.array([[3.0, 0.0], [0.0, -2.0]])).distance("a", "b")
        1.0
        """
        return 1.0 - self.similarity(a, b)

    def rank(self, a: Token, b: Token) -> int:
        """Return the place of `b` among the neighbours of `a`: 1 if no other token has a larger cosine with `a`.

        The parameters and the errors are those of :meth:`similarity`.

        Examples
        --------
        >>> from fastembed import Vectors
        >>> v = Vectors(["a", "b", "c"], np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.5]]))
        >>> v.rank("a", "c"), v.rank("a", "b")
        (1, 2)
        """
        return 1 + self._neighbors.count_nearer(self._id(a), self._id(b))

    def doesnt_match(self, tokens: Iterable[Token]) -> str:
        """Return the token whose vector has the smallest cosine with the mean of all; the first of equals.

        Parameters
        ----------
        tokens : iterable of str or int
            At least three: two are always alike far from their mean.

        Returns
        -------
        str

        Raises
        ------
        KeyError
            If a token is unknown; the message gives the closest spellings.
        TypeError, ValueError
            If something is neither a token nor an id, or there are fewer than three.

        Examples
        --------
        >>> from fastembed import Vectors
        >>> v = Vectors(["red", "blue", "cat"], np.array([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0]]))
        >>> v.doesnt_match(["red", "cat", "blue"])
        'cat'
        """
        ids = self._several("tokens", tokens)
        if len(ids) < 3:
            raise ValueError(f"doesnt_match needs at least three tokens, got {len(ids)}")
        unit = self._neighbors.unit(ids)
        worst = ids[np.argmin((unit * unit.mean(axis=0)).sum(axis=1))]
        return self._tokens[int(worst)]

    def most_similar(
        self,
        positive: Query | Iterable[Weighted] = (),
        negative: Query | Iterable[Weighted] = (),
        topn: int = 10,
        *,
        restrict: int | np.integer[Any] | Iterable[Token] | None = None,
    ) -> list[tuple[str, float]]:
        """Return the tokens nearest to the mean of some vectors, by cosine (3CosAdd; the same as gensim's).

        Tokens count with their unit vectors, those in `negative` with a minus, and are left out of the answer. Vectors
        count as they are. For many queries at once see :meth:`nearest`.

        Parameters
        ----------
        positive, negative : str, int, ndarray of shape (D,), or iterable of them
            Tokens, ids and vectors; in an iterable each may be a pair (item, weight). A weight is taken with its sign,
            as gensim does, so in `negative` it must not be positive; without one it is 1, and -1 in `negative`. A tuple
            by itself is an iterable, as it is for gensim: ``("king", 2)`` is the token and the id 2, ``[("king", 2)]``
            the token with weight 2.
        topn : int
            How many, at least 1; fewer are returned if there are no more.
        restrict : int or iterable of str or int, optional
            Search the first so many tokens only, or these tokens.

        Returns
        -------
        list of (str, float)
            Token and cosine, falling; equals in the order of the tokens.

        Raises
        ------
        KeyError
            If a token is unknown; the message gives the closest spellings.
        TypeError, ValueError
            If the query is empty, a vector has another shape or is not finite, or another argument is not as above.

        References
        ----------
        O. Levy and Y. Goldberg, "Linguistic regularities in sparse and explicit word representations", CoNLL 2014.

        Examples
        --------
        >>> from fastembed import Vectors
        >>> v = Vectors(["man", "woman", "king", "queen"], np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]]))
        >>> v.most_similar(["king", "woman"], negative="man", topn=1)[0][0]
        'queen'
        >>> v.most_similar([("king", 2.0), "woman"], restrict=2)[0][0]
        'man'
        """
        topn = check_integer("topn", topn, low=1)
        among = self._among(restrict)
        items = _weighted("positive", positive, 1.0) + _weighted("negative", negative, -1.0)
        if not items:
            raise ValueError("most_similar needs at least one token or vector, got none")
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.sum([weight * self._query_vector(item) for item, weight in items], axis=0)
        check_finite("the sum of the query", total)
        asked = list({self._id(item) for item, _ in items if not isinstance(item, np.ndarray)})
        ((ids, cosines),) = self._neighbors.nearest(unit_vectors(total[None]), topn, excluded=[asked], among=among)
        return self._scored(ids, cosines)

    def nearest(
        self,
        queries: Query | Iterable[Query],
        topn: int = 10,
        *,
        restrict: int | np.integer[Any] | Iterable[Token] | None = None,
    ) -> tuple[Ids, npt.NDArray[np.float64]]:
        """Return the ids of the tokens nearest to each of many queries, and the cosines: many times faster than a loop.

        A token is left out of its own answer, as in :meth:`most_similar`; the answer to a vector is among all tokens.
        A query has the same answer alone and among others, up to its length.

        Parameters
        ----------
        queries : ndarray of float, shape (Q, D) or (D,); or str, int, or iterable of str, int and ndarray (D,)
            Vectors, tokens, ids.
        topn : int
            How many for each query, at least 1; fewer are returned if there are no more for one of them.
        restrict : int or iterable of str or int, optional
            Search the first so many tokens only, or these tokens.

        Returns
        -------
        ids : ndarray of intp, shape (Q, topn)
            Rows of the matrix, places in :attr:`tokens`. For a single query the shape is (topn,).
        cosines : ndarray of float64, same shape
            Falling; equals in the order of the tokens.

        Raises
        ------
        KeyError
            If a token is unknown; the message gives the closest spellings.
        TypeError, ValueError
            If a vector has another shape or is not finite, or another argument is not as above.

        Notes
        -----
        The search is exhaustive. One product serves as many queries as have 32 MiB of cosines with all tokens, and of
        such blocks two are held at most.

        Examples
        --------
        >>> from fastembed import Vectors
        >>> v = Vectors(["a", "b", "c"], np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        >>> ids, cosines = v.nearest(["a", "b"], topn=1)
        >>> [v.tokens[i] for i in ids[:, 0]], cosines.round(4).tolist()
        (['c', 'c'], [[0.7071], [0.7071]])
        >>> v.nearest(np.array([0.0, 3.0]), topn=2)[0]
        array([1, 2])
        """
        topn = check_integer("topn", topn, low=1)
        among = self._among(restrict)
        single = _is_query(queries)
        vectors, own = self._query_rows([queries] if single else queries)
        found = self._neighbors.nearest(unit_vectors(vectors), topn, excluded=own, among=among)
        size = min((len(ids) for ids, _ in found), default=0)
        ids, cosines = np.empty((len(found), size), np.intp), np.empty((len(found), size))
        for row, (best, scores) in enumerate(found):
            ids[row], cosines[row] = best[:size], scores[:size]
        return (ids[0], cosines[0]) if single else (ids, cosines)

    def analogy(
        self,
        a: Token,
        b: Token,
        c: Token,
        topn: int = 10,
        *,
        method: str = "3CosAdd",
        restrict: int | np.integer[Any] | Iterable[Token] | None = None,
    ) -> list[tuple[str, float]]:
        """Return what c is to, if a is to b: "man is to king as woman is to queen".

        With unit vectors 3CosAdd takes the largest cos(v, b - a + c), and is `most_similar([b, c], [a])`; 3CosMul takes
        the largest s(v, b) s(v, c) / (s(v, a) + 1e-6) where s = (1 + cos) / 2, and is gensim's `most_similar_cosmul`.

        Parameters
        ----------
        a, b, c : str or int
            Tokens or ids; they are left out of the answer.
        topn : int
            How many, at least 1; fewer are returned if there are no more.
        method : {"3CosAdd", "3CosMul"}
        restrict : int or iterable of str or int, optional
            Search the first so many tokens only, or these tokens.

        Returns
        -------
        list of (str, float)
            Token and score, falling; equals in the order of the tokens.

        Raises
        ------
        KeyError
            If a token is unknown; the message gives the closest spellings.
        TypeError, ValueError
            If another argument is not as above.

        References
        ----------
        O. Levy and Y. Goldberg, "Linguistic regularities in sparse and explicit word representations", CoNLL 2014.

        Examples
        --------
        >>> from fastembed import Vectors
        >>> v = Vectors(["man", "woman", "king", "queen"], np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]]))
        >>> v.analogy("man", "king", "woman", topn=1, method="3CosMul")[0][0]
        'queen'
        """
        topn = check_integer("topn", topn, low=1)
        check_choice("method", method, METHODS)
        among = self._among(restrict)
        asked = [self._id(token) for token in (a, b, c)]
        questions = list(self._neighbors.unit(np.array(asked))[:, None])
        ((ids, scores),) = self._neighbors.analogies(
            questions, topn, method=method, excluded=[list(set(asked))], among=among
        )
        return self._scored(ids, scores)

    @cached_property
    def _neighbors(self) -> Neighbors:
        return Neighbors(self._matrix)

    def _scored(self, ids: Ids, scores: npt.NDArray[np.float64]) -> list[tuple[str, float]]:
        return [(self._tokens[i], score) for i, score in zip(ids.tolist(), scores.tolist(), strict=True)]

    def _among(self, restrict: int | np.integer[Any] | Iterable[Token] | None) -> int | Ids | None:
        """Return to how many rows, or to which, rising, a search is restricted."""
        if restrict is None:
            return None
        if isinstance(restrict, int | np.integer):
            return check_integer("restrict", restrict, low=1)
        ids = np.unique(self._several("restrict", restrict))
        if not len(ids):
            raise ValueError("restrict must hold at least one token, got none")
        return ids

    def _query_rows(self, queries: Any) -> tuple[npt.NDArray[Any], list[list[int]]]:
        """Return the vectors (Q, D) of queries, and of each the ids that are left out of its answer."""
        dim = self._matrix.shape[1]
        if isinstance(queries, np.ndarray) and queries.dtype.kind == "f":
            if queries.ndim != 2 or queries.shape[1] != dim:
                raise ValueError(f"queries must have the shape (Q, {dim}) or ({dim},), got {queries.shape}")
            check_finite("queries", queries)
            return queries, [[]] * len(queries)
        items = _listed("queries", queries)
        own = [[] if isinstance(item, np.ndarray) else [self._id(item)] for item in items]
        return np.array([self._query_vector(item) for item in items]).reshape(-1, dim), own

    def _query_vector(self, item: Query) -> npt.NDArray[np.float64]:
        """Return what an item of a query stands for: a token's unit vector, or the array itself."""
        if not isinstance(item, np.ndarray):
            unit: npt.NDArray[np.float64] = self._neighbors.unit(np.array([self._id(item)]))[0]
            return unit
        if item.dtype.kind != "f":
            raise TypeError(f"a query vector must hold floating-point numbers, got dtype {item.dtype}")
        if item.shape != self._matrix.shape[1:]:
            raise ValueError(f"a query vector must have the shape {self._matrix.shape[1:]}, got {item.shape}")
        check_finite("query vector", item)
        return item.astype(np.float64)

    def _several(self, name: str, tokens: Iterable[Token]) -> Ids:
        """Return the rows of several tokens."""
        if isinstance(tokens, str):
            raise TypeError(f"{name} must be several tokens, got the single str {tokens!r}")
        if isinstance(tokens, slice):
            raise TypeError(f"{name} must be tokens or ids, got {tokens!r}: take slices of .tokens or of .matrix")
        return np.array([self._id(token) for token in _listed(name, tokens, "tokens or ids")], dtype=np.intp)

    def _id(self, token: Token) -> int:
        """Return the row of a token, or say which tokens are spelled most like it."""
        return check_token(token, self._ids, self._tokens)


def _is_query(item: object) -> bool:
    """Say whether something is one token, one id or one vector."""
    return isinstance(item, str | int | np.integer) or (
        isinstance(item, np.ndarray) and item.ndim == 1 and item.dtype.kind == "f"
    )


def _listed(name: str, items: Any, what: str = "tokens, ids or vectors") -> list[Any]:
    try:
        if isinstance(items, bytes | bytearray):  # whose items are integers, and so ids
            raise TypeError
        return list(items)
    except TypeError:
        raise TypeError(f"{name} must be {what}, got {items!r}") from None


def _weighted(name: str, items: Query | Iterable[Weighted], sign: float) -> list[tuple[Query, float]]:
    """Return the items of a query with their weights: one token or one vector may stand for itself."""
    if isinstance(items, tuple) and len(items) == 2 and isinstance(items[1], float | np.floating):
        raise TypeError(f"{name} must be tokens, ids or vectors, got {items!r}: one item with a weight is [{items!r}]")
    high = np.inf if sign > 0 else 0.0
    weighted: list[tuple[Query, float]] = []
    for item in _listed(name, [items] if _is_query(items) else items):
        if isinstance(item, tuple) and len(item) == 2:
            item, weight = item
            weighted.append((item, check_number(f"the weight of {item!r} in {name}", weight, low=-np.inf, high=high)))
        else:
            weighted.append((item, sign))
    return weighted
