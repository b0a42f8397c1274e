"""The options that several commands have, each defined once, so that a name means the same everywhere."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from fastembed.cli import values
from fastembed.corpus.reading import DIGITS, UNITS
from fastembed.counts.windows import WEIGHTINGS
from fastembed.formats.registry import FORMATS
from fastembed.skipgram import SkipGram
from fastembed.trainer.checkpoint import MINUTES
from fastembed.vectors.neighbors import METHODS

if TYPE_CHECKING:
    Defaults = Mapping[str, object]
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    Group = argparse._ActionsContainer

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(SkipGram).parameters.items()}
COUNTING = (
    "window",
    "weighting",
    "min_count",
    "max_size",
    "drop",
    "keep_only",
    "sample",
    "directed",
    "max_contexts",
    "baskets",
)
TRAINING = ("dim", "subwords", "epochs", "early_stopping", "validation_fraction", "n_iter_no_change", "seed")
PARAMETERS = (*COUNTING, *TRAINING, "threads")  # the parameters of SkipGram
STRUCTURE = ("field", "no_header", "skip_bad")
TOKENS = (
    "lowercase",
    "words",
    "keep_case",
    "digits",
    "unit",
    "token_pattern",
    "phrases",
)  # what the tokens of a text are
READING = (*STRUCTURE, *TOKENS, "processes", "replace_invalid")


class Paragraphs(argparse.HelpFormatter):
    """Wraps each paragraph of a description on its own."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(super(Paragraphs, self)._fill_text(part, width, indent) for part in text.split("\n\n"))


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    *,
    example: str,
    keys: str,
) -> argparse.ArgumentParser:
    """Add a command to the parser.

    Parameters
    ----------
    commands : action
        Of the parser.
    name : str
    run : callable
        The function that runs the command, and may return an exit code; its docstring describes the command.
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
    """Add an option whose help ends with its default, shown as `shown` if given."""
    named = default if shown is None else shown
    to.add_argument(*names, default=default, help=f"{text} (default: {named})", **more)


def add_flag(to: Group, name: str, text: str) -> None:
    """Add an option without a value."""
    add_option(to, name, text=text, default=False, shown="no", action="store_true")


def add_output(to: Group, default: str) -> None:
    """Add the file to write."""
    add_option(to, "-o", "--output", text="the file to write", default=default, metavar="FILE", type=values.output_name)


def add_quiet(to: Group) -> None:
    """Add the option that keeps stdout empty, except for --json, and draws no progress bars."""
    add_flag(to, "--quiet", "print nothing but errors, and what --json asks for")


def add_json_lines(to: Group) -> None:
    """Add the option that reports what happens while it does, for programs."""
    text = (
        "print one JSON object per line, whose key event is training, going on, epoch, kept or written, "
        "the last with the keys below"
    )
    add_flag(to, "--json-lines", text)


def add_threads(to: Group) -> None:
    """Add the number of threads."""
    text = "number of threads; the result is the same for any number"
    add_option(to, "--threads", text=text, default=None, shown="one per core", type=values.positive, metavar="N")


def add_topn(to: Group, default: int | None, shown: object = None) -> None:
    """Add the number of words to show."""
    text = "number of words or labels to show"
    add_option(
        to,
        "-n",
        "-k",
        "--topn",
        text=text,
        default=default,
        shown=shown,
        dest="topn",
        type=values.positive,
        metavar="N",
    )


def add_restrict(to: Group) -> None:
    """Add the number of words to search."""
    text = "find only the first N words of the file, the most frequent ones"
    add_option(to, "--restrict", text=text, default=None, shown="all", type=values.positive, metavar="N")


def add_method(to: Group) -> None:
    """Add the method that solves analogies."""
    add_option(to, "--method", text="how analogies are solved", default="3CosAdd", choices=list(METHODS))


def add_seed(to: Group, default: object = argparse.SUPPRESS) -> None:
    """Add the seed."""
    text = "seed of the random numbers"
    add_option(to, "--seed", text=text, default=default, shown=DEFAULTS["seed"], type=values.natural, metavar="N")


def add_vectors(command: argparse.ArgumentParser) -> None:
    """Add the file of vectors to open, and the purpose for which a model gives vectors."""
    text = "a model that `train` wrote, or vectors in any format that `export` writes"
    command.add_argument("vectors", metavar="VECTORS", type=values.file_name, help=text)
    add_input_format(command)
    text = "which vectors of a model: for analogies and similarity in the strict sense, or for relatedness"
    add_option(command, "--purpose", text=text, default="analogies", choices=("analogies", "relatedness"))


def add_input_format(to: Group) -> None:
    """Add the format of the file of vectors to open."""
    text = "the format of the file to open"
    add_option(to, "--input-format", text=text, default=None, shown="by its suffix", choices=tuple(FORMATS))


def add_text(to: Group, *, required: bool) -> None:
    """Add the text files to read, and how they are read."""
    to.add_argument(
        "files",
        nargs="+" if required else "*",
        default=[],
        metavar="FILE",
        type=values.file_name,
        help="text, by default one sequence per line, tokens between spaces; also .gz, .bz2, .xz, .zst, folders, "
        "patterns, - (stdin)",
    )
    add_reading(to)


def add_reading(to: Group) -> None:
    """Add how text is read."""
    text = "the field that holds text or lists of tokens, in .jsonl, .csv, .tsv, .parquet or .arrow: a name or a number"
    add_option(to, "--field", text=text, default=None, shown="the files are text", metavar="NAME")
    add_flag(to, "--no-header", "the first row of .csv and .tsv is not the names of the fields")
    add_flag(to, "--skip-bad", "leave out and count rows that have no text instead of stopping")
    text = "tokens are words: letters and digits, with apostrophes inside, in lower case, without punctuation"
    add_flag(to, "--words", text)
    add_flag(to, "--keep-case", "keep the capitals of --words")
    text = "numbers among --words: as they are, each digit as 0, or left out"
    add_option(to, "--digits", text=text, default="keep", choices=tuple(DIGITS))
    text = "what a sequence is: a paragraph ends at an empty line, a sentence at . ! or ? before a capital"
    add_option(to, "--unit", text=text, default="line", choices=("line", *UNITS))
    add_flag(to, "--lowercase", "turn the text to lower case first")
    text = "tokens are the matches of this regular expression in a line (slower)"
    shown = "what is between spaces"
    add_option(to, "--token-pattern", text=text, default=None, shown=shown, type=values.pattern, metavar="REGEX")
    text = "number of processes that find the pattern; the result is the same for any number"
    add_option(to, "--processes", text=text, default=1, type=values.positive, metavar="N")
    text = "join phrases such as new_york: those of a list that `phrases` wrote, or auto: found in the same text first"
    add_option(to, "--phrases", text=text, default=None, shown="none", type=values.file_name, metavar="FILE|auto")
    add_flag(to, "--replace-invalid", "read bytes that are not UTF-8 as U+FFFD instead of stopping")


def add_counting(to: Group) -> None:
    """Add how text is counted."""
    add_parameter(to, "window", values.window, "words that count on either side; or before and after, as 0,1")
    add_parameter(to, "weighting", str, "weight of a pair by its distance", choices=sorted(WEIGHTINGS))
    add_min_count(to)
    most = values.or_word("none", values.positive)
    add_parameter(to, "max_size", most, "keep only the N most frequent words", metavar="N")
    text = "drop the words of a file with one per line, or english: function words"
    add_parameter(to, "drop", values.file_name, text, metavar="FILE|english")
    text = "drop all words but those of a file with one per line"
    add_parameter(to, "keep_only", values.file_name, text, metavar="FILE")
    add_parameter(to, "sample", values.or_word("none", values.number()), "subsample words above this share of all")
    text = "distinguish contexts before a word from those after it"
    add_parameter(to, "directed", None, text, action=argparse.BooleanOptionalAction)
    contexts = values.or_word("auto", most, "auto")
    add_parameter(
        to,
        "max_contexts",
        contexts,
        "only the N most frequent words are contexts; auto: all, or half of very many, up to 24,576",
        metavar="N",
    )
    text = "a line is a basket, all pairs of which count: each 1, or 1/(n - 1) in a basket of n"
    add_parameter(to, "baskets", None, text, choices=("flat", "share"))


def add_min_count(to: Group, defaults: Defaults = DEFAULTS) -> None:
    """Add the least number of occurrences."""
    text = "drop words, phrases or features that occur fewer times"
    add_parameter(to, "min_count", values.positive, text, defaults=defaults, metavar="N")


def add_memory_limit(to: Group, shown: str) -> None:
    """Add the memory that a command may use."""
    text = "memory to keep within, as 800M or 4G: counts that take more are in temporary files"
    add_option(to, "--memory-limit", text=text, default=None, shown=shown, type=values.size, metavar="SIZE")


def add_checkpoint(to: Group) -> None:
    """Add the file that training goes on from."""
    text = "write here, after each epoch, all that training needs to go on; the counts go to FILE.counts"
    add_option(to, "--checkpoint", text=text, default=None, shown="none", metavar="FILE", type=values.output_name)
    text = "write it also whenever N minutes have passed within an epoch"
    minutes = values.number()
    add_option(to, "--checkpoint-minutes", text=text, default=MINUTES, metavar="N", type=minutes)
    add_flag(to, "--keep-checkpoint", "keep these files when the model has been written")


def add_mpi(to: Group) -> None:
    """Add training by the ranks of an MPI job."""
    add_flag(to, "--mpi", "train with all ranks of an MPI job, which share the outputs; needs --counts")


def add_training(to: Group, defaults: Defaults = DEFAULTS, shown: Mapping[str, str] | None = None) -> None:
    """Add how a model is trained; `shown` says what stands for defaults that are None."""
    of = shown or {}
    add = partial(add_parameter, to, defaults=defaults)
    add("dim", values.positive, "dimension of the vectors", shown=of.get("dim"), metavar="D")
    text = "number of passes over the words or documents"
    add("epochs", values.positive, text, shown=of.get("epochs"), metavar="N")
    text = "hold out lines, and stop when their likelihood no longer rises"
    add("early_stopping", None, text, action=argparse.BooleanOptionalAction)
    add("validation_fraction", values.number(0.5), "share of the lines to hold out", metavar="SHARE")
    text = "epochs to wait for a rise before stopping early"
    add("n_iter_no_change", values.positive, text, option="--patience", metavar="N")
    add_seed(to)


def add_parameters(command: argparse.ArgumentParser) -> None:
    """Add all parameters of `SkipGram`, and --quiet."""
    add_counting(command.add_argument_group("how to count"))
    training = command.add_argument_group("how to train")
    add_training(training)
    text = "compose words of their n-grams of MIN to MAX characters, 3-6 if not said, so that unseen words have vectors"
    lengths = values.or_word("no", values.ngram_lengths, False)
    add_parameter(training, "subwords", lengths, text, nargs="?", const=True, metavar="MIN-MAX|no")
    add_threads(command)
    add_quiet(command)


def add_parameter(
    to: Group,
    name: str,
    read: values.Reader | None,
    text: str,
    option: str = "",
    defaults: Defaults = DEFAULTS,
    shown: object = None,
    **more: Any,
) -> None:
    """Add a parameter of a model, which has its default: it is absent from the parsed arguments if not given."""
    if shown is None:
        default = defaults[name]
        shown = {"None": "none", "True": "yes", "False": "no"}.get(str(default), default)
    if read is not None:
        more["type"] = read
    add_option(to, option or option_of(name), text=text, default=argparse.SUPPRESS, shown=shown, dest=name, **more)


def option_of(name: str) -> str:
    """Return the option that sets an argument.

    Examples
    --------
    >>> option_of("min_count"), option_of("n_iter_no_change"), option_of("files")
    ('--min-count', '--patience', 'FILE')
    """
    others = {"n_iter_no_change": "--patience", "model": "--continue", "files": "FILE"}
    return others.get(name, f"--{name.replace('_', '-')}")
