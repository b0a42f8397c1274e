"""``fastembed train``: a model from text, from counts, or from another model and more text."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastembed._base.optional import is_url
from fastembed.cli import options, values
from fastembed.cli.arguments import (
    check_early_stopping,
    check_json_lines,
    check_model_output,
    checkpoint_options,
    fail,
    given_parameters,
    new_model,
    open_corpus,
    reject,
    reject_overwriting,
)
from fastembed.cli.output import MODEL_KEYS, model_record, print_advice, print_written
from fastembed.cli.progress import Progress
from fastembed.cli.ranks import Job
from fastembed.counts import Counts, CountsStore
from fastembed.skipgram import SkipGram
from fastembed.trainer.checkpoint import epochs_done
from fastembed.trainer.ranks import Communicator

_NOT_FOR_COUNTS = ("files", *options.READING, "validation_fraction")
_COUNTED = "--counts says what was counted and how"

Task = tuple[SkipGram, Callable[..., SkipGram]]  # a model, and the call that trains it


def run(arguments: argparse.Namespace) -> None:
    """Learn vectors from text, or from what `count` wrote, and save the whole model.

    Every command that takes VECTORS opens such a file, and `train --continue` continues its training on new text.

    With --checkpoint, the same command goes on where it was interrupted: after Ctrl-C or SIGTERM, where it was; after a
    crash, at the last checkpoint. The model has the same bits.
    """
    job = Job(arguments)
    job.run(lambda: _train(arguments, job))


def _train(arguments: argparse.Namespace, job: Job) -> None:
    checkpoint, (model, learn) = job.prepare(lambda: _prepared(arguments, job))
    if not job.first:
        learn()
        return
    with Progress.of(arguments, model.epochs) as progress:
        if checkpoint and (reached := epochs_done(arguments.checkpoint)) is not None:
            progress.going_on(reached, arguments.checkpoint)
        learn(progress=progress, **checkpoint)
        if model.early_stopping:
            progress.kept(model.best_epoch_, int(model.history[-1]["epoch"]))
    model.save(arguments.output)
    vectors = f"{len(model.vocabulary):,} vectors of dimension {model.vectors.matrix.shape[1]}"
    print_written(arguments, vectors, model.ledger, **model_record(model, progress.estimate))


def _prepared(arguments: argparse.Namespace, job: Job) -> tuple[dict[str, Any], Task]:
    """Return what says where the checkpoint is, and the task, after all checks."""
    checkpoint = {}
    if job.first:
        check_json_lines(arguments)
        check_model_output(arguments)
        checkpoint = checkpoint_options(arguments)
    if arguments.mpi and (arguments.model or not arguments.counts):
        fail(arguments, "--mpi trains a new model on counts: give --counts, and no --continue")
    if arguments.model:
        task = _on_more_counts if arguments.counts else _on_more_text
    else:
        task = partial(_on_counts, comm=job.comm) if arguments.counts else _on_text
    return checkpoint, task(arguments)


def _on_text(arguments: argparse.Namespace) -> Task:
    reject(arguments, ("validation_counts", "grow_vocabulary", "replay"), "a new model is learned from text")
    model = new_model(arguments)
    corpus = open_corpus(arguments)
    print_advice(arguments, corpus)
    return model, partial(model.fit, corpus, memory_limit=arguments.memory_limit)


def _on_counts(arguments: argparse.Namespace, comm: Communicator | None) -> Task:
    reject(arguments, (*_NOT_FOR_COUNTS, *options.COUNTING, "grow_vocabulary", "replay"), _COUNTED)
    model = new_model(arguments)
    counts, held_out = _load_counts(arguments, model)
    limit = arguments.memory_limit
    return model, partial(model.fit, counts, validation_counts=held_out, memory_limit=limit, comm=comm)


def _on_more_counts(arguments: argparse.Namespace) -> Task:
    fixed = (
        "dim",
        "subwords",
        *(name for name in options.COUNTING if name != "max_size" or not arguments.grow_vocabulary),
    )
    reject(arguments, (*_NOT_FOR_COUNTS, *fixed), f"--continue keeps the shape of the model, and {_COUNTED}")
    model = _model_to_continue(arguments)
    counts, held_out = _load_counts(arguments, model)
    choice = {
        "grow_vocabulary": arguments.grow_vocabulary,
        "replay": _load_replay(arguments),
        "memory_limit": arguments.memory_limit,
    }
    return model, partial(model.partial_fit, counts, validation_counts=held_out, **choice)


def _on_more_text(arguments: argparse.Namespace) -> Task:
    of_new_words = ("min_count", "max_size", "drop", "keep_only") if arguments.grow_vocabulary else ()
    fixed = ("dim", "subwords", *(name for name in options.COUNTING if name not in of_new_words))
    reject(arguments, ("validation_counts", *fixed), "--continue keeps the shape of the model and how it counts")
    model = _model_to_continue(arguments)
    choice = {
        "grow_vocabulary": arguments.grow_vocabulary,
        "replay": _load_replay(arguments),
        "memory_limit": arguments.memory_limit,
    }
    return model, partial(model.partial_fit, open_corpus(arguments, model.reading_), **choice)


def _model_to_continue(arguments: argparse.Namespace) -> SkipGram:
    model = SkipGram.load(arguments.model, threads=arguments.threads)
    model.set_params(**given_parameters(arguments))
    check_early_stopping(arguments, model)
    return model


def _load_counts(
    arguments: argparse.Namespace, model: SkipGram
) -> tuple[Counts | CountsStore, Counts | CountsStore | None]:
    """Return the counts to train on and those to validate on, none of whose files may be --output."""
    file, held_out = arguments.counts, arguments.validation_counts
    reject_overwriting(arguments, [file, held_out] if held_out else [file])
    if model.early_stopping and not held_out:
        fail(arguments, "counts have no lines to hold out: --early-stopping also needs --validation-counts")
    return _open_counts(file), _open_counts(held_out) if held_out else None


def _open_counts(path: str) -> Counts | CountsStore:
    """Return the counts in a file, or those in a folder, which are read while a fit goes on."""
    return Counts.open(path) if is_url(path) or Path(path).is_dir() else Counts.load(path)


def _load_replay(arguments: argparse.Namespace) -> Counts | CountsStore | None:
    """Return the counts to train on again, whose file may not be --output."""
    if arguments.replay is None:
        return None
    reject_overwriting(arguments, [arguments.replay])
    return _open_counts(arguments.replay)


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "train",
        run,
        example="fastembed train news.txt more.txt.gz -o news.safetensors --dim 200",
        keys=MODEL_KEYS,
    )
    options.add_output(command, "model.safetensors")
    options.add_json_lines(command)
    source = command.add_argument_group("what to learn from")
    options.add_text(source, required=False)
    add_file = partial(options.add_option, source, default=None, shown="none", metavar="FILE", type=values.file_name)
    add_file("--counts", text="learn from what `count` wrote, a file or the folder of a store, instead of from text")
    add_file("--validation-counts", text="counts to validate on, which are not trained on")
    add_file(
        "--continue",
        dest="model",
        text="continue the training of a model that `train` wrote, on the new text or counts alone",
    )
    add_file("--replay", text="counts of the old text, which --continue then trains on again with the new one")
    options.add_flag(source, "--grow-vocabulary", "add the words of the new text that --continue does not know")
    options.add_memory_limit(source, "counts are held in memory")
    options.add_checkpoint(command.add_argument_group("how to go on after an interruption"))
    options.add_mpi(command)
    options.add_parameters(command)
