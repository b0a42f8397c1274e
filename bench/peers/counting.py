"""From a text file to counts: this library, then Counter, NumPy and SciPy, then gensim's scan of the vocabulary.

    python bench/peers/counting.py wikipedia.txt --min-count 20 --window 5 --threads 2

Every run has its own process, so that peak memory is measured per run. The fastest run of each kind is shown, after the
counts of both have been compared.
"""

import argparse
import importlib.util
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from machine import print_facts
from rounds import in_units, print_table, save_results, say
from scipy import sparse

from fastembed.corpus.chunks import read_chunks
from fastembed.corpus.sources import find_files
from fastembed.counts import Counts
from fastembed.vocabulary import Vocabulary

IMPORTED = time.process_time()


def ours(options, times=1):
    """Count with this library; min_count grows with the repetitions of the text, so the same tokens are kept."""
    files = [Path(options.file)] * times
    start = time.perf_counter()
    vocabulary = Vocabulary.from_corpus(files, options.min_count * times, threads=options.threads)
    read = time.perf_counter()
    counts = Counts.from_corpus(files, vocabulary, window=options.window, threads=options.threads)
    seconds = time.perf_counter() - start
    size = 12 * counts.nnz + 8 * len(vocabulary)
    return measured(seconds, read - start, counts.nnz, counts.total, size) | {"tokens": counts.ledger.tokens_read}


def peer(options):
    """Count with Counter, NumPy and SciPy: a pass for the vocabulary, one for the ids, then one matrix per distance."""
    start = time.perf_counter()
    found = Counter()
    with Path(options.file).open(encoding="utf-8") as text:
        for line in text:
            found.update(line.split())
    tokens = sorted((token for token, n in found.items() if n >= options.min_count), key=lambda t: (-found[t], t))
    read = time.perf_counter()
    ids_of = {token: i for i, token in enumerate(tokens)}
    lines = []
    with Path(options.file).open(encoding="utf-8") as text:
        for line in text:
            lines.append(np.array([ids_of[token] for token in line.split() if token in ids_of], dtype=np.int32))
    ids = np.concatenate(lines)
    sequence = np.repeat(np.arange(len(lines), dtype=np.int32), [len(line) for line in lines])
    shape = (len(tokens), len(tokens))
    after = sparse.csr_array(shape)
    for distance in range(1, options.window + 1):
        same = sequence[:-distance] == sequence[distance:]
        weights = np.full(np.count_nonzero(same), (options.window - distance + 1) / options.window)
        pairs = (ids[:-distance][same], ids[distance:][same])
        after = after + sparse.coo_array((weights, pairs), shape=shape).tocsr()
    counts = (after + after.T).tocsr()
    seconds = time.perf_counter() - start
    size = counts.data.nbytes + counts.indices.nbytes + counts.indptr.nbytes
    return measured(seconds, read - start, counts.nnz, counts.sum(), size)


def gensim(options):
    """Scan the vocabulary with gensim."""
    from gensim.models import Word2Vec

    model = Word2Vec(min_count=options.min_count, workers=options.threads)
    start = time.perf_counter()
    model.build_vocab(corpus_file=options.file)
    seconds = time.perf_counter() - start
    return measured(seconds, seconds, 0, 0.0, 0)


def measured(seconds, reading, nnz, total, size):
    """Return the record of a run."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "seconds": seconds,
        "cpu": time.process_time() - IMPORTED,
        "vocabulary": reading,
        "nnz": nnz,
        "total": float(total),
        "size": size,
        "peak": peak,
    }


KINDS = {"ours": ours, "ours, 4 times the text": lambda options: ours(options, 4), "peer": peer, "gensim": gensim}

LABELS = {
    "ours": "`Vocabulary` and `Counts.from_corpus`",
    "ours, 4 times the text": "the same, the text four times",
    "peer": "Counter, NumPy and SciPy",
    "gensim": "gensim, scan of the vocabulary alone",
}


def run(kind, arguments, repeat):
    """Return the fastest of `repeat` runs, each in a process of its own."""
    command = [sys.executable, __file__, *arguments, "--kind", kind]
    records = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(repeat)]
    return min(records, key=lambda record: record["seconds"])


def unpacked(path, folder):
    """Return a plain text file, for the peers."""
    if Path(path).suffix not in (".gz", ".bz2", ".xz", ".zst"):
        return path
    plain = Path(folder, "text")
    with plain.open("wb") as file:
        file.writelines(chunk.text for source in find_files(path) for chunk in read_chunks(source))
    return str(plain)


def show(results, options):
    """Print the machine and the table, and save them."""
    facts = print_facts("From a text to counts", *(["gensim"] if "gensim" in results else []))
    base = results["ours"]
    say(
        f"{base['tokens'] / 1e6:.1f} M tokens, `min_count` {options.min_count}, window {options.window}, linear"
        f" weights, {options.threads} threads; the fastest of {options.repeat} runs, each a process of its own."
    )
    rows = []
    for kind, record in results.items():
        size = record["size"]
        ratio = record["seconds"] / (base["vocabulary"] if kind == "gensim" else base["seconds"])
        rows.append(
            [
                LABELS[kind],
                in_units(record["vocabulary"]),
                in_units(record["seconds"]),
                in_units(record["cpu"]),
                f"{ratio:.1f}",
                f"{record['peak'] / 1e6:,.0f} MB",
                f"{record['peak'] / size:.1f}" if size else "",
            ]
        )
    matrix = f"/ the matrix of {base['size'] / 1e6:.0f} MB"
    print_table(["", "vocabulary", "all", "CPU time", "time / ours", "peak memory", matrix], rows)
    say(
        f"That is {base['tokens'] / base['seconds'] / 1e6:.1f} M tokens per second for both passes together, and"
        f" {base['nnz']:,} counts."
        + (" gensim scans the vocabulary only; its ratio is to our vocabulary." if "gensim" in results else "")
    )
    save_results("counting", facts, [{"kind": kind, **record} for kind, record in results.items()])


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="a text, one sequence per line")
    parser.add_argument("--min-count", type=int, default=20)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        print(json.dumps(KINDS[options.kind](options)))
        return
    folder = tempfile.mkdtemp()
    try:
        arguments = [unpacked(options.file, folder), *(a for a in sys.argv[1:] if a != options.file)]
        missing = {"gensim"} if importlib.util.find_spec("gensim") is None else set()
        results = {kind: run(kind, arguments, options.repeat) for kind in KINDS if kind not in missing}
    finally:
        shutil.rmtree(folder)
    for name in ("nnz", "total"):
        if not np.isclose(results["ours"][name], results["peer"][name], rtol=1e-9):
            raise SystemExit(f"the counts differ in {name}: {results['ours'][name]} and {results['peer'][name]}")
    show(results, options)


if __name__ == "__main__":
    main()
