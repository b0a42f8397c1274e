"""Encoding of a corpus as ids, piece by piece."""

from __future__ import annotations

import numbers
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import check_integer
from fastembed._kernels.tokens import TokenTable
from fastembed.corpus.corpus import Corpus, MemoryCorpus, Progress, TextCorpus, map_text
from fastembed.corpus.ledger import Ledger, LineSplit, select_lines
from fastembed.corpus.reading import token_bytes
from fastembed.vocabulary import Vocabulary

Int32 = npt.NDArray[np.int32]
Piece: TypeAlias = tuple[Int32, int]  # ids with -1 after each sequence, and the number of tokens among them

BATCH_IDS = 1 << 16  # smallest number of ids per piece of a corpus in memory

_token_tables: WeakKeyDictionary[Vocabulary, TokenTable] = WeakKeyDictionary()  # filling one takes seconds


def vocabulary_size(vocabulary: Vocabulary | int) -> int:
    """Return V, the size of the vocabulary."""
    if isinstance(vocabulary, Vocabulary):
        return len(vocabulary)
    if isinstance(vocabulary, bool) or not isinstance(vocabulary, numbers.Integral):
        raise TypeError(f"vocabulary must be a Vocabulary or a number of ids, got {type(vocabulary).__name__}")
    return check_integer("vocabulary", vocabulary, low=1, high=2**31 - 1)


def encode_corpus(
    corpus: Corpus,
    vocabulary: Vocabulary | int,
    ledger: Ledger,
    progress: Progress | None,
    threads: int,
    lines: LineSplit | None = None,
) -> Generator[Int32, None, None]:
    """Yield the ids of a corpus in order, -1 after each sequence; tokens outside the vocabulary are left out.

    Parameters
    ----------
    corpus : Corpus
    vocabulary : Vocabulary or int
        A number V means that the corpus consists of ids from 0 to V - 1.
    ledger : Ledger
        The tokens and lines that are read, used and dropped are added to it.
    progress : callable, optional
    threads : int
        The number of threads that read the text of files.
    lines : LineSplit, optional
        Encode only the lines on this side of the split; by default all.
    """
    if not isinstance(vocabulary, Vocabulary):
        if not isinstance(corpus, MemoryCorpus):
            raise TypeError(f"vocabulary={vocabulary} says that the corpus consists of ids, so it cannot be files")
        pieces = _join(corpus.ids(vocabulary, ledger, progress))
    elif not isinstance(corpus, MemoryCorpus) and corpus.reading.compiled:
        pieces = _encode_text(corpus, vocabulary, ledger, progress, threads)
    else:
        pieces = _join(vocabulary.encode(tokens) for tokens in corpus.sequences(ledger, progress))
    known = 0

    def count_known() -> Iterator[Int32]:
        nonlocal known
        for ids, tokens in pieces:
            known += tokens
            yield ids

    with closing(pieces):
        if lines is None:
            for ids, tokens in pieces:
                known += tokens
                ledger.tokens_used += tokens
                yield ids
        else:
            for ids in select_lines(count_known(), lines):
                ledger.tokens_used += int(np.count_nonzero(ids >= 0))
                yield ids
    ledger.dropped = {"outside the vocabulary": ledger.tokens_read - known}
    if lines is not None:
        ledger.dropped[lines.dropped] = known - ledger.tokens_used


def _encode_text(
    corpus: TextCorpus, vocabulary: Vocabulary, ledger: Ledger, progress: Progress | None, threads: int
) -> Generator[Piece, None, None]:
    """Yield the ids of text that the compiled kernels can read."""
    table = _token_table(vocabulary)
    free: SimpleQueue[Int32] = SimpleQueue()  # arrays for the ids of a block, one per thread

    def encode(text: bytes, open_line: bool) -> tuple[Piece, int, int, int]:
        try:
            ids = free.get_nowait()
        except Empty:
            ids = np.empty(0, dtype=np.int32)
        if len(ids) < len(text):
            ids = np.empty(len(text), dtype=np.int32)
        n, tokens, lines, empty_lines = table.encode(text, open_line, ids)
        piece = ids[:n].copy()
        free.put(ids)
        return (piece, n - lines), tokens, lines, empty_lines

    return map_text(corpus, encode, ledger, progress, threads)


def _token_table(vocabulary: Vocabulary) -> TokenTable:
    """Return the compiled form of a vocabulary: a table from the tokens in UTF-8 to the same ids."""
    table = _token_tables.get(vocabulary)
    if table is None:
        table = TokenTable()
        table.fill(map(token_bytes, vocabulary.tokens))
        _token_tables[vocabulary] = table
    return table


def _join(sequences: Iterable[Int32]) -> Generator[Piece, None, None]:
    """Join short sequences into longer arrays, with -1 after each sequence."""
    end = np.array([-1], dtype=np.int32)
    batch: list[Int32] = []
    size = 0
    for ids in sequences:
        batch += (ids, end)
        size += len(ids)
        if size + len(batch) // 2 >= BATCH_IDS:
            yield np.concatenate(batch), size
            batch, size = [], 0
    if batch:
        yield np.concatenate(batch), size
