"""Which tokens are the same word."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
