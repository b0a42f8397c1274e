"""``fastembed neighbors``: the words nearest to words."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from typing import Any

from fastembed.cli import options
from fastembed.cli.arguments import open_vectors, open_words, reject, stdin_lines
from fastembed.cli.output import (
    composed_record,
    print_composed,
    print_error,
    print_json,
    print_line,
    print_scored,
    scored_record,
)
from fastembed.vectors import Vectors

Query = tuple[list[str], list[str]]  # positive and negative words


def run(arguments: argparse.Namespace) -> int:
    """Print the words nearest to the words given.

    Each WORD is a query of its own. With --together or --negative all of them are one query: the answer is the words
    nearest to the mean of their unit vectors, those of the negative words subtracted. With - in place of WORD the
    queries are the lines of standard input: the words of a line, between spaces, are one query; words after a tab are
    negative.

    Words are read as the text of a model was: after `train --lowercase`, "Paris" asks for "paris". Where VECTORS hold
    character n-grams, the vector of a word that they lack is composed of these, which stderr says. A query with any
    other word that VECTORS lack has no answer: it is named on stderr, the others are answered, and the exit code is 1.
    """
    vectors = open_vectors(arguments)
    token = open_words(arguments, vectors)
    queries = [(list(map(token, positive)), list(map(token, negative))) for positive, negative in _queries(arguments)]
    unknown = [_unknown(vectors, query) for query in queries]
    known = [query for query, error in zip(queries, unknown, strict=True) if error is None]
    found = list(_answers(vectors, known, topn=arguments.topn, restrict=arguments.restrict))
    for error in filter(None, unknown):
        print_error(error)
    document = [
        {"positive": positive, "negative": negative, "neighbors": scored_record(near)}
        for (positive, negative), near in zip(known, found, strict=True)
    ]
    composed = composed_record(vectors, chain.from_iterable(chain(*query) for query in known))
    messages = list(filter(None, unknown))
    if not print_json(arguments, vectors=arguments.vectors, queries=document, composed=composed, unknown=messages):
        print_composed(composed)
        for (positive, negative), near in zip(known, found, strict=True):
            print_line(" ".join(positive) + "".join(f" -{word}" for word in negative))
            print_scored(near)
    return int(any(unknown))


def _unknown(vectors: Vectors, query: Query) -> str | None:
    """Return the message for the first word of a query that is unknown."""
    for word in chain(*query):
        if word not in vectors:
            try:
                vectors[word]
            except KeyError as error:
                return str(error.args[0])
    return None


def _queries(arguments: argparse.Namespace) -> list[Query]:
    """Return the queries of the command line, or of standard input."""
    words, negative = arguments.words, arguments.negative
    if words == ["-"]:
        reject(arguments, ("negative", "together"), "the lines of standard input say which words are negative")
        return list(_queries_of_stdin())
    return [(words, negative)] if negative or arguments.together else [([word], []) for word in words]


def _queries_of_stdin() -> Iterator[Query]:
    for line in stdin_lines():
        positive, _, negative = ([word for word in part.split(" ") if word] for part in line.partition("\t"))
        if positive or negative:
            yield positive, negative


def _answers(vectors: Vectors, queries: list[Query], **search: Any) -> Iterator[list[tuple[str, float]]]:
    """Yield the neighbors of each query. All queries of a single word share one search.

    The exception is a search restricted to `topn` words or fewer: `nearest` cuts all answers to the length of the
    shortest, and a query among the words searched has one neighbor fewer than others.
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


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "neighbors",
        run,
        example="fastembed neighbors model.safetensors king woman --negative man -n 5",
        keys="vectors, queries (a list of positive, negative, neighbors (a list of word, score)), composed (a list "
        "of word, ngrams (a list of ngram, share)), unknown (a list)",
    )
    options.add_vectors(command)
    command.add_argument("words", nargs="+", metavar="WORD", help="a word, or - for standard input")
    options.add_option(
        command, "--negative", text="words to subtract", default=[], shown="none", nargs="+", metavar="WORD"
    )
    options.add_flag(command, "--together", "take all words as one query")
    options.add_topn(command, 10)
    options.add_restrict(command)
