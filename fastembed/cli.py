"""The command line: ``fastembed train|count|neighbors|analogy|evaluate|info|demo``. One function a sub-command."""

import argparse
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

import fastembed
from fastembed import demo, formats
from fastembed._estimate import Estimate
from fastembed.corpus import FileCorpus, Ledger
from fastembed.counts import Counts
from fastembed.evaluation import METHODS, Analogies, analogies, word_similarity
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors
from fastembed.vocabulary import Vocabulary

COUNTING = {
    "window": 12,
    "min_count": 5,
    "sample": 3e-4,
    "max_contexts": "auto",
}  # how to count, and SkipGram's defaults
TRAINING = ("dim", *COUNTING, "epochs", "seed")  # what decides the vectors


class Progress:
    """What :meth:`SkipGram.fit` reports to: a line an epoch, and bars where a person looks on.

    Parameters
    ----------
    quiet : bool
        No lines and no bars. Bars are drawn only on a terminal.
    epochs : int
        How many there will be.
    """

    def __init__(self, *, quiet: bool, epochs: int) -> None:
        self._quiet = quiet
        self._bars = not quiet and sys.stderr.isatty()
        self._epochs = epochs
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def reading(self, done: int, total: int | None) -> None:
        """Show how much of the corpus is read: bytes of files, or sequences."""
        self._show("reading", done, total)

    def counting(self, done: int, total: int | None) -> None:
        """Show how much of the corpus is counted: it is read once more, and then counted."""
        self._show("counting", done, total)

    def training(self, estimate: Estimate) -> None:
        """Print what training will take."""
        if not self._quiet:
            tqdm.write(f"training {estimate}")

    def epoch(self, record: dict[str, Any]) -> None:
        """Print what an epoch came to, and show how many are done."""
        if not self._quiet:
            held_out = f"   validation nll {record['validation_nll']:.4f}" if "validation_nll" in record else ""
            tqdm.write(
                f"epoch {record['epoch']:>2} of {self._epochs}   nll {record['nll']:.4f}   "
                f"perplexity {record['perplexity']:,.1f}{held_out}   {record['seconds']:.1f} s"
            )
        self._show("epochs", record["epoch"], self._epochs)

    def _show(self, stage: str, done: int, total: int | None) -> None:
        """Move the bar of a stage, after taking away that of the stage before; a finished stage has no bar."""
        if not self._bars:
            return
        if self._bar is None or self._bar.desc != stage:
            self._close()
            self._bar = tqdm(desc=stage, total=total, initial=done, unit_scale=True, leave=False)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def train(arguments: argparse.Namespace) -> None:
    """Learn vectors from text files or from counts, and save them."""
    formats.writable(arguments.output)
    settings, model = _settings(arguments), _model(arguments)
    with Progress(quiet=arguments.quiet, epochs=model.epochs) as progress:
        if arguments.counts is None:
            model.fit(_text(arguments), progress=progress)
        else:
            _refuse_beside_counts(arguments)
            model.fit_counts(Counts.load(arguments.counts), progress=progress)
            settings |= dict.fromkeys(COUNTING) | {"counts": arguments.counts}
            if model.windows_ is not None:
                settings |= asdict(model.windows_)
    vectors = model.vectors
    vectors.save(arguments.output, settings=settings)
    if not arguments.quiet:
        shape = f"{len(vectors):,} vectors of {vectors.matrix.shape[1]} numbers"
        _print_written(arguments.output, shape, model.ledger)


def count(arguments: argparse.Namespace) -> None:
    """Count text files, to be trained on later with train --counts."""
    formats.writable(arguments.output)
    if arguments.baskets and not {"window", "sample"}.isdisjoint(vars(arguments)):
        arguments.fail("--window and --sample say nothing about baskets, all pairs of which count")
    model = SkipGram(**{name: _settings(arguments)[name] for name in COUNTING}, threads=arguments.threads)
    with Progress(quiet=arguments.quiet, epochs=1) as progress:
        corpus = _text(arguments)
        vocabulary = Vocabulary.from_corpus(
            corpus, model.min_count, arguments.max_size, threads=model.threads, progress=progress.reading
        )
        options: dict[str, Any] = {
            "max_contexts": model.contexts(len(vocabulary)),
            "threads": model.threads,
            "memory_limit": arguments.memory_limit,
            "progress": progress.counting,
        }
        if arguments.baskets:
            counts = Counts.from_baskets(corpus, vocabulary, weighting=arguments.baskets, **options)
        else:
            options |= {name: getattr(model, name) for name in ("window", "weighting", "sample", "directed")}
            counts = Counts.from_corpus(corpus, vocabulary, **options)
    read, again = (ledger or Ledger() for ledger in (vocabulary.ledger, counts.ledger))
    read.check_reread(again)
    with read.noted():
        counts.save(arguments.output)
    if not arguments.quiet:
        shape = f"{counts.nnz:,} counts of {counts.shape[0]:,} tokens and {counts.shape[1]:,} contexts"
        _print_written(arguments.output, shape, read)


