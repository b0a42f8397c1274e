"""One run of training: from a text or counts, over its start and the epochs, to the fitted model."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import canonical_csr
from fastembed._base.memory import LEAST, give_back_freed, readable, resident_memory
from fastembed._base.progress import FitProgress, bar
from fastembed._base.threads import Pool, awaited, cached_property, check_threads, in_background
from fastembed._base.validation import check_flag, shown, warn_user
from fastembed.corpus.corpus import (
    Corpus,
    Source,
    advise,
    advise_known,
    as_corpus,
    check_same_corpus,
    check_unchanged,
    corpus_identity,
    file_states,
)
from fastembed.corpus.ledger import HELD_OUT, Ledger, LineSplit, check_reread
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts, own_groups
from fastembed.counts.groups import CSRGroups, GroupedCounts, Totals, group_count
from fastembed.counts.store import MANIFEST, LocalFolder, StoreFolder, TemporaryFolder, check_no_others, read_manifest
from fastembed.counts.windows import Windows, likely_entries
from fastembed.formats.tensors import pack_tokens
from fastembed.skipgram.estimate import PROCESS_BYTES, Estimate
from fastembed.skipgram.gauge import apply_gauge
from fastembed.skipgram.model import Baskets, FittedModel, how_counted
from fastembed.skipgram.start import fold_in, log_shares, svd_start
from fastembed.skipgram.subwords import LEARNING_RATE, Subwords, check_spelled, composed, ridge_fit
from fastembed.trainer.checkpoint import Checkpoint, Stored, arrays_digest
from fastembed.trainer.inputs import FitOptions, check_counts
from fastembed.trainer.trainer import Trainer, trainer_tensors
from fastembed.vectors.vectors import Vectors, composing_vectors
from fastembed.vocabulary import NoTokenError, Vocabulary

if TYPE_CHECKING:
    from fastembed.skipgram.skipgram import SkipGramOptions
    from fastembed.trainer.ranks import Ranks

# Factor on the learning rates on new text without replay: chosen for the likelihood of both (docs/decisions.md)
SHORTER_STEPS = 0.5
# Learning rates on baskets are at most the first, or the second per density of the counts if that is more. Where most
# pairs occur, they are close to chance, and the start is close to the optimum: the first steps of Adagrad, whose length
# is the rate, would go beyond it (docs/decisions.md)
DENSE_RATE, RATE_TIMES_DENSITY = 0.3, 0.1
READING_BYTES = 20_000_000  # bytes of buffers and text per thread, while a text is counted
# Of the pairs that independent words would give: less than the least share that texts were seen to have; that of prose
LEAST_ENTRIES, USUAL_ENTRIES = 0.4, 0.8
WRITTEN_BYTES = 20  # per count of the group of rows that goes to a store
TABLE_BYTES = 60  # bytes per word in the table that encodes text

CountPair: TypeAlias = tuple[Counts, Counts | None]  # counts to train on, and held-out counts


class Training:
    """One call of `SkipGram.fit` or `partial_fit`: `take` or `count` its data, `start`, `run`, and there is a `model`.

    A new model starts from the SVD of the counts, and is transformed into its gauge whenever it is exposed. Further
    training starts from a copy of the parameters of the base, and stays in the gauge of the base.

    Parameters
    ----------
    base : FittedModel or None
        The model to continue.
    memory_limit : int or None
        Limit on the memory of the process in bytes.
    checkpoint : Checkpoint or None
        If the file exists, training resumes from it.
    ranks : Ranks or None
        The ranks that train a new model together. Rank 0 computes the start.
    replay : Counts, optional
        Counts to train on together with the new ones.
    grow_vocabulary : bool
        Whether new words are added to those of the base.

    Attributes
    ----------
    started : bool
        Whether there is a `model`.

    Raises
    ------
    TypeError, ValueError
        If the base cannot be continued in this way.
    """

    def __init__(
        self,
        options: SkipGramOptions,
        base: FittedModel | None,
        memory_limit: int | None,
        progress: FitProgress | None,
        checkpoint: Checkpoint | None,
        ranks: Ranks | None,
        *,
        replay: Counts | None = None,
        grow_vocabulary: bool = False,
    ) -> None:
        self._options, self._base, self._replay = options, base, replay
        self._grow = check_flag("grow_vocabulary", grow_vocabulary)
        self._memory_limit, self._progress, self._checkpoint, self._ranks = memory_limit, progress, checkpoint, ranks
        self._dim = options.dim
        self.started = False
        if base is not None:
            base.check_same_shape(options)
            if replay is not None:
                base.check_alike(replay, "replay")
        elif replay is not None:
            raise ValueError("there is nothing to replay: this SkipGram has not been fitted yet")

    # ---------------------------------------------------------------- data

    def take(self, counts: Counts, validation_counts: Counts | None) -> None:
        """Take counts to train on, and counts for the nll after each epoch.

        Raises
        ------
        TypeError, ValueError
            If they cannot be trained on, or do not go with the base.
        """
        base, validation = self._base, validation_counts
        with nullcontext() if self._ranks is None else self._ranks.agreeing():
            if self._options.early_stopping and validation is None:
                raise ValueError("early_stopping needs validation_counts: counts have no lines to hold out")
            if base is None:
                if counts.vocabulary is None:
                    raise ValueError("these counts have no tokens: count with a Vocabulary, or use Trainer")
                check_counts(counts, counts.shape)
                if validation is not None:
                    check_counts(validation, counts.shape, "validation_counts")
                    own, theirs = (how_counted(each.windows, each.baskets) for each in (counts, validation))
                    if own != theirs:
                        raise ValueError(f"validation_counts are those of {theirs}, but counts are those of {own}")
                    if validation.vocabulary and validation.vocabulary.tokens != counts.vocabulary.tokens:
                        raise ValueError("validation_counts have other tokens than counts: use one Vocabulary")
        if base is not None:
            vocabulary = base.vocabulary
            if self._grow and counts.vocabulary is not None:
                vocabulary = vocabulary.grown(counts.vocabulary, self._options.max_size)
            if validation is not None:
                validation = base.aligned(validation, vocabulary, name="validation_counts")
            counts = base.aligned(counts, vocabulary)
        self._own, self._counts, self._validation = False, counts, validation

    def count(self, given: Source) -> None:
        """Count a text to train on, and with early stopping its held-out lines.

        With a checkpoint the counts are in folders next to it, and are not counted again. Before a text is counted for
        a new model, there is a check of the memory, and of the words if it has subwords.

        Raises
        ------
        TypeError, ValueError, OSError, MemoryError
            As by `SkipGram.fit`.
        """
        base, options, limit = self._base, self._options, self._memory_limit
        corpus = as_corpus(given, options.reading) if base is None else read_for(base, given, options, grows=self._grow)
        if limit is not None:
            counting_memory(limit, 0, options.threads)  # a limit that is too small is an error before anything is read
        self._own = True  # the counts have no other user, so that their memory can be reused
        store: StoreFolder | None = None if limit is None else TemporaryFolder()
        held_out_store: StoreFolder | None = None if limit is None else TemporaryFolder()
        if self._checkpoint is not None:
            source = options.counting | {"corpus": corpus_identity(corpus)}
            if base is not None:
                source |= {"model": base.counts_sha256, "grow_vocabulary": self._grow}
            store, held_out_store = (
                LocalFolder(os.path.abspath(path), json.dumps(source))  # noqa: PTH100
                for path in counts_beside(self._checkpoint.path)
            )
            kept = kept_counts(store, held_out_store, as_corpus(corpus).known_reading)
            if kept is not None:
                self._counts, self._validation = kept
                return
        words, states, written = None, file_states(corpus), 0
        if base is None:
            advise(corpus, baskets=options.baskets is not None)
            words = vocabulary = options.vocabulary(corpus, options.max_size, self._progress)
            pairing = options.pairing(len(words))
            written = self._check_memory(words, pairing)
            if options.subwords:
                check_spelled(words.tokens)
        else:
            vocabulary, pairing = base.vocabulary, base.pairing()
            if self._grow:
                with suppress(NoTokenError):  # then there are no words to add
                    words = options.vocabulary(corpus, None, self._progress)
                    vocabulary = vocabulary.grown(words, options.max_size)
        count_pairs = counting(pairing)
        how: dict[str, Any] = {
            "threads": options.threads,
            "memory_limit": limit and counting_memory(limit, len(vocabulary), options.threads, written),
            "progress": None if self._progress is None else self._progress.counting,
        }
        self._validation, kept_lines = None, None
        if options.early_stopping:
            split = options.validation_fraction, options.seed
            # Before the other counts: a finished folder of those then means that this one is finished, too
            lines, kept_lines = LineSplit(*split, held_out=True), LineSplit(*split, held_out=False)
            self._validation = count_pairs(corpus, vocabulary, lines=lines, store=held_out_store, **how)
        self._counts = count_pairs(corpus, vocabulary, lines=kept_lines, store=store, **how)
        if words is not None and not options.early_stopping:
            check_reread(words.ledger, self._counts.ledger)
        check_unchanged(corpus, states)

    def _check_memory(self, words: Vocabulary, pairing: Windows | Baskets) -> int:
        """Check the memory of training on a text that is about to be counted, by the number and counts of its words.

        Return the bytes that are written to a store at a time.
        """
        options, limit = self._options, self._memory_limit
        least = options.estimate(len(words), pairing.columns(len(words)))
        if limit is None or not isinstance(pairing, Windows):
            replace(least, memory_limit=limit).check()
            return 0
        pairs, groups = likely_entries(words.counts, pairing), group_count(len(words))
        counted, usual = (
            replace(least, nnz=int(n), largest_group=int(n) // groups, memory_limit=limit)
            for n in (LEAST_ENTRIES * pairs, USUAL_ENTRIES * pairs)
        )
        held = PROCESS_BYTES + READING_BYTES * (1 + check_threads(options.threads))  # once it is counted
        likely = replace(usual, resident=held).memory
        prose = f"prose with as many words takes about {readable(likely)}"
        try:
            counted.check()
        except MemoryError as error:
            raise MemoryError(f"{error}; {prose}") from None
        if likely > limit:
            warn_user(f"{prose}: the limit of {readable(limit)} may prove too low when the text is counted")
        return WRITTEN_BYTES * (usual.largest_group or 0)

    # ---------------------------------------------------------------- start

    def start(self, *, shows: bool) -> None:
        """Make what training starts with, or resumes from; `shows` says whether a model is built after each epoch.

        Raises
        ------
        MemoryError
            If training needs more memory than is free.
        """
        base = self._base
        assert self._counts.vocabulary is not None
        self._vocabulary = self._counts.vocabulary
        if base is not None and self._replay is not None:
            self._own = False
            self._replay = base.aligned(self._replay, self._vocabulary, name="replay")
        tokens = self._vocabulary.tokens
        if base is not None:
            self._subwords = None if base.subwords is None else base.subwords.grown(tokens)
        else:
            lengths = self._options.subwords
            self._subwords = None if isinstance(lengths, bool) else Subwords.of(tokens, lengths)
        give_back_freed()  # the memory of counting
        counts, validation, nnz, largest, disk = self._counts, self._validation, self._counts.nnz, None, None
        if self._replay is not None:
            nnz += self._replay.nnz  # an upper bound for the sum of both
        elif counts.path is not None:
            largest, disk = largest_group(counts), counts.disk
        estimate = replace(
            self._options.estimate(*counts.shape, nnz, self._subwords),
            in_place=self._own,
            resident=resident_memory(),
            checkpoint=self._checkpoint is not None,
            largest_group=largest,
            held_out_group=largest_group(validation) if validation is not None and validation.path else None,
            shows=shows,
            memory_limit=self._memory_limit,
            stored=disk,
        )
        if self._counts.path is not None:
            self._counts = self._counts.buffered(estimate.buffer_memory)
        with nullcontext() if self._ranks is None else self._ranks.agreeing():
            stored = self._prepare(estimate)
            if base is None:
                # Counts in a store limit what the start holds of them
                self._trainer = self._new_trainer(stored, None if largest is None else estimate.start_memory)
            else:
                self._trainer = base.trained.grown(self._new_rows(base, stored))
        give_back_freed()  # the memory of the start: new arrays of other sizes would not reuse it
        self.started = True

    def _prepare(self, estimate: Estimate) -> Stored | None:
        """Make what the start of training is computed from; return what a checkpoint holds, if there is one."""
        options, base = self._options, self._base
        estimate.check()
        if self._replay is not None:
            both = self._counts.to_scipy() + self._replay.to_scipy()
            self._groups: GroupedCounts = CSRGroups(canonical_csr("counts", both))
        else:  # those of a folder are not copied
            self._groups = own_groups(self._counts) if self._own else self._counts.groups
        self._digest = in_background(self._groups.sha256)  # while the start is computed: hashing releases the GIL
        self._pool = Pool(check_threads(options.threads) if base is None else base.trainer.threads)
        self._totals = Totals.of(self._groups, self._pool)
        if self._subwords is not None:
            self._subwords = self._subwords.weighted(self._totals.rows, 0 if base is None else len(base.vocabulary))
        self._rng = np.random.default_rng(options.seed)  # later it draws the order of the rows
        stored = None
        if self._checkpoint is not None and Path(self._checkpoint.path).exists():
            stored = self._checkpoint.claim(self._identity)
        self._records: list[dict[str, float]] = [] if stored is None else list(stored.position.history)
        if self._progress is not None:
            self._progress.training(estimate)
        return stored

    def _new_trainer(self, stored: Stored | None, memory: int | None) -> Trainer:
        """Return the trainer that a new model starts from, with the parameters of the SVD.

        Those of a checkpoint are read when training resumes, too; they are taken here, so that there is a model when
        a Ctrl-C comes. Other ranks than 0 receive all parameters when training starts.
        """
        bags = None if self._subwords is None else self._subwords.bags
        if stored is not None:
            embedding, linear = np.array(stored.tensors["embedding"]), stored.tensors["linear.T"][:, : self._dim].T
        elif self._ranks is not None and not self._ranks.first:
            inputs, outputs = self._groups.shape[0] if bags is None else bags.shape[1], self._groups.shape[1]
            embedding, linear = np.zeros((inputs, self._dim), np.float32), np.zeros((self._dim, outputs), np.float32)
        else:
            embedding, linear = svd_start(self._groups, self._totals, self._dim, self._rng, self._pool, memory)
            embedding = embedding if bags is None else ridge_fit(bags, embedding, self._pool)
        return Trainer(embedding, linear, bias=log_shares(self._totals.columns), threads=self._pool.threads)

    def _new_rows(self, base: FittedModel, stored: Stored | None) -> NDArray[np.float32]:
        """Return rows of the embedding for the words that a model does not know.

        Own rows of new words beside n-grams are zero: their vectors are those of their n-grams. If a checkpoint has all
        rows, these only take their place.
        """
        known = len(base.vocabulary)
        if stored is not None or base.features is not None:
            return np.zeros((len(self._vocabulary) - known, self._dim), np.float32)
        rows = fold_in(self._groups, self._totals, known, base.trainer.linear, self._pool)
        return rows - base.centre.astype(rows.dtype)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What the start of training is a function of, and the options, under the names that errors use."""
        model = None if self._base is None else arrays_digest(trainer_tensors(self._base.trained))
        lengths = None if self._subwords is None else self._subwords.lengths
        start = {"dim": self._dim, "subwords": lengths, "seed": self._options.seed, "model": model}
        read = {
            "words": arrays_digest(pack_tokens(self._vocabulary.tokens)),
            "totals": arrays_digest(self._totals._asdict()),
        }
        return start | {"counts": awaited(self._digest)} | read | asdict(self._fit_options)

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
        rates = [FitOptions.learning_rate if self._subwords is None else LEARNING_RATE, FitOptions.linear_learning_rate]
        if (self._base or self._counts).baskets is not None:
            density = int(self._groups.entries.sum()) / math.prod(self._groups.shape)
            rates = [min(rate, max(DENSE_RATE, RATE_TIMES_DENSITY / density)) for rate in rates]
        return FitOptions(
            epochs=options.epochs,
            learning_rate=rates[0] * shortened,
            linear_learning_rate=rates[1] * shortened,
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
        counted, ledger = counts.ledger, None if base else vocabulary.ledger
        if ledger is None:
            ledger = counted
        elif counted is not None:
            ledger = replace(ledger, unit=counted.unit)
            if HELD_OUT in counted.dropped:  # beside what the vocabulary dropped
                dropped = ledger.dropped | {HELD_OUT: counted.dropped[HELD_OUT]}
                ledger = replace(ledger, tokens_used=counted.tokens_used, dropped=dropped)
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
            vectors=composing_vectors(Vectors, vocabulary.tokens, trainer.embedding, vocabulary.counts, composer),
            vocabulary=vocabulary,
            trainer=trainer,
            centre=centre,
            history=list(map(dict, (*(base.history if base else ()), *self._records))),
            ledger=ledger,
            windows=counts.windows if base is None else base.windows,
            max_contexts=base.max_contexts if base else counts.shape[1] // (2 if counts.directed else 1),
            counts_sha256=[*(base.counts_sha256 if base else ()), awaited(self._digest)],
            baskets=counts.baskets if base is None else base.baskets,
            subwords=subwords,
            features=features,
        )


