"""`Fit`: one call of `SkipGram.fit` or of a similar method, from its data to the fitted model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scipy.sparse import issparse

from fastembed._base.memory import check_memory_limit, give_back_freed, resident_memory
from fastembed._base.validation import check_flag
from fastembed.corpus.corpus import Documents
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts
from fastembed.counts.store import CountsStore
from fastembed.skipgram.checkpoint_counts import AnyCounts
from fastembed.skipgram.counting import CorpusCounter
from fastembed.skipgram.estimate import Estimate
from fastembed.skipgram.model import FittedModel
from fastembed.skipgram.progress import FitProgress, reporting
from fastembed.skipgram.subwords import Subwords, subwords_of
from fastembed.skipgram.training import Training
from fastembed.trainer.checkpoint import CheckpointFile
from fastembed.trainer.checks import check_counts
from fastembed.trainer.ranks import Communicator, Ranks, agreed, on_first_rank, ranks_of

if TYPE_CHECKING:
    from fastembed.skipgram.skipgram import SkipGramOptions

EpochEnd = Callable[[dict[str, float]], object]


@dataclass(frozen=True)
class Fit:
    """The arguments of a call except the data, and the methods that train.

    Parameters
    ----------
    options : SkipGramOptions
    before : FittedModel, optional
        The model before the call, which is restored if an exception ends training. Without one, the SkipGram keeps
        what was learned until then.
    set_model : callable
        Called with the new model of the SkipGram, or with None to free the memory of the old one.
    progress : FitProgress, optional
    on_epoch_end : callable, optional
        Called with the record of each epoch, when the SkipGram has the parameters at the end of the epoch. Training
        ends early if it returns True.
    checkpoint : CheckpointFile, optional
    memory_limit : int, optional
        Limit on the memory of the process in bytes.
    ranks : Ranks, optional
        The ranks that make the same call together.
    """

    options: SkipGramOptions
    before: FittedModel | None
    set_model: Callable[[FittedModel | None], None]
    progress: FitProgress | None
    on_epoch_end: EpochEnd | None
    checkpoint: CheckpointFile | None
    memory_limit: int | None = None
    ranks: Ranks | None = None

    @classmethod
    @contextmanager
    def from_arguments(
        cls,
        options: SkipGramOptions,
        before: FittedModel | None,
        set_model: Callable[[FittedModel | None], None],
        on_epoch_end: EpochEnd | None,
        *,
        progress: FitProgress | bool | None,
        checkpoint: tuple[Any, Any, Any],
        memory_limit: int | None = None,
        comm: Communicator | None = None,
    ) -> Iterator[Fit]:
        """Yield a fit from the arguments of a method of `SkipGram`; `checkpoint` holds those of `from_arguments`."""
        check_memory_limit(memory_limit)
        with ranks_of(comm) as ranks:
            file = on_first_rank(ranks, lambda: CheckpointFile.from_arguments(*checkpoint))
            with reporting(progress if ranks is None or ranks.first else None, options.epochs) as report:
                yield cls(options, before, set_model, report, on_epoch_end, file, memory_limit, ranks)

    # ---------------------------------------------------------------- the data of a call

    def learn(self, data: Documents | AnyCounts, validation_counts: AnyCounts | None) -> None:
        """Learn a new model from a text or from counts."""
        if isinstance(data, Counts | CountsStore):
            self._learn_counts(data, validation_counts)
            return
        self._check_text(data, validation_counts)
        counter = self._counter(data, self.options.reading)
        self._train(*counter.counts_of_new_model(self.options, self.checkpoint), own_counts=True)

    def _check_text(self, data: Documents, validation_counts: AnyCounts | None) -> None:
        """Raise TypeError for a matrix, and ValueError for arguments that go with counts only."""
        if issparse(data):
            raise TypeError("a sparse matrix has no tokens: make counts of it by Counts.from_scipy(matrix, tokens=...)")
        if validation_counts is not None:
            raise ValueError("validation_counts go with counts; of a corpus, early_stopping holds out lines")

    def _learn_counts(self, counts: AnyCounts, validation_counts: AnyCounts | None) -> None:
        """Learn a new model from counts."""

        def check() -> None:
            self._check_counts(validation_counts)
            if counts.vocabulary is None:
                raise ValueError(
                    "these counts have no tokens to name the vectors: count with a Vocabulary, or use Trainer"
                )
            check_counts(counts, counts.shape)
            if validation_counts is not None:
                check_counts(validation_counts, counts.shape, "validation_counts")

        agreed(self.ranks, check)
        self._train(counts, validation_counts)

    def learn_more(
        self,
        data: Documents | AnyCounts,
        validation_counts: AnyCounts | None,
        replay: AnyCounts | None,
        *,
        grow_vocabulary: bool,
    ) -> None:
        """Continue training the current model on new text or counts; if there is none, learn a new model."""
        base = self._base(replay, grow_vocabulary)
        if base is None:
            with self._unfitted_after_an_exception():
                self.learn(data, validation_counts)
            return
        if isinstance(data, Counts | CountsStore):
            self._check_counts(validation_counts)
            vocabulary, held_out = base.vocabulary, None
            if grow_vocabulary and data.vocabulary is not None:
                vocabulary = vocabulary.grown(data.vocabulary, self.options.max_size)
            if validation_counts is not None:
                held_out = base.aligned(validation_counts, vocabulary, name="validation_counts")
            counts = base.aligned(data, vocabulary)
        else:
            self._check_text(data, validation_counts)
            counter = self._counter(data, base.reading_of(data, self.options.reading))
            counts, held_out = counter.counts_of_next_model(self.options, self.checkpoint, base, grow_vocabulary)
        again = None if replay is None else base.aligned(replay, counts.vocabulary, name="replay")
        own = replay is None and not isinstance(data, Counts | CountsStore)
        self._train(counts, held_out, base, again, own_counts=own)

    def _counter(self, corpus: Documents, reading: Reading | None) -> CorpusCounter:
        return CorpusCounter(
            corpus, self.options.threads, progress=self.progress, reading=reading, process_limit=self.memory_limit
        )

    def _check_counts(self, validation_counts: object) -> None:
        """Raise ValueError if there are no validation counts, but they are needed."""
        if self.options.early_stopping and validation_counts is None:
            raise ValueError("early_stopping needs validation_counts beside counts, which have no lines to hold out")

    def _base(self, replay: AnyCounts | None, grow_vocabulary: bool) -> FittedModel | None:
        """Return the model to continue; raise TypeError or ValueError if it cannot be continued in this way."""
        check_flag("grow_vocabulary", grow_vocabulary)
        if self.before is not None:
            self.before.check_same_shape(self.options)
            if replay is not None:
                self.before.check_alike(replay, "replay")
        elif replay is not None:
            raise ValueError("there is nothing to replay: this SkipGram has not been fitted yet")
        return self.before

    @contextmanager
    def _unfitted_after_an_exception(self) -> Iterator[None]:
        """Drop the model of a first call that fails if a checkpoint has it, so that a repeated call is a first one."""
        try:
            yield
        except BaseException:
            if self.checkpoint is not None:
                self.set_model(None)
            raise

    # ---------------------------------------------------------------- training

    def _train(
        self,
        counts: AnyCounts,
        validation_counts: AnyCounts | None,
        base: FittedModel | None = None,
        replay: AnyCounts | None = None,
        *,
        own_counts: bool = False,
    ) -> None:
        """Train, after a check that there is enough memory.

        Parameters
        ----------
        counts, base, replay, own_counts
            As for `Training`.
        validation_counts : Counts, optional
            Counts that are not trained on.
        """
        assert counts.vocabulary is not None
        lengths, known = (self.options.subwords, None) if base is None else (False, base.subwords)
        subwords = subwords_of(counts.vocabulary.tokens, lengths, known)
        give_back_freed()  # the memory of counting
        estimate = self._estimate(counts, validation_counts, replay, subwords, own_counts)
        if isinstance(counts, CountsStore):
            counts = counts.buffered(estimate.buffer_memory)

        def start() -> Training:
            estimate.check()
            if self.progress is not None:
                self.progress.training(estimate)
            return Training(
                counts,
                self.options,
                base,
                replay,
                subwords,
                own_counts=own_counts,
                checkpoint=self.checkpoint,
                start_memory=None if estimate.largest_group is None else estimate.start_memory,
                ranks=self.ranks,
            )

        self._run(agreed(self.ranks, start), validation_counts)

    def _estimate(
        self,
        counts: AnyCounts,
        held_out: AnyCounts | None,
        replay: AnyCounts | None,
        subwords: Subwords | None,
        own_counts: bool,
    ) -> Estimate:
        """Return the estimate of the memory and time of training."""
        nnz = counts.nnz + (replay.nnz if replay is not None else 0)  # an upper bound for the sum of both
        largest = stored = None
        if isinstance(counts, CountsStore) and replay is None:
            largest, stored = int(counts.entries.max()), counts.disk
        return replace(
            self.options.estimate(*counts.shape, nnz, subwords),
            in_place=own_counts,
            resident=resident_memory(),
            checkpoint=self.checkpoint is not None,
            largest_group=largest,
            held_out_group=int(held_out.entries.max()) if isinstance(held_out, CountsStore) else None,
            shows=self.on_epoch_end is not None,
            memory_limit=self.memory_limit,
            stored=stored,
        )

    def _run(self, training: Training, validation_counts: AnyCounts | None) -> None:
        def epoch_end(record: dict[str, float]) -> object:
            if self.progress is not None:
                self.progress.epoch(record)
            if self.on_epoch_end is None:
                return None
            self.set_model(None)  # frees the model of the last epoch before the next one is built
            self.set_model(training.model())
            return self.on_epoch_end(record)

        try:
            training.run(validation_counts, epoch_end)
            self.set_model(training.model())
        except BaseException:
            self.set_model(self.before or training.model())
            raise