def neighbors(arguments: argparse.Namespace) -> None:
    """Print the nearest words of each word given."""
    vectors = Vectors.load(arguments.vectors)
    found = [vectors.most_similar(word, topn=arguments.number) for word in arguments.words]
    for word, near in zip(arguments.words, found, strict=True):
        print(word)
        _print_scored(near)


def analogy(arguments: argparse.Namespace) -> None:
    """Print what C is to, if A is to B."""
    vectors = Vectors.load(arguments.vectors)
    found = vectors.most_similar([arguments.b, arguments.c], [arguments.a], topn=arguments.number)
    print(f"{arguments.a} is to {arguments.b} as {arguments.c} is to")
    _print_scored(found)


def evaluate(arguments: argparse.Namespace) -> None:
    """Print how well vectors agree with files of word similarity and of analogies."""
    if not arguments.similarity and not arguments.analogies:
        raise ValueError("nothing to evaluate with: give --similarity FILE or --analogies FILE")
    vectors = Vectors.load(arguments.vectors)
    similar = [(file, word_similarity(vectors, file)) for file in arguments.similarity]
    analogous = [
        (file, analogies(vectors, file, method=arguments.method, restrict=arguments.restrict))
        for file in arguments.analogies
    ]
    if arguments.json:
        results = {
            "vectors": arguments.vectors,
            "similarity": [{"file": file, **result.record()} for file, result in similar],
            "analogies": [
                {"file": file, "restrict": arguments.restrict, **result.record()} for file, result in analogous
            ],
        }
        print(json.dumps(results, allow_nan=False, ensure_ascii=False, indent=2))
        return
    for file, similarity in similar:
        print(f"{file}: {similarity.summary()}")
    for file, result in analogous:
        _print_sections(file, result)


def info(arguments: argparse.Namespace) -> None:
    """Print what this installation runs on, or what a file holds."""
    if arguments.file is None:
        fastembed.show_versions()
        return
    tensors, metadata = formats.read_tensors(arguments.file)
    print(f"{arguments.file}: {Path(arguments.file).stat().st_size:,} bytes")
    for key, value in sorted(metadata.items()):
        print(f"  {key:<16} {value}")
    for name, tensor in sorted(tensors.items()):
        print(f"  {name:<16} {tensor.dtype} {tensor.shape}")


