"""Fixtures for the tests of `SkipGram`."""

import numpy as np
import pytest


@pytest.fixture(scope="package")
def corpus():
    """Walks on a ring of 30 words, upwards."""
    rng = np.random.default_rng(0)
    walks = (rng.integers(30, size=(80, 1)) + np.cumsum(rng.integers(0, 2, size=(80, 12)), axis=1)) % 30
    return [[f"w{step:02d}" for step in walk] for walk in walks]


@pytest.fixture(scope="package")
def labelled():
    """Documents of six words, two in three of them from the topic that is the label, and the labels."""
    topics = [["lamb", "stew", "salt", "oven"], ["chess", "rook", "pawn", "mate"], ["rain", "snow", "wind", "fog"]]
    rng = np.random.default_rng(0)
    common = [f"w{k}" for k in range(8)]
    labels = rng.integers(3, size=240)
    documents = [" ".join(rng.choice(topics[label], 4)) + " " + " ".join(rng.choice(common, 2)) for label in labels]
    return documents, labels
