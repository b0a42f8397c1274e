"""What becomes of text: a vocabulary, vectors, labels. The text is that of the demonstration, the standard library's.

The documents of the classifier are its docstrings and comments, 15 of 16 to learn from; a label is the package.
"""

from __future__ import annotations

import sysconfig
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastembed import Classifier, SkipGram, Vocabulary
from fastembed._base.threads import check_threads
from fastembed.demo import standard_library
from fastembed.trainer.data import FitOptions

CONTESTANTS = ("fastembed", "sklearn")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Return the path of a file with a passage per line."""
    path = tmp_path_factory.mktemp("text") / "library.txt"
    path.write_text("".join(" ".join(line) + "\n" for line in standard_library().sequences), encoding="utf-8")
    return path


def test_vocabulary(benchmark, text):
    vocabulary = benchmark(Vocabulary.from_corpus, text, min_count=1, threads=1)
    counter = Counter(text.read_text(encoding="utf-8").split())
    assert dict(zip(vocabulary.tokens, vocabulary.counts, strict=True)) == counter


def test_vocabulary_counter(benchmark, text):
    assert benchmark(lambda: Counter(text.read_text(encoding="utf-8").split()))["the"] > 1_000


@pytest.fixture(scope="module")
def trained(text):
    return SkipGram().fit(text)


def test_file_to_vectors(benchmark, text, trained):
    again = benchmark.pedantic(lambda: SkipGram().fit(text), rounds=3)
    np.testing.assert_array_equal(again.vectors.matrix, trained.vectors.matrix)


def test_file_to_vectors_products(benchmark, trained):
    """The matrix products of all its epochs."""
    from block import BareProducts

    inputs, outputs = len(trained.vocabulary), trained.trainer.linear.shape[1]
    bare = BareProducts(inputs, outputs, trained.dim, FitOptions.block_size, check_threads(None))
    benchmark.pedantic(lambda: [bare.epoch() for _ in range(trained.epochs)], rounds=3, warmup_rounds=1)


@pytest.fixture(scope="module")
def documents():
    """Return documents to learn from and held out, and their labels."""
    folders = sorted(file.parent for file in Path(sysconfig.get_path("stdlib")).glob("*/__init__.py"))
    found = [(" ".join(tokens), folder.name) for folder in folders for tokens in passages(folder)]
    learned = [one for n, one in enumerate(found) if n % 16]
    (texts, labels), (held_out, truth) = (zip(*part, strict=True) for part in (learned, found[::16]))
    return SimpleNamespace(texts=list(texts), labels=list(labels), held_out=list(held_out), truth=np.array(truth))


def passages(folder):
    """Return the passages of at least five tokens of a package that has a hundred such, tests apart."""
    sequences = standard_library(folder).sequences if folder.name not in ("test", "idlelib") else []
    found = [tokens for tokens in sequences if len(tokens) >= 5]
    return found if len(found) >= 100 else []


def classifier(contestant):
    if contestant == "fastembed":
        return Classifier(threads=1)
    svm = pytest.importorskip("sklearn.svm", reason="scikit-learn is not installed")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)), svm.LinearSVC())


@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_classifier_fit(benchmark, documents, contestant):
    model = classifier(contestant)
    benchmark.pedantic(model.fit, (documents.texts, documents.labels), rounds=3)
    assert np.mean(model.predict(documents.held_out) == documents.truth) > 0.6


@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_classifier_predict(benchmark, documents, contestant):
    model = classifier(contestant).fit(documents.texts, documents.labels)
    assert np.mean(benchmark(model.predict, documents.held_out) == documents.truth) > 0.6
