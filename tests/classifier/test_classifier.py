"""`Classifier`: from labelled documents to labels."""

import json
import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastembed import Classifier, TrainingDivergedError, Vectors
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


LOSSES = [{"loss": "squared"}, {"loss": "softmax"}, {"loss": "softmax", "dim": 2}]


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
    Classifier(loss="softmax", dim=2, epochs=1).fit(documents, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 2000 * 4


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


@pytest.mark.parametrize("dim", [None, 2])
@pytest.mark.parametrize("heavy", [1, 1000])
@pytest.mark.parametrize("count", [60, 300])
def test_the_default_rate_does_not_diverge(count, heavy, dim):
    """Documents share most of their words, have several labels, and some weigh much more: a rate of 3 diverges."""
    rng = np.random.default_rng(0)
    labels = [[c for c in "abc" if rng.random() < 0.5] or ["a"] for _ in range(count)]
    texts = [" ".join([*(f"word{c}" for c in each), *rng.choice(["x", "y", "z"], 3)]) for each in labels]
    weights = np.where(np.arange(count) % 7, 1, heavy)
    model = Classifier(loss="softmax", dim=dim, epochs=20).fit(texts, labels, weights)
    losses = [record["nll"] for record in model.history_]
    assert losses[-1] == min(losses) < 0.8 * losses[0]
    assert max(losses) < 1.2 * losses[0]


def test_score_is_the_accuracy_of_test():
    model = Classifier(ngrams=1).fit(["a", "b"], ["x", "y"])
    texts, labels = ["a", "a", "b", "b", "q"], [["x"], ["y"], [], ["new", "y"], ["new"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # q is no known feature
        assert model.score(texts, labels) == model.test(texts, labels).accuracy == 0.5
        assert model.score(texts, labels, [3, 1, 9, 2, 2]) == 5 / 8  # without the document that has no label
    for function in (model.score, model.test):
        with pytest.raises(TypeError, match=r"labels .* 'x', got the int 1"):
            function(["a"], [1])
        for documents, wrong in ((["a"], ["new"]), (["a"], [[]]), ([], [])):
            with pytest.raises(ValueError, match="one label at least must be known to the classifier"):
                function(documents, wrong)
    of_matrix = Classifier().fit(["a", "b"], np.eye(2, dtype=int))
    with pytest.raises(ValueError, match="one label at least must be known to the classifier"):
        of_matrix.test(["a"], np.zeros((1, 2), int))
    with pytest.raises(TypeError, match=r"labels .*, got the str 'x'"):
        of_matrix.test(["a"], [["x"]])


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
    with pytest.warns(UserWarning, match="1 of 2 documents"):
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
    assert model.explain(text, ["fruit"]).labels == model.explain(text, "fruit").labels == ["fruit"]
    assert repr(model.explain("zzz")).endswith("no known feature, so p is the label's share")
    with pytest.raises(ValueError, match="'metal' is not a label"):
        model.explain(text, ["metal"])
    assert model.explain("unheard").features == []


@pytest.mark.parametrize("parameters", [*LOSSES, {"chars": (2, 4)}])
def test_a_file_holds_all_of_it(tmp_path, labelled, parameters):
    model = Classifier(**parameters).fit(*labelled)
    path = tmp_path / "m.safetensors"
    model.save(path)
    found = Classifier.load(path)
    assert found.get_params() == model.get_params()
    assert found.history_ == model.history_
    assert found.ledger_ == model.ledger_
    assert_array_equal(found.predict_proba(labelled[0]), model.predict_proba(labelled[0]))
    found.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_a_rate_that_is_too_large_is_an_error_and_leaves_the_old_model(labelled):
    model = Classifier(loss="softmax").fit(*labelled)
    before = bits(model)
    with pytest.raises(TrainingDivergedError, match="learning rate"):
        model.set_params(learning_rate=1e300).fit(*labelled)
    assert bits(model) == before


def test_training_ends_when_the_callback_says_so(labelled):
    """With one more epoch without each part left out, so that the scores are calibrated."""
    records = []
    model = Classifier().fit(*labelled, on_epoch_end=lambda record: records.append(record) or record["epoch"] == 2)
    assert [record["left_out"] for record in model.history_] == [0, 0, *[30] * 10]
    assert records == model.history_[:2]


@pytest.mark.parametrize(
    ("documents", "labels", "error", "message"),
    [
        (["a", "b"], ["x"], ValueError, "labels .* 1 for 2"),
        (["a", "b"], ["x", "x"], ValueError, "labels, got 1"),
        (["a", "b"], None, ValueError, "labels"),
        (["", "!"], ["x", "y"], ValueError, "no token"),
        ([], [], ValueError, "documents"),
        (["a", 7], ["x", "y"], TypeError, "document 1 is 7"),
        (["a", None], ["x", "y"], TypeError, "document 1 is None"),
        (["a", "\ud800"], ["x", "y"], ValueError, "UTF-8"),
        (np.ones((2, 2)), ["x", "y"], ValueError, "documents .* dimension"),
        ("a b", ["x"], TypeError, "documents .* 'a b'"),
        ({"a", "b"}, ["x", "y"], TypeError, "documents"),
        (["a", "b"], "xy", TypeError, "labels .* 'xy'"),
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
        (
            [1e308, 1e308, 1],
            ValueError,
            "sample_weight must have a finite sum above 0 over documents with a label, got inf",
        ),
        (["a", "b", "c"], TypeError, "sample_weight must hold real numbers"),
    ],
)
def test_bad_weights_are_named(weights, error, message):
    with pytest.raises(error, match=message):
        Classifier().fit(["a", "b", "c"], ["x", "y", "x"], weights)


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_weights_of_documents_without_a_label_are_not_enough(loss):
    labels = np.eye(2, 3, dtype=int).T if loss == "softmax" else [["x"], ["y"], []]
    with pytest.raises(ValueError, match="sample_weight"):
        Classifier(loss=loss).fit(["a", "b", "c"], labels, [0, 0, 1])


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
        ({"dim": 0}, ValueError, "dim .* 0"),
        ({"dim": 5}, ValueError, "dim=5 is for loss='softmax'"),
        ({"learning_rate": 0.5}, ValueError, "learning_rate=0.5 is for loss='softmax'"),
        ({"loss": "hinge"}, ValueError, "loss .* 'hinge'"),
        ({"class_weight": "even"}, TypeError, "class_weight"),
        ({"class_weight": {"x": 0}}, ValueError, r"class_weight\['x'\] .* 0"),
        ({"class_weight": {"z": 2}}, ValueError, "class_weight .* 'z'"),
        ({"chars": (3, 2)}, ValueError, "chars"),
        ({"weighting": "bm25"}, ValueError, "weighting"),
        ({"learning_rate": 0}, ValueError, "learning_rate"),
        ({"reading": Reading(unit="sentence")}, ValueError, "reading.unit"),
        ({"reading": "words"}, TypeError, "reading"),
        ({"label_prefix": ""}, ValueError, "label_prefix"),
    ],
)
def test_bad_parameters_are_named(parameters, error, message):
    with pytest.raises(error, match=message):
        Classifier(**parameters).fit(["a", "b"], ["x", "y"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "a.txt"),
        ("a.txt", "a b\nc\n", "a.txt.* __label__"),
        ("a.jsonl", '"a b"\n', "a.jsonl.* field"),
        ("a.csv", "label,text\n", "a.csv.* field"),
    ],
)
def test_a_file_that_cannot_be_learned_from_is_named(tmp_path, name, text, message, model):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    for learn in (Classifier().fit, model.test):
        with pytest.raises(ValueError, match=message):
            learn(path)
    with pytest.raises(FileNotFoundError, match="missing"):
        Classifier().fit(tmp_path / "missing.txt")


