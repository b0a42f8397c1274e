"""What a `SkipGram` says of words and documents.

`predict_output`: the exact probability of a context, given a word. `transform` by its methods: means, SIF, and the
vector that predicts a document best, at its minimum.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, sparse

from fastembed import Counts, SkipGram, reference
from fastembed._base.threads import Pool
from fastembed.trainer.folding import Layer, Origin, optimal_rows

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
    with pytest.raises(TypeError, match="queries must be several words, got 'w03'"):
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


# ---------------------------------------------------------------- documents


def random_layer(dim, outputs, dtype=np.float64):
    rng = np.random.default_rng(dim + outputs)
    linear = rng.normal(size=(outputs, dim)).astype(dtype).T  # as that of a trainer
    return linear, rng.normal(size=outputs).astype(dtype)


def objective(d, counts, layer, ridge):
    """Return f(d) and its gradient, by the reference."""
    x = reference.matvec(d, *layer)
    gradient = reference.logits_gradient(x, counts, 1.0) @ layer[0].T.astype(float)
    return reference.loss(x, counts, 1.0) + ridge / 2 * d @ d, gradient + ridge * d


@pytest.mark.parametrize("origin", [False, True])
@pytest.mark.parametrize(("dim", "outputs", "documents"), [(1, 1, 1), (3, 7, 5), (64, 200, 4), (2, 40_000, 120)])
def test_a_fitted_vector_is_the_minimum(dim, outputs, documents, origin):
    layer = random_layer(dim, outputs)
    rng = np.random.default_rng(0)
    counts = sparse.random_array((documents, outputs), density=min(1, 20 / outputs), format="csr", random_state=rng)
    counts.data = np.ceil(counts.data * 3)
    counts.indices = counts.indices.astype(np.int64 if origin else np.int32)
    found, missed = optimal_rows(counts, Layer(*layer, 0.5, Origin.of(*layer) if origin else None), Pool(1))
    assert missed == 0
    for n, d in zip(counts[[0, documents - 1]].toarray(), found[[0, documents - 1]].astype(float), strict=True):
        at = d + rng.normal(size=dim)
        error = optimize.check_grad(
            lambda v, n=n: objective(v, n, layer, 0.5)[0], lambda v, n=n: objective(v, n, layer, 0.5)[1], at
        )
        assert error < 1e-4 * (1 + n.sum())
        assert np.linalg.norm(objective(d, n, layer, 0.5)[1]) <= 2e-3 * n.sum() + 1e-6


def test_documents_that_take_more_steps_are_counted_in_a_warning(labelled, set_constant):
    model = SkipGram(**SETTINGS).fit(labelled[0])
    whole = model.transform(labelled[0][:3], method="fit")
    set_constant("fastembed.trainer.folding.MOST_STEPS", 1)
    with pytest.warns(UserWarning, match="3 of 3 documents did not converge in 1 steps: their") as caught:
        cut = model.transform(labelled[0][:3], method="fit")
    assert [warning.filename for warning in caught] == [__file__]
    assert np.isfinite(cut).all()
    assert not np.array_equal(cut, whole)
    assert optimal_rows(sparse.csr_array([[3.0, 0.0], [0.0, 0.0]]), Layer(*random_layer(1, 2), 1.0), Pool(1))[1] == 1


def test_documents_and_threads_do_not_change_each_others_vectors(labelled):
    model = SkipGram(**SETTINGS).fit(labelled[0])
    whole = model.transform(labelled[0], method="fit")
    again = SkipGram(**SETTINGS, threads=3).fit(labelled[0]).transform(labelled[0], method="fit")
    assert_array_equal(whole, again)
    assert whole.dtype == np.float32
    assert_allclose(model.transform(labelled[0][:3], method="fit"), whole[:3], atol=1e-4)
    reversed_words = " ".join(reversed(labelled[0][0].split()))
    assert_allclose(model.transform([reversed_words], method="fit"), whole[:1], atol=1e-3)
    for method in ("mean", "sif"):
        rows = model.transform(labelled[0], method=method)
        assert_allclose(model.transform(labelled[0][:3], method=method), rows[:3], atol=1e-6)


def test_sif_weighs_words_and_takes_away_what_is_common(labelled):
    model = SkipGram(**SETTINGS).fit(labelled[0])
    counts = model._fitted.vocabulary.counts
    p = counts / counts.sum()
    weights = 1e-3 / (1e-3 + p)
    matrix = model.vectors.matrix.astype(float)
    common = np.linalg.svd(np.sqrt(p * weights)[:, None] * matrix, full_matrices=False)[2][0]
    found = model.transform(labelled[0][:20], method="sif")
    assert_allclose(found @ common, 0, atol=1e-5)
    for text, row in zip(labelled[0][:20], found, strict=True):
        ids = [model.vectors.tokens.index(token) for token in text.split()]
        mean = (weights[ids, None] * matrix[ids]).mean(axis=0)
        assert_allclose(row, mean - common * (mean @ common), atol=1e-6)


def test_transform_is_the_mean_of_the_known_words(labelled):
    documents, _ = labelled
    model = SkipGram(**SETTINGS).fit(documents)
    texts = ["lamb stew lamb unknown", "", "unknown", "fog", *documents[:20]]
    with pytest.warns(UserWarning, match="^2 of 24 documents have no known word: their vectors are zero$"):
        found = model.transform(texts)
    assert found.shape == (24, 4)
    assert found.dtype == np.float32
    for row, text in zip(found, texts, strict=True):
        vectors = [model.vectors[token].astype(float) for token in text.split() if token in model.vectors]
        expected = np.mean(vectors, axis=0) if vectors else np.zeros(4)
        assert_allclose(row, expected, rtol=0, atol=1e-6)
    assert not found[1].any()
    assert not found[2].any()
    with pytest.warns(UserWarning, match="no known word"):
        assert_array_equal(found, model.transform([text.split() for text in texts]))
    assert model.transform([]).shape == (0, 4)


def test_fit_transform_is_fit_then_transform(labelled):
    documents, labels = labelled
    model = SkipGram(**SETTINGS)
    found = model.fit_transform(documents, labels)
    assert_array_equal(found, SkipGram(**SETTINGS).fit(documents).transform(documents))
