"""`Classifier`: from labelled documents to labels."""

import json
import pickle
import tracemalloc
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from fastembed import Classifier, SkipGram, TrainingDivergedError, Vectors
from fastembed.classifier.training import LENGTH, mean_directions, word_rows
from fastembed.corpus import Reading
from fastembed.formats.tensors import map_tensors, write_tensors


@pytest.fixture(scope="module")
def model(labelled):
    return Classifier().fit(*labelled)


def bits(model):
    fitted = model._model
    return [
        fitted.embedding.tobytes(),
        fitted.bias.tobytes(),
        None if fitted.linear is None else fitted.linear.tobytes(),
    ]


def test_labels_of_new_documents_are_learned(model, held_out):
    documents, labels = held_out
    assert model.score(documents, labels) > 0.95
    assert model.predict(documents).tolist() == [answer[0][0] for answer in model.predict_top(documents)]
    assert_allclose(model.predict_proba(documents).sum(axis=1), 1, rtol=1e-5)
    assert model.history_[0]["loss"] > model.history_[-1]["loss"]
    assert model.label_counts_.sum() == 300


PLANE = Vectors(["a", "b"], np.eye(2))
LOSSES = [{"loss": "squared"}, {"loss": "ova"}, {"loss": "softmax"}, {"loss": "softmax", "dim": 2}]


def test_files_and_documents_give_the_same_bits(tmp_path, labelled):
    lines = [f"__label__{label} {text}\n" for text, label in zip(*labelled, strict=True)]
    path = tmp_path / "train.txt"
    path.write_text("".join(lines), encoding="utf-8")
    by_file, by_list = Classifier().fit(path), Classifier().fit(*labelled)
    assert bits(by_file) == bits(by_list)
    assert bits(Classifier().fit(str(path))) == bits(by_list)
    assert by_file.classes_.tolist() == by_list.classes_.tolist()
    test = by_file.test(path)
    assert test.accuracy == test.precision == by_list.score(*labelled)


