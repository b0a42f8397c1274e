"""What is in a text: ``fastembed count`` and ``fastembed phrases``."""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from fastembed._base.optional import require
from fastembed.cli import options
from fastembed.cli.inputs import COUNTING, MIN_COUNT, add_text, given_parameters, open_token_list, read_corpus
from fastembed.cli.output import print_written, showing
from fastembed.corpus import Phrases
from fastembed.corpus.phrases import THRESHOLDS
from fastembed.corpus.reading import LONGEST
from fastembed.formats.atomic import check_writable
from fastembed.skipgram import SkipGram

CONNECTING_SECONDS = 10


def add_count(commands: options.Commands) -> None:
    """Add the command to the parser."""
    example = "news/*.txt.gz -o news.counts --window 5"
    command = options.add_command(commands, "count", count, example=example)
    options.add_output(command, "text.counts")
    add_text(command, required=True)
    options.add_parameters(command, SkipGram, COUNTING)
    options.add_memory_limit(command, "half of the free memory, 500M with --scheduler")
    text = "count on a cluster of Dask, whose workers see the files and the output under the same names"
    options.add_option(command, "--scheduler", text, shown="none", metavar="ADDRESS")
    options.add_threads(command)


def count(arguments: argparse.Namespace) -> None:
    """Count a text once; `train --counts` can then train on the counts many times.

    The output is a folder, of which training holds only some rows in memory.
    """
    model = SkipGram(**given_parameters(arguments), threads=arguments.threads)
    corpus = read_corpus(arguments, arguments.files)
    with ExitStack() as stack:
        executor = None
        if arguments.scheduler:
            client = require("distributed", "dask").Client(arguments.scheduler, timeout=CONNECTING_SECONDS)
            executor = stack.enter_context(stack.enter_context(client).get_executor())
        counts = model.count(
            corpus,
            memory_limit=arguments.memory_limit,
            progress=stack.enter_context(showing(arguments)),
            store=arguments.output,
            executor=executor,
        )
    inputs, outputs = counts.shape
    what = f"{counts.nnz:,} counts of {inputs:,} tokens and {outputs:,} contexts"
    print_written(arguments, what, counts.vocabulary.ledger if counts.vocabulary else None)


def add_phrases(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(commands, "phrases", phrases, example="news.txt -o phrases.txt")
    options.add_output(command, "phrases.txt")
    add_text(command, required=True)
    options.add_parameters(command, Phrases.from_corpus, MIN_COUNT)
    text = "how pairs are scored: by normalised pointwise mutual information, or as by word2vec"
    options.add_option(command, "--scoring", text, "npmi", choices=tuple(THRESHOLDS))
    shown = " or ".join(f"{score:g} ({name})" for name, score in THRESHOLDS.items())
    options.add_option(command, "--min-score", "the least score of a phrase", shown=shown, type=float, metavar="SCORE")
    text = f"the most words of a phrase, from 2 to {LONGEST}"
    options.add_option(command, "--max-words", text, 4, type=int, metavar="N")
    text = "words that may stand inside a phrase but not at its ends: english, none, or a file with one per line"
    options.add_option(command, "--common", text, "english", metavar="english|none|FILE")
    options.add_threads(command)


def phrases(arguments: argparse.Namespace) -> None:
    """Find phrases such as "new york" in a text, for the option --phrases of other commands.

    They are neighbours that occur together more often than their own counts would suggest. The list has one phrase per
    line, with its score, the highest first: look at it, remove its first line, delete and add others. With --phrases
    LIST each is read as one word, new_york.
    """
    check_writable(arguments.output)
    with showing(arguments) as progress:
        found = Phrases.from_corpus(
            read_corpus(arguments, arguments.files),
            threshold=arguments.min_score,
            scoring=arguments.scoring,
            max_words=arguments.max_words,
            common=None if arguments.common == "none" else open_token_list(arguments.common),
            threads=arguments.threads,
            progress=progress.reading,
            **options.given(arguments, MIN_COUNT),
        )
    found.save(arguments.output)
    print_written(arguments, f"{len(found):,} phrases, such as {' '.join(found.phrases[0])!r}", found.ledger)
