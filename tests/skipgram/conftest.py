"""Fixtures for the tests of `SkipGram`."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal


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


@pytest.fixture(scope="session")
def assert_same():
    """Assert that two fitted models have learned the same, to the last bit."""

    def compare(found, expected):
        assert found.vectors.tokens == found.vocabulary.tokens == expected.vocabulary.tokens
        assert_array_equal(found.vectors.matrix, expected.vectors.matrix)
        for name in ("embedding", "linear", "bias", "squares"):
            for one, other in zip(getattr(found.trainer, name), getattr(expected.trainer, name), strict=True):
                assert_array_equal(one, other)
        assert found.history == expected.history
        assert_array_equal(found.vocabulary.counts, expected.vocabulary.counts)
        for name in ("ledger", "appended"):
            assert getattr(found.vocabulary, name) == getattr(expected.vocabulary, name)
        learned = "ledger windows_ baskets_ max_contexts_ counts_sha256_ centre_ best_epoch_ reading_"
        for name in learned.split():
            assert repr(getattr(found, name)) == repr(getattr(expected, name)), name

    return compare
