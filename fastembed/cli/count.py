"""``fastembed count``: the co-occurrence counts of a text or of baskets."""

from __future__ import annotations

import argparse

from fastembed.cli import options
from fastembed.cli.arguments import new_model, open_corpus, reject
from fastembed.cli.output import print_written
from fastembed.cli.progress import Progress
from fastembed.corpus import FileCorpus
from fastembed.corpus.ledger import check_reread
from fastembed.counts import Counts
from fastembed.formats.atomic import check_writable
from fastembed.skipgram import SkipGram
from fastembed.vocabulary import Vocabulary


def run(arguments: argparse.Namespace) -> None:
    """Count a text once; `train --counts` can then train on the counts many times."""
    check_writable(arguments.output)
    if arguments.baskets:
        reject(arguments, ("window", "weighting", "sample", "directed"), "all pairs of a basket count")
    model = new_model(arguments)
    corpus = open_corpus(arguments)
    with Progress.of(arguments, model.epochs) as progress:
        if arguments.baskets:
            counts = _count_baskets(arguments, corpus, model, progress)
        else:
            counts = model.count(corpus, memory_limit=arguments.memory_limit, progress=progress)
    counts.save(arguments.output)
    ledger = counts.vocabulary.ledger if counts.vocabulary else None
    inputs, outputs = counts.shape
    what = f"{counts.nnz:,} counts of {inputs:,} tokens and {outputs:,} contexts"
    record = {"words": inputs, "contexts": outputs, "nnz": counts.nnz, "total": counts.total, "ledger": ledger}
    print_written(arguments, what, ledger, **record)


def _count_baskets(arguments: argparse.Namespace, corpus: FileCorpus, model: SkipGram, progress: Progress) -> Counts:
    """Return the counts of baskets, one per line, of the vocabulary that the model's parameters select."""
    size, threads = model.max_size, model.threads
    vocabulary = Vocabulary.from_corpus(
        corpus,
        model.min_count,
        size,
        drop=model.drop,
        keep_only=model.keep_only,
        threads=threads,
        progress=progress.reading,
    )
    counts = Counts.from_baskets(
        corpus,
        vocabulary,
        weighting=arguments.baskets,
        max_contexts=model.contexts(len(vocabulary)),
        threads=threads,
        memory_limit=arguments.memory_limit,
        progress=progress.counting,
    )
    if vocabulary.ledger and counts.ledger:
        check_reread(vocabulary.ledger, counts.ledger)
    return counts


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
    text = "a line is a basket, all pairs of which count: each 1, or 1/(n - 1) in a basket of n"
    options.add_option(command, "--baskets", text=text, default=None, shown="windows", choices=("flat", "share"))
    options.add_counting(command)
    options.add_memory_limit(command)
    options.add_threads(command)
    options.add_quiet(command)
