"""``fastembed train-classifier``: a classifier from lines with labels."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from fastembed.classifier import Classifier
from fastembed.classifier.compression import ROWS
from fastembed.classifier.likelihood import LOSSES
from fastembed.classifier.options import EPOCHS, L2
from fastembed.cli import options, values
from fastembed.cli.arguments import check_model_output, given, reject, reject_overwriting
from fastembed.cli.output import print_line, print_written
from fastembed.corpus import Reading
from fastembed.vectors import Vectors

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(Classifier).parameters.items()}
EARLY = ("validation_fraction", "n_iter_no_change")


def run(arguments: argparse.Namespace) -> None:
    """Learn to label documents from files with a document per line, as fastText reads them.

    The tokens of a line that begin with __label__ are its labels. Lines without a label are left out and counted.
    `predict` answers with labels, `test` says how good they are, and `explain` why.
    """
    check_model_output(arguments)
    reject_overwriting(arguments, arguments.files)
    parameters = given(arguments, DEFAULTS)
    if not parameters.get("early_stopping"):
        reject(arguments, EARLY, "nothing is held out without --early-stopping")
    if parameters.get("loss") == "softmax":
        reject(arguments, ("tol",), "the loss softmax is trained for all --epochs")
    else:
        reject(arguments, ("learning_rate",), "only --loss softmax has a learning rate")
    if arguments.split_at_spaces:
        parameters["reading"] = Reading()
    if (pretrained := parameters.get("pretrained")) is not None:
        reject_overwriting(arguments, [pretrained])
        parameters["pretrained"] = Vectors.load(pretrained)
    model = Classifier(**parameters)
    quiet = arguments.quiet or arguments.json
    model.fit([Path(file) for file in arguments.files], on_epoch_end=None if quiet else partial(_print_epoch, model))
    model.save(arguments.output, rows=arguments.rows)
    accuracies = _accuracies(arguments, model)
    once = int(np.count_nonzero(model.label_counts_ == 1))
    print_written(
        arguments,
        f"{len(model.classes_):,} labels, {once:,} of them seen once; {model.n_features_:,} features",
        model.ledger_,
        accuracies=accuracies,
        labels=len(model.classes_),
        labels_seen_once=once,
        features=model.n_features_,
        parameters=model.get_params() | {"reading": model.reading and model.reading.record(), "pretrained": pretrained},
        history=model.history_,
        ledger=model.ledger_,
    )
    if accuracies and not quiet:
        shown = ", ".join(f"{accuracy:.4f} with rows of {rows}" for rows, accuracy in accuracies.items())
        print_line(f"P@1 on the documents of training: {shown}")


def _accuracies(arguments: argparse.Namespace, model: Classifier) -> dict[str, float]:
    """Return the accuracy on the documents of training by the dtype of the rows, if that is not float32."""
    if arguments.rows == "float32":
        return {}
    written = Classifier.load(arguments.output, threads=arguments.threads)
    files = [Path(file) for file in arguments.files]
    return {"float32": model.test(files).accuracy, arguments.rows: written.test(files).accuracy}


def _print_epoch(model: Classifier, record: dict[str, float]) -> None:
    held_out = f"   validation nll {record['validation_nll']:.4f}" if "validation_nll" in record else ""
    loss = f"nll {record['nll']:.4f}" if "nll" in record else f"loss {record['loss']:.4f}"
    print_line(f"epoch {int(record['epoch']):>2}   {loss}{held_out}   {record['seconds']:.1f} s")


def _by_loss(defaults: Mapping[str, float]) -> str:
    """Return the default of each loss, for the help of an option."""
    return ", ".join(f"{loss} {default:g}" for loss, default in defaults.items())


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "train-classifier",
        run,
        example="fastembed train-classifier train.txt -o classifier.safetensors",
        keys="output, accuracies (on the documents of training by the dtype of rows), labels, labels_seen_once, "
        "features, parameters, history (a list of records), ledger",
    )
    options.add_output(command, "classifier.safetensors")
    help_of_files = "text with a document and its labels per line; also .gz, .bz2, .xz, .zst, folders, patterns"
    command.add_argument("files", nargs="+", metavar="FILE", type=values.file_name, help=help_of_files)
    reading = command.add_argument_group("what a document is made of")
    options.add_flag(
        reading, "--split-at-spaces", "tokens are what spaces separate, as they are; otherwise they are words"
    )
    add = partial(options.add_parameter, reading, defaults=DEFAULTS)
    add("label_prefix", str, "what labels begin with", metavar="TEXT")
    add("ngrams", values.positive, "the largest number of neighbouring words that are a feature", metavar="N")
    text = "character n-grams of words, of MIN to MAX characters, are features too, such as 3-6"
    add("chars", values.ngram_lengths, text, metavar="MIN-MAX")
    options.add_min_count(reading, DEFAULTS)
    add("max_features", values.positive, "keep only the N most frequent features", metavar="N")
    training = command.add_argument_group("how to train")
    add = partial(options.add_parameter, training, defaults=DEFAULTS)
    text = "squared: least squares, each label against all others; ova: one sigmoid per label; softmax: over all labels"
    add("loss", None, text, choices=LOSSES)
    shown = {"dim": "none, a weight per feature and label", "epochs": f"at most {_by_loss(EPOCHS)}"}
    options.add_training(training, DEFAULTS, shown)
    text = "start the rows of words from the vectors of this file; needs --loss softmax and --dim, that of the vectors"
    add("pretrained", values.file_name, text, metavar="FILE")
    text = "the weight of half the sum of the squared weights, in what is minimised"
    add("l2", values.number(zero=True), text, shown=_by_loss(L2), metavar="NUMBER")
    text = "weigh labels so that rare ones count as much as frequent ones"
    add("class_weight", None, text, choices=("balanced",))
    add(
        "tol",
        values.number(zero=True),
        "end when an epoch moves the scores by less than this share of what the first one did; not with --loss softmax",
        metavar="SHARE",
    )
    add("learning_rate", values.number(), "rate of gradient descent; only with --loss softmax", metavar="RATE")
    text = "dtype of the rows in the file: float16 and int8 take less space"
    options.add_option(command, "--rows", text=text, default="float32", choices=ROWS)
    options.add_threads(command)
    options.add_quiet(command)
