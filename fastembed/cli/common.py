"""What commands share: how a command is added, options and their values, what is printed, and progress.

One JSON document or lines for people go to stdout, messages and progress bars to stderr.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tqdm import tqdm

from fastembed._base.progress import bars
from fastembed._base.validation import nearest, number_of, plain, printable, without_password
from fastembed.trainer.progress import ProgressBars, loss_of

if TYPE_CHECKING:
    from fastembed.corpus import Ledger

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    Group = argparse._ActionsContainer
    Reader = Callable[[str], object]
    Parameters = dict[str, dict[str, Any]]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the parsed arguments; the message for an unknown option suggests the nearest spelling."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = nearest(unknown[0], re.findall(r"--[\w-]+", parsed.parser.format_usage()))
            late = unknown[0][:1] != "-" and any(word[:1] == "-" for word in args[: args.index(unknown[0])])
            hint = "; files and words come before options" if late else near and f"; did you mean {near}?"
            parsed.parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print a message, and exit."""
        hint = "; files and words come before options" if re.search("are required|lengths value", message) else ""
        self.exit(2, f"{self.prog}: error: {message}{hint}; see {self.prog} --help\n")


class Paragraphs(argparse.HelpFormatter):
    """Wraps each paragraph of a description separately."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(super(Paragraphs, self)._fill_text(part, width, indent) for part in text.split("\n\n"))


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int | None], *, example: str, keys: str = ""
) -> argparse.ArgumentParser:
    """Add a command to the parser.

    Parameters
    ----------
    commands : action
        The subparsers of the parser.
    run : callable
        The function that runs the command, and may return an exit code; its docstring describes the command.
    example : str
        The arguments of the example in the help.
    keys : str
        The keys of the object that --json prints; without them the command has no --json.
    """
    description = inspect.getdoc(run) or ""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description.partition("\n")[0],
        description=description,
        epilog=f"example: fastembed {name} {example}"
        + (f"\n\n--json prints one object with the keys: {keys}" if keys else ""),
        formatter_class=Paragraphs,
        allow_abbrev=False,  # an abbreviation would change its meaning as options are added
    )
    if keys:
        add_flag(command, "--json", "print one JSON document and nothing else")
    add_flag(command, "--debug", "show the whole traceback of an error")
    command.set_defaults(run=run, parser=command)
    return command


# ---------------------------------------------------------------- options


def add_option(to: Group, names: str, text: str, default: object = None, shown: object = None, **more: Any) -> None:
    """Add an option, whose names are separated by spaces. Its help ends with the default, or with `shown` if given."""
    shown = default if shown is None else shown
    to.add_argument(*names.split(), default=default, help=f"{text} (default: {shown})", **more)


def add_flag(to: Group, name: str, text: str) -> None:
    """Add an option without a value."""
    add_option(to, name, text, False, "no", action="store_true")


def add_parameters(
    to: Group,
    of: Callable[..., object],
    parameters: Mapping[str, Mapping[str, Any]],
    shown: Mapping[str, str] | None = None,
) -> None:
    """Add an option per parameter of a model. An option that is not given is not among the parsed arguments.

    Parameters
    ----------
    of : callable
        The class of the model, or a function, whose signature has the defaults.
    parameters : mapping of str to mapping
        For each name, the `text` of the help, and arguments for argparse.
    shown : mapping of str to str, optional
        For names with the default None, the default that the help shows.
    """
    defaults = inspect.signature(of).parameters
    for name, facts in parameters.items():
        default = defaults[name].default
        named = (shown or {}).get(name) or {"None": "none", "True": "yes", "False": "no"}.get(str(default), default)
        add_option(to, option_name(name), default=argparse.SUPPRESS, shown=named, dest=name, **facts)


def option_name(name: str) -> str:
    """Return the option that sets a parameter.

    Examples
    --------
    >>> option_name("n_iter_no_change"), option_name("min_count")
    ('--patience', '--min-count')
    """
    return "--patience" if name == "n_iter_no_change" else f"--{name.replace('_', '-')}"


def parameter(text: str, read: Reader | None = None, metavar: str | None = None, **more: Any) -> dict[str, Any]:
    """Return what `add_parameters` takes for a parameter: the text of its help, the reader of its value, and so on."""
    return {"text": text, "type": read, "metavar": metavar, **more} if read else {"text": text, **more}


def given(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return the parameters that were given on the command line."""
    return {name: getattr(arguments, name) for name in names if name in arguments}


