"""``fastembed phrases``: the collocations of a text."""

from __future__ import annotations

import argparse

from fastembed.cli import options, values
from fastembed.cli.arguments import open_corpus, open_token_list, reject_overwriting
from fastembed.cli.output import print_written
from fastembed.cli.progress import Progress
from fastembed.corpus import Phrases
from fastembed.corpus.phrases import THRESHOLDS
from fastembed.corpus.reading import LONGEST
from fastembed.formats.atomic import check_writable


def run(arguments: argparse.Namespace) -> None:
    """Find phrases such as "new york" in a text, for the option --phrases of other commands.

    They are neighbours that occur together more often than their own counts would suggest. The list has one phrase per
    line, with its score, the highest first: look at it, delete and add lines. With --phrases LIST each is read as one
    word, new_york.
    """
    check_writable(arguments.output)
    common = None if arguments.common == "none" else open_token_list(arguments.common)
    if arguments.common not in ("none", "english"):
        reject_overwriting(arguments, [arguments.common])
    with Progress.of(arguments, 0) as progress:
        phrases = Phrases.from_corpus(
            open_corpus(arguments),
            getattr(arguments, "min_count", options.DEFAULTS["min_count"]),
            arguments.min_score,
            scoring=arguments.scoring,
            max_words=arguments.max_words,
            common=common,
            threads=arguments.threads,
            progress=progress.reading,
        )
    phrases.save(arguments.output)
    what = f"{len(phrases):,} phrases, such as {' '.join(phrases.phrases[0])!r}"
    print_written(arguments, what, phrases.ledger, phrases=len(phrases), ledger=phrases.ledger)


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "phrases",
        run,
        example="fastembed phrases news.txt -o phrases.txt",
        keys="output, phrases, ledger",
    )
    options.add_output(command, "phrases.txt")
    options.add_text(command, required=True)
    options.add_min_count(command)
    text = "how pairs are scored: by normalised pointwise mutual information, or as by word2vec"
    options.add_option(command, "--scoring", text=text, default="npmi", choices=tuple(THRESHOLDS))
    shown = " or ".join(f"{value:g} ({name})" for name, value in THRESHOLDS.items())
    text = "the least score of a phrase"
    read = values.number()
    options.add_option(command, "--min-score", text=text, default=None, shown=shown, type=read, metavar="SCORE")
    text = f"the most words of a phrase, from 2 to {LONGEST}"
    options.add_option(command, "--max-words", text=text, default=4, type=values.positive, metavar="N")
    text = "words that may stand inside a phrase but not at its ends: english, none, or a file with one per line"
    options.add_option(
        command, "--common", text=text, default="english", type=values.file_name, metavar="english|none|FILE"
    )
    options.add_threads(command)
    options.add_quiet(command)
