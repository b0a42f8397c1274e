"""Answers of a recommender, compared with NumPy by hand; names, files, pickles, errors."""

import copy
import pickle
from itertools import chain
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fastembed import Classifier, Recommender
from fastembed.evaluation import held_out_items
from fastembed.formats.tensors import map_tensors, write_tensors


def same(one, other):
    """Whether two recommenders have the same parameters, names and bits."""
    assert one.get_params() == other.get_params()
    for name in ("items_", "users_", "item_factors_", "user_factors_"):
        assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.history_ == other.history_
    assert one.recommend(users=range(5)) == other.recommend(users=range(5))


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize(("exclude", "among"), [(None, None), (["a0", "b3"], None), (["a1"], ["b1", "a1", "a2", "a5"])])
def test_probabilities_are_those_of_the_items_that_are_left(model, held_out, exclude_seen, exclude, among):
    p = model.predict_proba(held_out).astype(float)
    assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    items = model.items_.tolist()
    answers = model.recommend(held_out, 4, exclude_seen, exclude, among)
    for row, basket, answer in zip(p, held_out, answers, strict=True):
        left = [
            item for item in among or items if item not in (exclude or []) and not (exclude_seen and item in basket)
        ]
        chances = {item: row[items.index(item)] for item in left}
        expected = sorted(left, key=lambda item: -chances[item])[:4]
        assert [item for item, _ in answer] == expected
        found = [chance for _, chance in answer]
        # a vector that only a recommendation needs is less exact
        assert_allclose(found, [chances[item] / sum(chances.values()) for item in expected], rtol=2e-3)


def test_a_known_user_a_basket_and_a_row_are_the_same(model, baskets):
    items = model.items_.tolist()
    rows = sparse.lil_array((3, len(items)))
    for n, basket in enumerate(baskets[:3]):
        rows[n, [items.index(item) for item in basket]] = 1
    several = (baskets[:3], rows.tocsr(), rows.toarray())
    vectors = [model.transform(users=[0, 1, 2]), *map(model.transform, several)]
    for each in vectors[1:]:
        assert_allclose(each, vectors[0], atol=1e-3)
    assert_array_equal(vectors[0], model.user_factors_[:3])
    named = [[item for item, _ in model.recommend(who, 3)[1]] for who in (baskets[:3], rows.tocsr())]
    named.append([item for item, _ in model.recommend(topn=3, users=[0, 1, 2])[1]])
    assert named[0] == named[1] == named[2] == [item for item, _ in model.recommend(np.int64(1), 3)]
    assert [item for item, _ in model.recommend(rows.tocsr()[1], 3)] == named[0]
    heavy = model.transform([[(baskets[0][0], 2.0), *baskets[0][1:]]])
    assert np.abs(heavy - vectors[0][0]).max() > 1e-3


def test_an_item_without_a_weight_weighs_what_is_usual(baskets, held_out, tmp_path):
    """That is the median of training; where training had none itself, it is 1, as there."""
    table, asked = (
        {"user": np.repeat(range(len(each)), [*map(len, each)]), "item": [*chain(*each)]}
        for each in (baskets, held_out)
    )
    minutes = table | {"minutes": np.random.default_rng(0).integers(60, 200, len(table["item"]))}
    fields, path = {"user": "user", "item": "item"}, tmp_path / "m.safetensors"
    Recommender(dim=2, epochs=2, threads=1).fit(minutes, **fields, weight="minutes").save(path)
    model, median = Recommender.load(path), float(np.median(minutes["minutes"]))
    plain, usual = ([[give(item) for item in ("a0", "a1")]] for give in (str, lambda item: (item, median)))
    assert model.recommend(plain) == model.recommend(usual)
    assert model.explain(plain, "a2").contributions == model.explain(usual, "a2").contributions
    rows = sparse.csr_array([[float(item in basket) for item in model.items_] for basket in held_out])
    expected = held_out_items(model, held_out)
    assert held_out_items(model, asked, **fields) == held_out_items(model, rows * median) == expected
    Recommender(dim=2, epochs=2).fit({name: [*column] * 2 for name, column in table.items()}, **fields).save(path)
    events = Recommender.load(path)
    assert events.recommend(plain) == events.recommend([[("a0", 2.0), ("a1", 2.0)]])
    many = Recommender(dim=2, epochs=2, threads=1).fit([2 * basket for basket in baskets])
    assert_allclose(many.transform([2 * basket for basket in baskets]), many.user_factors_, atol=1e-3)


