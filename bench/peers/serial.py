"""The serial parts of an epoch of `fit_counts` and of counting, which bound the gain of many cores.

    python bench/peers/serial.py [--outputs 33700] [--dim 100] [--counts 1590] [--block 256] [--file TEXT] [--times 10]

In an epoch, only the leading thread merges the shards, opens the phases, and runs the Python between blocks and epochs.
Each part is timed alone, and compared with the epoch on one thread, in CPU time. In counting TEXT, everything that
holds the GIL is taken as serial: the CPU time of counting on one thread minus that of the kernels, of reading blocks
and of copies of arrays, which run without it. The gains are projections by Amdahl's law: nothing here ran on that many
cores, and memory, caches and clock rates, which cores share, are ignored.
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import machine
import numpy as np
from block import parts_of_a_block, random_counts
from rounds import in_units, print_table, save_results, say
from scipy import sparse

from fastembed import Trainer
from fastembed._base.threads import Pool, Workers
from fastembed._kernels import cooccur
from fastembed._kernels.tokens import Ranking, TokenTable
from fastembed.corpus import FileCorpus, Ledger, tokens
from fastembed.corpus import corpus as corpus_module
from fastembed.corpus.blocks import TAIL_BYTES, PlainFile
from fastembed.counts import Counts, encoding
from fastembed.trainer.parameters import Snapshot
from fastembed.vocabulary import Vocabulary

CORES = (8, 16, 32, 64)


def least(call: Callable[[], object], times: int) -> float:
    """Return the lowest CPU time of a call."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def seconds_between_blocks() -> float:
    """Return the seconds of a step with almost no work on one thread: Python, and opening phases."""
    rows = 20_000
    counts = sparse.csr_array((np.ones(rows), (np.arange(rows), np.zeros(rows, int))), (rows, 1025))
    trainer = Trainer.random(rows, 1, output_size=1025, seed=0, threads=1)
    return seconds_of_epoch(trainer, counts, block_size=1, epochs=5) / rows


def seconds_of_epoch(trainer: Trainer, counts: sparse.csr_array, block_size: int, epochs: int) -> float:
    """Return the lowest CPU time of an epoch, without the set-up."""
    ends: list[float] = []
    trainer.fit_counts(
        counts, epochs=epochs + 1, block_size=block_size, on_epoch_end=lambda *_: ends.append(time.process_time())
    )
    return float(np.diff(ends).min())


