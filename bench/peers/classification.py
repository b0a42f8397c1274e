r"""Labels of documents from our document vectors and from TF-IDF, with the same classifier.

    python bench/peers/classification.py train.txt valid.txt [--dims 100 300] [--min-count 2] [--text wiki.txt]

The files are in fastText's format, one document per line: its labels, each with the prefix __label__, and its words.
The classifier is a ridge regression per label. The features are TF-IDF, its singular value decomposition (LSA) with as
many dimensions as ours, and our vectors by each method of `SkipGram.transform`, from models of the training documents
and, if given, of another text. All except TF-IDF are scaled to unit length.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import print_facts
from rounds import print_table
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import label_ranking_average_precision_score
from sklearn.preprocessing import MultiLabelBinarizer, normalize

from fastembed import SkipGram

LABEL = "__label__"
METHODS = ("mean", "sif", "fit")


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the documents of a file, and the labels of each."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    labels = [[word for word in line if word.startswith(LABEL)] for line in lines]
    return [" ".join(word for word in line if not word.startswith(LABEL)) for line in lines], labels


def features(options: argparse.Namespace, documents: list[str], held_out: list[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name of each contestant, and its features of the documents to learn from and of those held out."""
    tfidf = TfidfVectorizer(sublinear_tf=True)
    words = tfidf.fit_transform(documents), tfidf.transform(held_out)
    yield "TF-IDF", *words
    for dim in options.dims:
        lsa = TruncatedSVD(dim, random_state=0)
        yield f"LSA, {dim}", normalize(lsa.fit_transform(words[0])), normalize(lsa.transform(words[1]))
        for text, name in ((documents, "the documents"), (options.text, "the text")):
            if text is None:
                continue
            model = SkipGram(dim=dim, min_count=options.min_count).fit(text)
            for method in METHODS:
                began = time.process_time()
                parts = [normalize(model.transform(part, method=method)) for part in (documents, held_out)]
                print(f"{method}: {time.process_time() - began:.1f} s of a processor for the vectors", flush=True)
                yield f"{method}, {dim}, model of {name}", *parts


def main() -> None:
    """Compute and score all features in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("--dims", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--min-count", type=int, default=2)
    parser.add_argument("--text", type=Path)
    options = parser.parse_args()
    documents, labels = read(options.train)
    held_out, expected = read(options.valid)
    binarizer = MultiLabelBinarizer().fit(labels + expected)
    y, truth = binarizer.transform(labels), binarizer.transform(expected)
    print_facts("Labels of documents: SkipGram and TF-IDF before a ridge regression", "sklearn")
    print(f"{len(documents):,} documents to learn from, {len(held_out):,} held out, {y.shape[1]} labels")
    rows = []
    for name, learned, tested in features(options, documents, held_out):
        classifier = RidgeClassifier(solver="lsqr" if sparse.issparse(learned) else "auto")
        scores = classifier.fit(learned, y).decision_function(tested)
        first = truth[np.arange(len(truth)), scores.argmax(axis=1)].mean()
        average = label_ranking_average_precision_score(truth, scores)
        rows.append((name, f"{first:.3f}", f"{average:.3f}"))
        print(*rows[-1], flush=True)
    print_table(("features", "P@1", "average precision"), rows)


if __name__ == "__main__":
    main()
