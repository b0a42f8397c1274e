"""The id of a token, and the error for an unknown token, which names similar spellings."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Protocol

import numpy as np

from fastembed._base.validation import check_integer


class Ids(Protocol):
    """A mapping of tokens to ids."""

    def __contains__(self, token: object) -> bool: ...
    def __getitem__(self, token: str) -> int: ...


def check_token(token: Any, ids: Ids, tokens: Sequence[str]) -> int:
    """Return the id of a token, which is given as itself or as its id."""
    if isinstance(token, str):
        if token not in ids:
            raise unknown_token(token, tokens)
        return ids[token]
    if not isinstance(token, int | np.integer):
        raise TypeError(f"a token is a str, or an int that is its id, got {token!r}")
    return check_integer("an id", token, low=0, high=len(tokens) - 1)


def unknown_token(token: object, tokens: Sequence[str]) -> KeyError:
    """Return the error for a token that is not one of the tokens; it names up to three of similar spelling."""
    message = f"{token!r} is not among the {len(tokens):,} tokens"
    if isinstance(token, str):
        similar = [other for other in tokens if abs(len(other) - len(token)) <= 2]
        close = get_close_matches(token, similar) or [other for other in similar if other.lower() == token.lower()]
        if close:
            message += f"; the closest spellings are {', '.join(map(repr, close))}"
    return KeyError(message)


def token_ids(tokens: Sequence[str]) -> dict[str, int]:
    """Return the id of each token, its place among them, after checking that they are unique strings."""
    ids: dict[str, int] = {}
    if set(map(type, tokens)) == {str}:  # much faster than one by one, which names what is wrong
        ids = dict(zip(tokens, range(len(tokens)), strict=True))
        if len(ids) == len(tokens):
            return ids
        ids = {}
    for place, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"every token must be a str, got {token!r}")
        if (first := ids.setdefault(token, place)) != place:
            raise ValueError(f"tokens must be unique, but {token!r} is in rows {first} and {place}")
    return ids
