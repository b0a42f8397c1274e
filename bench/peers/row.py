"""The row step against its limit (one product of NumPy's with the linear layer), NumPy, PyTorch and the notebook.

    python bench/peers/row.py [--sizes 8 1000 ...] [--threads 1 2] [--rounds 15]

D is 10 at V = 8, the notebook's size, and 100 elsewhere. Within a round all take turns on the same parameters.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import machine
import numpy as np
import torch
from contestants import NotebookStep, NumPyStep, TorchStep
from numpy.typing import NDArray
from rounds import Times, compete, in_units, print_table, save_results, say, with_minima
from threadpoolctl import threadpool_limits

from fastembed import Trainer

SIZES = (8, 1_000, 10_000, 50_000, 500_000)
INPUT, TARGET = 4, 5
LEARNING_RATE = 1e-3
EPOCHS = 1000  # epochs on one input, as in the loop of the notebook
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}  # relative tolerance of the losses


def parameters(outputs: int, dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return an embedding of eight rows and a linear layer, with logits of size one."""
    rng = np.random.default_rng(0)
    dim = 10 if outputs == 8 else 100
    embedding = rng.standard_normal((8, dim), dtype) / np.sqrt(dim, dtype=dtype)
    return embedding, rng.standard_normal((dim, outputs), dtype)


