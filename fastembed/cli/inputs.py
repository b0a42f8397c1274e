"""What commands read: texts, vectors and models, the options that say how, and the parameters of a new model."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Container, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastembed.cli import options
from fastembed.cli.output import Progress, one_line, print_line, print_message
from fastembed.corpus.reading import DIGITS, UNITS, Reading, check_pattern, split_tokens
from fastembed.corpus.sources import is_url
from fastembed.counts.windows import WEIGHTINGS
from fastembed.formats.atomic import check_writable, remove_leftovers
from fastembed.formats.registry import FORMATS, format_of_file
from fastembed.formats.tensors import is_safetensors, read_fields

if TYPE_CHECKING:
    from fastembed.corpus import FileCorpus, Phrases, Reading
    from fastembed.skipgram import SkipGram
    from fastembed.vectors import Vectors

# ---------------------------------------------------------------- text

TOKENS = ("lowercase", "words", "keep_case", "digits", "unit", "token_pattern", "phrases")  # what the tokens are
READING = ("field", "no_header", "skip_bad", *TOKENS, "replace_invalid")


def add_text(to: options.Group, *, required: bool) -> None:
    """Add the text files to read, and how they are read."""
    text = "text, by default one sequence per line, tokens between spaces; also .gz, .bz2, .xz, .zst (before Python "
    text += "3.14 with backports.zstd), folders, patterns, - (stdin)"
    number = "+" if required else "*"
    to.add_argument("files", nargs=number, default=[], metavar="FILE", type=options.file_name, help=text)
    add_reading(to)


def add_field(to: options.Group, *, labels: bool = False, skip_bad: bool = True) -> None:
    """Add which field of structured files is the text, and with `labels` which one its labels."""
    text = "the field that holds text or lists of tokens, in .jsonl, .csv, .tsv or .parquet: a name or a number"
    options.add_option(to, "--field", text, shown="the files are text", metavar="NAME")
    if labels:
        text = "the field that holds the label of the text, or its labels"
        options.add_option(to, "--label", text, shown="the files are text", metavar="NAME")
        text = "what stands between several labels in one field"
        options.add_option(to, "--label-separator", text, shown="nothing, a field is one label", metavar="TEXT")
    options.add_no_header(to)
    if skip_bad:
        options.add_flag(to, "--skip-bad", "leave out and count rows that lack what is read of them")


def add_reading(to: options.Group) -> None:
    """Add how text is read."""
    add_field(to)
    text = "tokens are words: letters and digits, with apostrophes inside, in lower case, without punctuation"
    options.add_flag(to, "--words", text)
    options.add_flag(to, "--keep-case", "keep the capitals of --words")
    text = "numbers among --words: as they are, each digit as 0, or left out"
    options.add_option(to, "--digits", text, shown="keep", choices=tuple(DIGITS))
    text = "what a sequence is: a paragraph ends at an empty line, a sentence at . ! or ? before a capital"
    options.add_option(to, "--unit", text, shown="line", choices=("line", *UNITS))
    options.add_flag(to, "--lowercase", "turn the text to lower case first")
    text = "tokens are the matches of this regular expression in a line (slower)"
    options.add_option(to, "--token-pattern", text, shown="what is between spaces", type=pattern, metavar="REGEX")
    text = "join phrases such as new_york: those of a list that `phrases` wrote, or auto: found in the same text first"
    options.add_option(to, "--phrases", text, shown="none", type=options.file_name, metavar="FILE|auto")
    options.add_flag(to, "--replace-invalid", "read bytes that are not UTF-8 as U+FFFD instead of stopping")


def pattern(text: str) -> str:
    """Read a regular expression that has no group and does not match the empty string."""
    try:
        check_pattern(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def open_corpus(arguments: argparse.Namespace, reading: Reading | None = None) -> FileCorpus:
    """Return the corpus of the files given, none of which may be --output; `reading` is as for `read_corpus`."""
    if not arguments.files:
        options.fail(arguments, "give a FILE to read, or - for standard input, or --counts FILE")
    corpus = read_corpus(arguments, arguments.files, reading)
    lists = (getattr(arguments, name, None) for name in ("phrases", "drop", "keep_only"))
    options.reject_overwriting(arguments, [*corpus.names, *(file for file in lists if file not in ("auto", "english"))])
    return corpus


def read_corpus(arguments: argparse.Namespace, files: Iterable[str], reading: Reading | None = None) -> FileCorpus:
    """Return the corpus of some files, read as the options say, and as a reading says, a model's, where they do not."""
    from fastembed.corpus import FileCorpus

    chosen, reading = options.given(arguments, TOKENS), reading or Reading()
    if arguments.words:
        options.reject(arguments, ("token_pattern",), "--words says what a token is")
    elif arguments.token_pattern or not reading.words:
        options.reject(arguments, ("keep_case", "digits"), "only --words changes case and numbers")
    if arguments.keep_case:
        options.reject(arguments, ("lowercase",), "--keep-case keeps capitals")
    others: dict[str, Any] = {}  # of the reading, which an option replaces
    if arguments.words or arguments.token_pattern:
        others |= {"tokenizer": None, "token_pattern": None}
    if arguments.token_pattern:
        others |= {"words": False, "keep_case": False, "digits": "keep"}
    if arguments.lowercase or arguments.keep_case:
        others |= {"lowercase": False, "keep_case": False}
    others |= {"errors": "replace" if arguments.replace_invalid else "strict"}
    if chosen.pop("phrases", None):
        others |= {"phrases": None}
    structure = {"field": arguments.field, "header": not arguments.no_header, "skip_bad": arguments.skip_bad}
    reading = replace(reading, **others | chosen)
    # Once: what is no regular file can be read only once
    corpus = FileCorpus(paths_of(files), **structure, reading=reading)
    if twice := [name for name, times in Counter(corpus.names).items() if times > 1]:
        print_message(f"hint: {twice[0]!r} is named more than once, and counts as often")
    if arguments.phrases:
        corpus.reading = corpus.known_reading = replace(reading, phrases=_open_phrases(arguments, corpus))
    return corpus


