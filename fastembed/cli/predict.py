"""``fastembed predict``: contexts of words, or items beside those of a basket; by a classifier, labels of documents."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any, cast

from fastembed._base.sizes import SIZES
from fastembed._base.validation import printable
from fastembed._kernels.tokens import valid_utf8
from fastembed.classifier import Classifier
from fastembed.classifier.documents import LabelledFiles, unlabelled_texts, valid_text
from fastembed.cli import options, values
from fastembed.cli.arguments import fail, given, holds_classifier, open_model, reject, stdin_lines
from fastembed.cli.output import print_error, print_json, print_line, print_scored, scored_record
from fastembed.corpus.blocks import TextBlock


def run(arguments: argparse.Namespace) -> int:
    """Print the most probable words beside words, or the labels of documents by a classifier.

    By a classifier, which `train-classifier` wrote, each line of a file, or of standard input, is a document; the
    tokens that are labels in training are left out. An answer is written as soon as its line is read.

    By a model that `train` wrote, the words, such as the items of a basket, are one query: each has the same weight,
    and they are left out of the answer. With - in place of WORD each line of standard input is a query; words that the
    model does not know are left out, named on stderr, and make the exit code 1.
    """
    if holds_classifier(arguments.vectors):
        return _predict_labels(arguments)
    reject(arguments, ("threshold",), "only a classifier answers with labels")
    if not arguments.words:
        fail(arguments, "give a WORD, or - for standard input")
    batch = arguments.words == ["-"]
    model = open_model(arguments, "predict")
    queries = _queries_of_stdin() if batch else [arguments.words]
    if (reading := model.reading_) is not None:
        queries = [[reading.token(word, model.vocabulary) for word in words] for words in queries]
    unknown = [word for word in dict.fromkeys(chain.from_iterable(queries)) if batch and word not in model.vocabulary]
    found = model.predict_outputs(queries, arguments.topn, arguments.side, skip_unknown=batch)
    document = [
        {"words": words, "predicted": scored_record(answer)} for words, answer in zip(queries, found, strict=True)
    ]
    if not print_json(arguments, model=arguments.vectors, side=arguments.side, queries=document, unknown=unknown):
        for words, answer in zip(queries, found, strict=True):
            print_line(" ".join(words))
            print_scored(answer)
    for word in unknown:
        print_error(f"{word!r} is unknown and was left out")
    return 1 if unknown else 0


def _predict_labels(arguments: argparse.Namespace) -> int:
    """Print the labels of each line of a file or of standard input."""
    reject(arguments, ("side",), "a classifier answers with labels")
    if len(arguments.words) > 1:
        fail(
            arguments,
            f"a classifier reads one file, got {' '.join(arguments.words)!r}; -k and --threshold take numbers",
        )
    model = Classifier.load(arguments.vectors, threads=arguments.threads)
    topn = arguments.topn if given(arguments, ["topn"]) else 1
    line_of = _json_line if arguments.json else partial(_line, {c: printable(str(c)) for c in model.classes_.tolist()})
    for documents in _documents((arguments.words or ["-"])[0], model):
        answers = model.predict_top(documents, topn, arguments.threshold or 0.0)
        sys.stdout.writelines(map(line_of, answers))
        sys.stdout.flush()
    return 0


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _json_line(answer: list[tuple[Any, float]]) -> str:
    return _encode({"labels": [{"label": label, "probability": p} for label, p in answer]}) + "\n"


def _line(names: dict[Any, str], answer: list[tuple[Any, float]]) -> str:
    return "  ".join([f"{names[label]} {p:.4f}" for label, p in answer]) + "\n"


def _documents(name: str, model: Classifier) -> Iterator[list[str]]:
    """Yield the documents of a file or folder, many at a time, or of standard input, all that have come."""
    errors, prefix = model.reading_.errors, model.label_prefix
    if name != "-":
        yield from LabelledFiles(Path(name), model.reading_, prefix).all_documents()
        return
    number, offset = 1, 0
    for text in _text_of_stdin():
        whole = errors == "replace" or valid_utf8(text)
        for part in [text] if whole else [line + b"\n" for line in text.split(b"\n")[:-1]]:  # up to the wrong one
            block = TextBlock(part, "standard input", number, offset, len(part), inside=False, last=False)
            yield unlabelled_texts(valid_text(block, errors), prefix.encode())
            number, offset = number + part.count(b"\n"), offset + len(part)


def _text_of_stdin() -> Iterator[bytes]:
    """Yield whole lines as soon as they come: one, or all that are there already."""
    stdin = cast(BufferedReader, sys.stdin.buffer)
    begun: list[bytes] = []
    while some := stdin.read1(SIZES.block_bytes):
        end = some.rfind(b"\n") + 1
        if end:
            yield b"".join([*begun, some[:end]])
            begun.clear()
        begun.append(some[end:])
    if rest := b"".join(begun):
        yield rest + b"\n"


def _queries_of_stdin() -> list[list[str]]:
    """Return the words of each line that has any."""
    return [words for line in stdin_lines() if (words := line.split())]


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "predict",
        run,
        example="fastembed predict model.safetensors bread butter -n 5",
        keys="model, side, queries (a list of words, predicted (a list of word, score)), unknown (a list of words); "
        "by a classifier one object per line: labels (a list of label, probability)",
    )
    command.add_argument("vectors", metavar="MODEL", help="a model that `train` or `train-classifier` wrote")
    command.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="a word, or - for standard input; for a classifier a file, folder, or -",
    )
    options.add_topn(command, 10, shown="10 words, 1 label")
    text = "leave out labels of a classifier that are less probable"
    options.add_option(
        command, "--threshold", text=text, default=None, shown="none", type=values.number(1), metavar="P"
    )
    text = "predict words on this side only, by a model that distinguishes them"
    options.add_option(command, "--side", text=text, default=None, shown="either", choices=("before", "after"))
    options.add_threads(command)
