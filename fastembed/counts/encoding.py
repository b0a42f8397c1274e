"""A corpus as ids: encoded piece by piece, and gathered into texts of bounded length for the counting of windows."""

from __future__ import annotations

import numbers
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import ordered_map
from fastembed._base.validation import check_integer
from fastembed.corpus.blocks import Block
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.line_split import Lines
from fastembed.corpus.readers import Corpus, FileCorpus, MemoryCorpus, Progress
from fastembed.counts.external_sum import Rows
from fastembed.vocabulary import Vocabulary

Int32 = npt.NDArray[np.int32]

BATCH = 1 << 16  # ids of a corpus in memory that are handed on at a time, at least


@dataclass(frozen=True)
class Text:
    """Ids with -1 at both ends and at the end of each sequence; windows are laid around ids[first:last] alone.

    What stands outside that range is context: a sequence may begin in an earlier text or go on in a later one.
    """

    ids: Int32
    first: int
    last: int


def encoded(
    corpus: Corpus,
    vocabulary: Vocabulary | int,
    ledger: Ledger,
    progress: Progress | None,
    threads: int,
    lines: Lines | None = None,
) -> Generator[Int32, None, None]:
    """Yield the ids of a corpus in their order, -1 after each sequence; tokens outside the vocabulary are left out.

    Parameters
    ----------
    corpus : Corpus
    vocabulary : Vocabulary or int
        A number says that the corpus consists of ids, below it.
    ledger : Ledger
        Gets all that is read, used and dropped.
    progress : callable, optional
    threads : int
        For the text of files.
    lines : Lines, optional
        Only these; all if not given.
    """
    if not isinstance(vocabulary, Vocabulary):
        if not isinstance(corpus, MemoryCorpus):
            raise TypeError(f"vocabulary={vocabulary} says that the corpus consists of ids, so it cannot be files")
        pieces = _batches(corpus.ids(vocabulary, ledger, progress))
    elif isinstance(corpus, FileCorpus) and corpus.tokenizer is None:
        pieces = _encoded_text(corpus, vocabulary, ledger, progress, threads)
    else:
        pieces = _batches(vocabulary.encode(tokens) for tokens in corpus.sequences(ledger, progress))
    known = 0

    def counted() -> Iterator[Int32]:
        nonlocal known
        for ids in pieces:
            known += int(np.count_nonzero(ids >= 0))
            yield ids

    with closing(pieces):
        for ids in counted() if lines is None else lines.of(counted()):
            ledger.tokens_used += int(np.count_nonzero(ids >= 0))
            yield ids
    ledger.dropped = {"outside the vocabulary": ledger.tokens_read - known}
    if lines is not None:
        ledger.dropped[f"outside the {lines}"] = known - ledger.tokens_used


def _encoded_text(
    corpus: FileCorpus, vocabulary: Vocabulary, ledger: Ledger, progress: Progress | None, threads: int
) -> Generator[Int32, None, None]:
    table = vocabulary.table()

    def encode(block: Block) -> tuple[Int32, tuple[int, int, int, int]]:
        text, replaced = corpus.text(block)
        ids = np.empty(len(text), dtype=np.int32)
        n, tokens, lines, empty_lines = table.encode(text, block.open_line, ids)
        return ids[:n].copy(), (tokens, lines, empty_lines, replaced)

    with closing(ordered_map(encode, corpus.blocks(ledger, progress), threads)) as results:
        for ids, entry in results:
            ledger.enter(*entry)
            yield ids


def _batches(sequences: Iterable[Int32]) -> Generator[Int32, None, None]:
    """Join short sequences, each with its -1."""
    end = np.array([-1], dtype=np.int32)
    batch: list[Int32] = []
    size = 0
    for ids in sequences:
        batch += (ids, end)
        size += len(ids) + 1
        if size >= BATCH:
            yield np.concatenate(batch)
            batch, size = [], 0
    if batch:
        yield np.concatenate(batch)


def texts(pieces: Iterable[Int32], size: int, reach: int) -> Iterator[Text]:
    """Yield texts of about `size` ids, whose memory is used again for the next one.

    Parameters
    ----------
    pieces : iterable of int32 arrays
        Of :func:`encoded`.
    size : int
        Ids around which windows are laid.
    reach : int
        The largest distance of a context: so many ids beside them are kept as context.
    """
    room = size + 4 * reach + 2
    buffer = np.empty(room, dtype=np.int32)
    buffer[0] = -1
    first, end = 1, 1
    for piece in pieces:
        taken = 0
        while taken < len(piece):
            n = min(len(piece) - taken, room - 1 - end)
            buffer[end : end + n] = piece[taken : taken + n]
            taken += n
            end += n
            if end == room - 1:
                last = end - reach
                yield _text(buffer, first, last, end)
                kept = last - reach
                buffer[1 : end - kept + 1] = buffer[kept:end].copy()
                first, end = last - kept + 1, end - kept + 1
    if end > first:
        yield _text(buffer, first, end, end)


def _text(buffer: Int32, first: int, last: int, end: int) -> Text:
    buffer[end] = -1
    return Text(buffer[: end + 1], first, last)


class Work:
    """Progress in units of work: each unit of the corpus is read once and counted once."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done, self._counted = 0, 0.0
        self._total: int | None = None

    def read(self, done: int, total: int | None) -> None:
        """Take how much has been read."""
        self._done, self._total = done, total
        self._show()

    def counted(self, parts: Iterable[tuple[Rows, float]]) -> Iterator[Rows]:
        """Pass rows on; with the last of them, all that has been read is counted."""
        before = self._counted
        for rows, share in parts:
            self._counted = before + share * (self._done - before)
            self._show()
            yield rows

    def finish(self) -> None:
        """Report that all is done."""
        self._counted = self._done
        self._show()

    def _show(self) -> None:
        if self._progress:
            self._progress(self._done + int(self._counted), None if self._total is None else 2 * self._total)


def vocabulary_size(vocabulary: Vocabulary | int) -> int:
    """Return V."""
    if isinstance(vocabulary, Vocabulary):
        return len(vocabulary)
    if isinstance(vocabulary, bool) or not isinstance(vocabulary, numbers.Integral):
        raise TypeError(f"vocabulary must be a Vocabulary or a number of ids, got {type(vocabulary).__name__}")
    return check_integer("vocabulary", vocabulary, low=1, high=2**31 - 1)
