"""Phrases: neighbouring tokens that are read as one."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastembed._base.pickling import pickled_as
from fastembed._base.printable import shown
from fastembed._kernels.tokens import PhraseTable
from fastembed.corpus.document_blocks import SPACES, join_tokens, split_tokens, token_bytes
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.token_lists import read_lines
from fastembed.formats.atomic import replacing

if TYPE_CHECKING:
    from fastembed.corpus.readers import Progress, Source

LONGEST = 8  # the most words of a phrase
GLUE = ord("_")


@pickled_as("corpus.Phrases")
class Phrases:
    r"""A list of phrases, such as "new york", each of which is read as one token, ``new_york``.

    Tokens are joined from left to right: of the phrases that begin at a token the longest is taken, and the next one
    begins behind it. A phrase does not cross the end of a line.

    Parameters
    ----------
    phrases : iterable of str or of sequences of str
        Each has from 2 to 8 tokens: a list of them, or a str, in which white space separates them.
    scores : sequence of float, optional
        One per phrase; NaN where there is none.
    ledger : Ledger, optional
        The text in which they were found.

    Attributes
    ----------
    phrases : tuple of tuples of str
    scores : ndarray of float64, shape (n,)
    ledger : Ledger or None

    Raises
    ------
    TypeError
        If a phrase is not a str or a sequence of str.
    ValueError
        If there is no phrase, one has fewer than 2 or more than 8 tokens or an empty one, or occurs twice.

    Notes
    -----
    A sequence of more than a megabyte is read from a file in pieces, at the ends of which no phrase is joined.

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
        if isinstance(phrases, str | bytes) or not isinstance(phrases, Iterable):
            raise TypeError(f"phrases must be a list of phrases, got {shown(phrases)}")
        self.phrases = tuple(map(_words, phrases))
        if not self.phrases:
            raise ValueError("a list of phrases needs at least one, got none")
        if len(set(self.phrases)) < len(self.phrases):
            seen: set[tuple[str, ...]] = set()
            twice = next(phrase for phrase in self.phrases if phrase in seen or seen.add(phrase))  # type: ignore[func-returns-value]
            raise ValueError(f"the phrase {' '.join(twice)!r} occurs twice")
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
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Phrases:
        """Find collocations: neighbours that occur together more often than their counts would suggest.

        The counts are exact. A pass over the text counts pairs of neighbours; another one, in which these are joined
        already, counts pairs of which at least one part is a phrase, which gives up to four words, and so on.

        Parameters
        ----------
        corpus : path, sequence of paths, or re-iterable of sequences of str
            See :mod:`fastembed.corpus`.
        min_count : int
            The least number of times that a pair must occur.
        threshold : float, optional
            The least score of a phrase; by default 0.5 for "npmi" and 100 for "word2vec".
        scoring : {"npmi", "word2vec"}
            With the counts n of a pair, a and b of its parts, and N of all tokens: the normalised pointwise mutual
            information, log(n N / (a b)) / log(N / n), which is 1 for tokens that occur only together and 0 for
            independent ones; or word2vec's score, (n - min_count) N / (a b).
        max_words : int
            The most tokens of a phrase, from 2 to 8.
        common : iterable of str, "english" or None
            Words of which one or two may stand inside a phrase, as in "bank of america", but not at its ends. "english"
            is a list of articles, prepositions, pronouns and the like; None means no word.
        threads : int, optional
            For the text of files; all processors by default. The result does not depend on it.
        progress : callable, optional
            Called with (done, total) in bytes or, for a corpus in memory, in sequences, once more per pass.

        Returns
        -------
        Phrases
            In order of decreasing score; with equal scores in the order of their tokens.

        Raises
        ------
        ValueError
            If a parameter is out of range, the corpus is empty or no pair scores enough, or a file is not valid UTF-8.
        OSError
            If a file is missing or cannot be read.
        TypeError
            If an argument has the wrong type.

        Examples
        --------
        >>> text = ["i love new york".split(), "she left new york".split(), "a new car".split()]
        >>> Phrases.from_corpus(text, min_count=2).phrases
        (('new', 'york'),)
        """
        from fastembed.corpus.collocations import find_collocations

        found, ledger = find_collocations(
            corpus, min_count, threshold, scoring, max_words, common, threads=threads, progress=progress
        )
        return cls(list(found), list(found.values()), ledger)

    def join(self, tokens: Iterable[str]) -> list[str]:
        """Return the tokens of a sequence, those of each phrase joined by ``_``.

        Parameters
        ----------
        tokens : iterable of str

        Returns
        -------
        list of str

        Raises
        ------
        TypeError
            If `tokens` is a string, or does not hold strings.

        Examples
        --------
        >>> Phrases(["new york"]).join(["in", "new", "york"])
        ['in', 'new_york']
        """
        if isinstance(tokens, str):
            raise TypeError(f"tokens must be a sequence of strings, got the string {shown(tokens)}; pass text.split()")
        found = list(tokens)
        if not all(isinstance(token, str) for token in found):
            raise TypeError(f"tokens must be strings, got {shown(found)}")
        return split_tokens(self.apply(join_tokens(found)))

    def apply(self, text: bytes) -> bytes:
        r"""Return a text with the white space inside phrases replaced by ``_``.

        Parameters
        ----------
        text : bytes
            UTF-8; ASCII white space separates the tokens, and \n ends a sequence.

        Returns
        -------
        bytes

        Examples
        --------
        >>> Phrases(["new york"]).apply(b"in new  york\nnew\nyork\n")
        b'in new_york\nnew\nyork\n'
        """
        return self._table.join(text, GLUE)

    @cached_property
    def _table(self) -> PhraseTable:
        return phrase_table(self.phrases)

    def save(self, path: str | os.PathLike[str]) -> None:
        r"""Write the list as text in UTF-8: one line per phrase: its tokens, with spaces between, a tab and its score.

        A phrase without a score has no tab.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        ValueError
            If a token contains white space or has no UTF-8 form.
        OSError
            If the file cannot be written; an old file then stays as it was.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Phrases(["new york", "vis a vis"], [0.5, float("nan")]).save(f"{folder}/phrases.txt")
        ...     Path(folder, "phrases.txt").read_text(encoding="utf-8")
        ...     Phrases.load(f"{folder}/phrases.txt")
        'new york\t0.5\nvis a vis\n'
        <Phrases: 2, such as 'new york'>
        """
        lines = []
        for words, score in zip(self.phrases, self.scores.tolist(), strict=True):
            for word in words:
                if not word.isascii() or word.split() != [word]:
                    _check_saved(word)
            lines.append(" ".join(words) + ("\n" if math.isnan(score) else f"\t{score!r}\n"))
        with replacing(path) as temporary:
            temporary.write_bytes("".join(lines).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Phrases:
        """Read what :meth:`save` wrote, or a list that you wrote: one phrase per line.

        Parameters
        ----------
        path : path-like
            UTF-8. White space separates the tokens of a line; empty lines are skipped. A number behind the last tab is
            the score.

        Returns
        -------
        Phrases

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is not valid UTF-8, holds no phrase, or a line is not a phrase; the line is named.
        """
        phrases: dict[tuple[str, ...], float] = {}
        for number, line in enumerate(read_lines(path), 1):
            text, score = _scored(line)
            if not text.strip(SPACES.decode()):
                continue
            try:
                words = _words(text)
                if words in phrases:
                    raise ValueError(f"the phrase {' '.join(words)!r} occurs twice")
            except ValueError as error:
                raise ValueError(f"{str(path)!r}, line {number}: {error}") from None
            phrases[words] = score
        if not phrases:
            raise ValueError(f"{str(path)!r} holds no phrase: one per line was expected, such as 'new york'")
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
        return f"<Phrases: {len(self):,}, such as {' '.join(self.phrases[0])!r}>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_table"}


