"""The cost of a checkpoint after every epoch: seconds per epoch of `Trainer.fit_counts` with and without one.

    python bench/peers/checkpoint.py [--outputs 33700] [--dim 100] [--counts 1590] [--epochs 3] [--rounds 7]

Each round fits the same counts twice, in turn. An epoch lasts from the end of the previous one to its own end, so the
write after an epoch counts for the next one, during which it runs. The CPU time is that of all threads. One-time costs
are left out: the digest of the counts at the start, and the wait for the last write at the end.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
from block import random_counts
from rounds import Times, in_units, print_table, save_results, say

from fastembed import Trainer

BOUND = 0.02  # of an epoch


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--outputs", type=int, default=33_700)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--counts", type=int, default=1590)
    parser.add_argument("--epochs", type=int, default=3, help="of a fit, at least 2: the first is left out")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="by default one per CPU")
    parser.add_argument("--folder", help="where the checkpoint is written; by default, a temporary one")
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    found = machine.print_facts(f"Checkpoints, float32: {vars(args)}")
    counts = random_counts(args.outputs, args.outputs, args.counts)
    start = Trainer.random(args.outputs, args.dim, seed=0)
    embedding, linear = start.embedding / args.dim, start.linear / args.dim

    def epochs(path: Path | None) -> tuple[float, float]:
        """Return the seconds of an epoch and those of CPUs, in the mean over a fit but for its first one."""
        ends: list[tuple[float, float]] = []
        trainer = Trainer(embedding.copy(), linear, threads=args.threads)
        trainer.fit_counts(
            counts,
            epochs=args.epochs,
            checkpoint=path,
            on_epoch_end=lambda *_: ends.append((time.perf_counter(), time.process_time())),
        )
        wall, cpu = np.diff(ends, axis=0).mean(axis=0).tolist()
        return wall, cpu

    times, size = in_turn(epochs, args.folder, args.rounds)
    say(
        f"V = {args.outputs:,}, D = {args.dim}, {args.counts:,} counts per row; a checkpoint has {size / 1e6:.1f} MB,"
        f" and is written after each epoch. Medians of {args.rounds} rounds; ratios within a round, lowest to highest."
    )
    records = [compared(kind, times, column) for column, kind in enumerate(("wall", "CPU"))]
    print_table(
        ["time", "epoch without", "epoch with", "with / without", "lowest to highest"],
        [
            [
                r["time"],
                in_units(r["without"]),
                in_units(r["with"]),
                f"{r['ratio']:.3f}",
                f"{r['lowest']:.3f} to {r['highest']:.3f}",
            ]
            for r in records
        ],
    )
    held = "holds" if records[0]["ratio"] <= 1 + BOUND else "does not hold"
    say(f"At most {BOUND:.0%} of an epoch: {held}.")
    save_results("checkpoint", found, records)


def in_turn(
    epochs: Callable[[Path | None], tuple[float, float]], folder: str | None, rounds: int
) -> tuple[dict[str, list[tuple[float, float]]], int]:
    """Return the seconds of `epochs` in each round, without a checkpoint and with one, and the bytes of one."""
    times: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name, "checkpoint")
        epochs(None)  # brings everything into memory
        for _ in range(rounds):
            times["without"].append(epochs(None))
            times["with"].append(epochs(path))
            size = path.stat().st_size
            path.unlink()  # the next fit is to begin, not to go on
    return times, size


def compared(kind: str, times: dict[str, list[tuple[float, float]]], column: int) -> dict[str, Any]:
    """Return what is known of one kind of seconds: the medians, and the ratio with its range."""
    of_kind = Times({name: [pair[column] for pair in pairs] for name, pairs in times.items()})
    ratios = [a / b for a, b in zip(of_kind.rounds["with"], of_kind.rounds["without"], strict=True)]
    return {
        "time": kind,
        "without": of_kind.median("without"),
        "with": of_kind.median("with"),
        "ratio": of_kind.ratio("with", "without"),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


if __name__ == "__main__":
    main()
