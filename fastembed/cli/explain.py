"""``fastembed explain``: why a document gets its labels."""

from __future__ import annotations

import argparse

from fastembed.classifier import Classifier
from fastembed.cli import options
from fastembed.cli.output import print_json, print_line


def run(arguments: argparse.Namespace) -> None:
    """Print each feature's share of the scores of the most probable labels of a document; they add up to the scores."""
    model = Classifier.load(arguments.vectors)
    found = model.explain(arguments.text, k=arguments.topn)
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
    if not print_json(arguments, model=arguments.vectors, text=arguments.text, labels=labels):
        for line in str(found).split("\n"):
            print_line(line)


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "explain",
        run,
        example="fastembed explain classifier.safetensors text",
        keys="model, text, labels (a list of label, probability, score, bias, features (a list of feature, share))",
    )
    command.add_argument("vectors", metavar="MODEL", help="a classifier that `train-classifier` wrote")
    command.add_argument("text", metavar="TEXT", help="the document")
    options.add_topn(command, 3)
