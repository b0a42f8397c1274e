"""Parse the tokens and vectors of a query into rows, weights and checked vectors; compose unknown words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import check_finite, check_integer, check_number, check_token, token_of, unmasked
from fastembed.vectors.neighbors import Exact, Ids, Matrix, unit_vectors
from fastembed.vectors.subwords import Composer

Token = str | int | np.integer[Any]  # a token, or an integer whose digits are a token
Query = Token | npt.NDArray[np.floating[Any]]  # a token, or a vector (D,)
Weighted = Query | tuple[Query, float]
Restriction = int | np.integer[Any] | Iterable[Token] | None
Found = int | Matrix  # the row of a token, or the vector (D,) composed for an unknown word
Parsed = int | Exact  # the row of a token, or a vector (D,); composed ones are of unit length, as tokens contribute


class QueryParser:
    """Parser of queries over V tokens whose vectors have dimension D.

    An integer is the token of its digits; an array of floats is a vector.

    Parameters
    ----------
    tokens : sequence of str, length V
    rows : mapping of str to int
        The row of each token.
    dim : int
        D.
    composer : Composer, optional
        Composes vectors for words that are not among the tokens.
    """

    def __init__(
        self, tokens: Sequence[str], rows: Mapping[str, int], dim: int, composer: Composer | None = None
    ) -> None:
        self._tokens = tokens
        self._rows = rows
        self._dim = dim
        self._composer = composer

    def row(self, token: Token) -> int:
        """Return the row of a token; an unknown one raises a KeyError that names the closest spellings."""
        return check_token(token, self._rows, self._tokens)

    def rows(self, name: str, tokens: Iterable[Token]) -> Ids:
        """Return the rows of several tokens."""
        return np.array([self.row(token) for token in self.several(name, tokens)], dtype=np.intp)

    @staticmethod
    def several(name: str, tokens: Iterable[Token]) -> list[Any]:
        """Return several tokens as a list."""
        if isinstance(tokens, str):
            raise TypeError(f"{name} must be several tokens, got the single str {tokens!r}")
        if isinstance(tokens, slice):
            raise TypeError(f"{name} must be tokens, got {tokens!r}: take slices of .tokens or of .matrix")
        return _listed(name, tokens, "one token or several")

    def found(self, token: Token) -> Found:
        """Return the row of a token, or the composed vector of an unknown word; KeyError if it cannot be composed."""
        name = token_of(token)
        if self._composer is not None and isinstance(name, str) and name not in self._rows:
            vector = self._composer.compose(name)
            if vector is not None:
                return vector
        return self.row(token)

    def found_all(self, tokens: Sequence[Any]) -> list[Found]:
        """Return the result of :meth:`found` for each token; all unknown words are composed at once."""
        if self._composer is None:
            return [self.row(token) for token in tokens]
        names = [token_of(token) for token in tokens]
        unknown = list(dict.fromkeys(name for name in names if isinstance(name, str) and name not in self._rows))
        vectors, known = self._composer.compose_all(unknown)
        composed = {name: vectors[i] for i, name in enumerate(unknown) if known[i]}
        return [
            composed[name] if isinstance(name, str) and name in composed else self.row(token)
            for token, name in zip(tokens, names, strict=True)
        ]

    def vectors(self, name: str, tokens: Iterable[Token], matrix: Matrix) -> Matrix:
        """Return the vectors of several tokens, (N, D), from the matrix of all; compose those of unknown words."""
        if self._composer is None:
            return matrix[self.rows(name, tokens)]
        found = self.found_all(self.several(name, tokens))
        vectors = matrix[[item if isinstance(item, int) else 0 for item in found]]
        for row, item in zip(vectors, found, strict=True):
            if not isinstance(item, int):
                row[:] = item
        return vectors

    def restriction(self, restrict: Restriction) -> int | Ids | None:
        """Return the number of first rows to search, or the rows to search in ascending order."""
        if restrict is None:
            return None
        if isinstance(restrict, int | np.integer):
            return check_integer("restrict", restrict, low=1)
        rows = np.unique(self.rows("restrict", restrict))
        if not len(rows):
            raise ValueError("restrict must hold at least one token, got none")
        return rows

    def weighted(self, name: str, items: Query | Iterable[Weighted], sign: float) -> list[tuple[Parsed, float]]:
        """Return the items of a query and their weights, which are `sign` where none is given."""
        if isinstance(items, tuple) and len(items) == 2 and isinstance(items[1], float | np.floating):
            raise TypeError(f"{name} must be tokens or vectors, got {items!r}: one item with a weight is [{items!r}]")
        if isinstance(items, Mapping):  # whose values would be lost
            raise TypeError(f"{name} must be tokens or vectors, got {items!r}: items with weights are its .items()")
        high = np.inf if sign > 0 else 0.0
        weighted: list[tuple[Parsed, float]] = []
        for item in _listed(name, [items] if is_single(items) else items):
            weight = sign
            if isinstance(item, tuple) and len(item) == 2:
                item, weight = item
                weight = check_number(f"the weight of {item!r} in {name}", weight, low=-np.inf, high=high)
            weighted.append((self._parsed(item), weight))
        return weighted

    def batch(self, queries: Query | Iterable[Query]) -> npt.NDArray[np.floating[Any]] | list[Parsed]:
        """Return many queries: a matrix (Q, D) of floats unchanged, or the parsed items of another iterable."""
        if isinstance(queries, np.ndarray) and queries.dtype.kind == "f" and queries.ndim != 1:
            if queries.ndim != 2 or queries.shape[1] != self._dim:
                raise ValueError(f"queries must have the shape (Q, {self._dim}) or ({self._dim},), got {queries.shape}")
            return _exact("queries", queries)
        items = _listed("queries", [queries] if is_single(queries) else queries)
        found = iter(self.found_all([item for item in items if not isinstance(item, np.ndarray)]))
        return [self._vector(item) if isinstance(item, np.ndarray) else as_parsed(next(found)) for item in items]

    def _parsed(self, item: Query) -> Parsed:
        return self._vector(item) if isinstance(item, np.ndarray) else as_parsed(self.found(item))

    def _vector(self, item: npt.NDArray[Any]) -> Exact:
        """Check a given vector and return it."""
        if item.dtype.kind != "f":
            raise TypeError(f"a query vector must hold floating-point numbers, got dtype {item.dtype}")
        if item.shape != (self._dim,):
            raise ValueError(f"a query vector must have the shape ({self._dim},), got {item.shape}")
        return _exact("query vector", item)


def as_parsed(found: Found) -> Parsed:
    """Return a row unchanged, or a composed vector scaled to unit length."""
    return found if isinstance(found, int) else unit_vectors(found[None])[0]


def _exact(name: str, vectors: npt.NDArray[Any]) -> Exact:
    """Return vectors in float64; check after the cast that all are finite, since a long double may overflow."""
    with np.errstate(over="ignore"):
        exact = unmasked(name, vectors).astype(np.float64)
    check_finite(name, exact)
    return exact


def is_single(query: object) -> bool:
    """Return whether a query is one token or one vector."""
    return isinstance(query, str | int | np.integer) or (
        isinstance(query, np.ndarray) and query.ndim == 1 and query.dtype.kind == "f"
    )


def _listed(name: str, items: Any, what: str = "tokens or vectors") -> list[Any]:
    try:
        if isinstance(items, bytes | bytearray):  # whose items are integers, and so would pass as tokens
            raise TypeError
        return list(items)
    except TypeError:
        raise TypeError(f"{name} must be {what}, got {items!r}") from None
