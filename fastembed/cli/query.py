"""Questions to vectors, models and files: ``fastembed neighbors``, ``analogy``, ``predict``, ``info``, ``export``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastembed._base.validation import number_of, without_password
from fastembed._versions import show_versions, versions
from fastembed.cli import common, inputs
from fastembed.corpus.sources import is_url
from fastembed.counts import Counts
from fastembed.formats.registry import FORMATS, check_output, format_of, format_of_file
from fastembed.formats.tensors import map_tensors
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors
from fastembed.vectors.neighbors import METHODS

Query = tuple[list[str], list[str]]  # positive and negative words


def add_neighbors(commands: common.Commands) -> None:
    """Add the command to the parser."""
    keys = "vectors, queries (a list of positive, negative, neighbors (a list of word, score)), unknown (a list)"
    example = "model.safetensors king woman --negative man -n 5"
    command = common.add_command(commands, "neighbors", neighbors, example=example, keys=keys)
    inputs.add_vectors(command)
    command.add_argument("words", nargs="+", metavar="WORD", help="a word, or - for standard input")
    common.add_option(command, "--negative", "words to subtract", [], "none", nargs="+", metavar="WORD")
    common.add_flag(command, "--together", "take all words as one query")
    common.add_topn(command, 10)
    inputs.add_restrict(command)


def neighbors(arguments: argparse.Namespace) -> int:
    """Print the words nearest to the words given.

    Each WORD is a query of its own. With --together or --negative all of them are one query: the answer is the words
    nearest to the mean of their unit vectors, those of the negative words subtracted. With - in place of WORD the
    queries are the lines of standard input, which are answered when it ends: the words of a line, between spaces, are
    one query; words after a tab are negative. A line that is read as one word, such as a phrase, is that word.

    Words are read as the text of a model was: after `train --lowercase`, "Paris" asks for "paris". Where VECTORS hold
    character n-grams, the vector of a word that they lack is composed of these. A query with any
    other word that VECTORS lack has no answer: it is named on stderr, the others are answered, and the exit code is 1.
    """
    vectors = inputs.open_vectors(arguments)
    token = inputs.open_words(arguments, vectors)
    queries: list[Query] = []
    unknown: list[str] = []
    for words in _queries(arguments, partial(inputs.words_of, token=token, known=vectors)):
        positive, negative = (list(map(token, part)) for part in words)
        try:
            vectors[positive + negative]
        except KeyError as error:
            unknown.append(common.one_line(error))
        else:
            queries.append((positive, negative))
    neighbors = _answers(vectors, queries, arguments.topn, arguments.restrict)
    if unknown:
        common.print_message(f"error: {'; '.join(unknown)}")
    answers = [
        {"positive": positive, "negative": negative, "neighbors": common.scored_record(near)}
        for (positive, negative), near in zip(queries, neighbors, strict=True)
    ]
    if not common.print_json(arguments, vectors=arguments.vectors, queries=answers, unknown=unknown):
        for (positive, negative), near in zip(queries, neighbors, strict=True):
            common.print_line(" ".join(positive) + "".join(f" -{word}" for word in negative))
            common.print_scored(near)
    return int(bool(unknown))


def _queries(arguments: argparse.Namespace, split: Callable[[str], list[str]]) -> list[Query]:
    """Return the queries of the command line, or of standard input, whose lines are split."""
    words, negative = arguments.words, arguments.negative
    if words != ["-"]:
        return [(words, negative)] if negative or arguments.together else [([word], []) for word in words]
    queries = [(split(line.partition("\t")[0]), split(line.partition("\t")[2])) for line in inputs.stdin_lines()]
    return [query for query in queries if any(query)]


def _answers(vectors: Vectors, queries: list[Query], topn: int, restrict: int | None) -> list[list[tuple[str, float]]]:
    """Return the neighbors of each query. Words that are queries of their own share one search, which is faster."""
    if restrict or any(len(positive) > 1 or negative for positive, negative in queries):
        return [vectors.most_similar(*query, topn=topn, restrict=restrict) for query in queries]
    answers = zip(*vectors.nearest([positive[0] for positive, _ in queries], topn=topn), strict=True)
    return [[(vectors.tokens[i], float(x)) for i, x in zip(ids, cosines, strict=True)] for ids, cosines in answers]


def add_method(to: common.Group) -> None:
    """Add the method that solves analogies."""
    common.add_option(to, "--method", "how analogies are solved", "3CosAdd", choices=list(METHODS))


def add_analogy(commands: common.Commands) -> None:
    """Add the command to the parser."""
    keys = "vectors, a, b, c, method, answers (a list of word, score)"
    example = "model.safetensors france paris italy"
    command = common.add_command(commands, "analogy", analogy, example=example, keys=keys)
    inputs.add_vectors(command)
    for name in "abc":
        command.add_argument(name, metavar=name.upper(), help=f"the word {name.upper()}")
    add_method(command)
    common.add_topn(command, 5)
    inputs.add_restrict(command)


def analogy(arguments: argparse.Namespace) -> None:
    """Print the words to which C is as A is to B.

    Where VECTORS hold character n-grams, the vector of a word that they lack is composed of these.
    """
    vectors = inputs.open_vectors(arguments)
    a, b, c = map(inputs.open_words(arguments, vectors), (arguments.a, arguments.b, arguments.c))
    answers = vectors.analogy(a, b, c, topn=arguments.topn, method=arguments.method, restrict=arguments.restrict)
    document = {"vectors": arguments.vectors, "a": a, "b": b, "c": c, "method": arguments.method}
    if not common.print_json(arguments, **document, answers=common.scored_record(answers)):
        common.print_line(f"{a} is to {b} as {c} is to")
        common.print_scored(answers)


def add_predict(commands: common.Commands) -> None:
    """Add the command to the parser."""
    keys = "model, side, queries (a list of words, predicted (a list of word, score)); "
    keys += "by a classifier one object per line: labels (a list of label, probability)"
    example = "model.safetensors bread butter -n 5"
    command = common.add_command(commands, "predict", predict_contexts, example=example, keys=keys)
    command.add_argument("model", metavar="MODEL", help="a model that `train` or `train-classifier` wrote")
    text = "a word, or - for standard input; for a classifier a file, folder, or -"
    command.add_argument("words", nargs="*", default=[], metavar="WORD", help=text)
    inputs.add_field(command.add_argument_group("where a classifier's documents are"))
    common.add_topn(command, None, "10 words, 1 label")
    text = "leave out labels of a classifier that are less probable"
    common.add_option(command, "--threshold", text, 0.0, "none", type=float, metavar="P")
    text = "predict words on this side only, by a model that distinguishes them"
    common.add_option(command, "--side", text, shown="either", choices=("before", "after"))
    common.add_left_out(command)
    common.add_threads(command)


def predict_contexts(arguments: argparse.Namespace) -> None:
    """Print the most probable words beside words, or the labels of documents by a classifier.

    By a classifier, which `train-classifier` wrote, each line of a file, or of standard input, is a document; the
    tokens that are labels in training are left out. A line of standard input is answered at once. Of structured
    files, such as CSV, --field names the documents.

    By a model that `train` wrote, the words, such as the items of a basket, are one query: each has the same weight,
    and they are left out of the answer, as are those of --exclude. With - in place of WORD each line of standard input
    is a query, and all are answered when it ends. A word that the model does not know is an error; with --skip-unknown
    it is left out.
    """
    if inputs.holds(arguments.model, "classifier"):
        from fastembed.cli.classify import predict_labels

        common.refuse(arguments, ("side", "exclude", "skip_unknown"), "has no meaning for a classifier")
        predict_labels(arguments)
        return
    common.refuse(arguments, ("field", "no_header", "threshold"), "needs a classifier")
    if not arguments.words:
        arguments.parser.error("give WORDs, or - for standard input")
    model = SkipGram.load(arguments.model, threads=arguments.threads)
    known = model.vocabulary
    token = partial(model.reading_.token, known=known) if model.reading_ else str
    lines = [arguments.words]
    if lines == [["-"]]:
        lines = [inputs.words_of(line, token, known) for line in inputs.stdin_lines()]
    queries, exclude = [list(map(token, words)) for words in lines if words], list(map(token, arguments.exclude))
    answers = model.predict_outputs(
        queries, arguments.topn or 10, arguments.side, exclude=exclude, skip_unknown=arguments.skip_unknown
    )
    document = [
        {"words": words, "predicted": common.scored_record(answer)}
        for words, answer in zip(queries, answers, strict=True)
    ]
    if not common.print_json(arguments, model=arguments.model, side=arguments.side, queries=document):
        for words, answer in zip(queries, answers, strict=True):
            common.print_line(" ".join(words))
            common.print_scored(answer)


def add_info(commands: common.Commands) -> None:
    """Add the command to the parser."""
    keys = "file, bytes, metadata, tensors (a list of name, dtype, shape); without FILE: fastembed, build, caches, "
    keys += "python, unicode, numpy, scipy, blas, threads"
    command = common.add_command(commands, "info", info, example="model.safetensors", keys=keys)
    text = "the file, or the folder of counts, to look at (default: the installation)"
    command.add_argument("file", nargs="?", metavar="FILE", help=text)
    inputs.add_input_format(command)


def info(arguments: argparse.Namespace) -> None:
    """Print what a file or a folder of counts holds, or the versions that the installation runs on.

    A model is shown with its parameters that are not the defaults. A graph, or counts that it was trained on, were
    counted by others: with --json, windows_ and what was read (ledger) say how.
    """
    file = arguments.file
    if file is None:
        if not common.print_json(arguments, **versions()):
            show_versions()
        return
    if is_url(file) or Path(file).is_dir():
        from fastembed.counts.folders import open_folder
        from fastembed.counts.store import read_manifest

        folder = open_folder(file)
        arrays, header = read_manifest(folder)
        file, size = without_password(file), sum(map(folder.size, folder.names() or ()))
    elif (form := format_of_file(file, arguments.input_format)).name == "safetensors":
        (arrays, header), size = map_tensors(file), Path(file).stat().st_size
    else:
        arrays, header = {"matrix": Vectors.load(file, form.name).matrix}, {"format": form.name}
        size = Path(file).stat().st_size
    metadata = {name: json.loads(text) if text[:1] in ("{", "[") else text for name, text in header.items()}
    tensors = [
        {"name": name, "dtype": str(array.dtype), "shape": array.shape} for name, array in sorted(arrays.items())
    ]
    if common.print_json(arguments, file=file, bytes=size, metadata=metadata, tensors=tensors):
        return
    common.print_line(f"{file}: {size:,} bytes")
    common.print_line(_described(arguments, metadata))


def _described(arguments: argparse.Namespace, metadata: dict[str, Any]) -> str:
    """Return what a file or a folder of counts holds, in a line for people."""
    from fastembed import Classifier, Recommender

    file, kind = arguments.file, metadata["format"]
    model: Any
    if kind == "fastembed.counts-store":
        return repr(Counts.open(file))
    if kind == "fastembed.recommender":
        model = Recommender.load(file)
        return f"{model}: {number_of(len(model.items_), 'item')}, {number_of(len(model.users_), 'user')}"
    if kind == "fastembed.classifier":
        model = Classifier.load(file)
        what = f"{len(model.classes_):,} labels, {model.n_features_:,} features"
    elif "model" in metadata:
        model = SkipGram.load(file)
        words, dim = model.vectors.matrix.shape
        what = f"{number_of(words, 'word')}, {number_of(dim, 'dimension')}, {number_of(len(model.history), 'epoch')}"
    else:
        return repr(Vectors.load(file, arguments.input_format))
    return f"{model}: {what}" + (f", read as {model.reading_}" if model.reading_ else "")


def add_export(commands: common.Commands) -> None:
    """Add the command to the parser."""
    command = common.add_command(commands, "export", export, example="model.safetensors -o vectors.vec.gz")
    inputs.add_vectors(command)
    common.add_output(command, "vectors.txt")
    writable = tuple(name for name, form in FORMATS.items() if form.write)
    common.add_option(command, "--format", "the format of the output", shown="by its suffix", choices=writable)


def export(arguments: argparse.Namespace) -> None:
    """Write vectors in another format, which the suffix of the output names.

    Character n-grams are written as .safetensors alone; other formats get the words, with a warning.
    """
    check_output(arguments.output, arguments.format)
    form = format_of(arguments.output, arguments.format)
    vectors = inputs.open_vectors(arguments)
    vectors.save(arguments.output, form.name, progress=common.shows_bars(arguments))
    words, dim = vectors.matrix.shape
    common.print_written(arguments, f"{number_of(words, 'vector')} of dimension {dim}, {form.description}")
