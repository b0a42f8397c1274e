"""Blocks of examples with the full softmax, both layers trained: `Trainer.fit_counts` against PyTorch.

    python bench/peers/torch_softmax.py [--outputs 50000] [--dim 100] [--batch 512] [--threads 1 2]

PyTorch: Embedding(sparse=True), Linear(bias=False), CrossEntropyLoss, SGD. Ours: the same examples as counts, one
target per row, with the row-wise Adagrad and momentum of fit_counts. Speed is measured in turns in one process;
the growth of memory in a fresh process each, from the parameters in place to the peak of a few batches.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from contestants import TorchStep
from numpy.typing import NDArray
from rounds import compete, print_table, save_results, say, with_minima
from scipy import sparse
from threadpoolctl import threadpool_limits

from fastembed import Trainer

BATCHES = 4  # per call of a contestant
STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")


def parameters(outputs: int, dim: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return an embedding and a linear layer (D, V) with logits of size one."""
    rng = np.random.default_rng(0)
    embedding = rng.standard_normal((outputs, dim), np.float32) / np.float32(np.sqrt(dim))
    return embedding, rng.standard_normal((dim, outputs), np.float32)


def examples(outputs: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return distinct inputs, and targets."""
    rng = np.random.default_rng(1)
    return rng.permutation(outputs)[:count], rng.integers(0, outputs, count)


def torch_call(outputs: int, dim: int, batch: int, threads: int) -> Callable[[], list[float]]:
    """Return a call that trains BATCHES batches with PyTorch and returns their losses."""
    torch.set_num_threads(threads)
    model = TorchStep(*parameters(outputs, dim), update_linear=True, learning_rate=0.1)
    inputs, targets = (ids.reshape(BATCHES, batch) for ids in examples(outputs, BATCHES * batch))
    return lambda: [model.batch(i, t) for i, t in zip(inputs, targets, strict=True)]


def our_call(
    outputs: int, dim: int, batch: int, threads: int, settings: dict[str, int]
) -> Callable[[], list[dict[str, float]]]:
    """Return a call that trains the same examples with fit_counts and returns its history."""
    trainer = Trainer(*parameters(outputs, dim), threads=threads)
    inputs, targets = examples(outputs, BATCHES * batch)
    counts = sparse.csr_array((np.ones(len(inputs)), (inputs, targets)), (outputs, outputs))
    return lambda: trainer.fit_counts(counts, epochs=1, **settings)


def our_settings(batch: int) -> dict[str, dict[str, int]]:
    """Return the settings of fit_counts to run: its defaults, and PyTorch's batch."""
    return {"fastembed": {}, f"fastembed, {batch} rows": {"block_size": batch}}


def contestant(name: str, outputs: int, dim: int, batch: int, threads: int) -> Callable[[], Any]:
    """Return a contestant by its name."""
    if name == "PyTorch":
        return torch_call(outputs, dim, batch, threads)
    return our_call(outputs, dim, batch, threads, our_settings(batch)[name])


def memory_status(field: str) -> int:
    """Return a figure of /proc/self/status, in bytes."""
    lines = (line.split() for line in STATUS.read_text(encoding="utf-8").splitlines())
    return next(int(words[1]) * 1024 for words in lines if words[0] == field + ":")


def print_memory_growth(name: str, outputs: int, dim: int, batch: int, threads: int) -> None:
    """Print by how many bytes a contestant's peak exceeds the memory before its first batch.

    Linux records the peak and allows a reset before the first batch. (ru_maxrss cannot be reset: the peak during the
    creation of the parameters, or that of the parent process, would hide the growth.)
    """
    with threadpool_limits(threads, user_api="blas"):
        call = contestant(name, outputs, dim, batch, threads)
        before = memory_status("VmRSS")
        RESET_PEAK.write_text("5", encoding="utf-8")
        call()
        print(memory_status("VmHWM") - before)


def memory_growth(name: str, outputs: int, dim: int, batch: int, threads: int) -> int:
    """Return the number that `print_memory_growth` prints in a separate process."""
    sizes = map(str, (outputs, dim, batch, threads))
    command = [sys.executable, __file__, "--growth", name, *sizes]
    return int(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)


def check_same_start(outputs: int, dim: int, batch: int) -> None:
    """Stop unless both see the same loss in a first batch."""
    theirs = torch_call(outputs, dim, batch, 1)()[0]
    trainer = Trainer(*parameters(outputs, dim), threads=1)
    inputs, targets = (ids[:batch] for ids in examples(outputs, BATCHES * batch))
    counts = sparse.csr_array((np.ones(batch), (inputs, targets)), (outputs, outputs))
    ours = trainer.fit_counts(counts, epochs=1, learning_rate=0, linear_learning_rate=0)[0]["nll"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def speed(outputs: int, dim: int, batch: int, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Return the examples per second of each contestant and its ratio to PyTorch."""
    names = ["PyTorch", *our_settings(batch)]
    with threadpool_limits(threads, user_api="blas"):
        calls = {name: contestant(name, outputs, dim, batch, threads) for name in names}
        times = compete(calls, rounds=rounds, seconds=0, units=dict.fromkeys(names, BATCHES * batch))
    return [
        {
            "threads": threads,
            "name": name,
            "V": outputs,
            "examples per second": 1 / times.median(name),
            "ratio": times.ratio("PyTorch", name),
            "ratio of minima": times.ratio_of_minima("PyTorch", name),
        }
        for name in names
    ]


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--outputs", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--growth", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    if args.growth:
        name, *sizes = args.growth
        print_memory_growth(name, *map(int, sizes))
        return
    found = machine.print_facts(f"Full softmax in batches, float32: V={args.outputs:,}, D={args.dim}", "torch")
    check_same_start(args.outputs, args.dim, args.batch)
    records = [r for n in args.threads for r in speed(args.outputs, args.dim, args.batch, n, args.rounds)]
    say("Ratio to PyTorch: median over the rounds (of the minima).")
    print_table(
        ["threads", "name", "examples per second", "PyTorch / it"],
        [
            [r["threads"], r["name"], f"{r['examples per second']:,.0f}", with_minima(r["ratio"], r["ratio of minima"])]
            for r in records
        ],
    )
    if not RESET_PEAK.exists():
        sys.exit("the growth of memory is not measured: it needs Linux' /proc/self/clear_refs")
    threads = max(args.threads)
    growth = []
    for batch in (args.batch, 2 * args.batch):
        for name in ("PyTorch", "fastembed"):
            bytes_grown = memory_growth(name, args.outputs, args.dim, batch, threads)
            growth.append({"batch": batch, "name": name, "bytes": bytes_grown, "threads": threads})
    say(f"Growth of the peak memory over the parameters, {threads} threads.")
    print_table(
        ["examples per batch", "name", "growth"],
        [[g["batch"], g["name"], f"{g['bytes'] / 2**20:.0f} MiB"] for g in growth],
    )
    save_results("torch_softmax", found, [*records, *growth])


if __name__ == "__main__":
    main()
