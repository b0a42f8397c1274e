"""One run of training: from a text or counts, over its start and the epochs, to the fitted model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.sparse import issparse

from fastembed._base.arrays import canonical_csr
from fastembed._base.memory import LEAST, give_back_freed, resident_memory
from fastembed._base.threads import Pool, awaited, check_threads, in_background
from fastembed._base.validation import check_flag, shown, warn_user
from fastembed.corpus.corpus import DocumentCorpus, FileCorpus, Source, as_corpus, check_same_corpus, corpus_identity
from fastembed.corpus.ledger import HELD_OUT, Ledger, LineSplit, check_reread
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts, grouped_counts, own_groups
from fastembed.counts.groups import CSRGroups, GroupedCounts, Totals
from fastembed.counts.store import MANIFEST, LocalFolder, StoreFolder, TemporaryFolder, check_no_others, read_manifest
from fastembed.counts.windows import Windows
from fastembed.skipgram.estimate import PROCESS_BYTES, Estimate
from fastembed.skipgram.gauge import apply_gauge
from fastembed.skipgram.model import Baskets, FittedModel
from fastembed.skipgram.progress import FitProgress
from fastembed.skipgram.start import fold_in, log_shares, svd_start
from fastembed.skipgram.subwords import LEARNING_RATE, Subwords, check_spelled, composed, ridge_fit
from fastembed.trainer.checkpoint import Checkpoint, Stored, arrays_digest
from fastembed.trainer.inputs import FitOptions
from fastembed.trainer.ranks import Ranks
from fastembed.trainer.trainer import Trainer, trainer_tensors
from fastembed.vectors.vectors import composing_vectors
from fastembed.vocabulary import Vocabulary

if TYPE_CHECKING:
    from fastembed.skipgram.skipgram import SkipGramOptions

# Factor on the learning rates on new text without replay: chosen for the likelihood of both (docs/decisions.md)
SHORTER_STEPS = 0.5
READING_BYTES = 20_000_000  # bytes of buffers and text per thread, while a text is counted
TABLE_BYTES = 60  # bytes per word in the table that encodes text

CountPair: TypeAlias = tuple[Counts, Counts | None]  # counts to train on, and held-out counts


class Training:
    """One call of `SkipGram.fit` or `SkipGram.partial_fit`: `take` its data, `start`, `run`, and there is a `model`.

    A new model starts from the SVD of the counts, and is transformed into its gauge whenever it is exposed. Further
    training starts from a copy of the parameters of the base, and stays in the gauge of the base.

    Parameters
    ----------
    options : SkipGramOptions
    base : FittedModel, optional
        The model to continue.
    memory_limit : int, optional
        Limit on the memory of the process in bytes.
    progress : FitProgress, optional
    checkpoint : Checkpoint, optional
        If the file exists, training resumes from it.
    ranks : Ranks, optional
        The ranks that train a new model together. Rank 0 computes the start.

    Attributes
    ----------
    started : bool
        Whether there is a `model`.
    """

    def __init__(
        self,
        options: SkipGramOptions,
        base: FittedModel | None,
        memory_limit: int | None,
        progress: FitProgress | None,
        checkpoint: Checkpoint | None,
        ranks: Ranks | None,
    ) -> None:
        self._options, self._base, self._memory_limit, self._progress = options, base, memory_limit, progress
        self._checkpoint, self._ranks = checkpoint, ranks
        self.started = False

    # ---------------------------------------------------------------- data

    def take(
        self,
        corpus: Source | Counts,
        validation_counts: Counts | None,
        replay: Counts | None = None,
        *,
        grow_vocabulary: bool = False,
    ) -> None:
        """Take given counts, or those of a text; the arguments are those of `SkipGram.partial_fit`.

        Raises
        ------
        TypeError, ValueError
            If the data are not as documented, or do not go with the base.
        """
        base = self._base
        check_flag("grow_vocabulary", grow_vocabulary)
        if base is not None:
            base.check_same_shape(self._options)
            if replay is not None:
                base.check_alike(replay, "replay")
        elif replay is not None:
            raise ValueError("there is nothing to replay: this SkipGram has not been fitted yet")
        # Whether the counts have no other user, so that their memory can be reused
        self._own = replay is None and not isinstance(corpus, Counts)
        if isinstance(corpus, Counts):
            given = corpus
            with nullcontext() if self._ranks is None else self._ranks.agreeing():
                self._check(given, validation_counts)
            self._counts, self._validation = given, validation_counts
            if base is not None:
                vocabulary = base.vocabulary
                if grow_vocabulary and given.vocabulary is not None:
                    vocabulary = vocabulary.grown(given.vocabulary, self._options.max_size)
                if validation_counts is not None:
                    self._validation = base.aligned(validation_counts, vocabulary, name="validation_counts")
                self._counts = base.aligned(given, vocabulary)
        else:
            if issparse(corpus):
                raise TypeError(
                    "a sparse matrix has no tokens: make counts of it by Counts.from_scipy(matrix, tokens=...)"
                )
            if validation_counts is not None:
                raise ValueError("validation_counts go with counts; of a corpus, early_stopping holds out lines")
            self._counts, self._validation = self._counted(corpus, grow_vocabulary=grow_vocabulary)
        assert self._counts.vocabulary is not None
        self._vocabulary = self._counts.vocabulary
        self._replay = None
        if replay is not None and base is not None:
            self._replay = base.aligned(replay, self._vocabulary, name="replay")

    def _check(self, counts: Counts, validation_counts: object) -> None:
        """Raise TypeError or ValueError if counts cannot be trained on."""
        if self._options.early_stopping and validation_counts is None:
            raise ValueError("early_stopping needs validation_counts beside counts, which have no lines to hold out")
        if self._base is not None:  # whose vocabulary they will have
            return
        if counts.vocabulary is None:
            raise ValueError("these counts have no tokens to name the vectors: count with a Vocabulary, or use Trainer")
        grouped_counts(counts, counts.shape)
        if validation_counts is not None:
            grouped_counts(validation_counts, counts.shape, "validation_counts")

    def _counted(self, given: Source, *, grow_vocabulary: bool) -> CountPair:
        """Return the counts of a text to train on, and with early stopping those of the held-out lines.

        With a checkpoint they are stored next to it, and are not counted again. Before a text is counted for a new
        model, there is a check of the memory, and of the words if it has subwords.
        """
        base, options, limit, how = self._base, self._options, self._memory_limit, self._options.counting
        reading = options.reading if base is None else base.reading_of(given, options.reading)
        corpus = as_read(given, reading)

        def count(store: StoreFolder | None, held_out_store: StoreFolder | None) -> CountPair:
            first_reading = None
            if base is None or grow_vocabulary:
                words = find_vocabulary(corpus, options, options.max_size if base is None else None, self._progress)
                first_reading = words.ledger
            if base is None:
                vocabulary, pairing = words, options.pairing(len(words))
                least = options.estimate(len(words), pairing.columns(len(words)))
                replace(least, memory_limit=limit).check()
                if options.subwords:
                    check_spelled(words.tokens)
            else:
                vocabulary, pairing = base.vocabulary, base.pairing()
                if grow_vocabulary:
                    vocabulary = vocabulary.grown(words, options.max_size)

            def counts(lines: LineSplit | None, store: StoreFolder | None) -> Counts:
                memory = None if limit is None else counting_memory(limit, len(vocabulary), options.threads)
                return count_pairs(
                    corpus, vocabulary, pairing, options.threads, memory, self._progress, first_reading, lines, store
                )

            if not options.early_stopping:
                return counts(None, store), None
            split = options.validation_fraction, options.seed
            held_out = counts(LineSplit(*split, True), held_out_store)  # first: see `kept_counts`
            return counts(LineSplit(*split, False), store), held_out

        if self._checkpoint is None:
            return count(None, None) if limit is None else count(TemporaryFolder(), TemporaryFolder())
        if base is not None:
            how |= {"model": base.counts_sha256, "grow_vocabulary": grow_vocabulary}
        source = how | {"corpus": corpus_identity(corpus)}
        return kept_counts(self._checkpoint.path, source, as_corpus(corpus).known_reading, count)

    # ---------------------------------------------------------------- start

    def start(self, *, shows: bool) -> None:
        """Make what training starts with, or resumes from; `shows` says whether a model is built after each epoch.

        Raises
        ------
        MemoryError
            If training needs more memory than is free.
        """
        base, tokens = self._base, self._vocabulary.tokens
        if base is not None:
            self._subwords = None if base.subwords is None else base.subwords.grown(tokens)
        else:
            lengths = self._options.subwords
            self._subwords = None if isinstance(lengths, bool) else Subwords.of(tokens, lengths)
        give_back_freed()  # the memory of counting
        estimate = self._estimate(shows=shows)
        self._counts = self._counts.buffered(estimate.buffer_memory)
        with nullcontext() if self._ranks is None else self._ranks.agreeing():
            self._start(estimate)
        self.started = True

    def _estimate(self, *, shows: bool) -> Estimate:
        """Return the estimate of the memory and time of training."""
        counts, validation, nnz, largest, stored = self._counts, self._validation, self._counts.nnz, None, None
        if self._replay is not None:
            nnz += self._replay.nnz  # an upper bound for the sum of both
        elif counts.path is not None:
            largest, stored = largest_group(counts), counts.disk
        return replace(
            self._options.estimate(*counts.shape, nnz, self._subwords),
            in_place=self._own,
            resident=resident_memory(),
            checkpoint=self._checkpoint is not None,
            largest_group=largest,
            held_out_group=largest_group(validation) if validation is not None and validation.path else None,
            shows=shows,
            memory_limit=self._memory_limit,
            stored=stored,
        )

    def _start(self, estimate: Estimate) -> None:
        options, base = self._options, self._base
        estimate.check()
        if self._progress is not None:
            self._progress.training(estimate)
        self._groups = self._grouped()
        self._digest = in_background(self._groups.sha256)  # while the start is computed: hashing releases the GIL
        self._pool = Pool(check_threads(options.threads) if base is None else base.trainer.threads)
        self._totals = Totals.of(self._groups, self._pool)
        if isinstance(self._groups, CSRGroups):
            self._groups.totals = self._totals
        if self._subwords is not None:
            self._subwords = self._subwords.weighted(self._totals.rows, 0 if base is None else len(base.vocabulary))
        self._records: list[dict[str, float]] = []
        self._rng = np.random.default_rng(options.seed)  # later it draws the order of the rows
        if self._ranks is not None and not self._ranks.first:
            self._trainer = self._blank_trainer()
        elif self._checkpoint is not None and Path(self._checkpoint.path).exists():
            self._trainer = self._stored_trainer(self._checkpoint.claim(self._identity))
        elif base is None:
            # Counts in a store limit what the start holds of them
            self._trainer = self._new_trainer(None if estimate.largest_group is None else estimate.start_memory)
        else:
            self._trainer = self._next_trainer(base)
        give_back_freed()  # the memory of the start: new arrays of other sizes would not reuse it

    def _grouped(self) -> GroupedCounts:
        """Return the counts to train on in groups of rows; those of a folder are not copied unless others are added."""
        counts = self._counts
        if self._replay is not None:
            return CSRGroups(canonical_csr("counts", counts.to_scipy() + self._replay.to_scipy()))
        return own_groups(counts) if self._own else counts.groups

    @property
    def _dim(self) -> int:
        return self._options.dim if self._base is None else self._base.vectors.matrix.shape[1]

    def _new_trainer(self, memory: int | None) -> Trainer:
        """Return a trainer that starts from the SVD."""
        embedding, linear = svd_start(self._groups, self._totals, self._dim, self._rng, self._pool, memory)
        if self._subwords is not None:
            embedding = ridge_fit(self._subwords.bags, embedding, self._pool)
        return Trainer(embedding, linear, bias=log_shares(self._totals.columns), threads=self._pool.threads)

    def _blank_trainer(self) -> Trainer:
        """Return a trainer for the parameters of rank 0, which it receives when training starts."""
        (inputs, outputs), bias = self._groups.shape, log_shares(self._totals.columns)
        if self._subwords is not None:
            inputs = self._subwords.bags.shape[1]
        embedding, linear = np.zeros((inputs, self._dim), np.float32), np.zeros((self._dim, outputs), np.float32)
        return Trainer(embedding, linear, bias=bias, threads=self._pool.threads)

    def _next_trainer(self, base: FittedModel) -> Trainer:
        """Return a copy of the trainer of a model, with rows for words that the model does not know."""
        known = len(base.vocabulary)
        if base.features is not None:  # the own rows of new words are zero: their vectors are those of their n-grams
            return base.features.grown(np.zeros((len(self._vocabulary) - known, self._dim), np.float32))
        rows = fold_in(self._groups, self._totals, known, base.trainer.linear, self._pool)
        return base.trainer.grown(rows - base.centre.astype(rows.dtype))

    def _stored_trainer(self, stored: Stored | None) -> Trainer:
        """Return a trainer for the parameters of a checkpoint, which training reads when it resumes.

        The trainer of a new model has the parameters already here, so that there is a model whenever a Ctrl-C comes.
        """
        if stored is None:
            raise FileNotFoundError("the checkpoint has just been removed")
        self._records = list(stored.position.history)
        if self._base is not None:
            rows = self._groups.shape[0] - len(self._base.vocabulary)
            return self._base.trained.grown(np.zeros((rows, self._dim), np.float32))
        embedding, weights = np.array(stored.tensors["embedding"]), stored.tensors["linear.T"]
        bias = log_shares(self._totals.columns)
        return Trainer(embedding, weights[:, : self._dim].T, bias=bias, threads=self._pool.threads)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What the start of training is a function of, and the options, under the names that errors use."""
        model = None if self._base is None else arrays_digest(trainer_tensors(self._base.trained))
        lengths = None if self._subwords is None else self._subwords.lengths
        start = {"dim": self._dim, "subwords": lengths, "seed": self._options.seed, "model": model}
        return start | {"counts": awaited(self._digest), **asdict(self._fit_options)}

    # ---------------------------------------------------------------- epochs

    def run(self, on_epoch_end: Callable[[dict[str, float]], object]) -> None:
        """Train; `on_epoch_end` is called with the record of each epoch, and ends the training if it returns True."""

        def epoch_end(record: dict[str, float], _: Trainer) -> object:
            self._records[int(record["epoch"]) - 1 :] = [dict(record)]  # the callback may change it
            return on_epoch_end(record)

        if self._ranks is not None:
            self._ranks.compare(self._identity)
        if self._checkpoint is not None:
            self._checkpoint.claim(self._identity)
        self._records = self._trainer.fit_counts(
            self._groups,
            bags=None if self._subwords is None else self._subwords.bags,
            validation_counts=self._validation,
            seed=self._rng,
            on_epoch_end=epoch_end,
            checkpoint=self._checkpoint,
            comm=None if self._ranks is None else self._ranks.comm,
            **asdict(self._fit_options),
        )

    @cached_property
    def _fit_options(self) -> FitOptions:
        """The options of the fit of the trainer."""
        options = self._options
        shortened = SHORTER_STEPS if self._base is not None and self._replay is None else 1.0
        return FitOptions(
            epochs=options.epochs,
            learning_rate=(FitOptions.learning_rate if self._subwords is None else LEARNING_RATE) * shortened,
            linear_learning_rate=FitOptions.linear_learning_rate * shortened,
            n_iter_no_change=options.n_iter_no_change if options.early_stopping else None,
            warm_start=self._base is not None,
        )

    # ---------------------------------------------------------------- model

    def model(self) -> FittedModel:
        """Return the current model.

        A new model is a copy in its gauge, since training continues outside the gauge; in further training the model
        shares the parameters.
        """
        base, vocabulary, counts, subwords = self._base, self._vocabulary, self._counts, self._subwords
        features, composer = None, None
        if base is None:
            trainer, bags = deepcopy(self._trainer), None if subwords is None else subwords.bags
            assert trainer.bias is not None
            centre = apply_gauge(trainer.embedding, trainer.linear, trainer.bias, self._totals, self._pool, bags)
        else:
            trainer, centre = self._trainer, base.centre
        if subwords is not None:
            features, composer = trainer, subwords.composer(trainer.embedding, centre)
            trainer = composed(features, subwords, centre)
        return FittedModel(
            vectors=composing_vectors(vocabulary.tokens, trainer.embedding, vocabulary.counts, composer),
            vocabulary=vocabulary,
            trainer=trainer,
            centre=centre,
            history=[dict(record) for record in (*(base.history if base else ()), *self._records)],
            ledger=self._ledger(),
            windows=counts.windows if base is None else base.windows,
            max_contexts=base.max_contexts if base else counts.shape[1] // (2 if counts.directed else 1),
            counts_sha256=[*(base.counts_sha256 if base else ()), awaited(self._digest)],
            baskets=counts.baskets if base is None else base.baskets,
            subwords=subwords,
            features=features,
        )

    def _ledger(self) -> Ledger | None:
        """Return the ledger, including tokens dropped by the vocabulary of a new model and held-out tokens."""
        counted, chosen = self._counts.ledger, None if self._base else self._vocabulary.ledger
        if chosen is None or counted is None or HELD_OUT not in counted.dropped:
            return chosen or counted
        dropped = chosen.dropped | {HELD_OUT: counted.dropped[HELD_OUT]}
        return replace(chosen, tokens_used=counted.tokens_used, dropped=dropped)


