"""What a `SkipGram` learns from: counts, given or counted in a text."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from scipy.sparse import issparse

from fastembed.corpus.corpus import Corpus, Source, as_corpus
from fastembed.corpus.ledger import HELD_OUT, Ledger, LineSplit, check_reread
from fastembed.counts.counts import Counts
from fastembed.skipgram.estimate import WRITTEN_BYTES, counting_memory, estimate_of, with_fewest_counts
from fastembed.skipgram.model import FittedModel, check_counted_alike
from fastembed.skipgram.options import Baskets, Pairing, SkipGramOptions
from fastembed.trainer.data import check_counts
from fastembed.trainer.progress import FitProgress
from fastembed.trainer.run import Run
from fastembed.vocabulary import NoTokenError, Vocabulary

CountPair: TypeAlias = tuple[Counts, Counts | None]  # counts to train on, and held-out counts


class FitArguments(NamedTuple):
    """The arguments of `SkipGram.fit` or `SkipGram.partial_fit` that say what to learn from.

    Attributes
    ----------
    corpus : corpus or Counts
    field : str, int or None
        The field of the texts.
    validation_counts : Counts or None
    base : FittedModel or None
        The model to continue.
    grow : bool
        Whether the vocabulary of the base gets new words.
    replay : Counts or None
        For a base: earlier counts to train on together with the new counts.
    """

    corpus: Source | Counts
    field: str | int | None
    validation_counts: Counts | None
    base: FittedModel | None = None
    grow: bool = False
    replay: Counts | None = None


def counted(arguments: FitArguments, options: SkipGramOptions, run: Run) -> CountPair:
    """Return the counts to train on, and the held-out counts for the nll after each epoch.

    Raises
    ------
    TypeError, ValueError, OSError, MemoryError
        As by `SkipGram.fit` and `SkipGram.partial_fit`.
    """
    if arguments.base is not None:
        arguments.base.check_same_shape(options)
    if isinstance(arguments.corpus, Counts) and arguments.field is None:
        return _aligned(arguments.corpus, arguments, options)
    _check_text(arguments, run)
    return _counted_text(arguments, options, run)


def _check_text(arguments: FitArguments, run: Run) -> None:
    """Raise TypeError or ValueError if the corpus is no text, or if the call needs counts."""
    if issparse(arguments.corpus):
        raise TypeError("a sparse matrix has no tokens: make counts by Counts.from_scipy(matrix, tokens=...)")
    if arguments.validation_counts is not None:
        raise ValueError("validation_counts need counts; for a text, early_stopping=True holds out lines")
    if run.ranks.comm is not None:
        raise ValueError("comm needs counts, got a text: count it first, by SkipGram.count")


def _aligned(counts: Counts, arguments: FitArguments, options: SkipGramOptions) -> CountPair:
    """Return counts and the held-out counts, with the rows and columns of the base.

    Raises
    ------
    TypeError, ValueError
        If counts cannot be trained on, or differ from the base in how they were counted.
    """
    base, validation = arguments.base, arguments.validation_counts
    if options.early_stopping and validation is None:
        raise ValueError("early_stopping needs validation_counts: counts have no lines to hold out")
    if base is not None:
        vocabulary = base.vocabulary
        if arguments.grow and counts.vocabulary is not None:
            vocabulary = vocabulary.grown(counts.vocabulary, options.max_size)
        if validation is not None:
            validation = base.aligned(validation, vocabulary, name="validation_counts")
        return base.aligned(counts, vocabulary), validation
    if counts.vocabulary is None:
        raise ValueError("these counts have no tokens: count with a Vocabulary, or use Trainer")
    check_counts(counts, counts.shape)
    if validation is not None:
        check_counts(validation, counts.shape, "validation_counts")
        check_counted_alike("validation_counts", validation, "counts", counts)
        if validation.vocabulary and validation.vocabulary.tokens != counts.vocabulary.tokens:
            raise ValueError("validation_counts must have the tokens of counts: count both with one Vocabulary")
    return counts, validation


def _counted_text(arguments: FitArguments, options: SkipGramOptions, run: Run) -> CountPair:
    """Return the counts of a text to train on, and with early stopping the counts of its held-out lines.

    The text is read for the vocabulary of a new or growing model, then for the counts, and with early stopping once
    more for the counts of the other lines. The memory that training needs is checked before counting.
    """
    corpus = corpus_for(arguments.corpus, arguments.field, options, arguments.base)
    if run.memory_limit is not None:  # raises MemoryError for a limit that is too small, before the text is read
        counting_memory(run.memory_limit, 0, options.threads)
    vocabulary, pairing, ledger = _vocabulary(corpus, arguments, options, run.progress)
    memory = _memory_for_counts(vocabulary, pairing, arguments, options, run)
    count = partial(count_text, corpus, vocabulary, pairing, options, run.progress, memory_limit=memory)
    if options.early_stopping:
        held_out, rest = (LineSplit(options.validation_fraction, options.seed, side) for side in (True, False))
        validation, counts = count(lines=held_out), count(lines=rest)
        check_reread(validation.ledger, counts.ledger)
    else:
        counts, validation = count(), None
    check_reread(ledger, counts.ledger)
    return counts, validation


def _vocabulary(
    corpus: Corpus, arguments: FitArguments, options: SkipGramOptions, progress: FitProgress | None
) -> tuple[Vocabulary, Pairing, Ledger | None]:
    """Return the words to count, in which windows or baskets, and the ledger of the text if it has been read."""
    base = arguments.base
    if base is None:
        vocabulary = vocabulary_of(corpus, options, progress, max_size=options.max_size)
        return vocabulary, options.pairing(len(vocabulary)), vocabulary.ledger
    base.check_same_windows(options)
    vocabulary, pairing, ledger = base.vocabulary, base.pairing(), None
    if arguments.grow:
        with suppress(NoTokenError):  # a text without words adds none
            words = vocabulary_of(corpus, options, progress)
            vocabulary, ledger = vocabulary.grown(words, options.max_size), words.ledger
    return vocabulary, pairing, ledger


def _memory_for_counts(
    vocabulary: Vocabulary, pairing: Pairing, arguments: FitArguments, options: SkipGramOptions, run: Run
) -> int | None:
    """Return how many bytes counts may take, None without a limit; raise MemoryError if training needs too many."""
    size, base, memory_limit = len(vocabulary), arguments.base, run.memory_limit
    subwords = None if base is None else base.subwords
    estimate = estimate_of(options, size, pairing.columns(size), 0, subwords, memory_limit=memory_limit)
    if base is None:  # whose counts have no number yet: assume the fewest that the text can be expected to have
        estimate = with_fewest_counts(estimate, vocabulary.counts, pairing)
    estimate.in_memory_if_possible().check()
    writing_memory = WRITTEN_BYTES * estimate.largest_group
    return memory_limit and counting_memory(memory_limit, size, options.threads, writing_memory)


def corpus_for(
    text: Any, field: str | int | None, options: SkipGramOptions, model: FittedModel | None = None
) -> Corpus:
    """Return a text as a corpus, read as the options say, or by default as the text of the model."""
    return as_corpus(text, options.reading if model is None else model.reading_of(text, options.reading), field)


def joined_ledger(words: Ledger | None, pairs: Ledger | None) -> Ledger | None:
    """Return the ledger of a vocabulary, with the unit and the held-out tokens of the ledger of the counts."""
    if words is None or pairs is None:
        return words or pairs
    ledger = replace(words, unit=pairs.unit)
    if HELD_OUT in pairs.dropped:
        dropped = words.dropped | {HELD_OUT: pairs.dropped[HELD_OUT]}
        ledger = replace(ledger, tokens_used=pairs.tokens_used, dropped=dropped)
    return ledger


def vocabulary_of(corpus: Corpus, options: SkipGramOptions, progress: FitProgress | None, **how: Any) -> Vocabulary:
    """Return the vocabulary of a corpus; `how` is passed to `Vocabulary.from_corpus`."""
    how |= {name: getattr(options, name) for name in ("min_count", "drop", "keep_only", "threads")}
    return Vocabulary.from_corpus(corpus, progress=None if progress is None else progress.reading, **how)


def count_text(
    corpus: Corpus,
    vocabulary: Vocabulary,
    pairing: Pairing,
    options: SkipGramOptions,
    progress: FitProgress | None,
    **how: Any,
) -> Counts:
    """Return the counts of a corpus in windows or in baskets; `how` is passed to `Counts`."""
    count = Counts.from_baskets if isinstance(pairing, Baskets) else Counts.from_corpus
    how |= {"threads": options.threads, "progress": None if progress is None else progress.counting}
    return count(corpus, vocabulary, **asdict(pairing), **how)
