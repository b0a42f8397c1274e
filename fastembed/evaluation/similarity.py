"""Word similarity: how the cosines of pairs of words agree with the scores that people gave."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastembed._base.estimator import pickled_as
from fastembed._base.validation import check_number, plain
from fastembed.evaluation.score_files import PathLike, read_pairs
from fastembed.evaluation.words import composed_vectors, folding, rows_by_word
from fastembed.vectors.neighbors import rounded_products, unit_vectors
from fastembed.vectors.vectors import Vectors

Pair = tuple[str, str, float]


@pickled_as("evaluation.Similarity")
@dataclass(frozen=True)
class Similarity:
    """How the cosines of pairs of words agree with the scores that people gave.

    Attributes
    ----------
    spearman : float
        Rank correlation from -1 to 1; NaN if all scores or all cosines are equal, or fewer than two pairs are scored.
    pairs, covered : int
        The number of all pairs, and of those with two known words.
    unknown : tuple of str
        Each word without a vector, in the order of the pairs.
    composed : int
        The number of the covered pairs with a word whose vector was composed of n-grams.

    Examples
    --------
    >>> Similarity(0.6543, pairs=353, covered=352, unknown=("psyche",)).summary()
    'Spearman 0.6543 on 352 of 353 pairs; 1 unknown word'
    """

    spearman: float
    pairs: int
    covered: int
    unknown: tuple[str, ...]
    composed: int = 0

    def summary(self) -> str:
        """Return the result in one line."""
        words = "word" if len(self.unknown) == 1 else "words"
        composed = f", {self.composed:,} of them with composed words" if self.composed else ""
        return (
            f"Spearman {self.spearman:.4f} on {self.covered:,} of {self.pairs:,} pairs{composed}; "
            f"{len(self.unknown):,} unknown {words}"
        )

    def record(self) -> dict[str, Any]:
        """Return the result as JSON can hold it: None for NaN."""
        return asdict(self) | {"spearman": plain(self.spearman, none_for_nan=True)}


def word_similarity(
    vectors: Vectors,
    pairs: PathLike | Iterable[Pair],
    *,
    case_insensitive: bool = True,
    dummy4unknown: bool = False,
    compose: bool = False,
) -> Similarity:
    """Compare the cosines of pairs of words with the scores that people gave.

    Parameters
    ----------
    vectors : Vectors
    pairs : path, or iterable of (str, str, float)
        A file has lines of two words and a score; see `fastembed.evaluation`.
    case_insensitive : bool
        Whether words that differ only in case are the same.
    dummy4unknown : bool
        Whether a pair with an unknown word gets the cosine 0 instead of being left out.
    compose : bool
        Whether unknown words get the vectors that are composed of their n-grams, where the vectors hold any. Where no
        token has capitals, they are composed in lower case, unless case makes a difference.

    Returns
    -------
    Similarity

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If there is no pair, or one is not two words and a finite number; the message names its line or its place.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = Vectors(["cat", "dog", "car"], np.array([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0]]))
    >>> pairs = [("Cat", "dog", 9), ("cat", "car", 1), ("dog", "car", 2), ("dog", "cow", 5)]
    >>> word_similarity(vectors, pairs).summary()
    'Spearman 1.0000 on 3 of 4 pairs; 1 unknown word'
    """
    judged = read_pairs(pairs) if isinstance(pairs, str | os.PathLike) else _checked_pairs(pairs)
    fold = folding(case_insensitive)
    rows = rows_by_word(vectors.tokens, fold)
    others = [word for *words, _ in judged for word in words if fold(word) not in rows]
    composed = composed_vectors(vectors, others, case_insensitive) if compose else {}
    scores, cosines, covered, with_composed = [], [], 0, 0
    unknown: dict[str, None] = {}
    for *words, score in judged:
        missing = [word for word in words if fold(word) not in rows and word not in composed]
        unknown.update(dict.fromkeys(missing))
        covered += not missing
        if missing and not dummy4unknown:
            continue
        scores.append(score)
        if missing:
            cosines.append(0.0)
            continue
        with_composed += any(fold(word) not in rows for word in words)
        units = unit_vectors(
            np.stack(
                [vectors.matrix[found[0]] if (found := rows.get(fold(word))) else composed[word] for word in words]
            )
        )
        cosines.append(float(rounded_products(units[:1], units[1])[0]))
    return Similarity(_spearman(scores, cosines), len(judged), covered, tuple(unknown), with_composed)


def _spearman(scores: list[float], cosines: list[float]) -> float:
    """Return the rank correlation; NaN where it is not defined."""
    if len(set(scores)) < 2 or len(set(cosines)) < 2:
        return math.nan
    from scipy.stats import spearmanr  # here, since its import takes as long as all others together

    return float(spearmanr(scores, cosines).statistic)


def _checked_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """Return pairs in memory, checked."""
    checked: list[Pair] = []
    for i, pair in enumerate(pairs):
        if not isinstance(pair, Sequence) or len(pair) != 3 or not all(isinstance(word, str) for word in pair[:2]):
            raise TypeError(f"pair {i} must be (word, word, score), got {pair!r}")
        checked.append((pair[0], pair[1], check_number(f"the score of pair {i}", pair[2], low=-math.inf)))
    if not checked:
        raise ValueError("word similarity needs at least one pair, got none")
    return checked
