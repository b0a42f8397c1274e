"""The phases of a run from text to vectors, compared with the bare matrix products of its epochs.

    python bench/peers/text_to_vectors.py TEXT [--min-count 20] [--dim 100] [--epochs 5] [--threads 2] [--rounds 3]

A round runs the products of one epoch, all phases of `SkipGram.fit` and of saving, and the products again, so that the
limit is measured in the same minutes as the run. The phases of the start are timed while the digest of the counts is
computed, as in a real run; "the rest" is the whole run minus all phases.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import machine
from block import BareProducts
from rounds import in_units, print_table, save_results

from fastembed import Counts, SkipGram, Vocabulary
from fastembed.counts.store import GroupedCounts
from fastembed.skipgram import start, training
from fastembed.skipgram.pmi import PositivePMI
from fastembed.trainer.data import FitOptions

# Each phase: where its function is looked up, and its name there. No phase calls another.
PHASES: dict[str, tuple[Any, str]] = {
    "vocabulary": (Vocabulary, "from_corpus"),
    "counting": (Counts, "from_corpus"),
    "start: PMI": (PositivePMI, "__init__"),
    "start: products": (PositivePMI, "times"),
    "start: transposed products": (PositivePMI, "transposed_times"),
    "start: sums": (start, "_products"),
    "start: changes": (start, "_multiply"),
    "epochs": (training, "train"),
    "gauge": (training, "apply_gauge"),
    "saving": (SkipGram, "save"),
}
BESIDE = ("digest (beside the start)", GroupedCounts, "sha256")


@contextmanager
def timed(seconds: dict[str, float], name: str, owner: Any, attribute: str) -> Iterator[None]:
    """Add the seconds of each call of a function to `seconds`."""
    found = vars(owner)[attribute]
    function = found.__func__ if isinstance(found, classmethod) else found

    def call(*args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin

    with mock.patch.object(owner, attribute, classmethod(call) if isinstance(found, classmethod) else call):
        yield


def one_run(make: Callable[[], SkipGram], text: Path) -> tuple[SkipGram, dict[str, float]]:
    """Return the model of a run, and the seconds of its phases, of the whole and of the rest."""
    seconds: dict[str, float] = {}
    with ExitStack() as stack:
        for name, place in PHASES.items():
            stack.enter_context(timed(seconds, name, *place))
        stack.enter_context(timed(seconds, *BESIDE))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        begin = time.perf_counter()
        model = make().fit(text)
        model.save(Path(folder) / "model.safetensors")
        whole = time.perf_counter() - begin
    seconds["the rest"] = whole - sum(seconds[name] for name in PHASES)
    return model, seconds | {"all": whole}


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--min-count", type=int, default=20)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    found = machine.print_facts(f"Text to vectors: {vars(args) | {'text': args.text.name}}")

    def make() -> SkipGram:
        return SkipGram(dim=args.dim, min_count=args.min_count, epochs=args.epochs, threads=args.threads)

    model, _ = one_run(make, args.text)  # untimed: it loads the text into memory, and gives the shape
    inputs, outputs = len(model.vocabulary), model.trainer.linear.shape[1]
    bare = BareProducts(inputs, outputs, args.dim, FitOptions.block_size, args.threads)
    rounds: list[dict[str, float]] = []
    for _ in range(args.rounds):
        begin = time.perf_counter()
        bare.epoch()
        before = time.perf_counter() - begin
        _, seconds = one_run(make, args.text)
        begin = time.perf_counter()
        bare.epoch()
        seconds["products"] = args.epochs * (before + time.perf_counter() - begin) / 2
        rounds.append(seconds)

    medians = {name: statistics.median(seconds[name] for seconds in rounds) for name in rounds[0]}
    names = [*PHASES, "the rest", "all", BESIDE[0]]
    print(f"\n{inputs:,} words, {outputs:,} outputs; medians of {args.rounds} rounds, and the least.")
    print_table(
        ["phase", "time", "least", "share"],
        [
            [
                name,
                in_units(medians[name]),
                in_units(min(s[name] for s in rounds)),
                f"{medians[name] / medians['all']:.1%}",
            ]
            for name in names
        ],
    )
    ratio = statistics.median(seconds["all"] / seconds["products"] for seconds in rounds)
    epochs = statistics.median(seconds["epochs"] / seconds["products"] for seconds in rounds)
    speed = args.epochs * bare.flops / medians["products"] / 1e9
    print(f"\nBare products of the epochs: {in_units(medians['products'])}, {speed:.0f} GFLOP/s.")
    print(f"The run takes {ratio:.2f} times as long, its epochs {epochs:.2f} times.")
    save_results("text_to_vectors", found, rounds)


if __name__ == "__main__":
    main()
