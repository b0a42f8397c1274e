"""The command that draws: ``plot``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastembed import formats
from fastembed.cli import options
from fastembed.cli.output import print_written
from fastembed.skipgram import SkipGram

METHODS = ("pca", "umap", "tsne")


def plot(arguments: argparse.Namespace) -> None:
    """Draw a map of words, an interactive page of them, or with --history the course of training.

    The ending of --output says which: .png, .svg or .pdf is a picture, .html a page that opens without a network.
    --history needs a whole model, which `train` writes.
    """
    from fastembed import plotting  # here, since it needs an extra

    formats.writable(arguments.output)
    page = Path(arguments.output).suffix.lower() in (".html", ".htm")
    if arguments.history:
        names = ("words", "topn", "method", "seed", "purpose")
        options.refuse(arguments, names, "--history shows no words")
        history = SkipGram.load(arguments.vectors).history
        plotting.plot_history(history, arguments.output)
        print_written(arguments, f"the course of {len(history)} epochs", vectors=arguments.vectors, epochs=len(history))
        return
    if page:
        options.refuse(arguments, ("method", "seed"), "a page is laid out by its own method")
    vectors = options.open_vectors(arguments)
    choice = options.given(arguments, ("words", "topn") if page else ("words", "topn", "method", "seed"))
    draw = plotting.write_page if page else plotting.plot_map
    draw(vectors, arguments.output, **choice)
    print_written(arguments, "", vectors=arguments.vectors)


def add_plot(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "plot",
        plot,
        example="fastembed plot model.safetensors -o map.html",
        keys="output, vectors; with --history also epochs",
    )
    options.add_vectors(command)
    options.add_output(command, "map.png")
    options.add_option(
        command, "--words", text="the words to show", default=None, shown="the first ones", nargs="+", metavar="WORD"
    )
    options.add_topn(command, None, shown="200, and 50000 on a page")
    options.add_option(command, "--method", text="how they are brought to the plane", default="pca", choices=METHODS)
    options.add_seed(command)
    options.add_flag(command, "--history", "draw nll against epochs and seconds instead of words")
    options.add_quiet(command)
