"""Evaluation: word similarity and analogies against what people say, and the perplexity of a text.

Words are treated as gensim does by default. With ``case_insensitive`` two words are the same if they are so in upper
case, and of the tokens that are the same word the first, which is the most frequent, gives the vector. Lines with
unknown words are left out of the score, and counted. :mod:`fastembed.evaluation.score_files` gives the
forms of the files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastembed._base.validation import check_choice, check_integer, check_number
from fastembed.evaluation.score_files import PathLike, read_pairs, read_questions
from fastembed.skipgram.skipgram import SkipGram
from fastembed.vectors.neighbors import METHODS, Neighbors
from fastembed.vectors.vectors import Vectors

Pair = tuple[str, str, float]
Rows = dict[str, list[int]]

BLOCK = 1024
"""So many questions are looked up at once."""

perplexity = SkipGram.perplexity
"""``perplexity(model, corpus)``: see :meth:`SkipGram.perplexity`."""


@dataclass(frozen=True)
class Similarity:
    """How the cosines of pairs of words agree with the scores that people gave.

    Attributes
    ----------
    spearman : float
        Rank correlation from -1 to 1; NaN if all scores or all cosines are equal, or fewer than two pairs are covered.
    pairs, covered : int
        All pairs, and those of which both words are known.
    unknown : tuple of str
        Each word without a vector, in the order of the pairs.

    Examples
    --------
    >>> Similarity(0.6543, pairs=353, covered=352, unknown=("psyche",)).summary()
    'Spearman 0.6543 on 352 of 353 pairs; 1 unknown word'
    """

    spearman: float
    pairs: int
    covered: int
    unknown: tuple[str, ...]

    def summary(self) -> str:
        """Return the result in one line."""
        words = "word" if len(self.unknown) == 1 else "words"
        return (
            f"Spearman {self.spearman:.4f} on {self.covered:,} of {self.pairs:,} pairs; "
            f"{len(self.unknown):,} unknown {words}"
        )

    def record(self) -> dict[str, Any]:
        """Return the result as JSON can hold it: None for NaN."""
        return asdict(self) | {"spearman": _none_for_nan(self.spearman)}


@dataclass(frozen=True)
class Section:
    """The analogies of a section, or of all.

    Attributes
    ----------
    name : str
    correct, covered, asked : int
        Questions answered correctly, those of which all four words are known, and all.

    Examples
    --------
    >>> section = Section("family", correct=300, covered=400, asked=506)
    >>> section.accuracy
    0.75
    >>> section.summary()
    'accuracy 0.7500: 300 correct of 400 covered, 506 asked'
    """

    name: str
    correct: int
    covered: int
    asked: int

    @property
    def accuracy(self) -> float:
        """Correct of the covered; NaN if none is. ``correct / asked`` counts unknown words as failures."""
        return self.correct / self.covered if self.covered else math.nan

    def summary(self) -> str:
        """Return the section in one line."""
        counts = f"{self.correct:,} correct of {self.covered:,} covered, {self.asked:,} asked"
        return f"accuracy {self.accuracy:.4f}: {counts}"

    def record(self) -> dict[str, Any]:
        """Return the section as JSON can hold it, with its accuracy, None for NaN."""
        return asdict(self) | {"accuracy": _none_for_nan(self.accuracy)}


@dataclass(frozen=True)
class Analogies:
    """How many analogies were answered correctly.

    Attributes
    ----------
    method : str
    sections : tuple of Section
        In the order of the file.

    Examples
    --------
    >>> result = Analogies("3CosAdd", (Section("family", 3, 4, 5), Section("plural", 1, 4, 4)))
    >>> result.total.accuracy
    0.5
    >>> result.summary()
    '3CosAdd accuracy 0.5000: 4 correct of 8 covered, 9 asked'
    """

    method: str
    sections: tuple[Section, ...]

    @property
    def total(self) -> Section:
        """The sum of all sections."""
        correct, covered, asked = (
            sum(getattr(section, name) for section in self.sections) for name in ("correct", "covered", "asked")
        )
        return Section("total", correct, covered, asked)

    def summary(self) -> str:
        """Return the total in one line."""
        return f"{self.method} {self.total.summary()}"

    def record(self) -> dict[str, Any]:
        """Return the total and the sections as JSON can hold them."""
        sections = [section.record() for section in self.sections]
        return {"method": self.method, **self.total.record(), "sections": sections}


def word_similarity(
    vectors: Vectors, pairs: PathLike | Iterable[Pair], *, case_insensitive: bool = True, dummy4unknown: bool = False
) -> Similarity:
    """Compare the cosines of pairs of words with the scores that people gave.

    Parameters
    ----------
    vectors : Vectors
    pairs : path, or iterable of (str, str, float)
        Lines of two words and a score, with tabs, commas, semicolons or white space between them.
    case_insensitive : bool
        Whether words that differ in case alone are the same.
    dummy4unknown : bool
        Whether a pair with an unknown word gets the cosine 0 instead of being left out.

    Returns
    -------
    Similarity

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If there is no pair, or one is not two words and a finite number; the line is named.

    Examples
    --------
    >>> vectors = Vectors(["cat", "dog", "car"], np.array([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0]]))
    >>> pairs = [("Cat", "dog", 9), ("cat", "car", 1), ("dog", "car", 2), ("dog", "cow", 5)]
    >>> word_similarity(vectors, pairs).summary()
    'Spearman 1.0000 on 3 of 4 pairs; 1 unknown word'
    """
    judged = read_pairs(pairs) if isinstance(pairs, str | os.PathLike) else _checked_pairs(pairs)
    fold = _folding(case_insensitive)
    rows = _rows_by_word(vectors.tokens, fold)
    scores, cosines, covered = [], [], 0
    unknown: dict[str, None] = {}
    for *words, score in judged:
        missing = [word for word in words if fold(word) not in rows]
        unknown.update(dict.fromkeys(missing))
        covered += not missing
        if missing and not dummy4unknown:
            continue
        scores.append(score)
        known = [vectors.tokens[rows[fold(word)][0]] for word in words if not missing]
        cosines.append(vectors.similarity(*known) if known else 0.0)
    return Similarity(_spearman(scores, cosines), len(judged), covered, tuple(unknown))


def analogies(
    vectors: Vectors,
    path: PathLike,
    *,
    method: str = "3CosAdd",
    restrict: int | None = None,
    case_insensitive: bool = True,
) -> Analogies:
    r"""Count the analogies "a is to b as c is to d" that are answered with d.

    The answer is the best of all tokens but a, b and c. With unit vectors 3CosAdd takes the largest cos(v, b) - cos(v,
    a) + cos(v, c), and 3CosMul the largest s(v, b) s(v, c) / (s(v, a) + 1e-6) where s = (1 + cos) / 2; of equals the
    first. The search is exhaustive, in blocks of 32 MiB, of which two are held.

    Parameters
    ----------
    vectors : Vectors
    path : path-like
        Lines of four words; a line that begins with : opens a section.
    method : {"3CosAdd", "3CosMul"}
    restrict : int, optional
        Only so many of the first tokens are known; all by default.
    case_insensitive : bool
        Whether words that differ in case alone are the same, in the questions and in the answers.

    Returns
    -------
    Analogies

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If an option is not as above, or the file has no question or a line that is none; the line is named.

    References
    ----------
    O. Levy and Y. Goldberg, "Linguistic regularities in sparse and explicit word representations", CoNLL 2014.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> v = Vectors(["man", "woman", "king", "queen"], np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "family.txt").write_bytes(b": family\nman king woman queen\nman king boy prince")
    ...     analogies(v, f"{folder}/family.txt").sections
    (Section(name='family', correct=1, covered=1, asked=2),)
    """
    check_choice("method", method, METHODS)
    size = len(vectors) if restrict is None else min(check_integer("restrict", restrict, low=1), len(vectors))
    fold = _folding(case_insensitive)
    asked = read_questions(path, fold)
    rows = _rows_by_word(vectors.tokens[:size], fold)
    neighbors = Neighbors(vectors.matrix[:size])
    sections = []
    for name, questions in asked:
        covered = [question for question in questions if all(word in rows for word in question)]
        correct = _count_correct(neighbors, rows, covered, method)
        sections.append(Section(name, correct, len(covered), len(questions)))
    return Analogies(method, tuple(sections))


def _count_correct(neighbors: Neighbors, rows: Rows, questions: Sequence[Sequence[str]], method: str) -> int:
    """Return how many questions (a, b, c, answer), all of known words, are answered with the answer."""
    correct = 0
    for start in range(0, len(questions), BLOCK):
        part = questions[start : start + BLOCK]
        ids = np.array([[rows[word][0] for word in question[:3]] for question in part])
        excluded = [[row for word in set(question[:3]) for row in rows[word]] for question in part]
        found = neighbors.analogies([neighbors.unit(i) for i in ids.T], 1, method=method, excluded=excluded)
        for (best, _), question in zip(found, part, strict=True):
            correct += any(row in rows[question[3]] for row in best.tolist())
    return correct


def _spearman(scores: list[float], cosines: list[float]) -> float:
    """Return the rank correlation; NaN where it is not defined."""
    if len(set(scores)) < 2 or len(set(cosines)) < 2:
        return math.nan
    from scipy.stats import spearmanr  # here, since to import it takes as long as all else together

    return float(spearmanr(scores, cosines).statistic)


def _folding(case_insensitive: bool) -> Callable[[str], str]:
    return str.upper if case_insensitive else str


def _rows_by_word(tokens: Sequence[str], fold: Callable[[str], str]) -> Rows:
    """Return the rows of the tokens that are the same word, rising."""
    rows: Rows = {}
    for row, token in enumerate(tokens):
        rows.setdefault(fold(token), []).append(row)
    return rows


def _checked_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """Return pairs from memory."""
    checked: list[Pair] = []
    for i, pair in enumerate(pairs):
        if not isinstance(pair, Sequence) or len(pair) != 3 or not all(isinstance(word, str) for word in pair[:2]):
            raise TypeError(f"pair {i} must be (word, word, score), got {pair!r}")
        checked.append((pair[0], pair[1], check_number(f"the score of pair {i}", pair[2], low=-math.inf)))
    if not checked:
        raise ValueError("word similarity needs at least one pair, got none")
    return checked


def _none_for_nan(number: float) -> float | None:
    return None if math.isnan(number) else number
