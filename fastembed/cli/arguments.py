"""What commands make of parsed arguments: a model, a corpus, vectors; and the checks of several options together."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from fastembed._base.optional import is_url
from fastembed.cli.options import PARAMETERS, TOKENS, option_of
from fastembed.cli.output import print_line
from fastembed.cli.progress import Progress
from fastembed.corpus import FileCorpus, Phrases, Reading
from fastembed.corpus.tokens import read_token_list
from fastembed.formats.atomic import check_writable, remove_leftovers
from fastembed.formats.registry import FORMATS, format_of
from fastembed.formats.tensors import map_tensors
from fastembed.skipgram import SkipGram
from fastembed.skipgram.checkpoint_counts import CheckpointCounts
from fastembed.skipgram.model import read_reading
from fastembed.vectors import Vectors


def given(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the options that were given a value other than their default."""
    found = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    return {name: value for name, value in found.items() if value != arguments.parser.get_default(name)}


def fail(arguments: argparse.Namespace, message: str) -> NoReturn:
    """Exit with a message about wrong usage, and the usage of the command."""
    parser: argparse.ArgumentParser = arguments.parser
    parser.error(message)


def check_json_lines(arguments: argparse.Namespace) -> None:
    """Exit if JSON is asked for in two forms."""
    if arguments.json and arguments.json_lines:
        fail(arguments, "--json prints one document at the end, and --json-lines one object per event: choose one")


def reject(arguments: argparse.Namespace, names: Iterable[str], reason: str) -> None:
    """Exit if any of these options was given, for a reason."""
    if wrong := sorted(map(option_of, given(arguments, names))):
        fail(arguments, f"{reason}, so {', '.join(wrong)} cannot be given as well")


def reject_overwriting(
    arguments: argparse.Namespace,
    inputs: Iterable[str | os.PathLike[str]],
    outputs: Iterable[str | os.PathLike[str]] | None = None,
) -> None:
    """Exit if an input would be overwritten by an output, which is --output if none is named."""
    written = {os.path.realpath(output): output for output in outputs or [arguments.output]}
    for file in inputs:
        if os.path.realpath(file) in written:
            output = os.fspath(written[os.path.realpath(file)])
            fail(arguments, f"the output {output!r} would overwrite the input {os.fspath(file)!r}")


def new_model(arguments: argparse.Namespace) -> SkipGram:
    """Return an untrained model with the parameters that were given."""
    model = SkipGram(**given_parameters(arguments))
    if model.baskets is not None:
        reject(arguments, ("window", "weighting", "sample", "directed"), "all pairs of a basket count")
    check_early_stopping(arguments, model)
    return model


def given_parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of `SkipGram` that were given, with the tokens of lists in place of their files."""
    found = given(arguments, PARAMETERS)
    return found | {name: open_token_list(found[name]) for name in ("drop", "keep_only") if name in found}


def open_token_list(file: str) -> str | tuple[str, ...]:
    """Return the tokens of a file, or "english" as it is."""
    return file if file == "english" else read_token_list(file)


def check_early_stopping(arguments: argparse.Namespace, model: SkipGram) -> None:
    """Exit if options of early stopping were given without it."""
    if not model.early_stopping:
        reject(arguments, ("validation_fraction", "n_iter_no_change"), "nothing is held out without --early-stopping")


def check_model_output(arguments: argparse.Namespace) -> None:
    """Exit if --output is not the name of a model's file; raise OSError if it cannot be written."""
    if Path(arguments.output).suffix.lower() not in FORMATS["safetensors"].suffixes:
        fail(arguments, f"a model is a .safetensors file, got {arguments.output!r}; `export` writes other formats")
    check_writable(arguments.output)
    remove_leftovers(arguments.output)


