"""Labelled documents that the tests share."""

import numpy as np
import pytest
from scipy import sparse

TOPICS = {
    "animals": ["cat", "dog", "horse", "cow", "sheep", "goat", "pig", "hen", "duck", "goose"],
    "fruit": ["apple", "pear", "plum", "cherry", "grape", "melon", "lemon", "lime", "fig", "date"],
    "tools": ["saw", "axe", "drill", "plane", "file", "chisel", "clamp", "pliers", "level", "rule"],
}
COMMON = ["the", "a", "of", "and", "to", "in", "is", "it", "that", "for"]


def make_documents(count, seed):
    rng = np.random.default_rng(seed)
    documents, labels = [], []
    for _ in range(count):
        label = str(rng.choice(sorted(TOPICS)))
        words = [*rng.choice(TOPICS[label], 3), *rng.choice(COMMON, 4)]
        rng.shuffle(words)
        documents.append(" ".join(words))
        labels.append(label)
    return documents, labels


@pytest.fixture(scope="session")
def labelled():
    """300 documents of three labels."""
    return make_documents(300, 0)


@pytest.fixture(scope="session")
def held_out():
    return make_documents(100, 1)


@pytest.fixture(scope="session")
def bags_of():
    """A function that returns the bags (N, F) of documents by a fitted model."""

    def bags(fitted, documents):
        indptr, indices, data = fitted.features.bags(documents)
        return sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, len(fitted.features)))

    return bags


@pytest.fixture(scope="session")
def scores_of():
    """A function that returns the scores (N, L) of documents by a fitted classifier, before calibration."""
    return lambda model, documents: model._model.scores(model._model.features.bags(documents))
