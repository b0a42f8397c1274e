"""Held-out items of baskets."""

import copy
import math

import numpy as np
import pytest

from fastembed import Counts, SkipGram, Vocabulary
from fastembed.corpus import Reading
from fastembed.evaluation import HeldOutItems, held_out_items


@pytest.fixture(scope="module")
def baskets():
    """Of two kinds of five items each, two or three of a kind in a basket."""
    rng = np.random.default_rng(0)
    kinds = [[f"a{k}" for k in range(5)], [f"b{k}" for k in range(5)]]
    return [rng.choice(kinds[i % 2], rng.integers(2, 4), replace=False).tolist() for i in range(200)]


@pytest.fixture(scope="module")
def model(baskets):
    counts = Counts.from_baskets(baskets, Vocabulary.from_corpus(baskets, 1), weighting="share")
    return SkipGram(dim=4).fit(counts)


def test_items_of_the_same_kind_are_predicted(model, baskets):
    score = held_out_items(model, baskets, topn=4)
    assert (score.baskets, score.scored) == (200, 200)
    assert 3 < score.perplexity < 5  # three or four items of a kind are left
    assert score.recall > 0.9
    assert score.precision == pytest.approx(score.recall / 4)


def test_scores_are_those_of_predict_outputs(model):
    """Of three items two are hidden; which one is shown follows from the seed."""
    basket = ["a0", "a1", "a2"]
    score = held_out_items(model, [basket], given=1, topn=1, seed=3)
    shown = []
    for item in basket:
        p = dict(model.predict_output([item], topn=10))
        nll = -np.mean([math.log(p[other]) for other in basket if other != item])
        hit = float(model.predict_output([item], topn=1)[0][0] in basket)
        shown.append((nll, hit, hit / 2))
    assert any((score.nll, score.precision, score.recall) == pytest.approx(each) for each in shown)
    assert score == held_out_items(model, [basket], given=1, topn=1, seed=3)


def test_unknown_items_and_short_baskets_are_left_out(model):
    score = held_out_items(model, [["a0"], ["a0", "x"], ["a0", "a0"], ["a0", "a1", "x"], []])
    assert (score.baskets, score.scored) == (5, 1)


def test_baskets_are_read_as_the_model_reads(model, baskets):
    expected = held_out_items(model, baskets, given=1)
    assert held_out_items(model, [" ".join(basket) for basket in baskets], given=1) == expected
    model = copy.copy(model).set_params(reading=Reading(lowercase=True))
    assert held_out_items(model, [" ".join(basket).upper() for basket in baskets], given=1) == expected


def test_the_summary_and_the_record_hold_all_figures():
    score = HeldOutItems(0.0, 0.5, 0.25, topn=2, baskets=3, scored=2)
    assert score.record()["perplexity"] == 1.0
    expected = "nll per hidden item 0.0000, perplexity 1.0, precision@2 0.5000, recall@2 0.2500 on 2 of 3 baskets"
    assert score.summary() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baskets": [["a0"], ["x", "y"]]}, "none of the 2 baskets has 2 known items"),
        ({"baskets": [["a0", "a1"]], "given": 2}, "none of the 1 baskets has 3 known items"),
        ({"given": 0}, "given must be at least 1, got 0"),
        ({"topn": 0}, "topn must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_wrong_arguments_are_named(model, options, message):
    with pytest.raises(ValueError, match=message):
        held_out_items(model, **({"baskets": [["a0", "a1"]]} | options))


def test_vectors_alone_predict_nothing(model, baskets):
    with pytest.raises(TypeError, match="model must be a SkipGram, got Vectors"):
        held_out_items(model.vectors, baskets)
