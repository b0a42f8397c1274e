"""Held-out items of baskets."""

import copy
import importlib.util
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, Recommender, SkipGram, Vocabulary
from fastembed.corpus import Reading
from fastembed.evaluation import held_out_items, split_users
from fastembed.evaluation.held_out import basket_scores


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


def test_scores_are_those_of_predict_outputs(model, capsys):
    """Of three items two are hidden; which one is shown follows from the seed."""
    basket = ["a0", "a1", "a2"]
    score = held_out_items(model, [basket], given=1, topn=1, seed=3, progress=True)
    assert "baskets: " in capsys.readouterr().err
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
    assert (score.baskets, score.scored, score.unknown) == (5, 1, 2)


def test_baskets_are_read_as_the_model_reads(model, baskets):
    expected = held_out_items(model, baskets, given=1)
    assert held_out_items(model, [" ".join(basket) for basket in baskets], given=1) == expected
    model = copy.copy(model).set_params(reading=Reading(lowercase=True))
    assert held_out_items(model, [" ".join(basket).upper() for basket in baskets], given=1) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baskets": [["a0"], ["x", "y"]]}, "none of the 2 baskets has 2 items that the model knows"),
        ({"baskets": []}, "none of the 0 baskets has 2 items"),
        ({"baskets": [["a0", "a1"]], "given": 2}, "none of the 1 baskets has 3 items that the model knows"),
        ({"given": 0}, "given must be at least 1, got 0"),
        ({"given": 1, "hidden": 0.2}, "give either given=1 or hidden=0.2"),
        ({"hidden": 1.5}, "hidden must be .* got 1.5"),
        ({"user": "who"}, "no user, item and weight"),
        ({"topn": 0}, "topn must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_wrong_arguments_are_named(model, options, message):
    with pytest.raises(ValueError, match=message):
        held_out_items(model, **({"baskets": [["a0", "a1"]]} | options))


def test_vectors_alone_predict_nothing(model, baskets):
    with pytest.raises(TypeError, match="model must be a SkipGram or a Recommender, got Vectors"):
        held_out_items(model.vectors, baskets)


def by_hand(log_p, hidden, topn):
    """Return the scores of one basket: nll, precision, recall, NDCG, hit rate, reciprocal rank."""
    order = sorted((-value, item) for item, value in enumerate(log_p) if value > -math.inf)
    hits = [item in hidden for _, item in order[:topn]]
    gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit)
    most = sum(1 / math.log2(place + 2) for place in range(min(topn, len(hidden))))
    found = sum(hits)
    first = next((1 / (place + 1) for place, hit in enumerate(hits) if hit), 0.0)
    nll = -sum(log_p[item] for item in hidden) / len(hidden)
    return nll, found / topn, found / len(hidden), gain / most, float(found > 0), first


@pytest.mark.parametrize("topn", [1, 3, 5, 40])
def test_scores_are_those_by_hand(topn):
    rng = np.random.default_rng(topn)
    log_p = np.log(rng.dirichlet(np.ones(25), 30)).astype(np.float32)
    log_p[:, 7] = log_p[:, 3]  # ties
    hidden = [rng.choice(24, rng.integers(1, 8), replace=False) for _ in log_p]
    log_p[:, 24] = -np.inf  # shown
    matrix = sparse.csr_array((log_p.shape), dtype=np.float32).tolil()
    for row, items in enumerate(hidden):
        matrix[row, items] = 1
    scores, best = basket_scores(log_p, matrix.tocsr(), topn)
    expected = [by_hand(row.tolist(), set(items.tolist()), topn) for row, items in zip(log_p, hidden, strict=True)]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert best.shape == (30, min(topn, 25))


@pytest.fixture(scope="module")
def recommender(baskets):
    return Recommender(dim=3, threads=1).fit(baskets)


