"""Vocabulary: tokens <-> ids, and how often each token occurred."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from itertools import compress
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import Int32, Int64
from fastembed._base.threads import Pool, cached_property, check_threads
from fastembed._base.validation import check_integer, check_token, check_token_counts, known_token, token_ids, token_of
from fastembed._kernels.tokens import TokenTable
from fastembed.corpus.corpus import Corpus, Progress, Source, as_corpus, corpus_ids, empty, map_text
from fastembed.corpus.ledger import Ledger, LineSplit, line_selector
from fastembed.corpus.reading import Reading, token_bytes
from fastembed.corpus.tasks import count_tokens_by
from fastembed.corpus.tokens import check_named, check_token_list, count_tokens, rank_tokens, with_hints

__all__ = ["Vocabulary"]

Piece: TypeAlias = tuple[Int32, int]  # the ids of a chunk, -1 after each sequence, and the number of tokens among them

PIECE_IDS = 1 << 16  # smallest number of ids per piece of a corpus of ids


def __dir__() -> list[str]:
    return __all__


class Vocabulary:
    """The different tokens of a text: each has an id, which is its index, and a count.

    ``vocabulary["the"]`` is the id of a token, ``vocabulary.tokens[0]`` the token of an id. An integer is the token of
    its digits: ``vocabulary[33]`` is the id of "33".

    Parameters
    ----------
    tokens : sequence of str
        All different.
    counts : array_like of int, shape (V,)
        The number of occurrences of each token.
    ledger : Ledger, optional
        What was read, used and dropped of the text in which the tokens were counted.

    Attributes
    ----------
    tokens : tuple of str
    counts : ndarray of int64, shape (V,)
    ledger : Ledger or None
    reading : Reading or None
        How the text was read, or None if unknown.
    appended : int
        The number of tokens at the end that :meth:`grown` added.

    Raises
    ------
    KeyError
        For an unknown token. The message has the closest spellings.
    TypeError, ValueError
        By any method, for an argument of another type or value than documented, and for a text without tokens to keep.
    OSError
        By :meth:`from_corpus`, for a file that cannot be read.

    Examples
    --------
    >>> vocabulary = Vocabulary(["the", "cat"], [7, 2])
    >>> vocabulary["cat"], vocabulary.tokens[1], "dog" in vocabulary, len(vocabulary)
    (1, 'cat', False, 2)
    >>> vocabulary["cot"]
    Traceback (most recent call last):
        ...
    KeyError: "'cot' is not among the 2 tokens; the closest spellings are 'cat'"
    """

    def __init__(self, tokens: Sequence[str], counts: npt.ArrayLike, ledger: Ledger | None = None) -> None:
        if isinstance(tokens, str):
            raise TypeError(f"tokens must be a sequence of strings, got the string {tokens!r}")
        self.tokens = tuple(tokens)
        if not self.tokens:
            raise ValueError("a vocabulary needs at least one token, got none")
        _ = self._ids  # raises ValueError if two tokens are equal
        self.counts = check_token_counts(counts, self.tokens)
        self.ledger = ledger
        self.reading: Reading | None = None
        self.appended = 0

    @classmethod
    def from_corpus(
        cls,
        corpus: Source,
        min_count: int = 5,
        max_size: int | None = None,
        *,
        drop: Iterable[str] | None = None,
        keep_only: Iterable[str] | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
        executor: Executor | None = None,
    ) -> Vocabulary:
        """Count the tokens of a corpus and keep the frequent ones.

        Parameters
        ----------
        corpus : path, sequence of paths, or re-iterable of documents
            See :mod:`fastembed.corpus`.
        min_count : int
            Tokens that occur fewer times are dropped.
        max_size : int, optional
            At most this many tokens are kept: the first in the order of the vocabulary.
        drop : iterable of str or "english", optional
            Tokens to drop, such as stop words; "english" is a list of English function words in lower case.
        keep_only : iterable of str or "english", optional
            All other tokens are dropped.
        threads : int, optional
            The number of threads, by default the number of CPUs. The result does not depend on it.
        progress : callable, optional
            Called with (done, total) in bytes or, for a corpus in memory, in documents.
        executor : concurrent.futures.Executor, optional
            Counts parts of files in tasks: threads, processes or a cluster that see the files under the same names,
            such as ``distributed.Client(...).get_executor()``. The result does not depend on it.

        Returns
        -------
        Vocabulary
            In order of decreasing count; tokens with equal counts are in the order of their code points.

        Warns
        -----
        UserWarning
            If no token of `drop`, of `keep_only` or of the phrases occurs.

        Examples
        --------
        >>> vocabulary = Vocabulary.from_corpus([["b", "a", "b"], ["c", "a"]], min_count=1, max_size=2)
        >>> vocabulary.tokens, vocabulary.counts
        (('a', 'b'), array([2, 2]))
        >>> vocabulary.ledger.summary()
        'read 5 tokens in 2 lines; used 4; dropped 1 (1 over max_size=2)'
        >>> Vocabulary.from_corpus([["the", "cat", "the"]], min_count=1, drop=["the", "of"]).ledger.summary()
        'read 3 tokens in 1 line; used 1; dropped 2 (2 listed in drop)'
        """
        min_count = check_integer("min_count", min_count, low=1)
        max_size = None if max_size is None else check_integer("max_size", max_size, low=1)
        lists = {"drop": drop, "keep_only": keep_only}
        chosen = {name: check_token_list(name, tokens) for name, tokens in lists.items() if tokens is not None}
        pool, reader, ledger = Pool(check_threads(threads)), as_corpus(corpus), Ledger()
        if executor is None:
            chunks = with_hints(reader.chunks(ledger, progress), reader.reading)
            tables = count_tokens(chunks, reader.reading, ledger, pool)
        else:
            tables = count_tokens_by(executor, reader, ledger, progress)
        different = sum(map(len, tables))
        if not different:
            raise empty(reader, ledger)
        check_named(chosen, tables, reader.stated_reading)
        if chosen:
            tokens, counts, _ = rank_tokens(tables, 1, pool)
            tokens, counts = _by_lists(tokens, counts, chosen, ledger)
            number = np.count_nonzero(counts >= min_count)  # the counts decrease
            frequent = int(counts[:number].sum())
            tokens, counts = tokens[:number][:max_size], counts[:number][:max_size]
        else:
            tokens, counts, frequent = rank_tokens(tables, min_count, pool, max_size)
        if not tokens:
            why = " or ".join([*ledger.dropped, f"below min_count={min_count}"])
            raise NoTokenError(f"no token is left: all {different:,} different tokens are {why}")
        ledger.tokens_used = int(counts.sum())
        left = ledger.tokens_read - sum(ledger.dropped.values())
        ledger.dropped |= {
            f"below min_count={min_count}": left - frequent,
            f"over max_size={max_size}": frequent - ledger.tokens_used,
        }
        words = cls(tokens, counts, ledger)
        words.reading = reader.stated_reading
        return words

    def grown(self, other: Vocabulary, max_size: int | None = None) -> Vocabulary:
        """Return this vocabulary followed by the tokens that only another one has, in the order of the other.

        The ids and counts of this vocabulary stay. New tokens have the counts of the other vocabulary, and the result
        has its ledger.

        Parameters
        ----------
        other : Vocabulary
        max_size : int, optional
            The result has at most this many tokens, unless this vocabulary has more already.

        Returns
        -------
        Vocabulary

        Examples
        --------
        >>> grown = Vocabulary(["the", "cat"], [7, 2]).grown(Vocabulary(["dog", "the"], [3, 1]))
        >>> grown.tokens, grown.counts, grown.appended
        (('the', 'cat', 'dog'), array([7, 2, 3]), 1)
        """
        capacity = None if max_size is None else max(max_size - len(self), 0)
        new = [index for index, token in enumerate(other.tokens) if token not in self][:capacity]
        tokens = self.tokens + tuple(other.tokens[index] for index in new)
        grown = Vocabulary(tokens, np.concatenate([self.counts, other.counts[new]]), other.ledger)
        grown.reading, grown.appended = self.reading, self.appended + len(new)
        return grown

    @cached_property
    def _ids(self) -> dict[str, int]:
        return token_ids(self.tokens)

    @cached_property
    def _table(self) -> TokenTable:
        """The compiled table from tokens in UTF-8 to ids. Filling the table takes seconds."""
        table = TokenTable()
        table.fill(map(token_bytes, self.tokens))
        return table

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_ids", "_table")}

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __contains__(self, token: object) -> bool:
        return known_token(token, self._ids) in self._ids

    def __getitem__(self, token: str | int) -> int:
        return check_token(token, self._ids, self.tokens)

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self):,} tokens, {int(self.counts.sum()):,} occurrences>"

    def ids(self, tokens: Iterable[str | int]) -> list[int]:
        """Return the ids of the tokens that are in the vocabulary, as :meth:`encode` does, but as a list.

        Parameters
        ----------
        tokens : iterable of str or int
        """
        tokens = tokens if isinstance(tokens, list) else list(tokens)
        if not set(map(type, tokens)) <= {str}:
            tokens = list(map(token_of, tokens))
        return [index for index in map(self._ids.get, tokens) if index is not None]

    def encode(self, tokens: Iterable[str | int]) -> npt.NDArray[np.int32]:
        """Return the ids of a sequence of tokens; tokens outside the vocabulary are left out.

        Parameters
        ----------
        tokens : iterable of str or int
            An integer is the token of its digits.

        Returns
        -------
        ndarray of int32, shape (n,)

        Examples
        --------
        >>> Vocabulary(["the", "cat"], [7, 2]).encode(["the", "black", "cat"])
        array([0, 1], dtype=int32)
        """
        if isinstance(tokens, str):
            raise TypeError(f"tokens must be a sequence of strings, got the string {tokens!r}; pass text.split()")
        return np.array(self.ids(tokens), dtype=np.int32)


def _by_lists(tokens: list[str], counts: Int64, lists: dict[str, Any], ledger: Ledger) -> tuple[list[str], Int64]:
    """Return the tokens that `drop` and `keep_only` leave, and their counts; add the dropped tokens to the ledger."""
    for name, list_tokens in lists.items():
        listed, keep = frozenset(list_tokens), name == "keep_only"
        kept = np.array([(token in listed) == keep for token in tokens], bool)
        ledger.dropped["not listed in keep_only" if keep else "listed in drop"] = int(counts[~kept].sum())
        tokens, counts = list(compress(tokens, kept)), counts[kept]
    return tokens, counts


class NoTokenError(ValueError):
    """A text has no token for a vocabulary."""


def vocabulary_size(vocabulary: Vocabulary | int) -> int:
    """Return V, the size of the vocabulary."""
    if isinstance(vocabulary, Vocabulary):
        return len(vocabulary)
    return check_integer("vocabulary, if it is a number of ids,", vocabulary, low=1, high=2**31 - 1)


def encode_corpus(
    corpus: Corpus,
    vocabulary: Vocabulary | int,
    ledger: Ledger,
    progress: Progress | None,
    threads: int,
    lines: LineSplit | None = None,
) -> Generator[Int32, None, None]:
    """Yield the ids of a corpus in pieces, in order, -1 after each sequence; other tokens are left out.

    A piece has the ids of a chunk of text, or of many short sequences of ids.

    Parameters
    ----------
    vocabulary : Vocabulary or int
        A number V means that the corpus consists of ids from 0 to V - 1.
    ledger : Ledger
        Receives the tokens and lines that are read, used and dropped.
    threads : int
        The number of threads that read the text of files.
    lines : LineSplit, optional
        Encode only the lines on this side of the split; by default all.
    """
    if isinstance(vocabulary, Vocabulary):
        table = vocabulary._table

        def encode(text: bytes, inside: bool) -> tuple[Piece, int, int, int]:
            ids = np.empty(len(text), np.int32)  # unwritten pages take no memory
            written, tokens, ends, empty_lines = table.encode(text, inside, ids)
            return (ids[:written].copy(), written - ends), tokens, ends, empty_lines

        pieces = map_text(corpus.chunks(ledger, progress), corpus.reading, encode, ledger, threads)
    else:
        pieces = _joined(corpus_ids(corpus, vocabulary, ledger, progress))
    known, select = 0, None if lines is None else line_selector(lines)
    with closing(pieces):
        for piece, tokens in pieces:
            known += tokens
            ids = piece if select is None else select(piece)
            ledger.tokens_used += tokens if select is None else int(np.count_nonzero(ids >= 0))
            yield ids
    ledger.dropped = {"outside the vocabulary": ledger.tokens_read - known}
    if lines is not None:
        ledger.dropped[lines.dropped] = known - ledger.tokens_used


def _joined(sequences: Iterable[Int32]) -> Generator[Piece, None, None]:
    """Join short sequences of ids to pieces."""
    end = np.array([-1], dtype=np.int32)
    piece: list[Int32] = []
    tokens = 0
    for ids in sequences:
        piece += (ids, end)
        tokens += len(ids)
        if tokens + len(piece) // 2 >= PIECE_IDS:
            yield np.concatenate(piece), tokens
            piece, tokens = [], 0
    if piece:
        yield np.concatenate(piece), tokens
