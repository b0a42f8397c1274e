"""Phrases: the pairs that this library and gensim's `Phrases` find in the same text, and the time.

    python bench/peers/phrases.py wikipedia.txt --threads 2

The runs of the two alternate, and the fastest of each is shown. Before the times are printed, the pairs are compared.
"""

import argparse
import time
from pathlib import Path

from gensim.models import phrases as peer
from gensim.models.word2vec import LineSentence
from machine import print_facts
from rounds import in_units, print_table, save_results, say

from fastembed._kernels.tokens import TokenTable
from fastembed.corpus import FileCorpus, Ledger, Phrases, Reading
from fastembed.corpus.corpus import map_text

COMMON = sorted(peer.ENGLISH_CONNECTOR_WORDS)
RULES = {"npmi": ("npmi", 0.5), "word2vec": ("default", 100.0)}


def ours(options, scoring, common, max_words, threads):
    """Return our phrases and their scores."""
    threshold = RULES[scoring][1]
    found = Phrases.from_corpus(
        options.file,
        options.min_count,
        threshold,
        scoring=scoring,
        max_words=max_words,
        common=common or None,
        threads=threads,
    )
    return dict(zip(found, found.scores.tolist(), strict=True))


def theirs(options, scoring, common, max_words):
    """Return gensim's phrases; for more than two parts, a second `Phrases` reads the output of the first."""
    text, found = LineSentence(options.file), {}
    for _ in range(1 if max_words == 2 else 2):
        rule, threshold = RULES[scoring]
        model = peer.Phrases(
            text, min_count=options.min_count, threshold=threshold, scoring=rule, connector_words=frozenset(common)
        )
        new = model.export_phrases()
        found |= {tuple(phrase.split("_")): score for phrase, score in new.items()}
        text = model.freeze()[text]
    return found


def compare_reading(options):
    """Return the times of reading the text, split into tokens, with and without its pairs joined."""
    rule, threshold = RULES["npmi"]
    text = LineSentence(options.file)
    frozen = peer.Phrases(text, min_count=options.min_count, threshold=threshold, scoring=rule).freeze()
    phrases = Phrases.from_corpus(options.file, options.min_count, threshold, max_words=2, common=None)
    times, counts = fastest(
        options.repeat,
        plain=lambda: count_tokens(options.file, None, 1),
        one=lambda: count_tokens(options.file, phrases, 1),
        all=lambda: count_tokens(options.file, phrases, options.threads),
        gensim=lambda: sum(map(len, frozen[text])),
    )
    if not counts["plain"] > counts["one"] == counts["all"] == counts["gensim"]:
        raise SystemExit(f"the numbers of tokens differ: {counts}")
    return times


def count_tokens(file, phrases, threads):
    """Split a text into tokens with joined phrases; return their number."""
    ledger = Ledger()

    def count(text, open_line):
        return None, *TokenTable().count(text, open_line)

    corpus = FileCorpus(file, reading=Reading(phrases=phrases))
    for _ in map_text(corpus.chunks(ledger), corpus.reading, count, ledger, threads):
        pass
    return ledger.tokens_read


def fastest(repeat, **calls):
    """Call each in turn, several times; return the shortest time and the result of each."""
    times, results = dict.fromkeys(calls, float("inf")), {}
    for _ in range(repeat):
        for name, call in calls.items():
            start = time.perf_counter()
            results[name] = call()
            times[name] = min(times[name], time.perf_counter() - start)
    return times, results


def compare_finding(options):
    """Return rows of the table of finding phrases."""
    rows, records = [], []
    for scoring, common, max_words, label in (
        ("npmi", [], 2, "pairs"),
        ("npmi", COMMON, 4, "up to four words, common ones inside"),
        ("word2vec", [], 2, "pairs, word2vec's score"),
    ):
        what = (options, scoring, common, max_words)
        times, found = fastest(
            options.repeat,
            one=lambda what=what: ours(*what, 1),
            all=lambda what=what: ours(*what, options.threads),
            gensim=lambda what=what: theirs(*what),
        )
        if found["one"] != found["all"]:
            raise SystemExit("the number of threads changes the result")
        mine, other = set(found["all"]), set(found["gensim"])
        both = len(mine & other)
        records.append({"what": label, "ours": len(mine), "gensim": len(other), "both": both, **times})
        rows.append(
            [
                label,
                f"{len(mine):,}",
                f"{len(other):,}",
                f"{both:,}",
                *map(in_units, times.values()),
                f"{times['gensim'] / times['one']:.1f}",
                f"{times['gensim'] / times['all']:.1f}",
            ]
        )
        print(f"{label}: ours alone {some(mine - other)}; gensim alone {some(other - mine)}")
    return rows, records


def some(phrases):
    """Return a few phrases as text."""
    return ", ".join(" ".join(words) for words in sorted(phrases)[:8]) or "none"


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="a text, one sequence per line")
    parser.add_argument("--min-count", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    facts = print_facts("Phrases", "gensim")
    tokens = count_tokens(options.file, None, 1)
    say(f"{tokens / 1e6:.1f} M tokens, `min_count` {options.min_count}; the fastest of {options.repeat} runs.")
    rows, records = compare_finding(options)
    titles = ["", "ours", "gensim", "both", "ours, 1 thread", f"ours, {options.threads}", "gensim", "ratio, 1 thread"]
    print_table([*titles, f"ratio, {options.threads}"], rows)
    times = compare_reading(options)
    titles = ["reading", "without phrases", "1 thread", f"{options.threads} threads", "gensim", "ratio, 1 thread"]
    print_table(titles, [["the text", *map(in_units, times.values()), f"{times['gensim'] / times['one']:.1f}"]])
    save_results("phrases", facts, [*records, {"reading": times, "file": Path(options.file).name}])


if __name__ == "__main__":
    main()