def checkpoint_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a fit that say where its checkpoint is; exit if it is also another file."""
    if arguments.checkpoint is None:
        reject(arguments, ("checkpoint_minutes", "keep_checkpoint"), "there is no --checkpoint")
        return {}
    paths = [arguments.checkpoint, *CheckpointCounts.names(arguments.checkpoint)]
    used = [arguments.output, arguments.counts, arguments.validation_counts, arguments.model, arguments.replay]
    files = [] if not arguments.files else FileCorpus(_paths(file for file in arguments.files if file != "-")).names
    reject_overwriting(arguments, [file for file in (*used, *files) if file is not None], paths)
    return {name: getattr(arguments, name) for name in ("checkpoint", "checkpoint_minutes", "keep_checkpoint")}


def open_model(arguments: argparse.Namespace, option: str) -> SkipGram:
    """Load the model named by VECTORS; an error names the option that needs one."""
    try:
        return SkipGram.load(arguments.vectors, threads=getattr(arguments, "threads", None))
    except ValueError as error:
        raise ValueError(f"{option} needs a model that `train` wrote: {error}") from error


def holds_classifier(path: str) -> bool:
    """Return whether a file is what `train-classifier` wrote."""
    if Path(path).suffix.lower() not in FORMATS["safetensors"].suffixes:
        return False
    return map_tensors(path)[1].get("format") == "fastembed.classifier"


def open_vectors(arguments: argparse.Namespace) -> Vectors:
    """Load the vectors named by VECTORS, for the purpose given."""
    if arguments.purpose == "analogies":
        return Vectors.load(arguments.vectors, arguments.input_format)
    reject(arguments, ("input_format",), "--purpose relatedness needs a model that `train` wrote")
    return open_model(arguments, "--purpose relatedness").vectors_for(arguments.purpose)


def stdin_lines() -> list[str]:
    """Return the lines of standard input without their ends."""
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"standard input is not UTF-8: {error}") from error
    return text.replace("\r\n", "\n").split("\n")


def open_corpus(arguments: argparse.Namespace, reading: Reading | None = None) -> FileCorpus:
    """Return the corpus of the files given, none of which may be --output; `reading` is as for `read_corpus`."""
    if not arguments.files:
        fail(arguments, "give a FILE to read, or - for standard input, or --counts FILE")
    corpus = read_corpus(arguments, arguments.files, reading)
    lists = (getattr(arguments, name, None) for name in ("phrases", "drop", "keep_only"))
    reject_overwriting(arguments, [*corpus.names, *(file for file in lists if file not in (None, "auto", "english"))])
    return corpus


def read_corpus(arguments: argparse.Namespace, files: Iterable[str], reading: Reading | None = None) -> FileCorpus:
    """Return the corpus of some files, read as the options say; if they say nothing, by a reading: a model's."""
    if arguments.words:
        reject(arguments, ("token_pattern",), "--words says what a token is")
    else:
        reject(arguments, ("keep_case", "digits"), "only --words changes case and numbers")
    if arguments.keep_case:
        reject(arguments, ("lowercase",), "--keep-case keeps capitals")
    paths = _paths(files)
    structure = {"field": arguments.field, "header": not arguments.no_header, "skip_bad": arguments.skip_bad}
    structure |= {"processes": arguments.processes, "errors": "replace" if arguments.replace_invalid else "strict"}
    if reading is not None and not given(arguments, TOKENS):
        return FileCorpus(paths, **structure, **{name: getattr(reading, name) for name in (*TOKENS, "tokenizer")})
    options = {name: getattr(arguments, name) for name in TOKENS if name != "phrases"}
    phrases = _open_phrases(arguments, FileCorpus(paths, **structure, **options))
    return FileCorpus(paths, **structure, **options, phrases=phrases)


def _paths(files: Iterable[str]) -> list[str | Path]:
    """Return the names of files as paths, but URLs as they are."""
    return [file if is_url(file) else Path(file) for file in files]


def _open_phrases(arguments: argparse.Namespace, corpus: FileCorpus) -> Phrases | None:
    """Return the phrases of the file that --phrases names, or those of a corpus."""
    if arguments.phrases != "auto":
        return arguments.phrases and Phrases.load(arguments.phrases)
    quiet = getattr(arguments, "quiet", True)
    with Progress(lines=False, bars=not quiet, epochs=0) as progress:
        phrases = Phrases.from_corpus(corpus, threads=getattr(arguments, "threads", None), progress=progress.reading)
    if not (arguments.json or quiet):
        print_line(f"found {len(phrases):,} phrases, such as {' '.join(phrases.phrases[0])!r}")
    return phrases


def open_words(arguments: argparse.Namespace, vectors: Vectors) -> Callable[[str], str]:
    """Return the function from a word to the token that it is among the vectors, as their model reads it."""
    form = format_of(arguments.vectors, arguments.input_format)
    if form.name != "safetensors" or (reading := read_reading(arguments.vectors)) is None:
        return str
    return partial(reading.token, known=vectors)
