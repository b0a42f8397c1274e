"""Training of a `SkipGram`, in the order of the data.

`counted` makes counts of a text (`data.py`). `started` makes the first parameters from the counts, or copies the
parameters of the model that is continued. `train` makes the epochs (`trainer/fit.py`). `finished` makes the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import canonical_csr
from fastembed._base.memory import give_back_freed, resident_memory
from fastembed._base.threads import Pool
from fastembed.counts.counts import Counts, tiled_counts
from fastembed.counts.folders import Memory
from fastembed.counts.store import GroupedCounts, grouped
from fastembed.formats.tensors import pack_tokens
from fastembed.skipgram.data import FitArguments, counted, joined_ledger
from fastembed.skipgram.estimate import COUNT_BYTES, Estimate, estimate_of
from fastembed.skipgram.gauge import apply_gauge
from fastembed.skipgram.model import FittedModel
from fastembed.skipgram.options import SkipGramOptions
from fastembed.skipgram.start import least_squares_rows, log_shares, svd_start
from fastembed.skipgram.subwords import LEARNING_RATE, Subwords, composed, ridge_fit
from fastembed.trainer.checkpoint import arrays_digest
from fastembed.trainer.data import FitData, FitOptions, check_data
from fastembed.trainer.fit import train
from fastembed.trainer.run import Record, Run
from fastembed.trainer.trainer import Trainer, parameters_of
from fastembed.vectors.vectors import Vectors, composing_vectors

# Factor on the learning rates on new text without replay: chosen for the likelihood of both (docs/design.md)
SHORTER_STEPS = 0.5
# Learning rates on baskets are at most the first, or the second per density of the counts if that is more. Where most
# pairs occur, they are close to chance, and the start is close to the optimum: the first steps of Adagrad, whose length
# is the rate, would go beyond it (docs/design.md)
DENSE_RATE, RATE_TIMES_DENSITY = 0.3, 0.1


def fitted(arguments: FitArguments, options: SkipGramOptions, run: Run) -> FittedModel:
    """Return the model of counts or of a corpus.

    Raises
    ------
    TypeError, ValueError, OSError, MemoryError
        As by `SkipGram.fit` and `SkipGram.partial_fit`.
    """
    counts, validation = counted(arguments, options, run)
    start = started(counts, validation, arguments, options, run)

    def show(history: list[Record]) -> None:
        run.show(None)  # frees the model of the last epoch before the next one is built
        run.show(finished(start, history, options, run.pool))

    history = train(parameters_of(start.trainer), start.data, start.fit_options, run, show)
    give_back_freed()  # the memory of the epochs, which the copies of the model would not reuse
    return finished(start, history, options, run.pool)


# ---------------------------------------------------------------- start


class Start(NamedTuple):
    """Where training starts.

    Attributes
    ----------
    base : FittedModel or None
        The model that is continued.
    counts : Counts
        The new counts, without the counts to replay.
    subwords : Subwords or None
        With the weights of the words of the counts.
    trainer : Trainer
        The first parameters: from the SVD of the counts, or a copy of the parameters of the base.
    data : FitData
        With the sum of the new counts and the counts to replay, and with the held-out counts.
    fit_options : FitOptions
    """

    base: FittedModel | None
    counts: Counts
    subwords: Subwords | None
    trainer: Trainer
    data: FitData
    fit_options: FitOptions


def started(
    counts: Counts, validation: Counts | None, arguments: FitArguments, options: SkipGramOptions, run: Run
) -> Start:
    """Return where training on counts starts. Of several ranks, the first alone computes new parameters.

    Raises
    ------
    TypeError, ValueError
        If the counts to replay do not go with the base.
    MemoryError
        If training needs more memory than is free.
    """
    assert counts.vocabulary is not None
    base, tokens = arguments.base, counts.vocabulary.tokens
    subwords = _subwords_for(tokens, base, options)
    give_back_freed()  # the memory of counting
    all_counts, estimate = _all_counts(counts, arguments, subwords, options, run)
    if subwords is not None:
        subwords = subwords.weighted(all_counts.totals.rows, 0 if base is None else len(base.vocabulary))
    bags = None if subwords is None else subwords.bags
    if run.progress is not None:
        run.progress.training(estimate)
    rng = np.random.default_rng(options.seed)
    trainer = _first_trainer(all_counts, bags, base, estimate, rng, run)
    data = check_data(parameters_of(trainer), all_counts, bags, run.pool)
    if validation is not None:
        held_out = check_data(parameters_of(trainer), validation, data.bags, run.pool, "validation_")
        data = replace(data, validation=held_out)
    if run.must_agree:
        data = replace(data, facts={"words": arrays_digest(pack_tokens(tokens))})
    give_back_freed()  # the memory of the start: new arrays of other sizes would not reuse it
    rates = _rates(counts, arguments, bags, all_counts)
    patience = options.n_iter_no_change if options.early_stopping else None
    fit_options = FitOptions(options.epochs, *rates, n_iter_no_change=patience, warm_start=base is not None, seed=rng)
    return Start(base, counts, subwords, trainer, data, fit_options)


def _subwords_for(tokens: Sequence[str], base: FittedModel | None, options: SkipGramOptions) -> Subwords | None:
    """Return the subwords of tokens: with the n-grams of the base, or with the n-grams that tokens share."""
    if base is not None:
        return None if base.subwords is None else base.subwords.grown(tokens)
    return Subwords.of(tokens, options.subwords) if isinstance(options.subwords, tuple) else None


def _all_counts(
    counts: Counts, arguments: FitArguments, subwords: Subwords | None, options: SkipGramOptions, run: Run
) -> tuple[GroupedCounts, Estimate]:
    """Return the sum of the counts and the counts to replay, and the estimate of training on it.

    Counts of a store go into memory if that keeps the limit. The sum with counts to replay is in memory.
    """
    tiled = tiled_counts(counts)
    if arguments.base is not None and arguments.replay is not None:
        replay = arguments.base.aligned(arguments.replay, counts.vocabulary, name="replay")
        tiled = grouped(canonical_csr("counts", counts.to_scipy() + replay.to_scipy()), run.pool.threads)
    nnz, largest = int(tiled.entries.sum()), 0 if tiled.in_memory else int(tiled.entries.max())
    estimate = estimate_of(options, *counts.shape, nnz, subwords, largest_group=largest, memory_limit=run.memory_limit)
    resident = resident_memory() - (int(COUNT_BYTES * nnz) if tiled.in_memory else 0)
    estimate = replace(estimate, shows=run.on_epoch_end is not None, resident=resident).in_memory_if_possible()
    estimate.check()
    if not estimate.counts_in_memory:
        return tiled.buffered(estimate.buffer_limit), estimate
    return tiled if tiled.in_memory else tiled.copied(Memory()), estimate


def _rates(counts: Counts, arguments: FitArguments, bags: Any, all_counts: GroupedCounts) -> tuple[float, float]:
    """Return the learning rates of the embedding and of the linear layer."""
    rates = [FitOptions.learning_rate if bags is None else LEARNING_RATE, FitOptions.linear_learning_rate]
    if (arguments.base or counts).baskets is not None:
        density = int(all_counts.entries.sum()) / math.prod(all_counts.shape)
        rates = [min(rate, max(DENSE_RATE, RATE_TIMES_DENSITY / density)) for rate in rates]
    if arguments.base is not None and arguments.replay is None:
        rates = [rate * SHORTER_STEPS for rate in rates]
    return rates[0], rates[1]


def _first_trainer(
    counts: GroupedCounts, bags: Any, base: FittedModel | None, estimate: Estimate, rng: np.random.Generator, run: Run
) -> Trainer:
    """Return the parameters that training starts from."""
    if base is not None:
        return (base.feature_trainer or base.trainer).grown(_new_rows(base, counts, run.pool))
    if run.ranks.first:
        embedding, linear = svd_start(counts, estimate.dim, rng, run.pool, estimate.pmi_limit)
        embedding = embedding if bags is None else ridge_fit(bags, embedding, run.pool)
    else:  # the parameters of the first rank replace these
        inputs = counts.shape[0] if bags is None else bags.shape[1]
        embedding = np.zeros((inputs, estimate.dim), np.float32)
        linear = np.zeros((estimate.dim, counts.shape[1]), np.float32)
    return Trainer(embedding, linear, bias=log_shares(counts.totals.columns), threads=run.pool.threads)


def _new_rows(base: FittedModel, counts: GroupedCounts, pool: Pool) -> NDArray[np.float32]:
    """Return rows of the embedding for the words that a model does not know.

    With subwords the rows are zero: the vector of a new word starts as the sum of its n-grams.
    """
    known = len(base.vocabulary)
    if base.feature_trainer is not None:
        return np.zeros((counts.shape[0] - known, base.vectors.matrix.shape[1]), np.float32)
    rows = least_squares_rows(counts, known, base.trainer.linear, pool)
    return rows - base.centre.astype(rows.dtype)


# ---------------------------------------------------------------- the model


def finished(start: Start, history: list[Record], options: SkipGramOptions, pool: Pool) -> FittedModel:
    """Return the model of the current parameters.

    A new model is a copy in its gauge, since training continues outside the gauge. In further training the parameters
    stay in the gauge of the base, and the model shares them.
    """
    base, counts, subwords, trainer, data, _ = start
    vocabulary = counts.vocabulary
    assert vocabulary is not None
    if base is None:
        trainer = deepcopy(trainer)
        assert trainer.bias is not None
        gauged = trainer.embedding, trainer.linear, trainer.bias
        centre = apply_gauge(*gauged, data.counts.totals, pool, None if subwords is None else subwords.bags)
    else:
        centre = base.centre
    feature_trainer, composer = None, None
    if subwords is not None:
        feature_trainer, composer = trainer, subwords.composer(trainer.embedding, centre)
        trainer = composed(feature_trainer, subwords, centre)
    return FittedModel(
        options=options,
        vectors=composing_vectors(Vectors, vocabulary.tokens, trainer.embedding, vocabulary.counts, composer),
        vocabulary=vocabulary,
        trainer=trainer,
        centre=centre,
        history=[*(base.history if base else ()), *map(dict, history)],
        ledger=counts.ledger if base else joined_ledger(vocabulary.ledger, counts.ledger),
        windows=(base or counts).windows,
        max_contexts=base.max_contexts if base else counts.shape[1] // (2 if counts.directed else 1),
        counts_sha256=[*(base.counts_sha256 if base else ()), data.counts.sha256()],
        baskets=(base or counts).baskets,
        subwords=subwords,
        feature_trainer=feature_trainer,
    )