def paths_of(files: Iterable[str]) -> list[str | Path]:
    """Return the names of files as paths, but URLs as they are."""
    return [file if is_url(file) else Path(file) for file in files]


def _open_phrases(arguments: argparse.Namespace, corpus: FileCorpus) -> Phrases:
    """Return the phrases of the file that --phrases names, or those of a corpus."""
    from fastembed.corpus import Phrases

    if arguments.phrases != "auto":
        return Phrases.load(arguments.phrases)
    with Progress(arguments, 0) as progress:
        phrases = Phrases.from_corpus(corpus, threads=getattr(arguments, "threads", None), progress=progress.reading)
    if not (arguments.json or getattr(arguments, "quiet", True)):
        print_line(f"found {len(phrases):,} phrases, such as {' '.join(phrases.phrases[0])!r}")
    return phrases


def open_token_list(file: str) -> str | tuple[str, ...]:
    """Return the tokens of a file, or "english" as it is."""
    from fastembed.corpus.tokens import read_token_list

    return file if file == "english" else read_token_list(file)


def stdin_lines() -> list[str]:
    """Return the lines of standard input without their ends."""
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"standard input is not UTF-8: {error}") from error
    return text.replace("\r\n", "\n").split("\n")


# ---------------------------------------------------------------- vectors and models


def add_vectors(command: argparse.ArgumentParser) -> None:
    """Add the file of vectors to open, and the purpose for which a model gives vectors."""
    text = "a model that `train` wrote, or vectors in any format that `export` writes"
    command.add_argument("vectors", metavar="VECTORS", type=options.file_name, help=text)
    add_input_format(command)
    text = "which vectors of a model: for analogies and similarity in the strict sense, or for relatedness"
    options.add_option(command, "--purpose", text, "analogies", choices=("analogies", "relatedness"))


