"""``fastembed compare``: the words that moved between two models, and a page of both."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastembed import plotting
from fastembed.cli import options, values
from fastembed.cli.arguments import fail, reject, reject_overwriting
from fastembed.cli.output import print_json, print_line, print_scored, scored_record
from fastembed.formats.atomic import check_writable
from fastembed.vectors import Vectors

WORDS = 20_000  # words of each model that are compared
LISTED = 10  # how many of the words that moved most are printed
COMMON = 5_000  # only words among this many of the most frequent: vectors of rare ones are noisy


def run(arguments: argparse.Namespace) -> None:
    """Compare two models: print the words that moved most, or with --output write a page of both.

    Two corpora, two times or two settings of one dimension. The vectors of SECOND are turned to those of FIRST, so that
    the words of both are as close together as a rotation can bring them; a word has moved if the cosine of its two
    vectors is small. On the page a click on a word shows its neighbours in both.
    """
    names = [Path(file).stem for file in (arguments.first, arguments.second)]
    if arguments.output is None:
        reject(arguments, ("topn",), "there is no page without --output")
    else:
        check_writable(arguments.output)
        reject_overwriting(arguments, [arguments.first, arguments.second])
        if Path(arguments.output).suffix.lower() not in (".html", ".htm"):
            fail(arguments, f"a page's name ends in .html, got {arguments.output!r}")
    first, second = (Vectors.load(file, arguments.input_format) for file in (arguments.first, arguments.second))
    if arguments.output is None:
        comparison = plotting.compare(first.subset(min(WORDS, len(first))), second.subset(min(WORDS, len(second))))
    else:
        comparison = plotting.write_comparison(
            first, second, arguments.output, names=names, topn=arguments.topn or WORDS
        )
    moved = comparison.moved(LISTED, first=COMMON)
    document = {"first": arguments.first, "second": arguments.second, "words": len(comparison.tokens)}
    if print_json(arguments, output=arguments.output, **document, moved=scored_record(moved)):
        return
    if not arguments.quiet:
        print_line(f"{len(comparison.tokens):,} words in both; moved most, with the cosine of their two vectors:")
        print_scored(moved)
        if arguments.output is not None:
            print_line(f"wrote {arguments.output}")


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "compare",
        run,
        example="fastembed compare 1900.safetensors 2000.safetensors -o moved.html",
        keys="output, first, second, words, moved (a list of word, score)",
    )
    for name in ("first", "second"):
        text = f"the {name} model, or its vectors in any format that `export` writes"
        command.add_argument(name, metavar=name.upper(), type=values.file_name, help=text)
    options.add_input_format(command)
    text = "the file to write"
    options.add_option(
        command, "-o", "--output", text=text, default=None, shown="none", metavar="FILE", type=values.output_name
    )
    options.add_topn(command, None, shown=f"the first {WORDS:,} of each")
    options.add_quiet(command)
