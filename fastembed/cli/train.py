"""What is learned from a text: ``fastembed train``, ``count`` and ``phrases``, and ``fastembed demo``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from fastembed._base.optional import require
from fastembed._base.validation import number_of
from fastembed.cli import common, inputs
from fastembed.corpus import Ledger, Phrases
from fastembed.corpus.phrases import THRESHOLDS
from fastembed.corpus.reading import LONGEST
from fastembed.counts import Counts
from fastembed.counts.graphs import edges_of_file
from fastembed.counts.windows import WEIGHTINGS
from fastembed.formats.atomic import check_writable
from fastembed.skipgram import SkipGram
from fastembed.trainer.ranks import Ranks, is_known_to_all

CONNECTING_SECONDS = 10
GRAPH = ("window", "weighting", "min_count", "directed", "tolerance")  # the options of how a graph is counted
CONTEXTS = common.or_word(int, auto="auto", none=None)
COUNTING: common.Parameters = {
    "window": common.parameter("words that count on either side; or before and after, as 0,1", common.window),
    "weighting": common.parameter("weight of a pair by its distance", choices=sorted(WEIGHTINGS)),
    **inputs.MIN_COUNT,
    "max_size": common.parameter("keep only the N most frequent words", int, "N"),
    "drop": common.parameter("drop the words of a file, one per line, or english: function words", str, "FILE|english"),
    "keep_only": common.parameter("drop all words but those of a file with one per line", str, "FILE"),
    "sample": common.parameter("subsample words above this share of all", common.or_word(float, none=None)),
    "directed": common.parameter("tell contexts before a word from those after", action=argparse.BooleanOptionalAction),
    "max_contexts": common.parameter("only the N most frequent words are contexts; auto: up to 24,576", CONTEXTS, "N"),
    "baskets": common.parameter("all pairs of a line count: 1, or 1/(n - 1) of n items", choices=("flat", "share")),
}


def given_parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of `SkipGram` that were given, with the tokens of lists in place of their files."""
    parameters = common.given(arguments, (*COUNTING, *inputs.TRAINING, "subwords"))
    lists = {name: parameters[name] for name in ("drop", "keep_only") if name in parameters}
    return parameters | {name: inputs.open_token_list(file) for name, file in lists.items()}


def add_train(commands: common.Commands) -> None:
    """Add the command to the parser."""
    example = "news.txt more.txt.gz -o news.safetensors --dim 200"
    command = common.add_command(commands, "train", train_vectors, example=example)
    common.add_output(command, "model.safetensors")
    source = command.add_argument_group("what to learn from")
    inputs.add_text(source, required=False)
    kind = source.add_mutually_exclusive_group()
    add_file = partial(common.add_option, shown="none", metavar="FILE")
    add_file(kind, "--counts", "learn from what `count` wrote instead of from text")
    text = "the files are of a graph, with an edge per line: two names, and perhaps a weight; CSV has columns source, "
    text += "target and perhaps weight. Learn from random walks "
    text += "of --window steps, by default 10, by their expected counts; --weighting (flat), --min-count (1) and "
    text += "--directed (edges lead one way) also apply"
    common.add_flag(kind, "--graph", text)
    text = "the files are of pairs, two names and perhaps a weight per line, which are counted as they are, both ways "
    text += "or with --directed one"
    common.add_flag(kind, "--pairs", text)
    text = "drop the smallest counts of a node of a --graph, up to this share of their sum"
    common.add_parameters(source, Counts.from_graph, {"tolerance": common.parameter(text, float, "SHARE")})
    add_file(source, "--validation-counts", "counts to validate on, which are not trained on")
    text = "continue the training of a model that `train` wrote, on the new text or counts alone"
    add_file(source, "--continue", text, dest="model")
    add_file(source, "--replay", "counts of the old text, which --continue then trains on again with the new one")
    common.add_flag(source, "--grow-vocabulary", "add words that --continue does not know, to at most --max-size words")
    common.add_memory_limit(source, "counts are held in memory")
    text = "write this file after each epoch; the same command goes on from it, if it exists"
    add_file(source, "--checkpoint", text)
    common.add_flag(command, "--mpi", "train with all ranks of an MPI job, which share the outputs; needs --counts")
    common.add_parameters(command.add_argument_group("how to count"), SkipGram, COUNTING)
    text = "compose words of their n-grams of MIN to MAX characters, 3-6 if not said, so that unseen words have vectors"
    lengths = common.or_word(common.lengths, no=False)
    subwords = common.parameter(text, lengths, "MIN-MAX|no", nargs="?", const=True)
    common.add_parameters(
        command.add_argument_group("how to train"), SkipGram, {**inputs.TRAINING, "subwords": subwords}
    )
    common.add_threads(command)


