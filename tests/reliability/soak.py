"""Trains, asks, saves and loads in a loop, and watches what the process holds: `make soak MINUTES=30`.

After some rounds, in which caches fill, memory must stay within 1 %, and the numbers of open files, of threads and of
files on disk must stay as they are.

The allocator of glibc keeps freed memory in an arena and a cache for each thread. These fill during some hundred
rounds, by 5 % here, while the memory in use stays the same. Both are turned off, to see what the library holds.

    python soak.py [--minutes N] [--warm-up N] [--threads N] [--allowed SHARE]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import hashlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from scipy import sparse

from fastembed import Classifier, Counts, Recommender, SkipGram, Trainer, Vectors, Vocabulary, formats
from fastembed._base.threads import _executor
from fastembed.corpus import FileCorpus, Phrases, Reading

MORE_THREADS = 4  # that may not be idle yet
ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0"}


def one_round(folder: Path, threads: int) -> str:
    """Do the work of a service in a day; return a hash of the results, which must be the same every time."""
    text = folder / "text.txt"
    model = SkipGram(dim=20, min_count=1, epochs=2, threads=threads, early_stopping=True, validation_fraction=0.1)
    model.fit(text)
    rows = FileCorpus([folder / "rows.jsonl"], field="text")
    model.partial_fit(rows)
    model.save(folder / "model.safetensors")
    again = SkipGram.load(folder / "model.safetensors", threads=threads)
    again.predict_output("w1")
    again.perplexity(text)
    again.transform(["w1 w2", "w3 unknown"])
    for form in formats.FORMATS.values():
        if form.library is None and form.suffixes:
            path = folder / f"vectors{form.suffixes[0]}"
            again.vectors.save(path)
            Vectors.load(path).most_similar("w2", topn=5)
    vocabulary = Vocabulary.from_corpus(text, min_count=2, threads=threads)
    vocabulary.save(folder / "vocabulary.txt")
    counts = Counts.from_corpus(text, vocabulary, window=3, threads=threads, memory_limit=1_000_000)
    counts.save(folder / "counts.safetensors")
    Counts.load(folder / "counts.safetensors")
    Phrases.from_corpus(text, min_count=50, threshold=-1.0, threads=threads).save(folder / "phrases.txt")
    corpus = FileCorpus([folder / "rows.jsonl"], reading=Reading(words=True), field="text")
    Vocabulary.from_corpus(corpus, min_count=1, threads=threads)
    trainer = Trainer.random(50, 10, seed=0, threads=threads)
    trainer.fit_counts(sparse.csr_array(np.arange(2500.0).reshape(50, 50) % 3), epochs=2)
    trainer.train(np.arange(50), update_linear=True)
    lines = text.read_text(encoding="utf-8").splitlines()[:100]
    labels, baskets = [len(line) % 3 for line in lines], [line.split() for line in lines]
    Classifier(epochs=2, tol=1, threads=threads).fit(lines, labels).save(folder / "labels.safetensors")
    probabilities = Classifier.load(folder / "labels.safetensors", threads=threads).predict_proba(lines)
    Recommender(dim=4, epochs=2, threads=threads).fit(baskets).save(folder / "items.safetensors")
    rows = Recommender.load(folder / "items.safetensors", threads=threads).transform(baskets)
    for bad in ("nowhere.txt", folder):
        with suppress(OSError, ValueError):
            Vectors.load(bad)
    return hashlib.sha256(b"".join([model.vectors.matrix, trainer.embedding, probabilities, rows])).hexdigest()


def write_texts(folder: Path) -> None:
    texts = [" ".join(f"w{i}" for i in line) for line in np.random.default_rng(0).zipf(1.4, (2000, 12)).clip(max=500)]
    (folder / "text.txt").write_text("\n".join(texts), encoding="utf-8")
    rows = [json.dumps({"text": text}) + "\n" for text in texts[:300]]
    (folder / "rows.jsonl").write_text("".join(rows), encoding="utf-8")


def resident_bytes() -> int:
    """Return the memory of this process, after free memory has been returned to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """Return how many files this process has open, the one that lists them included."""
    return len(list(Path("/proc/self/fd").iterdir()))


def main() -> int:
    parser = argparse.ArgumentParser(description="Train, ask, save and load in a loop, and watch the process.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--warm-up", type=int, default=400, help="rounds before the first look")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allowed", type=float, default=0.01, help="growth of the memory, as a share")
    arguments = parser.parse_args()
    if not ALLOCATOR.items() <= os.environ.items():  # read when a process starts
        os.execve(sys.executable, [sys.executable, "-P", *sys.argv], os.environ | ALLOCATOR)
    looks: list[tuple[int, int, int, int]] = []  # memory, open files, busy threads, files on disk
    results = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TMPDIR"] = name
        tempfile.tempdir = name
        write_texts(folder)
        for _ in range(arguments.warm_up):
            results.add(one_round(folder, arguments.threads))
        begin = shown = time.monotonic()
        while not looks or time.monotonic() < begin + 60 * arguments.minutes:
            results.add(one_round(folder, arguments.threads))
            busy = threading.active_count() - _executor.value._idle_semaphore._value
            looks.append((resident_bytes(), open_files(), busy, len(list(folder.iterdir()))))
            if time.monotonic() > shown + 60:
                shown = time.monotonic()
                minutes = (shown - begin) / 60
                print(f"{minutes:.0f} minutes, round {len(looks)}: {looks[-1][0] / 1e6:.1f} MB", flush=True)
    memory = [look[0] for look in looks]
    part = max(1, len(memory) // 10)
    first, last = statistics.median(memory[:part]), statistics.median(memory[-part:])
    growth = last / first - 1
    print(
        f"{(time.monotonic() - begin) / 60:.1f} minutes, {len(looks)} rounds: from {first / 1e6:.1f} to"
        f" {last / 1e6:.1f} MB ({growth:+.2%}; medians of the first and the last tenth), at most"
        f" {max(memory) / 1e6:.1f} MB"
    )
    steady = True
    for name, column, more in (("open files", 1, 0), ("busy threads", 2, MORE_THREADS), ("files on disk", 3, 0)):
        seen = sorted({look[column] for look in looks})
        steady &= looks[-1][column] <= looks[0][column] + more
        print(f"{name}: {looks[0][column]} in the first round, {looks[-1][column]} in the last, {seen} in all")
    print("results: all the same" if len(results) == 1 else f"{len(results)} different results")
    return not (growth <= arguments.allowed and steady and len(results) == 1)


if __name__ == "__main__":
    sys.exit(main())
