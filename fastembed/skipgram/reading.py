"""A corpus on its way into a model: its vocabulary, and its counts, as often as they are needed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Protocol

from fastembed.corpus.documents import Documents, split_documents
from fastembed.corpus.ledger import Ledger, check_reread
from fastembed.corpus.line_split import LineSplit
from fastembed.counts.counts import Counts
from fastembed.skipgram.estimate import Estimate
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows


class FitProgress(Protocol):
    """What `SkipGram.fit` reports to."""

    def reading(self, done: int, total: int | None) -> object:
        """Take how much of the corpus has been read: bytes of files, or sequences in memory."""

    def counting(self, done: int, total: int | None) -> object:
        """Take how much of the corpus has been read again, to be counted."""

    def training(self, estimate: Estimate) -> object:
        """Take what training will take; it starts now."""

    def epoch(self, record: dict[str, float]) -> object:
        """Take the record of an epoch that has ended."""


class Reader:
    """Reads a corpus, on some threads, and reports to the progress of a fit.

    Parameters
    ----------
    corpus
        A corpus or raw documents; see :func:`fastembed.corpus.documents.split_documents`.
    threads : int or None
    progress : FitProgress or None
    """

    def __init__(self, corpus: Documents, threads: int | None, progress: FitProgress | None) -> None:
        self._corpus, self._threads = split_documents(corpus), threads
        self._read: Ledger | None = None
        self._reading = progress.reading if progress else None
        self._counting = progress.counting if progress else None

    def vocabulary(self, min_count: int, max_size: int | None = None) -> Vocabulary:
        """Return the words that come often enough, or the most frequent of them."""
        words = Vocabulary.from_corpus(self._corpus, min_count, max_size, threads=self._threads, progress=self._reading)
        self._read = words.ledger
        return words

    def counts(self, vocabulary: Vocabulary, windows: Windows, **options: Any) -> Counts:
        """Return the counts of the whole text, or as `options` of `Counts.from_corpus` say."""
        counts = Counts.from_corpus(
            self._corpus, vocabulary, **asdict(windows), **options, threads=self._threads, progress=self._counting
        )
        if self._read is not None and counts.ledger is not None and "lines" not in options:
            check_reread(self._read, counts.ledger)
        return counts

    def divided(
        self, vocabulary: Vocabulary, windows: Windows, share: float, seed: int, **options: Any
    ) -> tuple[Counts, Counts]:
        """Return the counts of the lines not held out, and of those held out."""
        kept, held_out = (
            self.counts(vocabulary, windows, lines=LineSplit(share, seed, side), **options) for side in (False, True)
        )
        return kept, held_out