def test_a_user_without_items_gets_what_is_popular(model, baskets):
    items = model.items_.tolist()
    counts = {item: sum(item in basket for basket in baskets) for item in items}
    (answer,) = model.recommend([[]], topn=20)
    order = [counts[item] for item, _ in answer]
    assert order == sorted(order, reverse=True)
    assert_allclose([p for _, p in answer], np.array(order) / sum(order), rtol=1e-4)
    assert_array_equal(model.transform([[], ["a0"]])[0], 0)
    assert model.recommend("nobody", 2, skip_unknown=True) == model.recommend([[]], 2)[0]
    assert model.recommend([["who"], ["a0", "who"]], skip_unknown=True) == model.recommend([[], ["a0"]])
    assert model.recommend([]) == []
    assert model.explain([[]], "a0").score == pytest.approx(np.log(model.predict_proba([[]])[0][items.index("a0")]))
    assert model.recommend([model.items_.tolist()]) == [[]]
    assert model.recommend([["a0"], []], among=[]) == [[], []]


def test_users_are_folded_in_when_asked_for_and_have_the_same_bits_whoever_asks(model, baskets):
    again = pickle.loads(pickle.dumps(model))
    one = [again.transform(users=[u])[0] for u in (119, 70, 0)]
    assert_array_equal(one, model.user_factors_[[119, 70, 0]])
    assert_array_equal(again.user_factors_, model.user_factors_)
    assert_allclose(model.transform(baskets), model.user_factors_, atol=1e-4)


def test_similar_items_and_users_have_the_largest_cosines(model):
    for vectors, names, similar in (
        (model.item_factors_, model.items_, model.similar_items),
        (model.user_factors_, model.users_, model.similar_users),
    ):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = unit @ unit[4]
        cosines[4] = -2
        found = similar(names[4], topn=5)
        assert found[0][0] == names[cosines.argmax()]
        assert_allclose([cosine for _, cosine in found], np.sort(cosines)[::-1][:5], atol=1e-5)
        assert [name for name, _ in similar(names[[4, 5]], topn=5)[0]] == [name for name, _ in found]
    assert model.similar_items(["a1", "who"], skip_unknown=True)[1] == []
    assert len(model.similar_items("a1", topn=1000)) == len(model.items_) - 1


def test_what_the_items_of_a_basket_add_sums_to_the_score(model, held_out):
    """To the tolerance to which the vector of the basket is the optimum."""
    for basket in held_out[:10]:
        logits = np.log(model.predict_proba([basket])[0])
        other, item = "b9", "a3"
        one, two = (model.explain([basket], each) for each in (item, other))
        places = [model.items_.tolist().index(each) for each in (item, other)]
        assert one.score - two.score == pytest.approx(logits[places[0]] - logits[places[1]], abs=0.02)
        assert one.score == pytest.approx(one.bias + sum(share for _, share in one.contributions))
        assert {name for name, _ in one.contributions} == set(basket)
        shares = [share for _, share in one.contributions]
        assert shares == sorted(shares, reverse=True)
        for each, why in ((item, one), (other, two)):
            all_, left = model.predict_proba([basket])[0, places[each == other]], dict(model.recommend([basket], 99)[0])
            assert why.probability == pytest.approx(all_ if each in basket else left[each], rel=2e-3)
    assert "for everybody" in str(one)


def test_perplexity_is_that_of_the_items_that_are_not_shown(model, held_out):
    shown, hidden = [basket[1:] for basket in held_out], [basket[:1] for basket in held_out]
    p = model.predict_proba(shown).astype(float)
    items = model.items_.tolist()
    nll = []
    for row, seen, wanted in zip(p, shown, hidden, strict=True):
        row[[items.index(item) for item in seen]] = 0
        nll.append(-np.log(row[items.index(wanted[0])] / row.sum()))
    assert model.perplexity(shown, hidden) == pytest.approx(np.exp(np.mean(nll)), rel=1e-4)
    assert model.perplexity(held_out) < len(items)


