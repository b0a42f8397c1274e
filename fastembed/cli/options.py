"""What commands have in common: options, the values that these take, and checks of several options together."""

from __future__ import annotations

import argparse
import inspect
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    Group = argparse._ActionsContainer
    Reader = Callable[[str], object]
    Parameters = dict[str, dict[str, Any]]


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without a password of a URL, and names the option that may have been meant."""

    def error(self, message: str) -> NoReturn:
        """Print a message, and exit."""
        from fastembed._base.validation import without_password

        self.exit(2, without_password(f"{self.prog}: error: {message}; see {self.prog} --help\n"))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse as argparse does; a command rejects what it does not know, before `fastembed` itself would."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            names = [each.partition("=")[0] for each in unknown if each.startswith("-")]
            near = [close for name in names for close in get_close_matches(name, self._option_string_actions, 1, 0.8)]
            meant = f": did you mean {', '.join(near)}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        return parsed, unknown


class Paragraphs(argparse.HelpFormatter):
    """Wraps each paragraph of a description on its own."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(super(Paragraphs, self)._fill_text(part, width, indent) for part in text.split("\n\n"))


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int | None], *, example: str, keys: str
) -> argparse.ArgumentParser:
    """Add a command to the parser.

    Parameters
    ----------
    commands : action
        Of the parser.
    run : callable
        The function that runs the command, and may return an exit code; its docstring describes the command.
    example : str
        The arguments of the example in the help.
    keys : str
        The keys of the object that --json prints.
    """
    description = inspect.getdoc(run) or ""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description.partition("\n")[0],
        description=description,
        epilog=f"example: fastembed {name} {example}\n\n--json prints one object with the keys: {keys}",
        formatter_class=Paragraphs,
        allow_abbrev=False,  # an abbreviation would change its meaning as options are added
    )
    add_flag(command, "--json", "print one JSON document and nothing else")
    add_flag(command, "--debug", "show the whole traceback of an error")
    command.set_defaults(run=run, parser=command)
    return command


# ---------------------------------------------------------------- options


def add_option(to: Group, names: str, text: str, default: object = None, shown: object = None, **more: Any) -> None:
    """Add an option, whose names are separated by spaces. Its help ends with its default, as `shown` if given."""
    shown = default if shown is None else shown
    to.add_argument(*names.split(), default=default, help=f"{text} (default: {shown})", **more)


def add_flag(to: Group, name: str, text: str) -> None:
    """Add an option without a value."""
    add_option(to, name, text, False, "no", action="store_true")


def add_left_out(to: Group) -> None:
    """Add what answers leave out, and that unknown names are no errors."""
    add_option(to, "--exclude", "what to leave out of the answers", [], "none", nargs="+", metavar="NAME")
    add_flag(to, "--skip-unknown", "leave out unknown words and items in silence")


def add_parameters(
    to: Group,
    of: Callable[..., object],
    parameters: Mapping[str, Mapping[str, Any]],
    shown: Mapping[str, str] | None = None,
) -> None:
    """Add options for parameters of a model, which has their defaults: those not given are no parsed arguments.

    Parameters
    ----------
    of : callable
        The class of the model, or a function.
    parameters : mapping of str to mapping
        Of each name the `text` of its help, and what argparse is told.
    shown : mapping of str to str, optional
        What stands for defaults that are None.
    """
    defaults = inspect.signature(of).parameters
    for name, facts in parameters.items():
        default = defaults[name].default
        named = (shown or {}).get(name) or {"None": "none", "True": "yes", "False": "no"}.get(str(default), default)
        add_option(to, option_of(name), default=argparse.SUPPRESS, shown=named, dest=name, **facts)


def parameter(text: str, read: Reader | None = None, metavar: str | None = None, **more: Any) -> dict[str, Any]:
    """Return what `add_parameters` takes for a parameter: the text of its help, the reader of its value, and so on."""
    return {"text": text, "type": read, "metavar": metavar, **more} if read else {"text": text, **more}


def option_of(name: str) -> str:
    """Return the option that sets an argument.

    Examples
    --------
    >>> option_of("min_count"), option_of("n_iter_no_change"), option_of("files")
    ('--min-count', '--patience', 'FILE')
    """
    others = {"n_iter_no_change": "--patience", "model": "--continue", "files": "FILE"}
    return others.get(name, f"--{name.replace('_', '-')}")


def add_output(to: Group, default: str | None) -> None:
    """Add the file to write."""
    add_option(to, "-o --output", "the file to write", default, default or "none", metavar="FILE", type=output_name)


def add_quiet(to: Group) -> None:
    """Add the option that keeps stdout empty, except for --json, and draws no progress bars."""
    add_flag(to, "--quiet", "print nothing but errors and warnings, and what --json asks for")


def add_dry_run(to: Group) -> None:
    """Add the option that ends a training before its first step."""
    add_flag(to, "--dry-run", "read, print the time and memory that training would take, and write nothing")


