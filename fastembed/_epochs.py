"""The epochs of a fit: records, callbacks, and parameters that are good whatever happens."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

import numpy as np

from fastembed._blocks import BlockFit
from fastembed._errors import TrainingDivergedError
from fastembed._snapshot import Snapshot

LARGEST_EXPONENT = math.log(sys.float_info.max)
Record = dict[str, float]


def run_epochs(
    fit: BlockFit, epochs: int, rng: np.random.Generator, on_epoch_end: Callable[[Record], object] | None
) -> list[Record]:
    """Train for some epochs, or until `on_epoch_end` returns a true value; return the epochs' records.

    Parameters that are not finite are put back to those at the end of the last epoch that was finished, or at the
    start; an exception for another reason, such as a Ctrl-C, leaves the steps made so far.
    """
    history: list[Record] = []
    good = Snapshot(fit.parameters)
    try:
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            nll = fit.epoch(epoch, rng)
            fault = good.fault()
            if fault is not None:
                raise TrainingDivergedError(
                    f"{fault} at the end of epoch {epoch}: the parameters are too large, or a learning rate is", epoch
                )
            good.take()
            history.append(
                {
                    "epoch": epoch,
                    "nll": nll,
                    "perplexity": math.exp(nll) if nll < LARGEST_EXPONENT else math.inf,
                    "learning_rate": fit.learning_rate_after(epoch),
                    "seconds": time.perf_counter() - start,
                }
            )
            if on_epoch_end is not None and on_epoch_end(history[-1]):
                break
    except BaseException as error:
        if isinstance(error, TrainingDivergedError) or good.fault() is not None:
            good.restore()
        raise
    return history