def add_left_out(to: Group) -> None:
    """Add the names that answers leave out, and the option that ignores unknown names."""
    add_option(to, "--exclude", "what to leave out of the answers", [], "none", nargs="+", metavar="NAME")
    add_flag(to, "--skip-unknown", "leave out unknown words and items without an error")


def add_output(to: Group, default: str) -> None:
    """Add the file to write, and the option that keeps stdout empty."""
    text = "the file to write; an existing file is replaced only if you name it"
    add_option(to, "-o --output", text, shown=default, metavar="FILE")
    to.set_defaults(default_output=default)
    add_flag(to, "--quiet", "print nothing but errors and warnings")


def add_threads(to: Group) -> None:
    """Add the number of threads."""
    text = "number of threads; the result is the same for any number"
    add_option(to, "--threads", text, shown="one per core", type=int, metavar="N")


def add_topn(to: Group, default: int | None, shown: object = None) -> None:
    """Add the number of words, labels or items to show."""
    add_option(to, "-n -k --topn", "how many to show", default, shown, dest="topn", type=int, metavar="N")


def add_no_header(to: Group) -> None:
    """Add how the first row of a table is read."""
    add_flag(to, "--no-header", "the first row of .csv does not name the fields; if none is chosen, rows are lists")


def add_memory_limit(to: Group, shown: str) -> None:
    """Add the memory that a command may use."""
    text = "the most memory, such as 800M or 4G, in `count` for the counts alone; the rest is in temporary files"
    add_option(to, "--memory-limit", text, shown=shown, type=size, metavar="SIZE")


# ---------------------------------------------------------------- values


def or_word(read: Reader, **words: object) -> Reader:
    """Return a reader of words that each stand for a value; `read` reads other texts."""

    def read_either(text: str) -> object:
        return words[text] if text in words else read(text)

    read_either.__name__ = " or ".join([*words, getattr(read, "__name__", "value")])  # for argparse's messages
    return read_either


def lengths(text: str) -> tuple[int, int]:
    """Read two integers, separated by a hyphen."""
    low, high = text.split("-")
    return int(low), int(high)


def window(text: str) -> int | tuple[int, int]:
    """Read an integer, or two separated by a comma."""
    before, comma, after = text.partition(",")
    return (int(before), int(after)) if comma else int(text)


def size(text: str) -> int:
    """Read a number of bytes, as 1500000000, 1500M, 1500MB, 1.5g or 1.4GiB."""
    digits = text.upper().removesuffix("B")
    base, digits = 1024 if digits.endswith("I") else 1000, digits.removesuffix("I")
    power = max(" KMGT".find(digits[-1:]), 0)
    return int(float(digits.rstrip("KMGT")) * base**power)


# ---------------------------------------------------------------- what is printed


def print_json(arguments: argparse.Namespace, **document: Any) -> bool:
    """Print the document if --json asks for one, and return whether it did."""
    if arguments.json:
        print(json.dumps(plain(document, none_for_nan=True), indent=2))
    return bool(arguments.json)


def print_line(line: str) -> None:
    """Print a line for people, with invisible characters escaped, to a pipe as to a terminal."""
    print(printable(line))


def print_message(text: str) -> None:
    """Print a message on stderr in one line. It begins with its kind, such as "error: "."""
    print(printable(without_password(f"fastembed: {text}")), file=sys.stderr)


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{os.fspath(error.filename)!r}: {error.strerror}"
    if isinstance(error, UnicodeDecodeError):  # of standard input; for files, the reader raises an error with the name
        return f"standard input is not valid UTF-8 at byte {error.start}: {error.object[error.start :][:1]!r}"
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


