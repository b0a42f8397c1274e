"""Counting the tokens of a text file: split at spaces, as words, and by a regular expression.

    python bench/peers/reading.py wikipedia.txt

The ways to read take turns; the ratio is the median over the rounds of the ratio to splitting at spaces in that round.
The pattern, which is slow, is timed in the first round alone.
"""

import argparse
import statistics
import time
from pathlib import Path

from machine import print_facts
from rounds import print_table

from fastembed.corpus import FileCorpus, Reading
from fastembed.vocabulary import Vocabulary

WAYS = {
    "at spaces": {},
    "words": {"words": True},
    "words, digits as shapes": {"words": True, "digits": "shape"},
    "words of paragraphs": {"words": True, "unit": "paragraph"},
    "words of sentences": {"words": True, "unit": "sentence"},
    r"lowercase, pattern \w+": {"lowercase": True, "token_pattern": r"\w+"},
}


def seconds(path, options, threads):
    """Return the time of one count, and the vocabulary."""
    corpus = FileCorpus(path, reading=Reading(**options))
    start = time.perf_counter()
    vocabulary = Vocabulary.from_corpus(corpus, threads=threads)
    return time.perf_counter() - start, vocabulary


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print_facts("Counting tokens")
    rows = []
    for threads in options.threads:
        times = {way: [] for way in WAYS}
        ledgers = {}
        for number in range(options.rounds + 1):
            for way, how in WAYS.items():
                if number == 1 or "token_pattern" not in how:
                    taken, vocabulary = seconds(options.file, how, threads)
                    ledgers[way] = vocabulary.ledger
                    if number:  # the first round brings the file into memory
                        times[way].append(taken)
        for way in WAYS:
            ratios = [taken / base for taken, base in zip(times[way], times["at spaces"], strict=False)]
            rows.append((way, threads, f"{min(times[way]):.3f}", f"{statistics.median(ratios):.2f}", ledgers[way]))
    print_table(
        ("tokens", "threads", "seconds", "ratio", "tokens read", "sequences"),
        [(*row, f"{ledger.tokens_read:,}", f"{ledger.lines:,}") for *row, ledger in rows],
    )


if __name__ == "__main__":
    main()
