"""``fastembed train``: a model from text, from counts, or from another model and more text; and ``fastembed demo``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastembed._base.optional import require
from fastembed.cli import options
from fastembed.cli.inputs import (
    COUNTING,
    READING,
    TRAINING,
    add_kept,
    add_text,
    check_early_stopping,
    check_model_output,
    given_parameters,
    new_model,
    open_corpus,
    paths_of,
    save_model,
)
from fastembed.cli.output import (
    DryRunEnded,
    Progress,
    estimate_record,
    one_line,
    print_estimate,
    print_json,
    print_message,
    print_written,
    scored_record,
)
from fastembed.corpus import FileCorpus, Ledger
from fastembed.corpus.sources import is_url
from fastembed.counts import Counts
from fastembed.counts.store import TemporaryFolder
from fastembed.skipgram import Estimate, SkipGram
from fastembed.skipgram.skipgram import used_parameters
from fastembed.trainer.ranks import Ranks, is_known_to_all

GRAPH = ("window", "weighting", "min_count", "directed", "tolerance")  # the options of how a graph is counted
MODEL_KEYS = (
    "output, words, dim, contexts, parameters, estimate (flops, memory), history (a list of records), best_epoch, "
    "ledger"
)


def add_train(commands: options.Commands) -> None:
    """Add the command to the parser."""
    example = "news.txt more.txt.gz -o news.safetensors --dim 200"
    command = options.add_command(commands, "train", train, example=example, keys=MODEL_KEYS)
    options.add_output(command, "model.safetensors")
    text = "print one JSON object per line, whose key event is training, going on, phase, start, epoch, kept or "
    text += "written, the last with the keys below"
    options.add_flag(command, "--json-lines", text)
    source = command.add_argument_group("what to learn from")
    add_text(source, required=False)
    add_file = partial(options.add_option, source, shown="none", metavar="FILE", type=options.file_name)
    add_file("--counts", "learn from what `count` wrote, a file or the folder of a store, instead of from text")
    add_file("--validation-counts", "counts to validate on, which are not trained on")
    text = "the files are of a graph, with an edge per line: two names, and perhaps a weight. Learn from random walks "
    text += "of --window steps, by default 10, by their expected counts; --weighting (flat), --min-count (1) and "
    text += "--directed (edges lead one way) also apply"
    options.add_flag(source, "--graph", text)
    text = "drop the smallest counts of a node of a --graph, up to this share of their sum"
    tolerance = options.parameter(text, options.number(1, zero=True), "SHARE")
    options.add_parameters(source, Counts.from_graph, {"tolerance": tolerance})
    text = "the files are of pairs, two names per line, which are counted as they are, both ways or with --directed one"
    options.add_flag(source, "--pairs", text)
    text = "the third part of each line is the weight of the pair, by default 1"
    options.add_flag(source, "--weight --weights", text)
    text = "continue the training of a model that `train` wrote, on the new text or counts alone"
    add_file("--continue", text, dest="model")
    add_file("--replay", "counts of the old text, which --continue then trains on again with the new one")
    options.add_flag(source, "--grow-vocabulary", "add the words of the new text that --continue does not know")
    options.add_memory_limit(source, "counts are held in memory")
    text = "write this file after each epoch; the same command goes on from it, if it exists"
    options.add_option(source, "--checkpoint", text, shown="none", metavar="FILE", type=options.output_name)
    options.add_dry_run(command)
    options.add_flag(command, "--mpi", "train with all ranks of an MPI job, which share the outputs; needs --counts")
    _add_parameters(command)


def _add_parameters(command: argparse.ArgumentParser) -> None:
    """Add all parameters of `SkipGram`, and --quiet."""
    options.add_parameters(command.add_argument_group("how to count"), SkipGram, COUNTING)
    text = "compose words of their n-grams of MIN to MAX characters, 3-6 if not said, so that unseen words have vectors"
    lengths = options.or_word("no", options.ngram_lengths, False)
    subwords = options.parameter(text, lengths, "MIN-MAX|no", nargs="?", const=True)
    options.add_parameters(command.add_argument_group("how to train"), SkipGram, {**TRAINING, "subwords": subwords})
    options.add_threads(command)
    options.add_quiet(command)


def train(arguments: argparse.Namespace) -> None:
    """Learn vectors from text, or from what `count` wrote, and save the whole model.

    Every command that takes VECTORS opens such a file, and `train --continue` continues its training on new text.

    With --checkpoint, the same command goes on after the last epoch that an interrupted one has completed, to the same
    bits. Without, what a new model has learned is then in model.interrupted.safetensors beside model.safetensors, the
    OUTPUT, which stays as it was; it opens as any model does, but its training is over.
    """
    if not arguments.mpi:
        _train_and_save(arguments, *_prepared(arguments, Ranks()))
        return
    try:
        comm = require("mpi4py.MPI", "mpi").COMM_WORLD
    except RuntimeError as error:  # of mpi4py's wheel
        raise ImportError(f"mpi4py finds no MPI: {error}; start the ranks with mpiexec") from error
    ranks = Ranks(comm)
    with _error_of_one_rank(arguments), ranks.ending_all():
        try:
            _train_as_rank(arguments, ranks)
        except (Exception, SystemExit) as error:
            # Otherwise it is the error of rank 0, whose exit code is the job's
            if ranks.first or not is_known_to_all(error):
                raise


def _train_as_rank(arguments: argparse.Namespace, ranks: Ranks) -> None:
    """Prepare on rank 0 before the others, so that it alone reports wrong usage; it alone prints and writes."""
    with ranks.agreeing():
        prepared = _prepared(arguments, ranks) if ranks.first else None
    with ranks.agreeing():
        task = prepared or _prepared(arguments, ranks)
    if ranks.first:
        _train_and_save(arguments, *task)
    else:
        _, learn = task
        learn()


@contextmanager
def _error_of_one_rank(arguments: argparse.Namespace) -> Iterator[None]:
    """Let an error of one rank be one line during a `with` block."""
    hook = sys.excepthook
    if not arguments.debug:
        sys.excepthook = lambda _, error, __: print_message(f"error: {'; '.join([one_line(error), *error.__notes__])}")
    try:
        yield
    finally:
        sys.excepthook = hook


def _train_and_save(arguments: argparse.Namespace, model: SkipGram, learn: Callable[..., SkipGram]) -> None:
    with Progress(arguments, model.epochs) as progress:
        try:
            learn(progress=progress)
        except DryRunEnded:
            print_estimate(arguments, progress.estimate)
            return
        except KeyboardInterrupt as interrupt:
            if not (arguments.checkpoint or arguments.mpi):
                history = [] if arguments.model else getattr(model, "history", [])
                add_kept(interrupt, arguments, model, history, progress.estimate)
            raise
        if model.early_stopping:
            progress.kept(model.best_epoch_, int(model.history[-1]["epoch"]))
    save_model(arguments, model)
    zeros = int(np.count_nonzero(~model.vectors.matrix.any(axis=1)))
    vectors = f"{len(model.vocabulary):,} vectors of dimension {model.vectors.matrix.shape[1]}"
    vectors += f", {zeros:,} of them zero" * (zeros > 0)
    print_written(arguments, vectors, model.ledger, **_model_record(model, progress.estimate))


def _model_record(model: SkipGram, estimate: Estimate | None) -> dict[str, Any]:
    """Return what is known of a trained model as JSON holds it: all of `MODEL_KEYS` but the output."""
    return {
        "words": len(model.vocabulary),
        "dim": model.vectors.matrix.shape[1],
        "contexts": model.max_contexts_,
        "parameters": used_parameters(model),
        "estimate": estimate and estimate_record(estimate),
        "history": model.history,
        "best_epoch": model.best_epoch_,
        "ledger": model.ledger,
    }


def _prepared(arguments: argparse.Namespace, ranks: Ranks) -> tuple[SkipGram, Callable[..., SkipGram]]:
    """Return a model and the call that trains it, after all checks: those of the outputs on the first rank alone."""
    choice: dict[str, Any] = {"memory_limit": arguments.memory_limit}
    if ranks.first:
        if arguments.json and arguments.json_lines:
            options.fail(arguments, "--json prints one document, and --json-lines one object per event: choose one")
        check_model_output(arguments)
    if arguments.dry_run:
        options.reject(arguments, ("checkpoint", "mpi", "json_lines"), "--dry-run writes nothing")
    if arguments.mpi and (arguments.model or not arguments.counts):
        options.fail(arguments, "--mpi trains a new model on counts: give --counts, and no --continue")
    _reject_unused(arguments)
    options.reject_overwriting(arguments, [arguments.counts, arguments.validation_counts, arguments.replay])
    if arguments.model:
        options.reject(arguments, ("checkpoint",), "--continue has no checkpoint")
        model = SkipGram.load(arguments.model, threads=arguments.threads)
        model.set_params(**given_parameters(arguments))
        check_early_stopping(arguments, model.early_stopping)
        replay = arguments.replay and _open_counts(arguments.replay)
        choice |= {"grow_vocabulary": arguments.grow_vocabulary, "replay": replay}
    else:
        model = new_model(arguments)
        choice |= {"comm": ranks.comm, "checkpoint": arguments.checkpoint}
    data: FileCorpus | Counts
    if held_out := arguments.validation_counts:
        choice |= {"validation_counts": _open_counts(held_out)}
    elif arguments.counts and model.early_stopping:
        options.fail(arguments, "counts have no lines to hold out: --early-stopping also needs --validation-counts")
    if arguments.graph or arguments.pairs:
        if not arguments.files:
            options.fail(arguments, "give a FILE of edges to read, or - for standard input")
        options.reject_overwriting(arguments, FileCorpus(paths_of(arguments.files)).names)
        if arguments.graph and isinstance(model.window, tuple):
            options.fail(arguments, "--window is one number with --graph, the steps of a walk")
        return model, partial(_learn_pairs if arguments.pairs else _learn_graph, arguments, model, choice)
    if arguments.counts:
        data = _open_counts(arguments.counts)
    else:
        data = open_corpus(arguments, model.reading_ if arguments.model else None)
    return model, partial(model.partial_fit if arguments.model else model.fit, data, **choice)


def _reject_unused(arguments: argparse.Namespace) -> None:
    """Exit if an option was given that says nothing about what is trained on, text or counts, from the start or not."""
    of_text, counted = ("files", *READING, "validation_fraction"), "--counts says what was counted and how"
    if arguments.graph and arguments.pairs:
        options.fail(arguments, "give either --graph, for walks on the edges, or --pairs, for the edges alone")
    if not arguments.pairs:
        options.reject(arguments, ("weight",), "weights are those of --pairs; --graph takes them by itself")
    if not arguments.graph:
        options.reject(arguments, ("tolerance",), "counts are dropped of walks on a --graph alone")
    if arguments.graph or arguments.pairs:
        others = {*READING, *COUNTING}.difference(GRAPH if arguments.graph else ("directed",))
        others |= {"counts", "validation_counts", "model", "grow_vocabulary", "replay", "early_stopping"}
        reason = "--graph learns a new model from the edges of a graph"
        options.reject(arguments, (*others, "mpi"), reason if arguments.graph else "--pairs counts pairs as they are")
        return
    if not arguments.model:
        of_more = ("grow_vocabulary", "replay")
        if arguments.counts:
            options.reject(arguments, (*of_text, *COUNTING, *of_more), counted)
        else:
            options.reject(arguments, ("validation_counts", *of_more), "a new model is learned from text")
        return
    of_new_words = ("max_size",) if arguments.counts else ("min_count", "max_size", "drop", "keep_only")
    shape = {"dim", "subwords", *COUNTING}.difference(of_new_words if arguments.grow_vocabulary else ())
    kept = "--continue keeps the shape of the model"
    if arguments.counts:
        options.reject(arguments, (*of_text, *shape), f"{kept}, and {counted}")
    else:
        options.reject(arguments, ("validation_counts", *shape), f"{kept} and how it counts")


def _learn_graph(
    arguments: argparse.Namespace, model: SkipGram, choice: dict[str, Any], progress: Progress
) -> SkipGram:
    """Count the walks on the graph in the files, and fit a model to them."""
    store: Any = None if arguments.memory_limit is None else TemporaryFolder()
    counts = Counts.from_graph(
        paths_of(arguments.files),
        **options.given(arguments, GRAPH),
        threads=arguments.threads,
        memory_limit=arguments.memory_limit,
        progress=progress.counting,
        store=store,
    )
    model.set_params(window=SkipGram().window, weighting=SkipGram().weighting)  # those of the walks are in the counts
    return model.fit(counts, progress=progress, **choice)


def _learn_pairs(
    arguments: argparse.Namespace, model: SkipGram, choice: dict[str, Any], progress: Progress
) -> SkipGram:
    """Count the pairs in the files, and fit a model to them."""
    from fastembed.counts.graphs import edges_of_file

    parts, what = ([3], "a weight") if arguments.weight else ([2], "with --weight their weight")
    edges = edges_of_file(paths_of(arguments.files), Ledger(), parts=parts, what=what)
    sources, targets = ([edges.names[k] for k in numbers] for numbers in edges.ends.T)
    one_way = options.given(arguments, ["directed"]).get("directed", False)
    counts = Counts.from_pairs(sources, targets, edges.weights, symmetric=not one_way)
    return model.fit(counts, progress=progress, **choice)


def _open_counts(path: str) -> Counts:
    """Return the counts in a file, or those in a folder, which are read while a fit goes on."""
    return Counts.open(path) if is_url(path) or Path(path).is_dir() else Counts.load(path)


def add_demo(commands: options.Commands) -> None:
    """Add the command to the parser."""
    keys = f"{MODEL_KEYS}, neighbors"
    command = options.add_command(commands, "demo", show_demo, example="-o demo.safetensors", keys=keys)
    options.add_output(command, "model.safetensors")
    _add_parameters(command)


def show_demo(arguments: argparse.Namespace) -> None:
    """Learn vectors from the documentation inside this Python and show them."""
    from fastembed import demo

    check_model_output(arguments)
    model = new_model(arguments)
    with Progress(arguments, model.epochs) as progress:
        demo.run(model, arguments.output, progress, quiet=arguments.quiet or arguments.json)
    vectors = model.vectors
    near = {word: scored_record(vectors.most_similar(word, topn=5)) for word in demo.WORDS if word in vectors}
    print_json(arguments, output=arguments.output, **_model_record(model, progress.estimate), neighbors=near)