def test_the_softmax_with_a_dim_takes_no_memory_for_labels_times_labels():
    documents, labels = [f"a{k} b{k % 50}" for k in range(4000)], np.arange(4000) % 2000
    tracemalloc.start()
    Classifier("softmax", dim=2, epochs=1).fit(documents, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 2000 * 4


@dataclass(eq=False, repr=False)
class Noted(Classifier):
    note: str = ""


def test_a_subclass_may_have_further_parameters():
    assert Noted(note="mine").fit(["a b", "c d"], ["x", "y"]).predict(["a"]).tolist() == ["x"]


@pytest.mark.parametrize("as_file", [False, True])
def test_words_of_documents_without_a_label_are_no_features(tmp_path, as_file):
    texts, labels = ["z", "a b", "zoo b", "c d", "b b", ""], [[], ["x"], [], ["y"], [], []]
    only = Classifier().fit(["a b", "c d"], ["x", "y"])
    if as_file:
        path = tmp_path / "train.txt"
        lines = [
            f"{' '.join(f'__label__{name}' for name in each)} {text}" for text, each in zip(texts, labels, strict=True)
        ]
        path.write_text("\n".join(lines), encoding="utf-8")
        model = Classifier().fit(path)
        assert model.test(path).documents == 2
    else:
        model = Classifier().fit(texts, labels)
    assert model.n_features_ == only.n_features_ == 10
    assert bits(model) == bits(only)
    assert_array_equal(model._model.features.weights, only._model.features.weights)
    assert model.ledger_.skipped == {"without a label": 4}


def test_a_line_longer_than_a_block_keeps_its_labels(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("a b\n__label__x " + "c d " * 700_000 + "__label__y\n__label__z e f", encoding="utf-8")
    model = Classifier(ngrams=1).fit(path)
    assert model.classes_.tolist() == ["x", "y", "z"]
    assert sorted(model._model.features.words.tokens) == ["c", "d", "e", "f"]
    assert model.ledger_.skipped == {"without a label": 1}


def test_the_number_of_a_bad_document_is_that_of_the_caller():
    with pytest.raises(TypeError, match="document 2 is 7"):
        Classifier().fit(["a", "b", 7, "c"], [["x"], [], ["y"], ["z"]])


def test_the_callback_has_the_records_of_the_history():
    records = []
    model = Classifier("softmax", epochs=3).fit(["a b", "c d"], ["x", "y"], on_epoch_end=records.append)
    assert records == model.history_


@pytest.mark.parametrize("dim", [None, 2])
@pytest.mark.parametrize("heavy", [1, 1000])
@pytest.mark.parametrize("count", [60, 300])
def test_the_default_rate_does_not_diverge(count, heavy, dim):
    """Documents share most of their words, have several labels, and some weigh much more: a rate of 3 diverges."""
    rng = np.random.default_rng(0)
    labels = [[c for c in "abc" if rng.random() < 0.5] or ["a"] for _ in range(count)]
    texts = [" ".join([*(f"word{c}" for c in each), *rng.choice(["x", "y", "z"], 3)]) for each in labels]
    weights = np.where(np.arange(count) % 7, 1, heavy)
    model = Classifier("softmax", dim=dim, epochs=20).fit(texts, labels, weights)
    losses = [record["nll"] for record in model.history_]
    assert losses[-1] == min(losses) < 0.8 * losses[0]
    assert max(losses) < 1.2 * losses[0]


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_weights_only_of_documents_held_out_are_an_error(labelled, loss):
    model = Classifier(loss, early_stopping=True, validation_fraction=0.5)
    held = np.random.default_rng(0).random(len(labelled[0])) < 0.5
    with pytest.raises(ValueError, match="sample_weight is zero for all documents that are not held out"):
        model.fit(*labelled, sample_weight=held.astype(float))


@pytest.mark.parametrize("loss", ["squared", "ova", "softmax"])
def test_documents_of_unknown_words_do_not_count_in_validation(loss):
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(["a", "b", "c"] if k % 2 else ["c", "d", "e"], 4)) for k in range(120)]
    texts[::3] = [f"only{k}" for k in range(40)]
    labels = np.arange(120) % 2
    model = Classifier(loss, early_stopping=True, validation_fraction=0.5, epochs=6, ngrams=1).fit(texts, labels)
    held = [k for k in np.flatnonzero(np.random.default_rng(0).random(120) < 0.5) if k % 3]
    p = model.predict_proba([texts[k] for k in held])[np.arange(len(held)), labels[held]]
    (found,) = [record["validation_nll"] for record in model.history_ if record["kept"]]
    assert_allclose(found, -np.log(p).mean(), rtol=0.02)  # what held-out labels add to the weights of words is left out


def test_rows_that_float16_cannot_hold_raise_an_error(tmp_path):
    model = Classifier("softmax", learning_rate=1e7).fit(["a b", "c d"], ["x", "y"])
    with pytest.raises(ValueError, match="holds numbers up to 65504, got"):
        model.save(tmp_path / "m.safetensors", rows="float16")
    assert not list(tmp_path.iterdir())
    model.save(tmp_path / "m.safetensors", rows="int8")


@pytest.fixture(scope="module")
def word_vectors(labelled):
    words = sorted({word for text in labelled[0] for word in text.split()})[::2]
    return Vectors(words, np.random.default_rng(0).normal(size=(len(words), 8)))


