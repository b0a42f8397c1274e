"""`Run`: how a training runs. The public method makes it once, by `running`; what computes takes it as an argument."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from fastembed._base.memory import check_memory_limit
from fastembed._base.threads import Pool, SingleThreadedBlas, check_threads
from fastembed._base.validation import shown
from fastembed._kernels.cpu import DefaultFloatMode
from fastembed.trainer.checkpoint import check_checkpoint
from fastembed.trainer.progress import FitProgress, reporting
from fastembed.trainer.ranks import Ranks

Record = dict[str, float]
EpochEnd = Callable[[Record], object]
Show = Callable[[list[Record]], object]  # called with the records of all epochs so far


@dataclass(frozen=True, eq=False)
class Run:
    """How a training runs; it does not change what is computed.

    Attributes
    ----------
    pool : Pool
        The threads.
    blas : SingleThreadedBlas
        Holds BLAS to one thread, but not in the callback.
    estimator : Trainer or Estimator
        What is trained.
    ranks : Ranks
        The processes that train together.
    memory_limit : int or None
        Limit on the memory of the process in bytes.
    progress : FitProgress or None
        Receives the progress; None on other ranks than 0.
    checkpoint : str or None
        The file that is written after each epoch; None on other ranks than 0.
    on_epoch_end : callable or None
        The callback of the user, called with the record of each epoch.
    """

    pool: Pool
    blas: SingleThreadedBlas = field(default_factory=SingleThreadedBlas)
    estimator: Any = None
    ranks: Ranks = field(default_factory=Ranks)
    memory_limit: int | None = None
    progress: FitProgress | None = None
    checkpoint: str | None = None
    on_epoch_end: EpochEnd | None = None

    @property
    def must_agree(self) -> bool:
        """Whether data and options must agree with the data and options of other ranks, or of a checkpoint."""
        return self.ranks.size > 1 or self.checkpoint is not None

    def show(self, model: Any) -> None:
        """Give the estimator a model, which the callback sees."""
        self.estimator._model = model

    def epoch_ended(self, history: list[Record], show: Show | None = None) -> bool:
        """Report the last record, and call the callback, on rank 0; return on all ranks whether that ends training.

        Before the callback, `show` gives the estimator the model of the epoch, by `Run.show`.
        """
        record, ends = history[-1], False
        if self.progress is not None:
            self.progress.epoch(record)
        if self.ranks.first and self.on_epoch_end is not None:
            if show is not None:
                show(history)
            with self.blas.lifted():
                answer = self.on_epoch_end(dict(record))
                ends = isinstance(answer, bool | np.bool_) and bool(answer)
        return self.ranks.shared(ends)


@contextmanager
def running(
    estimator: Any,
    *,
    memory_limit: int | None = None,
    progress: FitProgress | bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    on_epoch_end: EpochEnd | None = None,
    comm: Any = None,
) -> Iterator[Run]:
    """Yield the `Run` of a training, whose `with` block trains the estimator.

    In the block BLAS has one thread, and this thread has the default mode of floating-point numbers, so that results
    depend on neither. After an exception a fitted estimator has its model from before. `Ranks.together` says what an
    exception on one of several ranks does.

    Parameters
    ----------
    estimator : Trainer or Estimator
        With a number of `threads`.
    memory_limit, progress, checkpoint, on_epoch_end, comm
        As for `SkipGram.fit`.

    Raises
    ------
    TypeError, ValueError, OSError
        If an argument is not as documented.
    RuntimeError
        If the estimator is in a fit.
    """
    ranks, token, model = Ranks(comm), object(), getattr(estimator, "_model", None)
    try:
        with ranks.together(), DefaultFloatMode(), reporting(ranks.first and progress) as report:
            if on_epoch_end is not None and not callable(on_epoch_end):
                raise TypeError(f"on_epoch_end must be callable, got {shown(on_epoch_end)}")
            if memory_limit is not None:
                check_memory_limit(memory_limit)
            pool = Pool(check_threads(estimator.threads))
            path = check_checkpoint(checkpoint) if checkpoint is not None and ranks.first else None
            import_module("scipy.linalg.cython_blas")  # so that SingleThreadedBlas finds SciPy's BLAS
            if vars(estimator).setdefault("_fitting", token) is not token:  # in one step: of two threads one gets it
                kind = type(estimator).__name__
                raise RuntimeError(f"this {kind} is in a fit: on_epoch_end and other threads can fit another {kind}")
            with SingleThreadedBlas() as blas:
                yield Run(pool, blas, estimator, ranks, memory_limit, report, path, on_epoch_end)
    except BaseException:
        if model is not None and vars(estimator).get("_fitting") is token:  # unless another fit has the estimator
            estimator._model = model
        raise
    finally:
        if vars(estimator).get("_fitting") is token:
            del estimator._fitting
