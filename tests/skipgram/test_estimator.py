"""`SkipGram` by scikit-learn's conventions, with and without it: parameters, documents, mean vectors."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastembed import SkipGram, Vocabulary

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None}
TOPICS = [["lamb", "stew", "salt", "oven"], ["chess", "rook", "pawn", "mate"], ["rain", "snow", "wind", "fog"]]


@pytest.fixture(scope="module")
def labelled():
    """Documents of six words, two in three from the topic that is the label."""
    rng = np.random.default_rng(0)
    common = [f"w{k}" for k in range(8)]
    labels = rng.integers(3, size=240)
    documents = [" ".join(rng.choice(TOPICS[label], 4)) + " " + " ".join(rng.choice(common, 2)) for label in labels]
    return documents, labels


# ---------------------------------------------------------------- parameters


def test_the_constructor_keeps_what_it_is_given():
    """All parameters, the very objects, and nothing else."""
    given = SkipGram().get_params() | {"dim": np.int64(7), "window": (np.int8(1), 2), "sample": np.float32(0.5)}
    model = SkipGram(**given)
    assert list(vars(model)) == list(inspect.signature(SkipGram).parameters)
    assert all(getattr(model, name) is value is model.get_params()[name] for name, value in given.items())


def test_wrong_parameters_are_refused_at_once():
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        SkipGram(dim=0)
    model = SkipGram().set_params(dim=0)  # scikit-learn sets one after the other
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        model.fit([["a", "b"]])


def test_set_params():
    model = SkipGram(dim=7)
    assert model.set_params(window=(1, 2), seed=3) is model
    assert (model.dim, model.window, model.seed) == (7, (1, 2), 3)
    before = model.get_params()
    with pytest.raises(ValueError, match=r"SkipGram has no parameter 'size'; it has dim, window, weighting, "):
        model.set_params(dim=9, size=8)
    assert model.get_params() == before
    assert model.set_params() is model


def test_repr_shows_what_is_not_the_default():
    assert repr(SkipGram()) == "SkipGram()"
    model = SkipGram(window=(2, 3), sample=None, max_contexts=None, threads=2)
    assert repr(model) == "SkipGram(window=(2, 3), sample=None, max_contexts=None, threads=2)"
    assert eval(repr(model)).get_params() == model.get_params()


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("dim", "x", TypeError, "dim must be an integer, got 'x'"),
        ("max_size", 0, ValueError, "max_size must be at least 1, got 0"),
        (
            "max_contexts",
            np.array([1, 2]),
            TypeError,
            r"max_contexts, neither .*, must be an integer, got array\(\[1, 2\]\)",
        ),
        ("max_contexts", "all", TypeError, "max_contexts, neither None nor 'auto', must be an integer, got 'all'"),
        ("max_contexts", 0, ValueError, "max_contexts, neither None nor 'auto', must be at least 1, got 0"),
        ("max_size", True, TypeError, "max_size must be an integer, got True"),
        ("directed", 1, TypeError, "directed must be True or False, got 1"),
        ("weighting", ["flat"], ValueError, r"weighting must be one of .*, got \['flat'\]"),
        ("sample", "1e-3", TypeError, "sample must be a number, got '1e-3'"),
    ],
)
def test_parameters_are_checked_before_anything_is_read(tmp_path, name, value, error, message):
    model, missing = SkipGram().set_params(**{name: value}), tmp_path / "missing"
    for call in (model.fit, model.partial_fit, model.count, model.fit_transform):
        with pytest.raises(error, match=message):
            call(missing)


def test_scikit_learn_is_not_imported(tmp_path):
    code = "import sys, fastembed; fastembed.SkipGram(dim=2).get_params(); sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


# ---------------------------------------------------------------- documents


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda texts: np.array(texts, dtype=object)])
def test_raw_documents_are_split_as_the_lines_of_a_file_are(labelled, tmp_path, form):
    texts = [*labelled[0][:50], "", " two  spaces\tand a tab ", "a\u00a0no-break\u2003space"]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    raw, file = SkipGram(**SETTINGS).fit(form(texts)), SkipGram(**SETTINGS).fit(path)
    assert "a\u00a0no-break\u2003space" in raw.vocabulary
    assert raw.vocabulary.tokens == file.vocabulary.tokens
    assert_array_equal(raw.vectors.matrix, file.vectors.matrix)
    assert raw.perplexity(form(texts)) == raw.perplexity(path)
    assert_array_equal(raw.count(form(texts)).data, file.count(path).data)
    assert_array_equal(raw.transform(form(texts)), raw.transform(path))
    again = (model.partial_fit(text).vectors.matrix for model, text in ((raw, form(texts)), (file, path)))
    assert_array_equal(*again)


def test_a_document_is_one_sequence():
    """A line end separates its tokens as a space does; the next document is another sequence."""
    found = SkipGram(**SETTINGS).count(["a\nb", "c d"])
    expected = SkipGram(**SETTINGS).count([["a", "b"], ["c", "d"]])
    assert_array_equal(found.to_scipy().toarray(), expected.to_scipy().toarray())


@pytest.mark.parametrize("texts", [["the", "cat", "sat"], ["news.txt", "more.txt"], ["one", "", " "]])
def test_strings_of_one_token_are_no_corpus(texts):
    """They may be one document, split already, or names of files."""
    model = SkipGram(**SETTINGS)
    for call in (model.fit, model.partial_fit, model.count, SkipGram(**SETTINGS).fit(["a b", "b one"]).perplexity):
        with pytest.raises(ValueError, match=r"each of the \d strings, such as .* one token at most, .*pathlib.Path"):
            call(texts)
    assert not hasattr(model, "vocabulary")
    model.fit([*texts, "two words"])
    assert model.transform(texts).shape == (len(texts), 4)


def test_what_is_no_corpus():
    class Frame:
        """A table, of which iteration gives the names of the columns."""

        columns = ("text", "label")

        def __iter__(self):
            return iter(self.columns)

    model = SkipGram(**SETTINGS).fit(["a b"])
    for call in (model.fit, model.transform):
        with pytest.raises(TypeError, match="documents must be one column of a table, got a whole Frame"):
            call(Frame())
        with pytest.raises(TypeError, match="item 1 of the corpus is 7, where a list of tokens is expected"):
            call(["a b", 7])
        with pytest.raises(TypeError, match="a corpus is read more than once"):
            call(text for text in ["a b", "b a"])
        with pytest.raises(OSError, match="a b"):
            call("a b")


# ---------------------------------------------------------------- mean vectors


def test_transform_is_the_mean_of_the_known_words(labelled):
    documents, _ = labelled
    model = SkipGram(**SETTINGS).fit(documents)
    texts = ["lamb stew lamb unknown", "", "unknown", "fog", *documents[:20]]
    found = model.transform(texts)
    assert found.shape == (24, 4)
    assert found.dtype == np.float32
    for row, text in zip(found, texts, strict=True):
        vectors = [model.vectors[token].astype(float) for token in text.split() if token in model.vectors]
        expected = np.mean(vectors, axis=0) if vectors else np.zeros(4)
        assert_allclose(row, expected, rtol=0, atol=1e-6)
    assert not found[1].any()
    assert not found[2].any()
    assert_array_equal(found, model.transform([text.split() for text in texts]))
    assert model.transform([]).shape == (0, 4)


def test_fit_transform(labelled):
    documents, labels = labelled
    model = SkipGram(**SETTINGS)
    found = model.fit_transform(documents, labels)
    assert_array_equal(found, SkipGram(**SETTINGS).fit(documents).transform(documents))
    assert model.get_feature_names_out().tolist() == ["skipgram0", "skipgram1", "skipgram2", "skipgram3"]
    assert model.get_feature_names_out().dtype == object


def test_before_a_fit():
    for call in (SkipGram().transform, SkipGram().get_feature_names_out):
        with pytest.raises(AttributeError, match="call fit first"):
            call(["a b"])


# ---------------------------------------------------------------- the size of the vocabulary


def test_max_size(labelled):
    documents, _ = labelled
    whole = Vocabulary.from_corpus([text.split() for text in documents], 1)
    model = SkipGram(max_size=5, **SETTINGS).fit(documents)
    assert model.vocabulary.tokens == model.vectors.tokens == whole.tokens[:5]
    assert model.count(documents).shape == (5, 10)
    assert model.ledger.dropped["over max_size=5"] == whole.counts[5:].sum()


def test_max_size_holds_when_the_vocabulary_grows():
    model = SkipGram(max_size=7, **SETTINGS).fit(["lamb stew", "salt oven"])
    model.partial_fit(["new1 new2 new1 lamb", "new3 new1 new2 stew", "new4 lamb"], grow_vocabulary=True)
    assert model.vocabulary.tokens[4:] == ("new1", "new2", "new3")
    model.partial_fit(["lamb stew new5"], grow_vocabulary=True)
    model.set_params(max_size=2).partial_fit(["lamb stew new5"], grow_vocabulary=True)
    assert len(model.vocabulary) == 7
    model.set_params(max_size=None).partial_fit(["lamb stew new5"], grow_vocabulary=True)
    assert len(model.vocabulary) == 8


# ---------------------------------------------------------------- with scikit-learn


def pipeline():
    sklearn = pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    assert sklearn
    return make_pipeline(SkipGram(**SETTINGS, epochs=20), LogisticRegression())


def test_clone():
    base = pytest.importorskip("sklearn.base", reason="needs scikit-learn")
    model = SkipGram(**SETTINGS | {"window": (1, 2)}).fit(["a b c", "b c"])
    twin = base.clone(model)
    assert twin is not model
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "vectors")
    assert base.clone(pipeline()).steps[0][0] == "skipgram"


def test_in_a_pipeline_with_a_classifier(labelled):
    documents, labels = labelled
    model = pipeline()
    from sklearn.utils.validation import check_is_fitted

    seen = []
    model.fit(documents[:160], labels[:160], skipgram__on_epoch_end=lambda record, _: seen.append(record["epoch"]))
    assert seen == list(range(1, 21))
    check_is_fitted(model)
    check_is_fitted(model[0])
    assert model.score(documents[160:], labels[160:]) > 0.9
    assert model.score([text.split() for text in documents[160:]], labels[160:]) > 0.9
    assert model.predict(["lamb"]).tolist() == [0]
    assert model[:-1].get_feature_names_out().tolist() == ["skipgram0", "skipgram1", "skipgram2", "skipgram3"]
    assert "SkipGram" in repr(model)
    assert "SkipGram" in model._repr_html_()


def test_in_a_search_of_parameters(labelled):
    documents, labels = labelled
    model = pipeline()
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(model, {"skipgram__dim": [2, 6], "skipgram__directed": [True, False]}, cv=2)
    search.fit(documents, labels)
    assert search.best_score_ > 0.9
    assert search.best_params_["skipgram__dim"] == search.best_estimator_[0].vectors.matrix.shape[1]


def test_beside_other_features(labelled):
    documents, _ = labelled
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.pipeline import make_union
    from sklearn.utils import get_tags

    union = make_union(SkipGram(**SETTINGS), CountVectorizer())
    found = union.fit_transform(documents)
    assert found.shape == (len(documents), len(union.get_feature_names_out()))
    assert union.get_feature_names_out()[0] == "skipgram__skipgram0"
    tags = get_tags(SkipGram())
    assert (tags.input_tags.string, tags.input_tags.two_d_array, tags.target_tags.required) == (True, False, False)
