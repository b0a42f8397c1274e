"""``fastembed tokens``: what would be read."""

from __future__ import annotations

import argparse
from itertools import islice

from fastembed.cli import options, values
from fastembed.cli.arguments import read_corpus, reject
from fastembed.cli.output import print_json, print_line
from fastembed.corpus import FileCorpus, Ledger
from fastembed.vocabulary import Vocabulary


def run(arguments: argparse.Namespace) -> None:
    """Print the tokens of a text as `train` would read them, one sequence per line, or the most frequent ones."""
    if arguments.top:
        reject(arguments, ("head",), "--top counts the tokens of the whole text")
    corpus = read_corpus(arguments, arguments.files)
    if arguments.top:
        _print_frequent(arguments, corpus)
    else:
        _print_sequences(arguments, corpus)


def _print_sequences(arguments: argparse.Namespace, corpus: FileCorpus) -> None:
    ledger = Ledger()
    sequences = islice(corpus.sequences(ledger), arguments.head)
    if arguments.json:
        print_json(arguments, sequences=list(sequences), ledger=ledger)
        return
    for tokens in sequences:
        print_line(" ".join(tokens))


def _print_frequent(arguments: argparse.Namespace, corpus: FileCorpus) -> None:
    vocabulary = Vocabulary.from_corpus(corpus, 1, threads=arguments.threads)
    ledger = vocabulary.ledger
    assert ledger is not None
    found = list(zip(vocabulary.tokens, vocabulary.counts.tolist(), strict=True))[: arguments.top]
    tokens = [{"token": token, "count": count} for token, count in found]
    if print_json(arguments, tokens=tokens, different=len(vocabulary), ledger=ledger):
        return
    print_line(f"{ledger.tokens_read:,} tokens in {ledger.lines:,} lines, {len(vocabulary):,} different ones")
    for token, count in found:
        print_line(f"  {token:<24}{count:>12,}")


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "tokens",
        run,
        example="fastembed tokens book.txt --words --head 10",
        keys="sequences (a list of lists of tokens), ledger; with --top: tokens (a list of token, count), different, "
        "ledger",
    )
    options.add_text(command, required=True)
    text = "print the first N sequences"
    options.add_option(command, "--head", text=text, default=None, shown="all", type=values.positive, metavar="N")
    text = "print the N most frequent tokens and their counts instead"
    options.add_option(command, "--top", text=text, default=None, shown="none", type=values.positive, metavar="N")
    options.add_threads(command)
