"""Timing of contestants in turn, so that a disturbance of the machine affects all alike, and tables of the results."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(".benchmarks")  # each script writes its figures there; figures.py reads them

_said: list[str] = []  # by the script that runs


@dataclass(frozen=True)
class Times:
    """Seconds per call of each contestant, one value per round."""

    rounds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Return the median over the rounds."""
        return statistics.median(self.rounds[name])

    def minimum(self, name: str) -> float:
        """Return the minimum over the rounds."""
        return min(self.rounds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """Return the median over the rounds of slow / fast within a round."""
        return statistics.median(a / b for a, b in zip(self.rounds[slow], self.rounds[fast], strict=True))

    def ratio_of_minima(self, slow: str, fast: str) -> float:
        """Return the minimum of slow / the minimum of fast: the ratio without disturbances."""
        return self.minimum(slow) / self.minimum(fast)


def compete(
    contestants: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    seconds: float = 0.02,
    units: Mapping[str, int] | None = None,
) -> Times:
    """Time the contestants in turn, `rounds` times.

    In its turn a contestant is called once untimed, to fill the caches with its data, and then as often as fits into
    `seconds`. `units` is the number of steps per call, 1 by default.
    """
    units = units or {}
    calls = {}
    for name, call in contestants.items():
        call()
        start = time.perf_counter()
        call()
        calls[name] = max(1, math.ceil(seconds / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            call()
            start = time.perf_counter()
            for _ in range(calls[name]):
                call()
            times[name].append((time.perf_counter() - start) / calls[name] / units.get(name, 1))
    return Times(times)


def in_units(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for factor, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def with_minima(ratio: float, ratio_of_minima: float) -> str:
    """Return a ratio, with that of the minima in brackets."""
    return f"{ratio:.2f} ({ratio_of_minima:.2f})"


def say(text: str) -> None:
    """Print a paragraph of Markdown, which becomes part of the saved results."""
    _said.append(text)
    print("\n" + text, flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table, which becomes part of the saved results."""
    cells = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
    padded = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    padded.insert(1, ["-" * (width - 1) + ":" for width in widths])
    say("\n".join("| " + " | ".join(row) + " |" for row in padded))


def results_path(name: str, build: str) -> Path:
    """Return the path of the figures of a script with a build of our kernels."""
    return RESULTS / f"{name}.{build}.json"


def save_results(name: str, facts: Mapping[str, str], records: Sequence[Mapping[str, Any]]) -> None:
    """Write the figures of a script and its printed text to a file in .benchmarks."""
    RESULTS.mkdir(exist_ok=True)
    path = results_path(name, facts["build"])
    results = {"facts": facts, "text": _said, "records": records}
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {path}")
