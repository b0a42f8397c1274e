"""``fastembed report``: one page about a model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fastembed import plotting
from fastembed.cli import options, values
from fastembed.cli.arguments import fail, open_model, reject_overwriting
from fastembed.cli.output import print_written
from fastembed.evaluation import analogies, word_similarity
from fastembed.formats.atomic import check_writable
from fastembed.plotting.projection import METHODS

WORDS = 20_000  # words on the map


def run(arguments: argparse.Namespace) -> None:
    """Write one page about a model, to attach to a paper or a ticket.

    It has the course of training, scores, nearest words of some words, the map, what was read, settings and versions,
    contains everything it needs, and opens without a network. It needs the extra [plot].
    """
    check_writable(arguments.output)
    reject_overwriting(arguments, [arguments.vectors, *arguments.similarity, *arguments.analogies])
    if Path(arguments.output).suffix.lower() not in (".html", ".htm"):
        fail(arguments, f"a page's name ends in .html, got {arguments.output!r}")
    model = open_model(arguments, "a report")
    vectors = model.vectors
    scores = {Path(file).name: word_similarity(vectors, file).summary() for file in arguments.similarity}
    scores |= {Path(file).name: analogies(vectors, file).summary() for file in arguments.analogies}
    plotting.write_report(
        model,
        arguments.output,
        title=f"{Path(arguments.vectors).stem}: {len(vectors):,} words",
        probes=arguments.words,
        scores=scores,
        topn=arguments.topn or WORDS,
        method=arguments.method,
        progress=sys.stderr.isatty() and not arguments.quiet,
    )
    print_written(arguments, f"a report on {len(vectors):,} words", vectors=arguments.vectors, words=len(vectors))


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "report",
        run,
        example="fastembed report model.safetensors -o report.html",
        keys="output, vectors, words",
    )
    command.add_argument("vectors", metavar="MODEL", type=values.file_name, help="a model that `train` wrote")
    options.add_output(command, "report.html")
    text = "the words whose nearest words are listed"
    shown = "those most typical of the largest clusters"
    options.add_option(command, "--words", text=text, default=None, shown=shown, nargs="+", metavar="WORD")
    for name, text in (
        ("--similarity", "files with two words and a score per line"),
        ("--analogies", "files with four words per line, in sections that start with a line : NAME"),
    ):
        options.add_option(
            command, name, text=text, default=[], shown="none", nargs="+", metavar="FILE", type=values.file_name
        )
    options.add_topn(command, None, shown=f"{WORDS:,}")
    text = "how the words of the map are projected to the plane"
    options.add_option(
        command, "--method", text=text, default=None, shown="umap if it is installed, else pca", choices=METHODS
    )
    options.add_quiet(command)
