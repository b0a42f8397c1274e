"""What commands print: one JSON document or lines for people on stdout, messages and progress bars on stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from fastembed._base.progress import ProgressBars, bars, loss_of
from fastembed._base.validation import plain, printable, without_password

if TYPE_CHECKING:
    from fastembed.corpus import Ledger

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
def printed_warnings() -> Iterator[None]:
    """Print what the library warns of in one line each, without a place in its code, during a `with` block."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print_message(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield


def print_written(arguments: argparse.Namespace, what: str, read: Ledger | None = None) -> None:
    """Print what was written, and the ledger of what was read, unless --quiet is given."""
    if not arguments.quiet:
        print_line(f"wrote {without_password(arguments.output)}: {what}{f'; {read.summary()}' if read else ''}")


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


# ---------------------------------------------------------------- progress


def shows_bars(arguments: argparse.Namespace) -> bool:
    """Return whether a command draws progress bars: on a terminal, without --quiet, which not every command has."""
    return sys.stderr.isatty() and not getattr(arguments, "quiet", False)


class Progress(ProgressBars):
    """Shows what a fit reports: bars on a terminal, and one line per epoch.

    Parameters
    ----------
    arguments : Namespace
        With --quiet.
    epochs : int
        The number of epochs to come.
    """

    def __init__(self, arguments: argparse.Namespace, epochs: int) -> None:
        super().__init__(epochs)
        self._quiet = arguments.quiet

    def training(self, estimate: Any) -> None:
        """Print the estimate of the work ahead."""
        self._print(f"training {estimate}")
        super().training(estimate)

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the result of an epoch, and show how many are done. The nll is that of each row before its step."""
        held_out = f"   validation nll {record['validation_nll']:.4f}" if "validation_nll" in record else ""
        perplexity = f"   perplexity {record['perplexity']:,.1f}" if "perplexity" in record else ""
        left_out = record.get("left_out")  # documents, while a classifier learns how its scores become probabilities
        of = f", {left_out:,} documents left out" if left_out else f" of {self._epochs}"
        self._print(
            f"epoch {record['epoch']:>2}{of}   {loss_of(record)}{perplexity}{held_out}   {record['seconds']:.1f} s"
        )
        super().epoch(record)

    def _print(self, line: str) -> None:
        """Print a line above the bar, and flush it: the reader of a pipe wants it now."""
        if not self._quiet:
            try:
                tqdm.write(line)
                sys.stdout.flush()
            except OSError:  # a closed pipe or a full disk is no reason to lose the training
                self._quiet = True


@contextmanager
def showing(arguments: argparse.Namespace, epochs: int = 0) -> Iterator[Progress]:
    """Yield what shows the progress of a fit, with the bars of its start and of the blocks of its epochs."""
    with bars(shows_bars(arguments)), closing(Progress(arguments, epochs)) as progress:
        yield progress
