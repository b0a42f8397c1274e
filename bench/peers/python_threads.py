"""Two calling threads compared with one: the cost of the GIL for calls from several threads.

    python bench/peers/python_threads.py [PYTHON ...]

Each PYTHON has fastembed installed; by default it is the running one. A free-threaded Python runs twice, with the GIL
off and on. One thread does sequentially the work that two threads do in parallel: two CPUs give a gain of at most 2.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import machine
import numpy as np
from rounds import compete, print_table
from scipy import sparse
from threadpoolctl import threadpool_limits

from fastembed import Trainer, Vectors

THREADS = 2
WORDS = 20_000


def stepping(size: int, dim: int, steps: int) -> Callable[[int], None]:
    """Return the work of a thread: steps of its own trainer."""
    trainers = [Trainer.random(size, dim, seed=k, threads=1) for k in range(THREADS)]

    def work(k: int) -> None:
        step = trainers[k].step
        for i in range(steps):
            step(i % size)

    return work


def fitting(size: int, dim: int) -> Callable[[int], None]:
    """Return the work of a thread: fits of its own trainer to the same counts."""
    counts = sparse.random_array((size, size), density=0.1, random_state=np.random.default_rng(0), format="csr")
    trainers = [Trainer.random(size, dim, seed=k, threads=1) for k in range(THREADS)]
    return lambda k: (trainers[k].fit_counts(counts, epochs=2), None)[1]


def asking(size: int, dim: int, queries: int) -> Callable[[int], None]:
    """Return the work of a thread: queries to vectors that both threads share."""
    matrix = np.random.default_rng(0).standard_normal((size, dim), np.float32)
    vectors = Vectors([f"w{i}" for i in range(size)], matrix)

    def work(k: int) -> None:
        for i in range(k, queries + k):
            vectors.most_similar(f"w{i}")

    return work


def tasks() -> dict[str, Callable[[int], None]]:
    """Return the work by its name in the table."""
    return {
        "`step`, V = 8, D = 10": stepping(8, 10, 2000),
        "`step`, V = 1,000, D = 100": stepping(1000, 100, 400),
        "`fit_counts`, V = 300, D = 20": fitting(300, 20),
        f"`most_similar`, V = {WORDS:,}, D = 100": asking(WORDS, 100, 3),
    }


def measure(rounds: int) -> dict[str, Any]:
    """Return the version of Python, and the gain of two threads for each task."""
    gains = {}
    with ThreadPoolExecutor(THREADS) as pool, threadpool_limits(1, user_api="blas"):
        for name, work in tasks().items():
            contestants: dict[str, Callable[[], object]] = {
                "one": lambda work=work: [work(k) for k in range(THREADS)],  # type: ignore[misc]
                "two": lambda work=work: list(pool.map(work, range(THREADS))),  # type: ignore[misc]
            }
            times = compete(contestants, rounds=rounds)
            gains[name] = times.ratio("one", "two")
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    build = " free-threaded" if "t" in sys.abiflags else ""
    return {"python": f"{sys.version.split()[0]}{build}, GIL {'on' if enabled else 'off'}", "gains": gains}


def run(python: str, gil: str | None, rounds: int) -> dict[str, Any]:
    """Return the result of `measure` in another Python."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    if gil is not None:
        environment["PYTHON_GIL"] = gil
    command = [python, __file__, "--measure", "--rounds", str(rounds)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def is_free_threaded(python: str) -> bool:
    """Return whether a Python supports running without the GIL."""
    code = "import sysconfig; print(bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
    return subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout == "True\n"


def main() -> None:
    """Run all Pythons in turn, several times, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    if args.measure:
        print(json.dumps(measure(args.rounds)))
        return
    machine.print_facts("Two threads of the caller")
    cases = [(python, gil) for python in args.pythons for gil in (("0", "1") if is_free_threaded(python) else (None,))]
    results = [[run(*case, args.rounds) for case in cases] for _ in range(args.turns)]
    gains = [[result["gains"] for result in turn] for turn in results]
    print(f"\nGain of {THREADS} threads over one: median (least to greatest) of {args.turns} turns.")
    rows = []
    for name in gains[0][0]:
        of_cases = [[turn[c][name] for turn in gains] for c in range(len(cases))]
        rows.append([name, *(f"{statistics.median(g):.2f} ({min(g):.2f} to {max(g):.2f})" for g in of_cases)])
    print_table(["", *(result["python"] for result in results[0])], rows)


if __name__ == "__main__":
    main()
