"""The parser of the whole command line, to which each command adds its own."""

from __future__ import annotations

import argparse

import fastembed
from fastembed.cli import (
    analogy,
    compare,
    count,
    demo,
    evaluate,
    explain,
    export,
    info,
    neighbors,
    phrases,
    plot,
    predict,
    report,
    test,
    tokens,
    train,
    train_classifier,
)

# In the order of --help
COMMANDS = (
    train,
    count,
    tokens,
    phrases,
    neighbors,
    analogy,
    predict,
    evaluate,
    train_classifier,
    test,
    explain,
    compare,
    export,
    plot,
    report,
    info,
    demo,
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser.

    Returns
    -------
    argparse.ArgumentParser
        ``arguments.run(arguments)`` runs the command that it parsed.

    Examples
    --------
    >>> build_parser().parse_args(["neighbors", "model.safetensors", "king", "-n", "3"]).topn
    3
    """
    parser = argparse.ArgumentParser(
        prog="fastembed",
        description="Exact-softmax word vectors on a CPU.",
        epilog="`fastembed COMMAND --help` describes a command. "
        "Exit codes: 0 success; 1 failure; 2 wrong usage; 130 Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastembed {fastembed.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
