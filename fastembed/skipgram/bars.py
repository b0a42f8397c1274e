"""Bars that show the progress of a fit, and the choice between them and the curve of a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastembed.skipgram.curve import LiveCurve, notebook_display
from fastembed.skipgram.estimate import Estimate
from fastembed.skipgram.progress import FitProgress


class ProgressBars:
    """Progress bars of the stages of a fit: reading, counting, epochs.

    Parameters
    ----------
    epochs : int
        The number of epochs to come.
    new_bar : callable
        The class ``tqdm.tqdm``, or one with the same interface.
    """

    def __init__(self, epochs: int, new_bar: Callable[..., Any]) -> None:
        self._epochs, self._new_bar = epochs, new_bar
        self._bar: Any = None

    def reading(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been read: bytes of files, or sequences."""
        self._show("reading", done, total)

    def counting(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been counted, in the second pass over it."""
        self._show("counting", done, total)

    def training(self, estimate: Estimate) -> None:
        """Show that training begins, since the SVD at its start takes a while."""
        self._show("training", 0, self._epochs, f"{estimate}")

    def epoch(self, record: dict[str, Any]) -> None:
        """Show the number of completed epochs, and the loss of the last one."""
        held_out = f", held out {record['validation_nll']:.4f}" if "validation_nll" in record else ""
        self._show("training", record["epoch"], self._epochs, f"nll {record['nll']:.4f}{held_out}")

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Update the bar of a stage, and remove that of the previous stage; a finished stage has no bar."""
        if self._bar is None or self._bar.desc != stage:
            self.close()
            self._bar = self._new_bar(desc=stage, total=total, initial=done, unit_scale=True, leave=False)
        self._bar.update(done - self._bar.n)
        if note:
            self._bar.set_postfix_str(note)
        if done == total:
            self.close()


@contextmanager
def reporting(progress: FitProgress | bool | None, epochs: int) -> Iterator[FitProgress | None]:
    """Yield the object that a fit reports its progress to; True gives a curve in a notebook and bars elsewhere.

    Raises
    ------
    TypeError
        If `progress` is neither a bool nor None, and lacks a method of `FitProgress`.
    """
    if progress is True:
        from tqdm import tqdm

        if display := notebook_display():
            yield LiveCurve(epochs, display)  # the last curve stays
            return
        bars = ProgressBars(epochs, tqdm)
        try:
            yield bars
        finally:
            bars.close()
    elif progress is None or progress is False:
        yield None
    else:
        for name in ("reading", "counting", "training", "epoch"):
            if not callable(getattr(progress, name, None)):
                raise TypeError(f"progress must be True or have FitProgress' methods; {progress!r} has no {name}()")
        yield progress
