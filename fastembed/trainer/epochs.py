"""The epochs of a fit: records, callbacks, early stopping, checkpoints, and finite parameters after any exception."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.validation import TrainingDivergedError, is_true
from fastembed.trainer.blocks import BlockFit
from fastembed.trainer.checkpoint import Checkpoint, Position, Stored
from fastembed.trainer.ranks import RanksCheckpoint
from fastembed.trainer.snapshot import Snapshot

LARGEST_EXPONENT = math.log(sys.float_info.max)
Record = dict[str, float]


def run_epochs(
    fit: BlockFit,
    rng: np.random.Generator,
    validation: BlockFit | None = None,
    on_epoch_end: Callable[[Record], object] | None = None,
    checkpoint: Checkpoint | RanksCheckpoint | None = None,
) -> list[Record]:
    """Train for the number of epochs in the options, or until `on_epoch_end` returns True; return the records.

    With `n_iter_no_change`, training also ends when the nll of `validation` has not fallen for as many epochs. In any
    case the parameters are then those of the epoch with the lowest nll; only its record is `kept`.

    If the file of the checkpoint exists, training resumes from it.

    If parameters are not finite, those at the end of the last completed epoch, or the initial ones, are restored. Any
    other exception, such as a Ctrl-C, leaves the steps made so far, and writes them to the checkpoint.
    """
    epochs = _Epochs(fit, rng, validation, on_epoch_end, checkpoint)
    try:
        epochs.start()
        epochs.train()
        return epochs.finish()
    except BaseException as error:
        epochs.leave(error)
        raise


class _Epochs:
    """The state of `run_epochs`, with the same arguments.

    `position` is replaced as a whole, so that after a Ctrl-C it is either that before the end of an epoch or that after
    it. Until then `good` and `best` stay the same, so that the work in between can be repeated.
    """

    def __init__(
        self,
        fit: BlockFit,
        rng: np.random.Generator,
        validation: BlockFit | None,
        on_epoch_end: Callable[[Record], object] | None,
        checkpoint: Checkpoint | RanksCheckpoint | None,
    ) -> None:
        self.fit, self.rng, self.validation, self.on_epoch_end = fit, rng, validation, on_epoch_end
        trained = fit.parameters.trained
        self.good = Snapshot(trained, fit.pool)
        self.best = Snapshot(trained, fit.pool) if fit.options.n_iter_no_change is not None else None
        self.position = Position(rng.bit_generator.state)
        self.checkpoint = checkpoint
        self.written = None if checkpoint is None else Snapshot(fit.state, fit.pool)
        self.started = False
        self.began: float | None = None  # when the epoch in progress would have begun without an interruption

    def start(self) -> None:
        """Resume from the checkpoint, or start."""
        stored, options = None, self.fit.options
        if self.checkpoint is not None:
            stored = self.checkpoint.read(self.fit.parameters.trained, options.epochs)
        if stored is not None:
            self._restore(stored)
        elif not options.warm_start:
            self.fit.parameters.reset_squares()  # after the last large allocation, which may fail
            self.good.take()
        self.started = True

    def _restore(self, stored: Stored) -> None:
        state, trained = self.fit.state, self.fit.parameters.trained
        now, good, best = (stored.part(*part) for part in (("", state), ("good.", trained), ("best.", trained)))
        blocks = self.fit.blocks_per_epoch
        if now is None or stored.position.blocks > blocks:
            raise ValueError(f"it must hold parameters, and a position within {blocks} blocks: {stored}")
        self.rng.bit_generator.state = stored.position.generator
        for snapshot, arrays in ((self.best, best), (self.good, good or now)):
            if snapshot is not None and arrays is not None:
                _copy(arrays, trained)
                snapshot.take()
        _copy(now, state)
        self.position = stored.position

    def train(self) -> None:
        """Train until the last epoch, or until a stop is decided."""
        while True:
            if not self.position.decided:
                stopped = self._decide()
                self.position = replace(
                    self.position, decided=True, stopped=stopped, generator=self.rng.bit_generator.state
                )
                self.write()
            if self.position.has_ended(self.fit.options.epochs):
                return
            self._epoch()

    def _epoch(self) -> None:
        at = self.position = replace(self.position, generator=self.rng.bit_generator.state)
        self.began = time.perf_counter() - at.seconds
        nll = self.fit.epoch(at.epoch, self.rng, at.blocks, at.nll, self._after_block)
        record = {
            "epoch": at.epoch,
            "nll": nll,
            "perplexity": math.exp(nll) if nll < LARGEST_EXPONENT else math.inf,
            "learning_rate": self.fit.learning_rate_after(at.epoch),
            "seconds": time.perf_counter() - self.began,
        }
        _check_finite(self.good, at.epoch)
        if self.validation is not None:
            record["validation_nll"] = _validation_nll(self.validation, at.epoch)
        self._wait()  # for the thread that reads the snapshots
        self.good.take()
        best_epoch, lowest = at.best_epoch, at.lowest
        if self.best is not None and record["validation_nll"] < lowest:
            best_epoch, lowest = at.epoch, record["validation_nll"]
            self.best.take()
        self.position = Position(
            self.rng.bit_generator.state,
            at.epoch + 1,
            history=(*at.history, record),
            best_epoch=best_epoch,
            lowest=lowest,
            decided=False,
        )
        self.began = None

    def _decide(self) -> bool:
        """Return whether to stop after the epoch that has just ended."""
        at, patience = self.position, self.fit.options.n_iter_no_change
        if self.fit.options.l2 and at.history:
            # From the copy, so that a fit that was interrupted here, and resumes, does the same again
            self.fit.decay(self.good.copies["embedding"], at.epoch - 1)
        stop = self.on_epoch_end is not None and is_true(self.on_epoch_end(dict(at.history[-1])))
        return stop or (patience is not None and len(at.history) - at.best_epoch >= patience)

    def _after_block(self) -> None:
        if self.checkpoint is not None and self.checkpoint.due():
            self.fit.finish()
            self.write()

    def write(self) -> None:
        """Start writing the checkpoint, if there is one; the last step must be finished."""
        if self.checkpoint is None or self.written is None:
            return
        at, (epoch, blocks, nll) = self.position, self.fit.done()
        if epoch == at.epoch:
            at = replace(at, blocks=blocks, nll=nll)
        if self.began is not None:
            at = replace(at, seconds=time.perf_counter() - self.began)
        others = {"good": self.good} if at.blocks or self.fit.options.l2 else {}  # otherwise it equals the parameters
        if self.best is not None and at.best_epoch:
            others["best"] = self.best
        self.checkpoint.write(at, self.written, **others)

    def _wait(self) -> None:
        if self.checkpoint is not None:
            self.checkpoint.wait()

    def finish(self) -> list[Record]:
        """Set the parameters to be kept, and return the records."""
        self._wait()
        history = [dict(record) for record in self.position.history]
        if self.best is not None:
            self.best.restore()
            for record in history:
                record["kept"] = record["epoch"] == self.position.best_epoch
        return history

    def leave(self, error: BaseException) -> None:
        """Leave finite parameters after an exception, and a checkpoint of them."""
        for each in (self.fit, self.validation):
            if each is not None:
                each.close()
        if isinstance(error, TrainingDivergedError) or self.good.fault() is not None:
            self.good.restore()
            try:
                self._wait()  # nothing may be written after the call has ended
            except OSError as failure:
                error.add_note(f"the checkpoint is an older one: {failure}")
        elif self.checkpoint is not None and self.started and not self.checkpoint.failed:
            when, call = f"in epoch {self.position.epoch}", "the same call goes on"
            if self.position.has_ended(self.fit.options.epochs):
                when, call = "after the last epoch", "the same call of a model as it was before has its result"
            try:
                self.write()
                self._wait()
                self.rng.bit_generator.state = self.position.generator  # as in the file
                error.add_note(f"interrupted {when}; {call} from {self.checkpoint.file.path!r}")
            except OSError as failure:
                error.add_note(f"interrupted {when}; the checkpoint is an older one: {failure}")


def _copy(arrays: dict[str, NDArray[Any]], into: dict[str, NDArray[Any]]) -> None:
    for name, array in into.items():
        array[...] = arrays[name]


def _check_finite(parameters: Snapshot, epoch: int) -> None:
    fault = parameters.fault()
    if fault is not None:
        raise TrainingDivergedError(
            f"{fault} at the end of epoch {epoch}: the parameters are too large, or a learning rate is", epoch
        )


def _validation_nll(validation: BlockFit, epoch: int) -> float:
    try:
        return validation.nll()
    except FloatingPointError as error:
        raise TrainingDivergedError(f"at the end of epoch {epoch}, on the validation counts, {error}", epoch) from None