def contestants(outputs: int, dtype: str, threads: int) -> tuple[dict[str, Callable[[], Any]], dict[str, int]]:
    """Return the contestants, and the number of steps per call where it is not 1."""
    embedding, linear = parameters(outputs, dtype)
    ours = Trainer(embedding.copy(), linear, threads=threads)
    ours_both = Trainer(embedding.copy(), linear, threads=threads)
    numpy_step = NumPyStep(embedding.copy(), linear)
    numpy_both = NumPyStep(embedding.copy(), linear)
    torch_step = TorchStep(embedding.copy(), linear, update_linear=False, learning_rate=LEARNING_RATE / outputs)
    torch_both = TorchStep(embedding.copy(), linear, update_linear=True, learning_rate=LEARNING_RATE / outputs)
    weights, h, logits = numpy_step.weights, embedding[INPUT].copy(), np.empty(outputs, dtype)
    flat = weights.reshape(-1)
    steps = max(4, min(1000, 2_000_000 // outputs))
    inputs, targets = np.full(steps, INPUT), np.full(steps, TARGET)

    def train(trainer: Trainer, update_linear: bool) -> Callable[[], Any]:
        return lambda: trainer.train(inputs, targets, learning_rate=LEARNING_RATE, update_linear=update_linear)

    notebook = NotebookStep(embedding.copy(), linear)
    agree(
        TOLERANCE[dtype],
        lambda: numpy_step.step(INPUT, TARGET, LEARNING_RATE),
        lambda: ours.step(INPUT, TARGET, learning_rate=LEARNING_RATE),
        lambda: torch_step.step(INPUT, TARGET),
        lambda: notebook.step(INPUT, TARGET, LEARNING_RATE),
    )
    agree(
        TOLERANCE[dtype],
        lambda: numpy_both.step(INPUT, TARGET, LEARNING_RATE, update_linear=True),
        lambda: ours_both.step(INPUT, TARGET, learning_rate=LEARNING_RATE, update_linear=True),
        lambda: torch_both.step(INPUT, TARGET),
    )
    # One after another are those that share a layer: it takes more than one call until all of it is in the last cache
    calls: dict[str, Callable[[], Any]] = {
        "stream": lambda: np.dot(flat, flat),
        "pass": lambda: np.matmul(weights, h, out=logits),
        "numpy": lambda: numpy_step.step(INPUT, TARGET, LEARNING_RATE),
        "train": train(ours, update_linear=False),
        "step": lambda: ours.step(INPUT, TARGET, learning_rate=LEARNING_RATE),
        "torch": lambda: torch_step.step(INPUT, TARGET),
        "numpy both": lambda: numpy_both.step(INPUT, TARGET, LEARNING_RATE, update_linear=True),
        "torch both": lambda: torch_both.step(INPUT, TARGET),
        "train both": train(ours_both, update_linear=True),
    }
    if outputs == 8:
        calls["notebook"] = lambda: notebook.step(INPUT, TARGET, LEARNING_RATE)
        calls["epochs"] = lambda: ours.train([INPUT], [TARGET], learning_rate=LEARNING_RATE, epochs=EPOCHS)
    return calls, {"train": steps, "train both": steps, "epochs": EPOCHS}


def agree(tolerance: float, *steps: Callable[[], float]) -> None:
    """Make five steps of each; stop unless their losses agree. Later losses depend on all earlier updates."""
    expected, *others = ([step() for _ in range(5)] for step in steps)
    for losses in others:
        np.testing.assert_allclose(losses, expected, rtol=tolerance)


def record(outputs: int, dtype: str, threads: int, rounds: int) -> dict[str, Any]:
    """Run one size; return its figures."""
    torch.set_num_threads(threads)
    with threadpool_limits(threads, user_api="blas"):
        calls, units = contestants(outputs, dtype, threads)
        times = compete(calls, rounds=rounds if outputs < 100_000 else max(5, rounds // 2), units=units)
    return {
        "V": outputs,
        "dtype": dtype,
        "threads": threads,
        "median": {name: times.median(name) for name in calls},
        "minimum": {name: times.minimum(name) for name in calls},
        "ratio": ratios(times, times.ratio),
        "ratio of minima": ratios(times, times.ratio_of_minima),
    }


def ratios(times: Times, ratio: Callable[[str, str], float]) -> dict[str, float]:
    """Return the ratios that the tables show."""
    pairs = [
        ("pass", "stream"),
        ("step", "pass"),
        ("train", "pass"),
        ("numpy", "step"),
        ("numpy", "train"),
        ("torch", "step"),
        ("train both", "pass"),
        ("numpy both", "train both"),
        ("torch both", "train both"),
    ]
    if "notebook" in times.rounds:
        pairs += [("notebook", "step"), ("notebook", "train"), ("notebook", "epochs")]
    return {f"{slow} / {fast}": ratio(slow, fast) for slow, fast in pairs}


def print_records(records: list[dict[str, Any]]) -> None:
    """Print times, then ratios; for each ratio the median over the rounds, and that of the minima in brackets."""
    names = ["stream", "pass", "numpy", "torch", "step", "train", "numpy both", "torch both", "train both"]
    say(
        'Median time per step. "both" trains the linear layer as well. "stream" is `np.dot` of the flat linear layer.'
        ' "pass" is NumPy\'s product of the linear layer and a vector.'
    )
    key = [(r["dtype"], f"{r['V']:,}", r["threads"]) for r in records]
    print_table(
        ["dtype", "V", "threads", *names],
        [[*k, *(in_units(r["median"][name]) for name in names)] for k, r in zip(key, records, strict=True)],
    )
    pairs = list(records[-1]["ratio"])
    pairs = [pair for pair in pairs if "notebook" not in pair]
    say("Ratios: median over the rounds (of the minima).")
    print_table(
        ["dtype", "V", "threads", *pairs],
        [
            [*k, *(with_minima(r["ratio"][p], r["ratio of minima"][p]) for p in pairs)]
            for k, r in zip(key, records, strict=True)
        ],
    )
    small = [r for r in records if "notebook" in r["median"]]
    if small:
        names = ["step", "train", "epochs"]
        say(f"The notebook's cells at V = 8, D = 10. epochs: train with one input and {EPOCHS:,} epochs.")
        print_table(
            ["dtype", "threads", "notebook", *names, *(f"notebook / {name}" for name in names)],
            [
                [
                    r["dtype"],
                    r["threads"],
                    *(in_units(r["median"][name]) for name in ("notebook", *names)),
                    *(f"{r['ratio'][f'notebook / {name}']:.1f}" for name in names),
                ]
                for r in small
            ],
        )


def print_thread_gain(records: list[dict[str, Any]]) -> None:
    """Print the gain of each contestant from more threads, from minima, since these are different runs."""
    one = {(r["dtype"], r["V"]): r["minimum"] for r in records if r["threads"] == 1}
    several = [r for r in records if r["threads"] > 1 and (r["dtype"], r["V"]) in one and r["V"] >= 10_000]
    if several:
        names = ["pass", "numpy", "torch", "step", "train", "train both"]
        say("Gain over one thread (of minima).")
        print_table(
            ["dtype", "V", "threads", *names],
            [
                [
                    r["dtype"],
                    f"{r['V']:,}",
                    r["threads"],
                    *(f"{one[r['dtype'], r['V']][name] / r['minimum'][name]:.2f}" for name in names),
                ]
                for r in several
            ],
        )


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--dtypes", nargs="+", default=("float32", "float64"), choices=("float32", "float64"))
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    found = machine.print_facts("Row step", "torch")
    records = [
        record(outputs, dtype, threads, args.rounds)
        for dtype in args.dtypes
        for outputs in args.sizes
        for threads in args.threads
    ]
    print_records(records)
    print_thread_gain(records)
    save_results("row", found, records)


if __name__ == "__main__":
    main()