# ---------------------------------------------------------------- counting


def read_for(model: FittedModel, given: Source, options: SkipGramOptions, *, grows: bool = False) -> Corpus:
    """Return a text to count for a model; warn if it knows few of the tokens, or more in another reading."""
    corpus = as_corpus(given, model.reading_of(given, options.reading))
    tokens, drops = advise_known(corpus.sequences(Ledger()), model.vocabulary, corpus.reading), options.dropping()
    unknown = [token for token in tokens if token not in model.vocabulary and not drops(token)]
    if 3 * len(unknown) > len(tokens) and not grows:
        warn_user(
            f"the model knows few of the tokens: {len(unknown):,} of the first {len(tokens):,} are unknown, such as"
            f" {shown(unknown[0])}"
        )
    return corpus


def counting(pairing: Windows | Baskets) -> Callable[..., Counts]:
    """Return the function that counts a text in windows or baskets: of `Counts`, with the options of these."""
    count = Counts.from_baskets if isinstance(pairing, Baskets) else Counts.from_corpus
    return partial(count, **asdict(pairing))


def largest_group(counts: Counts) -> int:
    """Return the number of counts in the largest group of rows of counts in a folder."""
    return int(counts.groups.entries.max())


def counts_beside(checkpoint: str) -> tuple[str, str]:
    """Return the folders of the counts, and of those of held-out lines, of a fit with a checkpoint."""
    return f"{checkpoint}.counts", f"{checkpoint}.held-out"


