"""SkipGram with subwords: words composed of their character n-grams and their own row."""

import pickle

import numpy as np
import pytest
from scipy import sparse

from fastembed import Counts, SkipGram, Vectors, Vocabulary
from fastembed._base.threads import Pool
from fastembed.skipgram import subwords as module
from fastembed.skipgram.subwords import ridge_fit

STEMS = ("walk", "talk", "jump", "play", "climb", "paint")


@pytest.fixture(scope="module")
def corpus():
    """Verbs in three forms; each form and each stem has different neighbours."""
    rng = np.random.default_rng(0)
    forms = {"": "will", "ed": "yesterday", "ing": "is"}
    lines = []
    for _ in range(600):
        stem, ending = rng.choice(STEMS), rng.choice(list(forms))
        if (stem, ending) != ("climb", "ing"):  # never seen
            lines.append([f"topic{STEMS.index(stem)}", forms[ending], stem + ending, f"topic{STEMS.index(stem)}"])
    return lines


@pytest.fixture(scope="module")
def model(corpus):
    return SkipGram(dim=8, min_count=1, sample=None, window=2, subwords=True, threads=2).fit(corpus)


def test_an_unseen_form_is_near_the_seen_ones(model):
    assert "climbing" not in model.vectors
    assert model.vectors["climbing"].shape == (8,)
    verbs = [stem + ending for stem in STEMS for ending in ("", "ed", "ing") if stem + ending in model.vectors]
    nearest = [word for word, _ in model.vectors.most_similar("climbing", topn=2, restrict=verbs)]
    assert set(nearest) == {"climb", "climbed"}
    with pytest.raises(KeyError, match="'xyzzy' is not among"):
        model.vectors["xyzzy"]


def test_the_vectors_have_the_logits_of_their_features(model, corpus):
    fitted = model._model
    counts = model.count(corpus)
    composed, features = model.trainer, fitted.feature_trainer
    assert composed.nll(counts) == pytest.approx(features.nll(counts, bags=fitted.subwords.bags), rel=1e-5)
    assert model.perplexity(corpus) == pytest.approx(np.exp(composed.nll(counts)))


def test_files_and_pickles_go_on_to_the_same_bits(model, corpus, tmp_path):
    model.save(tmp_path / "m.safetensors")
    loaded = SkipGram.load(tmp_path / "m.safetensors")
    again = pickle.loads(pickle.dumps(model))
    assert loaded.get_params()["subwords"] == (3, 6)
    expected = pickle.loads(pickle.dumps(model)).partial_fit(corpus[:200])
    for other in (loaded, again):
        np.testing.assert_array_equal(other.vectors["climbing"], model.vectors["climbing"])
        assert other.perplexity(corpus) == model.perplexity(corpus)
        other.partial_fit(corpus[:200])
        np.testing.assert_array_equal(other.vectors.matrix, expected.vectors.matrix)
        np.testing.assert_array_equal(other.vectors["climbing"], expected.vectors["climbing"])
    vectors = Vectors.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(vectors["climbing"], model.vectors["climbing"])
    np.testing.assert_array_equal(vectors.matrix, model.vectors.matrix)


def test_new_words_start_where_their_n_grams_place_them(model, corpus):
    grown = pickle.loads(pickle.dumps(model))
    before = grown.vectors["climbing"]
    more = [["topic4", "is", "climbing", "topic4"], ["topic4", "is", "climbing", "topic4"]]
    own = []

    def note(_):
        own.append(np.linalg.norm(grown._model.feature_trainer.embedding[-1]))

    grown.set_params(epochs=1).partial_fit(more, grow_vocabulary=True, on_epoch_end=note)
    assert grown.vectors.tokens[-1] == "climbing"
    assert len(grown._model.feature_trainer.embedding) == len(model._model.feature_trainer.embedding) + 1
    assert 0 < own[0] <= module.LEARNING_RATE / 2 + 1e-6  # one step from zero
    assert grown.vectors.similarity("climbing", "climbed") > 0
    cosine = before @ grown.vectors["climbing"] / np.linalg.norm(before) / np.linalg.norm(grown.vectors["climbing"])
    assert cosine > 0.8
    assert grown._model.subwords.ngrams == model._model.subwords.ngrams