def test_a_recommender_is_scored_on_what_it_recommends(recommender, baskets, capsys):
    """One item of two is hidden: which one follows from the seed."""
    pairs = [basket[:2] for basket in baskets[:40]]
    score = held_out_items(recommender, pairs, topn=3)
    assert capsys.readouterr().err == ""
    assert held_out_items(recommender, pairs, topn=3, progress=True) == score
    assert "baskets: " in capsys.readouterr().err
    answers = [[dict(recommender.recommend([[shown]], 99)[0]) for shown in pair] for pair in pairs]
    possible = [
        [-math.log(answer[other]) for answer, other in zip(each, pair[::-1], strict=True)]
        for each, pair in zip(answers, pairs, strict=True)
    ]
    assert min(map(min, possible)) < score.nll < max(map(max, possible))
    low, high = (np.mean([pick(each) for each in possible]) for pick in (min, max))
    assert low - 1e-6 <= score.nll <= high + 1e-6
    assert (score.baskets, score.scored) == (40, 40)
    assert score.recall == score.hit_rate == pytest.approx(3 * score.precision)
    assert score.ndcg < score.recall
    assert 0 < score.errors["nll"] < 0.5
    assert score.recall > score.popularity["recall"]
    assert score.perplexity < math.exp(score.popularity["nll"])
    assert score.popularity["coverage"] <= 0.4
    assert score == held_out_items(recommender, pairs, topn=3)
    assert score != held_out_items(recommender, pairs, topn=3, seed=1)
    assert score == held_out_items(recommender, pairs, topn=3, hidden=1.0)  # one is always shown
    assert score.record()["perplexity"] == score.perplexity


@pytest.mark.filterwarnings("ignore:the model knows most of these users")
def test_all_models_are_asked_for_the_same_items(model, recommender, baskets):
    """So that popularity has the same score, also with the items of training or of the test in another order."""
    other = Recommender(dim=3, epochs=1, threads=1).fit([basket[::-1] for basket in baskets[::-1]])
    asked = [each[:3] for each in baskets[:30]]
    for options in ({}, {"hidden": 0.5}, {"given": 1, "seed": 1}):
        scores = [held_out_items(each, asked, **options) for each in (model, recommender, other)]
        scores.append(held_out_items(model, [[*basket[::-1], "unknown"] for basket in asked], **options))
        np.testing.assert_allclose([each.popularity["nll"] for each in scores], scores[0].popularity["nll"], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:the model knows most of these users")
def test_every_form_of_input_gives_the_same_score(recommender, baskets, tmp_path):
    items = recommender.items_.tolist()
    expected = held_out_items(recommender, baskets, hidden=0.5)
    path = tmp_path / "baskets.txt"
    path.write_text("".join(f"{' '.join(basket)}\n" for basket in baskets), encoding="utf-8")
    rows = sparse.lil_array((len(baskets), len(items)))
    for number, basket in enumerate(baskets):
        rows[number, [items.index(item) for item in basket]] = 1
    pairs = [(number, item) for number, basket in enumerate(baskets) for item in basket]
    table = {"who": [who for who, _ in pairs], "what": [what for _, what in pairs]}
    assert held_out_items(recommender, path, hidden=0.5) == expected
    assert held_out_items(recommender, rows.tocsr(), hidden=0.5) == expected
    assert held_out_items(recommender, table, hidden=0.5, user="who", item="what") == expected
    unknown = [[*basket, "unknown"] for basket in baskets] + [["unknown", items[0]]]
    score = held_out_items(recommender, unknown, hidden=0.5)
    assert (score.nll, score.scored, score.baskets) == (expected.nll, expected.scored, expected.baskets + 1)
    assert score.unknown == len(unknown)
    assert str(score).endswith(f"items that the model does not know, left out: {len(unknown)}")
    for data in ([], [[]], [[1, 2]]):
        with pytest.raises(ValueError, match=f"none of the {len(data)} baskets has 2 items that the model knows"):
            held_out_items(recommender, data)
    with pytest.raises(ValueError, match="none of the 1 baskets has a hidden item that the model knows"):
        held_out_items(recommender, [items[:1]], hidden=[[]])


def test_users_are_divided_whole(baskets):
    matrix = sparse.csr_array(np.random.default_rng(0).random((50, 9)) < 0.4, dtype=float)
    train, test = split_users(matrix, 0.3, seed=1)
    assert (train.shape, test.shape) == ((35, 9), (15, 9))
    assert train.sum() + test.sum() == pytest.approx(matrix.sum())
    assert_array_equal(split_users(sparse.dok_array(matrix), 0.3, seed=1)[1].toarray(), test.toarray())
    train, test = split_users(baskets, 0.25)
    assert (len(train), len(test)) == (150, 50)
    assert sorted(train + test) == sorted(baskets)
    table = {"who": list("abcabcddde"), "what": list(range(10))}
    parts = split_users(table, 0.4, user="who")
    users = [set(part["who"].tolist()) for part in parts]
    assert users[0] | users[1] == set("abcde")
    assert (len(users[0]), len(users[1])) == (3, 2)
    assert sorted([*parts[0]["what"], *parts[1]["what"]]) == list(range(10))
    for library, make in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "table")):
        if importlib.util.find_spec(library):
            frame = getattr(importlib.import_module(library), make)(table)
            for part, rows in zip(split_users(frame, 0.4, user="who"), parts, strict=True):
                assert np.asarray(part["what"]).tolist() == rows["what"].tolist()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X": ["a"]}, "at least two users, got 1"),
        ({"X": ["a", "b"], "share": 0}, "share must be"),
        ({"X": ["a", "b"], "user": "who"}, "user must name a field of a table of pairs, got user='who' and list"),
        ({"X": {"who": [1, 2]}}, "of a table of pairs, got user=None and dict"),
    ],
)
def test_what_cannot_be_divided_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        split_users(**given)