def add_threads(to: Group) -> None:
    """Add the number of threads."""
    text = "number of threads; the result is the same for any number"
    add_option(to, "--threads", text, shown="one per core", type=positive, metavar="N")


def add_topn(to: Group, default: int | None, shown: object = None) -> None:
    """Add the number of words, labels or items to show."""
    add_option(to, "-n -k --topn", "how many to show", default, shown, dest="topn", type=positive, metavar="N")


def add_no_header(to: Group) -> None:
    """Add how the first row of a table is read."""
    add_flag(to, "--no-header", "the first row of .csv and .tsv is not the names of the fields")


def add_memory_limit(to: Group, shown: str) -> None:
    """Add the memory that a command may use."""
    text = "memory to keep within, of `count` for the counts, as 800M or 4G: what takes more is in temporary files"
    add_option(to, "--memory-limit", text, shown=shown, type=size, metavar="SIZE")


# ---------------------------------------------------------------- values: a function reads one or says what it expected


def file_name(text: str) -> str:
    """Read the name of a file or folder."""
    if not text:
        raise argparse.ArgumentTypeError("a file name expected, got an empty string")
    return text


def output_name(text: str) -> str:
    """Read the name of a file to write."""
    if file_name(text).endswith(("/", os.sep)):
        raise argparse.ArgumentTypeError(f"a file name expected, got the folder {text!r}")
    if text == "-":
        raise argparse.ArgumentTypeError("a file name expected, got '-': files are written whole, not to stdout")
    return text


def positive(text: str, low: int = 1) -> int:
    """Read an integer of at least 1, or `low`."""
    if not (text.isascii() and text.isdecimal()) or int(text) < low:
        raise argparse.ArgumentTypeError(f"an integer of at least {low} expected, got {text!r}")
    return int(text)


def number(high: float = math.inf, *, zero: bool = False) -> Callable[[str], float]:
    """Return the reader of a number above 0, or with `zero` of at least 0, and at most `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not ((value > 0 or (zero and value == 0)) and value <= high and math.isfinite(value)):
            low = "of at least 0" if zero else "above 0"
            limit = "" if math.isinf(high) else f" and at most {high:g}"
            raise argparse.ArgumentTypeError(f"a number {low}{limit} expected, got {text!r}")
        return value

    return read


def or_word(word: str, read: Reader, value: object = None) -> Reader:
    """Return the reader of one word, which stands for `value`, or of what `read` accepts."""

    def read_either(text: str) -> object:
        if text == word:
            return value
        try:
            return read(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f'"{word}" or {error}') from None

    return read_either


def ngram_lengths(text: str) -> tuple[int, int]:
    """Read two ascending integers of at least 1, separated by a hyphen."""
    found = re.fullmatch(r"([0-9]+)-([0-9]+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"two ascending integers of at least 1, as in 3-6, expected, got {text!r}")
    return int(found[1]), int(found[2])


def size(text: str) -> int:
    """Read a size of at least one megabyte, as 1500000000, 1500M, 1500MB or 1.5g; 1 MiB is 1024 KiB."""
    found = re.fullmatch(r"([0-9.]+) ?([KMGT]?)(I?)B?", text.upper())
    try:
        count = int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2] or " ")) if found else 0
    except (ValueError, OverflowError):
        count = 0
    if not 10**6 <= count <= 10**18:
        raise argparse.ArgumentTypeError(f"a size from 1M to 1000000T, such as 800M or 4G, expected, got {text!r}")
    return count


# ---------------------------------------------------------------- checks of several options together


def given(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the options that were given a value other than their default."""
    found = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    return {name: value for name, value in found.items() if value != arguments.parser.get_default(name)}


def fail(arguments: argparse.Namespace, message: str) -> NoReturn:
    """Exit with a message about wrong usage, and the usage of the command."""
    parser: argparse.ArgumentParser = arguments.parser
    parser.error(message)


def reject(arguments: argparse.Namespace, names: Iterable[str], reason: str) -> None:
    """Exit if any of these options was given, for a reason."""
    if wrong := sorted(map(option_of, given(arguments, names))):
        fail(arguments, f"{reason}, so {', '.join(wrong)} cannot be given as well")


def reject_overwriting(
    arguments: argparse.Namespace,
    inputs: Iterable[str | os.PathLike[str] | None],
    outputs: Iterable[str | os.PathLike[str]] | None = None,
) -> None:
    """Exit if an input, of those that are not None, is an output too, by default --output."""
    written = {os.path.realpath(output): output for output in outputs or [arguments.output]}
    for file in inputs:
        if file is not None and os.path.realpath(file) in written:
            output = os.fspath(written[os.path.realpath(file)])
            fail(arguments, f"the output {output!r} would overwrite the input {os.fspath(file)!r}")
