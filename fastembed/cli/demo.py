"""``fastembed demo``: a model of the documentation inside the running Python."""

from __future__ import annotations

import argparse

from fastembed import demo
from fastembed.cli import options
from fastembed.cli.arguments import check_model_output, new_model
from fastembed.cli.output import MODEL_KEYS, model_record, print_json, scored_record
from fastembed.cli.progress import Progress


def run(arguments: argparse.Namespace) -> None:
    """Learn vectors from the documentation inside this Python and show them."""
    check_model_output(arguments)
    model = new_model(arguments)
    quiet = arguments.quiet or arguments.json
    with Progress.of(arguments, model.epochs) as progress:
        demo.run(model, arguments.output, progress, quiet=quiet)
    vectors = model.vectors
    near = {word: scored_record(vectors.most_similar(word, topn=5)) for word in demo.WORDS if word in vectors}
    print_json(arguments, output=arguments.output, **model_record(model, progress.estimate), neighbors=near)


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands, "demo", run, example="fastembed demo -o demo.safetensors", keys=f"{MODEL_KEYS}, neighbors"
    )
    options.add_output(command, "model.safetensors")
    options.add_parameters(command)
