"""What is in a text: ``fastembed count``, ``fastembed tokens`` and ``fastembed phrases``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from itertools import islice

from fastembed._base.optional import require
from fastembed.cli import options
from fastembed.cli.inputs import COUNTING, MIN_COUNT, add_text, new_model, open_corpus, open_token_list, read_corpus
from fastembed.cli.output import Progress, print_json, print_line, print_written
from fastembed.corpus import Ledger, Phrases
from fastembed.corpus.phrases import THRESHOLDS
from fastembed.corpus.reading import LONGEST
from fastembed.formats.atomic import check_writable
from fastembed.skipgram import SkipGram
from fastembed.vocabulary import Vocabulary

CONNECTING_SECONDS = 10


def add_count(commands: options.Commands) -> None:
    """Add the command to the parser."""
    example, keys = "news/*.txt.gz -o counts.safetensors --window 5", "output, words, contexts, nnz, total, ledger"
    command = options.add_command(commands, "count", count, example=example, keys=keys)
    options.add_output(command, "counts.safetensors")
    add_text(command, required=True)
    options.add_parameters(command, SkipGram, COUNTING)
    options.add_memory_limit(command, "half of the free memory, 500M with --scheduler")
    options.add_flag(command, "--store", "write a folder, of which `train --counts` holds only some rows in memory")
    text = "count on a cluster of Dask, whose workers see the files and the store under the same names"
    options.add_option(command, "--scheduler", text, shown="none", metavar="ADDRESS", type=str)
    options.add_threads(command)
    options.add_quiet(command)


def count(arguments: argparse.Namespace) -> None:
    """Count a text once; `train --counts` can then train on the counts many times."""
    stored = arguments.store or arguments.scheduler is not None
    if not stored:
        check_writable(arguments.output)
    model = new_model(arguments)
    corpus = open_corpus(arguments)
    with ExitStack() as stack:
        counts = model.count(
            corpus,
            memory_limit=arguments.memory_limit,
            progress=stack.enter_context(Progress(arguments, model.epochs)),
            store=arguments.output if stored else None,
            executor=stack.enter_context(cluster(arguments.scheduler)) if arguments.scheduler else None,
        )
        if not stored:
            counts.save(arguments.output)
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


def add_tokens(commands: options.Commands) -> None:
    """Add the command to the parser."""
    keys = "sequences (a list of lists of tokens), ledger; with --top: tokens (a list of token, count), different, "
    keys += "ledger"
    command = options.add_command(commands, "tokens", tokens, example="book.txt --words --head 10", keys=keys)
    add_text(command, required=True)
    text = "print the first N sequences"
    options.add_option(command, "--head", text, shown="all", type=options.positive, metavar="N")
    text = "print the N most frequent tokens and their counts instead"
    options.add_option(command, "--top", text, shown="none", type=options.positive, metavar="N")
    options.add_threads(command)


def tokens(arguments: argparse.Namespace) -> None:
    """Print the tokens of a text as `train` would read them, one sequence per line, or the most frequent ones."""
    if arguments.top:
        options.reject(arguments, ("head",), "--top counts the tokens of the whole text")
    corpus = read_corpus(arguments, arguments.files)
    if arguments.top:
        _print_frequent(arguments, Vocabulary.from_corpus(corpus, 1, threads=arguments.threads))
        return
    ledger = Ledger()
    sequences = islice(corpus.sequences(ledger), arguments.head)
    if arguments.json:
        print_json(arguments, sequences=list(sequences), ledger=ledger)
        return
    for sequence in sequences:
        print_line(" ".join(sequence))


def _print_frequent(arguments: argparse.Namespace, vocabulary: Vocabulary) -> None:
    ledger = vocabulary.ledger
    assert ledger is not None
    found = zip(vocabulary.tokens[: arguments.top], vocabulary.counts.tolist(), strict=False)
    records = [{"token": token, "count": count} for token, count in found]
    if print_json(arguments, tokens=records, different=len(vocabulary), ledger=ledger):
        return
    print_line(f"{ledger.tokens_read:,} tokens in {ledger.units}, {len(vocabulary):,} different ones")
    for record in records:
        print_line(f"  {record['token']:<24}{record['count']:>12,}")


def add_phrases(commands: options.Commands) -> None:
    """Add the command to the parser."""
    keys = "output, phrases, ledger"
    command = options.add_command(commands, "phrases", phrases, example="news.txt -o phrases.txt", keys=keys)
    options.add_output(command, "phrases.txt")
    add_text(command, required=True)
    options.add_parameters(command, Phrases.from_corpus, MIN_COUNT)
    text = "how pairs are scored: by normalised pointwise mutual information, or as by word2vec"
    options.add_option(command, "--scoring", text, "npmi", choices=tuple(THRESHOLDS))
    text, shown = (
        "the least score of a phrase",
        " or ".join(f"{score:g} ({name})" for name, score in THRESHOLDS.items()),
    )
    options.add_option(command, "--min-score", text, shown=shown, type=options.number(), metavar="SCORE")
    text = f"the most words of a phrase, from 2 to {LONGEST}"
    options.add_option(command, "--max-words", text, 4, type=options.positive, metavar="N")
    text = "words that may stand inside a phrase but not at its ends: english, none, or a file with one per line"
    options.add_option(command, "--common", text, "english", type=options.file_name, metavar="english|none|FILE")
    options.add_threads(command)
    options.add_quiet(command)


def phrases(arguments: argparse.Namespace) -> None:
    """Find phrases such as "new york" in a text, for the option --phrases of other commands.

    They are neighbours that occur together more often than their own counts would suggest. The list has one phrase per
    line, with its score, the highest first: look at it, remove its first line, delete and add others. With --phrases
    LIST each is read as one word, new_york.
    """
    check_writable(arguments.output)
    common = None if arguments.common == "none" else open_token_list(arguments.common)
    if arguments.common not in ("none", "english"):
        options.reject_overwriting(arguments, [arguments.common])
    corpus = open_corpus(arguments)
    with Progress(arguments, 0) as progress:
        found = Phrases.from_corpus(
            corpus,
            threshold=arguments.min_score,
            scoring=arguments.scoring,
            max_words=arguments.max_words,
            common=common,
            threads=arguments.threads,
            progress=progress.reading,
            **options.given(arguments, MIN_COUNT),
        )
    found.save(arguments.output)
    what = f"{len(found):,} phrases, such as {' '.join(found.phrases[0])!r}"
    print_written(arguments, what, found.ledger, phrases=len(found), ledger=found.ledger)
