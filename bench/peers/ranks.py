"""What a fit by several processes costs: one rank against none, two ranks against two threads; and projections.

    python bench/peers/ranks.py [--inputs 20000] [--outputs 20000] [--dim 100] [--counts 300] [--rounds 7]

Needs mpi4py and an `mpiexec`. An epoch of one rank has all of the exchange but the network: it is set beside an epoch
without ranks, in CPU time, by turns in one process. Two ranks of one thread each are set beside one process of two
threads, by turns too, in processes of their own, without their start.

The projections are computed, not measured: the time of a block of the sizes named, on all threads of this machine,
divided among machines like this one; and what they tell one another, by the latency and bandwidth of a network.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
from block import random_counts
from rounds import Times, in_units, print_table, save_results, say, with_minima
from scipy import sparse

from fastembed import Trainer
from fastembed._base.threads import Pool
from fastembed.trainer.blocks import BlockFit
from fastembed.trainer.groups import CSRGroups
from fastembed.trainer.options import FitOptions
from fastembed.trainer.parameters import Parameters

EPOCHS = 3  # of a fit, of which the first is not timed
BLOCK = 256
WORDS = 1_000_000
CONTEXTS = (49_152, 1_000_000)
DIMS = (100, 300)
MACHINES = (1, 4, 16)
# (name, seconds of latency, bytes per second)
NETWORKS = (
    ("published", 2.3e-6, 37.23e9 / 8),  # Open MPI on Cisco's usNIC, through a switch; 40 Gbit/s back to back
    ("slow", 50e-6, 10e9 / 8),  # an assumption for TCP
)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--outputs", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--counts", type=int, default=300, help="per row")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # the threads of a process that is timed
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    if args.alone:
        print(json.dumps(by_turns(args)))
        return
    if args.worker:
        print(json.dumps(seconds_of_epochs(args, world() if "OMPI_COMM_WORLD_SIZE" in os.environ else None)))
        return
    found = machine.print_facts("A fit by several processes", "mpi4py")
    say(
        f"V_in = {args.inputs:,}, V = {args.outputs:,}, D = {args.dim}, {args.counts} counts per row,"
        f" blocks of {BLOCK}."
    )
    records = [one_rank(args), two_ranks(args), *projections()]
    save_results("ranks", found, records)


def world() -> object:
    """Return the communicator of all processes."""
    from mpi4py import MPI

    return MPI.COMM_WORLD


def new_trainer(args: argparse.Namespace, threads: int) -> tuple[Trainer, sparse.csr_array]:
    """Return a trainer and its counts."""
    start = Trainer.random(args.inputs, args.dim, output_size=args.outputs, seed=0)
    trainer = Trainer(start.embedding / args.dim, start.linear / args.dim, threads=threads)
    return trainer, random_counts(args.inputs, args.outputs, args.counts)


def seconds_of_epochs(args: argparse.Namespace, comm: object) -> list[float]:
    """Return the seconds of the epochs of a fit but the first; of rank 0."""
    trainer, counts = new_trainer(args, args.worker)
    history = trainer.fit_counts(counts, epochs=EPOCHS, block_size=BLOCK, comm=comm)
    return [record["seconds"] for record in history[1:]]


def one_rank(args: argparse.Namespace) -> dict[str, object]:
    """Compare epochs of one rank with those of none, in CPU time."""
    times = seconds_of(args, ["--alone"], ranks=1)
    return reported(Times(times), "one rank", "none", "CPU time of an epoch on one thread")


def by_turns(args: argparse.Namespace) -> dict[str, list[float]]:
    """Return the CPU times of epochs of one rank and of none, by turns."""
    trainer, counts = new_trainer(args, 1)
    times: dict[str, list[float]] = {"none": [], "one rank": []}
    for _ in range(args.rounds):
        for name, comm in (("none", None), ("one rank", world())):
            times[name].append(cpu_seconds_of_epoch(trainer, counts, comm))
    return times


def cpu_seconds_of_epoch(trainer: Trainer, counts: sparse.csr_array, comm: object) -> float:
    """Return the least CPU time of the epochs of a fit but the first."""
    ends: list[float] = []
    trainer.fit_counts(
        counts,
        epochs=EPOCHS,
        block_size=BLOCK,
        comm=comm,
        on_epoch_end=lambda *_: ends.append(time.process_time()),
    )
    return float(np.diff(ends).min())


def two_ranks(args: argparse.Namespace) -> dict[str, object]:
    """Compare epochs of two ranks of one thread with those of one process of two, by turns."""
    times: dict[str, list[float]] = {"two threads": [], "two ranks": []}
    for _ in range(args.rounds):
        times["two threads"].append(min(seconds_of(args, ["--worker=2"])))
        times["two ranks"].append(min(seconds_of(args, ["--worker=1"], ranks=2)))
    return reported(Times(times), "two ranks", "two threads", "time of an epoch")


def seconds_of(args: argparse.Namespace, flags: list[str], ranks: int = 0) -> Any:
    """Return what this script prints first as a process, or as so many ranks."""
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if mpiexec is None:
        sys.exit("there is no mpiexec: install Open MPI")
    options = [f"--{name}={getattr(args, name)}" for name in ("inputs", "outputs", "dim", "counts", "rounds")]
    command = [*([mpiexec, "-n", str(ranks)] if ranks else []), sys.executable, __file__, *options, *flags]
    as_root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | as_root, text=True)
    return json.loads(done.stdout.splitlines()[0])


def reported(times: Times, slow: str, fast: str, what: str) -> dict[str, object]:
    """Print and return a comparison."""
    ratio = with_minima(times.ratio(slow, fast), times.ratio_of_minima(slow, fast))
    print_table([what, slow, fast, "ratio"], [["", in_units(times.median(slow)), in_units(times.median(fast)), ratio]])
    return {"what": what, "times": dict(times.rounds)}


def seconds_of_block(outputs: int, dim: int, threads: int) -> float:
    """Return the least seconds of a block, of some, on so many threads."""
    blocks, rng = 4, np.random.default_rng(0)
    rows = blocks * BLOCK
    counts = random_counts(rows, outputs, 300)
    linear = rng.standard_normal((dim, outputs), np.float32) / dim
    parameters = Parameters.untrained(np.zeros((rows, dim), np.float32), linear, None)
    del linear
    fit = BlockFit(parameters, CSRGroups(counts), FitOptions(block_size=BLOCK), Pool(threads))
    ends = [time.perf_counter()]
    for epoch in (1, 2):
        fit.epoch(epoch, rng, after_block=lambda: ends.append(time.perf_counter()))
    fit.close()
    return float(np.diff(ends)[1:].min())


def seconds_of_network(machines: int, outputs: int, dim: int, latency: float, bandwidth: float) -> tuple[float, float]:
    """Return the seconds that machines tell one another of a block, and of an epoch beside its blocks.

    Of a block: three doubles per row, from each to all, in log2(machines) steps. Of an epoch: dH to the rank of each
    row, and the rows of the embedding from there to all; the linear layer and its momentum, one machine after another.
    """
    if machines == 1:
        return 0.0, 0.0
    block = math.log2(machines) * latency + (machines - 1) * 3 * 8 * BLOCK / bandwidth
    embedding = 2 * 4 * WORDS * dim * (machines - 1) / machines / bandwidth
    linear = 2 * 4 * outputs * dim / bandwidth
    return block, embedding + linear


def projections() -> list[dict[str, object]]:
    """Compute the seconds of an epoch of WORDS words on several machines."""
    threads, rows, records = os.cpu_count() or 1, [], []
    for outputs in CONTEXTS:
        for dim in DIMS:
            block = seconds_of_block(outputs, dim, threads)
            blocks = -(-WORDS // BLOCK)
            row = [f"{outputs:,}", dim, in_units(block)]
            for machines in MACHINES:
                each = [
                    blocks * (block / machines + of_block) + of_epoch
                    for _, *network in NETWORKS
                    for of_block, of_epoch in [seconds_of_network(machines, outputs, dim, *network)]
                ]
                row.append(" / ".join(f"{seconds:,.0f}" for seconds in (each if machines > 1 else each[:1])))
                records.append({"outputs": outputs, "dim": dim, "machines": machines, "block": block, "epoch": each})
            rows.append(row)
    say(
        f"Computed seconds of an epoch of {WORDS:,} words on machines like this one, on {threads} threads each; with"
        " the published latency and bandwidth / with 50 µs and 10 Gbit/s."
    )
    print_table(["outputs", "D", "block", *(f"{machines} machines" for machines in MACHINES)], rows)
    return records


if __name__ == "__main__":
    main()
