"""Quality, time from file to vectors, peak memory and file size of models, for this library and others in turn.

word2vec.py and fasttext_skipgram.py define the contestants. Each run has its own process, since peak memory is measured
per process. The results are a table, JSON and a plot.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from machine import print_facts, reject_other_blas_kernels
from rounds import print_table, save_results, say
from threadpoolctl import threadpool_limits

from fastembed import SkipGram, Vectors
from fastembed.corpus import FileCorpus, Ledger
from fastembed.evaluation import analogies, word_similarity

# From (file, options, epochs, seed) to vectors and a function that writes the model to a file
Trained = tuple[Vectors, Callable[[str], object]]
Train = Callable[[str, argparse.Namespace, int, int], Trained]
Record = dict[str, Any]


def fastembed(file: str, options: argparse.Namespace, epochs: int, seed: int, *, subwords: bool = False) -> Trained:
    """Train this library with its defaults."""
    model = SkipGram(
        dim=options.dim,
        min_count=options.min_count,
        epochs=epochs,
        seed=seed,
        threads=options.threads,
        subwords=subwords,
    ).fit(file)
    return model.vectors, lambda path: model.save(f"{path}.safetensors")


def compete(name: str, description: str, packages: Sequence[str], contestants: Mapping[str, Train]) -> None:
    """Run the command line of a comparison with others, which are in `packages`."""
    options = _parser(description, list(contestants)).parse_args()
    if not options.similarity and not options.analogies:
        sys.exit("give a file of scores: --similarity FILE or --analogies FILE")
    reject_other_blas_kernels()
    _evaluate(Vectors(["one"], np.ones((1, 1))), options)  # a bad file of scores is found before hours of training
    contestants = {"fastembed": fastembed, **{name: contestants[name] for name in options.against}}
    facts = print_facts(f"Quality and time: {', '.join(contestants)} on {options.file}", *packages)
    print(
        f"dim {options.dim}, min_count {options.min_count}, {options.threads} threads, seeds 0 to {options.seeds - 1}\n"
    )
    records = []
    with _plain(options.file) as file:
        for epochs in options.epochs:
            for seed in range(options.seeds):
                for contestant, train in contestants.items():
                    record = {"name": contestant, "epochs": epochs, "seed": seed}
                    records.append(record | _in_process(_run, train, file, options, epochs, seed))
                    print(_line(records[-1]), flush=True)
    print_records(records)
    save_results(name, facts, records)
    if options.plot:
        draw(records, options.plot)
        print(f"written to {options.plot}")


def _in_process(function: Callable[..., Record], *args: object) -> Record:
    """Return the result of a function in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(function, *args).result()


def _run(train: Train, file: str, options: argparse.Namespace, epochs: int, seed: int) -> Record:
    """Train once, timed; write the model and evaluate, untimed."""
    with threadpool_limits(options.threads, user_api="blas"):
        start = time.perf_counter()
        vectors, save = train(file, options, epochs, seed)
        seconds = time.perf_counter() - start
    peak = _peak_bytes()
    with tempfile.TemporaryDirectory() as folder:
        save(f"{folder}/model")
        size = sum(written.stat().st_size for written in Path(folder).iterdir())
    return {"words": len(vectors), "seconds": seconds, "peak": peak, "bytes": size, **_evaluate(vectors, options)}


