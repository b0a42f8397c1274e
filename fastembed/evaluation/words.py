"""Which tokens are the same word, and the vectors of words that are not among the tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy.typing as npt

from fastembed.vectors.vectors import Vectors, composer_behind

Rows = dict[str, list[int]]


def folding(case_insensitive: bool) -> Callable[[str], str]:
    """Return the function that maps a token to its word: two tokens of one word differ at most in case."""
    return str.upper if case_insensitive else str


def rows_by_word(tokens: Sequence[str], fold: Callable[[str], str]) -> Rows:
    """Return the rows of the tokens of each word, ascending: the first is the most frequent token's."""
    rows: Rows = {}
    for row, token in enumerate(tokens):
        rows.setdefault(fold(token), []).append(row)
    return rows


def composed_vectors(vectors: Vectors, words: Iterable[str], case_insensitive: bool) -> dict[str, npt.NDArray[Any]]:
    """Return for each word the vector (D,) that is composed of its n-grams; words without known n-grams are left out.

    If case makes no difference and no token has capitals, words are composed as they are in lower case: the n-grams of
    such vectors have no capitals either.
    """
    composer, listed = composer_behind(vectors), list(dict.fromkeys(words))
    if composer is None or not listed:
        return {}
    lower = case_insensitive and all(token == token.lower() for token in vectors.tokens)
    composed, known = composer.compose_all([word.lower() for word in listed] if lower else listed)
    return {word: vector for word, vector, has in zip(listed, composed, known, strict=True) if has}
