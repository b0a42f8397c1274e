"""Analogies: how many of "a is to b as c is to d" are answered with d."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastembed._base.json_values import plain
from fastembed._base.pickling import pickled_as
from fastembed._base.validation import check_choice, check_integer
from fastembed.evaluation.score_files import PathLike, read_questions
from fastembed.evaluation.words import Rows, folding, rows_by_word
from fastembed.vectors.neighbors import METHODS, Neighbors
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
        """``correct / covered``; NaN if none is covered. ``correct / asked`` counts unknown words as failures."""
        return self.correct / self.covered if self.covered else math.nan

    def summary(self) -> str:
        """Return the section in one line."""
        counts = f"{self.correct:,} correct of {self.covered:,} covered, {self.asked:,} asked"
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
    (Section(name='family', correct=1, covered=1, asked=2),)
    """
    check_choice("method", method, METHODS)
    size = len(vectors) if restrict is None else min(check_integer("restrict", restrict, low=1), len(vectors))
    fold = folding(case_insensitive)
    asked = read_questions(path, fold)
    rows = rows_by_word(vectors.tokens[:size], fold)
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