def test_files_pickles_and_copies_have_the_same_bits(model, tmp_path):
    path = tmp_path / "m.safetensors"
    model.save(path)
    for other in (Recommender.load(path), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        same(model, other.set_params(threads=1))
    tensors, metadata = map_tensors(path)
    shorter = {"linear": tensors["linear"][:, 1:].copy(), "factors": np.ones(2, np.float32)}
    others = {name: tensors[name] + 1000 for name in ("seen.items", "similar.indices")}
    for name, damage in (shorter | others | {"items": np.arange(99)}).items():
        write_tensors(path, tensors | {name: damage}, metadata)
        with pytest.raises(ValueError, match=r"safetensors' does not hold a recommender that fits"):
            Recommender.load(path)
    table = {"user": ["ann", "bob", "bob"], "item": [7, 8, 7], "weight": [1.0, 2.0, 0.5]}
    named = Recommender(dim=1, epochs=2).fit(table, user="user", item="item", weight="weight")
    named.save(path)
    other = Recommender.load(path)
    assert (other.users_.tolist(), other.items_.tolist()) == (["ann", "bob"], [7, 8])
    assert other.recommend("ann") == named.recommend("ann") == [(8, pytest.approx(1.0))]
    assert_array_equal(other._model.data.matrix.toarray(), named._model.data.matrix.toarray())
    with pytest.raises(ValueError, match=r"holds recommender, and no"):
        Classifier.load(path)
    with pytest.raises(ValueError, match=r"a model is a .safetensors file, got 'm.txt'"):
        named.save("m.txt")


def test_the_bits_do_not_depend_on_threads(set_constant, baskets):
    set_constant("fastembed.recommender.model.BATCH_LOGITS", 60)  # three users in a block
    one, two = (Recommender(dim=3, epochs=3, threads=threads).fit(baskets) for threads in (1, 2))
    assert_array_equal(one.item_factors_, two.item_factors_)
    assert_array_equal(one.user_factors_, two.user_factors_)
    assert one.recommend(baskets) == two.recommend(baskets)
    assert one.perplexity(baskets) == two.perplexity(baskets)


def test_a_fit_reports_what_it_does_and_is_refused_if_it_takes_too_much(baskets, tmp_path):
    log, records = Mock(), []
    model = Recommender(dim=2, epochs=3, threads=1).fit(baskets, progress=log, on_epoch_end=records.append)
    sizes = log.training.call_args.args[0]
    assert (sizes.users, sizes.items, sizes.entries, sizes.epochs) == (120, 20, sum(map(len, baskets)), 3)
    assert str(sizes).startswith("120 users, 20 items, ")
    assert [call.args[0] for call in log.epoch.call_args_list] == records == model.history_
    path = tmp_path / "baskets.txt"
    path.write_text("".join(f"{' '.join(basket)}\n" for basket in baskets), encoding="utf-8")
    again = Recommender(dim=2, epochs=3, threads=1).fit(path)
    assert_array_equal(again.item_factors_, model.item_factors_)
    with pytest.raises(MemoryError, match="training 120 users of 20 items"):
        again.set_params(dim=10**13).fit(baskets)
    assert again.recommend(0) == model.recommend(0)


def test_training_ends_where_it_is_told_to_and_an_error_changes_nothing(model, baskets):
    assert len(Recommender(dim=2, threads=1).fit(baskets, on_epoch_end=lambda record: True).history_) == 1
    again = copy.deepcopy(model)

    def interrupt(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again.fit(baskets[:30], on_epoch_end=interrupt)
    same(model, again)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m: m.recommend(users=[0, 130]), KeyError, "130 is not among the 120 users, such as the int 0"),
        (lambda m: m.recommend([["a00"]]), KeyError, "'a00' is not among the 20 items; .* 'a0'"),
        (lambda m: m.recommend([[3]]), KeyError, "3 is not among the 20 items, such as the str 'a"),
        (lambda m: m.recommend([[None]]), TypeError, "item must be a str or an int, got None"),
        (lambda m: m.recommend([("a0", 2.0)]), TypeError, "item must be a str or an int, got 2.0"),
        (lambda m: m.recommend(), TypeError, "give either baskets, .* or users=.* by name"),
        (lambda m: m.recommend(0, users=[1]), TypeError, "give either baskets, .* or users=.* by name"),
        (lambda m: m.recommend(users="ann"), TypeError, "users must be several names, got 'ann'"),
        (lambda m: m.recommend(0.5), TypeError, "who must be .* got 0.5"),
        *[
            (ask, TypeError, r"\[0, 1\] may be users or a basket: .* users=\[0, 1\], a basket as \[\[0, 1\]\]")
            for ask in (
                lambda m: m.recommend([0, 1]),
                lambda m: m.transform(np.arange(2)),
                lambda m: m.predict_proba((0, 1)),
                lambda m: m.perplexity([0, 1]),
                lambda m: m.explain([0, 1], "a0"),
            )
        ],
        (lambda m: m.recommend(np.ones((20, 3))), ValueError, r"20 items as columns, got \(20, 3\)"),
        (lambda m: m.recommend(0, topn=0), ValueError, "topn must be at least 1, got 0"),
        (lambda m: m.recommend(0, exclude="a0"), TypeError, "items must be several names, got 'a0'"),
        (lambda m: m.recommend(0, among=["c"]), KeyError, "'c' is not among the 20 items"),
        (lambda m: m.similar_items("a0", skip_unknown=2), TypeError, "skip_unknown must be True or False, got 2"),
        (lambda m: m.explain([["a0"], ["a1"]], "a2"), ValueError, "who must be one user"),
        (lambda m: m.perplexity([["a0"]], [["a0"]]), ValueError, "item 'a0' of row 0 is both shown and hidden"),
        (lambda m: m.perplexity([["a0"]], [["a1"], []]), ValueError, "hidden must have one basket per user, 1, got 2"),
        (lambda m: m.perplexity([[]]), ValueError, "there is no item to predict"),
        (lambda m: Recommender(dim=0).fit([["a", "b"]]), ValueError, "dim must be at least 1, got 0"),
    ],
)
def test_wrong_questions_are_named(model, call, kind, message):
    with pytest.raises(kind, match=message):
        call(model)


