r"""Classifiers of labelled lines: ours, fastText's and scikit-learn's in one run.

    python bench/peers/classifiers.py labelled train.txt valid.txt [train.txt valid.txt ...]
    python bench/peers/classifiers.py crossed train.txt valid.txt [train.txt valid.txt ...]
    python bench/peers/classifiers.py sets FOLDER [labelled.txt.xz ...] [--split PACKAGE ...]
    python bench/peers/classifiers.py short [--documents 1000000]
    python bench/peers/classifiers.py many [--documents 100000 --labels 30000]

`labelled` reads files in fastText's format and prints P@1, P@5 and R@5, the calibration error of the first label, the
seconds from the file to the fitted model, and the bytes of its file. `crossed` takes both files for one set, and prints
the calibration error of ours on all its documents, each by a model of the four fifths without it, P@1 of it and of
LinearSVC on the same words, and how many documents one of the two alone gets right, with p of McNemar's exact test.
`sets` writes such files: sets with one label per document from the installed Python packages, and given files in two
parts; or, of some packages, that whose labels are their parts. `short` generates documents of about ten words with 20
labels, and prints the words per second and thread of the whole fit: those of the text, and those of all epochs, which
is fastText's measure. `many` generates documents with 30,000 labels, and prints the peak memory. In these two, only
ours and, in `short`, fastText run. Ours runs with its defaults except in `many`. Every contestant has its own process,
with two threads; what is not installed is left out.
"""

from __future__ import annotations

import argparse
import ast
import gettext
import json
import lzma
import math
import pickle
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import print_facts
from rounds import print_table

THREADS = 2
PREFIX = "__label__"
TOP = 5
SPLIT = ("scipy", "sklearn")  # packages whose parts are labels
MOST_FILES = 100  # files of each other package that sets are made from
PARTS = 5  # of a set, for predictions that are cross-validated
BINS = 15  # of the calibration error
DRAWS = 200
TUNED = {"lr": 1.0, "epoch": 25, "wordNgrams": 2}


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the documents of a file, and the labels of each."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    labels = [[word for word in line if word.startswith(PREFIX)] for line in lines]
    return [" ".join(word for word in line if not word.startswith(PREFIX)) for line in lines], labels


class Ours:
    """Our classifier."""

    def __init__(self, train: Path, **parameters: Any) -> None:
        from fastembed import Classifier

        self._model = Classifier(threads=THREADS, **parameters).fit(train)
        self.epochs = len(self._model.history_)

    def predict(self, documents: list[str]) -> Any:
        """Return the first label of each document."""
        return self._model.predict(documents)

    def top(self, documents: list[str]) -> list[list[tuple[str, float]]]:
        """Return the first labels of each document and their probabilities."""
        return [[(PREFIX + label, p) for label, p in each] for each in self._model.predict_top(documents, k=TOP)]

    def size(self, folder: Path) -> int:
        """Return the bytes of the file that holds it."""
        self._model.save(folder / "m.safetensors")
        return (folder / "m.safetensors").stat().st_size


class FastText:
    """fastText's classifier."""

    def __init__(self, train: Path, **parameters: Any) -> None:
        import fasttext

        self._model = fasttext.train_supervised(input=str(train), thread=THREADS, verbose=0, **parameters)
        self.epochs = parameters.get("epoch", 5)

    def predict(self, documents: list[str]) -> Any:
        """Return the first label of each document."""
        return [self._model.f.predict(f"{text}\n", 1, 0.0, "strict") for text in documents]

    def top(self, documents: list[str]) -> list[list[tuple[str, float]]]:
        """Return the first labels of each document and their probabilities."""
        answers = [self._model.f.predict(f"{text}\n", TOP, 0.0, "strict") for text in documents]
        return [[(label, min(p, 1.0)) for p, label in answer] for answer in answers]

    def size(self, folder: Path) -> int:
        """Return the bytes of the file that holds it."""
        self._model.save_model(str(folder / "m.bin"))
        return (folder / "m.bin").stat().st_size