def demonstrate(arguments: argparse.Namespace) -> None:
    """Learn vectors from the standard library of this Python and show them."""
    model = _model(arguments)
    with Progress(quiet=arguments.quiet, epochs=model.epochs) as progress:
        demo.run(model, arguments.output, _settings(arguments), progress, quiet=arguments.quiet)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process if not given.

    Returns
    -------
    int
        0 if all went well, 1 after a failure, which is named in one line on stderr.

    Raises
    ------
    SystemExit
        With 2 if the command line is wrong, with 0 after ``--help`` and ``--version``.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Vectors(["a", "b", "c"], np.array([[1.0, 0], [1, 1], [0, 1]])).save(f"{folder}/v.safetensors")
    ...     main(["neighbors", f"{folder}/v.safetensors", "a"])
    a
      b                         0.7071
      c                         0.0000
    0
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
        if sys.stdout:  # None where the process was started without one
            sys.stdout.flush()
    except BrokenPipeError:
        # the reader of our output has gone; Python would complain once more when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt as interrupt:
        notes = "; ".join(getattr(interrupt, "__notes__", ["interrupted"]))
        print(f"fastembed: {notes}", file=sys.stderr)
        return 130
    except Exception as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"fastembed: error: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog="fastembed", description="Exact-softmax word vectors on a CPU.")
    parser.add_argument("--version", action="version", version=f"fastembed {fastembed.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(commands, train, "fastembed train news.txt more.txt.gz -o news.safetensors --dim 100 --seed 1")
    _add_text(command, required=False)
    command.add_argument("--counts", metavar="FILE", help="learn from what `count` wrote, instead of from text")
    _add_training(command)

    command = _command(commands, count, "fastembed count news/*.txt.gz -o news.counts.safetensors --window 5")
    _add_text(command, required=True)
    command.add_argument("-o", "--output", default="counts.safetensors", metavar="FILE", help="default: %(default)s")
    command.add_argument(
        "--baskets",
        choices=("flat", "share"),
        help="a line is a basket, all pairs of which count: each 1, or 1/(n - 1) in a basket of n",
    )
    command.add_argument(
        "--memory-limit", type=_bytes, metavar="SIZE", help="as 800M or 4G; default: half of what is free"
    )
    command.add_argument("--max-size", type=_positive, metavar="N", help="keep only the N most frequent words")
    _add_counting(command)

    command = _command(commands, neighbors, "fastembed neighbors vectors.safetensors france two -n 5")
    command.add_argument("vectors", metavar="VECTORS", help="a file that `train` wrote")
    command.add_argument("words", nargs="+", metavar="WORD")
    command.add_argument("-n", dest="number", type=_positive, default=10, help="how many (default: %(default)s)")

    command = _command(commands, analogy, "fastembed analogy vectors.safetensors france paris italy")
    command.add_argument("vectors", metavar="VECTORS", help="a file that `train` wrote")
    for name in "abc":
        command.add_argument(name, metavar=name.upper())
    command.add_argument("-n", dest="number", type=_positive, default=5, help="how many (default: %(default)s)")

    command = _command(
        commands,
        evaluate,
        "fastembed evaluate vectors.safetensors --similarity wordsim353.tsv --analogies questions.txt",
    )
    command.add_argument("vectors", metavar="VECTORS", help="a file that `train` wrote")
    for option, lines in (
        ("--similarity", "two words and a score"),
        ("--analogies", "four words, in sections that a line with : opens"),
    ):
        about = f"files with lines of {lines}"
        command.add_argument(option, nargs="+", action="extend", default=[], metavar="FILE", help=about)
    command.add_argument("--method", choices=METHODS, default="3CosAdd", help="of analogies (default: %(default)s)")
    command.add_argument("--restrict", type=_positive, metavar="N", help="analogies among the first N tokens only")
    command.add_argument("--json", action="store_true", help="print all results as JSON")

    command = _command(commands, info, "fastembed info vectors.safetensors")
    command.add_argument("file", nargs="?", metavar="FILE", help="a safetensors file; the installation if not given")

    command = _command(commands, demonstrate, "fastembed demo -o demo.safetensors", name="demo")
    _add_training(command)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    run: Callable[[argparse.Namespace], None],
    example: str,
    name: str | None = None,
) -> argparse.ArgumentParser:
    """Add the sub-command that a function runs, described by its docstring and an example."""
    summary = str(run.__doc__)
    command = commands.add_parser(name or run.__name__, help=summary, description=summary, epilog=f"example: {example}")
    command.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    command.set_defaults(run=run, fail=command.error)
    return command


def _add_training(command: argparse.ArgumentParser) -> None:
    """Add the options of the commands that train; their defaults are SkipGram's."""
    add = command.add_argument
    add("-o", "--output", default="vectors.safetensors", metavar="FILE", help="where to save (default: %(default)s)")
    add("--dim", type=_positive, default=100, help="numbers a vector (default: %(default)s)")
    add("--epochs", type=_positive, default=5, help="default: %(default)s")
    add("--seed", type=int, default=0, help="of the random numbers (default: %(default)s)")
    _add_counting(command)


