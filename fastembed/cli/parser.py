"""The parser of the whole command line; each room of commands adds its own."""

from __future__ import annotations

import argparse

import fastembed
from fastembed.cli import evaluating, files, pictures, queries, training


def build_parser() -> argparse.ArgumentParser:
    """Return the parser.

    Returns
    -------
    argparse.ArgumentParser
        Of the parsed arguments, ``run(arguments)`` runs the command.

    Examples
    --------
    >>> build_parser().parse_args(["neighbors", "model.safetensors", "king", "-n", "3"]).topn
    3
    """
    parser = argparse.ArgumentParser(
        prog="fastembed",
        description="Exact-softmax word vectors on a CPU.",
        epilog="`fastembed COMMAND --help` describes a command. "
        "Exit codes: 0 fine; 1 failure; 2 wrong usage; 130 Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastembed {fastembed.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        training.add_train,
        training.add_count,
        queries.add_neighbors,
        queries.add_analogy,
        evaluating.add_evaluate,
        files.add_export,
        pictures.add_plot,
        files.add_info,
        training.add_demo,
    ):
        add(commands)
    return parser
