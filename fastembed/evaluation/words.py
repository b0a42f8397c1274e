"""Word similarity and analogies: how vectors agree with people's judgements; and how far words moved between models.

The docstring of `fastembed.evaluation` describes the file formats.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.progress import bar, bars
from fastembed._base.validation import check_choice, check_integer, check_number, float_or_nan, plain, printable
from fastembed.corpus.tokens import ENGLISH
from fastembed.vectors.neighbors import METHODS, Neighbors, rounded_products, unit_vectors
from fastembed.vectors.vectors import Vectors, check_is_vectors, composer_behind

QUESTIONS = 1024  # analogies that are answered at once
SHOWN = 5  # the number of words in the repr of a comparison
FUNCTION_WORDS = frozenset(ENGLISH)

PathLike = str | os.PathLike[str]
Pair = tuple[str, str, float]
WordRows = dict[str, list[int]]
WordVectors = dict[str, npt.NDArray[Any]]

# ---------------------------------------------------------------- similarity


@dataclass(frozen=True)
class Similarity:
    """How the cosines of pairs of words agree with the scores that people gave.

    Attributes
    ----------
    spearman : float
        Rank correlation from -1 to 1; NaN if all scores or all cosines are equal, or fewer than two pairs are scored.
    pairs, covered : int
        The number of all pairs, and of the pairs with two known words.
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
        scored = f"Spearman {self.spearman:.4f} on {self.covered:,} of {self.pairs:,} pairs"
        return f"{scored}; {len(self.unknown):,} unknown {words}"

    def record(self) -> dict[str, Any]:
        """Return the result as JSON can hold it: None for NaN."""
        return asdict(self) | {"spearman": plain(self.spearman, none_for_nan=True)}

    def __repr__(self) -> str:
        return f"<Similarity: {self.summary()}>"


def word_similarity(
    vectors: Vectors,
    pairs: PathLike | Iterable[Pair],
    *,
    case_insensitive: bool = True,
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
    compose : bool
        Whether vectors of unknown words are composed of their n-grams, if the vectors have n-grams. The word is put
        into lower case first if `case_insensitive` is true and no token has capitals.

    Returns
    -------
    Similarity

    Examples
    --------
    >>> import numpy as np
    >>> vectors = Vectors(["cat", "dog", "car"], np.array([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0]]))
    >>> pairs = [("Cat", "dog", 9), ("cat", "car", 1), ("dog", "car", 2), ("dog", "cow", 5)]
    >>> word_similarity(vectors, pairs).summary()
    'Spearman 1.0000 on 3 of 4 pairs; 1 unknown word'
    """
    check_is_vectors("vectors", vectors)
    judged = _read_pairs(pairs) if isinstance(pairs, str | os.PathLike) else _checked_pairs(pairs)
    fold = str.upper if case_insensitive else str  # tokens with equal `fold(token)` are one word
    rows = _rows_by_word(vectors.tokens, fold)
    known = _word_vectors(vectors, rows, [word for *words, _ in judged for word in words], fold, compose)
    scores, cosines = [], []
    unknown: dict[str, None] = {}
    for *words, score in judged:
        missing = [word for word in words if fold(word) not in known]
        unknown.update(dict.fromkeys(missing))
        if not missing:
            units = unit_vectors(np.stack([known[fold(word)] for word in words]))
            cosines.append(float(rounded_products(units[:1], units[1])[0]))
            scores.append(score)
    return Similarity(_spearman(scores, cosines), len(judged), len(scores), tuple(unknown))


def _spearman(scores: list[float], cosines: list[float]) -> float:
    """Return the rank correlation; NaN where it is not defined."""
    if len(set(scores)) < 2 or len(set(cosines)) < 2:
        return math.nan
    from scipy.stats import spearmanr  # imported here, since this takes as long as all other imports together

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


# ---------------------------------------------------------------- analogies


@dataclass(frozen=True)
class Section:
    """How many analogies were answered correctly: of one section, or of all sections together.

    Attributes
    ----------
    name : str
    correct, covered, asked : int
        The number of questions that are answered correctly, that have four known words, and that were asked.

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
        names = "correct", "covered", "asked"
        return Section("total", *(sum(getattr(section, name) for section in self.sections) for name in names))

    def summary(self) -> str:
        """Return the total in one line."""
        return f"{self.method} {self.total.summary()}"

    def record(self) -> dict[str, Any]:
        """Return the total and the sections as JSON can hold them."""
        sections = [section.record() for section in self.sections]
        return {"method": self.method, **self.total.record(), "sections": sections}

    def __repr__(self) -> str:
        return f"<Analogies in {len(self.sections)} sections: {self.summary()}>"


