"""Analogies: how many of "a is to b as c is to d" are answered with d."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastembed._base.estimator import pickled_as
from fastembed._base.validation import check_choice, check_integer, plain
from fastembed.evaluation.score_files import PathLike, read_questions
from fastembed.evaluation.words import Rows, composed_vectors, folding, rows_by_word
from fastembed.vectors.neighbors import METHODS, Exact, Neighbors, unit_vectors
from fastembed.vectors.vectors import Vectors

BLOCK = 1024  # questions that are looked up at once


@pickled_as("evaluation.Section")
@dataclass(frozen=True)
class Section:
    """How many analogies of a section were answered correctly, or of all sections.

    Attributes
    ----------
    name : str
    correct, covered, asked : int
        The number of questions answered correctly, of those with four known words, and of all.
    composed : int
        The number of the covered questions with a word whose vector was composed of n-grams.

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
    composed: int = 0

    @property
    def accuracy(self) -> float:
        """``correct / covered``; NaN if none is covered. ``correct / asked`` counts unknown words as failures."""
        return self.correct / self.covered if self.covered else math.nan

    def summary(self) -> str:
        """Return the section in one line."""
        composed = f" ({self.composed:,} with composed words)" if self.composed else ""
        counts = f"{self.correct:,} correct of {self.covered:,} covered{composed}, {self.asked:,} asked"
        return f"accuracy {self.accuracy:.4f}: {counts}"

    def record(self) -> dict[str, Any]:
        """Return the section as JSON can hold it, with its accuracy, None for NaN."""
        return asdict(self) | {"accuracy": plain(self.accuracy, none_for_nan=True)}


@pickled_as("evaluation.Analogies")
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
        names = "correct", "covered", "asked", "composed"
        return Section("total", *(sum(getattr(section, name) for section in self.sections) for name in names))

    def summary(self) -> str:
        """Return the total in one line."""
        return f"{self.method} {self.total.summary()}"

    def record(self) -> dict[str, Any]:
        """Return the total and the sections as JSON can hold them."""
        sections = [section.record() for section in self.sections]
        return {"method": self.method, **self.total.record(), "sections": sections}


def analogies(
    vectors: Vectors,
    path: PathLike,
    *,
    method: str = "3CosAdd",
    restrict: int | None = None,
    case_insensitive: bool = True,
    compose: bool = False,
) -> Analogies:
    r"""Count the analogies "a is to b as c is to d" that are answered with d.

    The answer is the best of all tokens but a, b and c. With unit vectors 3CosAdd takes the largest cos(v, b) - cos(v,
    a) + cos(v, c), and 3CosMul the largest s(v, b) s(v, c) / (s(v, a) + 1e-6) where s = (1 + cos) / 2. Of
    ties the first is taken. The search is exhaustive, in blocks of 32 MiB, of which two are held.

    Parameters
    ----------
    vectors : Vectors
    path : path-like
        A file of questions; see `fastembed.evaluation`.
    method : {"3CosAdd", "3CosMul"}
    restrict : int, optional
        Only this many tokens, the first ones, are known; all by default.
    case_insensitive : bool
        Whether words that differ only in case are the same, in the questions and in the answers.
    compose : bool
        Whether unknown words of a, b and c get the vectors that are composed of their n-grams, where the vectors hold
        any, as in :func:`word_similarity`. The answer must be a token.

    Returns
    -------
    Analogies

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If an option is not as above, the file has no question, or a line is not a question; the message names the line.

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
    (Section(name='family', correct=1, covered=1, asked=2, composed=0),)
    """
    check_choice("method", method, METHODS)
    size = len(vectors) if restrict is None else min(check_integer("restrict", restrict, low=1), len(vectors))
    fold = folding(case_insensitive)
    asked = read_questions(path)
    rows = rows_by_word(vectors.tokens[:size], fold)
    neighbors = Neighbors(vectors.matrix[:size])
    composed = _composed_units(vectors, rows, asked, case_insensitive) if compose else {}
    sections = []
    for name, spelled in asked:
        questions = [[fold(word) for word in question] for question in spelled]
        covered = [
            question
            for question in questions
            if question[3] in rows and all(word in rows or word in composed for word in question[:3])
        ]
        correct = _count_correct(neighbors, rows, composed, covered, method)
        with_composed = sum(any(word not in rows for word in question) for question in covered)
        sections.append(Section(name, correct, len(covered), len(questions), with_composed))
    return Analogies(method, tuple(sections))


def _composed_units(
    vectors: Vectors, rows: Rows, asked: Sequence[tuple[str, list[list[str]]]], case_insensitive: bool
) -> dict[str, Exact]:
    """Return the unit vectors (D,) composed for the unknown words of the questions, by the words as they are folded."""
    fold = folding(case_insensitive)
    words = (word for _, questions in asked for question in questions for word in question[:3])
    composed = composed_vectors(vectors, (word for word in words if fold(word) not in rows), case_insensitive)
    return {fold(word): unit_vectors(vector[None])[0] for word, vector in composed.items()}


def _count_correct(
    neighbors: Neighbors, rows: Rows, composed: dict[str, Exact], questions: Sequence[Sequence[str]], method: str
) -> int:
    """Return how many questions (a, b, c, answer), of known and composed words, are answered with the answer."""
    correct = 0
    for start in range(0, len(questions), BLOCK):
        part = questions[start : start + BLOCK]
        terms = []
        for words in zip(*(question[:3] for question in part), strict=True):
            unit = neighbors.unit(np.array([rows[word][0] if word in rows else 0 for word in words]))
            for place, word in enumerate(words):
                if word not in rows:
                    unit[place] = composed[word]
            terms.append(unit)
        excluded = [[row for word in set(question[:3]) for row in rows.get(word, ())] for question in part]
        found = neighbors.analogies(terms, 1, method=method, excluded=excluded)
        for (best, _), question in zip(found, part, strict=True):
            correct += any(row in rows[question[3]] for row in best.tolist())
    return correct