@pytest.mark.parametrize("labels_of_each", [1, 3])
def test_pretrained_vectors_are_where_the_rows_of_words_start(labelled, word_vectors, labels_of_each, bags_of):
    """W has the unit vectors from the mean of all documents to that of each label."""
    documents, labels = labelled
    labels = [f"{label}{k % labels_of_each}" for k, label in enumerate(labels)]
    model = Classifier("softmax", dim=8, pretrained=word_vectors, learning_rate=1e-9, epochs=1)
    model.fit(documents, labels)
    fitted = model._model
    words = fitted.features.words.tokens
    known = np.array([word in word_vectors for word in words])
    assert 0 < known.sum() < len(words)
    rows = word_vectors[[word for word in words if word in word_vectors]]
    expected = LENGTH * rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert_allclose(fitted.embedding[: len(words)][known], expected, atol=1e-5)
    assert np.abs(fitted.embedding[: len(words)][~known]).max() < 1e-5
    assert np.abs(fitted.embedding[len(words) :]).max() < 1e-5
    h = bags_of(fitted, documents) @ fitted.embedding
    targets = np.array([[label == name for name in fitted.classes] for label in labels], float)
    means = (targets.T @ h) / targets.sum(axis=0)[:, None] - h.mean(axis=0)
    found = mean_directions(bags_of(fitted, documents), csr_array(targets), fitted.embedding)
    assert_allclose(found.T, means / np.linalg.norm(means, axis=1, keepdims=True), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dim", [3, 8])
def test_pretrained_vectors_help_and_give_the_same_bits_on_any_threads(tmp_path, labelled, held_out, dim):
    """Also with as many dimensions as labels, where W is not the identity."""
    words = sorted({word for text in labelled[0] for word in text.split()})
    vectors = Vectors(words, np.random.default_rng(1).normal(size=(len(words), dim)))
    one, three = (
        Classifier("softmax", dim=dim, pretrained=vectors, threads=threads).fit(*labelled) for threads in (1, 3)
    )
    assert bits(one) == bits(three)
    assert one._model.linear.shape == (dim, 3)
    assert one.score(*held_out) > 0.9
    one.save(tmp_path / "m.safetensors")
    again = Classifier.load(tmp_path / "m.safetensors")
    assert_array_equal(again.predict_proba(held_out[0]), one.predict_proba(held_out[0]))
    assert again.get_params() == one.get_params() | {"pretrained": None, "threads": None}
    pickled = pickle.loads(pickle.dumps(one))
    assert bits(pickled) == bits(one)
    assert pickled.pretrained.tokens == vectors.tokens
    assert "pretrained=<Vectors" in repr(one)


def test_words_without_a_vector_start_from_a_composed_one_if_there_is_any():
    text = [["cheap", "pills", "watches"], ["lunch", "noon"]] * 5
    vectors = SkipGram(dim=8, min_count=1, subwords=True, epochs=1, threads=1).fit(text).vectors
    rows = word_rows(["cheap", "cheaper", "zzqq"], vectors)
    assert_allclose(np.linalg.norm(rows, axis=1), [LENGTH, LENGTH, 0], rtol=1e-5)
    assert_allclose(rows[1], LENGTH * vectors["cheaper"] / np.linalg.norm(vectors["cheaper"]), rtol=1e-4)


def test_new_words_of_partial_fit_start_from_pretrained_vectors():
    vectors = Vectors(["a", "b", "c", "d"], np.eye(4))
    model = Classifier("softmax", dim=4, ngrams=1, pretrained=vectors, learning_rate=1e-9)
    model.fit(["a", "b"], ["x", "y"]).partial_fit(["d e"], ["y"])
    assert model._model.features.words.tokens == ("a", "b", "d", "e")
    assert_allclose(model._model.embedding, LENGTH * np.eye(4)[[0, 1, 3, 2]] * [[1], [1], [1], [0]], atol=1e-5)
    full = Classifier("softmax").fit(["a", "b"], ["x", "y"]).set_params(dim=4, pretrained=vectors)
    with pytest.raises(ValueError, match="dim=4, but the classifier learned with dim=None: call fit"):
        full.partial_fit(["d"], ["y"])


def test_score_is_the_accuracy_of_test():
    model = Classifier(ngrams=1).fit(["a", "b"], ["x", "y"])
    texts, labels = ["a", "a", "b", "b", "q"], [["x"], ["y"], [], ["new", "y"], ["new"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # q is no known feature
        assert model.score(texts, labels) == model.test(texts, labels).accuracy == 0.5
        assert model.score(texts, labels, [3, 1, 9, 2, 2]) == 5 / 8  # without the document that has no label
    for function in (model.score, model.test):
        for wrong, error, message in (
            ([1], TypeError, "of the type of the classes, such as 'x', got 1"),
            (["new"], ValueError, "no document has a label that the classifier knows"),
            ([[]], ValueError, "no document has a label that the classifier knows"),
        ):
            with pytest.raises(error, match=message):
                function(["a"], wrong)
        with pytest.raises(ValueError, match="no document has a label that the classifier knows"):
            function([], [])
    of_matrix = Classifier().fit(["a", "b"], np.eye(2, dtype=int))
    with pytest.raises(ValueError, match="that the classifier knows, such as 0, 1; got none"):
        of_matrix.test(["a"], np.zeros((1, 2), int))
    with pytest.raises(TypeError, match="got 'x'; fit was to an indicator matrix: pass one"):
        of_matrix.test(["a"], [["x"]])


def test_labels_to_explain_are_a_list(model):
    for wrong in ("fruit", 5):
        with pytest.raises(TypeError, match=r"labels must be a list of labels, got .*: pass \[label\]"):
            model.explain("cat", labels=wrong)


def test_a_pattern_reads_documents_in_training_and_prediction(labelled):
    documents, labels = labelled
    compiled = Classifier(reading=Reading()).fit(documents, labels)
    of_python = Classifier(reading=Reading(token_pattern=r"\S+")).fit(iter(documents), labels)
    assert bits(of_python) == bits(compiled)
    assert_array_equal(of_python.predict_proba(documents), compiled.predict_proba(np.array(documents)))


def test_what_is_not_unicode_is_replaced_where_the_reading_says_so():
    model = Classifier(reading=Reading(errors="replace")).fit(["a \ud800", "b"], ["x", "y"])
    assert model.predict(["\udfff"]) == ["x"]


def test_documents_without_known_features_get_the_shares_and_a_warning(model, labelled):
    with pytest.warns(UserWarning, match=r"1 of 2 documents have no known feature: the answer is the labels' shares"):
        p = model.predict_proba(["unheard zzz", labelled[0][0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        few = Classifier().fit(["a b", "a c", "a d", "e f", "e g"], ["x", "x", "y", "y", "z"])
        assert few.predict([""]) == ["x"] == few.explain("").labels[:1]  # whose b is less than that of y
    assert p[1].max() > 0.5


def test_explanations_add_up_to_the_scores(model, held_out, scores_of):
    for parameters in LOSSES:
        each = Classifier(**parameters).fit(*held_out)
        text = held_out[0][0]
        found = each.explain(text, k=3)
        assert_allclose(found.shares.sum(axis=0) + found.bias, found.scores, rtol=1e-12)
        order = [each.classes_.tolist().index(label) for label in found.labels]
        assert_allclose(found.scores, scores_of(each, [text])[0][order], rtol=1e-4, atol=1e-5)
        assert found.labels[0] in str(found)
    assert model.explain(text, ["fruit"]).labels == ["fruit"]
    with pytest.raises(ValueError, match="'metal' is not a label"):
        model.explain(text, ["metal"])


@pytest.mark.parametrize("parameters", [*LOSSES, {"chars": (2, 4)}])
@pytest.mark.parametrize("rows", ["float32", "float16", "int8"])
def test_a_file_holds_all_of_it(tmp_path, labelled, rows, parameters):
    model = Classifier(**parameters).fit(*labelled)
    path = tmp_path / "m.safetensors"
    model.save(path, rows=rows)
    found = Classifier.load(path)
    assert found.get_params() == model.get_params()
    assert found.history_ == model.history_
    assert found.ledger_ == model.ledger_
    exact = model.predict_proba(labelled[0])
    tolerance = {"float32": 0, "float16": 2e-3, "int8": 0.03}[rows]
    assert_allclose(found.predict_proba(labelled[0]), exact, atol=tolerance)
    again = tmp_path / "again.safetensors"
    found.save(again, rows=rows)
    assert again.read_bytes() == path.read_bytes()


def test_a_rate_that_is_too_large_is_an_error_and_leaves_the_old_model(labelled):
    model = Classifier("softmax").fit(*labelled)
    before = bits(model)
    with pytest.raises(TrainingDivergedError, match="a learning rate is"):
        model.set_params(learning_rate=1e300).fit(*labelled)
    noise = np.random.default_rng(0).integers(0, 2, len(labelled[0]))  # which no rate can learn
    with pytest.raises(TrainingDivergedError, match=r"far above 0\.69, that of the labels' shares: a learning rate is"):
        model.set_params(learning_rate=1e4).fit(labelled[0], noise)
    assert bits(model) == before


@pytest.mark.parametrize(
    "parameters", [{"loss": "softmax", "learning_rate": 20}, {"loss": "ova", "l2": 1e-6}, {"l2": 0.1, "seed": 1}]
)
def test_early_stopping_keeps_the_best_epoch(labelled, parameters, scores_of):
    documents, labels = labelled
    labels = [*labels[:-30], *labels[30:60]]  # some are wrong
    model = Classifier(early_stopping=True, epochs=30, n_iter_no_change=2, **parameters).fit(documents, labels)
    kept = [record for record in model.history_ if record["kept"]]
    assert len(model.history_) < 30
    assert kept[0]["validation_nll"] == min(record["validation_nll"] for record in model.history_)
    if model.loss != "softmax":  # whose rates would be those of fewer epochs
        weights = np.random.default_rng(model.seed).random(300) >= 0.1
        assert 1 < kept[0]["epoch"] < len(model.history_)
        with pytest.warns(UserWarning, match="training ended after epochs="):
            plain = Classifier(epochs=int(kept[0]["epoch"]), tol=0, **parameters).fit(documents, labels, weights)
        assert_array_equal(scores_of(model, documents), scores_of(plain, documents))


def test_training_ends_when_the_callback_says_so(labelled):
    """With one more epoch without each part left out, so that the scores are calibrated."""
    history = Classifier().fit(*labelled, on_epoch_end=lambda record: record["epoch"] == 2).history_
    assert [record["left_out"] for record in history] == [0, 0, *[30] * 10]


@pytest.mark.parametrize(
    ("documents", "labels", "error", "message"),
    [
        (["a", "b"], ["x"], ValueError, "one item per document: got 1 for 2"),
        (["a", "b"], ["x", "x"], ValueError, "at least two labels, got one class, 'x'"),
        (["a", "b"], [["x"], "y"], TypeError, "labels of other documents are lists"),
        (["a", "b"], [1, 1 << 63], ValueError, "an int of 64 bits, got 9223372036854775808"),
        (["a", "b"], None, ValueError, "labels are needed"),
        (["", "!"], ["x", "y"], ValueError, "no features: no token was read"),
        ([], [], ValueError, "no documents to learn from"),
        (["a", 7], ["x", "y"], TypeError, "document 1 is 7"),
        (["a", "\ud800"], ["x", "y"], ValueError, "has no UTF-8 form"),
        (np.ones((2, 2)), ["x", "y"], ValueError, "one column of texts"),
        ("a b", ["x"], TypeError, r"documents must be several, got one 'a b': pass \[document\]"),
        (5, ["x"], TypeError, "documents must be texts or lists of tokens, got 5"),
        (["a", "b"], "xy", TypeError, "labels must be one per document, got 'xy'"),
    ],
)
def test_bad_input_is_named(documents, labels, error, message):
    with pytest.raises(error, match=message):
        Classifier().fit(documents, labels)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1, 2], ValueError, r"one number per document, shape \(3,\), got shape \(2,\)"),
        ([1, -2, 1], ValueError, r"sample_weight\[1\] is -2"),
        ([1, np.nan, 1], ValueError, r"sample_weight\[1\] is nan"),
        (["a", "b", "c"], TypeError, "sample_weight must hold real numbers"),
    ],
)
def test_bad_weights_are_named(weights, error, message):
    with pytest.raises(error, match=message):
        Classifier().fit(["a", "b", "c"], ["x", "y", "x"], weights)


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_weights_of_documents_without_a_label_are_not_enough(loss):
    labels = np.eye(2, 3, dtype=int).T if loss == "softmax" else [["x"], ["y"], []]
    with pytest.raises(ValueError, match="must be above zero for a document with a label, but is zero for all"):
        Classifier(loss).fit(["a", "b", "c"], labels, [0, 0, 1])


def test_a_text_is_one_document_whatever_its_lines():
    texts, labels = ["a b", "c d", "a d"], ["x", "y", "x"]
    lines = [text.replace(" ", "\n") for text in texts]
    first, second = Classifier().fit(texts, labels), Classifier().fit(lines, labels)
    assert bits(first) == bits(second)
    assert_array_equal(first.predict_proba(lines), first.predict_proba(texts))
    assert first.test(lines, labels) == first.test(texts, labels)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"dim": 0}, ValueError, "dim must be at least 1, got 0"),
        ({"dim": 5}, ValueError, "dim=5 is for loss='softmax'; loss='squared' is of full rank"),
        ({"loss": "hinge"}, ValueError, "loss must be one of squared, ova, softmax, got 'hinge'"),
        ({"l2": 0}, ValueError, "l2 of loss='squared' must be finite and above 0, got 0"),
        ({"class_weight": "even"}, TypeError, "class_weight must be None, 'balanced' or a mapping"),
        ({"class_weight": {"x": 0}}, ValueError, r"class_weight\['x'\] must be finite and above 0, got 0"),
        ({"class_weight": {"z": 2}}, ValueError, "class_weight has the label 'z', which no document has"),
        ({"chars": 3}, TypeError, "chars must be lengths of n-grams"),
        ({"chars": (3, 2)}, ValueError, "the greatest length of chars must be from 3 to 100"),
        ({"weighting": "bm25"}, ValueError, "weighting must be one of supervised, tfidf, count"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be finite and above 0"),
        ({"reading": Reading(unit="sentence")}, ValueError, "unit must be 'line'"),
        ({"label_prefix": ""}, ValueError, "label_prefix"),
        ({"pretrained": "v.txt", "dim": 2, "loss": "softmax"}, TypeError, r"must be fastembed\.Vectors or None, got"),
        ({"early_stopping": True}, ValueError, "0.1 of 2 documents holds out 0, and none .*: give more documents"),
        ({"pretrained": PLANE, "loss": "softmax"}, ValueError, "give loss='softmax' and dim=2, that of .* None"),
        ({"pretrained": PLANE, "dim": 3, "loss": "softmax"}, ValueError, "dim=2, that of the pretrained vectors,"),
    ],
)
def test_bad_parameters_are_named(parameters, error, message):
    with pytest.raises(error, match=message):
        Classifier(**parameters).fit(["a", "b"], ["x", "y"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", r"no document with a label in '.*a\.txt': it is empty"),
        ("a.txt", "a b\nc\n", r"a\.txt': none of 2 lines has a token that begins with __label__"),
        ("a.jsonl", '"a b"\n', r"a\.jsonl' is not text with a document .* structured: .* --field and --label"),
        ("a.csv", "label,text\n", r"a\.csv' has fields"),
    ],
)
def test_a_file_that_cannot_be_learned_from_is_named(tmp_path, name, text, message, model):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        Classifier().fit(path)
    if "label__a" not in text:
        with pytest.raises(ValueError, match=message):
            model.test(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        Classifier().fit(tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("loss", "name", "value"),
    [
        ("ova", "learning_rate", 0.1),
        ("softmax", "tol", 0.1),
        ("ova", "n_iter_no_change", 9),
        ("softmax", "validation_fraction", 0.2),
    ],
)
def test_a_parameter_without_effect_is_named(loss, name, value):
    with pytest.warns(UserWarning, match=f"no effect with loss='{loss}', early_stopping=False: {name}={value}"):
        Classifier(loss, **{name: value}).fit(["a b", "c d"], ["x", "y"])


@pytest.mark.parametrize(
    "parameters", [{"l2": 1e9}, {"loss": "ova", "l2": 1e9}, {"loss": "softmax", "learning_rate": 1e-4}]
)
def test_that_nothing_was_learned_is_said(labelled, parameters):
    with pytest.warns(
        UserWarning, match="hardly anything was learned but the shares of the labels, whose loss is .*, or"
    ):
        Classifier(**parameters).fit(*labelled)


@pytest.mark.parametrize("loss", ["squared", "ova", "softmax"])
@pytest.mark.parametrize("weight", [1e10, 1e20])
def test_where_one_document_is_all_there_is_nothing_to_learn_and_to_warn_of(loss, weight):
    model = Classifier(loss).fit(["a b", "c d", "e f a"], ["x", "y", "z"], sample_weight=[weight, 1, 1])
    assert model.predict(["a b"]).tolist() == ["x"]


def test_labels_that_are_still_in_the_texts_are_noticed(labelled):
    with pytest.warns(UserWarning, match="documents hold __label__, as files of fastText do"):
        model = Classifier().fit([f"__label__x {text}" for text in labelled[0]], labelled[1])
    with pytest.warns(UserWarning, match="documents hold __label__, as files of fastText do"):
        model.predict([f"__label__x {labelled[0][0]}"])


def test_documents_read_in_another_case_than_those_of_fit_are_noticed():
    texts, labels = ["Good film", "Bad film"], ["p", "n"]
    lists = [text.split() for text in texts]
    of_texts, of_lists = (Classifier(threads=1).fit(documents, labels) for documents in (texts, lists))
    assert of_texts.score(texts, labels) == of_lists.score(lists, labels) == 1
    for call in (lambda: of_lists.predict(texts), lambda: of_lists.partial_fit(texts, labels)):
        with pytest.warns(UserWarning, match="features have capitals, but texts are read in lower case"):
            call()
    with pytest.warns(UserWarning, match="lists of tokens have capitals, but no feature has any"):
        of_texts.test(lists, labels)


def test_columns_in_different_orders_are_refused():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"text": ["a b", "c d", "e f"], "label": ["x", "y", "x"]})
    shuffled = table["text"].loc[[2, 0, 1]]
    with pytest.raises(ValueError, match=r"another order: pass labels.loc\[documents.index\], or labels.to_numpy"):
        Classifier().fit(shuffled, table["label"])
    with pytest.raises(ValueError, match=r"another order: pass sample_weight.loc\[documents.index\]"):
        Classifier().fit(shuffled, ["x", "x", "y"], pandas.Series([1.0, 2, 3]))
    right = Classifier().fit(shuffled, table["label"].loc[shuffled.index])
    assert right.predict(["a b", "c d"]).tolist() == ["x", "y"]
    Classifier().fit(shuffled, table["label"].reset_index(drop=True).set_axis([7, 8, 9]))  # names of their own
    with pytest.warns(UserWarning, match=r"has some of the documents' rows, but in other places: pass labels.loc"):
        Classifier().fit(table["text"][:2], table["label"][1:])


