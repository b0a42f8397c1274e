"""The progress of reading, counting and training: bars on a terminal, and one line per epoch, for people or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Self

from tqdm import tqdm

from fastembed._base.validation import plain
from fastembed.skipgram.estimate import Estimate
from fastembed.skipgram.progress import ProgressBars


class Progress:
    """Receives what `SkipGram.fit` reports.

    Parameters
    ----------
    lines : bool
        Whether one line per epoch goes to stdout.
    bars : bool
        Whether bars are drawn on stderr, if it is a terminal.
    epochs : int
        The number of epochs to come.
    as_json : bool
        Whether each line is a JSON object with the key "event".
    """

    def __init__(self, *, lines: bool, bars: bool, epochs: int, as_json: bool = False) -> None:
        self._lines = lines or as_json
        self._as_json = as_json
        self._epochs = epochs
        self._bars = ProgressBars(epochs, tqdm) if bars and sys.stderr.isatty() else None
        self.estimate: Estimate | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace, epochs: int) -> Self:
        """Return what --quiet, --json and --json-lines ask for."""
        as_json = getattr(arguments, "json_lines", False)  # which not every command has
        quiet = arguments.quiet
        return cls(lines=not (quiet or arguments.json), bars=not quiet, epochs=epochs, as_json=as_json)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.close()

    def reading(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been read: bytes of files, or sequences."""
        if self._bars:
            self._bars.reading(done, total)

    def counting(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been counted, in the second pass over it."""
        if self._bars:
            self._bars.counting(done, total)

    def training(self, estimate: Estimate) -> None:
        """Keep the estimate of the work ahead, and print it."""
        self.estimate = estimate
        self._print(f"training {estimate}", "training", epochs=self._epochs, estimate=estimate)
        if self._bars:
            self._bars.training(estimate)

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the result of an epoch, and show how many are done. The nll is that of each row before its step."""
        held_out = f"   validation nll {record['validation_nll']:.4f}" if "validation_nll" in record else ""
        self._print(
            f"epoch {record['epoch']:>2} of {self._epochs}   nll {record['nll']:.4f}   "
            f"perplexity {record['perplexity']:,.1f}{held_out}   {record['seconds']:.1f} s",
            "epoch",
            **record,
        )
        if self._bars:
            self._bars.epoch(record)

    def going_on(self, epochs: int, checkpoint: str) -> None:
        """Print that training goes on from a checkpoint, at which some epochs had ended."""
        text = f"going on from {checkpoint}: {epochs} of {self._epochs} epochs are done"
        self._print(text, "going on", checkpoint=checkpoint, epochs_done=epochs, epochs=self._epochs)

    def kept(self, epoch: int, epochs: int) -> None:
        """Print which epoch's parameters early stopping has kept."""
        self._print(f"kept epoch {epoch} of {epochs}", "kept", epoch=epoch, epochs=epochs)

    def _print(self, text: str, event: str, **values: Any) -> None:
        """Print an event above the bar, and flush it: the reader of a pipe wants it now."""
        if self._lines:
            line = json.dumps(plain({"event": event, **values}, none_for_nan=True)) if self._as_json else text
            try:
                tqdm.write(line, nolock=True)  # a Ctrl-C between its lock and its `finally` would be another error
                sys.stdout.flush()
            except OSError:  # a closed pipe or a full disk is no reason to lose the training
                self._lines = False
