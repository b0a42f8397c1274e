"""Run the comparisons behind docs/benchmarks.md again, and write their tables to bench/results/.

    python bench/peers/figures.py [--only row block ...] [--text TEXT] [--similarity FILE ...] [--analogies FILE ...]

``row.x86_64_v4.md`` is the output of row.py with our kernels for x86-64-v4, below the facts of the machine. On a CPU
with AVX-512 a script runs twice, the second time with all kernels for a CPU with AVX2.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import AS_WITH_AVX2
from rounds import results_path

from fastembed import _kernels

PEERS = Path(__file__).parent
TABLES = PEERS.parent / "results"
AVX2, AVX512 = "x86_64_v3", "x86_64_v4"


@dataclass(frozen=True)
class Figure:
    """A script that makes tables.

    Attributes
    ----------
    per_build : bool
        Whether there are tables for each build of our kernels.
    needs : tuple of str
        The options of figures.py without which it is left out.
    """

    script: str
    per_build: bool = True
    needs: tuple[str, ...] = ()


FIGURES = {
    "row": Figure("row.py"),
    "block": Figure("block.py"),
    "torch_softmax": Figure("torch_softmax.py"),
    "counting": Figure("counting.py", per_build=False, needs=("text",)),
    "word2vec": Figure("word2vec.py", per_build=False, needs=("text", "similarity", "analogies")),
}


def builds(figure: Figure) -> dict[str, dict[str, str]]:
    """Return the builds with which a figure is made here, and the environment of each."""
    if figure.per_build and AVX512 in _kernels.runnable_builds():
        return {AVX512: {"FASTEMBED_ISA": AVX512}, AVX2: AS_WITH_AVX2}
    return {_kernels.BUILD: {}}


def arguments(name: str, options: argparse.Namespace) -> list[str]:
    """Return the arguments of a figure's script."""
    given = list(options.arguments)
    if "text" in FIGURES[name].needs:
        given += [options.text, "--min-count", str(options.min_count)]
    if name == "word2vec":
        given += ["--similarity", *options.similarity, "--analogies", *options.analogies]
    return given


def section(results: dict[str, Any]) -> str:
    """Return the Markdown of saved results: the machine, then what the script said."""
    facts = results["facts"]
    machine = "; ".join(facts[name] for name in ("CPU", "caches", "kernels", "versions", "system"))
    build = facts["build"].replace("_v", "-v").replace("_", "-")
    head = f"**{build}**: *{machine}; {datetime.now(UTC):%Y-%m-%d}.*"
    return "\n\n".join([textwrap.fill(head, 130, break_on_hyphens=False), *results["text"]])


def main(words: Sequence[str] | None = None) -> None:
    """Run the scripts, and write the tables of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--only", nargs="+", choices=FIGURES, default=list(FIGURES), metavar="FIGURE", help=", ".join(FIGURES))
    add("--text", metavar="FILE", help="a text, one sequence per line, for counting and word2vec")
    add("--min-count", type=int, default=20, help="for that text (default: %(default)s)")
    add("--similarity", nargs="+", metavar="FILE", help="files of word similarity, for word2vec")
    add("--analogies", nargs="+", metavar="FILE", help="files of analogies, for word2vec")
    add("--arguments", nargs=argparse.REMAINDER, default=[], help="the rest is passed on to the scripts")
    options = parser.parse_args(words)
    for name in options.only:
        figure = FIGURES[name]
        missing = [f"--{need}" for need in figure.needs if not getattr(options, need)]
        if missing:
            print(f"{name} is left out: it needs {', '.join(missing)}")
            continue
        for build, environment in builds(figure).items():
            command = [sys.executable, str(PEERS / figure.script), *arguments(name, options)]
            subprocess.run(command, check=True, env=os.environ | environment)
            results = json.loads(results_path(name, build).read_text(encoding="utf-8"))
            page = TABLES / f"{name}.{build}.md" if figure.per_build else TABLES / f"{name}.md"
            page.write_text(section(results) + "\n", encoding="utf-8")
            print(f"written to {page}", flush=True)


if __name__ == "__main__":
    main()
