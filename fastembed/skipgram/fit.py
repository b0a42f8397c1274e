"""`Fit`: one call of `SkipGram.fit`, or of one like it, from counts to the model that the SkipGram becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fastembed._base.memory import give_back_freed, resident_memory
from fastembed.counts.counts import Counts
from fastembed.counts.store import CountsStore
from fastembed.skipgram.estimate import Estimate
from fastembed.skipgram.fitted import FittedModel
from fastembed.skipgram.options import SkipGramOptions
from fastembed.skipgram.progress import FitProgress
from fastembed.skipgram.subwords import Subwords, subwords_of
from fastembed.skipgram.training import Training
from fastembed.trainer.checkpoint import CheckpointFile
from fastembed.trainer.ranks import Ranks


@dataclass(frozen=True)
class Fit:
    """What a call trains by, beside the counts.

    Parameters
    ----------
    options : SkipGramOptions
    before : FittedModel, optional
        What the SkipGram is before the call: it stays so if training ends by an exception. A SkipGram that was not
        fitted becomes what has been learned so far.
    become : callable
        Called with the model that the SkipGram is from now on, or with None, where its memory is needed for the next.
    progress : FitProgress, optional
    on_epoch_end : callable, optional
        Called with the record of each epoch, when the SkipGram is what was learned up to its end. Training ends early
        if it returns True.
    checkpoint : CheckpointFile, optional
    memory_limit : int, optional
        Bytes that the process may take.
    ranks : Ranks, optional
        That make the same call together.
    """

    options: SkipGramOptions
    before: FittedModel | None
    become: Callable[[FittedModel | None], None]
    progress: FitProgress | None
    on_epoch_end: Callable[[dict[str, float]], object] | None
    checkpoint: CheckpointFile | None
    memory_limit: int | None = None
    ranks: Ranks | None = None

    def train(
        self,
        counts: Counts | CountsStore,
        validation_counts: Counts | CountsStore | None,
        base: FittedModel | None = None,
        replay: Counts | CountsStore | None = None,
        *,
        own_counts: bool = False,
    ) -> None:
        """Train, after checking that there is the memory for it.

        Parameters
        ----------
        counts, base, replay, own_counts
            As for `Training`.
        validation_counts : Counts, optional
            Not trained on.
        """
        assert counts.vocabulary is not None
        lengths, known = (self.options.subwords, None) if base is None else (False, base.subwords)
        subwords = subwords_of(counts.vocabulary.tokens, lengths, known)
        give_back_freed()  # what counting took
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

        self._run(start() if self.ranks is None else self.ranks.agreed(start), validation_counts)

    def _estimate(
        self,
        counts: Counts | CountsStore,
        held_out: Counts | CountsStore | None,
        replay: Counts | CountsStore | None,
        subwords: Subwords | None,
        own_counts: bool,
    ) -> Estimate:
        """Return what training takes."""
        nnz = counts.nnz + (replay.nnz if replay is not None else 0)  # of their sum, at most
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

    def _run(self, training: Training, validation_counts: Counts | CountsStore | None) -> None:
        def epoch_end(record: dict[str, float]) -> object:
            if self.progress is not None:
                self.progress.epoch(record)
            if self.on_epoch_end is None:
                return None
            self.become(None)  # frees the model of the last epoch before the next one is made
            self.become(training.model())
            return self.on_epoch_end(record)

        try:
            training.run(validation_counts, epoch_end)
            self.become(training.model())
        except BaseException:
            self.become(self.before or training.model())
            raise
