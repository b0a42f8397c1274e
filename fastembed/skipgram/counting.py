"""`CorpusCounter`: from a corpus to its vocabulary and its counts, as often as a fit needs them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fastembed.corpus.documents import Documents, split_documents
from fastembed.corpus.identity import corpus_identity
from fastembed.corpus.ledger import Ledger, check_reread
from fastembed.corpus.line_split import LineSplit
from fastembed.corpus.readers import DocumentCorpus, FileCorpus, as_corpus
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts
from fastembed.skipgram.kept_counts import CountPair, KeptCounts
from fastembed.skipgram.options import Baskets, SkipGramOptions
from fastembed.skipgram.progress import FitProgress
from fastembed.trainer.checkpoint import CheckpointFile
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows


class CorpusCounter:
    """Counts a corpus, on some threads and in some memory, and reports to the progress of a fit.

    Parameters
    ----------
    corpus
        A corpus or raw documents; see :func:`fastembed.corpus.documents.split_documents`.
    threads : int, optional
    memory_limit : int, optional
        Bytes, as for `Counts.from_corpus`.
    progress : FitProgress, optional
    reading : Reading, optional
        How text is read. A corpus that has its own is read by that; the caller's caller is warned if they differ.
    """

    def __init__(
        self,
        corpus: Documents,
        threads: int | None,
        memory_limit: int | None = None,
        progress: FitProgress | None = None,
        reading: Reading | None = None,
    ) -> None:
        own = corpus.reading if isinstance(corpus, FileCorpus | DocumentCorpus) else None
        if reading is not None and own is not None and own.record() != reading.record():
            warnings.warn(f"the corpus is read by its own {own}, not by {reading}", stacklevel=3)
        self._corpus, self._threads, self._memory_limit = split_documents(corpus, reading), threads, memory_limit
        self._reading = None if progress is None else progress.reading
        self._counting = None if progress is None else progress.counting
        self._first_reading: Ledger | None = None

    @property
    def reading(self) -> Reading | None:
        """How the text is read, where it is known."""
        return as_corpus(self._corpus).reading

    def identity(self) -> dict[str, Any]:
        """Return what the corpus is known by; see `corpus_identity`."""
        return corpus_identity(self._corpus)

    def kept(self, file: CheckpointFile | None, how: Mapping[str, Any], count: Callable[[], CountPair]) -> CountPair:
        """Return the counts that are kept beside a checkpoint, or those that `count` returns, which are then kept.

        `how` says how they are counted, as JSON holds it.
        """
        if file is None:
            return count()
        return KeptCounts(file.path).get({**how, "corpus": self.identity()}, self.reading, count)

    def vocabulary(self, options: SkipGramOptions, max_size: int | None = None) -> Vocabulary:
        """Return the words that occur often enough and are wanted, or the most frequent of them."""
        words = Vocabulary.from_corpus(
            self._corpus,
            options.min_count,
            max_size,
            drop=options.drop,
            keep_only=options.keep_only,
            threads=self._threads,
            progress=self._reading,
        )
        self._first_reading = words.ledger
        return words

    def counts(self, vocabulary: Vocabulary, pairing: Windows | Baskets, lines: LineSplit | None = None) -> Counts:
        """Return the counts of all lines, or of a share of them."""
        count = Counts.from_baskets if isinstance(pairing, Baskets) else Counts.from_corpus
        counts: Counts = count(
            self._corpus,
            vocabulary,
            **asdict(pairing),
            lines=lines,
            threads=self._threads,
            memory_limit=self._memory_limit,
            progress=self._counting,
        )
        if self._first_reading is not None and counts.ledger is not None and lines is None:
            check_reread(self._first_reading, counts.ledger)
        return counts

    def split_counts(
        self, vocabulary: Vocabulary, pairing: Windows | Baskets, options: SkipGramOptions
    ) -> tuple[Counts, Counts | None]:
        """Return the counts to train on, and with early stopping those of the lines held out."""
        if not options.early_stopping:
            return self.counts(vocabulary, pairing), None
        kept, held_out = (
            self.counts(vocabulary, pairing, LineSplit(options.validation_fraction, options.seed, side))
            for side in (False, True)
        )
        return kept, held_out
