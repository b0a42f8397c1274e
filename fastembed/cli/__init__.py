"""The command line ``fastembed``.

Results go to stdout, and nothing else does; progress bars go to stderr, if it is a terminal. Invisible characters in
words, such as a terminal's control characters, are escaped. Exit codes: 0 success; 1 failure, named in one line on
stderr, as are all words or items without an answer; 2 wrong usage; 130 Ctrl-C; 143 SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module

import fastembed

TYPE_CHECKING = False  # little is imported before `main`, and with it before a signal is answered: not even typing
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import FrameType
    from typing import NoReturn

# The module of each command, in the order of --help; its function `add_COMMAND` adds the command to the parser
COMMANDS = {
    "train": "train",
    "count": "count",
    "tokens": "count",
    "phrases": "count",
    "neighbors": "query",
    "analogy": "query",
    "predict": "query",
    "evaluate": "evaluate",
    "train-classifier": "classify",
    "test": "classify",
    "explain": "classify",
    "train-recommender": "recommend",
    "recommend": "recommend",
    "compare": "evaluate",
    "export": "files",
    "plot": "evaluate",
    "info": "files",
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
    from fastembed.cli import options

    parser = options.Parser(
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
        without a message, if stdout is a closed pipe; 130 after Ctrl-C; 143 after SIGTERM.

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
    try:
        if argv is None:
            _answer_sigterm()
        try:
            return _run(argv)
        finally:
            if argv is None:
                _ignore_signals()
    except KeyboardInterrupt as interrupt:  # before what prints messages is imported
        if sys.stderr is not None:
            sys.stderr.write("fastembed: interrupted\n")
        return _code(interrupt)


def _run(argv: Sequence[str] | None) -> int:
    arguments = None
    for stream in ("stdout", "stderr"):  # the process may have been started without them
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    from fastembed.cli.output import in_options, one_line, print_message, printed_warnings
    # not before: NumPy 2.0 needs stderr while it is imported

    try:
        try:
            words = sys.argv[1:] if argv is None else argv
            arguments = build_parser(words[0] if words and words[0] in COMMANDS else None).parse_args(words)
            if hasattr(sys.stdout, "reconfigure"):
                sys.stdout.reconfigure(errors="backslashreplace")  # for words that the terminal's encoding lacks
            with printed_warnings(arguments):
                code: int = arguments.run(arguments) or 0
        finally:
            _flush_stdout()
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt as interrupt:
        if argv is None:
            _ignore_signals()
        print_message("; ".join(getattr(interrupt, "__notes__", ["interrupted"])))
        return _code(interrupt)
    except Exception as error:
        text = one_line(error)
        if arguments is not None:
            text = in_options(text, arguments.parser)
            if arguments.debug:
                sys.excepthook(type(error), error, error.__traceback__)
        print_message(f"error: {text}")
        behind = _interrupt_behind(error)
        return 1 if behind is None else _code(behind)
    return code


def _interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the Ctrl-C during whose handling an error was raised, if there was one."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _code(interrupt: KeyboardInterrupt) -> int:
    return 143 if isinstance(interrupt, Terminated) else 130


def _ignore_signals() -> None:
    """Ignore Ctrl-C and SIGTERM from now on: the process ends, with an exit code that is known."""
    with suppress(ValueError):  # of another thread than the main one
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _flush_stdout() -> None:
    """Write what stdout still buffers. If that fails, drop it: Python would try again at exit, and report it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


class Terminated(KeyboardInterrupt):
    """The process has been asked to end by SIGTERM: what ends at a Ctrl-C ends at this."""


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # more of them must not interrupt what is done about the first
    raise Terminated


def _answer_sigterm() -> None:
    """Let SIGTERM raise `Terminated`, unless the process ignores it or has a handler of its own."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        with suppress(ValueError):  # of another thread than the main one
            signal.signal(signal.SIGTERM, _terminate)