# ---------------------------------------------------------------- counting


def as_read(corpus: Source, reading: Reading | None) -> Source:
    """Return a text to count: documents split as `reading` says; a corpus by its own reading, with a warning."""
    own = corpus.reading if isinstance(corpus, FileCorpus | DocumentCorpus) else None
    if reading is not None and own is not None and own.record() != reading.record():
        warn_user(f"the corpus is read by its own {own}, not by {reading}")
    return as_corpus(corpus, reading)


def find_vocabulary(
    corpus: Source,
    options: SkipGramOptions,
    max_size: int | None,
    progress: FitProgress | None,
    executor: Executor | None = None,
) -> Vocabulary:
    """Return the words of a text that the options keep, or the most frequent of them."""
    return Vocabulary.from_corpus(
        corpus,
        options.min_count,
        max_size,
        drop=options.drop,
        keep_only=options.keep_only,
        threads=options.threads,
        progress=None if progress is None else progress.reading,
        executor=executor,
    )


def count_pairs(
    corpus: Source,
    vocabulary: Vocabulary,
    pairing: Windows | Baskets,
    threads: int | None,
    memory_limit: int | None = None,
    progress: FitProgress | None = None,
    first_reading: Ledger | None = None,
    lines: LineSplit | None = None,
    store: str | os.PathLike[str] | StoreFolder | None = None,
    executor: Executor | None = None,
) -> Counts:
    """Return the counts of all lines of a text or of a share of them; in a store if one is given.

    `first_reading` is the ledger of the vocabulary, if it was found in the same text. The other arguments are those of
    `Counts.from_corpus`.
    """
    how: dict[str, Any] = asdict(pairing)
    if executor is not None:
        if isinstance(pairing, Baskets):
            raise ValueError("an executor counts windows, and no baskets")
        how["executor"] = executor
    count: Any = Counts.from_baskets if isinstance(pairing, Baskets) else Counts.from_corpus
    counts: Counts = count(
        corpus,
        vocabulary,
        **how,
        lines=lines,
        threads=threads,
        memory_limit=memory_limit,
        progress=None if progress is None else progress.counting,
        store=store,
    )
    if first_reading is not None and counts.ledger is not None and lines is None:
        check_reread(first_reading, counts.ledger)
    return counts


