"""Vectors of words that have none of their own, composed of the vectors of their character n-grams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import all_finite
from fastembed.formats.fasttext_ngrams import LONGEST_NGRAM, bucket_sums, buckets_of, ngrams_of
from fastembed.vectors.neighbors import Exact, Matrix

Tensors = Mapping[str, npt.NDArray[Any]]


class Composer(Protocol):
    """Composes vectors (D,) of words that have none of their own."""

    def compose(self, word: str) -> Matrix | None:
        """Return the vector of a word, (D,); None if none of its n-grams is known."""

    def compose_all(self, words: Sequence[str]) -> tuple[Matrix, npt.NDArray[np.bool_]]:
        """Return the vectors of N words, (N, D), and whether each word has a known n-gram, (N,): else its row is 0."""

    def parts(self, word: str, *, own: bool = False) -> list[tuple[str, Exact]]:
        """Return the known n-grams of a word, in its order, and their parts (D,) of its vector, whose sum that is.

        With `own` they are the parts of the vector of a word that has a row of its own beside them.
        """

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that the composer holds; :func:`composer_of` takes it."""


def composer_of(tensors: Tensors, matrix: Matrix) -> Composer | None:
    """Return the composer that holds these tensors; None if there are none.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        What :meth:`Composer.tensors` returned.
    matrix : ndarray (V, D)
        The vectors of the words.

    Raises
    ------
    ValueError
        If they do not fit together, or this version knows no such n-grams.
    """
    if not tensors:
        return None
    if {"ngrams.matrix", "ngrams.lengths"} == set(tensors):
        return BucketComposer.from_tensors(tensors, matrix)
    raise ValueError(f"this version of fastembed cannot compose words of the tensors {', '.join(sorted(tensors))}")


@dataclass(frozen=True, eq=False)
class BucketComposer:
    """Composes words as fastText does: of hashed n-grams, each of which has the vector of its bucket.

    The vector of a word is the mean of those of its n-grams and, if it has one, its own row.

    Attributes
    ----------
    rows : ndarray (B, D)
        The vectors of the buckets.
    shortest, longest : int
        Of n-grams, in characters.

    Examples
    --------
    >>> composer = BucketComposer(np.arange(14.0).reshape(7, 2), 3, 4)
    >>> composer.compose("ab")
    array([4.66666667, 5.66666667])
    >>> [(ngram, part.tolist()) for ngram, part in composer.parts("ab")]
    [('<ab', [2.0, 2.3333333333333335]), ('<ab>', [2.6666666666666665, 3.0]), ('ab>', [0.0, 0.3333333333333333])]
    >>> print(composer)
    7 buckets of n-grams
    """

    rows: Matrix
    shortest: int
    longest: int

    def compose(self, word: str) -> Matrix | None:
        """Return the vector of a word, (D,); None if it has no n-gram."""
        vectors, known = self.compose_all([word])
        return vectors[0] if known[0] else None

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
        """Yield for each block of words the sums (block, D) of their n-grams' rows, and their numbers (block,)."""
        return bucket_sums(self.rows, words, self.shortest, self.longest)

    def parts(self, word: str, *, own: bool = False) -> list[tuple[str, Exact]]:
        """Return the n-grams of a word, in its order, and their parts (D,) of its vector."""
        ngrams = ngrams_of(word, self.shortest, self.longest)
        ids, _ = buckets_of([word], self.shortest, self.longest, len(self.rows))
        return list(zip(ngrams, self.rows[ids].astype(np.float64) / max(len(ngrams) + own, 1), strict=True))

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return "ngrams.matrix" (B, D) and "ngrams.lengths", the shortest and the longest."""
        return {"ngrams.matrix": self.rows, "ngrams.lengths": np.array([self.shortest, self.longest], np.int64)}

    @classmethod
    def from_tensors(cls, tensors: Tensors, matrix: Matrix) -> BucketComposer:
        """Return the composer that holds these tensors, beside the vectors (V, D) of words.

        Raises
        ------
        ValueError
            If they do not fit together.
        """
        rows, lengths = tensors["ngrams.matrix"], tensors["ngrams.lengths"]
        dim = matrix.shape[1]
        if rows.dtype != matrix.dtype or rows.ndim != 2 or not len(rows) or rows.shape[1] != dim:
            raise ValueError(
                f"'ngrams.matrix' must be {matrix.dtype} of shape (B, {dim}), got {rows.dtype} of shape {rows.shape}"
            )
        shortest, longest = lengths.tolist() if lengths.dtype == np.int64 and lengths.shape == (2,) else (-1, -1)
        if not 0 <= shortest <= longest <= LONGEST_NGRAM:
            raise ValueError(
                f"'ngrams.lengths' must be two ascending integers from 0 to {LONGEST_NGRAM}, got {lengths!r}"
            )
        return cls(rows, shortest, longest)

    def __str__(self) -> str:
        return f"{len(self.rows):,} buckets of n-grams"


def check_composed(words: Sequence[str], vectors: Matrix) -> None:
    """Raise ValueError if a vector that was composed of n-grams is not finite: these are not checked before."""
    if not all_finite(vectors):
        word = words[int(np.argmin(np.isfinite(vectors).all(axis=1)))]
        raise ValueError(f"the vector composed for {word!r} is not finite: the n-grams are damaged")
