r"""Labels of documents from our mean vectors and from TF-IDF, each in a scikit-learn pipeline with one classifier.

    python bench/peers/classification.py train.txt valid.txt [--dim 300] [--min-count 2]

The files are in fastText's form, one document per line: its labels, each with __label__ before it, and its words.
The classifier is a ridge regression per label. The features are TF-IDF as it is, its singular value decomposition (LSA)
of as many dimensions as ours, and our vectors, all learned from the training documents alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import print_facts
from rounds import print_table
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import label_ranking_average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer, Normalizer

from fastembed import SkipGram

LABEL = "__label__"


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the documents of a file, and the labels of each."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    labels = [[word for word in line if word.startswith(LABEL)] for line in lines]
    return [" ".join(word for word in line if not word.startswith(LABEL)) for line in lines], labels


def contestants(options: argparse.Namespace) -> dict[str, Any]:
    """Return the pipelines by name."""
    tfidf = TfidfVectorizer(sublinear_tf=True)
    lsa = TruncatedSVD(options.dim, random_state=0)
    ours = SkipGram(dim=options.dim, min_count=options.min_count)
    return {
        "TF-IDF": make_pipeline(tfidf, RidgeClassifier(solver="lsqr")),
        f"LSA, {options.dim}": make_pipeline(tfidf, lsa, Normalizer(), RidgeClassifier()),
        f"SkipGram, {options.dim}": make_pipeline(ours, Normalizer(), RidgeClassifier()),
    }


def main() -> None:
    """Fit and score all pipelines in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("--dim", type=int, default=300)
    parser.add_argument("--min-count", type=int, default=2)
    options = parser.parse_args()
    documents, labels = read(options.train)
    held_out, expected = read(options.valid)
    binarizer = MultiLabelBinarizer().fit(labels + expected)
    y, truth = binarizer.transform(labels), binarizer.transform(expected)
    print_facts("Labels of documents: SkipGram and TF-IDF before a ridge regression", "sklearn")
    print(f"{len(documents):,} documents to learn from, {len(held_out):,} held out, {y.shape[1]} labels")
    rows = []
    for name, pipeline in contestants(options).items():
        start = time.perf_counter()
        scores = pipeline.fit(documents, y).decision_function(held_out)
        seconds = time.perf_counter() - start
        first = truth[np.arange(len(truth)), scores.argmax(axis=1)].mean()
        average = label_ranking_average_precision_score(truth, scores)
        rows.append((name, f"{first:.3f}", f"{average:.3f}", f"{seconds:.1f}"))
        print(*rows[-1], flush=True)
    print_table(("features", "P@1", "average precision", "seconds"), rows)


if __name__ == "__main__":
    main()
