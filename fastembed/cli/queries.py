"""The commands that ask vectors: ``neighbors`` and ``analogy``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from fastembed.cli import options
from fastembed.cli.output import print_json, print_line, print_scored, scored_record
from fastembed.vectors.neighbors import METHODS
from fastembed.vectors.vectors import Vectors

Query = tuple[list[str], list[str]]  # positive and negative words


def neighbors(arguments: argparse.Namespace) -> None:
    """Print the words nearest to the words given.

    Each WORD is a query of its own, unless --together or --negative makes all of them one: its answer are the words
    nearest to the mean of their unit vectors, those of negative words with a minus. With - in the place of WORD the
    queries are the lines of standard input: the words of a line, between spaces, are one query; those behind a tab
    are its negative words.
    """
    queries = _queries(arguments)
    vectors = options.open_vectors(arguments)
    found = list(_answers(vectors, queries, topn=arguments.topn, restrict=arguments.restrict))
    document = [
        {"positive": positive, "negative": negative, "neighbors": scored_record(near)}
        for (positive, negative), near in zip(queries, found, strict=True)
    ]
    if print_json(arguments, vectors=arguments.vectors, queries=document):
        return
    for (positive, negative), near in zip(queries, found, strict=True):
        print_line(" ".join(positive) + "".join(f" -{word}" for word in negative))
        print_scored(near)


def _queries(arguments: argparse.Namespace) -> list[Query]:
    """Return the queries of the command line, or of standard input."""
    words, negative = arguments.words, arguments.negative
    if words == ["-"]:
        options.refuse(arguments, ("negative", "together"), "the lines of standard input say which words are negative")
        return list(_lines())
    return [(words, negative)] if negative or arguments.together else [([word], []) for word in words]


def _lines() -> Iterator[Query]:
    """Yield the queries of standard input."""
    if sys.stdin is None:
        raise ValueError("there is no standard input to read queries from")
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"standard input is not UTF-8: {error}") from error
    for line in text.replace("\r\n", "\n").split("\n"):
        positive, _, negative = ([word for word in part.split(" ") if word] for part in line.partition("\t"))
        if positive or negative:
            yield positive, negative


def _answers(vectors: Vectors, queries: list[Query], **search: Any) -> Iterator[list[tuple[str, float]]]:
    """Yield the neighbors of each query; one search serves all queries of a single word.

    But where it would cut answers to the shortest one: among so few words, those asked for have one less than others.
    """
    few = search["restrict"] is not None and search["restrict"] <= search["topn"]
    words = [positive[0] for positive, negative in queries if not (few or len(positive) > 1 or negative)]
    batch = iter(zip(*vectors.nearest(words, **search), strict=True))
    for positive, negative in queries:
        if few or len(positive) > 1 or negative:
            yield vectors.most_similar(positive, negative, **search)
        else:
            ids, cosines = next(batch)
            yield [(vectors.tokens[i], float(cosine)) for i, cosine in zip(ids, cosines, strict=True)]


def analogy(arguments: argparse.Namespace) -> None:
    """Print what C is to, if A is to B."""
    a, b, c = arguments.a, arguments.b, arguments.c
    search = {"topn": arguments.topn, "method": arguments.method, "restrict": arguments.restrict}
    found = options.open_vectors(arguments).analogy(a, b, c, **search)
    document = {"a": a, "b": b, "c": c, "method": arguments.method, "answers": scored_record(found)}
    if not print_json(arguments, vectors=arguments.vectors, **document):
        print_line(f"{a} is to {b} as {c} is to")
        print_scored(found)


def add_neighbors(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "neighbors",
        neighbors,
        example="fastembed neighbors model.safetensors king woman --negative man -n 5",
        keys="vectors, queries (a list of positive, negative, neighbors (a list of word, score))",
    )
    options.add_vectors(command)
    command.add_argument("words", nargs="+", metavar="WORD", help="a word, or - for standard input")
    options.add_option(
        command, "--negative", text="words to go away from", default=[], shown="none", nargs="+", metavar="WORD"
    )
    options.add_flag(command, "--together", "take all words as one query")
    options.add_topn(command, 10)
    options.add_restrict(command)


def add_analogy(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "analogy",
        analogy,
        example="fastembed analogy model.safetensors france paris italy",
        keys="vectors, a, b, c, method, answers (a list of word, score)",
    )
    options.add_vectors(command)
    for name in "abc":
        command.add_argument(name, metavar=name.upper(), help=f"the word {name.upper()}")
    add_method(command)
    options.add_topn(command, 5)
    options.add_restrict(command)


def add_method(to: options.Group) -> None:
    """Add how analogies are solved."""
    options.add_option(to, "--method", text="how analogies are solved", default="3CosAdd", choices=list(METHODS))
