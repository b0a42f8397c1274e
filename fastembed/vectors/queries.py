"""What a query names: tokens and vectors, parsed into rows, weights and checked vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.lookup import check_token
from fastembed._base.validation import check_finite, check_integer, check_number, unmasked
from fastembed.vectors.neighbors import Exact, Ids

Token = str | int | np.integer[Any]  # a token, or an integer whose digits are a token
Query = Token | npt.NDArray[np.floating[Any]]  # a token, or a vector (D,)
Weighted = Query | tuple[Query, float]
Restriction = int | np.integer[Any] | Iterable[Token] | None
Parsed = int | Exact  # the row of a token, or a vector (D,)


class QueryParser:
    """Parses queries to V tokens whose vectors have dimension D.

    Integers are the tokens of their digits; arrays of floats are vectors.

    Parameters
    ----------
    tokens : sequence of str, length V
    rows : mapping of str to int
        The row of each token.
    dim : int
        D.
    """

    def __init__(self, tokens: Sequence[str], rows: Mapping[str, int], dim: int) -> None:
        self._tokens = tokens
        self._rows = rows
        self._dim = dim

    def row(self, token: Token) -> int:
        """Return the row of a token; an unknown one raises a KeyError that names the closest spellings."""
        return check_token(token, self._rows, self._tokens)

    def rows(self, name: str, tokens: Iterable[Token]) -> Ids:
        """Return the rows of several tokens."""
        if isinstance(tokens, str):
            raise TypeError(f"{name} must be several tokens, got the single str {tokens!r}")
        if isinstance(tokens, slice):
            raise TypeError(f"{name} must be tokens, got {tokens!r}: take slices of .tokens or of .matrix")
        return np.array([self.row(token) for token in _listed(name, tokens, "tokens")], dtype=np.intp)

    def restriction(self, restrict: Restriction) -> int | Ids | None:
        """Return the number of rows to which a search is restricted, or these rows in ascending order."""
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
        """Return many queries: a matrix (Q, D) of floats as it is, or the items of another iterable, parsed."""
        if isinstance(queries, np.ndarray) and queries.dtype.kind == "f" and queries.ndim != 1:
            if queries.ndim != 2 or queries.shape[1] != self._dim:
                raise ValueError(f"queries must have the shape (Q, {self._dim}) or ({self._dim},), got {queries.shape}")
            return _exact("queries", queries)
        return [self._parsed(item) for item in _listed("queries", [queries] if is_single(queries) else queries)]

    def _parsed(self, item: Query) -> Parsed:
        if not isinstance(item, np.ndarray):
            return self.row(item)
        if item.dtype.kind != "f":
            raise TypeError(f"a query vector must hold floating-point numbers, got dtype {item.dtype}")
        if item.shape != (self._dim,):
            raise ValueError(f"a query vector must have the shape ({self._dim},), got {item.shape}")
        return _exact("query vector", item)


def _exact(name: str, vectors: npt.NDArray[Any]) -> Exact:
    """Return vectors in float64, all finite: a long double may not be."""
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
