"""The cost of a fit by several processes: two ranks against two threads; and projections.

    python bench/peers/ranks.py [--inputs 20000] [--outputs 20000] [--dim 100] [--counts 300] [--rounds 5]

Needs mpi4py and an `mpiexec`. Two ranks of one thread each are compared with one process of two threads, alternating.
CPU time is that of all processes, without waits in calls of MPI, which poll.

The projections are computed, not measured: the CPU time of a block on one thread, divided among the cores of all
machines, plus the communication, by the latency and bandwidth of a network.
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

from fastembed import Trainer
from fastembed._base.threads import Pool
from fastembed.counts.store import grouped
from fastembed.trainer.blocks import BlockSteps
from fastembed.trainer.data import FitData, FitOptions
from fastembed.trainer.parameters import Parameters
from fastembed.trainer.run import Run

EPOCHS = 3  # epochs per fit; the first is not timed
BLOCK = 256
WORDS = 1_000_000
CONTEXTS = (49_152, 1_000_000)
DIMS = (100, 300)
MACHINES = (1, 4, 16)
CORES = 16  # cores per machine in the projections
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
    parser.add_argument("--rounds", type=int, default=5)
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    parser.add_argument("--mpiexec", default=shutil.which("mpiexec", path=beside))
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # the threads of a process that is timed
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    if args.worker:
        print(json.dumps(seconds_of_epochs(args, args.worker, ranks="OMPI_COMM_WORLD_SIZE" in os.environ)))
        return
    found = machine.print_facts("A fit by several processes", "mpi4py")
    say(
        f"V_in = {args.inputs:,}, V = {args.outputs:,}, D = {args.dim}, {args.counts} counts per row,"
        f" blocks of {BLOCK}."
    )
    records = [two_ranks(args), *projections()]
    save_results("ranks", found, records)


class Timed:
    """The communicator of all processes, which times its calls and records the ends of epochs.

    Attributes
    ----------
    ends : list of (float, float)
        The times at which rank 0 announced whether to continue: wall time, and CPU time of this process outside of MPI.
    """

    def __init__(self) -> None:
        from mpi4py import MPI

        self._comm, self._inside, self.ends = MPI.COMM_WORLD, 0.0, []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._comm, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return method(*arguments, **options)
            finally:
                self._inside += time.thread_time() - began
                if name == "bcast":
                    self.ends.append((time.perf_counter(), time.process_time() - self._inside))

        return timed


def seconds_of_epochs(args: argparse.Namespace, threads: int, *, ranks: bool) -> tuple[float, float]:
    """Return the lowest seconds and CPU time of an epoch of a fit after the first, over all ranks."""
    start = Trainer.random(args.inputs, args.dim, output_size=args.outputs, seed=0)
    trainer = Trainer(start.embedding / args.dim, start.linear / args.dim, threads=threads)
    comm = Timed() if ranks else None
    ends: list[tuple[float, float]] = []
    trainer.fit_counts(
        random_counts(args.inputs, args.outputs, args.counts),
        epochs=EPOCHS,
        block_size=BLOCK,
        comm=comm,
        on_epoch_end=lambda *_: ends.append((time.perf_counter(), time.process_time())),
    )
    if comm is not None:
        ends = comm.ends[-EPOCHS - 1 : -1]  # the last one tells all the records
    wall, cpu = np.diff(ends, axis=0).min(axis=0).tolist()
    return wall, cpu if comm is None else sum(comm.allgather(cpu))


def two_ranks(args: argparse.Namespace) -> dict[str, Any]:
    """Compare epochs of two ranks of one thread with those of one process of two, by turns."""
    times: dict[str, list[tuple[float, float]]] = {"two threads": [], "two ranks": []}
    for _ in range(args.rounds):
        times["two threads"].append(seconds_of(args, ["--worker=2"]))
        times["two ranks"].append(seconds_of(args, ["--worker=1"], ranks=2))
    return reported(times, "two ranks", "two threads")


def seconds_of(args: argparse.Namespace, flags: list[str], ranks: int = 0) -> Any:
    """Return the first output of this script as a process, or as a number of ranks."""
    if args.mpiexec is None:
        sys.exit("there is no mpiexec: install Open MPI, or name one by --mpiexec")
    options = [f"--{name}={getattr(args, name)}" for name in ("inputs", "outputs", "dim", "counts", "rounds")]
    command = [*([args.mpiexec, "-n", str(ranks)] if ranks else []), sys.executable, __file__, *options, *flags]
    as_root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | as_root, text=True)
    return json.loads(done.stdout.splitlines()[0])


def reported(times: dict[str, list[tuple[float, float]]], slow: str, fast: str) -> dict[str, Any]:
    """Print and return a comparison."""
    rows = []
    for k, what in enumerate(("by the clock", "CPU time")):
        of_kind = Times({name: [each[k] for each in values] for name, values in times.items()})
        ratio = with_minima(of_kind.ratio(slow, fast), of_kind.ratio_of_minima(slow, fast))
        rows.append([what, in_units(of_kind.median(slow)), in_units(of_kind.median(fast)), ratio])
    print_table(["an epoch", slow, fast, "ratio"], rows)
    return {"times": times}


def seconds_of_block(outputs: int, dim: int) -> float:
    """Return the lowest CPU time of a block on one thread."""
    rows, rng = 3 * BLOCK, np.random.default_rng(0)
    linear = np.full((dim, outputs), 1 / dim, np.float32)
    parameters = Parameters.untrained(rng.standard_normal((rows, dim), np.float32), linear, None)
    del linear
    data = FitData(grouped(random_counts(rows, outputs, 300)))
    fit = BlockSteps(parameters, data, FitOptions(block_size=BLOCK), Run(Pool(1)))
    seconds: list[float] = []
    for epoch in (1, 2):
        begin = time.process_time()
        fit.epoch(epoch, rng)
        seconds.append((time.process_time() - begin) / fit.blocks_per_epoch)
    return min(seconds)


def seconds_of_network(machines: int, outputs: int, dim: int, latency: float, bandwidth: float) -> tuple[float, float]:
    """Return the seconds of communication per block, and per epoch in addition to its blocks.

    Per block: three doubles per row, from each to all, in log2(machines) steps. Per epoch: dH to the rank of each row,
    and the rows of the embedding from there to all; the linear layer and its momentum, one machine after another.
    """
    if machines == 1:
        return 0.0, 0.0
    block = math.log2(machines) * latency + (machines - 1) * 3 * 8 * BLOCK / bandwidth
    embedding = 2 * 4 * WORDS * dim * (machines - 1) / machines / bandwidth
    linear = 2 * 4 * outputs * dim / bandwidth
    return block, embedding + linear


def projections() -> list[dict[str, Any]]:
    """Compute the seconds of an epoch of WORDS words on several machines."""
    rows: list[list[object]] = []
    records: list[dict[str, Any]] = []
    for outputs in CONTEXTS:
        for dim in DIMS:
            block = seconds_of_block(outputs, dim)
            blocks = -(-WORDS // BLOCK)
            row = [f"{outputs:,}", dim, in_units(block)]
            for machines in MACHINES:
                each = [
                    blocks * (block / CORES / machines + of_block) + of_epoch
                    for _, *network in NETWORKS
                    for of_block, of_epoch in [seconds_of_network(machines, outputs, dim, *network)]
                ]
                row.append(" / ".join(f"{seconds:,.0f}" for seconds in (each if machines > 1 else each[:1])))
                records.append({"outputs": outputs, "dim": dim, "machines": machines, "block": block, "epoch": each})
            rows.append(row)
    say(
        f"Computed seconds of an epoch of {WORDS:,} words on machines of {CORES} cores that work like one of this"
        " machine; with the published latency and bandwidth / with 50 µs and 10 Gbit/s."
    )
    print_table(["outputs", "D", "block, one core", *(f"{machines} machines" for machines in MACHINES)], rows)
    return records


if __name__ == "__main__":
    main()
