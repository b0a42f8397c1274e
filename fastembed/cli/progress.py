"""The progress of training and counting: bars where a person looks on, and a line an epoch."""

from __future__ import annotations

import sys
from typing import Any, Self

from tqdm import tqdm

from fastembed.skipgram.estimate import Estimate


class Progress:
    """What `SkipGram.fit` reports to.

    Parameters
    ----------
    lines : bool
        Whether a line an epoch goes to stdout.
    bars : bool
        Whether bars are drawn on stderr; they are only if it is a terminal.
    epochs : int
        How many there will be.
    """

    def __init__(self, *, lines: bool, bars: bool, epochs: int) -> None:
        self._lines = lines
        self._bars = bars and sys.stderr.isatty()
        self._epochs = epochs
        self._bar: tqdm[Any] | None = None
        self.estimate: Estimate | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def reading(self, done: int, total: int | None) -> None:
        """Show how much of the corpus is read: bytes of files, or sequences."""
        self._show("reading", done, total)

    def counting(self, done: int, total: int | None) -> None:
        """Show how much of the corpus is counted: it is read once more, and then counted."""
        self._show("counting", done, total)

    def training(self, estimate: Estimate) -> None:
        """Keep what training will take, and print it."""
        self.estimate = estimate
        self._print(f"training {estimate}")

    def epoch(self, record: dict[str, Any]) -> None:
        """Print what an epoch came to, and show how many are done."""
        held_out = f"   validation nll {record['validation_nll']:.4f}" if "validation_nll" in record else ""
        self._print(
            f"epoch {record['epoch']:>2} of {self._epochs}   nll {record['nll']:.4f}   "
            f"perplexity {record['perplexity']:,.1f}{held_out}   {record['seconds']:.1f} s"
        )
        self._show("epochs", record["epoch"], self._epochs)

    def _print(self, line: str) -> None:
        """Print a line above the bar, at once: whoever reads a pipe wants it now."""
        if self._lines:
            try:
                tqdm.write(line)
                sys.stdout.flush()
            except OSError:  # nobody reads it, or a disk is full: no reason to lose what is being learned
                self._lines = False

    def _show(self, stage: str, done: int, total: int | None) -> None:
        """Move the bar of a stage, after taking away that of the stage before; a finished stage has no bar."""
        if not self._bars:
            return
        if self._bar is None or self._bar.desc != stage:
            self._close()
            self._bar = tqdm(desc=stage, total=total, initial=done, unit_scale=True, leave=False)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
