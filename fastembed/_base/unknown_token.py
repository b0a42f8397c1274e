"""The error for an unknown token, which names similar spellings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Protocol

import numpy as np

ALPHABET_TOKENS = 200  # the first tokens, whose characters are tried in place of others
ALPHABET_SIZE = 32  # the most frequent ones of them
LONGEST = 24  # characters of a token for which similar spellings are searched
SHOWN = 3  # similar spellings


class Ids(Protocol):
    """A mapping of tokens to ids."""

    def __contains__(self, token: object) -> bool: ...
    def __getitem__(self, token: str) -> int: ...


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
