"""Labels of documents: ``fastembed train-classifier``, ``test`` and ``explain``, and ``predict`` by a classifier."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import numpy as np

from fastembed._base.validation import printable
from fastembed._kernels.features import separate_labels
from fastembed._kernels.tokens import valid_utf8
from fastembed.classifier import Classifier
from fastembed.classifier.calibration import LOSSES
from fastembed.classifier.classifier import EPOCHS, L2, answers_in_turn
from fastembed.classifier.labels import labelled_lines, text_files, wrong_document
from fastembed.classifier.model import ROWS
from fastembed.cli import options
from fastembed.cli.inputs import (
    MIN_COUNT,
    TRAINING,
    add_field,
    check_early_stopping,
    check_model_output,
    paths_of,
    save_model,
    stdin_lines,
)
from fastembed.cli.output import Progress, print_json, print_line, print_message, print_written
from fastembed.corpus import Ledger, Reading
from fastembed.corpus.blocks import BLOCK_BYTES, TextBlock, valid_text
from fastembed.corpus.memory import BadRow
from fastembed.corpus.tables import ROWS_AT_ONCE, Structure, field_rows, place_of
from fastembed.vectors import Vectors

FEATURES: options.Parameters = {
    "label_prefix": options.parameter("what labels begin with", str, "TEXT"),
    "ngrams": options.parameter("the largest number of neighbouring words that are a feature", options.positive, "N"),
    "chars": options.parameter(
        "character n-grams of words, of MIN to MAX characters, are features too, such as 3-6",
        options.ngram_lengths,
        "MIN-MAX",
    ),
    **MIN_COUNT,
    "max_features": options.parameter("keep only the N most frequent features", options.positive, "N"),
}
HOW_TO_TRAIN: options.Parameters = {
    "loss": options.parameter(
        "squared: least squares, each label against all others; ova: one sigmoid per label; softmax: over all labels",
        choices=LOSSES,
    ),
    **TRAINING,
    "pretrained": options.parameter(
        "start the rows of words from the vectors of this file; needs --loss softmax and --dim, that of the vectors",
        options.file_name,
        "FILE",
    ),
    "l2": options.parameter(
        "the weight of half the sum of the squared weights, in what is minimised", options.number(zero=True), "NUMBER"
    ),
    "class_weight": options.parameter(
        "weigh labels so that rare ones count as much as frequent ones, or all alike", choices=("balanced", "none")
    ),
    "tol": options.parameter(
        "end when no document's step in an epoch changes its score by more than this; not with --loss softmax",
        options.number(zero=True),
        "NUMBER",
    ),
    "learning_rate": options.parameter("rate of gradient descent; only with --loss softmax", options.number(), "RATE"),
}


def add_train_classifier(commands: options.Commands) -> None:
    """Add the command to the parser."""
    example = "train.txt -o classifier.safetensors"
    keys = "output, accuracies (on the documents of training by the dtype of rows), labels, labels_seen_once, "
    keys += "features, parameters, history (a list of records), ledger"
    command = options.add_command(commands, "train-classifier", train_classifier, example=example, keys=keys)
    options.add_output(command, "classifier.safetensors")
    _add_labelled_files(command)
    reading = command.add_argument_group("what a document is made of")
    options.add_flag(
        reading, "--split-at-spaces", "tokens are what spaces separate, as they are; otherwise they are words"
    )
    options.add_parameters(reading, Classifier, FEATURES)
    by_loss = {"dim": "none, a weight per feature and label", "epochs": f"at most {_by_loss(EPOCHS)}"}
    by_loss |= {"l2": _by_loss(L2), "class_weight": "rare labels count somewhat more, with --loss softmax all alike"}
    options.add_parameters(command.add_argument_group("how to train"), Classifier, HOW_TO_TRAIN, by_loss)
    text = "dtype of the rows in the file: float16 and int8 take less space"
    options.add_option(command, "--rows", text, "float32", choices=ROWS)
    options.add_threads(command)
    options.add_quiet(command)


def _add_labelled_files(command: argparse.ArgumentParser) -> None:
    """Add the files of documents with labels, and which fields of structured ones these are."""
    text = "text with a document and its labels per line, or structured files; also .gz, .bz2, .xz, .zst, folders"
    command.add_argument("files", nargs="+", metavar="FILE", type=options.file_name, help=text)
    add_field(command.add_argument_group("where text and labels are"), labels=True)


def _paths(arguments: argparse.Namespace) -> Any:
    """Return the files given; a single one as such, since of several a URL would be a document."""
    paths = paths_of(arguments.files)
    return paths[0] if len(paths) == 1 else paths


def _columns(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of texts and labels, as `Classifier.fit` takes them."""
    if (arguments.field is None) != (arguments.label is None):
        options.fail(arguments, "--field names the text and --label its labels: give both, or none for labelled text")
    if arguments.field is None:
        options.reject(arguments, ("label_separator", "no_header", "skip_bad"), "only structured files have fields")
    columns = {name: getattr(arguments, name) for name in ("field", "label", "label_separator", "skip_bad")}
    return columns | {"header": not arguments.no_header}