def phrase_table(phrases: Iterable[Sequence[str]]) -> PhraseTable:
    """Return the compiled form of a list of phrases.

    Parameters
    ----------
    phrases : iterable of sequences of str
    """
    table = PhraseTable()
    for words in phrases:
        table.insert([token_bytes(word) for word in words])
    return table


def _words(phrase: Any) -> tuple[str, ...]:
    """Return the tokens of a phrase; raise for anything else."""
    if isinstance(phrase, str):
        words = tuple(token.decode(errors="surrogatepass") for token in phrase.encode(errors="surrogatepass").split())
    elif isinstance(phrase, Iterable) and not isinstance(phrase, bytes):
        words = tuple(phrase)
    else:
        raise TypeError(f"a phrase must be a str or a sequence of str, got {shown(phrase)}")
    for word in words:
        if not isinstance(word, str):
            raise TypeError(f"the tokens of a phrase must be strings, got {shown(word)} in {shown(phrase)}")
    if not (2 <= len(words) <= LONGEST and all(words)):
        what = f"{len(words)} token{'s' * (len(words) != 1)}" if all(words) else "an empty token"
        raise ValueError(f"a phrase has from 2 to {LONGEST} tokens, as in 'new york'; {shown(phrase)} has {what}")
    return words


def _scored(line: str) -> tuple[str, float]:
    """Return the text of a line and the score behind it, or NaN."""
    text, tab, score = line.rpartition("\t")
    try:
        return (text, float(score)) if tab else (line, math.nan)
    except ValueError:
        return line, math.nan


def _check_saved(word: str) -> None:
    """Raise ValueError for a token that no line of a file can hold."""
    try:
        if word.encode().split() != [word.encode()]:
            raise ValueError(f"a file of phrases has spaces between tokens, but {word!r} contains white space")
    except UnicodeEncodeError as error:
        raise ValueError(f"a token has no UTF-8 form: {error}") from None
