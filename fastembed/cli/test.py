"""``fastembed test``: how good the labels of a classifier are."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from fastembed.classifier import Classifier, Evaluation
from fastembed.cli import options, values
from fastembed.cli.output import print_json, print_line

MOST_LABELS = 20


def run(arguments: argparse.Namespace) -> None:
    """Compare the labels that a classifier gives to documents with those of the file.

    P@k is the share of the first k labels that are right, R@k the share of the documents' labels that are among them.
    """
    model = Classifier.load(arguments.vectors, threads=arguments.threads)
    found = model.test([Path(file) for file in arguments.files], k=arguments.topn)
    if not print_json(arguments, model=arguments.vectors, **vars(found)):
        _print(found)


def _print(found: Evaluation) -> None:
    k = found.k
    print_line(
        f"{found.documents:,} documents   P@{k} {found.precision:.4f}   R@{k} {found.recall:.4f}   F1 {found.f1:.4f}"
        f"   nll {found.nll:.4f}   calibration error {found.calibration_error:.4f}"
    )
    print_line(
        f"{found.unknown_labels:,} labels are unknown; {found.without_features:,} documents have no known feature"
    )
    frequent = sorted(found.per_label, key=lambda score: -score.documents)
    print_line(f"{'label':<24} precision  recall      F1  documents")
    for score in frequent[:MOST_LABELS]:
        numbers = "".join(
            f"{'-' if math.isnan(x) else f'{x:.4f}':>8}" for x in (score.precision, score.recall, score.f1)
        )
        print_line(f"{score.label!s:<24}  {numbers}  {score.documents:>9,}")
    for true, wrong, count in found.confusions:
        print_line(f"{count:>6,} times {wrong} in place of {true}")


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "test",
        run,
        example="fastembed test classifier.safetensors valid.txt -n 3",
        keys="model, documents, k, precision, recall, f1, accuracy, nll, calibration_error, per_label (a list of "
        "label, precision, recall, f1, documents, predicted), confusions (a list of true "
        "label, predicted label, how often), unknown_labels, without_features",
    )
    command.add_argument("vectors", metavar="MODEL", help="a classifier that `train-classifier` wrote")
    command.add_argument("files", nargs="+", metavar="FILE", type=values.file_name, help="documents with their labels")
    options.add_topn(command, 1)
    options.add_threads(command)
