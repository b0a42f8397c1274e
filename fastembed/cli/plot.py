"""``fastembed plot``: a map of words, an interactive page of them, or the history of training."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from fastembed import plotting
from fastembed.cli import options
from fastembed.cli.arguments import open_model, open_vectors, reject, reject_overwriting
from fastembed.cli.output import print_warning, print_written
from fastembed.formats.atomic import check_writable
from fastembed.plotting.projection import METHODS

ON_A_MAP, ON_A_PAGE = 5_000, 50_000  # default numbers of words


def run(arguments: argparse.Namespace) -> None:
    """Draw a map of words, an interactive page of them, or with --history the course of training.

    The suffix of --output says which: .png, .svg or .pdf is a picture, .html a page that opens without a network.
    --history needs a whole model, which `train` writes. Pictures need the extra [plot], the page needs none.
    """
    check_writable(arguments.output)
    reject_overwriting(arguments, [arguments.vectors])
    if arguments.history:
        _plot_history(arguments)
    else:
        _plot_words(arguments)


def _plot_words(arguments: argparse.Namespace) -> None:
    if arguments.words:
        reject(arguments, ("topn",), "--words says which words to show")
    page = Path(arguments.output).suffix.lower() in (".html", ".htm")
    topn = arguments.topn or (ON_A_PAGE if page else ON_A_MAP)
    vectors = open_vectors(arguments)
    choice = {"words": arguments.words, "topn": topn, "method": arguments.method, "seed": arguments.seed}
    choice["progress"] = sys.stderr.isatty() and not arguments.quiet
    with warnings.catch_warnings(record=True) as caught:
        draw = plotting.write_page if page else plotting.plot_map
        draw(vectors, arguments.output, **choice)
    for warning in caught:
        print_warning(str(warning.message))
    words = len({*arguments.words}) if arguments.words else min(topn, len(vectors))
    print_written(arguments, f"a map of {words:,} words", vectors=arguments.vectors, words=words)


def _plot_history(arguments: argparse.Namespace) -> None:
    names = ("words", "topn", "method", "seed", "purpose", "input_format")
    reject(arguments, names, "--history shows no words")
    history = open_model(arguments, "--history").history
    plotting.plot_history(history, arguments.output)
    print_written(arguments, f"the course of {len(history)} epochs", vectors=arguments.vectors, epochs=len(history))


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "plot",
        run,
        example="fastembed plot model.safetensors -o map.html",
        keys="output, vectors, words; with --history: output, vectors, epochs",
    )
    options.add_vectors(command)
    options.add_output(command, "map.png")
    text = "the words to show, the most important first"
    options.add_option(command, "--words", text=text, default=None, shown="the first ones", nargs="+", metavar="WORD")
    options.add_topn(command, None, shown=f"{ON_A_MAP:,}, or {ON_A_PAGE:,} on a page")
    text = "how they are projected to the plane; umap and tsne need the extra [maps]"
    shown = "umap if it is installed, else pca"
    options.add_option(command, "--method", text=text, default=None, shown=shown, choices=METHODS)
    options.add_seed(command, options.DEFAULTS["seed"])
    options.add_flag(command, "--history", "draw nll against epochs and seconds instead of words")
    options.add_quiet(command)