def test_hidden_items_may_be_given_of_users_who_are_learned_from():
    taken = np.random.default_rng(0).random((60, 12)) < np.where(
        np.arange(12) % 2 == np.arange(60)[:, None] % 2, 0.7, 0.1
    )
    test = taken & (np.random.default_rng(1).random(taken.shape) < 0.3)
    train, test = sparse.csr_array(1.0 * (taken & ~test)), sparse.csr_array(1.0 * test)
    recommender = Recommender(dim=2, epochs=3, threads=1).fit(train)
    score = held_out_items(recommender, train, hidden=test, topn=3)
    users = [k for k in range(60) if test[[k]].nnz]
    best = [{item for item, _ in recommender.recommend(train[[k]], 3)[0]} for k in users]
    assert score.precision == pytest.approx(
        np.mean([len(b & {*test[[k]].indices}) / 3 for b, k in zip(best, users, strict=True)])
    )
    nll = np.mean([np.log(recommender.perplexity(train[[k]], test[[k]])) for k in users])
    assert (score.nll, score.scored, score.baskets) == (pytest.approx(nll, rel=1e-4), len(users), 60)
    rows = [[[*each[[k]].indices.tolist()] for k in range(60)] for each in (train, test)]
    again = held_out_items(recommender, rows[0], hidden=[[*basket, 99] for basket in rows[1]], topn=3)
    assert (again.precision, again.unknown, again.scored) == (score.precision, 60, len(users))
    for options, message in (
        ({"hidden": test[:5]}, "hidden must have one basket per user, 60, got 5"),
        ({"hidden": train}, "item [0-9]+ of row 0 is both shown and hidden"),
        ({"hidden": test, "user": "who"}, "no user, item and weight"),
    ):
        with pytest.raises(ValueError, match=message):
            held_out_items(recommender, train, **options)
    assert held_out_items(recommender, [[0, 99]], hidden=[[1]]).unknown == 1


def test_baskets_learned_from_are_noticed():
    rng = np.random.default_rng(0)
    baskets = [rng.choice(30, 7, replace=False).tolist() for _ in range(40)]
    recommender = Recommender(dim=2, epochs=1, threads=1).fit(baskets[:30])
    with pytest.warns(UserWarning, match="the model knows most of these users"):
        held_out_items(recommender, baskets[:30])
    held_out_items(recommender, baskets[30:])
    pairs = [["a", "b"], ["b", "c"], ["d", "e", "a"]] * 4  # small, and equal ones
    named = {"who": [f"u{k}" for k in range(12) for _ in pairs[k]], "what": [item for pair in pairs for item in pair]}
    for data, fields in ((pairs, {}), (named, {"user": "who", "item": "what"})):
        recommender = Recommender(dim=2, epochs=1, threads=1).fit(data, **fields)
        with pytest.warns(UserWarning, match="the model knows most of these users"):
            held_out_items(recommender, data, **fields)
    later = {"who": np.repeat([f"u{k}" for k in range(12)], 2), "what": ["c", "d"] * 12}  # other items of known users
    with pytest.warns(UserWarning, match="the model knows most of these users"):
        held_out_items(recommender, later, user="who", item="what")
    held_out_items(recommender, [["a", "c"], *pairs])  # users 0 to 12 are others than u0 to u11
    recommender = Recommender(dim=2, epochs=1, threads=1).fit(baskets[:30])
    few = [np.flatnonzero(row).tolist() for row in rng.random((400, 8)) < 0.7]  # of which many are equal by chance
    held_out_items(recommender.fit(few[:300]), few[300:])
