"""The plot of docs/measurements.md: steps per second against V, from the figures of row.py in .benchmarks.

python bench/peers/plot.py [--build x86_64_v4] [--dtype float32] [--threads 1] [-o docs/row_step.svg]
"""

from __future__ import annotations

import argparse
import json
import sys

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from rounds import results_path

from fastembed import _kernels

LINES = {
    "pass": ("limit: one product with the linear layer", "k:"),
    "train": ("fastembed", "C0o-"),
    "numpy": ("NumPy", "C1s-"),
    "torch": ("PyTorch", "C2^-"),
}


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", default=_kernels.BUILD)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", default="docs/row_step.svg")
    args = parser.parse_args()
    source = results_path("row", args.build)
    if not source.exists():
        sys.exit(f"{source} is missing: run bench/peers/row.py first")
    results = json.loads(source.read_text(encoding="utf-8"))
    records = sorted(
        (r for r in results["records"] if (r["dtype"], r["threads"]) == (args.dtype, args.threads) and r["V"] > 8),
        key=lambda r: r["V"],
    )
    if len(records) < 2:
        sys.exit(f"{source} has fewer than two sizes with {args.dtype} and {args.threads} threads")

    mpl.rcParams["svg.hashsalt"] = "fastembed"  # the same file for the same figures
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, (label, style) in LINES.items():
        axes.loglog([r["V"] for r in records], [1 / r["median"][name] for r in records], style, label=label)
    threads = "1 thread" if args.threads == 1 else f"{args.threads} threads"
    axes.set(
        xlabel="outputs V (D = 100)",
        ylabel="steps per second",
    )
    axes.set_title(f"Exact softmax, one example per step, {args.dtype}, {threads}, {args.build}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(args.output, metadata={"Date": None} if args.output.endswith(".svg") else None)
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
