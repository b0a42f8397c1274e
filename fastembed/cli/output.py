"""What goes to stdout: one JSON document, or lines for people."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fastembed._base.validation import plain, printable
from fastembed.corpus import FileCorpus, Ledger
from fastembed.corpus.corpus import advice
from fastembed.skipgram import Estimate, SkipGram
from fastembed.vectors import Vectors

SHOWN_NGRAMS = 5  # n-grams that are printed of a composed word: those with the largest shares
MODEL_KEYS = (
    "output, words, dim, contexts, parameters, estimate (flops, memory), history (a list of records), best_epoch, "
    "ledger"
)


def print_json(arguments: argparse.Namespace, **document: Any) -> bool:
    """Print the document if --json asks for one, and return whether it did."""
    if arguments.json:
        print(json.dumps(plain(document, none_for_nan=True), indent=2))
    return bool(arguments.json)


def print_line(line: str) -> None:
    """Print a line for people, with invisible characters escaped, to a pipe as to a terminal."""
    print(printable(line))


def print_error(text: str) -> None:
    """Print on stderr what has failed."""
    print(printable(f"fastembed: error: {text}"), file=sys.stderr)


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fspath(error.filename)!r}: {error.strerror}"
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def print_warning(text: str) -> None:
    """Print a warning about the result on stderr."""
    print(printable(f"fastembed: warning: {text}"), file=sys.stderr)


@contextmanager
def printed_warnings() -> Iterator[None]:
    """Print what the library warns of in one line each, without a place in its code, during a `with` block."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print_warning(str(message))
        yield


def print_note(text: str) -> None:
    """Print on stderr what helps to read the answer."""
    print(printable(f"fastembed: note: {text}"), file=sys.stderr)


def print_composed(composed: Iterable[dict[str, Any]]) -> None:
    """Print on stderr which words have a vector that was composed, and of which n-grams above all."""
    for record in composed:
        ngrams = sorted(record["ngrams"], key=lambda each: -abs(each["share"]))
        shown = ", ".join(f"{each['ngram']} ({each['share']:.2f})" for each in ngrams[:SHOWN_NGRAMS])
        more = f" and {len(ngrams) - SHOWN_NGRAMS} more" if len(ngrams) > SHOWN_NGRAMS else ""
        print_note(f"{record['word']!r} is not among the words; its vector was composed of its n-grams {shown}{more}")


def composed_record(vectors: Vectors, words: Iterable[str]) -> list[dict[str, Any]]:
    """Return as JSON holds it which of some words have a vector composed of n-grams, and their shares of it.

    Examples
    --------
    >>> import numpy as np
    >>> composed_record(Vectors(["a"], np.eye(1)), ["a"])
    []
    """
    unknown = [word for word in dict.fromkeys(words) if word not in vectors]
    return [
        {"word": word, "ngrams": [{"ngram": ngram, "share": share} for ngram, share in vectors.subwords(word)]}
        for word in unknown
    ]


def print_advice(arguments: argparse.Namespace, corpus: FileCorpus) -> None:
    """Print on stderr which options would read a text better, unless --quiet asks for nothing."""
    if not arguments.quiet and (text := advice(corpus)):
        print(printable(f"fastembed: hint: {text}"), file=sys.stderr)


def print_written(arguments: argparse.Namespace, what: str, read: Ledger | None = None, **document: Any) -> None:
    """Print what was written, and the ledger of what was read: as JSON, as a line, or not at all."""
    if getattr(arguments, "json_lines", False):  # which not every command has
        print(json.dumps(plain({"event": "written", "output": arguments.output, **document}, none_for_nan=True)))
    elif not print_json(arguments, output=arguments.output, **document) and not arguments.quiet:
        print_line(f"wrote {arguments.output}: {what}{f'; {read.summary()}' if read else ''}")


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


def model_record(model: SkipGram, estimate: Estimate | None) -> dict[str, Any]:
    """Return what is known of a trained model as JSON holds it: all of `MODEL_KEYS` but the output."""
    return {
        "words": len(model.vocabulary),
        "dim": model.vectors.matrix.shape[1],
        "contexts": model.max_contexts_,
        "parameters": model.get_params(),
        "estimate": estimate and {"flops": estimate.flops, "memory": estimate.memory},
        "history": model.history,
        "best_epoch": model.best_epoch_,
        "ledger": model.ledger,
    }
