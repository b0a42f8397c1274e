"""Inputs of commands: texts, vectors and models, the options of how to read them, and parameters of a new model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from fastembed.cli import common
from fastembed.corpus import FileCorpus, Phrases
from fastembed.corpus.reading import DIGITS, LOCALES, UNITS, Reading
from fastembed.corpus.sources import is_url
from fastembed.corpus.tokens import read_token_list
from fastembed.formats.atomic import check_writable
from fastembed.formats.registry import FORMATS, check_model_name, format_of_file
from fastembed.formats.tensors import is_safetensors, read_fields
from fastembed.vectors import Vectors

# ---------------------------------------------------------------- text

READING: common.Parameters = {
    "words": common.parameter(
        "tokens are words in lower case: letters, digits, inner apostrophes", action="store_true"
    ),
    "keep_case": common.parameter("keep the capitals of --words", action="store_true"),
    "digits": common.parameter("numbers of --words: as they are, each digit as 0, or dropped", choices=tuple(DIGITS)),
    "locale": common.parameter("Turkish or Azeri: the lower case of I has no dot", choices=LOCALES),
    "unit": common.parameter("what a sequence is; a paragraph ends at an empty line", choices=("line", *UNITS)),
    "lowercase": common.parameter("turn the text to lower case first", action="store_true"),
    "token_pattern": common.parameter("tokens are the matches of this regular expression (slower)", str, "REGEX"),
    "phrases": common.parameter("join phrases such as new_york, of a list that `phrases` wrote", str, "FILE"),
    "errors": common.parameter("bytes that are not UTF-8: stop, or read U+FFFD", choices=("strict", "replace")),
}


def add_text(to: common.Group, *, required: bool) -> None:
    """Add the text files to read, and how they are read."""
    text = "text, by default one sequence per line, tokens between spaces; also .gz, .bz2, .xz, .zst (before Python "
    text += "3.14 with backports.zstd), folders, patterns, - (stdin)"
    to.add_argument("files", nargs="+" if required else "*", default=[], metavar="FILE", help=text)
    add_reading(to)


def add_field(to: common.Group) -> None:
    """Add which field of structured files is the text."""
    text = "the field that holds text or lists of tokens, in .jsonl, .csv, .tsv or .parquet: a name or a number"
    common.add_option(to, "--field", text, shown="the files are text", metavar="NAME")
    common.add_no_header(to)


def add_skip_bad(to: common.Group) -> None:
    """Add the option that leaves out bad rows of structured files."""
    common.add_flag(to, "--skip-bad", "leave out and count rows without the field, and other bad rows")


def add_reading(to: common.Group) -> None:
    """Add how text is read."""
    add_field(to)
    add_skip_bad(to)
    common.add_parameters(to, Reading, READING)


def read_corpus(arguments: argparse.Namespace, files: Iterable[str], reading: Reading | None = None) -> FileCorpus:
    """Return the corpus of files. Options have priority over `reading`, how the text of a model was read."""
    given = common.given(arguments, READING)
    if "phrases" in given:
        given["phrases"] = Phrases.load(given["phrases"])
    structure = {"field": arguments.field, "header": not arguments.no_header, "skip_bad": arguments.skip_bad}
    return FileCorpus(paths_of(files), **structure, reading=replace(reading or Reading(), **given))


def paths_of(files: Iterable[str]) -> list[str | Path]:
    """Return names of files as paths; URLs stay strings."""
    return [file if is_url(file) else Path(file) for file in files]


def open_token_list(file: str) -> str | tuple[str, ...]:
    """Return the tokens in a file; "english" stays as it is."""
    return file if file == "english" else read_token_list(file)


def stdin_lines() -> list[str]:
    """Return the lines of standard input without their ends."""
    return sys.stdin.buffer.read().decode().splitlines()


# ---------------------------------------------------------------- vectors and models


def add_vectors(command: argparse.ArgumentParser) -> None:
    """Add the file of vectors to open."""
    text = "a model that `train` wrote, or vectors in any format that `export` writes"
    command.add_argument("vectors", metavar="VECTORS", help=text)
    add_input_format(command)


def add_input_format(to: common.Group) -> None:
    """Add the format of the file of vectors to open."""
    text, shown = "the format of the file to open", "by its first bytes or its suffix"
    common.add_option(to, "--input-format", text, shown=shown, choices=tuple(FORMATS))


def add_restrict(to: common.Group, default: int | None = None) -> None:
    """Add the number of words to search."""
    text = "look only at the first N words of a file, the most frequent ones"
    common.add_option(to, "--restrict", text, default, default or "all", type=int, metavar="N")


def holds(path: str, kind: str) -> bool:
    """Return whether a file holds a "classifier" or a "recommender"."""
    return is_safetensors(path) and read_fields(path).get("format") == f"fastembed.{kind}"


def open_vectors(arguments: argparse.Namespace) -> Vectors:
    """Load the vectors named by VECTORS."""
    return Vectors.load(arguments.vectors, arguments.input_format, progress=common.shows_bars(arguments))


def open_words(arguments: argparse.Namespace, vectors: Vectors) -> Callable[[str], str]:
    """Return a function that reads a word as the text of the model was read; vectors without a model keep words."""
    if format_of_file(arguments.vectors, arguments.input_format).name == "safetensors":
        from fastembed.skipgram.model import read_reading

        if reading := read_reading(arguments.vectors):
            return partial(reading.token, known=vectors)
    return str


def words_of(line: str, token: Callable[[str], str], known: Container[str]) -> list[str]:
    """Return the words of a line: a line that is one known token, or the parts between tabs, or else between spaces."""
    line = line.strip(" \t")
    if token(line) in known:
        return [line]
    return line.split("\t" if "\t" in line else None)


# ---------------------------------------------------------------- parameters of a new model


MIN_COUNT: common.Parameters = {
    "min_count": common.parameter("drop words, phrases or features that occur fewer times", int, "N")
}
SEED: common.Parameters = {"seed": common.parameter("seed of the random numbers", int, "N")}
TRAINING: common.Parameters = {  # of every model
    "dim": common.parameter("dimension of the vectors", int, "D"),
    "epochs": common.parameter("number of passes over the words, documents or users", int, "N"),
    "early_stopping": common.parameter(
        "stop when held-out lines get no likelier", action=argparse.BooleanOptionalAction
    ),
    "validation_fraction": common.parameter("share of the lines to hold out", float, "SHARE"),
    "n_iter_no_change": common.parameter("epochs to wait for a rise before stopping early", int, "N"),
    **SEED,
}


def check_model_output(arguments: argparse.Namespace) -> None:
    """Raise an error before training if --output is not the name of a model's file, or cannot be written."""
    check_model_name(arguments.output)
    check_writable(arguments.output)
