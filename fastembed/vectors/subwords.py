"""Composition of vectors for unseen words from the vectors of their character n-grams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import read_only
from fastembed._base.threads import cached_property
from fastembed._base.validation import all_finite
from fastembed.formats.fasttext import BLOCK, bucket_sums, buckets_of, ngrams_of, sums_of_rows
from fastembed.formats.tensors import pack_tokens, unpack_tokens
from fastembed.ngrams import NgramFinder
from fastembed.vectors.neighbors import Exact, Matrix

Tensors = Mapping[str, npt.NDArray[Any]]
RowIndex: TypeAlias = "slice | npt.NDArray[np.integer[Any]]"
Composer: TypeAlias = "NgramDictionary | BucketComposer"  # composes vectors (D,) of words that have no vector


def composer_of(tensors: Tensors) -> Composer | None:
    """Return the composer whose method `tensors` returned the tensors; None without tensors."""
    if not tensors:
        return None
    kind = NgramDictionary if "centre" in tensors else BucketComposer
    return kind.from_tensors({name: read_only(tensor) for name, tensor in tensors.items()})


@dataclass(frozen=True, eq=False)
class NgramDictionary:
    """Composes words from n-grams that each have a vector.

    The vector of a word is the sum of the rows of its n known n-grams, divided by the square root of n, minus the
    centre. An n-gram that occurs twice in a word counts twice.

    Attributes
    ----------
    ngrams : tuple of str, length G
        The distinct n-grams.
    rows : ndarray (G, D)
        The vectors of the n-grams.
    centre : ndarray of float64, shape (D,)
        Subtracted from every vector.
    lengths : (int, int)
        The smallest and largest number of characters of an n-gram.
    word_weights : ndarray of float32 (V,), optional
        Weights of the words with vectors, by which the n-grams of these words are multiplied; by default 1.

    Examples
    --------
    >>> composer = NgramDictionary(("<a", "ab"), np.eye(2), np.array([0.0, 0.5]), (2, 2))
    >>> vectors, known = composer.compose_all(["ab", "b"])
    >>> vectors[0], known.tolist()
    (array([0.70710678, 0.20710678]), [True, False])
    >>> [(ngram, part.round(2).tolist()) for ngram, part in composer.parts("ab")]
    [('<a', [0.71, -0.25]), ('ab', [0.0, 0.46])]
    >>> print(composer)
    2 n-grams
    """

    ngrams: tuple[str, ...]
    rows: Matrix
    centre: Exact
    lengths: tuple[int, int] = (3, 6)
    word_weights: npt.NDArray[np.float32] | None = None

    def compose_all(self, words: Sequence[str]) -> tuple[Matrix, npt.NDArray[np.bool_]]:
        """Return the vectors of N words, (N, D), and whether each word has a known n-gram, (N,)."""
        vectors = np.zeros((len(words), self.rows.shape[1]), self.rows.dtype)
        known = np.zeros(len(words), bool)
        for start in range(0, len(words), BLOCK):
            starts, ids = self._finder.find(words[start : start + BLOCK])
            sizes = np.diff(starts)
            sums = sums_of_rows(self.rows, ids.astype(np.intp), sizes)
            has = np.flatnonzero(sizes)
            vectors[start + has] = sums[has] * (1 / sizes[has] ** 0.5)[:, None] - self.centre
            known[start + has] = True
        check_composed(words, vectors)
        return vectors, known

    def parts(self, word: str, row: int | None = None) -> list[tuple[str, Exact]]:
        """Return the known n-grams of a word, in order of occurrence, and their parts (D,) of its vector.

        The centre is shared equally among the parts. `row` is the row of a token, whose weight its n-grams have.
        """
        _, ids = self._finder.find([word])
        size = len(ids)
        weight = 1 / max(size, 1) ** 0.5
        if row is not None and self.word_weights is not None:
            weight *= float(self.word_weights[row])
        return [(self.ngrams[i], weight * self.rows[i].astype(np.float64) - self.centre / size) for i in ids]

    def subset(self, rows: RowIndex) -> Self:
        """Return the composer for a selection of rows of the vectors of words."""
        return self if self.word_weights is None else replace(self, word_weights=self.word_weights[rows])

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the n-grams, their rows, lengths and weights, and the centre."""
        word_weights = {} if self.word_weights is None else {"ngrams.word_weights": self.word_weights}
        return {
            **word_weights,
            **pack_tokens(self.ngrams, "ngrams"),
            "ngrams.matrix": self.rows,
            "ngrams.lengths": np.array(self.lengths, np.int64),
            "centre": self.centre,
        }

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> NgramDictionary:
        """Return the composer with these tensors."""
        ngrams = tuple(unpack_tokens(tensors, "ngrams"))
        shortest, longest = tensors["ngrams.lengths"].tolist()
        rows, centre, word_weights = tensors["ngrams.matrix"], tensors["centre"], tensors.get("ngrams.word_weights")
        return cls(ngrams, rows, centre, (shortest, longest), word_weights)

    @cached_property
    def _finder(self) -> NgramFinder:
        return NgramFinder(self.ngrams, self.lengths)

    def __str__(self) -> str:
        return f"{len(self.ngrams):,} n-grams"