def train_vectors(arguments: argparse.Namespace) -> None:
    """Learn vectors from text, or from what `count` wrote, and save the whole model.

    Every command that takes VECTORS opens such a file, and `train --continue` continues its training on new text.

    With --checkpoint, the same command goes on after the last epoch before it was interrupted, to the same bits.
    """
    if bool(arguments.files) == bool(arguments.counts):
        arguments.parser.error("give either FILEs to read, of which - is standard input, or --counts")
    pairing = ("window", "weighting", "sample", "directed", "max_contexts", "baskets")
    reading = (*inputs.READING, "field", "no_header", "skip_bad", "validation_fraction")
    unread = arguments.counts or arguments.graph or arguments.pairs
    for is_unused, names, why in (
        (arguments.model, ("checkpoint", "mpi"), "and --continue exclude each other"),
        (arguments.model, pairing, "is not for --continue: the new text is counted as the model's was"),
        (not arguments.model, ("replay", "grow_vocabulary"), "needs --continue"),
        (not arguments.graph, ("tolerance",), "needs --graph"),
        (arguments.counts, COUNTING, "says how text is counted, but --counts is counted"),
        (not arguments.counts, ("mpi",), "needs --counts"),
        (unread, reading, "says how text is read, but there is no text"),
    ):
        common.refuse(arguments, names if is_unused else (), why)
    ranks = Ranks(require("mpi4py.MPI", "mpi").COMM_WORLD if arguments.mpi else None)
    try:
        with ranks.together():
            if ranks.first:
                inputs.check_model_output(arguments)
            learn = _prepared(arguments, ranks)
            ranks.meet({}, None)
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
    if arguments.model:
        model = SkipGram.load(arguments.model, threads=arguments.threads).set_params(**given)
        replay = arguments.replay and Counts.open(arguments.replay)
        choice |= {"grow_vocabulary": arguments.grow_vocabulary, "replay": replay}
        reading = model.reading_
    else:
        counting = GRAPH if arguments.graph else ()
        model = SkipGram(**{name: given[name] for name in given if name not in counting}, threads=arguments.threads)
        choice |= {"comm": ranks.comm if arguments.mpi else None, "checkpoint": arguments.checkpoint}
        reading = None
    if not model.early_stopping:
        common.refuse(arguments, ("validation_fraction", "n_iter_no_change"), "needs --early-stopping")
    if arguments.graph:
        return partial(_learn_graph, arguments, model, choice)
    data: Any
    if arguments.counts:
        data = Counts.open(arguments.counts)
    elif arguments.pairs:
        edges = edges_of_file(inputs.paths_of(arguments.files), Ledger())
        sources, targets = ([edges.names[k] for k in numbers] for numbers in edges[:2])
        data = Counts.from_pairs(sources, targets, edges.weights, symmetric=not given.get("directed", False))
    else:
        data = inputs.read_corpus(arguments, arguments.files, reading)
    return partial(model.partial_fit if arguments.model else model.fit, data, **choice)


def _learn_graph(arguments: argparse.Namespace, model: SkipGram, choice: dict[str, Any], progress: Any) -> SkipGram:
    """Count the walks on the graph in the files, and fit a model to them."""
    how = {**common.given(arguments, GRAPH), "threads": arguments.threads, "memory_limit": arguments.memory_limit}
    counts = Counts.from_graph(inputs.paths_of(arguments.files), progress=progress.counting, **how)
    return model.fit(counts, progress=progress, **choice)


def _train_and_save(arguments: argparse.Namespace, learn: Callable[..., SkipGram]) -> None:
    """Train a model, save it, and print what was written."""
    with common.showing(arguments) as progress:
        model = learn(progress=progress)
    model.save(arguments.output)
    words, dim = model.vectors.matrix.shape
    kept = f" of epoch {model.best_epoch_}" if model.early_stopping else ""
    common.print_written(arguments, f"{number_of(words, 'vector')}{kept} of dimension {dim}", model.ledger)


