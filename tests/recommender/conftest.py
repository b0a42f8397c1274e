"""Baskets of two kinds of items, and a recommender that has learned from them."""

import numpy as np
import pytest

from fastembed import Recommender


def kinds(count, seed):
    """Return baskets of two to five of ten items of one of two kinds."""
    rng = np.random.default_rng(seed)
    names = [[f"{kind}{k}" for k in range(10)] for kind in "ab"]
    return [rng.choice(names[n % 2], rng.integers(2, 6), replace=False).tolist() for n in range(count)]


@pytest.fixture(scope="session")
def baskets():
    return kinds(120, 0)


@pytest.fixture(scope="session")
def held_out():
    return kinds(60, 1)


@pytest.fixture(scope="session")
def model(baskets):
    return Recommender(dim=4, threads=1).fit(baskets)