@dataclass(frozen=True, eq=False)
class BucketComposer:
    """Composes words as fastText does, from hashed n-grams with one vector per bucket.

    The vector of a word is the mean of the vectors of its n-grams and of its own row, if it has one.

    Attributes
    ----------
    rows : ndarray (B, D)
        The vectors of the buckets.
    shortest, longest : int
        The lengths of n-grams, in characters.

    Examples
    --------
    >>> composer = BucketComposer(np.array([[3.0, 6.0]]), 3, 4)  # of a single bucket
    >>> composer.compose_all(["ab"])[0]
    array([[3., 6.]])
    >>> [(ngram, part.tolist()) for ngram, part in composer.parts("ab")]
    [('<ab', [1.0, 2.0]), ('<ab>', [1.0, 2.0]), ('ab>', [1.0, 2.0])]
    >>> print(composer)
    1 buckets of n-grams
    """

    rows: Matrix
    shortest: int
    longest: int

    def compose_all(self, words: Sequence[str]) -> tuple[Matrix, npt.NDArray[np.bool_]]:
        """Return the vectors of N words, (N, D), and whether each word has an n-gram, (N,)."""
        vectors = np.empty((len(words), self.rows.shape[1]), self.rows.dtype)
        known = np.empty(len(words), bool)
        for block, sums, sizes in self.sums(words):
            vectors[block] = sums * (1 / np.maximum(sizes[:, None], 1)).astype(sums.dtype)
            known[block] = sizes > 0
        check_composed(words, vectors)
        return vectors, known

    def sums(self, words: Sequence[str]) -> Iterator[tuple[slice, Matrix, npt.NDArray[np.intp]]]:
        """Yield the sums (block, D) of the rows of the n-grams of each block of words, and their numbers (block,)."""
        return bucket_sums(self.rows, words, self.shortest, self.longest)

    def parts(self, word: str, row: int | None = None) -> list[tuple[str, Exact]]:
        """Return the n-grams of a word, in order of occurrence, and their parts (D,) of its vector."""
        ngrams = ngrams_of(word, self.shortest, self.longest)
        ids, _ = buckets_of([word], self.shortest, self.longest, len(self.rows))
        size = len(ngrams) + (row is not None)
        return list(zip(ngrams, self.rows[ids].astype(np.float64) / max(size, 1), strict=True))

    def subset(self, rows: RowIndex) -> Self:
        """Return the composer unchanged: its data does not depend on the words."""
        return self

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return "ngrams.matrix" (B, D) and "ngrams.lengths", the shortest and longest length."""
        return {"ngrams.matrix": self.rows, "ngrams.lengths": np.array([self.shortest, self.longest], np.int64)}

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> BucketComposer:
        """Return the composer with these tensors."""
        shortest, longest = tensors["ngrams.lengths"].tolist()
        return cls(tensors["ngrams.matrix"], shortest, longest)

    def __str__(self) -> str:
        return f"{len(self.rows):,} buckets of n-grams"


def check_composed(words: Sequence[str], vectors: Matrix) -> None:
    """Raise ValueError if a composed vector is not finite: `load` does not check the vectors of n-grams."""
    if not all_finite(vectors):
        word = words[int(np.argmin(np.isfinite(vectors).all(axis=1)))]
        raise ValueError(f"the vector composed for {word!r} is not finite: the n-grams are damaged")