def epoch_records(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the serial parts of an epoch, each with its seconds in one."""
    counts = random_counts(args.outputs, args.outputs, args.counts)
    start = Trainer.random(args.outputs, args.dim, seed=0)
    trainer = Trainer(start.embedding / args.dim, start.linear / args.dim, threads=1)
    epoch = seconds_of_epoch(trainer, counts, args.block, args.rounds)
    blocks = -(-args.outputs // args.block)
    merge = parts_of_a_block(args.outputs, args.dim, counts, args.block)["merge"]
    rng = np.random.default_rng(0)
    tiny = Snapshot({"embedding": np.zeros((4, 4))}, Pool(1))
    parts = {
        "merge of the shards": merge * blocks,
        "Python between blocks, opening phases": seconds_between_blocks() * blocks,
        "order of the rows": least(lambda: rng.permutation(args.outputs), 5),
        "snapshot at the end, but for its tasks": least(lambda: (tiny.fault(), tiny.take()), 5),
    }
    serial = sum(parts.values())
    say(f"An epoch on one thread: {in_units(epoch)}, {blocks} blocks. Alone on the leading thread:")
    print_table(["part", "in an epoch", "share"], [[n, in_units(s), f"{s / epoch:.3%}"] for n, s in parts.items()])
    return [{"what": "an epoch of fit_counts", "one thread": epoch, "serial": serial}]


@contextmanager
def timed_parallel_work() -> Iterator[list[float]]:
    """Record the CPU time of the work of counting that threads do in parallel.

    It runs without the GIL: the kernels, reading blocks of a file, copies and sums of arrays. The rest is taken as
    serial, though some of it runs on other threads, since only one of them holds the GIL at a time.
    """
    seconds: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            begin = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                seconds.append(time.thread_time() - begin)

        return call

    def timed_class(cls: type, names: str) -> type:
        return type(cls.__name__, (cls,), {name: timed(getattr(cls, name)) for name in names.split()})

    read, run, submit = PlainFile.read, Pool.run, Workers.submit

    def read_blocks_timed(file: PlainFile, offset: int, size: int) -> bytes:
        return (timed(read) if size > TAIL_BYTES else read)(file, offset, size)

    def run_timed(pool: Pool, task: Callable[[int], object], count: int) -> None:
        of_arrays = task.__module__.startswith("fastembed.counts") and task.__name__ in ("copy", "add", "place", "find")
        run(pool, timed(task) if of_arrays else task, count)

    def map_timed(corpus: FileCorpus, function: Callable[..., Any], *args: Any) -> Any:
        return corpus_module.map_text(corpus, timed(function), *args)

    def submit_timed(workers: Workers, function: Callable[..., Any], *arguments: Any) -> Any:
        return submit(workers, timed(function) if getattr(function, "__name__", "") == "copy" else function, *arguments)

    with ExitStack() as stack:
        table = timed_class(TokenTable, "count sort_into_parts merge")
        ranking = timed_class(Ranking, "sort merge")
        for owner, name, value in (
            (tokens, "TokenTable", table),
            (tokens, "Ranking", ranking),
            (corpus_module, "valid_utf8", timed(corpus_module.valid_utf8)),
            (encoding, "map_text", map_timed),
            (sparse.csr_array, "__add__", timed(sparse.csr_array.__add__)),
            (PlainFile, "read", read_blocks_timed),
            (Pool, "run", run_timed),
            (Workers, "submit", submit_timed),
            *(
                (cooccur, name, timed(getattr(cooccur, name)))
                for name in ("count_ids", "gather_positions", "count_rows")
            ),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        yield seconds


def counting_records(file: Path, times: int, rounds: int) -> list[dict[str, Any]]:
    """Return the serial parts of counting a text once, and of counting it several times."""
    records = []
    for copies in (1, times):
        files, best = [file] * copies, (np.inf, np.inf)
        for _ in range(rounds):
            with timed_parallel_work() as parallel:
                begin = time.process_time()
                vocabulary = Vocabulary.from_corpus(files, 20, threads=1)
                Counts.from_corpus(files, vocabulary, window=5, threads=1)
                whole = time.process_time() - begin
            best = min(best, (whole - sum(parallel), whole))
        what = f"counting {copies * file.stat().st_size / 1e6:,.0f} MB of text, {len(vocabulary):,} words"
        records.append({"what": what, "one thread": best[1], "serial": best[0]})
    gigabytes = file.stat().st_size / 1e9
    corpus = FileCorpus(file)
    going_through = least(lambda: deque(corpus_module.text_blocks_of(corpus, Ledger()), 0), 5) / gigabytes
    packed = gzip.compress(file.read_bytes()[: 1 << 24])
    unpacking = least(lambda: gzip.decompress(packed), 3) / (1 << 24) * 1e9
    say(
        f"Going through the blocks of a plain text, without reading them, takes one thread {in_units(going_through)}"
        f" per GB. A compressed text is read by one thread: gzip takes {in_units(unpacking)} per GB of text."
    )
    return records


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--outputs", type=int, default=33_700)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--counts", type=int, default=1590)
    parser.add_argument("--block", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--file", type=Path, help="a text, to measure counting")
    parser.add_argument("--times", type=int, default=10, help="how often the text is read for a long one")
    args = parser.parse_args()
    machine.reject_other_blas_kernels()
    found = machine.print_facts(f"Serial shares, float32: {vars(args)}")
    records = epoch_records(args)
    if args.file:
        records += counting_records(args.file, args.times, args.rounds)
    for record in records:
        record["share"] = share = record["serial"] / record["one thread"]
        record["gain"] = {n: 1 / (share + (1 - share) / n) for n in CORES}
    say("The gain that the serial share allows: a projection by Amdahl's law, not a measurement.")
    print_table(
        ["", "serial share", *(f"{n} cores" for n in CORES)],
        [[r["what"], f"{r['share']:.3%}", *(f"{gain:.1f}" for gain in r["gain"].values())] for r in records],
    )
    save_results("serial", found, records)


if __name__ == "__main__":
    main()