def kept_counts(folder: LocalFolder, held_out: LocalFolder, reading: Reading | None) -> CountPair | None:
    """Return the counts in the folders beside a checkpoint; None if there are none, or they were not finished.

    Parameters
    ----------
    folder, held_out : LocalFolder
        The folders of the counts and of those of held-out lines; their source is what they should have been counted
        from: the options of counting, and as "corpus" the result of `corpus_identity`.
    reading : Reading, optional
        How the text is read, since a manifest has no tokenizer.

    Raises
    ------
    OSError
        If a file cannot be read, or a folder holds something else.
    ValueError
        If the counts are damaged, are of another text, or were counted in another way.
    """
    found, beside, wanted = _source_of(folder), _source_of(held_out), json.loads(folder.source)
    if found is None:
        return None
    for name in sorted((wanted | found).keys() - {"corpus"}):
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"{folder.path!r} was counted with {name} {shown(found.get(name))} instead of"
                f" {shown(wanted.get(name))} as now: go on with the same, or remove it and the checkpoint"
            )
    try:
        check_same_corpus(found["corpus"], wanted["corpus"], folder.path)
    except ValueError as error:
        raise ValueError(f"{error}; remove it to count again, and the checkpoint to begin again") from None
    counts = Counts.open(folder.path)
    if counts.vocabulary is not None and counts.vocabulary.reading is not None:
        counts.vocabulary.reading = reading
    if not wanted["early_stopping"]:
        return counts, None
    again = f"remove {folder.path!r} to count again, and the checkpoint to begin again"
    if beside is None:
        raise FileNotFoundError(f"{held_out.path!r}, the counts held out, is missing: {again}")
    if beside != found:
        raise ValueError(f"{held_out.path!r} was not counted together with {folder.path!r}: {again}")
    return counts, Counts.open(held_out.path)


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