class Pipeline:
    """TF-IDF and a classifier of scikit-learn, on its own words or, `same_words`, on ours."""

    def __init__(self, train: Path, classifier: str, same_words: bool = False) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import MultiLabelBinarizer
        from sklearn.svm import LinearSVC

        from fastembed.corpus import Reading

        texts, labels = read(train)
        several = any(len(each) > 1 for each in labels)
        words: dict[str, Any] = {}
        if same_words:
            reading = Reading(words=True)
            tokenizer = lambda text: reading.sequences(text or "\n")[0]  # noqa: E731
            words = {"tokenizer": tokenizer, "token_pattern": None, "lowercase": False}
        vectors, kind = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), **words), {
            "LinearSVC": LinearSVC,
            "LogisticRegression": LogisticRegression,
            "ridge": RidgeClassifier,
        }[classifier]()  # fmt: skip
        if not several:
            self._model = make_pipeline(vectors, kind).fit(texts, [each[0] for each in labels])
            self._names = self._model.classes_
            return
        binarizer = MultiLabelBinarizer().fit(labels)
        kind = Ridge(solver="sparse_cg") if classifier == "ridge" else OneVsRestClassifier(kind, n_jobs=THREADS)
        targets = binarizer.transform(labels)
        self._model = make_pipeline(vectors, kind).fit(texts, targets)
        self._names = binarizer.classes_

    def _scores(self, documents: list[str]) -> tuple[Any, bool]:
        """Return the scores of all labels, and whether they are probabilities."""
        if hasattr(self._model, "predict_proba"):
            return self._model.predict_proba(documents), True
        decide = getattr(self._model, "decision_function", None) or self._model.predict
        scores = decide(documents)
        return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores, False

    def predict(self, documents: list[str]) -> Any:
        """Return the first label of each document."""
        return self._names[self._scores(documents)[0].argmax(axis=1)]

    def top(self, documents: list[str]) -> list[list[tuple[str, float]]]:
        """Return the first labels of each document, and their probabilities or NaN."""
        scores, probable = self._scores(documents)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        return [
            [(self._names[c], float(row[c]) if probable else math.nan) for c in first]
            for row, first in zip(scores, best.tolist(), strict=True)
        ]

    def size(self, folder: Path) -> int:
        """Return the bytes of the file that holds it."""
        (folder / "m.pickle").write_bytes(pickle.dumps(self._model))
        return (folder / "m.pickle").stat().st_size


CONTESTANTS = {
    "fastembed": partial(Ours),
    "fastText, its defaults": partial(FastText),
    "fastText, tuned": partial(FastText, **TUNED),
    "TF-IDF + LinearSVC": partial(Pipeline, classifier="LinearSVC"),
    "TF-IDF + LogisticRegression": partial(Pipeline, classifier="LogisticRegression"),
    "TF-IDF + ridge": partial(Pipeline, classifier="ridge"),
    "fastText, pairs of words": partial(FastText, wordNgrams=2),
    "fastembed, softmax, dim=200": partial(Ours, loss="softmax", dim=200),
}


def contest(name: str, train: Path, valid: Path | None, speed: bool) -> dict[str, Any]:
    """Fit and test one contestant in this process: how fast its first labels are, or how right the first five."""
    began, cpu = time.perf_counter(), time.process_time()
    try:
        model = CONTESTANTS[name](train)
    except (ImportError, RuntimeError) as error:  # not installed, or of fastText: "Encountered NaN."
        return {"failed": str(error)}
    found: dict[str, Any] = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if valid is None:
        return found | {"epochs": model.epochs}
    texts, labels = read(valid)
    warnings.simplefilter("ignore", UserWarning)
    if speed:
        for call in ("first", "again"):  # the first one makes tables, and reads the rows into memory
            began = time.perf_counter()
            model.predict(texts)
            found[f"predicted {call}"] = len(texts) / (time.perf_counter() - began)
        found["epochs"] = model.epochs
    return found | scores_of(model.top(texts), labels) | {"size": size_of(model)}


def scores_of(answers: list[list[tuple[str, float]]], labels: list[list[str]]) -> dict[str, float]:
    """Return P@1, P@5, R@5 and the calibration error of the first labels."""
    from fastembed.classifier import calibration_error

    hits = [[label in each for label, _ in answer] for answer, each in zip(answers, labels, strict=True)]
    right = [hit[0] for hit in hits]
    total = sum(map(sum, hits))
    found = {
        "first": float(np.mean(right)),
        "precision": total / (TOP * len(hits)),
        "recall": total / sum(map(len, labels)),
    }
    confidence = [answer[0][1] for answer in answers]
    return found if math.isnan(confidence[0]) else found | {"error": calibration_error(confidence, right)}


