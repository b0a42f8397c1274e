"""The command line: ``fastembed train|count|neighbors|analogy|evaluate|export|plot|info|demo``.

Results go to stdout and nothing else does; bars to stderr, if that is a terminal. What cannot be seen of a word, as the
control characters of terminals, is escaped. Exit codes: 0 fine; 1 failure, named in one line on stderr; 2 wrong usage;
130 Ctrl-C. The commands are in the rooms of this package, by theme.
"""

from __future__ import annotations

import os
import sys

from fastembed._base.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

# All else is imported by `main`, which makes one line of a Ctrl-C.


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process if not given.

    Returns
    -------
    int
        0 if all went well; 1 after a failure, which is named in one line on stderr, or, without a word, if nobody reads
        stdout any more; 130 after a Ctrl-C.

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
    debug = False
    _open_missing_streams()
    try:
        arguments = _parser().parse_args(argv)
        debug = arguments.debug
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")  # of words that a terminal's encoding does not have
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt as interrupt:
        _complain("; ".join(getattr(interrupt, "__notes__", ["interrupted"])))
        return 130
    except Exception as error:
        if debug:
            sys.excepthook(type(error), error, error.__traceback__)
        _complain(f"error: {_one_line(error)}")
        return 1
    finally:
        _settle_stdout()
    return 0


def _open_missing_streams() -> None:
    """Let stdout and stderr lead nowhere where the process was started without them and Python has None in their place.

    Some libraries write to them, or look up how, while they are imported.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def _parser() -> ArgumentParser:
    """Import all that the commands need, and return the parser. A Ctrl-C waits for the end of the imports.

    Some would make another error of it, and Python says that it ignored it where it comes in a callback of its own.
    """
    import signal

    came: list[int] = []
    waits = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # it may be ignored, in a background job
    try:
        if waits:
            signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    except ValueError:  # not the main thread, which alone gets it
        waits = False
    try:
        from fastembed.cli.parser import build_parser
    finally:
        if waits:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
    return build_parser()


def _complain(text: str) -> None:
    try:  # noqa: SIM105 - contextlib is not there yet
        print(printable(f"fastembed: {text}"), file=sys.stderr)
    except OSError:  # nobody reads it
        pass


def _settle_stdout() -> None:
    """Write what is left for stdout, or throw it away: Python complains once more of what it cannot write at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(error: Exception) -> str:
    """Return what an error says, on one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fspath(error.filename)!r}: {error.strerror}"
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__
