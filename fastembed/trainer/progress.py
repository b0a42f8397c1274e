"""The progress of a fit: the interface `FitProgress`, and bars of its stages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

from fastembed._base.progress import bar, bars


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

    def training(self, estimate: Any) -> object:
        """Receive the estimate of the time and memory of training, before it starts.

        Parameters
        ----------
        estimate : Estimate
            Of the model that is fitted: that of `SkipGram` or of `Classifier`, or the sizes of a `Recommender`.
        """

    def epoch(self, record: dict[str, float]) -> object:
        """Receive the record of a completed epoch; its nll is that of each row before its step.

        Parameters
        ----------
        record : dict
            See `Trainer.fit_counts`.
        """


class ProgressBars:
    """Progress bars of the stages of a fit: reading, counting, epochs. They are drawn inside ``bars(True)`` alone."""

    def __init__(self) -> None:
        self._epochs, self._stage = 0, ""
        self._bar: Any = None

    def reading(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been read: bytes of files, or sequences.

        Parameters
        ----------
        done, total : int
            As for `FitProgress`.
        """
        self._show("reading", done, total)

    def counting(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been counted, in the second pass over it.

        Parameters
        ----------
        done, total : int
            As for `FitProgress`.
        """
        self._show("counting", done, total)

    def training(self, estimate: Any) -> None:
        """Show that training begins. The start of training draws another bar.

        Parameters
        ----------
        estimate : Estimate
            As for `FitProgress`.
        """
        self._epochs = estimate.epochs
        self._show("training", 0, self._epochs, f"{estimate}")

    def epoch(self, record: dict[str, Any]) -> None:
        """Show the number of completed epochs, and the loss of the last one.

        Parameters
        ----------
        record : dict
            As for `FitProgress`.
        """
        held_out = f", held out {record['validation_nll']:.4f}" if "validation_nll" in record else ""
        self._show("training", record["epoch"], self._epochs, loss_of(record) + held_out)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Update the bar of a stage, and remove the bar of the stage before; a finished stage has no bar."""
        if self._bar is None or self._stage != stage:
            self.close()
            self._stage, self._bar = stage, bar(desc=stage, total=total, initial=done)
        self._bar.update(done - self._bar.n)
        if note:
            self._bar.set_postfix_str(note)
        if done == total:
            self.close()


def loss_of(record: dict[str, Any]) -> str:
    """Return the loss of an epoch in words: its nll, or the loss of a classifier.

    Examples
    --------
    >>> loss_of({"nll": 2.5}), loss_of({"loss": 0.25})
    ('nll 2.5000', 'loss 0.2500')
    """
    name = "nll" if "nll" in record else "loss"
    return f"{name} {record[name]:.4f}"


@contextmanager
def reporting(progress: FitProgress | bool | None) -> Iterator[FitProgress | None]:
    """Yield the object to which a fit reports its progress: bars for True.

    Parameters
    ----------
    progress : bool or FitProgress, optional
        The argument of `SkipGram.fit`.

    Raises
    ------
    TypeError
        If `progress` is neither a bool nor None, and lacks a method of `FitProgress`.
    """
    if progress is True:
        with bars(True), closing(ProgressBars()) as shown:
            yield shown
    elif progress is None or progress is False:
        yield None
    else:
        for name in ("reading", "counting", "training", "epoch"):
            if not callable(getattr(progress, name, None)):
                raise TypeError(f"progress must be True or have FitProgress' methods; {progress!r} has no {name}()")
        yield progress