def largest_group(counts: Counts) -> int:
    """Return the number of counts in the largest group of rows of counts in a folder."""
    return int(counts.groups.entries.max())


def counts_beside(checkpoint: str) -> tuple[str, str]:
    """Return the folders of the counts, and of those of held-out lines, of a fit with a checkpoint."""
    return f"{checkpoint}.counts", f"{checkpoint}.held-out"


def kept_counts(
    checkpoint: str,
    source: dict[str, Any],
    reading: Reading | None,
    count: Callable[[StoreFolder, StoreFolder], CountPair],
) -> CountPair:
    """Return the counts in the folders beside a checkpoint; if there are none, let `count` write them there.

    It writes those of held-out lines first: if the other counts exist, so do these.

    Parameters
    ----------
    checkpoint : str
    source : dict
        The corpus and the options of counting, as JSON values; "corpus" is the result of `corpus_identity`. The
        manifests record it.
    reading : Reading, optional
        How the text is read, since a manifest has no tokenizer.
    count : callable

    Raises
    ------
    OSError
        If a file cannot be read or written, or a folder holds something else.
    ValueError
        If the counts are damaged, are of another text, or were counted in another way.
    """
    folders = [LocalFolder(os.path.abspath(path), json.dumps(source)) for path in counts_beside(checkpoint)]  # noqa: PTH100
    found, beside = (_source_of(folder) for folder in folders)
    if found is None:
        return count(*folders)
    path, held_out_path = (folder.path for folder in folders)
    wanted = json.loads(folders[0].source)
    for name in sorted((wanted | found).keys() - {"corpus"}):
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"{path!r} was counted with {name} {shown(found.get(name))} instead of {shown(wanted.get(name))}: go on"
                " with the same, or remove it and the checkpoint to begin again"
            )
    try:
        check_same_corpus(found["corpus"], wanted["corpus"], path)
    except ValueError as error:
        raise ValueError(f"{error}; remove it to count again, and the checkpoint to begin again") from None
    counts, held_out = Counts.open(path), None
    if counts.vocabulary is not None and counts.vocabulary.reading is not None:
        counts.vocabulary.reading = reading
    if wanted["early_stopping"]:
        again = f"remove {path!r} to count again, and the checkpoint to begin again"
        if beside is None:
            raise FileNotFoundError(f"{held_out_path!r}, the counts held out, is missing: {again}")
        if beside != found:
            raise ValueError(f"{held_out_path!r} was not counted together with {path!r}: {again}")
        held_out = Counts.open(held_out_path)
    return counts, held_out


