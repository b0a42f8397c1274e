"""The options that commands share, each defined once, so that a name means the same everywhere; and their reading."""

from __future__ import annotations

import argparse
import inspect
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fastembed import formats
from fastembed.cli import values
from fastembed.corpus.readers import FileCorpus
from fastembed.skipgram.skipgram import SkipGram
from fastembed.vectors.vectors import Vectors
from fastembed.windows import WEIGHTINGS

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    Group = argparse._ActionsContainer

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(SkipGram).parameters.items()}
COUNTING = ("window", "weighting", "min_count", "max_size", "sample", "directed", "max_contexts")
TRAINING = ("dim", "epochs", "early_stopping", "validation_fraction", "n_iter_no_change", "seed")
PARAMETERS = (*COUNTING, *TRAINING, "threads")
READING = ("lowercase", "token_pattern", "replace_invalid")


class Paragraphs(argparse.HelpFormatter):
    """Fills each paragraph of a description on its own."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(super(Paragraphs, self)._fill_text(part, width, indent) for part in text.split("\n\n"))


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], None],
    *,
    example: str,
    keys: str,
) -> argparse.ArgumentParser:
    """Add the command that a function runs.

    Parameters
    ----------
    commands : action
        Of the parser.
    name : str
    run : callable
        Its docstring describes the command.
    example : str
        A command line.
    keys : str
        The keys of the object that --json prints.
    """
    description = inspect.getdoc(run) or ""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description.partition("\n")[0],
        description=description,
        epilog=f"example: {example}\n\n--json prints one object with the keys: {keys}",
        formatter_class=Paragraphs,
        allow_abbrev=False,  # an abbreviation would change its meaning as options are added
    )
    add_flag(command, "--json", "print one JSON document and nothing else")
    add_flag(command, "--debug", "show the whole traceback of an error")
    command.set_defaults(run=run, parser=command)
    return command


def add_option(to: Group, *names: str, text: str, default: object, shown: object = None, **more: Any) -> None:
    """Add an option, and say its default in its help: as `shown`, if `default` itself does not say it."""
    named = default if shown is None else shown
    to.add_argument(*names, default=default, help=f"{text} (default: {named})", **more)


def add_flag(to: Group, name: str, text: str) -> None:
    """Add an option without a value."""
    add_option(to, name, text=text, default=False, shown="no", action="store_true")


def add_output(to: Group, default: str) -> None:
    """Add the file to write."""
    add_option(to, "-o", "--output", text="the file to write", default=default, metavar="FILE", type=values.output_name)


def add_quiet(to: Group) -> None:
    """Add the option that leaves stdout empty, but for what --json prints, and draws no bars."""
    add_flag(to, "--quiet", "print nothing but errors, and what --json asks for")


def add_threads(to: Group) -> None:
    """Add the number of threads."""
    text = "how many threads; the result is the same for any number"
    add_option(to, "--threads", text=text, default=None, shown="one a core", type=values.positive, metavar="N")


def add_topn(to: Group, default: int | None, shown: object = None) -> None:
    """Add how many words to show."""
    text = "how many words to show"
    add_option(
        to, "-n", "--topn", text=text, default=default, shown=shown, dest="topn", type=values.positive, metavar="N"
    )


def add_restrict(to: Group) -> None:
    """Add how many words there are to choose from."""
    text = "find only the first N words of the file, the most frequent ones"
    add_option(to, "--restrict", text=text, default=None, shown="all", type=values.positive, metavar="N")


def add_seed(to: Group, default: object = argparse.SUPPRESS) -> None:
    """Add the seed."""
    text = "of the random numbers"
    add_option(to, "--seed", text=text, default=default, shown=DEFAULTS["seed"], type=values.natural, metavar="N")


def add_vectors(command: argparse.ArgumentParser) -> None:
    """Add the file of vectors to open, and which vectors of a model are meant."""
    text = "a model that `train` wrote, or vectors in any form that `export` writes"
    command.add_argument("vectors", metavar="VECTORS", type=values.file_name, help=text)
    add_input_format(command)
    text = "which vectors of a model: for analogies and similarity in the strict sense, or for relatedness"
    add_option(command, "--purpose", text=text, default="analogies", choices=("analogies", "relatedness"))


def add_input_format(to: Group) -> None:
    """Add the form of the file of vectors to open."""
    text = "the form of the file to open"
    add_option(to, "--input-format", text=text, default=None, shown="by its ending", choices=tuple(formats.FORMATS))


def open_vectors(arguments: argparse.Namespace) -> Vectors:
    """Return the vectors that the options name."""
    if arguments.purpose == "analogies":
        return Vectors.load(arguments.vectors, arguments.input_format)
    refuse(arguments, ("input_format",), "--purpose relatedness needs a model that `train` wrote")
    return open_model(arguments, "--purpose relatedness").vectors_for(arguments.purpose)


def open_model(arguments: argparse.Namespace, option: str) -> SkipGram:
    """Return the model that VECTORS names, or say which option needs one."""
    try:
        return SkipGram.load(arguments.vectors, threads=getattr(arguments, "threads", None))
    except ValueError as error:
        raise ValueError(f"{option} needs a model that `train` wrote: {error}") from error


def add_text(to: Group, *, required: bool) -> None:
    """Add the files of text to read, and how."""
    to.add_argument(
        "files",
        nargs="+" if required else "*",
        default=[],
        metavar="FILE",
        type=values.file_name,
        help="text, a sequence a line, tokens between spaces; also .gz, .bz2, .xz, .zst, folders, patterns, - (stdin)",
    )
    add_reading(to)


def add_reading(to: Group) -> None:
    """Add how text is read."""
    add_flag(to, "--lowercase", "turn the text to lower case first")
    text = "tokens are what this regular expression matches in a line (slower)"
    shown = "what is between spaces"
    add_option(to, "--token-pattern", text=text, default=None, shown=shown, type=values.pattern, metavar="REGEX")
    add_flag(to, "--replace-invalid", "read bytes that are not UTF-8 as U+FFFD instead of stopping")


def read_text(arguments: argparse.Namespace, files: Iterable[str]) -> FileCorpus:
    """Return the corpus that files and the options of reading describe."""
    return FileCorpus(
        [Path(file) for file in files],
        lowercase=arguments.lowercase,
        tokenizer=arguments.token_pattern and arguments.token_pattern.findall,
        errors="replace" if arguments.replace_invalid else "strict",
    )


def add_counting(to: Group) -> None:
    """Add how text is counted."""
    _add_parameter(to, "window", values.window, "words that count on either side; or before and after, as 0,1")
    _add_parameter(to, "weighting", str, "weight of a pair by its distance", choices=sorted(WEIGHTINGS))
    _add_parameter(to, "min_count", values.positive, "drop words that come fewer times", metavar="N")
    most = values.or_word("none", values.positive)
    _add_parameter(to, "max_size", most, "keep only the N most frequent words", metavar="N")
    _add_parameter(to, "sample", values.or_word("none", values.number()), "thin out words above this share of all")
    text = "tell contexts before a word from those after it"
    _add_parameter(to, "directed", None, text, action=argparse.BooleanOptionalAction)
    contexts = values.or_word("auto", most, "auto")
    _add_parameter(
        to,
        "max_contexts",
        contexts,
        "only the N most frequent words are contexts; auto: all, or half of very many, up to 24,576",
        metavar="N",
    )


def add_memory_limit(to: Group) -> None:
    """Add the memory that counting may take."""
    text = "memory that the text and the counts may take, as 800M or 4G"
    add_option(
        to, "--memory-limit", text=text, default=None, shown="half of what is free", type=values.size, metavar="SIZE"
    )


def add_training(to: Group) -> None:
    """Add how a model is trained."""
    _add_parameter(to, "dim", values.positive, "numbers of a vector", metavar="D")
    _add_parameter(to, "epochs", values.positive, "how often each word is visited", metavar="N")
    text = "hold out lines, and stop when their likelihood no longer rises"
    _add_parameter(to, "early_stopping", None, text, action=argparse.BooleanOptionalAction)
    share = values.number(0.5)
    _add_parameter(to, "validation_fraction", share, "share of the lines held out for it", metavar="SHARE")
    text = "epochs that it waits for a rise"
    _add_parameter(to, "n_iter_no_change", values.positive, text, option="--patience", metavar="N")
    add_seed(to)


def _add_parameter(to: Group, name: str, read: values.Reader | None, text: str, option: str = "", **more: Any) -> None:
    """Add a parameter of `SkipGram`. Where it is not given it is left out, so that `SkipGram`'s own default holds."""
    default = DEFAULTS[name]
    shown = {"None": "none", "True": "yes", "False": "no"}.get(str(default), default)
    if read is not None:
        more["type"] = read
    add_option(to, option or option_of(name), text=text, default=argparse.SUPPRESS, shown=shown, dest=name, **more)


