"""``fastembed train``: a model from text, from counts, or from another model and more text; and ``fastembed demo``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from fastembed._base.optional import require
from fastembed.cli import options
from fastembed.cli.inputs import (
    COUNTING,
    TRAINING,
    add_text,
    check_model_output,
    given_parameters,
    paths_of,
    read_corpus,
)
from fastembed.cli.output import Progress, print_line, print_written, showing
from fastembed.corpus import Ledger
from fastembed.counts import Counts
from fastembed.counts.graphs import edges_of_file
from fastembed.skipgram import SkipGram
from fastembed.trainer.ranks import Ranks, is_known_to_all

GRAPH = ("window", "weighting", "min_count", "directed", "tolerance")  # the options of how a graph is counted


def add_train(commands: options.Commands) -> None:
    """Add the command to the parser."""
    example = "news.txt more.txt.gz -o news.safetensors --dim 200"
    command = options.add_command(commands, "train", train, example=example)
    options.add_output(command, "model.safetensors")
    source = command.add_argument_group("what to learn from")
    add_text(source, required=False)
    kind = source.add_mutually_exclusive_group()
    add_file = partial(options.add_option, shown="none", metavar="FILE")
    add_file(kind, "--counts", "learn from what `count` wrote instead of from text")
    text = "the files are of a graph, with an edge per line: two names, and perhaps a weight. Learn from random walks "
    text += "of --window steps, by default 10, by their expected counts; --weighting (flat), --min-count (1) and "
    text += "--directed (edges lead one way) also apply"
    options.add_flag(kind, "--graph", text)
    text = "the files are of pairs, two names and perhaps a weight per line, which are counted as they are, both ways "
    text += "or with --directed one"
    options.add_flag(kind, "--pairs", text)
    text = "drop the smallest counts of a node of a --graph, up to this share of their sum"
    options.add_parameters(source, Counts.from_graph, {"tolerance": options.parameter(text, float, "SHARE")})
    add_file(source, "--validation-counts", "counts to validate on, which are not trained on")
    text = "continue the training of a model that `train` wrote, on the new text or counts alone"
    add_file(source, "--continue", text, dest="model")
    add_file(source, "--replay", "counts of the old text, which --continue then trains on again with the new one")
    options.add_flag(source, "--grow-vocabulary", "add the words of the new text that --continue does not know")
    options.add_memory_limit(source, "counts are held in memory")
    text = "write this file after each epoch; the same command goes on from it, if it exists"
    add_file(source, "--checkpoint", text)
    options.add_flag(command, "--mpi", "train with all ranks of an MPI job, which share the outputs; needs --counts")
    text = "read, print the time and memory that training would take, and write nothing"
    options.add_flag(command, "--dry-run", text)
    _add_parameters(command)


def _add_parameters(command: argparse.ArgumentParser) -> None:
    """Add all parameters of `SkipGram`."""
    options.add_parameters(command.add_argument_group("how to count"), SkipGram, COUNTING)
    text = "compose words of their n-grams of MIN to MAX characters, 3-6 if not said, so that unseen words have vectors"
    lengths = options.or_word(options.lengths, no=False)
    subwords = options.parameter(text, lengths, "MIN-MAX|no", nargs="?", const=True)
    options.add_parameters(command.add_argument_group("how to train"), SkipGram, {**TRAINING, "subwords": subwords})
    options.add_threads(command)


def train(arguments: argparse.Namespace) -> None:
    """Learn vectors from text, or from what `count` wrote, and save the whole model.

    Every command that takes VECTORS opens such a file, and `train --continue` continues its training on new text.

    With --checkpoint, the same command goes on after the last epoch before it was interrupted, to the same bits.
    """
    if bool(arguments.files) == bool(arguments.counts):
        arguments.parser.error("give either FILEs to read, of which - is standard input, or --counts")
    if arguments.model and (arguments.checkpoint or arguments.mpi):
        arguments.parser.error("--continue has no --checkpoint and no --mpi")
    ranks = Ranks(require("mpi4py.MPI", "mpi").COMM_WORLD if arguments.mpi else None)
    try:
        with ranks.ending_all():
            with ranks.agreeing():
                if ranks.first:
                    check_model_output(arguments)
                learn = _prepared(arguments, ranks)
            if ranks.first:
                _train_and_save(arguments, learn)
            else:
                learn()
    except Exception as error:
        if ranks.first or not is_known_to_all(error):  # else rank 0 reports it
            raise


def _prepared(arguments: argparse.Namespace, ranks: Ranks) -> Callable[..., SkipGram]:
    """Return the call that trains a model."""
    choice: dict[str, Any] = {"memory_limit": arguments.memory_limit}
    if arguments.validation_counts:
        choice["validation_counts"] = Counts.open(arguments.validation_counts)
    given = given_parameters(arguments)
    if arguments.graph:
        model = SkipGram(**{name: given[name] for name in given if name not in GRAPH}, threads=arguments.threads)
        return partial(_learn_graph, arguments, model, choice | {"checkpoint": arguments.checkpoint})
    if arguments.model:
        model = SkipGram.load(arguments.model, threads=arguments.threads).set_params(**given)
        replay = arguments.replay and Counts.open(arguments.replay)
        choice |= {"grow_vocabulary": arguments.grow_vocabulary, "replay": replay}
        reading = model.reading_
    else:
        model = SkipGram(**given, threads=arguments.threads)
        choice |= {"comm": ranks.comm, "checkpoint": arguments.checkpoint}
        reading = None
    data: Any
    if arguments.counts:
        data = Counts.open(arguments.counts)
    elif arguments.pairs:
        edges = edges_of_file(paths_of(arguments.files), Ledger())
        sources, targets = ([edges.names[k] for k in numbers] for numbers in edges[:2])
        data = Counts.from_pairs(sources, targets, edges.weights, symmetric=not given.get("directed", False))
    else:
        data = read_corpus(arguments, arguments.files, reading)
    return partial(model.partial_fit if arguments.model else model.fit, data, **choice)


def _learn_graph(arguments: argparse.Namespace, model: SkipGram, choice: dict[str, Any], progress: Any) -> SkipGram:
    """Count the walks on the graph in the files, and fit a model to them."""
    counts = Counts.from_graph(
        paths_of(arguments.files),
        **options.given(arguments, GRAPH),
        threads=arguments.threads,
        memory_limit=arguments.memory_limit,
        progress=progress.counting,
    )
    return model.fit(counts, progress=progress, **choice)


def _train_and_save(arguments: argparse.Namespace, learn: Callable[..., SkipGram]) -> None:
    if arguments.dry_run:
        try:
            learn(progress=DryRun(arguments, 0))
        except DryRunEnded:
            return
    with showing(arguments) as progress:
        model = learn(progress=progress)
    model.save(arguments.output)
    words, dim = model.vectors.matrix.shape
    kept = f" of epoch {model.best_epoch_}" if model.early_stopping else ""
    print_written(arguments, f"{words:,} vectors{kept} of dimension {dim}", model.ledger)


class DryRunEnded(Exception):
    """Ends a training with --dry-run before its first step."""


class DryRun(Progress):
    """Prints what a training would take, and ends it."""

    def training(self, estimate: Any) -> None:
        """Print the estimate of the work ahead, and end the training."""
        print_line(f"training would take {estimate}, in about {estimate.seconds():,.1f} s if nothing else runs")
        raise DryRunEnded


def add_demo(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(commands, "demo", show_demo, example="-o demo.safetensors")
    options.add_output(command, "model.safetensors")
    _add_parameters(command)


def show_demo(arguments: argparse.Namespace) -> None:
    """Learn vectors from the documentation inside this Python and show them."""
    from fastembed import demo

    check_model_output(arguments)
    model = SkipGram(**given_parameters(arguments), threads=arguments.threads)
    with showing(arguments) as progress:
        demo.run(model, arguments.output, progress, quiet=arguments.quiet)
