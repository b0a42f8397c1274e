"""`SkipGram.predict_output`: the exact probability of a context, given a word."""

import numpy as np
import pytest

from fastembed import Counts, SkipGram, reference

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None}


def softmax(model, word):
    """In float64, from the public arrays."""
    trainer = model.trainer
    i = model.vocabulary[word]
    return reference.softmax(reference.matvec(trainer.embedding[i], trainer.linear, trainer.bias))


@pytest.mark.parametrize("max_contexts", [None, 11])
def test_a_directed_model_gives_the_shares_of_either_side_and_of_both(corpus, max_contexts):
    model = SkipGram(max_contexts=max_contexts, **SETTINGS).fit(corpus)
    k = model.max_contexts_
    assert k == (max_contexts or 30)
    for word in ("w03", "w29"):
        p = softmax(model, word)
        sides = {None: p[:k] + p[k:], "before": p[:k] / p[:k].sum(), "after": p[k:] / p[k:].sum()}
        for side, expected in sides.items():
            expected[model.vocabulary[word] : model.vocabulary[word] + 1] = 0  # no word is its own answer
            expected /= expected.sum()
            found = model.predict_output(word, topn=1000, side=side)
            best = [model.vocabulary.tokens[c] for c in np.argsort(-expected) if expected[c]]
            assert [token for token, _ in found] == best
            assert [share for _, share in found] == pytest.approx(sorted(expected, reverse=True)[: len(best)], rel=1e-5)
            assert sum(share for _, share in found) == pytest.approx(1, abs=1e-12)
            assert model.predict_output(word, topn=3, side=side) == found[:3]
    assert len(model.predict_output("w03")) == 10


@pytest.mark.parametrize("settings", [{"directed": False}, {"window": (2, 0)}, {"baskets": "flat", "window": 12}])
def test_a_model_without_sides_gives_the_softmax_and_knows_no_side(corpus, settings):
    model = SkipGram(**SETTINGS | settings).fit(corpus)
    found = dict(model.predict_output("w03", topn=30))
    p = softmax(model, "w03")
    p[model.vocabulary["w03"]] = 0
    assert "w03" not in found
    assert list(found.values()) == pytest.approx(sorted(p / p.sum(), reverse=True)[:-1], rel=1e-5)
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)
    with pytest.raises(ValueError, match="side='after' needs a model with directed=True and a window on both sides"):
        model.predict_output("w03", side="after")


@pytest.mark.parametrize("settings", [{}, {"directed": False}, {"max_contexts": 11}])
@pytest.mark.parametrize("side", [None, "before"])
def test_several_words_give_the_weighted_mean_without_what_is_left_out(corpus, settings, side):
    model = SkipGram(**SETTINGS | settings).fit(corpus)
    side = side if model.windows_.directed else None
    k, mean = model.max_contexts_, 0
    for word, weight in (("w03", 1), ("w20", 2.5), ("w29", 1)):
        p = softmax(model, word)
        if model.windows_.directed:
            p = p[:k] + p[k:] if side is None else p[:k]
        mean = mean + weight * p / p.sum()
    for exclude in (None, ["w05", "w20", "w07"]):
        left = {
            c: share
            for c, share in zip(model.vocabulary.tokens[:k], mean, strict=True)
            if c not in ("w03", "w20", "w29", *(exclude or ()))
        }
        found = model.predict_output(["w03", ("w20", 2.5), "w29"], 99, side, exclude=exclude)
        assert [c for c, _ in found] == sorted(left, key=left.get, reverse=True)
        for c, p in found:
            assert p == pytest.approx(left[c] / sum(left.values()), rel=1e-5)


def test_many_queries_give_what_each_gives(corpus, set_constant):
    model = SkipGram(**SETTINGS).fit(corpus)
    rng = np.random.default_rng(0)
    queries = [rng.choice(model.vocabulary.tokens, n).tolist() for n in rng.integers(1, 9, 50)] + ["w03"]
    answers = [model.predict_output(query) for query in queries]
    for numbers in (1 << 22, 200, 1):  # in one block, in several, one by one
        set_constant("fastembed.skipgram.prediction.BATCH_LOGITS", numbers)
        found = model.predict_outputs(queries)
        assert [[word for word, _ in answer] for answer in found] == [
            [word for word, _ in answer] for answer in answers
        ]
        assert np.array([[p for _, p in answer] for answer in found]) == pytest.approx(
            np.array([[p for _, p in answer] for answer in answers]), rel=1e-6
        )
    assert model.predict_outputs([]) == []