def _by_loss(defaults: Mapping[str, float]) -> str:
    """Return the default of each loss, for the help of an option."""
    return ", ".join(f"{loss} {default:g}" for loss, default in defaults.items())


def train_classifier(arguments: argparse.Namespace) -> None:
    """Learn to label documents from structured files, or from files with a document per line, as fastText reads them.

    --field and --label name the text and the labels of CSV, TSV, JSON lines and Parquet. Without them, the
    tokens of a line that begin with __label__ are its labels; lines without a label are left out and counted.
    `predict` answers with labels, `test` says how good they are, and `explain` why.
    """
    check_model_output(arguments)
    options.reject_overwriting(arguments, [*arguments.files, getattr(arguments, "pretrained", None)])
    parameters = options.given(arguments, (*FEATURES, *HOW_TO_TRAIN, "threads"))
    check_early_stopping(arguments, bool(parameters.get("early_stopping")))
    if parameters.get("loss") == "softmax":
        options.reject(arguments, ("tol",), "the loss softmax is trained for all --epochs")
    else:
        options.reject(arguments, ("learning_rate",), "only --loss softmax has a learning rate")
    if parameters.get("class_weight") == "none":
        parameters["class_weight"] = {}
    if arguments.split_at_spaces:
        parameters["reading"] = Reading()
    if pretrained := parameters.get("pretrained"):
        parameters["pretrained"] = Vectors.load(pretrained)
    model = Classifier(**parameters)
    files, columns = _paths(arguments), _columns(arguments)
    with Progress(arguments, 0) as progress:
        model.fit(files, **columns, progress=progress)
    save_model(arguments, model, rows=arguments.rows)
    accuracies: dict[str, float] = {}
    if arguments.rows != "float32":
        written = Classifier.load(arguments.output, threads=arguments.threads)
        both = {"float32": model, arguments.rows: written}
        accuracies = {rows: each.test(files, **columns).accuracy for rows, each in both.items()}
    once = int(np.count_nonzero(model.label_counts_ == 1))
    few = f", {once:,} of them with only one document" if once else ""
    print_written(
        arguments,
        f"{len(model.classes_):,} labels{few}; {model.n_features_:,} features",
        model.ledger_,
        accuracies=accuracies,
        labels=len(model.classes_),
        labels_seen_once=once,
        features=model.n_features_,
        parameters=model.get_params() | {"reading": model.reading and model.reading.record(), "pretrained": pretrained},
        history=model.history_,
        ledger=model.ledger_,
    )
    if accuracies and not (arguments.quiet or arguments.json):
        shown = ", ".join(f"{accuracy:.4f} with rows of {rows}" for rows, accuracy in accuracies.items())
        print_line(f"P@1 on the documents of training: {shown}")


def add_test(commands: options.Commands) -> None:
    """Add the command to the parser."""
    example = "classifier.safetensors valid.txt -n 3"
    keys = "model, documents, k, precision, recall, f1, accuracy, nll, calibration_error, per_label (a list of "
    keys += "label, precision, recall, f1, documents, predicted), confusions (a list of true "
    keys += "label, predicted label, how often), unknown_labels, without_features, skipped"
    command = options.add_command(commands, "test", test, example=example, keys=keys)
    command.add_argument("vectors", metavar="MODEL", help="a classifier that `train-classifier` wrote")
    _add_labelled_files(command)
    options.add_topn(command, 1)
    options.add_threads(command)


def test(arguments: argparse.Namespace) -> None:
    """Compare the labels that a classifier gives to documents with those of the file.

    P@k is the share of the first k labels that are right, R@k the share of the documents' labels that are among them.
    """
    model = Classifier.load(arguments.vectors, threads=arguments.threads)
    found = model.test(_paths(arguments), k=arguments.topn, progress=sys.stderr.isatty(), **_columns(arguments))
    if print_json(arguments, model=arguments.vectors, **vars(found)):
        return
    for line in str(found).split("\n"):
        print_line(line)


def add_explain(commands: options.Commands) -> None:
    """Add the command to the parser."""
    keys = "model, text, labels (a list of label, probability, score, bias, features (a list of feature, share))"
    command = options.add_command(commands, "explain", explain, example="classifier.safetensors text", keys=keys)
    command.add_argument("vectors", metavar="MODEL", help="a classifier that `train-classifier` wrote")
    command.add_argument("text", metavar="TEXT", nargs="+", help="the document, or - for standard input")
    options.add_topn(command, 3)


