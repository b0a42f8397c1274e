"""``fastembed count``: the co-occurrence counts of a text or of baskets."""

from __future__ import annotations

import argparse

from fastembed.cli import options
from fastembed.cli.arguments import new_model, open_corpus
from fastembed.cli.output import print_written
from fastembed.cli.progress import Progress
from fastembed.formats.atomic import check_writable


def run(arguments: argparse.Namespace) -> None:
    """Count a text once; `train --counts` can then train on the counts many times."""
    if not arguments.store:
        check_writable(arguments.output)
    model = new_model(arguments)
    corpus = open_corpus(arguments)
    with Progress.of(arguments, model.epochs) as progress:
        counts = model.count(corpus, memory_limit=arguments.memory_limit, progress=progress)
    if arguments.store:
        counts.store(arguments.output)
    else:
        counts.save(arguments.output)
    ledger = counts.vocabulary.ledger if counts.vocabulary else None
    inputs, outputs = counts.shape
    what = f"{counts.nnz:,} counts of {inputs:,} tokens and {outputs:,} contexts"
    record = {"words": inputs, "contexts": outputs, "nnz": counts.nnz, "total": counts.total, "ledger": ledger}
    print_written(arguments, what, ledger, **record)


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "count",
        run,
        example="fastembed count news/*.txt.gz -o counts.safetensors --window 5",
        keys="output, words, contexts, nnz, total, ledger",
    )
    options.add_output(command, "counts.safetensors")
    options.add_text(command, required=True)
    options.add_counting(command)
    options.add_memory_limit(command)
    options.add_flag(command, "--store", "write a folder, of which `train --counts` holds only some rows in memory")
    options.add_threads(command)
    options.add_quiet(command)
