"""Recommendations of ten of 27,000 items on one thread: of 500 known users, of one, of 100 baskets.

What a user has is left out; the vectors of baskets are found first. Beside it the bare product of the vectors and W. A
user has a hundred items in the median, with frequencies as of Zipf; W is random, and an item has 100 neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from fastembed import Recommender
from fastembed._base.threads import SingleThreadedBlas
from fastembed.recommender.data import Interactions, Names, narrow
from fastembed.recommender.model import FittedRecommender, Model

USERS, ITEMS, DIM, NEIGHBOURS, TOPN = 500, 27_000, 64, 100, 10


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, ITEMS + 1)
    shares /= shares.sum()
    sizes = np.clip(rng.lognormal(np.log(100), 1, USERS), 1, 2_000).astype(int)
    rows, columns = np.repeat(np.arange(USERS), sizes), rng.choice(ITEMS, sizes.sum(), p=shares)
    seen = sparse.coo_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(USERS, ITEMS)).tocsr()
    seen.data[:] = 1
    near: Any = sparse.random_array((ITEMS, ITEMS), density=NEIGHBOURS / ITEMS, format="csr", dtype=np.float32, rng=rng)
    fitted = Model(
        linear=rng.normal(0, 0.3, (ITEMS, DIM)).astype(np.float32).T,
        bias=np.log(shares).astype(np.float32),
        item_weights=narrow(near),
        ridge=6.0,
        median_total=100.0,
        median_weight=1.0,
        factors=np.array([0.9, 0.8, 0.3], np.float32),
    )
    found = Recommender(dim=DIM, threads=1)
    data = Interactions(narrow(seen), Names("user", np.arange(USERS)), Names("item", np.arange(ITEMS)))
    found._model = FittedRecommender(fitted, data, [], {})
    return found


def best(model, answers):
    """Whether answers are the most probable items that the users do not have."""
    p = model.predict_proba(users=range(len(answers)))
    p[model._model.data.matrix[: len(answers)].nonzero()] = 0
    return all(
        set(np.argsort(-row)[:TOPN]) == {item for item, _ in answer} for row, answer in zip(p, answers, strict=True)
    )


def test_known_users(benchmark, model):
    who = range(USERS)
    answers = benchmark(model.recommend, topn=TOPN, users=who)
    assert best(model, answers[:20])


def test_a_known_user(benchmark, model):
    answer = benchmark(model.recommend, 7, TOPN)
    assert answer == model.recommend(7, TOPN)


def test_baskets(benchmark, model):
    baskets = model._model.data.matrix[:100]
    answers = benchmark(model.recommend, baskets, TOPN)
    assert len(answers) == 100


def test_users_times_items(benchmark, model):
    def products():
        with SingleThreadedBlas():
            return model.user_factors_ @ model._model.model.linear

    assert benchmark(products).shape == (USERS, ITEMS)
