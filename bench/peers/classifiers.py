r"""Classifiers of labelled lines: ours, fastText's and scikit-learn's in one run.

    python bench/peers/classifiers.py labelled train.txt valid.txt [train.txt valid.txt ...]
    python bench/peers/classifiers.py short [--documents 1000000]
    python bench/peers/classifiers.py many [--documents 100000 --labels 30000]

`labelled` reads files in fastText's form and says P@1 and the seconds from the file to the fitted model. `short` makes
documents of about ten words and 20 labels, `many` documents of 30,000 labels, of which it says the peak memory; there
only ours and, in `short`, fastText's defaults run. Ours runs with its defaults but for `many`, and every contestant in
a process of its own, on two threads.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from machine import print_facts
from rounds import print_table

THREADS = 2
PREFIX = "__label__"
TUNED = {"lr": 1.0, "epoch": 25, "wordNgrams": 2}


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the documents of a file, and the labels of each."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    labels = [[word for word in line if word.startswith(PREFIX)] for line in lines]
    return [" ".join(word for word in line if not word.startswith(PREFIX)) for line in lines], labels


def fit_ours(train: Path, **parameters: Any) -> tuple[Any, Any]:
    """Return the fitted model, and a function from documents to labels with the prefix."""
    from fastembed import Classifier

    model = Classifier(threads=THREADS, **parameters).fit(train)
    return model, lambda documents: [PREFIX + label for label in model.predict(documents).tolist()]


def fit_fasttext(train: Path, **parameters: Any) -> tuple[Any, Any]:
    """Return the fitted model, and a function from documents to labels."""
    import fasttext

    model = fasttext.train_supervised(input=str(train), thread=THREADS, verbose=0, **parameters)
    return model, lambda documents: [model.f.predict(f"{text}\n", 1, 0.0, "strict")[0][1] for text in documents]


def fit_sklearn(train: Path, classifier: str) -> tuple[Any, Any]:
    """Return the fitted pipeline, and a function from documents to labels."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MultiLabelBinarizer
    from sklearn.svm import LinearSVC

    texts, labels = read(train)
    kind = {"LinearSVC": LinearSVC, "LogisticRegression": LogisticRegression}[classifier]()
    vectors = TfidfVectorizer(ngram_range=(1, 2))
    if all(len(each) == 1 for each in labels):
        model = make_pipeline(vectors, kind).fit(texts, [each[0] for each in labels])
        return model, lambda documents: model.predict(documents).tolist()
    binarizer = MultiLabelBinarizer().fit(labels)
    model = make_pipeline(vectors, OneVsRestClassifier(kind, n_jobs=THREADS)).fit(texts, binarizer.transform(labels))
    names = binarizer.classes_
    return model, lambda documents: names[model.decision_function(documents).argmax(axis=1)].tolist()


CONTESTANTS = {
    "fastembed": lambda train: fit_ours(train),
    "fastText, its defaults": lambda train: fit_fasttext(train),
    "fastText, tuned": lambda train: fit_fasttext(train, **TUNED),
    "TF-IDF + LinearSVC": lambda train: fit_sklearn(train, "LinearSVC"),
    "TF-IDF + LogisticRegression": lambda train: fit_sklearn(train, "LogisticRegression"),
    "fastembed, softmax, dim=200": lambda train: fit_ours(train, loss="softmax", dim=200),
}


def contest(name: str, train: Path, valid: Path | None) -> dict[str, Any]:
    """Fit and test one contestant in this process."""
    began = time.perf_counter()
    try:
        _, predict = CONTESTANTS[name](train)
    except RuntimeError as error:  # fastText: "Encountered NaN."
        return {"failed": str(error)}
    found: dict[str, Any] = {"seconds": time.perf_counter() - began}
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if valid is not None:
        texts, labels = read(valid)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            began = time.perf_counter()
            answers = predict(texts)
        found["predicted"] = len(texts) / (time.perf_counter() - began)
        found["accuracy"] = float(np.mean([a in each for a, each in zip(answers, labels, strict=True)]))
    return found


def in_a_process(name: str, train: Path, valid: Path | None) -> dict[str, Any]:
    """Return what `contest` says in a new process."""
    command = [sys.executable, __file__, "contest", name, str(train), *([str(valid)] if valid else [])]
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
    names = list(CONTESTANTS)[:5]
    for train, valid in zip(files[::2], files[1::2], strict=True):
        for name in names:
            found = in_a_process(name, train, valid)
            cells = (
                ("-", found["failed"]) if "failed" in found else (f"{found['accuracy']:.3f}", f"{found['seconds']:.1f}")
            )
            rows.append((train.stem, name, *cells))
            print(*rows[-1], flush=True)
    print_table(("set", "classifier", "P@1", "seconds"), rows)


def short(documents: int) -> None:
    """Print the speed on many short documents of 20 labels."""
    with tempfile.TemporaryDirectory() as folder:
        train, valid = Path(folder, "train.txt"), Path(folder, "valid.txt")
        words = make(train, documents, 20)
        make(valid, 200_000, 20, seed=1)
        rows = []
        for name in ("fastembed", "fastText, its defaults"):
            found = in_a_process(name, train, valid)
            speed = words / found["seconds"] / THREADS / 1e6
            predicted = found["predicted"] / (THREADS if name == "fastembed" else 1)
            rows.append(
                (name, f"{found['seconds']:.1f}", f"{speed:.2f}", f"{found['accuracy']:.3f}", f"{predicted:,.0f}")
            )
            print(*rows[-1], flush=True)
    header = ("classifier", "seconds", "M words a second a thread", "P@1", "predicted a second a thread")
    print_table(header, rows)


def many(documents: int, labels: int) -> None:
    """Print the memory that many labels take."""
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder, "train.txt")
        make(train, documents, labels)
        found = in_a_process("fastembed, softmax, dim=200", train, None)
        rows = [(f"{documents:,}", f"{labels:,}", f"{found['seconds']:.0f}", f"{found['peak'] / 1e9:.2f}")]
    print_table(("documents", "labels at most", "seconds", "peak memory, GB"), rows)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("labelled").add_argument("files", nargs="+", type=Path)
    commands.add_parser("short").add_argument("--documents", type=int, default=1_000_000)
    command = commands.add_parser("many")
    command.add_argument("--documents", type=int, default=100_000)
    command.add_argument("--labels", type=int, default=30_000)
    command = commands.add_parser("contest")
    command.add_argument("name", choices=CONTESTANTS)
    command.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    if options.what == "contest":
        print(json.dumps(contest(options.name, options.files[0], options.files[1] if len(options.files) > 1 else None)))
        return
    print_facts(f"Classifiers of documents: {options.what}", "sklearn", "fasttext")
    if options.what == "labelled":
        labelled(options.files)
    elif options.what == "short":
        short(options.documents)
    else:
        many(options.documents, options.labels)


if __name__ == "__main__":
    main()