def counting_memory(limit: int, words: int, threads: int | None, written: int = 0) -> int:
    """Return the bytes for the text and the counts: the limit of the process minus what else it holds.

    Of these, `written` bytes for what is written to a store are left out as far as enough is left.

    Raises
    ------
    MemoryError
        If nothing is left.
    """
    workers = check_threads(threads)
    held = max(resident_memory(), PROCESS_BYTES) + TABLE_BYTES * words + READING_BYTES * (1 + workers)
    if held + LEAST > limit:
        raise MemoryError(
            f"reading a text on {workers} threads takes {readable(held + LEAST)} of memory, above the limit of "
            f"{readable(limit)}: fewer threads or a smaller max_size take less"
        )
    return max(limit - held - written, (limit - held) // 4, LEAST)


def counts_for(model: FittedModel, given: Source | Counts, options: SkipGramOptions) -> Counts:
    """Return counts with the rows and columns of a model: given counts, or those of a text or baskets."""
    if isinstance(given, Counts):
        return model.aligned(given)
    corpus = read_for(model, given, options)
    with bar(desc="counting") as shown:

        def report(done: int, total: int | None) -> None:
            shown.total = total
            shown.update(done - shown.n)

        return counting(model.pairing())(corpus, model.vocabulary, threads=options.threads, progress=report)
