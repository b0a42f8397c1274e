"""Labels of documents: ``fastembed train-classifier`` and ``test``, and ``predict`` by a classifier."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, cast

from fastembed._base.validation import printable
from fastembed.classifier import Classifier
from fastembed.classifier.data import field_documents, file_lines
from fastembed.classifier.options import EPOCHS, L2, LOSSES
from fastembed.cli import common, inputs
from fastembed.corpus import Reading
from fastembed.corpus.chunks import CHUNK_BYTES

ROWS_AT_ONCE = 1024  # documents in a field that are answered at a time

LARGE = 10_000_000  # weights of a classifier, in a file of 40 MB
FEATURES: common.Parameters = {
    "label_prefix": common.parameter("what labels begin with", str, "TEXT"),
    "ngrams": common.parameter("the largest number of neighbouring words that are a feature", int, "N"),
    "chars": common.parameter("character n-grams of words are features too, such as 3-6", common.lengths, "MIN-MAX"),
    **inputs.MIN_COUNT,
}
HOW_TO_TRAIN: common.Parameters = {
    "loss": common.parameter("squared: each label against all others; softmax: all labels at once", choices=LOSSES),
    **{name: inputs.TRAINING[name] for name in ("dim", "epochs", "seed")},
    "l2": common.parameter("the weight of half the sum of the squared weights, in what is minimised", float, "NUMBER"),
    "class_weight": common.parameter("rare labels count as much as frequent ones", choices=("balanced",)),
    "tol": common.parameter("end when no score changes by more in an epoch; not with --loss softmax", float, "NUMBER"),
    "learning_rate": common.parameter("rate of gradient descent; only with --loss softmax", float, "RATE"),
}


def add_train_classifier(commands: common.Commands) -> None:
    """Add the command to the parser."""
    example = "train.txt -o classifier.safetensors"
    command = common.add_command(commands, "train-classifier", train_classifier, example=example)
    common.add_output(command, "classifier.safetensors")
    _add_labelled_files(command)
    reading = command.add_argument_group("what a document is made of")
    common.add_flag(
        reading, "--split-at-spaces", "tokens are what spaces separate, as they are; otherwise they are words"
    )
    common.add_parameters(reading, Classifier, FEATURES)
    by_loss = {"dim": "none, a weight per feature and label", "epochs": f"at most {_by_loss(EPOCHS)}"}
    by_loss |= {"l2": _by_loss(L2), "class_weight": "rare labels count somewhat more, with --loss softmax all alike"}
    common.add_parameters(command.add_argument_group("how to train"), Classifier, HOW_TO_TRAIN, by_loss)
    common.add_threads(command)


def _add_labelled_files(command: argparse.ArgumentParser) -> None:
    """Add the files of documents with labels, and the fields of structured files that hold them."""
    text = "text with a document and its labels per line, or structured files; also .gz, .bz2, .xz, .zst, folders"
    command.add_argument("files", nargs="+", metavar="FILE", help=text)
    columns = command.add_argument_group("where text and labels are")
    inputs.add_field(columns)
    text = "the field that holds the label of the text, or its labels"
    common.add_option(columns, "--label", text, shown="the files are text", metavar="NAME")
    inputs.add_skip_bad(columns)


def _labelled(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the files of documents with labels and their fields, as `Classifier.fit` takes them."""
    paths = inputs.paths_of(arguments.files)
    columns = {name: getattr(arguments, name) for name in ("field", "label", "skip_bad")}
    # `Classifier.fit` takes a list of strings, such as URLs, as documents
    return {"documents": paths[0] if len(paths) == 1 else paths, "header": not arguments.no_header, **columns}


def _by_loss(defaults: Mapping[str, float]) -> str:
    """Return the default of each loss, for the help of an option."""
    return ", ".join(f"{loss} {default:g}" for loss, default in defaults.items())


def train_classifier(arguments: argparse.Namespace) -> None:
    """Learn to label documents from structured files, or from files with a document per line, as fastText reads them.

    --field and --label name the text and the labels of CSV, TSV, JSON lines and Parquet. Without them, the tokens of a
    line that begin with __label__ are its labels; lines without a label are left out and counted. `predict` answers
    with labels, `test` says how good they are.
    """
    inputs.check_model_output(arguments)
    parameters = common.given(arguments, (*FEATURES, *HOW_TO_TRAIN))
    if arguments.split_at_spaces:
        parameters["reading"] = Reading()
    model = Classifier(**parameters, threads=arguments.threads)
    with common.showing(arguments) as progress:
        model.fit(**_labelled(arguments), progress=progress)
    model.save(arguments.output)
    labels, features = len(model.classes_), model.n_features_
    fewer = " (fewer, and a smaller file, with --min-count 2)" if labels * features > LARGE else ""
    common.print_written(arguments, f"{labels:,} labels; {features:,} features{fewer}", model.ledger_)


def add_test(commands: common.Commands) -> None:
    """Add the command to the parser."""
    example = "classifier.safetensors valid.txt -n 3"
    keys = "model, documents, k, precision, recall, f1, accuracy, nll, calibration_error, per_label (a list of "
    keys += "label, precision, recall, f1, documents, predicted), unknown_labels, without_features, skipped"
    command = common.add_command(commands, "test", test, example=example, keys=keys)
    command.add_argument("model", metavar="MODEL", help="a classifier that `train-classifier` wrote")
    _add_labelled_files(command)
    common.add_topn(command, 1)
    common.add_threads(command)


def test(arguments: argparse.Namespace) -> None:
    """Compare the labels that a classifier gives to documents with those of the file.

    P@k is the share of the first k labels that are right, R@k the share of the documents' labels that are among them.
    """
    model = Classifier.load(arguments.model, threads=arguments.threads)
    evaluation = model.test(**_labelled(arguments), k=arguments.topn, progress=common.shows_bars(arguments))
    if not common.print_json(arguments, model=arguments.model, **vars(evaluation)):
        for line in str(evaluation).split("\n"):
            common.print_line(line)


def predict_labels(arguments: argparse.Namespace) -> None:
    """Print the labels of each line of a file or of standard input, for ``fastembed predict``."""
    if len(arguments.words) > 1:
        arguments.parser.error(f"a classifier reads one file, or standard input, got {' '.join(arguments.words)!r}")
    model = Classifier.load(arguments.model, threads=arguments.threads)
    name = (arguments.words or ["-"])[0]
    if arguments.field is not None:
        documents = field_documents(Path(name), arguments.field, not arguments.no_header, model.reading_.errors)
        batches = iter(lambda: list(islice(documents, ROWS_AT_ONCE)), [])
    elif name == "-":
        batches = _documents_of_stdin(model.reading_.errors)
    else:
        batches = file_lines(Path(name), model.reading_.errors, model.label_prefix)
    for batch in batches:
        for answer in model.predict_top(batch, arguments.topn or 1, arguments.threshold):
            if arguments.json:
                labels = [{"label": label, "probability": p} for label, p in answer]
                print(json.dumps({"labels": labels}, ensure_ascii=False))
            else:
                print("  ".join([f"{printable(str(label))} {p:.4f}" for label, p in answer]))
        sys.stdout.flush()


def _documents_of_stdin(errors: str) -> Iterator[list[str]]:
    """Yield whole lines as soon as they come: one, or all that are there already."""
    stdin = cast(BufferedReader, sys.stdin.buffer)
    text = b""
    while data := stdin.read1(CHUNK_BYTES):
        lines, newline, text = (text + data).rpartition(b"\n")
        if newline:
            yield lines.decode(errors=errors).split("\n")
    if text:
        yield [text.decode(errors=errors)]