def test_unknown_words_can_be_skipped(corpus):
    model = SkipGram(epochs=1, **SETTINGS).fit(corpus)
    skip = {"skip_unknown": True}
    known = model.predict_output("w03")
    assert model.predict_outputs([["w03", "x"], ["x"], "x"], **skip) == [known, [], []]
    assert model.predict_output(["w03", "x"], exclude=["y"], **skip) == known
    assert model.predict_output("x", **skip) == []
    for wrong in ({"words": ["w03", "x"]}, {"words": "w03", "exclude": ["x"]}):
        with pytest.raises(KeyError, match="'x' is not among the 30 tokens"):
            model.predict_output(**wrong)
    with pytest.raises(TypeError, match="queries must be several, got 'w03': predict_output takes a single"):
        model.predict_outputs("w03")


def test_what_is_left_out_is_the_same_for_all_queries_or_its_own_for_each(corpus):
    model = SkipGram(epochs=1, **SETTINGS).fit(corpus)
    queries = ["w03", ["w03", "w20"]]
    assert model.predict_outputs(queries, exclude=["w05"]) == [
        model.predict_output(query, exclude=["w05"]) for query in queries
    ]
    assert model.predict_outputs(queries, exclude=[["w05", "w06"], []]) == [
        model.predict_output("w03", exclude=["w05", "w06"]), model.predict_output(["w03", "w20"])
    ]  # fmt: skip
    with pytest.raises(ValueError, match="exclude must be words, or a list of them for each of 2 queries, got 1"):
        model.predict_outputs(queries, exclude=[["w05"]])


def test_integers_are_answered_with_integers():
    baskets = [[260, 1196, 7], [260, 1196], [858, 7], [858, 1196]]
    model = SkipGram(baskets="share", dim=2, min_count=1).fit(baskets)
    text = model.predict_outputs(["260", ["260", "7"]])
    numbers = [[(int(item), p) for item, p in answer] for answer in text]
    assert {item for item, _ in text[0]} == {"1196", "858", "7"}
    assert model.predict_outputs([260, [np.int64(260), (7, 1.0)]]) == numbers
    likes = [(user, item) for user, basket in zip("abcd", baskets, strict=True) for item in basket]
    likes = SkipGram(dim=2).fit(Counts.from_pairs(*zip(*likes, strict=True)))
    (answer,) = likes.predict_outputs(["c"], exclude=[[858, 7]])
    assert {item for item, _ in answer} == {260, 1196}
    assert sum(p for _, p in answer) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"words": "w3"}, KeyError, "'w3' is not among the 30 tokens; the closest spellings are 'w"),
        ({"words": []}, ValueError, "a query must hold at least one word, got none"),
        ({"words": [("w03", 0)]}, ValueError, "the weight of 'w03' must be finite and above 0, got 0"),
        ({"words": ("w03", 2.0)}, TypeError, r"a token is a str, .*got 2\.0"),
        ({"words": 0.5}, TypeError, "a query must be a word or several, got 0.5"),
        ({"words": "w03", "exclude": "w04"}, TypeError, "exclude must be several words, got 'w04'"),
        ({"words": "w03", "exclude": [0.5]}, TypeError, r"exclude\[0\] must be several words, got 0.5|a token is"),
        ({"words": "w03", "topn": 0}, ValueError, "topn must be at least 1, got 0"),
        ({"words": "w03", "side": "left"}, ValueError, "side must be None, 'before' or 'after', got 'left'"),
    ],
)
def test_wrong_arguments_are_named(corpus, arguments, error, message):
    model = SkipGram(epochs=1, **SETTINGS).fit(corpus)
    with pytest.raises(error, match=message):
        model.predict_output(**arguments)
