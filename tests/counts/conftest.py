"""Fixtures for the tests of counts."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Vocabulary


@pytest.fixture(scope="session")
def assert_same():
    """Assert that two counts are equal in every bit of their arrays."""

    def assert_same_arrays(a, b):
        a, b = a.to_scipy(), b.to_scipy()
        for name in ("indptr", "indices", "data"):
            assert_array_equal(getattr(a, name), getattr(b, name), strict=True)

    return assert_same_arrays


@pytest.fixture(scope="session")
def write_lines():
    """Write token lists into a file, one per line, and return its path."""

    def write(folder, corpus, name="text"):
        path = folder / name
        path.write_text("".join(" ".join(line) + "\n" for line in corpus), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def zipf():
    """Lines of all lengths, 30,000 tokens, and a vocabulary that needs both levels of the bitmap."""
    rng = np.random.default_rng(3)
    words = np.minimum(rng.zipf(1.2, 30_000), 5_000).astype(str).tolist()
    cuts = [0, *sorted(rng.choice(30_000, 500, replace=False).tolist()), 30_000]
    corpus = [words[a:b] for a, b in pairwise(cuts)]
    return corpus, Vocabulary.from_corpus(corpus, min_count=1)
