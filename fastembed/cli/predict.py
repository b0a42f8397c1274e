"""``fastembed predict``: the most probable contexts of words, or items beside those of a basket."""

from __future__ import annotations

import argparse
from itertools import chain

from fastembed.cli import options
from fastembed.cli.arguments import open_model, stdin_lines
from fastembed.cli.output import print_error, print_json, print_line, print_scored, scored_record


def run(arguments: argparse.Namespace) -> int:
    """Print the most probable words beside words, by a model that `train` wrote.

    The words, such as the items of a basket, are one query: each has the same weight, and they are left out of the
    answer. With - in place of WORD each line of standard input is a query; words that the model does not know are left
    out, named on stderr, and make the exit code 1.
    """
    batch = arguments.words == ["-"]
    model = open_model(arguments, "predict")
    queries = _queries_of_stdin() if batch else [arguments.words]
    if (reading := model.reading_) is not None:
        queries = [[reading.token(word, model.vocabulary) for word in words] for words in queries]
    unknown = [word for word in dict.fromkeys(chain.from_iterable(queries)) if batch and word not in model.vocabulary]
    found = model.predict_outputs(queries, arguments.topn, arguments.side, skip_unknown=batch)
    document = [
        {"words": words, "predicted": scored_record(answer)} for words, answer in zip(queries, found, strict=True)
    ]
    if not print_json(arguments, model=arguments.vectors, side=arguments.side, queries=document, unknown=unknown):
        for words, answer in zip(queries, found, strict=True):
            print_line(" ".join(words))
            print_scored(answer)
    for word in unknown:
        print_error(f"{word!r} is unknown and was left out")
    return 1 if unknown else 0


def _queries_of_stdin() -> list[list[str]]:
    """Return the words of each line that has any."""
    return [words for line in stdin_lines() if (words := line.split())]


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "predict",
        run,
        example="fastembed predict model.safetensors bread butter -n 5",
        keys="model, side, queries (a list of words, predicted (a list of word, score)), unknown (a list of words)",
    )
    command.add_argument("vectors", metavar="MODEL", help="a model that `train` wrote")
    command.add_argument("words", nargs="+", metavar="WORD", help="a word, or - for standard input")
    options.add_topn(command, 10)
    text = "predict words on this side only, by a model that distinguishes them"
    options.add_option(command, "--side", text=text, default=None, shown="either", choices=("before", "after"))
    options.add_threads(command)
