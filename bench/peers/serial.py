"""What threads cannot share in an epoch of `fit_counts`, and in counting: the bound on the gain of many cores.

    python bench/peers/serial.py [--outputs 33700] [--dim 100] [--counts 1590] [--block 256] [--file TEXT]

Of an epoch, the leading thread alone makes the merge of the shards, opens the phases, and runs the Python between two
blocks and two epochs. Each is timed alone, and set beside the epoch on one thread, in CPU time. Of counting, one thread
reads the text; it is timed on TEXT. The gains are projections by Amdahl's law: nothing here ran on that many cores, and
memory, caches and clocks, which cores share, are left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
from block import parts_of_a_block, random_counts
from rounds import in_units, print_table, save_results, say
from scipy import sparse

from fastembed import Trainer
from fastembed._base.threads import Pool
from fastembed.corpus import FileCorpus, Ledger
from fastembed.counts import Counts
from fastembed.trainer.snapshot import Snapshot
from fastembed.vocabulary import Vocabulary

CORES = (8, 16, 32, 64)


def least(call: Callable[[], object], times: int) -> float:
    """Return the least seconds of CPU time of a call."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def seconds_between_blocks() -> float:
    """Return the seconds of a step with next to no work on one thread: Python, and opening phases."""
    rows = 20_000
    counts = sparse.csr_array((np.ones(rows), (np.arange(rows), np.zeros(rows, int))), (rows, 1025))
    trainer = Trainer.random(rows, 1, output_size=1025, seed=0, threads=1)
    return seconds_of_epoch(trainer, counts, block_size=1, epochs=5) / rows


def seconds_of_epoch(trainer: Trainer, counts: sparse.csr_array, block_size: int, epochs: int) -> float:
    """Return the least CPU time of an epoch, without the set-up."""
    ends: list[float] = []
    trainer.fit_counts(
        counts, epochs=epochs + 1, block_size=block_size, on_epoch_end=lambda *_: ends.append(time.process_time())
    )
    return float(np.diff(ends).min())


def epoch_records(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the serial parts of an epoch, each with its seconds in one."""
    counts = random_counts(args.outputs, args.outputs, args.counts)
    start = Trainer.random(args.outputs, args.dim, seed=0)
    trainer = Trainer(start.embedding / args.dim, start.linear / args.dim, threads=1)
    epoch = seconds_of_epoch(trainer, counts, args.block, args.rounds)
    blocks = -(-args.outputs // args.block)
    merge = parts_of_a_block(args.outputs, args.dim, counts, args.block)["merge"]
    rng = np.random.default_rng(0)
    tiny = Snapshot({"embedding": np.zeros((4, 4))}, Pool(1))
    parts = {
        "merge of the shards": merge * blocks,
        "Python between blocks, opening phases": seconds_between_blocks() * blocks,
        "order of the rows": least(lambda: rng.permutation(args.outputs), 5),
        "snapshot at the end, but for its tasks": least(lambda: (tiny.fault(), tiny.take()), 5),
    }
    serial = sum(parts.values())
    say(f"An epoch on one thread: {in_units(epoch)}, {blocks} blocks. Alone on the leading thread:")
    print_table(["part", "in an epoch", "share"], [[n, in_units(s), f"{s / epoch:.3%}"] for n, s in parts.items()])
    return [{"what": "an epoch of fit_counts", "one thread": epoch, "serial": serial}]


def counting_records(file: Path) -> list[dict[str, Any]]:
    """Return the reader's part of counting a text."""
    size = file.stat().st_size

    def read() -> None:
        for _ in FileCorpus(file).blocks(Ledger()):
            pass

    def count() -> None:
        vocabulary = Vocabulary.from_corpus(file, 20, threads=1)
        Counts.from_corpus(file, vocabulary, window=5, threads=1)

    reading, counting = 2 * least(read, 3), least(count, 2)  # read for the vocabulary, and again for the counts
    say(
        f"Reading {size / 1e6:.0f} MB of text, in the cache of the system, twice: {in_units(reading)},"
        f" {reading / size * 1e9:.2f} s per GB of text; counting it on one thread {in_units(counting)}."
    )
    return [{"what": "counting", "one thread": counting, "serial": reading}]


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--outputs", type=int, default=33_700)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--counts", type=int, default=1590)
    parser.add_argument("--block", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--file", type=Path, help="a text, to time the reader of counting")
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    found = machine.print_facts(f"Serial shares, float32: {vars(args)}")
    records = epoch_records(args)
    if args.file:
        records += counting_records(args.file)
    for record in records:
        record["share"] = share = record["serial"] / record["one thread"]
        record["gain"] = {n: 1 / (share + (1 - share) / n) for n in CORES}
    say("The gain that the serial share allows: a projection by Amdahl's law, not a measurement.")
    print_table(
        ["", "serial share", *(f"{n} cores" for n in CORES)],
        [[r["what"], f"{r['share']:.3%}", *(f"{gain:.1f}" for gain in r["gain"].values())] for r in records],
    )
    save_results("serial", found, records)


if __name__ == "__main__":
    main()