def _peak_bytes() -> int:
    """Return the peak memory of this process; Linux's ru_maxrss includes that of the parent, VmHWM does not."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _evaluate(vectors: Vectors, options: argparse.Namespace) -> Record:
    """Return the score and the coverage of each file."""
    scores, covered = {}, {}
    for path in options.similarity:
        similarity = word_similarity(vectors, path)
        scores[Path(path).stem] = similarity.spearman
        covered[Path(path).stem] = f"{similarity.covered:,} of {similarity.pairs:,}"
    for path in options.analogies:
        total = analogies(vectors, path).total
        scores[Path(path).stem] = total.accuracy
        covered[Path(path).stem] = f"{total.covered:,} of {total.asked:,}"
    return {"scores": scores, "covered": covered}


def _line(record: Record) -> str:
    """Return a run in one line."""
    scores = ", ".join(f"{name} {score:.4f}" for name, score in record["scores"].items())
    run = f"{record['name']}, epochs {record['epochs']}, seed {record['seed']}"
    return f"{run}: {record['seconds']:.1f} s, {record['peak'] / 1e6:,.0f} MB, {scores}"


def print_records(records: Sequence[Record]) -> None:
    """Print the means, with the standard deviation over the seeds, and the ratio of each time to ours."""
    names = list(records[0]["scores"])
    groups = _by_contestant_and_epochs(records)
    spread = "mean ± standard deviation over the seeds" if len(next(iter(groups.values()))) > 1 else "one seed"
    say(f"Similarity: Spearman. Analogies: 3CosAdd accuracy. {spread}.")
    say("seconds: from the file to vectors. peak MB: of the process until then. file MB: the model's.")
    rows = []
    for (name, epochs), group in groups.items():
        seconds = [r["seconds"] for r in group]
        ours = [r["seconds"] for r in groups["fastembed", epochs]]
        rows.append(
            [
                name,
                epochs,
                f"{group[0]['words']:,}",
                *(_mean(".3f", [r["scores"][score] for r in group]) for score in names),
                _mean(".1f", seconds),
                f"{max(r['peak'] for r in group) / 1e6:,.0f}",
                f"{group[0]['bytes'] / 1e6:,.0f}",
                f"{statistics.mean(a / b for a, b in zip(seconds, ours, strict=True)):.2f}",
            ]
        )
    print_table(["", "epochs", "words", *names, "seconds", "peak MB", "file MB", "time / ours"], rows)
    for name in names:
        found = sorted({(r["name"], r["covered"][name]) for r in records})
        say(f"{name} covered: " + "; ".join(f"{contestant} {covered}" for contestant, covered in found) + ".")


def draw(records: Sequence[Record], output: str) -> None:
    """Draw quality against seconds, one panel per file of scores; each point is a run of its own."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "fastembed"  # the same file for the same figures
    names = list(records[0]["scores"])
    figure, panels = plt.subplots(
        1, len(names), figsize=(4 * len(names), 3.5), layout="constrained", squeeze=False, sharex=True
    )
    points: Mapping[str, list[tuple[int, list[Record]]]] = defaultdict(list)
    for (contestant, epochs), group in _by_contestant_and_epochs(records).items():
        points[contestant].append((epochs, group))
    for panel, name in zip(panels[0], names, strict=True):
        for contestant, groups in points.items():
            seconds = [statistics.mean(r["seconds"] for r in group) for _, group in groups]
            quality = [statistics.mean(r["scores"][name] for r in group) for _, group in groups]
            errors = [_deviation([r["scores"][name] for r in group]) for _, group in groups]
            panel.errorbar(seconds, quality, yerr=errors, marker="o", capsize=2, label=contestant)
            for (epochs, _), x, y in zip(groups, seconds, quality, strict=True):
                panel.annotate(str(epochs), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
        panel.set(xlim=(0, None), xlabel="seconds from the file to vectors", title=name)
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("Spearman or accuracy; labels: epochs")
    panels[0][0].legend()
    figure.savefig(output, metadata={"Date": None} if output.endswith(".svg") else None)


def _by_contestant_and_epochs(records: Sequence[Record]) -> dict[tuple[str, int], list[Record]]:
    groups: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in records:
        groups[record["name"], record["epochs"]].append(record)
    return groups


def _mean(form: str, values: Sequence[float]) -> str:
    """Return the mean, and the standard deviation if there is one."""
    mean = format(statistics.mean(values), form)
    return f"{mean} ± {_deviation(values):{form}}" if len(values) > 1 else mean


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


@contextmanager
def _plain(file: str) -> Iterator[str]:
    """Yield the file, or an unpacked copy of a compressed one, since no peer reads compressed files."""
    if Path(file).suffix.lower() not in (".gz", ".bz2", ".xz"):
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, Path(file).stem)
        with copy.open("w", encoding="utf-8") as text:
            text.writelines(" ".join(tokens) + "\n" for tokens in FileCorpus([file]).sequences(Ledger()))
        yield str(copy)


def _parser(description: str, contestants: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add(
        "file",
        help="the corpus: one sequence per line; may be compressed, and unpacking is not timed",
    )
    add("--similarity", nargs="+", action="extend", default=[], metavar="FILE", help="files of word similarity")
    add("--analogies", nargs="+", action="extend", default=[], metavar="FILE", help="files of analogies")
    add("--against", nargs="+", choices=contestants, default=contestants, metavar="NAME", help=", ".join(contestants))
    add("--min-count", type=int, default=5)
    add("--dim", type=int, default=100)
    add("--threads", type=int, default=2)
    add("--seeds", type=int, default=3, help="runs of each, with seeds from 0 (default: %(default)s)")
    add("--epochs", type=int, nargs="+", default=[5], help="each number is a run of its own and a point of the plot")
    add("--plot", metavar="FILE", help="draw quality against seconds, as SVG or PNG")
    return parser
