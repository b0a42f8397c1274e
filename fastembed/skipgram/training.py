"""`Training`: one run of training, from its start to the model."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import canonical_csr
from fastembed._base.memory import give_back_freed
from fastembed._base.threads import Pool, check_threads, in_background
from fastembed.corpus.ledger import HELD_OUT, Ledger
from fastembed.counts.counts import Counts, expected_in_place
from fastembed.counts.groups import CSRGroups, GroupedCounts, Totals
from fastembed.counts.store import CountsStore
from fastembed.skipgram.gauge import apply_gauge, apply_gauge_to_bags
from fastembed.skipgram.model import FittedModel
from fastembed.skipgram.start import fold_in, log_shares, svd_start
from fastembed.skipgram.subwords import LEARNING_RATE, Subwords, composed, ridge_fit
from fastembed.trainer.checkpoint import Checkpoint, CheckpointFile, arrays_digest, fit_identity
from fastembed.trainer.data import FitData, GivenData
from fastembed.trainer.file import trainer_tensors
from fastembed.trainer.fit import CountsFit
from fastembed.trainer.options import FitOptions
from fastembed.trainer.ranks import Ranks
from fastembed.trainer.trainer import Trainer, run_fit
from fastembed.vectors.vectors import composing_vectors

if TYPE_CHECKING:
    from fastembed.skipgram.skipgram import SkipGramOptions

# Factor on the learning rates on new text without replay: chosen for the likelihood of both (docs/decisions.md)
SHORTER_STEPS = 0.5


class Training:
    """Training of a new model, or further training of a model, on counts.

    A new model starts from the SVD of the counts, and is transformed into its gauge whenever it is exposed. Further
    training starts from a copy of the parameters of the base, and stays in the gauge of the base.

    Parameters
    ----------
    counts : Counts
        Counts with a vocabulary; in further training that of the base, or one grown from it.
    options : SkipGramOptions
    base : FittedModel, optional
        The model to continue.
    replay : Counts, optional
        Counts that the base was trained on before, to train on again; with the same rows and columns. Without them, the
        steps of further training are shorter.
    subwords : Subwords, optional
        The features that the words of the counts are composed of, as in the base; by default a row per word.
    own_counts : bool
        Whether the counts have no other user, so that their memory can be reused.
    checkpoint : CheckpointFile, optional
        If the file exists, training resumes from it.
    start_memory : int, optional
        Bytes for the positive PMI of counts in a store; beyond that it is in a temporary file.
    ranks : Ranks, optional
        The ranks that train a new model together. Rank 0 computes the start.
    """

    def __init__(
        self,
        counts: Counts | CountsStore,
        options: SkipGramOptions,
        base: FittedModel | None = None,
        replay: Counts | CountsStore | None = None,
        subwords: Subwords | None = None,
        *,
        own_counts: bool = False,
        checkpoint: CheckpointFile | None = None,
        start_memory: int | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        assert counts.vocabulary is not None
        self._counts, self._vocabulary, self._options, self._base = counts, counts.vocabulary, options, base
        self._start_memory = start_memory
        self._groups = _groups_of(counts, replay, own_counts=own_counts)
        self._shortened = SHORTER_STEPS if base is not None and replay is None else 1.0
        self._digest = in_background(self._groups.sha256)  # while the start is computed: hashing releases the GIL
        pool = Pool(check_threads(options.threads) if base is None else base.trainer.threads)
        self._totals = Totals.of(self._groups, pool)
        if isinstance(self._groups, CSRGroups):
            self._groups.totals = self._totals
        known = 0 if base is None else len(base.vocabulary)
        self._subwords = None if subwords is None else subwords.weighted(self._totals.rows, known)
        self._records: list[dict[str, float]] = []
        self._rng = np.random.default_rng(options.seed)
        self._checkpoint, self._ranks = checkpoint, ranks
        self._trainer = self._starting_trainer(pool)
        give_back_freed()  # the memory of the start: new arrays of other sizes would not reuse it

    def _starting_trainer(self, pool: Pool) -> Trainer:
        """Return the trainer that training starts or resumes with."""
        if self._ranks is not None and not self._ranks.first:
            return self._blank_trainer(pool)
        if self._checkpoint is not None and Path(self._checkpoint.path).exists():
            return self._stored_trainer(self._checkpoint, pool)
        return self._new_trainer(pool) if self._base is None else self._next_trainer(self._base, pool)

    def _stored_trainer(self, checkpoint: CheckpointFile, pool: Pool) -> Trainer:
        """Return a trainer for the parameters of a checkpoint, which training reads when it resumes.

        The trainer of a new model has the parameters already here, so that there is a model whenever a Ctrl-C comes.
        """
        identity = self._identity(FitData(self._groups))
        for name in ("bags", "validation_counts", "validation_bags"):  # not known yet
            del identity[name]
        stored = Checkpoint(checkpoint, identity).read((), self._options.epochs)
        if stored is None:
            raise FileNotFoundError(f"the checkpoint {checkpoint.path!r} has just been removed")
        self._records = list(stored.position.history)
        if self._base is not None:
            rows = self._groups.shape[0] - len(self._base.vocabulary)
            return self._trained_before(self._base).grown(np.zeros((rows, self._dim), np.float32))
        embedding, weights = np.array(stored.tensor("embedding")), stored.tensor("linear.T")
        bias = log_shares(self._totals.columns)
        return Trainer(embedding, weights[:, : self._dim].T, bias=bias, threads=pool.threads)

    @cached_property
    def _fit_options(self) -> FitOptions:
        """Return the options of the fit of the trainer."""
        options = self._options
        return FitOptions(
            epochs=options.epochs,
            learning_rate=(FitOptions.learning_rate if self._subwords is None else LEARNING_RATE) * self._shortened,
            linear_learning_rate=FitOptions.linear_learning_rate * self._shortened,
            n_iter_no_change=options.n_iter_no_change if options.early_stopping else None,
            warm_start=self._base is not None,
        )

    def _identity(self, data: FitData) -> dict[str, Any]:
        """Return the identity of this training, under the names that errors of a checkpoint use."""
        model = None if self._base is None else arrays_digest(trainer_tensors(self._trained_before(self._base)))
        lengths = None if self._subwords is None else self._subwords.lengths
        start = {"dim": self._dim, "subwords": lengths, "seed": self._options.seed, "model": model}
        return start | fit_identity(self._fit_options, self._digest.result(), data)

    @staticmethod
    def _trained_before(base: FittedModel) -> Trainer:
        """Return the trainer of a model to continue: with subwords that of the features, not of the words."""
        return base.trainer if base.features is None else base.features

    @property
    def _dim(self) -> int:
        return self._options.dim if self._base is None else self._base.vectors.matrix.shape[1]

    def _new_trainer(self, pool: Pool) -> Trainer:
        """Return a trainer that starts from the SVD; the same generator later draws the order of the rows."""
        embedding, linear = svd_start(
            self._groups, self._totals, self._options.dim, self._rng, pool, self._start_memory
        )
        if self._subwords is not None:
            embedding = ridge_fit(self._subwords.bags, embedding, pool)
        return Trainer(embedding, linear, bias=log_shares(self._totals.columns), threads=pool.threads)

    def _blank_trainer(self, pool: Pool) -> Trainer:
        """Return a trainer for the parameters of rank 0, which it receives when training starts."""
        (inputs, outputs), bias = self._groups.shape, log_shares(self._totals.columns)
        if self._subwords is not None:
            inputs = self._subwords.bags.shape[1]
        embedding, linear = np.zeros((inputs, self._dim), np.float32), np.zeros((self._dim, outputs), np.float32)
        return Trainer(embedding, linear, bias=bias, threads=pool.threads)

    def _next_trainer(self, base: FittedModel, pool: Pool) -> Trainer:
        """Return a copy of the trainer of a model, with rows for words that the model does not know."""
        if base.features is not None:  # the own rows of new words are zero: their vectors are those of their n-grams
            new_words = len(self._vocabulary) - len(base.vocabulary)
            return base.features.grown(np.zeros((new_words, self._dim), np.float32))
        rows = fold_in(self._groups, self._totals, len(base.vocabulary), base.trainer.linear, pool)
        return base.trainer.grown(rows - base.centre.astype(rows.dtype))

    def run(self, validation_counts: Any, on_epoch_end: Callable[[dict[str, float]], object]) -> None:
        """Train; `on_epoch_end` is called with the record of each epoch, and ends the training if it returns True."""

        def epoch_end(record: dict[str, float]) -> object:
            self._records[int(record["epoch"]) - 1 :] = [dict(record)]  # the callback may change it
            return on_epoch_end(record)

        bags = None if self._subwords is None else self._subwords.bags
        fit = CountsFit(
            GivenData(self._groups, bags, validation_counts=validation_counts),
            self._fit_options,
            self._rng,
            self._identity,
            on_epoch_end=epoch_end,
            file=self._checkpoint,
            ranks=self._ranks,
        )
        self._records = run_fit(self._trainer, fit)

    def _ledger(self) -> Ledger | None:
        """Return the ledger, including tokens dropped by the vocabulary of a new model and held-out tokens."""
        counted, chosen = self._counts.ledger, None if self._base else self._vocabulary.ledger
        if chosen is None or counted is None or HELD_OUT not in counted.dropped:
            return chosen or counted
        dropped = chosen.dropped | {HELD_OUT: counted.dropped[HELD_OUT]}
        return replace(chosen, tokens_used=counted.tokens_used, dropped=dropped)

    def model(self) -> FittedModel:
        """Return the current model.

        A new model is a copy in its gauge, since training continues outside the gauge; in further training the model
        shares the parameters.
        """
        base, vocabulary, counts = self._base, self._vocabulary, self._counts
        trainer = self._trainer if base is not None else deepcopy(self._trainer)
        centre = self._into_gauge(trainer) if base is None else base.centre
        features, composer = None, None
        if self._subwords is not None:
            features, composer = trainer, self._subwords.composer(trainer.embedding, centre)
            trainer = composed(features, self._subwords, centre)
        return FittedModel(
            vectors=composing_vectors(vocabulary.tokens, trainer.embedding, vocabulary.counts, composer),
            vocabulary=vocabulary,
            trainer=trainer,
            centre=centre,
            history=[dict(record) for record in (*(base.history if base else ()), *self._records)],
            ledger=self._ledger(),
            windows=counts.windows if base is None else base.windows,
            max_contexts=base.max_contexts if base else counts.shape[1] // (2 if counts.directed else 1),
            counts_sha256=[*(base.counts_sha256 if base else ()), self._digest.result()],
            baskets=counts.baskets if base is None else base.baskets,
            subwords=self._subwords,
            features=features,
        )

    def _into_gauge(self, trainer: Trainer) -> NDArray[np.float64]:
        """Transform the parameters of a new model into their gauge; return the centre."""
        embedding, linear, bias, pool = trainer.embedding, trainer.linear, trainer.bias, Pool(trainer.threads)
        assert bias is not None
        if self._subwords is None:
            return apply_gauge(embedding, linear, bias, self._totals, pool)
        return apply_gauge_to_bags(embedding, self._subwords.bags, linear, self._totals, pool)


def _groups_of(counts: Counts | CountsStore, replay: Counts | CountsStore | None, *, own_counts: bool) -> GroupedCounts:
    """Return the counts to train on in groups of rows; those of a store are not copied unless others are added."""
    if isinstance(counts, CountsStore) and replay is None:
        return counts
    matrix = expected_in_place(counts) if own_counts and isinstance(counts, Counts) else counts.to_scipy()
    if replay is not None:
        matrix = canonical_csr("counts", matrix + replay.to_scipy())
    return CSRGroups(matrix)
