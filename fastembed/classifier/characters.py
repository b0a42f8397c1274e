"""The n-grams of the characters of words as features of documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._kernels.tokens import TokenTable
from fastembed.corpus.reading import token_from_bytes
from fastembed.ngrams import NgramFinder, common_ngrams


@dataclass(frozen=True)
class CharacterGrams:
    """The character n-grams that are features.

    Attributes
    ----------
    lengths : (int, int)
        The smallest and largest number of characters.
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
    def _finder(self) -> NgramFinder:
        return NgramFinder(self.tokens, self.lengths)

    def first(self, count: int) -> CharacterGrams:
        """Return the first `count` n-grams."""
        return CharacterGrams(self.lengths, self.tokens[:count], self.counts[:count].copy())

    def of_words(self, words: Sequence[str]) -> Any:
        """Return the counts of each n-gram in each word, as csr_array (V, C), float64."""
        starts, ids = self._finder.find(words)
        matrix = sparse.csr_array((np.ones(len(ids)), ids, starts), shape=(len(words), len(self)))
        matrix.sum_duplicates()
        return matrix

    def counts_of(self, text: bytes) -> Any:
        """Return the counts of each n-gram in each line of tokens, as csr_array (N, C), float64."""
        table = TokenTable()
        table.count(text, False)
        words = list(map(token_from_bytes, table.frequent(0)[0]))
        ids = np.empty(len(text), np.int32)
        written = table.encode(text, False, ids)[0]
        return documents_by_words(ids[:written], len(words)) @ self.of_words(words)


def count_characters(
    words: Sequence[str], counts: npt.NDArray[np.int64], lengths: tuple[int, int], least: int
) -> CharacterGrams:
    """Return the n-grams with at least a minimum count in words with given counts, by decreasing count.

    Examples
    --------
    >>> count_characters(["aha", "ha"], np.array([3, 1]), (2, 2), 2).tokens
    ('a>', 'ha', '<a', 'ah')
    """
    tokens, starts, ids = common_ngrams(words, lengths, 1, errors="surrogatepass")
    totals = np.bincount(ids, np.repeat(counts, np.diff(starts)), len(tokens)).astype(np.int64)
    order = np.argsort(-totals, kind="stable")  # equal ones stay sorted by name
    order = order[totals[order] >= least]
    return CharacterGrams(lengths, tuple(tokens[k] for k in order.tolist()), totals[order])


def documents_by_words(ids: npt.NDArray[np.int32], words: int) -> Any:
    """Return the counts of each word in each document, from ids with -1 after each document."""
    ends = np.flatnonzero(ids < 0)
    indptr = np.concatenate([[0], ends - np.arange(len(ends))])
    found = ids[ids >= 0]
    return sparse.csr_array((np.ones(len(found)), found, indptr), shape=(len(ends), words))
