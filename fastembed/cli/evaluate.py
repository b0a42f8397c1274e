"""How good a model is and how it looks: ``fastembed evaluate``, ``compare`` and ``plot``."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fastembed import evaluation, plotting
from fastembed._base.validation import number_of, without_password
from fastembed.cli import common, inputs
from fastembed.cli.query import add_method
from fastembed.cli.recommend import FIELDS, add_fields, fields_of
from fastembed.counts import Counts
from fastembed.counts.store import is_store
from fastembed.formats.atomic import check_writable
from fastembed.plotting.layout import METHODS
from fastembed.plotting.map import ON_A_PAGE, ON_A_PICTURE
from fastembed.recommender import Recommender
from fastembed.recommender.data import read_interactions
from fastembed.skipgram import SkipGram
from fastembed.skipgram.skipgram import perplexity_of
from fastembed.vectors import Vectors

COMPARED = 20_000  # words of each model that are compared
COMMON = 5_000  # only words among this many of the most frequent: vectors of rare ones are noisy
FILES = {
    "--similarity": "files with two words and a score per line",
    "--analogies": "files with four words per line, in sections that start with a line : NAME",
    "--perplexity": "text or baskets as the model was trained on, or what `count` wrote",
    "--held-out-items": "files with a basket per line, items of which are hidden and predicted from the others",
}


def add_evaluate(commands: common.Commands) -> None:
    """Add the command to the parser."""
    example = "model.safetensors --similarity wordsim353.tsv"
    keys = (
        "vectors, similarity (a list of file, spearman, pairs, covered, unknown), analogies (a list of file, "
        "restrict, method, name, correct, covered, asked, accuracy, sections (a list of name, correct, "
        "covered, asked, accuracy)), perplexity (a list of file, perplexity, outputs, known), held_out_items "
        "(a list of file, given, nll, perplexity, precision, recall, ndcg, hit_rate, mrr, coverage, topn, baskets, "
        "scored, unknown, errors, popularity)"
    )
    command = common.add_command(commands, "evaluate", evaluate, example=example, keys=keys)
    inputs.add_vectors(command)
    for name, text in FILES.items():
        common.add_option(command, name, text, [], "none", nargs="+", action="extend", metavar="FILE")
    group = command.add_argument_group("which items of baskets are hidden")
    hidden = group.add_mutually_exclusive_group()
    text = "how many items of a basket are shown to --held-out-items"
    common.add_option(hidden, "--given", text, shown="all but one", type=int, metavar="N")
    text = "which share of a basket is hidden instead; all: what training has not seen of users a recommender knows"
    share = common.or_word(float, all="all")
    common.add_option(hidden, "--hidden", text, shown="one item", type=share, metavar="SHARE|all")
    common.add_topn(group, 10)
    add_fields(group)
    solved = command.add_argument_group("how --analogies are solved")
    add_method(solved)
    inputs.add_restrict(solved)
    common.add_flag(command, "--case-sensitive", "distinguish words that differ only in case")
    common.add_flag(command, "--compose", "compose vectors of unknown words of n-grams, where VECTORS hold any")
    inputs.add_reading(command)
    common.add_threads(command)


def evaluate(arguments: argparse.Namespace) -> None:
    """Print how well vectors agree with people's judgements, or how well a model predicts a text or baskets.

    Give at least one of --similarity, --analogies, --perplexity and --held-out-items. The last two need a model that
    `train` wrote; for the last one it may be one that `train-recommender` wrote.
    """
    if not any((arguments.similarity, arguments.analogies, arguments.perplexity, arguments.held_out_items)):
        arguments.parser.error("give --similarity, --analogies, --perplexity or --held-out-items")
    is_recommender = inputs.holds(arguments.vectors, "recommender")
    if not (is_recommender and arguments.held_out_items):
        common.refuse(arguments, FIELDS, "is for --held-out-items of a recommender")
    shows, similar, analogous, predicted, hidden = common.shows_bars(arguments), [], [], [], []
    if arguments.similarity or arguments.analogies:
        vectors = inputs.open_vectors(arguments)
        words = {"case_insensitive": not arguments.case_sensitive, "compose": arguments.compose}
        similar = [(file, evaluation.word_similarity(vectors, file, **words)) for file in arguments.similarity]
        search = {"method": arguments.method, "restrict": arguments.restrict, "progress": shows, **words}
        analogous = [(file, evaluation.analogies(vectors, file, **search)) for file in arguments.analogies]
    if arguments.perplexity or arguments.held_out_items:
        if is_recommender and arguments.perplexity:
            raise ValueError("a recommender has no --perplexity of a text: --held-out-items has that of items")
        model: Any = (Recommender if is_recommender else SkipGram).load(arguments.vectors, threads=arguments.threads)
        for file in arguments.perplexity:
            text = Counts.open(file) if is_store(file) else inputs.read_corpus(arguments, [file], model.reading_)
            predicted.append({"file": without_password(file), **perplexity_of(model, text, None, shows)})
        hidden = [(without_password(file), _hidden_items(arguments, file, model)) for file in arguments.held_out_items]
    document = {
        "similarity": [{"file": file, **result.record()} for file, result in similar],
        "analogies": [{"file": file, "restrict": arguments.restrict, **result.record()} for file, result in analogous],
        "perplexity": predicted,
        "held_out_items": [{"file": file, "given": arguments.given, **score.record()} for file, score in hidden],
    }
    if common.print_json(arguments, vectors=arguments.vectors, **document):
        return
    for file, similarity in similar:
        common.print_line(f"{file}: {similarity.summary()}")
    for file, result in analogous:
        common.print_line(f"{file}: {result.summary()}")
        for section in result.sections:
            common.print_line(f"  {section.name:<32}{section.summary()}")
    for file, perplexity, outputs, known in map(dict.values, predicted):
        share = "" if known is None else f"; {known:.1%} of the tokens are known"
        common.print_line(f"{file}: perplexity {perplexity:,.2f} of {outputs:,} outputs{share}")
    for file, score in hidden:
        common.print_line(f"{file}:")
        for line in score.summary().split("\n"):
            common.print_line(f"  {line}")


def _hidden_items(arguments: argparse.Namespace, file: str, model: Any) -> evaluation.HeldOutItems:
    """Return how well a model predicts items that are hidden from the baskets of a file."""
    how = {"given": arguments.given, "topn": arguments.topn, "progress": common.shows_bars(arguments)}
    if isinstance(model, SkipGram):
        baskets = inputs.read_corpus(arguments, [file], model.reading_)
        return evaluation.held_out_items(model, baskets, hidden=arguments.hidden, **how)
    fields = fields_of(arguments)
    if arguments.hidden != "all":
        return evaluation.held_out_items(model, file, hidden=arguments.hidden, **how, **fields)
    data, known = read_interactions(file, **fields), set(model.users_.tolist())
    rows = np.split(data.items.names[data.matrix.indices], data.matrix.indptr[1:-1])
    hidden = {
        user: items.tolist() for user, items in zip(data.users.names.tolist(), rows, strict=True) if user in known
    }
    return evaluation.held_out_items(model, list(hidden), hidden=list(hidden.values()), **how)


def add_compare(commands: common.Commands) -> None:
    """Add the command to the parser."""
    keys = "first, second, words, moved (a list of word, score)"
    example = "1900.safetensors 2000.safetensors"
    command = common.add_command(commands, "compare", compare_models, example=example, keys=keys)
    for name in ("first", "second"):
        text = f"the {name} model, or its vectors in any format that `export` writes"
        command.add_argument(name, metavar=name.upper(), help=text)
    inputs.add_input_format(command)
    common.add_topn(command, 10)
    inputs.add_restrict(command, COMPARED)


def compare_models(arguments: argparse.Namespace) -> None:
    """Compare two models: print the words that moved most, without English function words.

    Two corpora, two times or two settings of one dimension. The vectors of SECOND are turned to those of FIRST, so that
    the words of both are as close together as a rotation can bring them; a word has moved if the cosine of its two
    vectors is small.
    """
    pair = []
    for file in (arguments.first, arguments.second):
        vectors = Vectors.load(file, arguments.input_format, progress=common.shows_bars(arguments))
        pair.append(vectors.subset(min(arguments.restrict, len(vectors))))
    comparison = evaluation.compare(*pair)
    moved, words = comparison.moved(arguments.topn, first=COMMON), len(comparison.tokens)
    document = {"first": arguments.first, "second": arguments.second, "words": words}
    if not common.print_json(arguments, **document, moved=common.scored_record(moved)):
        common.print_line(f"{words:,} words in both; moved most, with the cosine of their two vectors:")
        common.print_scored(moved)


def add_plot(commands: common.Commands) -> None:
    """Add the command to the parser."""
    command = common.add_command(commands, "plot", plot, example="model.safetensors -o map.html")
    inputs.add_vectors(command)
    common.add_output(command, "map.png")
    text = "the words to show, the most important first"
    common.add_option(command, "--words", text, shown="the first ones", nargs="+", metavar="WORD")
    common.add_topn(command, None, f"{ON_A_PICTURE:,}, or {ON_A_PAGE:,} on a page")
    text = "how they are projected to the plane; umap needs the extra [maps]"
    common.add_option(command, "--method", text, shown="umap if it is installed, else pca", choices=METHODS)
    common.add_option(command, "--seed", default=0, **inputs.SEED["seed"])
    common.add_flag(command, "--history", "draw nll against epochs instead of words")


def plot(arguments: argparse.Namespace) -> None:
    """Draw a map of words, an interactive page of them, or with --history the course of training.

    The suffix of --output says which: .png or .svg is a picture, .html a page that opens without a network.
    --history needs a whole model, which `train` writes. Pictures need the extra [plot], the page needs none.
    """
    check_writable(arguments.output)
    if arguments.history:
        history = SkipGram.load(arguments.vectors).history
        plotting.plot_history(history, arguments.output)
        common.print_written(arguments, f"the course of {number_of(len(history), 'epoch')}")
        return
    vectors = inputs.open_vectors(arguments)
    words = map(inputs.open_words(arguments, vectors), arguments.words) if arguments.words else None
    how = {"topn": arguments.topn, "method": arguments.method, "seed": arguments.seed}
    plotting.plot_map(vectors, arguments.output, words=words, progress=common.shows_bars(arguments), **how)
    common.print_written(arguments, "a map of words")
