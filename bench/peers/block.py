"""An epoch of `Trainer.fit_counts` against its limit: the bare matrix products at the same shapes.

    python bench/peers/block.py [--outputs 20000] [--dim 100] [--counts 300 1590] [--block 256] [--threads 1 2]

The limit is the three products of each block and shard by NumPy's BLAS, into preallocated memory, on the same threads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import machine
import numpy as np
from rounds import compete, in_units, print_table, save_results, say, with_minima
from scipy import sparse

from fastembed import Trainer
from fastembed._base.threads import Pool, SingleThreadedBlas
from fastembed.counts.groups import shard_bounds


def random_counts(rows: int, outputs: int, each: int, seed: int = 0) -> sparse.csr_array:
    """Return counts with about `each` different outputs per row, the frequent ones first, as in text."""
    rng = np.random.default_rng(seed)
    columns = (outputs * rng.random((rows, each)) ** 2).astype(np.int32)
    indptr = np.arange(rows + 1) * each
    counts = sparse.csr_array((np.ones(columns.size), columns.reshape(-1), indptr), (rows, outputs))
    counts.sum_duplicates()
    return counts


class BareProducts:
    """The matrix products of an epoch and nothing else.

    Parameters
    ----------
    rows, outputs, dim, block : int
        V_in, V, D and the number of rows per block.
    threads : int
    """

    def __init__(self, rows: int, outputs: int, dim: int, block: int, threads: int) -> None:
        rng = np.random.default_rng(0)
        self._pool = Pool(threads)
        self._bounds = shard_bounds(outputs).tolist()
        sizes = np.diff(self._bounds)
        self._blocks = [min(block, rows - first) for first in range(0, rows, block)]
        self._h = rng.standard_normal((block, dim), np.float32)
        self._weights = [rng.standard_normal((n, dim), np.float32) for n in sizes]
        self._logits = [np.empty(block * n, np.float32) for n in sizes]
        self._h_gradients = np.empty((len(sizes), block, dim), np.float32)
        self._gradients = [np.empty((n, dim), np.float32) for n in sizes]
        self.flops = 6 * rows * outputs * dim

    def epoch(self) -> None:
        """Compute the products."""
        with SingleThreadedBlas():
            for rows in self._blocks:
                h = self._h[:rows]
                self._pool.run(lambda s, h=h: self._forward(s, h), len(self._weights))
                self._pool.run(lambda s, h=h: self._backward(s, h), len(self._weights))

    def _forward(self, s: int, h: Any) -> None:
        np.matmul(h, self._weights[s].T, out=self._x(s, len(h)))

    def _backward(self, s: int, h: Any) -> None:
        x = self._x(s, len(h))
        np.matmul(x, self._weights[s], out=self._h_gradients[s, : len(h)])
        np.matmul(x.T, h, out=self._gradients[s])

    def _x(self, s: int, rows: int) -> Any:
        outputs = len(self._weights[s])
        return self._logits[s][: rows * outputs].reshape(rows, outputs)


def print_records(records: list[dict[str, Any]], settings: str) -> None:
    """Print the settings and the table of ratios."""
    say(settings)
    say(f"Ratios: median over the rounds (of the minima). gain: over {records[0]['threads']} thread.")
    print_table(
        ["threads", "bare products", "GFLOP/s", "epoch", "epoch / products", "gain"],
        [
            [
                r["threads"],
                in_units(r["products"]),
                f"{r['products GFLOP/s']:.0f}",
                in_units(r["epoch"]),
                with_minima(r["ratio"], r["ratio of minima"]),
                with_minima(r["gain"], r["gain of minima"]),
            ]
            for r in records
        ],
    )


def measure(args: argparse.Namespace, each: int) -> list[dict[str, Any]]:
    """Measure with so many counts per row, print, and return the records."""
    counts = random_counts(args.outputs, args.outputs, each)
    start = Trainer.random(args.outputs, args.dim, seed=0)

    def fit(threads: int) -> Callable[[], list[dict[str, float]]]:
        # The same small start each time, so that the work and its results are the same too
        embedding, linear = start.embedding / args.dim, start.linear / args.dim

        def call() -> list[dict[str, float]]:
            trainer = Trainer(embedding.copy(), linear, threads=threads)
            return trainer.fit_counts(counts, epochs=1, block_size=args.block)

        return call

    first, again = fit(1)()[0]["nll"], fit(2)()[0]["nll"]
    if first != again or not 0 < first < 1.01 * np.log(args.outputs):
        raise AssertionError(f"nll per pair {first} on one thread, {again} on two; ln V is {np.log(args.outputs)}")

    bare = {n: BareProducts(args.outputs, args.outputs, args.dim, args.block, n) for n in args.threads}
    calls: dict[str, Callable[[], Any]] = {}
    for n in args.threads:
        calls[f"products, {n}"] = bare[n].epoch
        calls[f"epoch, {n}"] = fit(n)
    times = compete(calls, rounds=args.rounds, seconds=0)
    flops = bare[args.threads[0]].flops
    records = [
        {
            "counts": each,
            "threads": n,
            "products": times.median(f"products, {n}"),
            "epoch": times.median(f"epoch, {n}"),
            "products GFLOP/s": flops / times.median(f"products, {n}") / 1e9,
            "ratio": times.ratio(f"epoch, {n}", f"products, {n}"),
            "ratio of minima": times.ratio_of_minima(f"epoch, {n}", f"products, {n}"),
            "gain": times.ratio(f"epoch, {args.threads[0]}", f"epoch, {n}"),
            "gain of minima": times.ratio_of_minima(f"epoch, {args.threads[0]}", f"epoch, {n}"),
        }
        for n in args.threads
    ]
    print_records(
        records,
        f"V = {args.outputs:,}, D = {args.dim}, {each:,} counts per row, blocks of {args.block} rows, float32.",
    )
    return records


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--outputs", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--counts", type=int, nargs="+", default=(300, 1590))
    parser.add_argument("--block", type=int, default=256)
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    found = machine.print_facts(f"Block step, float32: {vars(args)}")

    save_results("block", found, [record for each in args.counts for record in measure(args, each)])


if __name__ == "__main__":
    main()