@pytest.mark.parametrize("parameters", [{"l2": 1e9}, {"loss": "softmax", "learning_rate": 1e-4}])
def test_that_nothing_was_learned_is_said(labelled, parameters):
    with pytest.warns(UserWarning, match="hardly anything was learned"):
        Classifier(**parameters).fit(*labelled)


def test_a_classifier_of_lists_refuses_a_matrix_and_features(model):
    with pytest.raises(TypeError, match="indicator matrix"):
        model.test(["a b"], np.eye(1, 2, dtype=int))
    with pytest.raises(ValueError, match="documents"):
        model.predict(np.eye(2))


def test_a_test_shows_a_bar_of_the_documents(model, capsys):
    texts, labels = ["a b"] * 30, model.classes_[:1].tolist() * 30
    found = model.test(texts, labels, progress=True)
    assert "documents" in capsys.readouterr().err
    assert found.nll == model.test(texts, labels).nll
    assert capsys.readouterr().err == ""


def test_a_label_whose_documents_have_no_text_is_learned_as_its_share(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("__label__a x y\n__label__b\n__label__c z w\n", encoding="utf-8")
    model = Classifier().fit(path)
    with pytest.warns(UserWarning, match="1 of 1 documents have no known feature"):
        assert_allclose(model.predict_proba(["unheard"]), np.full((1, 3), 1 / 3), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bias", None),
        ("ngrams2.pairs", None),
        ("ngrams2.pairs", lambda old: old[0]),
        ("ngrams2.pairs", lambda old: old + 10_000),
        ("words.counts", lambda old: old[:-1]),
        ("rows", lambda old: old[:-1]),
        ("weights", lambda old: old[:-1]),
        ("orders", lambda old: 40),
        ("calibration", lambda old: old[:2]),
        ("ngrams2.pairs", lambda old: old - 1),
    ],
)
def test_what_does_not_fit_together_is_no_classifier(tmp_path, labelled, name, change):
    path = tmp_path / "m.safetensors"
    Classifier(chars=(3, 3), epochs=1, tol=9).fit(*labelled).save(path)
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


def test_a_file_of_something_else_is_named(tmp_path, model):
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"holds classifier, and no"):
        Vectors.load(tmp_path / "m.safetensors")


def test_a_test_counts_hits():
    model = Classifier(ngrams=1).fit(["a"] * 3 + ["b"] * 2 + ["c"], ["x"] * 3 + ["y"] * 2 + ["z"])
    found = model.test(["a", "a", "b", "b", "q"], [["x"], ["y"], ["y"], ["x", "new"], ["new"]])
    assert (found.documents, found.unknown_labels, found.without_features) == (5, 2, 1)
    assert found.precision == pytest.approx(2 / 5)
    assert found.recall == pytest.approx(2 / 6)
    score = found.per_label[0]
    expected = "x", pytest.approx(1 / 3), 0.5, 2, 3
    assert (score.label, score.precision, score.recall, score.documents, score.predicted) == expected