def size_of(model: Any) -> int:
    """Return the bytes of the file that holds a model."""
    with tempfile.TemporaryDirectory() as folder:
        size: int = model.size(Path(folder))
    return size


def in_a_process(name: str, train: Path, valid: Path | None, *more: str) -> dict[str, Any]:
    """Return what `contest` says in a new process."""
    command = [sys.executable, __file__, "contest", name, str(train), *([str(valid)] if valid else []), *more]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def make(path: Path, documents: int, labels: int, seed: int = 0) -> int:
    """Write documents of 5 to 15 words; return the number of words.

    Half of the words are of the label, of which each has some of its own, the others of 50,000 words whose shares fall
    as 1 / rank.
    """
    each = max(5, 4000 // labels)
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 50_001)
    shares /= shares.sum()
    total = 0
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, documents, 100_000):
            count = min(100_000, documents - first)
            label = rng.integers(0, labels, count)
            lengths = rng.integers(5, 16, count)
            ends = np.cumsum(lengths)
            words = rng.choice(50_000, ends[-1], p=shares)
            own = rng.random(ends[-1]) < 0.5
            names = np.repeat(label, lengths) * each + rng.integers(0, each, ends[-1])
            tokens = [f"y{n}" if mine else f"w{w}" for n, w, mine in zip(names, words, own, strict=True)]
            start = 0
            for which, end in zip(label.tolist(), ends.tolist(), strict=True):
                file.write(f"{PREFIX}{which} {' '.join(tokens[start:end])}\n")
                start = end
            total += int(ends[-1])
    return total


def labelled(files: list[Path]) -> None:
    """Print the table of files with labels."""
    rows = []
    names = list(CONTESTANTS)[:6]
    for train, valid in zip(files[::2], files[1::2], strict=True):
        for name in names:
            found = in_a_process(name, train, valid)
            if "failed" in found:
                cells = [found["failed"], *["-"] * 5]
            else:
                error = f"{found['error']:.3f}" if "error" in found else "-"
                scores = (f"{found[key]:.3f}" for key in ("first", "precision", "recall"))
                cells = [*scores, error, f"{found['seconds']:.1f}", f"{found['size'] / 1e6:,.1f}"]
            rows.append((train.stem, name, *cells))
            print(*rows[-1], flush=True)
    header = ("set", "classifier", "P@1", "P@5", "R@5", "calibration error", "seconds", "MB")
    print_table(header, rows)


def crossed(files: list[Path]) -> None:
    """Print the calibration error of cross-validated predictions, what chance does to it, and P@1 by LinearSVC, too."""
    from scipy.stats import binomtest

    warnings.simplefilter("ignore", UserWarning)
    rows, rng = [], np.random.default_rng(0)
    for train, valid in zip(files[::2], files[1::2], strict=True):
        lines = [line for file in (train, valid) for line in file.read_text(encoding="utf-8").splitlines()]
        part, answers = rng.permutation(len(lines)) % PARTS, []
        with tempfile.TemporaryDirectory() as folder:
            for k in range(PARTS):
                rest, left_out = Path(folder, "rest.txt"), Path(folder, "left_out.txt")
                for path, chosen in ((rest, part != k), (left_out, part == k)):
                    path.write_text("".join(f"{lines[i]}\n" for i in np.flatnonzero(chosen)), encoding="utf-8")
                texts, labels = read(left_out)
                first = [each[0] for each in Ours(rest).top(texts)]
                theirs = Pipeline(rest, "LinearSVC", same_words=True).predict(texts)
                answers += [(p, a in own, b in own) for (a, p), b, own in zip(first, theirs, labels, strict=True)]
        confidence, right, of_svc = np.array(answers).T
        alone = int((right > of_svc).sum()), int((right < of_svc).sum())
        figures = *calibration_errors(confidence, right > 0, rng), right.mean(), of_svc.mean()
        test = f"{alone[0]} : {alone[1]}", f"{binomtest(alone[0], sum(alone)).pvalue:.2g}"
        rows.append((train.stem, f"{len(lines):,}", *(f"{figure:.3f}" for figure in figures), *test))
        print(*rows[-1], flush=True)
    errors = "calibration error", "by chance alone", "without chance"
    print_table(("set", "documents", *errors, "P@1", "P@1 of LinearSVC", "right alone", "p"), rows)


