"""``fastembed export``: vectors in another format."""

from __future__ import annotations

import argparse

from fastembed.cli import options, values
from fastembed.cli.arguments import open_vectors, reject_overwriting
from fastembed.cli.output import print_written
from fastembed.formats.registry import FORMATS, check_output, format_of
from fastembed.vectors.vectors import composer_behind

WRITABLE = tuple(name for name, form in FORMATS.items() if form.writable)


def run(arguments: argparse.Namespace) -> None:
    """Write vectors in another format, which the suffix of OUTPUT names.

    Character n-grams are written as .safetensors alone; other formats get the words, which the answer says.
    """
    check_output(arguments.output, arguments.format)
    form = format_of(arguments.output, arguments.format)
    inputs = format_of(arguments.vectors, arguments.input_format).files(arguments.vectors)
    reject_overwriting(arguments, inputs, form.files(arguments.output))
    vectors = open_vectors(arguments)
    vectors.save(arguments.output, form.name)
    (words, dim), composer = vectors.matrix.shape, composer_behind(vectors)
    left_out = None if form.ngrams or composer is None else str(composer)
    document = {"vectors": arguments.vectors, "format": form.name, "words": words, "dim": dim, "left_out": left_out}
    alone = f", without the {left_out}" if left_out else ""
    print_written(arguments, f"{words:,} vectors of dimension {dim}{alone}, {form.description}", **document)


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "export",
        run,
        example="fastembed export model.safetensors vectors.vec.gz",
        keys="output, vectors, format, words, dim, left_out (the n-grams that OUTPUT cannot hold, or null)",
    )
    options.add_vectors(command)
    command.add_argument("output", metavar="OUTPUT", type=values.output_name, help="the file to write")
    text = "the format of OUTPUT"
    options.add_option(command, "--format", text=text, default=None, shown="by OUTPUT's suffix", choices=WRITABLE)
    options.add_quiet(command)