def explain(arguments: argparse.Namespace) -> None:
    """Print each feature's share of the scores of the most probable labels of a document; they add up to the scores."""
    model = Classifier.load(arguments.vectors)
    text = "\n".join(stdin_lines()) if arguments.text == ["-"] else " ".join(arguments.text)
    if os.path.exists(text):  # noqa: PTH110 - too long for a path, it is False
        print_message(f"hint: the document is the text {text!r}, not the file of that name; - reads standard input")
    found = model.explain(text, k=arguments.topn)
    labels = [
        {
            "label": label,
            "probability": found.probabilities[column],
            "score": found.scores[column],
            "bias": found.bias[column],
            "features": [
                {"feature": name, "share": share}
                for name, share in zip(found.features, found.shares[:, column].tolist(), strict=True)
            ],
        }
        for column, label in enumerate(found.labels)
    ]
    if not print_json(arguments, model=arguments.vectors, text=text, labels=labels):
        for line in str(found).split("\n"):
            print_line(line)


def predict_labels(arguments: argparse.Namespace) -> None:
    """Print the labels of each line of a file or of standard input, for ``fastembed predict``."""
    options.reject(arguments, ("side", "exclude", "skip_unknown"), "a classifier answers with labels")
    if len(arguments.words) > 1:
        files = " ".join(arguments.words)
        options.fail(arguments, f"a classifier reads one file, got {files!r}; a text is read from standard input")
    model = Classifier.load(arguments.vectors, threads=arguments.threads)
    topn = arguments.topn if options.given(arguments, ["topn"]) else 1
    line_of = _json_line if arguments.json else partial(_line, {c: printable(str(c)) for c in model.classes_.tolist()})
    name = (arguments.words or ["-"])[0]
    if " " in name and not os.path.exists(name):  # noqa: PTH110 - too long for a path, it is False
        options.fail(arguments, f"no such file: {name!r}; a text is read from standard input, as by echo TEXT |")
    if arguments.field is None:
        options.reject(arguments, ("no_header",), "only structured files have fields")
        batches = _documents(name, model)
    else:
        batches = _field_documents(name, arguments.field, not arguments.no_header, model.reading_.errors)
    for answers in answers_in_turn(model, batches, topn, arguments.threshold or 0.0):
        sys.stdout.writelines(map(line_of, answers))
        sys.stdout.flush()


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _json_line(answer: list[tuple[Any, float]]) -> str:
    return _encode({"labels": [{"label": label, "probability": p} for label, p in answer]}) + "\n"


def _line(names: dict[Any, str], answer: list[tuple[Any, float]]) -> str:
    return "  ".join([f"{names[label]} {p:.4f}" for label, p in answer]) + "\n"


def _documents(name: str, model: Classifier) -> Iterator[list[str]]:
    """Yield the documents of a file or folder, many at a time, or of standard input, all that have come."""
    errors, prefix = model.reading_.errors, model.label_prefix
    if name != "-":
        for _, texts in labelled_lines(text_files(Path(name), errors, labelled=False), prefix, Ledger()):
            yield texts.decode().split("\n")[:-1]
        return
    number, offset = 1, 0
    for text in _text_of_stdin():
        whole = errors == "replace" or valid_utf8(text)
        for part in [text] if whole else [line + b"\n" for line in text.split(b"\n")[:-1]]:  # up to the wrong one
            block = TextBlock(part, "standard input", number, offset, len(part), inside=False, last=False)
            yield separate_labels(valid_text(block, errors)[0], prefix.encode())[1].decode().split("\n")[:-1]
            number, offset = number + part.count(b"\n"), offset + len(part)


def _field_documents(name: str, field: str, header: bool, errors: str) -> Iterator[list[Any]]:
    """Yield the documents in a field of structured files, many at a time."""
    documents: list[Any] = []
    for file in Structure(field, header).find(Path(name)):
        with closing(field_rows(file, [field], header=header, errors=errors)) as rows:
            for number, row in rows:
                if bad := row if isinstance(row, BadRow) else wrong_document(row[0]):
                    empty = "; an empty text gets the commonest label" if bad.reason == "null" else ""
                    raise ValueError(f"{place_of(file, number)}: {bad.message}{empty}")
                documents.append(row[0])
                if len(documents) == ROWS_AT_ONCE:
                    yield documents
                    documents = []
    yield documents


def _text_of_stdin() -> Iterator[bytes]:
    """Yield whole lines as soon as they come: one, or all that are there already."""
    stdin = cast(BufferedReader, sys.stdin.buffer)
    begun: list[bytes] = []
    while some := stdin.read1(BLOCK_BYTES):
        end = some.rfind(b"\n") + 1
        if end:
            yield b"".join([*begun, some[:end]])
            begun.clear()
        begun.append(some[end:])
    if rest := b"".join(begun):
        yield rest + b"\n"