def add_input_format(to: options.Group) -> None:
    """Add the format of the file of vectors to open."""
    text, shown = "the format of the file to open", "by its first bytes or its suffix"
    options.add_option(to, "--input-format", text, shown=shown, choices=tuple(FORMATS))


def add_restrict(to: options.Group, default: int | None = None) -> None:
    """Add the number of words to search."""
    text = "look only at the first N words of a file, the most frequent ones"
    options.add_option(to, "--restrict", text, default, default or "all", type=options.positive, metavar="N")


def open_model(arguments: argparse.Namespace, option: str) -> SkipGram:
    """Load the model named by VECTORS; an error names the option that needs one."""
    from fastembed.skipgram import SkipGram

    try:
        return SkipGram.load(arguments.vectors, threads=getattr(arguments, "threads", None))
    except ValueError as error:
        raise ValueError(f"{option} needs a model that `train` wrote: {error}") from error


def holds(path: str, kind: str) -> bool:
    """Return whether a file holds a "classifier" or a "recommender"."""
    return is_safetensors(path) and read_fields(path).get("format") == f"fastembed.{kind}"


def open_vectors(arguments: argparse.Namespace) -> Vectors:
    """Load the vectors named by VECTORS, for the purpose given."""
    from fastembed.vectors import Vectors

    if arguments.purpose == "analogies":
        shows = sys.stderr.isatty() and not getattr(arguments, "quiet", False)
        return Vectors.load(arguments.vectors, arguments.input_format, progress=shows)
    options.reject(arguments, ("input_format",), "--purpose relatedness needs a model that `train` wrote")
    return open_model(arguments, "--purpose relatedness").vectors_for(arguments.purpose)


def open_words(arguments: argparse.Namespace, vectors: Vectors) -> Callable[[str], str]:
    """Return the function from a word to the token that it is among the vectors, as their model reads it."""
    if format_of_file(arguments.vectors, getattr(arguments, "input_format", None)).name == "safetensors":
        from fastembed.skipgram.model import read_reading

        if reading := read_reading(arguments.vectors):
            return partial(reading.token, known=vectors)
    return str


def words_of(line: str, token: Callable[[str], str], known: Container[str]) -> list[str]:
    """Return the words of a line: the line if it is read as a known token, or what is between tabs, or else spaces.

    What is between tabs may be a phrase, and spaces beyond ASCII are parts of tokens: if these are not known, they are
    divided.
    """
    line = line.strip(" \t")
    words = [line] if token(line) in known else line.split("\t") if "\t" in line else split_tokens(line.encode())
    return [part for word in words for part in ([word] if token(word) in known else word.split())]


# ---------------------------------------------------------------- parameters of a new model


def window(text: str) -> int | tuple[int, int]:
    """Read an integer of at least 1, or two separated by a comma, not both 0."""
    before, comma, after = text.partition(",")
    if not comma:
        return options.positive(text)
    if not (text.isascii() and before.isdecimal() and after.isdecimal() and int(before) + int(after)):
        raise argparse.ArgumentTypeError(f"an integer, or two as in 0,1, expected, got {text!r}")
    return int(before), int(after)