def test_weights_too_small_to_count_are_no_items():
    rows = [["a", "b"], ["b", "c"], ["a", "c"]] * 30 + [["q", "r"]] * 3 + [["q", "a"]] * 5
    tiny = rows[:-5] + [["q", "a", ("z", 1e-9)]] * 5
    expected, found = (
        Recommender(dim=2, seed=0).fit(data)._model.model.item_weights.toarray() for data in (rows, tiny)
    )
    assert_allclose(found[:5, :5], expected)
    assert not (found[5] + found[:, 5]).any()


def test_it_is_an_estimator_of_scikit_learn(baskets):
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn.base import clone
    from sklearn.pipeline import make_pipeline
    from sklearn.utils.validation import check_is_fitted

    model = Recommender(dim=3, epochs=2, threads=1)
    assert clone(model).get_params() == model.get_params() == {"dim": 3, "epochs": 2, "seed": 0, "threads": 1}
    matrix = sparse.random_array((30, 20), density=0.3, rng=0)
    vectors = make_pipeline(clone(model)).fit_transform(matrix)
    assert vectors.shape == (30, 3)
    check_is_fitted(model.fit(matrix))
    assert model.n_features_in_ == 20
    assert repr(Recommender(dim=3)) == "Recommender(dim=3)"
    pytest.importorskip("pandas")
    frame = model.set_output(transform="pandas").transform(matrix)
    assert list(frame.columns) == list(model.get_feature_names_out())


def test_popularity_never_speaks_against_an_item():
    """Also where the items that go together tell so much that the likelihood alone would have it so."""
    rng = np.random.default_rng(1)
    baskets = [(10 * kind + rng.choice(10, 6, replace=False)).tolist() for kind in rng.integers(20, size=600)]
    model = Recommender(dim=8, threads=1).fit([*baskets, *([item] for item in range(1000, 1020))])
    popular, rare = (model.explain([[1000]], item) for item in (0, 1001))
    assert popular.bias > rare.bias
