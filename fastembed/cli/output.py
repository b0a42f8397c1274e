"""What commands print: one JSON document or lines for people on stdout, messages and progress bars on stderr."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shlex
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

from fastembed._base.progress import ProgressBars, bar_class, bars, loss_of
from fastembed._base.validation import plain, printable, without_password
from fastembed.cli.options import option_of

if TYPE_CHECKING:
    from fastembed.corpus import Ledger

TOLD_BYTES = 1 << 26  # of text, whose reading is told of where no bar shows it
TIMED_OPERATIONS = 1 << 38  # of a training that is said to take how many seconds: it takes .2 s to measure

MOST_NAMED = 10  # unknown words that one line names


def print_json(arguments: argparse.Namespace, **document: Any) -> bool:
    """Print the document if --json asks for one, and return whether it did."""
    if arguments.json:
        print(json.dumps(plain(document, none_for_nan=True), indent=2))
    return bool(arguments.json)


def print_line(line: str) -> None:
    """Print a line for people, with invisible characters escaped, to a pipe as to a terminal."""
    print(printable(line))


def print_message(text: str) -> None:
    """Print a line on stderr, which begins with its kind, such as "error: "."""
    print(printable(without_password(f"fastembed: {text}")), file=sys.stderr)


def in_options(text: str, parser: argparse.ArgumentParser) -> str:
    """Return a message of the library with a command's options in place of arguments, as in "dim=3" and "dim must be".

    What is between parentheses is Python.

    Examples
    --------
    >>> from fastembed.cli import build_parser
    >>> parser = build_parser("train").parse_args(["train", "a.txt"]).parser
    >>> in_options("sample must be above 0, or sample=None: Reading(words=True)", parser)
    '--sample must be above 0, or --sample none: Reading(words=True)'
    """
    known = {action.dest: action.nargs == 0 for action in parser._actions if action.option_strings}

    def option(found: re.Match[str]) -> str:
        name, value = found[1] or found[3], (found[2] or "").strip("'")
        if name not in known:
            return found[0]
        if known[name] and value in ("True", "False"):
            return option_of(name).replace("--", "--no-" if value == "False" else "--")
        given = "none" if value == "None" else value if value == "..." else shlex.quote(value) * bool(value)
        return f"{option_of(name)} {given}".rstrip()

    text = re.sub(r"\w\([^()]*\)|\b(\w+)=('[^']*'|\.\.\.|[\w.+-]*\w)|^(\w+)(?= must )", option, text)
    return re.sub(r"(--[\w-]+ (?:'[^']*'|\S+)), (?=--)", r"\1 ", text)


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fspath(error.filename)!r}: {error.strerror}"
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def print_unknown(messages: Sequence[str]) -> int:
    """Print one line on stderr about all words or items that are unknown, and return the exit code."""
    if messages:
        more = f"; and {len(messages) - MOST_NAMED:,} more" if len(messages) > MOST_NAMED else ""
        print_message(f"error: {'; '.join(messages[:MOST_NAMED])}{more}")
    return int(bool(messages))


@contextmanager
def printed_warnings(arguments: argparse.Namespace) -> Iterator[None]:
    """Print what the library warns of in one line each, without a place in its code, during a `with` block."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print_message(f"warning: {in_options(str(message), arguments.parser)}")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield


def print_written(arguments: argparse.Namespace, what: str, read: Ledger | None = None, **document: Any) -> None:
    """Print what was written, and the ledger of what was read: as JSON, as a line, or not at all."""
    output = without_password(arguments.output)
    if getattr(arguments, "json_lines", False):  # which not every command has
        print(json.dumps(plain({"event": "written", "output": output, **document}, none_for_nan=True)))
    elif not print_json(arguments, output=output, **document) and not arguments.quiet:
        print_line(f"wrote {output}: {what}{f'; {read.summary()}' if read else ''}")


def estimate_record(estimate: Any) -> dict[str, Any]:
    """Return an estimate of a training as JSON holds it."""
    return {"flops": estimate.flops, "memory": estimate.memory}


def print_estimate(arguments: argparse.Namespace, estimate: Any) -> None:
    """Print what a training would take, for --dry-run."""
    seconds = estimate.seconds()
    if not print_json(arguments, estimate=estimate_record(estimate) | {"seconds": seconds}):
        print_line(f"training would take {estimate}, in about {seconds:,.1f} s if nothing else runs")


