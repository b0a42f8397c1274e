"""The features of documents: words, n-grams of words, and n-grams of characters, each with an exact number.

A feature is a row of the embedding. A document is the bag of its features, with weights that form a vector of unit
length. The numbers are those of words, by decreasing count, then of pairs of words, of triples, and of characters.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import sorted_csr
from fastembed._base.threads import Pool
from fastembed._kernels import features as kernels
from fastembed._kernels.features import PairIndex
from fastembed._kernels.tokens import TokenTable
from fastembed.classifier.characters import CharacterGrams
from fastembed.classifier.documents import document_lines
from fastembed.corpus.reading import Reading, token_bytes
from fastembed.vocabulary import Vocabulary

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Buffers: TypeAlias = tuple[Int32, npt.NDArray[np.float64]]  # indices and data
Part: TypeAlias = tuple[Int64, Int32, npt.NDArray[np.float64]]  # indptr, indices and data

PIECE_DOCUMENTS = 1 << 13  # documents per task
MOST_FEATURES = 2**31 - 2  # as many pairs as a PairIndex takes


@dataclass(frozen=True)
class Grams:
    """The word n-grams of one length: each is an (n-1)-gram, or a word, and the word after it.

    Attributes
    ----------
    left, right : ndarray of int32 (M,)
    counts : ndarray of int64 (M,)
    """

    left: Int32
    right: Int32
    counts: Int64

    def __len__(self) -> int:
        return len(self.left)

    @cached_property
    def index(self) -> PairIndex:
        """The index that finds the n-grams."""
        return PairIndex(self.left, self.right)

    def indexed(self) -> Grams:
        """Return them; ValueError if two are the same, which is seen when their index is made."""
        _ = self.index
        return self

    def first(self, count: int) -> Grams:
        """Return the first `count` n-grams."""
        if count == len(self):
            return self
        return Grams(self.left[:count].copy(), self.right[:count].copy(), self.counts[:count].copy())


@dataclass(frozen=True)
class Features:
    """The features of documents, and the weight of each feature.

    Attributes
    ----------
    words : Vocabulary
    grams : list of Grams
        The n-grams of 2, 3, ... words.
    characters : CharacterGrams or None
    weights : ndarray of float64 (F,)
        The factor on the count of each feature in a document, before the bag is scaled to unit length.
    reading : Reading
    """

    words: Vocabulary
    grams: list[Grams]
    characters: CharacterGrams | None
    weights: npt.NDArray[np.float64]
    reading: Reading = field(default_factory=Reading)

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> Features:
        """Return the features with these parts, the inverse of :meth:`parts`."""
        grams = [Grams(*each) for each in parts["grams"]]
        characters = parts["characters"] and CharacterGrams(*parts["characters"])
        return cls(**{**parts, "grams": grams, "characters": characters})

    def parts(self) -> dict[str, Any]:
        """Return the attributes for a pickle, without objects of private classes."""
        grams = [(each.left, each.right, each.counts) for each in self.grams]
        kept = self.characters  # of which there may be none left
        characters = None if kept is None else (kept.lengths, kept.tokens, kept.counts)
        shared = {"words": self.words, "weights": self.weights, "reading": self.reading}
        return shared | {"grams": grams, "characters": characters}

    @cached_property
    def starts(self) -> list[int]:
        """The number of the first feature of each kind, and the number of all features."""
        sizes = [len(self.words), *map(len, self.grams), len(self.characters or ())]
        return [0, *itertools.accumulate(sizes)]

    @cached_property
    def _table(self) -> TokenTable:
        table = TokenTable()
        table.fill(map(token_bytes, self.words.tokens))
        return table

    def name(self, feature: int) -> str:
        """Return the words of a feature, or its characters, in which < and > are the ends of a word."""
        kind = int(np.searchsorted(self.starts, feature, "right")) - 1
        if self.characters is not None and kind == len(self.grams) + 1:
            return self.characters.tokens[feature - self.starts[kind]]
        words = []
        place = feature - self.starts[kind]
        for grams in reversed(self.grams[:kind]):
            words.append(self.words.tokens[int(grams.right[place])])
            place = int(grams.left[place])
        return " ".join([self.words.tokens[place], *reversed(words)])

    def bags(self, documents: Sequence[Any], pool: Pool, first: int = 0) -> Any:
        """Return the bags of documents in memory.

        Parameters
        ----------
        documents : sequence of str or of sequences of str
        pool : Pool
        first : int
            The number of the first document, for errors.

        Returns
        -------
        csr_array (N, F), float64
            Canonical; the row of a document without a known feature is empty.
        """
        cuts = range(0, len(documents), PIECE_DOCUMENTS)
        if len(cuts) > 1:
            self.csr_of(documents[:1], first)  # builds the tables that the threads share
        parts: list[Any] = [None] * len(cuts)

        def make(k: int) -> None:
            parts[k] = self.csr_of(documents[cuts[k] : cuts[k] + PIECE_DOCUMENTS], first + cuts[k])

        pool.run(make, len(cuts))
        return stacked(parts, len(self), pool)

    def csr_of(self, documents: Sequence[Any], first: int = 0) -> Part:
        """Return the bags of documents as `bags` does, in one task."""
        text = b"".join(self._read(documents, first))
        size = np.empty(len(text), np.int32)
        written = self._table.encode(text, False, size)[0]
        ids = size[:written]
        more = None if self.characters is None else self.characters.counts_of(text)
        indptr, indices, data = self.counts(place_grams(ids, self.grams), document_starts(ids), more)
        kernels.unit_rows(indptr, indices, data, self.weights)
        return indptr, indices, data

    def _read(self, documents: Sequence[Any], first: int) -> list[bytes]:
        """Return the tokens of documents as lines of text."""
        found = []
        for block in document_lines(documents, self.reading.errors, first):
            text = block.read(self.reading)
            if not (block.tokens or self.reading.compiled):
                lines = text.split(b"\n")[:-1]
                text = b"".join(b" ".join(map(token_bytes, self.reading.tokens(line))) + b"\n" for line in lines)
            found.append(text)
        return found

    def counts(self, orders: list[Int32], starts: Int64, more: Any = None, buffers: Buffers | None = None) -> Part:
        """Return the counts of the features of documents as CSR.

        Parameters
        ----------
        orders : list of ndarray of int32
            As `place_grams` returns them.
        starts : ndarray of int64 (N + 1,)
            The start of each document, and the end of the last one.
        more : csr_array (N, C), optional
            The counts of character n-grams in each document.
        buffers : (ndarray of int32, ndarray of float64), optional
            Arrays for indices and data, with an element for each position of each order; by default new arrays.
        """
        indptr = np.empty(len(starts), np.int64)
        indices, data = buffers or new_buffers(int(starts[-1] - starts[0]) * len(orders))
        total = kernels.bags(orders, np.array(self.starts[: len(orders)]), starts, indptr, indices, data)
        indices, data = indices[:total], data[:total]
        if more is not None:
            words = sparse.csr_array((data, indices, indptr), shape=(len(starts) - 1, self.starts[-2]))
            both = sparse.hstack([words, more], format="csr")
            both.sort_indices()
            indptr, indices, data = both.indptr.astype(np.int64), both.indices.astype(np.int32), both.data
        return indptr, indices, data


def check_numbered(features: int) -> None:
    """Raise ValueError for more features than an int32 can number."""
    if features > MOST_FEATURES:
        advice = "a larger min_count leaves fewer, and so does max_features"
        raise ValueError(f"{features:,} features are too many, of at most {MOST_FEATURES:,}: {advice}")


def new_buffers(entries: int) -> Buffers:
    """Return arrays for a number of entries, at least one, since the kernels take their addresses."""
    return np.empty(max(1, entries), np.int32), np.empty(max(1, entries))


def stacked(parts: list[Part], columns: int, pool: Pool, buffers: Buffers | None = None) -> Any:
    """Return the parts of a CSR matrix as one.

    Parameters
    ----------
    parts : list of (ndarray of int64, ndarray of int32, ndarray of float64)
        indptr, indices and data of each.
    columns : int
    pool : Pool
    buffers : (ndarray of int32, ndarray of float64), optional
        The arrays that hold the parts, in order, with gaps between them: the parts are moved in place.
    """
    rows = [0, *itertools.accumulate(len(indptr) - 1 for indptr, _, _ in parts)]
    entries = [0, *itertools.accumulate(len(indices) for _, indices, _ in parts)]
    indptr = np.zeros(1 + rows[-1], np.int64)
    whole = buffers or new_buffers(entries[-1])
    indices, data = whole[0][: entries[-1]], whole[1][: entries[-1]]

    def copy(k: int) -> None:
        indptr[rows[k] + 1 : rows[k + 1] + 1] = parts[k][0][1:] + entries[k]
        indices[entries[k] : entries[k + 1]], data[entries[k] : entries[k + 1]] = parts[k][1:]

    (pool if buffers is None else Pool(1)).run(copy, len(parts))  # in order, so that no part overwrites a later one
    return sorted_csr(data, indices, indptr, (rows[-1], columns))


def document_frequencies(bags: Any) -> Int64:
    """Return the document frequency of each feature (F,), from bags (N, F)."""
    found = np.empty(bags.shape[1], np.int64)
    kernels.frequencies(bags.indices.astype(np.int32, copy=False), found)
    return found


def document_starts(ids: Int32) -> Int64:
    """Return the start of each document, and the end of the last, from ids with -1 after each document.

    Examples
    --------
    >>> document_starts(np.array([4, 2, -1, -1, 3, -1], np.int32))
    array([0, 3, 4, 6])
    """
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(ids < 0) + 1])


def place_grams(ids: Int32, grams: Sequence[Grams]) -> list[Int32]:
    """Return, for 1, 2, ... words, the number of the n-gram that begins at each position, or -1."""
    orders = [ids]
    for shift, kind in enumerate(grams, 1):
        found = np.empty_like(ids)
        kind.index.find_all(orders[-1], ids, shift, found)
        orders.append(found)
    return orders
