"""The id of a token, and the error for an unknown token, which names similar spellings.

An integer that is given as a token is the token of its digits, in a query as in a corpus: never an id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np


class Ids(Protocol):
    """A mapping of tokens to ids."""

    def __contains__(self, token: object) -> bool: ...
    def __getitem__(self, token: str) -> int: ...


ALPHABET_TOKENS = 200  # the first tokens, whose characters are tried in place of others
ALPHABET_SIZE = 32  # the most frequent ones of them
LONGEST = 24  # characters of a token for which similar spellings are searched
SHOWN = 3  # similar spellings


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


def unknown_token(token: object, ids: Ids, tokens: Sequence[str]) -> KeyError:
    """Return the error for a token that is not one of the tokens; its message names up to three similar spellings."""
    return KeyError(UnknownToken(token, ids, tokens))


class UnknownToken:
    """The message for an unknown token. Similar spellings are searched when it is read: most such errors are caught.

    Similar are spellings in other case, and those that differ by one character left out, added, replaced, or swapped
    with the next. They are made and looked up: some hundreds, however many tokens there are.
    """

    def __init__(self, token: object, ids: Ids, tokens: Sequence[str]) -> None:
        self._token, self._ids, self._tokens = token, ids, tokens

    def __str__(self) -> str:
        close = sorted(self._similar(), key=self._ids.__getitem__)[:SHOWN]
        hint = f"; the closest spellings are {', '.join(map(repr, close))}" if close else ""
        if isinstance(self._token, int | np.integer):
            hint = "; an integer is the token of its digits"
            if 0 <= self._token < len(self._tokens):
                hint += f", and the token of id {self._token} is tokens[{self._token}]"
        return f"{self._token!r} is not among the {len(self._tokens):,} tokens{hint}"

    def __repr__(self) -> str:  # as which a KeyError shows it
        return repr(str(self))

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)

    def _similar(self) -> set[str]:
        token = self._token
        if not isinstance(token, str) or not token or len(token) > LONGEST:
            return set()
        others = {token, token.lower()}
        edited = chain.from_iterable(map(self._edits, others))
        return {other for other in chain(others, (token.upper(), token.capitalize()), edited) if other in self._ids}

    def _edits(self, token: str) -> Iterator[str]:
        for place in range(len(token) + 1):
            before, after = token[:place], token[place:]
            yield before + after[1:2] + after[:1] + after[2:]
            for character in self._alphabet:
                yield before + character + after
                yield before + character + after[1:]

    @cached_property
    def _alphabet(self) -> tuple[str, ...]:
        """The characters tried in place of others; "" stands for leaving one out."""
        frequency = Counter(chain.from_iterable(token[:LONGEST] for token in self._tokens[:ALPHABET_TOKENS]))
        return ("", *(character for character, _ in frequency.most_common(ALPHABET_SIZE)))


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
