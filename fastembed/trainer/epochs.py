"""The epochs of a fit: records, callbacks, early stopping, and parameters that are good whatever happens."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

import numpy as np

from fastembed._base.errors import TrainingDivergedError
from fastembed._base.validation import is_true
from fastembed.trainer.blocks import BlockFit
from fastembed.trainer.snapshot import Snapshot

LARGEST_EXPONENT = math.log(sys.float_info.max)
Record = dict[str, float]


def run_epochs(
    fit: BlockFit,
    rng: np.random.Generator,
    validation: BlockFit | None = None,
    on_epoch_end: Callable[[Record], object] | None = None,
) -> list[Record]:
    """Train for the epochs of the fit's options, or until `on_epoch_end` returns True; return their records.

    With `n_iter_no_change`, training also ends when the nll of `validation` has not fallen for so many epochs. However
    it ends, the parameters are then those after the epoch at which that nll was lowest, whose record alone is `kept`.

    Parameters that are not finite are put back to those at the end of the last finished epoch, or at the start; an
    exception for another reason, such as a Ctrl-C, leaves the steps made so far.
    """
    patience, trained = fit.options.n_iter_no_change, fit.parameters.trained
    history: list[Record] = []
    good = Snapshot(trained, fit.pool)
    best = Snapshot(trained, fit.pool) if patience is not None else None
    best_epoch, lowest = 0, math.inf
    try:
        if not fit.options.warm_start:
            fit.parameters.reset_squares()  # after the last large allocation, which may fail
            good.take()
        for epoch in range(1, fit.options.epochs + 1):
            record = _epoch(fit, epoch, rng)
            _check_finite(good, epoch)
            if validation is not None:
                record["validation_nll"] = _validation_nll(validation, epoch)
            good.take()
            history.append(record)
            if best is not None and record["validation_nll"] < lowest:
                best_epoch, lowest = epoch, record["validation_nll"]
                best.take()
            stop = on_epoch_end is not None and is_true(on_epoch_end(record))
            if stop or (patience is not None and epoch - best_epoch >= patience):
                break
        if best is not None:
            best.restore()
            for record in history:
                record["kept"] = record["epoch"] == best_epoch
    except BaseException as error:
        for each in (fit, validation):
            if each is not None:
                each.close()
        if isinstance(error, TrainingDivergedError) or good.fault() is not None:
            good.restore()
        raise
    return history


def _epoch(fit: BlockFit, epoch: int, rng: np.random.Generator) -> Record:
    start = time.perf_counter()
    nll = fit.epoch(epoch, rng)
    return {
        "epoch": epoch,
        "nll": nll,
        "perplexity": math.exp(nll) if nll < LARGEST_EXPONENT else math.inf,
        "learning_rate": fit.learning_rate_after(epoch),
        "seconds": time.perf_counter() - start,
    }


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