def calibration_errors(confidence: Any, right: Any, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the calibration error, its mean if the probabilities were true, and itself less its bias.

    The bias is what drawing the answers once more, by the accuracies of the bins, adds to it.
    """
    from fastembed.classifier import calibration_error

    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rates = (np.bincount(bins, right, BINS) / np.maximum(np.bincount(bins, minlength=BINS), 1))[bins]
    error = calibration_error(confidence, right)
    chance, again = (
        np.mean([calibration_error(confidence, rng.random(len(p)) < p) for _ in range(DRAWS)])
        for p in (confidence, rates)
    )
    return error, float(chance), float(2 * error - again)


def installed_packages() -> dict[str, Path]:
    """Return the folders of the packages that can be imported, by name."""
    folders = [Path(folder) for folder in sys.path[1:] if Path(folder).is_dir()]
    packages = {path.name: path for folder in folders for path in folder.iterdir() if (path / "__init__.py").is_file()}
    return {name: packages[name] for name in sorted(packages) if "fastembed" not in name}


def messages(packages: dict[str, Path]) -> dict[str, list[str]]:
    """Return the translated messages of packages, of four words at least, by language."""
    found: dict[str, list[str]] = {}
    for folder in packages.values():
        for file in sorted(folder.rglob("LC_MESSAGES/*.mo")):
            with file.open("rb") as opened:
                catalogue = vars(gettext.GNUTranslations(opened))["_catalog"]
            texts = (" ".join(text.split()) for key, text in catalogue.items() if key)
            found.setdefault(file.parts[-3], []).extend(text for text in texts if len(text.split()) >= 4)
    return found


def some_files(folder: Path, rng: np.random.Generator, most: int) -> list[Path]:
    """Return the Python files of a folder, or a sample of as many, sorted; in some environments they are 100,000."""
    files = sorted(folder.rglob("*.py"))
    return files if len(files) <= most else [files[k] for k in sorted(rng.choice(len(files), most, replace=False))]


def docstrings(file: Path) -> list[str]:
    """Return the docstrings of a file that have ten words at least, each on a line."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError):
        return []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return [line for text in texts if text and len((line := " ".join(text.split())).split()) >= 10]


def write_sets(folder: Path, split: list[str], seed: int = 0) -> None:
    """Write the sets: docstrings by package, those of two packages by their part, lines of code, and translations.

    Of packages to `split` there is only the second.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng, packages = np.random.default_rng(seed), installed_packages()
    packages = {name: path for name, path in packages.items() if not split or name in split}
    apart = split or SPLIT
    sources = {name: some_files(path, rng, 1000 if name in apart else MOST_FILES) for name, path in packages.items()}
    by_package = {name: [text for file in files for text in docstrings(file)] for name, files in sources.items()}
    lines = {name: [line for file in files for line in code_lines(file)] for name, files in sources.items()}
    parts: dict[str, list[str]] = {}
    for name in apart:
        for file in sources.get(name, []):
            inside = file.parts[file.parts.index(name) + 1 :]
            if len(inside) > 1 and "tests" not in inside:
                parts.setdefault(f"{name}.{inside[0]}", []).extend(docstrings(file))
    languages = messages(packages)
    for title, texts, labels, most in (
        ("docstrings", by_package, 30, 600),
        ("parts", parts, 40, 400),
        ("lines", lines, 20, 1000),
        ("languages", languages, 60, 400),
    ):
        if split and title != "parts":
            continue
        different = {name: sorted(set(each)) for name, each in texts.items()}
        chosen = sorted(different, key=lambda name: (-len(different[name]), name))[:labels]
        rows = []
        for name in chosen:
            some = rng.permutation(len(different[name]))[:most]
            rows += [f"{PREFIX}{name} {different[name][k]}\n" for k in some]
        rows = [rows[k] for k in rng.permutation(len(rows))]
        cut = len(rows) * 4 // 5
        (folder / f"{title}_train.txt").write_text("".join(rows[:cut]), encoding="utf-8")
        (folder / f"{title}_valid.txt").write_text("".join(rows[cut:]), encoding="utf-8")
        print(f"{title}: {len(rows):,} documents of {len(chosen)} labels")


def write_parts(file: Path, folder: Path) -> None:
    """Write four fifths of the lines of a file, which may be compressed, and the rest, in random order."""
    lines = (lzma.open if file.suffix == ".xz" else open)(file, "rt", encoding="utf-8").read().splitlines()
    order, cut = np.random.default_rng(7).permutation(len(lines)), len(lines) * 4 // 5
    for part, chosen in (("train", order[:cut]), ("valid", order[cut:])):
        text = "".join(f"{lines[k]}\n" for k in chosen)
        (folder / f"{file.name.partition('.')[0]}_{part}.txt").write_text(text, encoding="utf-8")


def code_lines(file: Path) -> list[str]:
    """Return the lines of code of a file that have four parts between spaces at least."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except ValueError:
        return []
    return [" ".join(line.split()) for line in lines if len(line.split()) >= 4 and not line.lstrip().startswith("#")]


def short(documents: int, rounds: int) -> None:
    """Print the speed on many short documents of 20 labels: the medians of the rounds, in which all take turns."""
    names = "fastembed", "fastText, its defaults", "fastText, pairs of words"
    with tempfile.TemporaryDirectory() as folder:
        train, valid = Path(folder, "train.txt"), Path(folder, "valid.txt")
        words = make(train, documents, 20)
        make(valid, 200_000, 20, seed=1)
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                results[name].append(in_a_process(name, train, valid, "--speed"))
                print(name, json.dumps(results[name][-1]), flush=True)
    rows = []
    for name in names:
        if any("failed" in found for found in results[name]):
            continue
        times = sorted(found["seconds"] for found in results[name])
        middle = {key: median(found[key] for found in results[name]) for key in ("seconds", "cpu", "epochs", "first")}
        speed, threads = words / middle["seconds"] / THREADS / 1e6, THREADS if name == "fastembed" else 1
        calls = [[found[f"predicted {call}"] / threads for found in results[name]] for call in ("first", "again")]
        seconds = f"{middle['seconds']:.1f} ({times[0]:.1f} to {times[-1]:.1f})", f"{middle['cpu']:.1f}"
        speeds = f"{speed:.2f}", f"{middle['epochs'] * speed:.1f}"
        rows.append((name, *seconds, *speeds, f"{middle['first']:.3f}", *(f"{median(call):,.0f}" for call in calls)))
    trained = "M words per second and thread: of the text", "of all epochs"
    labelled = "predicted per second and thread", "by the second call"
    print_table(("classifier", "seconds", "CPU seconds", *trained, "P@1", *labelled), rows)


def many(documents: int, labels: int) -> None:
    """Print the memory that many labels take."""
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder, "train.txt")
        make(train, documents, labels)
        found = in_a_process("fastembed, softmax, dim=200", train, None)
        took = f"{found['seconds']:.0f}", f"{found['cpu']:.0f}", str(found["epochs"]), f"{found['peak'] / 1e9:.2f}"
        rows = [(f"{documents:,}", f"{labels:,}", *took)]
    print_table(("documents", "labels at most", "seconds", "CPU seconds", "epochs", "peak memory, GB"), rows)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    for name in ("labelled", "crossed"):
        commands.add_parser(name).add_argument("files", nargs="+", type=Path)
    command = commands.add_parser("short")
    command.add_argument("--documents", type=int, default=1_000_000)
    command.add_argument("--rounds", type=int, default=5)
    command = commands.add_parser("many")
    command.add_argument("--documents", type=int, default=100_000)
    command.add_argument("--labels", type=int, default=30_000)
    command = commands.add_parser("sets")
    command.add_argument("folder", type=Path)
    command.add_argument("files", nargs="*", type=Path)
    command.add_argument("--split", nargs="+", default=[])
    command = commands.add_parser("contest")
    command.add_argument("name", choices=CONTESTANTS)
    command.add_argument("files", nargs="+", type=Path)
    command.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    if options.what == "contest":
        valid = options.files[1] if len(options.files) > 1 else None
        print(json.dumps(contest(options.name, options.files[0], valid, options.speed)))
        return
    if options.what == "sets":
        write_sets(options.folder, options.split)
        for file in options.files:
            write_parts(file, options.folder)
        return
    print_facts(f"Classifiers of documents: {options.what}", "sklearn", "fasttext")
    if options.what == "labelled":
        labelled(options.files)
    elif options.what == "crossed":
        crossed(options.files)
    elif options.what == "short":
        short(options.documents, options.rounds)
    else:
        many(options.documents, options.labels)


if __name__ == "__main__":
    main()
