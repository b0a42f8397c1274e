"""`FitProgress`: the interface for progress reports of a fit."""

from __future__ import annotations

from typing import Protocol

from fastembed.skipgram.estimate import Estimate


class FitProgress(Protocol):
    """The interface of an object that is passed as `progress=` and receives the progress of a fit.

    The return values of its methods are ignored. An exception that a method raises ends the fit.

    Examples
    --------
    >>> from fastembed import SkipGram
    >>> class Log:
    ...     def reading(self, done, total): ...
    ...     def counting(self, done, total): ...
    ...     def training(self, estimate):
    ...         print(f"{estimate.inputs} words, {estimate.nnz} counts")
    ...     def epoch(self, record):
    ...         print("epoch", record["epoch"])
    >>> model = SkipGram(dim=2, min_count=1, epochs=2, threads=1).fit(["a b", "b c"], progress=Log())
    3 words, 4 counts
    epoch 1
    epoch 2
    """

    def reading(self, done: int, total: int | None) -> object:
        """Receive how much of the corpus has been read for the vocabulary.

        Parameters
        ----------
        done, total : int
            Bytes of files, or sequences in memory; `total` is None if not known.
        """

    def counting(self, done: int, total: int | None) -> object:
        """Receive how much of the corpus has been counted in the second pass.

        Parameters
        ----------
        done, total : int
            As for `reading`. Each byte or sequence is read once and counted once, so the total is twice their number.
        """

    def training(self, estimate: Estimate) -> object:
        """Receive the estimate of the time and memory of training, before it starts.

        Parameters
        ----------
        estimate : Estimate
        """

    def epoch(self, record: dict[str, float]) -> object:
        """Receive the record of a completed epoch; its nll is that of each row before its step.

        Parameters
        ----------
        record : dict
            See `Trainer.fit_counts`.
        """