@contextmanager
def printed_warnings() -> Iterator[None]:
    """Print warnings of the library in one line each, without a place in the code, during a `with` block."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print_message(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield


def refuse(arguments: argparse.Namespace, names: Iterable[str], why: str) -> None:
    """Exit with a message if an option is given that the command would not use; `why` completes the message."""
    for name in names:
        default = arguments.parser.get_default(name)
        if getattr(arguments, name, default) != default:
            arguments.parser.error(f"{option_name(name)} {why}")


def check_output_option(arguments: argparse.Namespace) -> None:
    """Raise ValueError if the output of a command is an input, or is an existing file that the user did not name."""
    if "output" not in arguments:
        return
    if arguments.output is None:
        arguments.output = arguments.default_output
        if Path(arguments.output).exists():
            raise ValueError(f"{arguments.output!r} exists: -o {arguments.output} replaces it")
    read = [*getattr(arguments, "files", ()), getattr(arguments, "vectors", "")]
    if os.path.realpath(arguments.output) in map(os.path.realpath, read):
        raise ValueError(f"{arguments.output!r} is read: name another output")


def print_written(arguments: argparse.Namespace, what: str, read: Ledger | None = None) -> None:
    """Print what was written, and the ledger of what was read, unless --quiet is given."""
    if not arguments.quiet:
        output = Path(arguments.output)
        files = [output] if output.is_file() else list(output.glob("*"))  # a URL has none
        size = f", {sum(file.stat().st_size for file in files):,} bytes" if files else ""
        what = f"{what}{size}{f'; {read.summary()}' if read else ''}"
        print_line(f"wrote {without_password(arguments.output)}: {what}")


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


# ---------------------------------------------------------------- progress


def shows_bars(arguments: argparse.Namespace) -> bool:
    """Return whether a command draws progress bars: on a terminal, unless --quiet is given."""
    return sys.stderr.isatty() and not getattr(arguments, "quiet", False)


class Progress(ProgressBars):
    """Shows what a fit reports: bars on a terminal, and one line per epoch.

    Parameters
    ----------
    arguments : Namespace
        The parsed arguments, among them `quiet`.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__()
        self._quiet, self._began = arguments.quiet, 0.0

    def training(self, estimate: Any) -> None:
        """Print the estimate of the work ahead."""
        self._print(f"training {estimate}")
        self._shows_loss, self._began = not hasattr(estimate, "users"), time.perf_counter()
        super().training(estimate)

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the result of an epoch, and show how many are done. The nll of a row is from before its step."""
        held_out = f"   validation nll {record['validation_nll']:.4f}" if "validation_nll" in record else ""
        perplexity = f"   perplexity {record['perplexity']:,.1f}" if "perplexity" in record else ""
        # The loss of a recommender is of its vectors alone, and may rise
        loss = f"   {loss_of(record)}{perplexity}{held_out}" if self._shows_loss else ""
        left_out = record.get("left_out")  # documents, while a classifier learns how its scores become probabilities
        most = "at most " if held_out or "change" in record else ""
        of = f", {number_of(left_out, 'document')} left out" if left_out else f" of {most}{self._epochs}"
        began, self._began = self._began, time.perf_counter()
        self._print(f"epoch {record['epoch']:>2}{of}{loss}   {self._began - began:.1f} s")
        super().epoch(record)

    def _print(self, line: str) -> None:
        """Print a line above the bar, and flush it, so that the reader of a pipe gets it at once."""
        if not self._quiet:
            try:
                tqdm.write(line)
                sys.stdout.flush()
            except OSError:  # a closed pipe or a full disk is no reason to lose the training
                self._quiet = True


@contextmanager
def showing(arguments: argparse.Namespace) -> Iterator[Progress]:
    """Yield the `Progress` of a fit; bars are drawn of its start and of the blocks of its epochs as well."""
    with bars(shows_bars(arguments)), closing(Progress(arguments)) as progress:
        yield progress