def analogies(
    vectors: Vectors,
    path: PathLike,
    *,
    method: str = "3CosAdd",
    restrict: int | None = None,
    case_insensitive: bool = True,
    compose: bool = False,
    progress: bool = False,
) -> Analogies:
    r"""Count the analogies "a is to b as c is to d" that are answered with d.

    The answer is the best of all tokens but a, b and c, by `method` as in :meth:`Vectors.analogy`; of ties, the first.
    The search takes 64 MiB of memory.

    Parameters
    ----------
    vectors : Vectors
    path : path-like
        A file of questions; see `fastembed.evaluation`.
    method : {"3CosAdd", "3CosMul"}
    restrict : int, optional
        The number of first tokens that are known; by default all are.
    case_insensitive : bool
        Whether words that differ only in case are the same.
    compose : bool
        Whether vectors of unknown words are composed, as by :func:`word_similarity`. The answer must be a token.
    progress : bool
        Whether a bar of the sections is drawn.

    Returns
    -------
    Analogies

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
    check_is_vectors("vectors", vectors)
    check_choice("method", method, METHODS)
    size = len(vectors) if restrict is None else min(check_integer("restrict", restrict, low=1), len(vectors))
    fold = str.upper if case_insensitive else str  # tokens with equal `fold(token)` are one word
    asked = _read_questions(path)
    rows = _rows_by_word(vectors.tokens[:size], fold)
    neighbors = Neighbors(vectors.matrix[:size])
    terms = [word for _, parts in asked for part in parts for word in part[:3]]
    known = _word_vectors(vectors, rows, terms, fold, compose)
    sections = []
    with bars(progress):
        shown = bar(asked, desc="analogies", unit_scale=False)
    for name, spelled in shown:
        questions = [[fold(word) for word in question] for question in spelled]
        covered = [(*abc, d) for *abc, d in questions if d in rows and all(word in known for word in abc)]
        correct = _count_correct(neighbors, rows, known, covered, method)
        sections.append(Section(name, correct, len(covered), len(questions)))
    return Analogies(method, tuple(sections))


def _count_correct(
    neighbors: Neighbors, rows: WordRows, known: WordVectors, questions: Sequence[Sequence[str]], method: str
) -> int:
    """Return how many questions (a, b, c, answer), of known words, are answered correctly."""
    correct = 0
    for start in range(0, len(questions), QUESTIONS):
        part = questions[start : start + QUESTIONS]
        terms = [unit_vectors(np.stack([known[question[k]] for question in part])) for k in range(3)]
        excluded = [[row for word in set(question[:3]) for row in rows.get(word, ())] for question in part]
        answers = neighbors.analogies(terms, 1, method=method, excluded=excluded)
        for (best, _), question in zip(answers, part, strict=True):
            correct += any(row in rows[question[3]] for row in best.tolist())
    return correct


# ---------------------------------------------------------------- two models compared


@dataclass(frozen=True)
class Comparison:
    """How far words moved from one set of vectors to another.

    Attributes
    ----------
    tokens : tuple of str
        The N words of both models, the most frequent first.
    ranks : ndarray of intp, shape (N,)
        The larger of the ranks of each word in the two models, by frequency, from 0.
    cosines : ndarray of float64, shape (N,)
        The cosine of the two vectors of each word, after the second vectors were aligned with the first.

    Examples
    --------
    >>> Comparison(("cat", "dog"), np.array([0, 1]), np.array([0.5, 0.25])).moved(1)
    [('dog', 0.25)]
    """

    tokens: tuple[str, ...]
    ranks: npt.NDArray[np.intp]
    cosines: npt.NDArray[np.float64]

    def moved(self, topn: int = 10, *, first: int | None = None) -> list[tuple[str, float]]:
        """Return the words that moved most, and the cosines of their two vectors, the smallest first.

        The English function words of ``drop="english"`` are left out, since they move with the style of a text.

        Parameters
        ----------
        topn : int
            How many words.
        first : int, optional
            The number of most frequent words that are considered; rare words have noisy vectors.
        """
        topn = check_integer("topn", topn, low=1)
        below = math.inf if first is None else check_integer("first", first, low=1)
        order = np.argsort(self.cosines, kind="stable")
        words = [i for i in order if self.ranks[i] < below and self.tokens[i] not in FUNCTION_WORDS]
        return [(self.tokens[i], float(self.cosines[i])) for i in words[:topn]]

    def __repr__(self) -> str:
        moved = ", ".join(f"{printable(token)} {cosine:.2f}" for token, cosine in self.moved(SHOWN))
        return f"<Comparison of {len(self.tokens):,} words; moved most: {moved}>"


def compare(first: Vectors, second: Vectors) -> Comparison:
    """Return how far the shared words moved from the first vectors to the second.

    Parameters
    ----------
    first, second : Vectors
        Vectors with the same D, and with tokens in the order of their frequency. Words with a zero vector are left out.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> before = Vectors(["bank", "river", "money"], np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]))
    >>> after = Vectors(["bank", "river", "money"], np.array([[0.1, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    >>> compare(before, after).moved(1)[0][0]
    'bank'
    """
    for name, vectors in (("first", first), ("second", second)):
        check_is_vectors(name, vectors)
    turned = second.align(first)
    rows = {token: row for row, token in enumerate(second.tokens)}
    shared = [(row, rows[token]) for row, token in enumerate(first.tokens) if token in rows]
    ids = np.array(sorted(shared, key=max))
    one, other = unit_vectors(first.matrix[ids[:, 0]]), unit_vectors(turned.matrix[ids[:, 1]])
    has = one.any(axis=1) & other.any(axis=1)
    tokens = tuple(first.tokens[i] for i in ids[has, 0])
    return Comparison(tokens, ids[has].max(axis=1), rounded_products(one[has], other[has]))


# ---------------------------------------------------------------- words


def _rows_by_word(tokens: Sequence[str], fold: Callable[[str], str]) -> WordRows:
    """Return the rows of the tokens of each word, ascending: the first is the most frequent token's."""
    rows: WordRows = {}
    for row, token in enumerate(tokens):
        rows.setdefault(fold(token), []).append(row)
    return rows


def _word_vectors(
    vectors: Vectors, rows: WordRows, words: Sequence[str], fold: Callable[[str], str], compose: bool
) -> WordVectors:
    """Return the vector (D,) of each folded word: from its first token, or with `compose` from its n-grams.

    If case makes no difference and no token has capitals, n-grams come from the word in lower case. Words without a
    token and without known n-grams are left out.
    """
    known = {fold(word): vectors.matrix[rows[fold(word)][0]] for word in words if fold(word) in rows}
    composer = composer_behind(vectors)
    if compose and composer is not None:
        unknown = list(dict.fromkeys(word for word in words if fold(word) not in known))
        lower = fold is str.upper and all(token == token.lower() for token in vectors.tokens)
        composed, has = composer.compose_all([word.lower() for word in unknown] if lower else unknown)
        known.update((fold(unknown[k]), composed[k]) for k in np.flatnonzero(has))
    return known


# ---------------------------------------------------------------- files


def _read_pairs(path: PathLike) -> list[tuple[str, str, float]]:
    """Read a file of word similarity: pairs of words with their scores."""
    pairs: list[tuple[str, str, float]] = []
    for place, (where, line) in enumerate(_score_lines(path)):
        fields = _fields(where, line)
        score = next(filter(math.isfinite, map(float_or_nan, fields[2:])), None)
        if score is not None and all(fields[:2]):
            pairs.append((fields[0], fields[1], score))
        elif place or score is not None:  # else the line is a header
            raise ValueError(f"{where}: two words and a finite score expected, got {line!r}")
    if not pairs:
        raise ValueError(f"{str(path)!r} holds no pair of words with a score")
    return pairs


def _read_questions(path: PathLike) -> list[tuple[str, list[list[str]]]]:
    """Read a file of analogies: the name and the questions of each section.

    Questions before the first section are in a section without a name.
    """
    sections: list[tuple[str, list[list[str]]]] = []
    for where, line in _score_lines(path):
        if line.startswith(":"):
            sections.append((line[1:].strip(), []))
            continue
        words = _fields(where, line)
        if len(words) != 4 or not all(words):
            raise ValueError(f"{where}: four words, or : and the name of a section, expected, got {line!r}")
        if not sections:
            sections.append(("", []))
        sections[-1][1].append(words)
    if not any(questions for _, questions in sections):
        raise ValueError(f"{str(path)!r} holds no analogy")
    return sections


def _score_lines(path: PathLike) -> Iterator[tuple[str, str]]:
    """Yield the place of each line, for error messages, and the line; comments and blank lines are skipped."""
    try:
        text = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not valid UTF-8: {error}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield f"{str(path)!r}, line {number}", stripped


def _fields(where: str, line: str) -> list[str]:
    """Split a line into its fields."""
    separator = next((mark for mark in "\t,;" if mark in line), None)
    if separator is None:
        return line.split()
    try:
        (fields,) = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise ValueError(f"{where}: {error} in {line!r}") from None
    return [field.strip() for field in fields]
