"""`FitProgress`: what a fit reports to."""

from __future__ import annotations

from typing import Protocol

from fastembed.skipgram.estimate import Estimate


class FitProgress(Protocol):
    """What `progress=` takes besides True: any object with these methods, which are called while a fit runs.

    What they return is ignored. What they raise ends the fit.

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
        """Receive how much of the corpus has been read to learn its vocabulary.

        Parameters
        ----------
        done, total : int
            Bytes of files, or sequences in memory; `total` is None where it is not known.
        """

    def counting(self, done: int, total: int | None) -> object:
        """Receive how much of the corpus has been read again and counted.

        Parameters
        ----------
        done, total : int
            As for `reading`. Each byte or sequence is read once and counted once, so the total is twice their number.
        """

    def training(self, estimate: Estimate) -> object:
        """Receive the estimate of what training takes, before it starts.

        Parameters
        ----------
        estimate : Estimate
        """

    def epoch(self, record: dict[str, float]) -> object:
        """Receive the record of an epoch that has ended; its nll is that of each row before its step.

        Parameters
        ----------
        record : dict
            See `Trainer.fit_counts`.
        """