def test_a_classifier_of_lists_refuses_a_matrix_and_features(model):
    with pytest.raises(TypeError, match="the columns of an indicator matrix have no names"):
        model.test(["a b"], np.eye(1, 2, dtype=int))
    with pytest.raises(ValueError, match="makes the features itself"):
        model.predict(np.eye(2))


def test_a_test_shows_a_bar_of_the_documents(model, capsys):
    texts, labels = ["a b"] * 30, model.classes_[:1].tolist() * 30
    found = model.test(texts, labels, progress=True)
    assert "documents" in capsys.readouterr().err
    assert found.nll == model.test(texts, labels).nll
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore:hardly anything was learned")
def test_labels_that_name_documents_are_noticed():
    texts = [f"a{k} b" for k in range(150)]
    with pytest.warns(UserWarning, match="150 labels for 150 documents: are they classes, such as 0?"):
        Classifier(l2=100).fit(texts, list(range(150)))
    Classifier(l2=100).fit(texts, [[k, (k + 1) % 150, (k + 2) % 150] for k in range(150)])  # three documents per label


def test_a_document_without_known_features_is_explained_with_a_warning(model):
    with pytest.warns(UserWarning, match="no known feature: its probabilities are the labels' shares$"):
        model.explain("qzxq")
    with pytest.warns(UserWarning, match="a list is the tokens of one document"):
        model.explain(["two words"])