def _add_counting(command: argparse.ArgumentParser) -> None:
    """Add the options of all commands that count. Those not given are left out, so that one can see which were."""

    def add(name: str, kind: Callable[[str], Any], text: str) -> None:
        shown = COUNTING[name.lstrip("-").replace("-", "_")]
        command.add_argument(name, type=kind, default=argparse.SUPPRESS, help=f"{text} (default: {shown})")

    add("--window", _window, "words that count on either side; or before and after, as 0,1")
    add("--min-count", _positive, "drop rarer words")
    add("--sample", _share, 'thin out words above this share; "none": no')
    add("--max-contexts", _auto, "words that serve as contexts")
    command.add_argument("--threads", type=_positive, help="default: one a core; the result is the same for any number")
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _add_text(command: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the files to read, and how."""
    command.add_argument(
        "files",
        nargs="+" if required else "*",
        metavar="FILE",
        help="text, a sequence a line, tokens between spaces; also .gz, .bz2, .xz, .zst, folders, patterns, - (stdin)",
    )
    command.add_argument("--lowercase", action="store_true", help="turn the text to lower case first")
    command.add_argument(
        "--token-pattern", type=_pattern, metavar="REGEX", help="tokens are what this matches in a line (slower)"
    )
    command.add_argument("--replace-invalid", action="store_true", help="read bytes that are not UTF-8 as U+FFFD")


def _text(arguments: argparse.Namespace) -> FileCorpus:
    """Return the corpus the options describe."""
    if not arguments.files:
        arguments.fail("give a FILE to read, or - for standard input, or --counts FILE")
    return FileCorpus(
        [Path(file) for file in arguments.files],
        lowercase=arguments.lowercase,
        tokenizer=arguments.token_pattern and arguments.token_pattern.findall,
        errors="replace" if arguments.replace_invalid else "strict",
    )


def _refuse_beside_counts(arguments: argparse.Namespace) -> None:
    """Refuse options that say how to count where that has been done."""
    given = [name for name in ("files", "lowercase", "token_pattern", "replace_invalid") if getattr(arguments, name)]
    given += [name for name in COUNTING if hasattr(arguments, name)]
    if given:
        names = ", ".join("FILE" if name == "files" else f"--{name.replace('_', '-')}" for name in given)
        arguments.fail(f"--counts says what was counted and how, so {names} cannot be given as well")


def _positive(text: str) -> int:
    """Read an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"an integer of at least 1 expected, got {text!r}")
    return int(text)


def _window(text: str) -> int | tuple[int, int]:
    """Read an integer of at least 1, or two, not both 0, with a comma between them."""
    before, comma, after = text.partition(",")
    if not comma:
        return _positive(text)
    if not (before.isdecimal() and after.isdecimal() and int(before) + int(after)):
        raise argparse.ArgumentTypeError(f"an integer or two, as 0,1, expected, got {text!r}")
    return int(before), int(after)


def _bytes(text: str) -> int:
    """Read a number of bytes, or of kilo-, mega- or gigabytes."""
    factor = {"K": 10**3, "M": 10**6, "G": 10**9}.get(text[-1:].upper())
    try:
        return int(float(text[:-1] if factor else text) * (factor or 1))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"a size such as 800M or 4G expected, got {text!r}") from None


def _pattern(text: str) -> re.Pattern[str]:
    """Read a regular expression with one group at most, which does not match nothing."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None
    if pattern.groups > 1:
        raise argparse.ArgumentTypeError(f"{text!r} has {pattern.groups} groups; write (?:...) for all but one")
    if pattern.search(""):
        raise argparse.ArgumentTypeError(f"{text!r} matches the empty text, which is no token; write + for *")
    return pattern


def _auto(text: str) -> int | str:
    """Read "auto" or an integer of at least 1."""
    return text if text == "auto" else _positive(text)


def _share(text: str) -> float | None:
    """Read "none" or a number."""
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'a number or "none" expected, got {text!r}') from None


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of training, to be kept with the vectors."""
    return COUNTING | {name: getattr(arguments, name) for name in TRAINING if hasattr(arguments, name)}


def _model(arguments: argparse.Namespace) -> SkipGram:
    """Return the model the options describe."""
    return SkipGram(**_settings(arguments), threads=arguments.threads)


def _print_written(path: str, what: str, ledger: Ledger | None) -> None:
    """Print the last line of a command: what it wrote, and what became of all that was read."""
    print(f"wrote {path}: {what}{f'; {ledger.summary()}' if ledger else ''}")


def _print_scored(scored: list[tuple[str, float]]) -> None:
    """Print tokens and their cosines, one a line."""
    for token, cosine in scored:
        print(f"  {token:<24}{cosine:8.4f}")


def _print_sections(file: str, result: Analogies) -> None:
    """Print the total of a file of analogies, and its sections."""
    print(f"{file}: {result.summary()}")
    for section in result.sections:
        print(f"  {section.name:<32}{section.summary()}")


def _one_line(error: Exception) -> str:
    """Return what an error says, on one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fspath(error.filename)!r}: {error.strerror}"
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__