def test_documents_are_means_of_seen_and_composed_words(model):
    v = model.vectors
    means = model.transform(["walking climbing xyzzy", "Climbing walking"])
    np.testing.assert_allclose(means[0], (v["walking"] + v["climbing"]) / 2, atol=1e-6)
    np.testing.assert_allclose(means[1], (v["Climbing"] + v["walking"]) / 2, atol=1e-6)


@pytest.mark.parametrize("options", [{"drop": ["climbed"]}, {"keep_only": ["climb", "walked", "jumped", "topic4"]}])
def test_words_that_were_dropped_are_not_composed_in_documents(corpus, options, tmp_path):
    model = SkipGram(dim=4, min_count=1, sample=None, subwords=True, **options).fit(corpus)
    assert "climbed" not in model.vectors
    assert np.linalg.norm(model.vectors["climbed"]) > 0  # its n-grams are known
    model.save(tmp_path / "m.safetensors")
    for each in (model, SkipGram.load(tmp_path / "m.safetensors")):
        with pytest.warns(UserWarning, match="1 of 2 documents have no known word"):
            means = each.transform([["climbed"], ["climbed", "climb"]])
        np.testing.assert_array_equal(means, [np.zeros(4), model.vectors["climb"]])
        with pytest.warns(UserWarning, match="1 of 1 documents have no known word"):
            each.transform([["climbers"]], method="fit")  # n-grams are no contexts


def test_the_ridge_fit_is_the_least_squares_solution(monkeypatch):
    monkeypatch.setattr(module, "RIDGE_STEPS", 60)
    rng = np.random.default_rng(0)
    bags = sparse.random_array((40, 30), density=0.2, random_state=rng, format="csr").astype(np.float32)
    rows = rng.normal(size=(40, 19)).astype(np.float32)
    dense = bags.toarray().astype(np.float64)
    expected = np.linalg.solve(dense.T @ dense + module.RIDGE * np.eye(30), dense.T @ rows)
    fitted = ridge_fit(bags, rows, Pool(2))
    np.testing.assert_allclose(fitted, expected, atol=1e-5)
    np.testing.assert_array_equal(fitted, ridge_fit(bags, rows, Pool(1)))
    np.testing.assert_array_equal(ridge_fit(bags, np.zeros_like(rows), Pool(1)), 0)


@pytest.mark.parametrize(
    ("subwords", "error", "message"),
    [
        (3, TypeError, "subwords must be lengths of n-grams, such as .3, 6.,"),
        ((6, 3), ValueError, "the greatest length of subwords must be from 6 to 100, got 3"),
        ((0, 3), ValueError, "the least length of subwords must be from 1 to 100, got 0"),
    ],
)
def test_wrong_lengths_are_errors_and_nothing_changes(model, corpus, subwords, error, message):
    other = pickle.loads(pickle.dumps(model)).set_params(subwords=subwords)
    with pytest.raises(error, match=message):
        other.fit(corpus)
    np.testing.assert_array_equal(other.vectors.matrix, model.vectors.matrix)


def test_tokens_that_are_ids_are_an_error():
    walks = [[1, 2, 3], [2, 3, 1]]
    with pytest.raises(ValueError, match="all 3 tokens are integers, such as '1': leave subwords=False"):
        SkipGram(min_count=1, subwords=True).fit(walks)
    counts = Counts.from_corpus(walks, Vocabulary(["1", "2", "3"], [2, 2, 2]))
    with pytest.raises(ValueError, match="all 3 tokens are integers"):
        SkipGram(min_count=1, subwords=True).fit(counts)