def print_scored(scored: Iterable[tuple[str, float]]) -> None:
    """Print tokens and their scores, one per line."""
    for token, score in scored:
        print(f"  {printable(token):<24}{score:8.4f}")


def scored_record(scored: Iterable[tuple[str, float]]) -> list[dict[str, Any]]:
    """Return tokens and their scores as JSON holds them.

    Examples
    --------
    >>> scored_record([("man", 0.5)])
    [{'word': 'man', 'score': 0.5}]
    """
    return [{"word": word, "score": score} for word, score in scored]


class DryRunEnded(Exception):
    """Ends a training with --dry-run before its first step."""


class Progress(ProgressBars):
    """Shows what `SkipGram.fit` reports: bars on a terminal, and one line per epoch, for people or as JSON.

    Parameters
    ----------
    arguments : Namespace
        With --quiet, --json and --json-lines, as far as the command has them.
    epochs : int
        The number of epochs to come.
    """

    def __init__(self, arguments: argparse.Namespace, epochs: int) -> None:
        quiet = getattr(arguments, "quiet", True)
        self._dry = getattr(arguments, "dry_run", False)
        self._as_json = getattr(arguments, "json_lines", False)
        self._lines = self._as_json or not (quiet or arguments.json)
        super().__init__(epochs, None if quiet or not sys.stderr.isatty() else bar_class())
        self._long, self._said = False, {"blocks"}  # a line for each epoch tells of these
        self.estimate: Any = None
        self._began = math.inf  # the start, which comes once
        self._inner = ExitStack()

    def __enter__(self) -> Self:
        # Those of the start, and of the blocks of an epoch
        self._inner.enter_context(bars(self._new_bar is not None or (lambda phase: self._long and self._say(phase))))
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.close()
        self.close()

    def training(self, estimate: Any) -> None:
        """Keep the estimate of the work ahead, and print it."""
        self.estimate, self._epochs, self._began = estimate, estimate.epochs, perf_counter()
        if self._dry:
            raise DryRunEnded
        self._long = getattr(estimate, "flops", 0) > TIMED_OPERATIONS
        about = f", in about {estimate.seconds():,.0f} s if nothing else runs" if self._lines and self._long else ""
        self._print(f"training {estimate}{about}", "training", epochs=self._epochs, estimate=estimate)
        super().training(estimate)

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the result of an epoch, and show how many are done. The nll is that of each row before its step."""
        held_out = f"   validation nll {record['validation_nll']:.4f}" if "validation_nll" in record else ""
        perplexity = f"   perplexity {record['perplexity']:,.1f}" if "perplexity" in record else ""
        left_out = record.get("left_out")  # documents, while a classifier learns how its scores become probabilities
        of = f", {left_out:,} documents left out" if left_out else f" of {self._epochs}"
        start = perf_counter() - self._began - record["seconds"]
        self._began = math.inf
        if start >= 2:
            self._print(f"start   {start:.1f} s", "start", seconds=start)
        self._print(
            f"epoch {record['epoch']:>2}{of}   {loss_of(record)}{perplexity}{held_out}   {record['seconds']:.1f} s",
            "epoch",
            **record,
        )
        super().epoch(record)

    def kept(self, epoch: int, epochs: int) -> None:
        """Print which epoch's parameters early stopping has kept."""
        self._print(f"kept epoch {epoch} of {epochs}", "kept", epoch=epoch, epochs=epochs)

    def _show(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        super()._show(stage, done, total, note)
        if (total or 0) > TOLD_BYTES:
            self._say(stage)

    def _say(self, phase: str) -> None:
        """Print once what a long work is at, if no bar shows it."""
        if not (self._new_bar or phase in self._said):
            self._said.add(phase)
            self._print(f"{phase} ...", "phase", phase=phase)

    def _print(self, text: str, event: str, **values: Any) -> None:
        """Print an event above the bar, and flush it: the reader of a pipe wants it now."""
        if self._lines:
            line = json.dumps(plain({"event": event, **values}, none_for_nan=True)) if self._as_json else text
            try:
                tqdm.write(line, nolock=True)  # a Ctrl-C between its lock and its `finally` would be another error
                sys.stdout.flush()
            except OSError:  # a closed pipe or a full disk is no reason to lose the training
                self._lines = False
