"""``fastembed count``: the co-occurrence counts of a text or of baskets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager

from fastembed._base.optional import require
from fastembed.cli import options
from fastembed.cli.arguments import new_model, open_corpus
from fastembed.cli.output import print_written
from fastembed.cli.progress import Progress
from fastembed.counts import Counts, CountsStore
from fastembed.formats.atomic import check_writable

CONNECTING_SECONDS = 10


def run(arguments: argparse.Namespace) -> None:
    """Count a text once; `train --counts` can then train on the counts many times."""
    stored = arguments.store or arguments.scheduler is not None
    if not stored:
        check_writable(arguments.output)
    model = new_model(arguments)
    corpus = open_corpus(arguments)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress.of(arguments, model.epochs))
        options = {"memory_limit": arguments.memory_limit, "progress": progress}
        counts: Counts | CountsStore
        if stored:
            executor = arguments.scheduler and stack.enter_context(cluster(arguments.scheduler))
            counts = model.count(corpus, **options, store=arguments.output, executor=executor)
        else:
            counts = in_memory = model.count(corpus, **options)
            in_memory.save(arguments.output)
    ledger = counts.vocabulary.ledger if counts.vocabulary else None
    inputs, outputs = counts.shape
    what = f"{counts.nnz:,} counts of {inputs:,} tokens and {outputs:,} contexts"
    record = {"words": inputs, "contexts": outputs, "nnz": counts.nnz, "total": counts.total, "ledger": ledger}
    print_written(arguments, what, ledger, **record)


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Yield the executor of a cluster of Dask; raise OSError if there is no scheduler at the address."""
    distributed = require("distributed", "dask")
    try:
        client = distributed.Client(address, timeout=CONNECTING_SECONDS)
    except (OSError, ValueError) as error:
        raise OSError(f"no scheduler of Dask answers at {address!r} within {CONNECTING_SECONDS} s: {error}") from error
    with client, client.get_executor() as executor:
        yield executor


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
    options.add_memory_limit(command, "half of the free memory, 500M with --scheduler")
    options.add_flag(command, "--store", "write a folder, of which `train --counts` holds only some rows in memory")
    text = "count on a cluster of Dask, whose workers see the files and the store under the same names"
    options.add_option(command, "--scheduler", text=text, default=None, shown="none", metavar="ADDRESS", type=str)
    options.add_threads(command)
    options.add_quiet(command)
