"""One run of training: from a text or counts, over its start and the epochs, to the fitted model.

`SkipGram.fit` and `partial_fit` take these steps, with `base` None for a new model:

    count_text, or check_given    the counts to train on, and those of held-out lines
    Training(counts, ...)         the start: from their SVD, or from the parameters of the base
    Training.run                  the epochs
    Training.model                the model, after each epoch or in the end
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import canonical_csr
from fastembed._base.memory import give_back_freed, resident_memory
from fastembed._base.progress import FitProgress, bar
from fastembed._base.threads import Pool, check_threads
from fastembed.corpus.corpus import Source, as_corpus
from fastembed.corpus.ledger import HELD_OUT, Ledger, LineSplit, check_reread, check_walks
from fastembed.counts.counts import Counts, groups_of
from fastembed.counts.store import GroupedCounts, grouped
from fastembed.counts.windows import Windows
from fastembed.formats.tensors import pack_tokens
from fastembed.skipgram.estimate import check_before_counting, counting_memory, estimate_of
from fastembed.skipgram.model import FittedModel, how_counted
from fastembed.skipgram.options import Baskets, SkipGramOptions
from fastembed.skipgram.start import apply_gauge, least_squares_rows, log_shares, svd_start
from fastembed.skipgram.subwords import LEARNING_RATE, Subwords, composed, ridge_fit
from fastembed.trainer.blocks import FitOptions
from fastembed.trainer.checkpoint import arrays_digest
from fastembed.trainer.fit import check_counts
from fastembed.trainer.ranks import Ranks
from fastembed.trainer.trainer import Trainer, records_of
from fastembed.vectors.vectors import Vectors, composing_vectors
from fastembed.vocabulary import NoTokenError

# Factor on the learning rates on new text without replay: chosen for the likelihood of both (docs/design.md)
SHORTER_STEPS = 0.5
# Learning rates on baskets are at most the first, or the second per density of the counts if that is more. Where most
# pairs occur, they are close to chance, and the start is close to the optimum: the first steps of Adagrad, whose length
# is the rate, would go beyond it (docs/design.md)
DENSE_RATE, RATE_TIMES_DENSITY = 0.3, 0.1

CountPair: TypeAlias = tuple[Counts, Counts | None]  # counts to train on, and held-out counts


# ---------------------------------------------------------------- data


def check_given(
    counts: Counts, validation: Counts | None, options: SkipGramOptions, base: FittedModel | None, *, grow: bool
) -> CountPair:
    """Return given counts, and those for the nll after each epoch, as they are trained on.

    Those for further training of `base` get its rows and columns; with `grow`, rows of their new tokens, too.

    Raises
    ------
    TypeError, ValueError
        If they cannot be trained on, or do not go with the base.
    """
    if options.early_stopping and validation is None:
        raise ValueError("early_stopping needs validation_counts: counts have no lines to hold out")
    if base is not None:
        vocabulary = base.vocabulary
        if grow and counts.vocabulary is not None:
            vocabulary = vocabulary.grown(counts.vocabulary, options.max_size)
        if validation is not None:
            validation = base.aligned(validation, vocabulary, name="validation_counts")
        return base.aligned(counts, vocabulary), validation
    if counts.vocabulary is None:
        raise ValueError("these counts have no tokens: count with a Vocabulary, or use Trainer")
    check_counts(counts, counts.shape)
    if validation is not None:
        check_counts(validation, counts.shape, "validation_counts")
        own, theirs = map(how_counted, (counts, validation))
        if own != theirs:
            raise ValueError(f"validation_counts are those of {theirs}, but counts are those of {own}")
        check_walks(counts.ledger, validation.ledger)
        if validation.vocabulary and validation.vocabulary.tokens != counts.vocabulary.tokens:
            raise ValueError("validation_counts have other tokens than counts: use one Vocabulary")
    return counts, validation


def count_text(
    given: Source,
    options: SkipGramOptions,
    base: FittedModel | None,
    *,
    grow: bool,
    memory_limit: int | None,
    progress: FitProgress | None,
) -> CountPair:
    """Return the counts of a text to train on, and with early stopping those of its held-out lines.

    Before a text is counted for a new model, there is a check of the memory.

    Raises
    ------
    TypeError, ValueError, OSError, MemoryError
        As by `SkipGram.fit`.
    """
    corpus = as_corpus(given, options.reading if base is None else base.reading_of(given, options.reading))
    if memory_limit is not None:  # a limit that is too small is an error before anything is read
        counting_memory(memory_limit, 0, options.threads)
    words, written = None, 0
    if base is None:
        words = vocabulary = options.vocabulary(corpus, options.max_size, progress)
        pairing = options.pairing(len(words))
        least = estimate_of(options, len(words), pairing.columns(len(words)))
        written = check_before_counting(replace(least, memory_limit=memory_limit), words.counts, pairing)
    else:
        vocabulary, pairing = base.vocabulary, base.pairing()
        if grow:
            with suppress(NoTokenError):  # then there are no words to add
                words = options.vocabulary(corpus, None, progress)
                vocabulary = vocabulary.grown(words, options.max_size)
    count = partial(
        counting(pairing),
        corpus,
        vocabulary,
        threads=options.threads,
        memory_limit=memory_limit and counting_memory(memory_limit, len(vocabulary), options.threads, written),
        progress=None if progress is None else progress.counting,
    )
    if options.early_stopping:
        held_out, others = (LineSplit(options.validation_fraction, options.seed, side) for side in (True, False))
        validation, counts = count(lines=held_out), count(lines=others)
    else:
        counts, validation = count(), None
    first = words or validation
    for again in (validation, counts):
        if first is not None and again is not None:
            check_reread(first.ledger, again.ledger)
    return counts, validation


# ---------------------------------------------------------------- training


class Training:
    """Training on counts: the constructor makes its start, `run` the epochs, and `model` the model at any time.

    A new model starts from the SVD of the counts, and is transformed into its gauge whenever it is exposed. Further
    training starts from a copy of the parameters of the base, and stays in the gauge of the base.

    Parameters
    ----------
    counts, validation : Counts, Counts or None
        From `check_given` or `count_text`.
    base : FittedModel or None
        The model to continue.
    replay : Counts or None
        Counts to train on together with the others, for a base.
    shows : bool
        Whether a model is built after each epoch.
    memory_limit : int or None
        Limit on the memory of the process in bytes.
    ranks : Ranks
        Those that train a new model together. Rank 0 computes the start.

    Raises
    ------
    TypeError, ValueError
        If `replay` does not go with the base.
    MemoryError
        If training needs more memory than is free.
    """

    def __init__(
        self,
        counts: Counts,
        validation: Counts | None,
        options: SkipGramOptions,
        base: FittedModel | None,
        *,
        replay: Counts | None,
        shows: bool,
        memory_limit: int | None,
        progress: FitProgress | None,
        ranks: Ranks,
    ) -> None:
        assert counts.vocabulary is not None
        self._options, self._base, self._vocabulary, self._validation = options, base, counts.vocabulary, validation
        self._progress, self._ranks = progress, ranks
        tokens, lengths = self._vocabulary.tokens, options.subwords
        if base is not None:
            subwords = None if base.subwords is None else base.subwords.grown(tokens)
        else:
            subwords = None if isinstance(lengths, bool) else Subwords.of(tokens, lengths)
        give_back_freed()  # the memory of counting

        nnz, groups = counts.nnz, groups_of(counts)
        largest = 0 if groups.in_memory else int(groups.entries.max())
        if base is not None and replay is not None:  # the sum of both is in memory
            replay = base.aligned(replay, self._vocabulary, name="replay")
            nnz, largest = nnz + replay.nnz, 0  # nnz: an upper bound
        estimate = replace(
            estimate_of(options, *counts.shape, nnz, subwords),
            shows=shows,
            largest_group=largest,
            memory_limit=memory_limit,
            resident=resident_memory(),
        )
        self._counts = counts

        with ranks.agreeing():
            estimate.check()
            self._groups: GroupedCounts = groups.buffered(estimate.buffer_memory)
            if replay is not None:
                self._groups = grouped(canonical_csr("counts", counts.to_scipy() + replay.to_scipy()))
            self._pool = Pool(check_threads(options.threads) if base is None else base.trainer.threads)
            self._totals = self._groups.totals
            self._subwords, self._bags = subwords, None
            if subwords is not None:
                known = 0 if base is None else len(base.vocabulary)
                self._subwords = subwords.weighted(self._totals.rows, known)
                self._bags = self._subwords.bags
            self._fit_options = self._options_of_fit(shorter=base is not None and replay is None)
            self._rng = np.random.default_rng(options.seed)  # later it draws the order of the rows
            if progress is not None:
                progress.training(estimate)
            if base is None:
                # Counts in a store limit what the start holds of them
                self._trainer = self._new_trainer(estimate.start_memory if largest else None)
            else:
                self._trainer = (base.features or base.trainer).grown(self._new_rows(base))
        give_back_freed()  # the memory of the start: new arrays of other sizes would not reuse it

    def _options_of_fit(self, *, shorter: bool) -> FitOptions:
        """Return the options of `Trainer.fit_counts`; `shorter` says that new text is trained on without the old."""
        options = self._options
        rates = [FitOptions.learning_rate if self._subwords is None else LEARNING_RATE, FitOptions.linear_learning_rate]
        if (self._base or self._counts).baskets is not None:
            density = int(self._groups.entries.sum()) / math.prod(self._groups.shape)
            rates = [min(rate, max(DENSE_RATE, RATE_TIMES_DENSITY / density)) for rate in rates]
        if shorter:
            rates = [rate * SHORTER_STEPS for rate in rates]
        return FitOptions(
            epochs=options.epochs,
            learning_rate=rates[0],
            linear_learning_rate=rates[1],
            n_iter_no_change=options.n_iter_no_change if options.early_stopping else None,
            warm_start=self._base is not None,
        )

    def _new_trainer(self, memory: int | None) -> Trainer:
        """Return the trainer that a new model starts from, with the parameters of the SVD.

        Other ranks than 0 receive all parameters when training starts.
        """
        groups, bags, dim = self._groups, self._bags, self._options.dim
        if not self._ranks.first:
            inputs, outputs = groups.shape[0] if bags is None else bags.shape[1], groups.shape[1]
            embedding, linear = np.zeros((inputs, dim), np.float32), np.zeros((dim, outputs), np.float32)
        else:
            embedding, linear = svd_start(groups, self._totals, dim, self._rng, self._pool, memory)
            embedding = embedding if bags is None else ridge_fit(bags, embedding, self._pool)
        return Trainer(embedding, linear, bias=log_shares(self._totals.columns), threads=self._pool.threads)

    def _new_rows(self, base: FittedModel) -> NDArray[np.float32]:
        """Return rows of the embedding for the words that a model does not know.

        Own rows of new words beside n-grams are zero: their vectors are those of their n-grams.
        """
        known = len(base.vocabulary)
        if base.features is not None:
            return np.zeros((len(self._vocabulary) - known, self._options.dim), np.float32)
        rows = least_squares_rows(self._groups, self._totals, known, base.trainer.linear, self._pool)
        return rows - base.centre.astype(rows.dtype)

    def run(
        self, on_epoch_end: Callable[[dict[str, float]], object] | None, checkpoint: str | os.PathLike[str] | None
    ) -> None:
        """Train; `on_epoch_end` is called with the record of each epoch, and ends the training if it returns True."""

        def epoch_end(record: dict[str, float]) -> object:
            if self._progress is not None:
                self._progress.epoch(record)
            return None if on_epoch_end is None else on_epoch_end(record)

        if self._ranks.size > 1:  # before the counts are compared, whose rows would have other words
            self._ranks.compare({"words": arrays_digest(pack_tokens(self._vocabulary.tokens))})
        self._trainer.fit_counts(
            self._groups,
            bags=self._bags,
            validation_counts=self._validation,
            seed=self._rng,
            on_epoch_end=epoch_end,
            checkpoint=checkpoint,
            comm=self._ranks.comm,
            **asdict(self._fit_options),
        )
        give_back_freed()  # the memory of the epochs, which the copies of the model would not reuse

    @property
    def records(self) -> list[dict[str, float]]:
        """The records of the epochs of this training, as far as it has come."""
        return records_of(self._trainer)

    def model(self) -> FittedModel:
        """Return the current model.

        A new model is a copy in its gauge, since training continues outside the gauge; in further training the model
        shares the parameters.
        """
        base, vocabulary, counts, subwords = self._base, self._vocabulary, self._counts, self._subwords
        if base is None:
            trainer = deepcopy(self._trainer)
            assert trainer.bias is not None
            gauged = trainer.embedding, trainer.linear, trainer.bias
            centre = apply_gauge(*gauged, self._totals, self._pool, self._bags)
        else:
            trainer, centre = self._trainer, base.centre
        features, composer = None, None
        if subwords is not None:
            features, composer = trainer, subwords.composer(trainer.embedding, centre)
            trainer = composed(features, subwords, centre)
        counted = base or counts  # whose windows or baskets are those of the model
        return FittedModel(
            options=self._options,
            vectors=composing_vectors(Vectors, vocabulary.tokens, trainer.embedding, vocabulary.counts, composer),
            vocabulary=vocabulary,
            trainer=trainer,
            centre=centre,
            history=list(map(dict, (*(base.history if base else ()), *self.records))),
            ledger=counts.ledger if base else joined_ledger(vocabulary.ledger, counts.ledger),
            windows=counted.windows,
            max_contexts=base.max_contexts if base else counts.shape[1] // (2 if counts.directed else 1),
            counts_sha256=[*(base.counts_sha256 if base else ()), self._groups.sha256()],
            baskets=counted.baskets,
            subwords=subwords,
            features=features,
        )


def joined_ledger(words: Ledger | None, counted: Ledger | None) -> Ledger | None:
    """Return the ledger of a vocabulary, with what only that of the counts tells: the unit, and what was held out."""
    if words is None or counted is None:
        return words or counted
    ledger = replace(words, unit=counted.unit)
    if HELD_OUT in counted.dropped:
        dropped = words.dropped | {HELD_OUT: counted.dropped[HELD_OUT]}
        ledger = replace(ledger, tokens_used=counted.tokens_used, dropped=dropped)
    return ledger


# ---------------------------------------------------------------- counting


def counting(pairing: Windows | Baskets) -> Callable[..., Counts]:
    """Return the function that counts a text in windows or baskets: of `Counts`, with the options of these."""
    count = Counts.from_baskets if isinstance(pairing, Baskets) else Counts.from_corpus
    return partial(count, **asdict(pairing))


def count_all(
    given: Source, options: SkipGramOptions, progress: FitProgress | None, executor: Executor | None, **how: Any
) -> Counts:
    """Return the counts of all lines of a text, as `SkipGram.count` documents it; `how` is for `Counts` alone."""
    if executor is not None and options.baskets is not None:
        raise ValueError("an executor counts windows, and no baskets")
    corpus = as_corpus(given, options.reading)
    words = options.vocabulary(corpus, options.max_size, progress, executor)
    how |= {"threads": options.threads, "progress": None if progress is None else progress.counting}
    if executor is not None:
        how["executor"] = executor
    counts = counting(options.pairing(len(words)))(corpus, words, **how)
    check_reread(words.ledger, counts.ledger)
    return counts


def counts_for(model: FittedModel, given: Source | Counts, options: SkipGramOptions) -> Counts:
    """Return counts with the rows and columns of a model: given counts, or those of a text or baskets."""
    if isinstance(given, Counts):
        return model.aligned(given)
    corpus = as_corpus(given, model.reading_of(given, options.reading))
    with bar(desc="counting") as shown:

        def report(done: int, total: int | None) -> None:
            shown.total = total
            shown.update(done - shown.n)

        return counting(model.pairing())(corpus, model.vocabulary, threads=options.threads, progress=report)