def option_of(name: str) -> str:
    """Return how a parameter is called on the command line.

    Examples
    --------
    >>> option_of("min_count"), option_of("n_iter_no_change"), option_of("files")
    ('--min-count', '--patience', 'FILE')
    """
    others = {"n_iter_no_change": "--patience", "model": "--continue", "files": "FILE"}
    return others.get(name, f"--{name.replace('_', '-')}")


def given(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the options that are on the command line with another value than the default."""
    found = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    return {name: value for name, value in found.items() if value != arguments.parser.get_default(name)}


def refuse(arguments: argparse.Namespace, names: Iterable[str], reason: str) -> None:
    """Refuse options on the command line, for a reason."""
    if wrong := sorted(map(option_of, given(arguments, names))):
        fail(arguments, f"{reason}, so {', '.join(wrong)} cannot be given as well")


def keep(
    arguments: argparse.Namespace,
    files: Iterable[str | os.PathLike[str]],
    outputs: Iterable[str | os.PathLike[str]] | None = None,
) -> None:
    """Refuse to write over what is read; what is written is --output alone, unless `outputs` says more."""
    written = {os.path.realpath(output): output for output in outputs or [arguments.output]}
    for file in files:
        if os.path.realpath(file) in written:
            output = os.fspath(written[os.path.realpath(file)])
            fail(arguments, f"{output!r}, to be written, would replace {os.fspath(file)!r}, which is read")


def fail(arguments: argparse.Namespace, message: str) -> NoReturn:
    """Say that the command line is wrong, and how the command is used."""
    parser: argparse.ArgumentParser = arguments.parser
    parser.error(message)
