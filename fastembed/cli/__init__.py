"""The command line ``fastembed``.

Results go to stdout, and nothing else does; progress bars go to stderr, if it is a terminal. Invisible characters in
words, such as a terminal's control characters, are escaped. Exit codes: 0 success; 1 failure, named in one line on
stderr, as are all words or items without an answer; 2 wrong usage; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import fastembed
from fastembed._base.validation import nearest
from fastembed.cli import common

# The module of each command, in the order of --help; its function `add_COMMAND` adds the command to the parser
COMMANDS = {
    "train": "train",
    "count": "train",
    "phrases": "train",
    "neighbors": "query",
    "analogy": "query",
    "predict": "query",
    "evaluate": "evaluate",
    "compare": "evaluate",
    "train-classifier": "classify",
    "test": "classify",
    "train-recommender": "recommend",
    "recommend": "recommend",
    "plot": "evaluate",
    "export": "query",
    "info": "query",
    "demo": "train",
}


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser.

    Parameters
    ----------
    command : str, optional
        The only command to parse, so that the modules of others are not imported.

    Returns
    -------
    argparse.ArgumentParser
        ``arguments.run(arguments)`` runs the command that it parsed.

    Examples
    --------
    >>> build_parser().parse_args(["neighbors", "model.safetensors", "king", "-n", "3"]).topn
    3
    """
    parser = common.Parser(
        prog="fastembed",
        description="Exact-softmax word vectors on a CPU.",
        epilog="`fastembed COMMAND --help` describes a command. "
        "Exit codes: 0 success; 1 failure; 2 wrong usage; 130 Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastembed {fastembed.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in [command] if command else COMMANDS:
        module = import_module(f"fastembed.cli.{COMMANDS[name]}")
        getattr(module, f"add_{name.replace('-', '_')}")(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process if not given.

    Returns
    -------
    int
        0 after success; 1 after a failure, which is named in one line on stderr, if some queries have no answer, or,
        without a message, if stdout is a closed pipe; 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        With 2 if the command line is wrong, with 0 after ``--help`` and ``--version``.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from fastembed import Vectors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Vectors(["a", "b", "c"], np.array([[1.0, 0], [1, 1], [0, 1]])).save(f"{folder}/v.safetensors")
    ...     main(["neighbors", f"{folder}/v.safetensors", "a"])
    a
      b                         0.7071
      c                         0.0000
    0
    """
    words = sys.argv[1:] if argv is None else argv
    parser = build_parser(words[0] if words and words[0] in COMMANDS else None)
    if words and words[0] not in (*COMMANDS, "-h", "--help", "--version"):
        near = nearest(words[0], list(COMMANDS))
        hint = "; options follow the command" if words[0].startswith("-") else near and f"; did you mean {near}?"
        parser.error(f"there is no command {words[0]!r}{hint}")
    arguments = parser.parse_args(words)
    try:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")  # for words that the terminal's encoding lacks
        try:
            common.check_output_option(arguments)
            with common.printed_warnings():
                return arguments.run(arguments) or 0
        finally:
            _flush_stdout()
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        checkpoint = getattr(arguments, "checkpoint", None)
        if checkpoint and Path(checkpoint).exists():
            common.print_message(f"interrupted; the same command goes on from {checkpoint}")
        else:
            common.print_message(f"interrupted{'; nothing was saved' * ('output' in arguments)}")
        return 130
    except Exception as error:
        if arguments.debug:
            sys.excepthook(type(error), error, error.__traceback__)
        common.print_message(f"error: {common.one_line(error)}")
        return 1


def _flush_stdout() -> None:
    """Write what stdout still buffers. If that fails, drop it: Python would try again at exit, and report it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