_or_none = partial(options.or_word, "none")
MIN_COUNT: options.Parameters = {
    "min_count": options.parameter("drop words, phrases or features that occur fewer times", options.positive, "N")
}
SEED: options.Parameters = {
    "seed": options.parameter("seed of the random numbers", partial(options.positive, low=0), "N")
}
COUNTING: options.Parameters = {
    "window": options.parameter("words that count on either side; or before and after, as 0,1", window),
    "weighting": options.parameter("weight of a pair by its distance", str, choices=sorted(WEIGHTINGS)),
    **MIN_COUNT,
    "max_size": options.parameter("keep only the N most frequent words", _or_none(options.positive), "N"),
    "drop": options.parameter(
        "drop the words of a file with one per line, or english: function words", options.file_name, "FILE|english"
    ),
    "keep_only": options.parameter("drop all words but those of a file with one per line", options.file_name, "FILE"),
    "sample": options.parameter("subsample words above this share of all", _or_none(options.number())),
    "directed": options.parameter(
        "distinguish contexts before a word from those after it", action=argparse.BooleanOptionalAction
    ),
    "max_contexts": options.parameter(
        "only the N most frequent words are contexts; auto: all, or half of very many, up to 24,576",
        options.or_word("auto", _or_none(options.positive), "auto"),
        "N",
    ),
    "baskets": options.parameter(
        "a line is a basket, all pairs of which count: each 1, or 1/(n - 1) in a basket of n", choices=("flat", "share")
    ),
}
TRAINING: options.Parameters = {  # of every model
    "dim": options.parameter("dimension of the vectors", options.positive, "D"),
    "epochs": options.parameter("number of passes over the words, documents or users", options.positive, "N"),
    "early_stopping": options.parameter(
        "hold out lines, and stop when their likelihood no longer rises", action=argparse.BooleanOptionalAction
    ),
    "validation_fraction": options.parameter("share of the lines to hold out", options.number(0.5), "SHARE"),
    "n_iter_no_change": options.parameter("epochs to wait for a rise before stopping early", options.positive, "N"),
    **SEED,
}


def new_model(arguments: argparse.Namespace) -> SkipGram:
    """Return an untrained model with the parameters that were given."""
    from fastembed.skipgram import SkipGram

    model = SkipGram(**given_parameters(arguments))
    if model.baskets is not None:
        options.reject(arguments, ("window", "weighting", "sample", "directed"), "all pairs of a basket count")
    check_early_stopping(arguments, model.early_stopping)
    return model


def given_parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of `SkipGram` that were given, with the tokens of lists in place of their files."""
    found = options.given(arguments, (*COUNTING, *TRAINING, "subwords", "threads"))
    return found | {name: open_token_list(found[name]) for name in ("drop", "keep_only") if name in found}


def check_early_stopping(arguments: argparse.Namespace, stops: bool) -> None:
    """Exit if options of early stopping were given without it."""
    if not stops:
        names = ("validation_fraction", "n_iter_no_change")
        options.reject(arguments, names, "nothing is held out without --early-stopping")


def check_model_output(arguments: argparse.Namespace) -> None:
    """Exit if --output is not the name of a model's file; raise OSError if it cannot be written."""
    if Path(arguments.output).suffix.lower() not in FORMATS["safetensors"].suffixes:
        text = f"a model is a .safetensors file, got {arguments.output!r}; `export` writes vectors in other formats"
        options.fail(arguments, text)
    check_writable(arguments.output)
    remove_leftovers(arguments.output)


def save_model(arguments: argparse.Namespace, model: Any, output: str | None = None, **how: Any) -> None:
    """Save a model as --output; if that fails, as on a full disk, in a temporary folder, which the error names."""
    try:
        model.save(output or arguments.output, **how)
    except OSError as error:
        try:
            with ExitStack() as failed:
                kept = Path(tempfile.mkdtemp(), "model.safetensors")
                failed.callback(kept.parent.rmdir)
                model.save(kept, **how)
                failed.pop_all()
        except OSError as another:
            raise OSError(f"{one_line(error)}; {one_line(another)}") from error
        raise OSError(f"{one_line(error)}; the model is in {str(kept)!r} instead") from error


def add_kept(interrupt: BaseException, arguments: argparse.Namespace, model: Any, history: Any, estimate: Any) -> None:
    """Save what a new model has learned before an interruption beside --output, and add a note of it."""
    note = "what was read and learned is lost"
    if history:
        output = Path(arguments.output)
        kept = str(output.with_name(f"{output.stem}.interrupted{output.suffix or '.safetensors'}"))
        save_model(arguments, model, kept)
        note = f"the model after {len(history)} of {estimate.epochs} epochs is in {kept!r}, not {arguments.output!r}"
    begin = "" if hasattr(interrupt, "__notes__") else "interrupted; "
    interrupt.add_note(f"{begin}{note}: with --checkpoint FILE the same command would go on where it was")
