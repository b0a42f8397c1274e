"""The ids of tokens.

An integer that is given as a token is the token of its digits, in a query as in a corpus: never an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastembed._base.unknown_token import Ids, unknown_token


def token_of(name: Any) -> Any:
    """Return the digits of an integer that names a token, and anything else as it is.

    Examples
    --------
    >>> token_of(33), token_of("the"), token_of(None)
    ('33', 'the', None)
    """
    if isinstance(name, int | np.integer) and not isinstance(name, bool):
        return str(int(name))
    return name


def check_token(token: Any, ids: Ids, tokens: Sequence[str]) -> int:
    """Return the id of a token."""
    name = token_of(token)
    if not isinstance(name, str):
        raise TypeError(f"a token is a str, or an int whose digits it is, got {token!r}")
    if name not in ids:
        raise unknown_token(token, ids, tokens)
    return ids[name]


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
