"""The n-grams of the characters of words, with < before a word and > behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._kernels.tokens import TokenTable
from fastembed.corpus.document_blocks import token_from_bytes


@dataclass(frozen=True)
class CharacterGrams:
    """The n-grams that are features.

    Attributes
    ----------
    lengths : (int, int)
        The least and the largest number of characters.
    tokens : tuple of str
    counts : ndarray of int64 (C,)
        How often each occurred.
    """

    lengths: tuple[int, int]
    tokens: tuple[str, ...]
    counts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _table(self) -> TokenTable:
        table = TokenTable()
        table.fill(token.encode(errors="surrogatepass") for token in self.tokens)
        return table

    def first(self, count: int) -> CharacterGrams:
        """Return the first of them."""
        return CharacterGrams(self.lengths, self.tokens[:count], self.counts[:count].copy())

    def of_words(self, words: Sequence[str]) -> Any:
        """Return how often each n-gram is in each word, as csr_array (V, C), float64."""
        return _counted(self._table, words, self.lengths, len(self))

    def counts_of(self, text: bytes) -> Any:
        """Return how often each n-gram is in each line of tokens, as csr_array (N, C), float64."""
        words = TokenTable()
        words.count(text, False)
        of_words = self.of_words(list(map(token_from_bytes, words.frequent(0)[0])))
        return documents_by_words(_ids(words, text), of_words.shape[0]) @ of_words


def count_characters(
    words: Sequence[str], counts: npt.NDArray[np.int64], lengths: tuple[int, int], least: int
) -> CharacterGrams:
    """Return the n-grams that occur often enough in words that occur so many times, by decreasing count.

    Examples
    --------
    >>> count_characters(["aha", "ha"], np.array([3, 1]), (2, 2), 2).tokens
    ('a>', 'ha', '<a', 'ah')
    """
    table = TokenTable()
    table.count(_text(words, lengths), False)
    tokens = [token.decode(errors="surrogatepass") for token in table.frequent(0)[0]]
    totals = (_counted(table, words, lengths, len(tokens)).T @ counts).astype(np.int64)
    order = sorted(np.flatnonzero(totals >= least).tolist(), key=lambda k: (-totals[k], tokens[k]))
    return CharacterGrams(lengths, tuple(tokens[k] for k in order), totals[order])


def documents_by_words(ids: npt.NDArray[np.int32], words: int) -> Any:
    """Return how often each word is in each document, from ids with -1 behind each document."""
    ends = np.flatnonzero(ids < 0)
    indptr = np.concatenate([[0], ends - np.arange(len(ends))])
    found = ids[ids >= 0]
    return sparse.csr_array((np.ones(len(found)), found, indptr), shape=(len(ends), words))


def _counted(table: TokenTable, words: Sequence[str], lengths: tuple[int, int], columns: int) -> Any:
    matrix = documents_by_words(_ids(table, _text(words, lengths)), columns)
    matrix.sum_duplicates()
    return matrix


def _ids(table: TokenTable, text: bytes) -> npt.NDArray[np.int32]:
    ids = np.empty(len(text), np.int32)
    return ids[: table.encode(text, False, ids)[0]]


def _text(words: Sequence[str], lengths: tuple[int, int]) -> bytes:
    """Return the n-grams of each word on a line; white space inside a word becomes _.

    A mark of an end alone is none: every word has both.
    """
    least, most = lengths
    lines = []
    for word in words:
        marked = f"<{'_'.join(word.split()) or '_'}>"
        size = len(marked)
        grams = [marked[i : i + n] for n in range(max(least, 2), min(most, size) + 1) for i in range(size - n + 1)]
        lines.append(" ".join([*(marked[1:-1] if least == 1 else ""), *grams]))
    return ("\n".join(lines) + "\n" if lines else "").encode(errors="surrogatepass")