def _source_of(folder: LocalFolder) -> dict[str, Any] | None:
    """Return what counts in a folder were counted from; None if there are none, or they were not finished."""
    check_no_others(folder)
    if MANIFEST not in (folder.names() or ()):
        return None
    try:
        found: dict[str, Any] = json.loads(read_manifest(folder)[1]["source"])
        if not isinstance(found["corpus"], dict):
            raise TypeError
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ValueError(
            f"{folder.path!r} does not say what it was counted from: it is not that of a checkpoint,"
            " whose name must be another"
        ) from None
    return found


def counting_memory(limit: int, words: int, threads: int | None) -> int:
    """Return the bytes for the text and the counts: the limit of the process minus what else it holds."""
    held = max(resident_memory(), PROCESS_BYTES) + TABLE_BYTES * words
    return max(limit - held - READING_BYTES * (1 + check_threads(threads)), LEAST)


def counts_for(model: FittedModel, given: Source | Counts, options: SkipGramOptions) -> Counts:
    """Return counts with the rows and columns of a model: given counts, or those of a text or baskets."""
    if isinstance(given, Counts):
        return model.aligned(given)
    corpus = as_read(given, model.reading_of(given, options.reading))
    return count_pairs(corpus, model.vocabulary, model.pairing(), options.threads)