def test_a_label_whose_documents_have_no_text_is_learned_as_its_share(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("__label__a x y\n__label__b\n__label__c z w\n", encoding="utf-8")
    model = Classifier().fit(path)
    assert model.label_counts_.tolist() == [1, 1, 1]
    with pytest.warns(UserWarning, match="1 of 1 documents have no known feature"):
        assert_allclose(model.predict_proba(["unheard"]), np.full((1, 3), 1 / 3), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:hardly anything was learned")
@pytest.mark.parametrize("parameters", [{"chars": (40, 50)}, {"chars": (3, 3), "max_features": 1}])
def test_a_classifier_of_which_no_ngram_of_characters_is_left_is_kept(tmp_path, parameters):
    texts = ["ab ab cd", "cd ab", "ab cd", "ab"]
    model = Classifier(ngrams=1, **parameters).fit(texts, ["x", "y", "x", "y"])
    model.save(tmp_path / "m.safetensors")
    pickled = pickle.dumps(model)
    for other in (Classifier.load(tmp_path / "m.safetensors"), pickle.loads(pickled)):
        assert_array_equal(other.predict_proba(texts), model.predict_proba(texts))
        other.partial_fit(texts, ["x", "y", "x", "z"])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bias", None),
        ("rows", None),
        ("words.counts", None),
        ("ngrams2.pairs", None),
        ("ngrams2.pairs", lambda old: old[0]),
        ("ngrams2.pairs", lambda old: old + 10_000),
        ("words.counts", lambda old: old[:-1]),
        ("rows", lambda old: old[:-1]),
        ("weights", lambda old: old[:-1]),
        ("orders", lambda old: 40),
        ("orders", lambda old: "1"),
        ("several", lambda old: "no"),
        ("indicator", lambda old: [1]),
        ("documents", lambda old: 0),
        ("ledger", lambda old: 7),
        ("calibration", lambda old: old[:3]),
        ("calibration", lambda old: [*old, 1]),
        ("calibration", lambda old: [*old[:2], 0.06, *old[3:]]),  # only "squared" bends
    ],
)
def test_what_does_not_fit_together_is_no_classifier(tmp_path, labelled, name, change):
    path = tmp_path / "m.safetensors"
    Classifier("softmax", dim=2, chars=(3, 3), epochs=1).fit(*labelled).save(path)
    tensors, metadata = map_tensors(path)
    tensors = {key: np.array(value) for key, value in tensors.items()}
    if change is None:
        del tensors[name]
    elif name in tensors:
        tensors[name] = np.ascontiguousarray(change(tensors[name]))
    else:
        state = json.loads(metadata["model"])
        metadata["model"] = json.dumps(state | {name: change(state[name])})
    write_tensors(tmp_path / "w.safetensors", tensors, metadata)
    with pytest.raises(ValueError, match="does not hold a classifier that fits together"):
        Classifier.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": lambda old: old[:-1], "rows.starts": lambda old: old[:-1]}, "features with .* weights and"),
        ({"rows.starts": lambda old: np.concatenate([old[:1], old[2:3], old[1:2], old[3:]])}, "must not decrease"),
        ({"rows.columns": lambda old: old + 200}, "'rows.columns' must be numbers from 0 to 199"),
        ({"ngrams2.pairs": lambda old: old - 1}, "'ngrams2.pairs' must be numbers from -1 to"),
    ],
)
def test_no_index_of_a_file_leads_beyond_what_it_indexes(tmp_path, changes, message):
    path, texts = tmp_path / "m.safetensors", [f"w{k} v{k % 7}" for k in range(400)]
    Classifier(chars=(3, 3)).fit(texts, [k % 200 for k in range(400)]).save(path, rows="int8")
    tensors, metadata = map_tensors(path)
    tensors = {key: np.array(changes.get(key, lambda old: old)(value)) for key, value in tensors.items()}
    if len(changes) > 1:
        tensors["scales"] = tensors["scales"][:-1]
        size = int(tensors["rows.starts"][-1])
        tensors |= {name: tensors[name][:size] for name in ("rows.numbers", "rows.columns")}
    write_tensors(tmp_path / "w.safetensors", tensors, metadata)
    with pytest.raises(ValueError, match=message):
        Classifier.load(tmp_path / "w.safetensors")


def test_a_file_of_something_else_is_named(tmp_path, model):
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"holds 'fastembed.classifier'"):
        Vectors.load(tmp_path / "m.safetensors")


def test_a_test_counts_hits_and_confusions():
    model = Classifier(ngrams=1).fit(["a"] * 3 + ["b"] * 2 + ["c"], ["x"] * 3 + ["y"] * 2 + ["z"])
    found = model.test(["a", "a", "b", "b", "q"], [["x"], ["y"], ["y"], ["x", "new"], ["new"]])
    assert (found.documents, found.unknown_labels, found.without_features) == (5, 2, 1)
    assert found.precision == pytest.approx(2 / 5)
    assert found.recall == pytest.approx(2 / 6)
    assert {confusion[:2] for confusion in found.confusions} == {("x", "y"), ("y", "x")}
    score = found.per_label[0]
    expected = "x", pytest.approx(1 / 3), 0.5, 2, 3
    assert (score.label, score.precision, score.recall, score.documents, score.predicted) == expected