def add_count(commands: common.Commands) -> None:
    """Add the command to the parser."""
    example = "news/*.txt.gz -o news.counts --window 5"
    command = common.add_command(commands, "count", count, example=example)
    common.add_output(command, "text.counts")
    inputs.add_text(command, required=True)
    common.add_parameters(command, SkipGram, COUNTING)
    common.add_memory_limit(command, "half of the free memory, 500M with --scheduler")
    text = "count on a cluster of Dask, whose workers see the files and the output under the same names"
    common.add_option(command, "--scheduler", text, shown="none", metavar="ADDRESS")
    common.add_threads(command)


def count(arguments: argparse.Namespace) -> None:
    """Count a text once; `train --counts` can then train on the counts many times.

    The output is a folder, of which training holds only some rows in memory.
    """
    model = SkipGram(**given_parameters(arguments), threads=arguments.threads)
    corpus = inputs.read_corpus(arguments, arguments.files)
    with ExitStack() as stack:
        executor = None
        if arguments.scheduler:
            client = require("distributed", "dask").Client(arguments.scheduler, timeout=CONNECTING_SECONDS)
            executor = stack.enter_context(stack.enter_context(client).get_executor())
        how: dict[str, Any] = {"memory_limit": arguments.memory_limit, "store": arguments.output, "executor": executor}
        counts = model.count(corpus, progress=stack.enter_context(common.showing(arguments)), **how)
    rows, columns = counts.shape
    what = f"{counts.nnz:,} counts of {rows:,} tokens and {columns:,} contexts"
    common.print_written(arguments, what, counts.vocabulary.ledger if counts.vocabulary else None)


def add_phrases(commands: common.Commands) -> None:
    """Add the command to the parser."""
    command = common.add_command(commands, "phrases", phrases, example="news.txt -o phrases.txt")
    common.add_output(command, "phrases.txt")
    inputs.add_text(command, required=True)
    common.add_parameters(command, Phrases.from_corpus, inputs.MIN_COUNT)
    text = "how pairs are scored: by normalised pointwise mutual information, or as by word2vec"
    common.add_option(command, "--scoring", text, "npmi", choices=tuple(THRESHOLDS))
    shown = " or ".join(f"{score:g} ({name})" for name, score in THRESHOLDS.items())
    common.add_option(command, "--min-score", "the least score of a phrase", shown=shown, type=float, metavar="SCORE")
    text = f"the most words of a phrase, from 2 to {LONGEST}"
    common.add_option(command, "--max-words", text, 4, type=int, metavar="N")
    text = "words that may stand inside a phrase but not at its ends: english, none, or a file with one per line"
    common.add_option(command, "--common", text, "english", metavar="english|none|FILE")
    common.add_threads(command)


def phrases(arguments: argparse.Namespace) -> None:
    """Find phrases such as "new york" in a text, for the option --phrases of other commands.

    They are neighbours that occur together more often than their own counts would suggest. The list has one phrase per
    line, with its score, the highest first: look at it, remove its first line, delete and add others. With --phrases
    LIST each is read as one word, new_york.
    """
    check_writable(arguments.output)
    with common.showing(arguments) as progress:
        learned = Phrases.from_corpus(
            inputs.read_corpus(arguments, arguments.files),
            threshold=arguments.min_score,
            scoring=arguments.scoring,
            max_words=arguments.max_words,
            common=None if arguments.common == "none" else inputs.open_token_list(arguments.common),
            threads=arguments.threads,
            progress=progress.reading,
            **common.given(arguments, inputs.MIN_COUNT),
        )
    learned.save(arguments.output)
    what = f"{number_of(len(learned), 'phrase')}, such as {' '.join(learned.phrases[0])!r}"
    common.print_written(arguments, what, learned.ledger)


def add_demo(commands: common.Commands) -> None:
    """Add the command to the parser."""
    command = common.add_command(commands, "demo", show_demo, example="-o demo.safetensors")
    common.add_output(command, "model.safetensors")
    common.add_threads(command)


def show_demo(arguments: argparse.Namespace) -> None:
    """Learn vectors from the documentation inside this Python and show them."""
    from fastembed import demo

    inputs.check_model_output(arguments)
    model = SkipGram(threads=arguments.threads)
    with common.showing(arguments) as progress:
        demo.run(model, arguments.output, progress, quiet=arguments.quiet)
