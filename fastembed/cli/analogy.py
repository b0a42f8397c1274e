"""``fastembed analogy``: A is to B as C is to what."""

from __future__ import annotations

import argparse

from fastembed.cli import options
from fastembed.cli.arguments import open_vectors, open_words
from fastembed.cli.output import (
    composed_record,
    print_composed,
    print_json,
    print_line,
    print_scored,
    scored_record,
)


def run(arguments: argparse.Namespace) -> None:
    """Print the words to which C is as A is to B.

    Where VECTORS hold character n-grams, the vector of a word that they lack is composed of these, which stderr says.
    """
    vectors = open_vectors(arguments)
    a, b, c = map(open_words(arguments, vectors), (arguments.a, arguments.b, arguments.c))
    search = {"topn": arguments.topn, "method": arguments.method, "restrict": arguments.restrict}
    found = vectors.analogy(a, b, c, **search)
    document = {"a": a, "b": b, "c": c, "method": arguments.method, "answers": scored_record(found)}
    composed = composed_record(vectors, (a, b, c))
    if not print_json(arguments, vectors=arguments.vectors, **document, composed=composed):
        print_composed(composed)
        print_line(f"{a} is to {b} as {c} is to")
        print_scored(found)


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "analogy",
        run,
        example="fastembed analogy model.safetensors france paris italy",
        keys="vectors, a, b, c, method, answers (a list of word, score), composed (a list of word, ngrams (a list of "
        "ngram, share))",
    )
    options.add_vectors(command)
    for name in "abc":
        command.add_argument(name, metavar=name.upper(), help=f"the word {name.upper()}")
    options.add_method(command)
    options.add_topn(command, 5)
    options.add_restrict(command)
