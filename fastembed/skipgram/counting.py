"""`CorpusCounter`: the vocabulary and the counts of a corpus for a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fastembed._base.memory import LEAST, resident_memory
from fastembed._base.threads import check_threads
from fastembed._base.validation import warn_user
from fastembed.corpus.corpus import DocumentCorpus, Documents, FileCorpus, as_corpus, corpus_identity, split_documents
from fastembed.corpus.ledger import Ledger, LineSplit, check_reread
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts, Folder
from fastembed.counts.folders import TemporaryFolder
from fastembed.counts.store import CountsStore
from fastembed.counts.windows import Windows
from fastembed.skipgram.checkpoint_counts import CheckpointCounts, CountPair, StoresFor
from fastembed.skipgram.estimate import PROCESS_BYTES
from fastembed.skipgram.model import Baskets, FittedModel
from fastembed.skipgram.progress import FitProgress
from fastembed.skipgram.subwords import check_spelled
from fastembed.trainer.checkpoint import CheckpointFile
from fastembed.vocabulary import Vocabulary

if TYPE_CHECKING:
    from fastembed.skipgram.skipgram import SkipGramOptions

READING_BYTES = 20_000_000  # bytes of buffers and text per thread
TABLE_BYTES = 60  # bytes per word in the table that encodes text


class CorpusCounter:
    """Counts a corpus within limits on threads and memory, and reports progress.

    Parameters
    ----------
    corpus
        A corpus or raw documents; see :func:`fastembed.corpus.corpus.split_documents`.
    threads : int, optional
    memory_limit : int, optional
        Bytes, as for `Counts.from_corpus`.
    progress : FitProgress, optional
    reading : Reading, optional
        How text is read. The `reading` of the corpus takes precedence, with a warning if the two differ.
    process_limit : int, optional
        Limit on the memory of the whole process in bytes, instead of `memory_limit`; counts are then in stores.
    executor : Executor, optional
        As for `Counts.from_corpus`.
    """

    def __init__(
        self,
        corpus: Documents,
        threads: int | None,
        memory_limit: int | None = None,
        progress: FitProgress | None = None,
        reading: Reading | None = None,
        *,
        process_limit: int | None = None,
        executor: Executor | None = None,
    ) -> None:
        own = corpus.reading if isinstance(corpus, FileCorpus | DocumentCorpus) else None
        if reading is not None and own is not None and own.record() != reading.record():
            warn_user(f"the corpus is read by its own {own}, not by {reading}")
        self._corpus, self._threads, self._memory_limit = split_documents(corpus, reading), threads, memory_limit
        self._reading = None if progress is None else progress.reading
        self._counting = None if progress is None else progress.counting
        self._first_reading: Ledger | None = None
        self._process_limit, self._executor = process_limit, executor

    @property
    def reading(self) -> Reading | None:
        """How the text is read, if known."""
        return as_corpus(self._corpus).reading

    def identity(self) -> dict[str, Any]:
        """Return the identity of the corpus; see `corpus_identity`."""
        return corpus_identity(self._corpus)

    def kept(
        self, file: CheckpointFile | None, how: Mapping[str, Any], count: Callable[[StoresFor], CountPair]
    ) -> CountPair:
        """Return the counts stored next to a checkpoint; if there are none, call `count` and store its counts.

        `how` holds the options of counting, as JSON values. `count` is called with a function that returns the stores.
        """
        in_stores = self._process_limit is not None
        if file is not None:
            source = {**how, "corpus": self.identity()}
            return CheckpointCounts(file.path).get(source, self.reading, count, in_stores=in_stores)
        return count(lambda vocabulary: (TemporaryFolder(), TemporaryFolder()) if in_stores else (None, None))

    def counts_of_new_model(self, options: SkipGramOptions, file: CheckpointFile | None) -> CountPair:
        """Return the counts to train a new model on, and held-out counts, after a check of the memory.

        Raises
        ------
        MemoryError
            If training needs more than is free.
        ValueError
            If the model has subwords, but no token is a word.
        """

        def count(stores: StoresFor) -> CountPair:
            vocabulary = self.vocabulary(options, options.max_size)
            pairing = options.pairing(len(vocabulary))
            least = options.estimate(len(vocabulary), pairing.columns(len(vocabulary)))
            replace(least, memory_limit=self._process_limit).check()
            if options.subwords:
                check_spelled(vocabulary.tokens)
            return self.split_counts(vocabulary, pairing, options, stores)

        return self.kept(file, options.counting, count)

    def counts_of_next_model(
        self, options: SkipGramOptions, file: CheckpointFile | None, base: FittedModel, grow_vocabulary: bool
    ) -> CountPair:
        """Return the counts to continue training a model, counted as its own were, and held-out counts."""
        pairing = base.pairing()

        def count(stores: StoresFor) -> CountPair:
            vocabulary = base.vocabulary
            if grow_vocabulary:
                vocabulary = vocabulary.grown(self.vocabulary(options), options.max_size)
            return self.split_counts(vocabulary, pairing, options, stores)

        how = options.counting | {"model": base.counts_sha256, "grow_vocabulary": grow_vocabulary}
        return self.kept(file, how, count)

    def vocabulary(self, options: SkipGramOptions, max_size: int | None = None) -> Vocabulary:
        """Return the words that `min_count`, `drop` and `keep_only` keep, or the most frequent of them."""
        words = Vocabulary.from_corpus(
            self._corpus,
            options.min_count,
            max_size,
            drop=options.drop,
            keep_only=options.keep_only,
            threads=self._threads,
            progress=self._reading,
            executor=self._executor,
        )
        self._first_reading = words.ledger
        return words

    def counts(
        self,
        vocabulary: Vocabulary,
        pairing: Windows | Baskets,
        lines: LineSplit | None = None,
        store: Folder | None = None,
    ) -> Counts | CountsStore:
        """Return the counts of all lines or of a share of them; in a store if one is given."""
        options: dict[str, Any] = asdict(pairing)
        if self._executor is not None:
            if isinstance(pairing, Baskets):
                raise ValueError("an executor counts windows, and no baskets")
            options["executor"] = self._executor
        count: Any = Counts.from_baskets if isinstance(pairing, Baskets) else Counts.from_corpus
        counts: Counts | CountsStore = count(
            self._corpus,
            vocabulary,
            **options,
            lines=lines,
            threads=self._threads,
            memory_limit=self._counting_memory(vocabulary),
            progress=self._counting,
            store=store,
        )
        if self._first_reading is not None and counts.ledger is not None and lines is None:
            check_reread(self._first_reading, counts.ledger)
        return counts

    def _counting_memory(self, vocabulary: Vocabulary) -> int | None:
        """Return the bytes for the text and the counts: the limit minus the rest of the process."""
        if self._process_limit is None:
            return self._memory_limit
        held = max(resident_memory(), PROCESS_BYTES) + TABLE_BYTES * len(vocabulary)
        reading = READING_BYTES * (1 + check_threads(self._threads))
        return max(self._process_limit - held - reading, LEAST)

    def split_counts(
        self, vocabulary: Vocabulary, pairing: Windows | Baskets, options: SkipGramOptions, stores: StoresFor
    ) -> CountPair:
        """Return the counts to train on, and with early stopping those of the held-out lines."""
        kept_in, held_out_in = stores(vocabulary)
        if not options.early_stopping:
            return self.counts(vocabulary, pairing, store=kept_in), None
        split = partial(LineSplit, options.validation_fraction, options.seed)
        held_out = self.counts(vocabulary, pairing, split(True), held_out_in)  # first: see `CheckpointCounts`
        return self.counts(vocabulary, pairing, split(False), kept_in), held_out


def counts_for(
    model: FittedModel, given: Documents | Counts | CountsStore, options: SkipGramOptions
) -> Counts | CountsStore:
    """Return counts with the rows and columns of a model: given counts, or those of a text or baskets."""
    if isinstance(given, Counts | CountsStore):
        return model.aligned(given)
    counter = CorpusCounter(given, options.threads, reading=model.reading_of(given, options.reading))
    return counter.counts(model.vocabulary, model.pairing())
