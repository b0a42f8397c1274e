"""Phrases: neighbouring tokens that are read as one."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import Supply, cached_property, check_threads
from fastembed._base.validation import check_choice, check_integer, check_number
from fastembed._kernels.tokens import NeighborTable, PhraseTable
from fastembed.corpus.corpus import Chunk, Progress, Source, as_corpus, empty, map_text
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import (
    LONGEST,
    SPACES,
    Reading,
    check_phrases,
    join_phrases,
    phrase_table,
    phrase_words,
    phrases_text,
    token_bytes,
    token_from_bytes,
    token_list,
)
from fastembed.corpus.tokens import check_token_list, read_lines, with_hints
from fastembed.formats.atomic import replacing

Words: TypeAlias = tuple[str, ...]
Counts: TypeAlias = npt.NDArray[np.float64]

THRESHOLDS = {"npmi": 0.5, "word2vec": 100.0}  # the defaults
DIGITS = 6  # decimals of a score, so that files are short and hold scores exactly
MOST_COMMON = 4000  # largest number of common words: the kernel numbers pairs of common words in 24 bits
SEARCH_GLUE = 0xFF  # joins the words of a phrase during the search: a byte that no UTF-8 text has


class Phrases:
    r"""A list of phrases, such as "new york", each of which is read as one token, ``new_york``.

    Tokens are joined from left to right, the longest phrase first. A phrase does not cross the end of a line.

    Parameters
    ----------
    phrases : iterable of str or of sequences of str
        Each has from 2 to 8 tokens: a list, or a str in which white space separates them.
    scores : sequence of float, optional
        The score of each phrase, or NaN.
    ledger : Ledger, optional
        What was read and used of the text in which the phrases occur.

    Attributes
    ----------
    phrases : tuple of tuples of str
    scores : ndarray of float64, shape (n,)
    ledger : Ledger or None

    Notes
    -----
    A sequence of more than a megabyte in a file is read in sections. A phrase that spans two sections is not joined.

    Examples
    --------
    >>> phrases = Phrases(["new york", "new york times", ["bank", "of", "america"]])
    >>> phrases.join("the new york times and the bank of america in new york".split())
    ['the', 'new_york_times', 'and', 'the', 'bank_of_america', 'in', 'new_york']
    """

    def __init__(
        self,
        phrases: Iterable[str | Sequence[str]],
        scores: Sequence[float] | npt.NDArray[np.float64] | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.phrases = check_phrases(phrases)
        self.scores = np.array(np.full(len(self.phrases), np.nan) if scores is None else scores, dtype=np.float64)
        if self.scores.shape != (len(self.phrases),):
            raise ValueError(f"scores must have shape ({len(self.phrases)},), got {self.scores.shape}")
        self.ledger = ledger

    @classmethod
    def from_corpus(
        cls,
        corpus: Source,
        min_count: int = 5,
        threshold: float | None = None,
        *,
        scoring: str = "npmi",
        max_words: int = 4,
        common: Iterable[str] | None = "english",
        reading: Reading | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Phrases:
        """Find collocations: neighbours that occur together more often than their counts would suggest.

        The counts are exact. Each pass over the text joins pairs of neighbours, and so doubles the longest phrase.

        Parameters
        ----------
        corpus : path, sequence of paths, or re-iterable of documents
            See :mod:`fastembed.corpus`.
        min_count : int
            The least number of times that a pair must occur.
        threshold : float, optional
            The least score of a phrase; by default 0.5 for "npmi" and 100 for "word2vec".
        scoring : {"npmi", "word2vec"}
            log(n N / (a b)) / log(N / n), or (n - min_count) N / (a b), with the counts n of a pair, a and b of its
            parts, and N of all tokens. "npmi" is 1 for tokens that occur only together, 0 for independent ones.
        max_words : int
            The most tokens of a phrase, from 2 to 8.
        common : iterable of str, "english" or None
            Words of which one or two may stand inside a phrase, as in "bank of america", but not at its ends.
        reading : Reading, optional
            As for `SkipGram`.
        threads : int, optional
            The number of threads; by default the number of CPUs. The result does not depend on it.
        progress : callable, optional
            Called with (done, total), as :mod:`fastembed.corpus` says; each pass starts again from 0.

        Returns
        -------
        Phrases
            In order of decreasing score; with equal scores in the order of their tokens.

        Examples
        --------
        >>> text = ["i love new york".split(), "she left new york".split(), "a new car".split()]
        >>> Phrases.from_corpus(text, min_count=2).phrases
        (('new', 'york'),)
        """
        min_count = check_integer("min_count", min_count, low=1)
        max_words = check_integer("max_words", max_words, low=2, high=LONGEST)
        scoring = check_choice("scoring", scoring, tuple(THRESHOLDS))
        least = THRESHOLDS[scoring] if threshold is None else check_number("threshold", threshold, low=-math.inf)
        commons = () if common is None else check_token_list("common", common)
        if len(commons) > MOST_COMMON:
            raise ValueError(f"common must hold at most {MOST_COMMON:,} tokens, got {len(commons):,}")
        reader, workers = as_corpus(corpus, reading), check_threads(threads)
        scores: dict[Words, float] = {}
        first = Ledger()
        for number in range(math.ceil(math.log2(max_words))):  # a pass doubles the longest phrase
            ledger = first if number == 0 else Ledger()
            chunks: Iterable[Chunk] = reader.chunks(ledger, progress)
            if number == 0:
                chunks = with_hints(chunks, reader.reading)
            table = _count(chunks, reader.reading, scores, commons, ledger, workers)
            if not len(table.tokens) or not ledger.tokens_read:
                raise empty(reader, ledger)
            scored = _scored_phrases(table, commons, min_count, scoring, least, extend=number > 0)
            new = {words: value for words, value in scored.items() if len(words) <= max_words}
            if not new:
                break
            scores |= new
        if not scores:
            wanted = f"occurs min_count={min_count:,} times with a {scoring} score of at least {least:g}"
            raise ValueError(f"no phrase: no pair {wanted}; lower min_count or threshold")
        first.tokens_used = first.tokens_read
        scores = dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))
        return cls(list(scores), list(scores.values()), first)

    def join(self, tokens: Iterable[str]) -> list[str]:
        """Return the tokens of a sequence, with the tokens of each phrase joined by ``_``.

        Parameters
        ----------
        tokens : iterable of str

        Returns
        -------
        list of str

        Examples
        --------
        >>> Phrases(["new york"]).join(["in", "new", "york"])
        ['in', 'new_york']
        """
        return join_phrases(token_list(tokens, "the sequence"), self._table)

    @cached_property
    def _table(self) -> PhraseTable:
        return phrase_table(self.phrases)

    def save(self, path: str | os.PathLike[str]) -> None:
        r"""Write the list as text in UTF-8. A line has the tokens of a phrase with spaces between, a tab and the score.

        A phrase without a score has no tab.

        Parameters
        ----------
        path : path-like

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Phrases(["new york", "vis a vis"], [0.5, float("nan")]).save(f"{folder}/phrases.txt")
        ...     Path(folder, "phrases.txt").read_text(encoding="utf-8").splitlines()
        ...     Phrases.load(f"{folder}/phrases.txt")
        ['new york\t0.5', 'vis a vis']
        <Phrases: 2, such as 'new york'>
        """
        lines = []
        for words, score in zip(self.phrases, self.scores.tolist(), strict=True):
            line = " ".join(words)
            if len(line.encode(errors="surrogatepass").split()) != len(words):
                raise ValueError(f"tokens in a file of phrases must not have white space, got {words}")
            lines.append(line + ("\n" if math.isnan(score) else f"\t{score!r}\n"))
        try:
            text = "".join(lines).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"a token has no UTF-8 form: {error}") from None
        with replacing(path) as temporary:
            temporary.write_bytes(text)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Phrases:
        """Read a file that :meth:`save` wrote, or any text with one phrase per line.

        Parameters
        ----------
        path : path-like
            UTF-8. White space separates the tokens of a line; empty lines are skipped. A number behind the last tab is
            the score.

        Returns
        -------
        Phrases
        """
        phrases: dict[tuple[str, ...], float] = {}
        for number, line in enumerate(read_lines(path), 1):
            text, score = _scored(line)
            if not text.strip(SPACES.decode()):
                continue
            try:
                words = phrase_words(text)
                if words in phrases:
                    raise ValueError(f"the phrase {' '.join(words)!r} occurs twice")
            except ValueError as error:
                raise ValueError(f"{str(path)!r}, line {number}: {error}") from None
            phrases[words] = score
        if not phrases:
            raise ValueError(f"{str(path)!r} holds no phrase: write one per line, such as 'new york'")
        return cls(list(phrases), list(phrases.values()))

    def __len__(self) -> int:
        return len(self.phrases)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self.phrases)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Phrases):
            return NotImplemented
        return self.phrases == other.phrases and np.array_equal(self.scores, other.scores, equal_nan=True)

    def __hash__(self) -> int:
        return hash(self.phrases)

    def __repr__(self) -> str:
        return f"<{phrases_text(self.phrases)}>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_table"}


def _scored(line: str) -> tuple[str, float]:
    """Return the phrase and the score of a line of a file; NaN for a line without a score."""
    text, tab, score = line.rpartition("\t")
    try:
        return (text, float(score)) if tab else (line, math.nan)
    except ValueError:
        return line, math.nan


def _count(
    chunks: Iterable[Chunk], reading: Reading, phrases: Iterable[Words], common: Words, ledger: Ledger, threads: int
) -> NeighborTable:
    """Count the tokens and the pairs of neighbours of a text, with `phrases` joined."""
    joined, packed = phrase_table(phrases), list(map(token_bytes, common))
    spare = Supply(lambda: NeighborTable(packed))

    def count(text: bytes, inside: bool) -> tuple[None, int, int, int]:
        table = spare.take()
        sizes = table.count(joined.join(text, SEARCH_GLUE) if phrases else text, inside)
        spare.give(table)
        return None, *sizes

    deque(map_text(chunks, reading, count, ledger, threads), 0)
    first, *tables = spare.all() or [NeighborTable(packed)]
    for table in tables:
        first.merge(table)
    return first


def _scored_phrases(
    table: NeighborTable, common: Words, min_count: int, scoring: str, threshold: float, *, extend: bool
) -> dict[Words, float]:
    """Return phrases that score at least `threshold`; if `extend`, one part is a phrase, else both are tokens."""
    tokens, times = table.tokens.frequent(0)
    pairs = np.array(table.frequent(min_count), dtype=np.int64).reshape(-1, 4)
    counts, n = np.array(times, dtype=np.float64), pairs[:, 3].astype(float)
    scores = score(scoring, n, counts[pairs[:, 0]], counts[pairs[:, 1]], counts.sum(), min_count)
    enough = scores >= threshold
    glue = bytes([SEARCH_GLUE])
    phrases: dict[Words, float] = {}
    for (first, second, between, _), value in zip(pairs[enough].tolist(), scores[enough].tolist(), strict=True):
        parts = tokens[first].split(glue), tokens[second].split(glue)
        second_digit, first_digit = divmod(between, len(common) + 1)
        between_words = [common[digit - 1] for digit in (first_digit, second_digit) if digit]
        words = (*map(token_from_bytes, parts[0]), *between_words, *map(token_from_bytes, parts[1]))
        extended = len(parts[0]) + len(parts[1]) > 2
        if extended == extend and all(words):
            phrases[words] = max(value, phrases.get(words, -math.inf))
    return phrases


def score(scoring: str, n: Counts, a: Counts, b: Counts, total: float, min_count: int) -> Counts:
    """Return the scores of pairs, rounded: normalised pointwise mutual information or word2vec's.

    Parameters
    ----------
    scoring : {"npmi", "word2vec"}
    n, a, b : ndarray of float64, shape (pairs,)
        How often the pair, its first and its second token occurred.
    total : float
        The number of all tokens.

    Examples
    --------
    >>> one = np.ones(1)
    >>> score("npmi", 5 * one, 5 * one, 5 * one, 100, 1), score("word2vec", 5 * one, 10 * one, 5 * one, 100, 1)
    (array([1.]), array([8.]))
    """
    scores = np.log(n * total / (a * b)) / np.log(total / n) if scoring == "npmi" else (n - min_count) * total / (a * b)
    return np.round(scores, DIGITS)
