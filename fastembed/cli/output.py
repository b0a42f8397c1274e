"""What goes to stdout: one JSON document, or lines for people."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from fastembed._base.printable import printable
from fastembed.corpus.ledger import Ledger


def print_json(arguments: argparse.Namespace, **document: Any) -> bool:
    """Print the document if --json asks for one, and return whether it did."""
    if arguments.json:
        print(json.dumps(plain(document), allow_nan=False, indent=2))
    return bool(arguments.json)


def print_line(line: str) -> None:
    """Print a line for people, with whatever tokens and files are called in it: to a pipe the same as to a terminal."""
    print(printable(line))


def print_warning(text: str) -> None:
    """Print what a person should know of a result, on stderr."""
    print(printable(f"fastembed: warning: {text}"), file=sys.stderr)


def print_written(arguments: argparse.Namespace, what: str, read: Ledger | None = None, **document: Any) -> None:
    """Print what was written, and what became of all that was read: as JSON, as a line, or not at all."""
    if not print_json(arguments, output=arguments.output, **document) and not arguments.quiet:
        print_line(f"wrote {arguments.output}: {what}{f'; {read.summary()}' if read else ''}")


def print_scored(scored: Iterable[tuple[str, float]]) -> None:
    """Print tokens and their scores, one a line."""
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


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: None for NaN and infinities, in whatever they are.

    Examples
    --------
    >>> plain({"accuracy": float("nan"), "sections": (0.5,)})
    {'accuracy': None, 'sections': [0.5]}
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
