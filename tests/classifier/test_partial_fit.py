"""`Classifier.partial_fit`: more documents, with new features and new labels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastembed import Classifier

PARAMETERS = [{}, {"loss": "softmax"}, {"loss": "softmax", "dim": 2}, {"chars": (2, 3), "ngrams": 3}]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_new_features_and_labels_are_learned_and_old_ones_stay(labelled, held_out, parameters, bags_of):
    model = Classifier(**parameters).fit(*labelled)
    before, old = model._model, model.score(*held_out)
    metals = ["iron bars and iron", "copper wire", "zinc and copper", "iron gate"] * 3
    model.partial_fit([*metals, *labelled[0][:12]], ["metal"] * 12 + labelled[1][:12])
    assert model.classes_.tolist() == ["animals", "fruit", "metal", "tools"]
    assert model.predict(["iron copper", "copper wire"]).tolist() == ["metal", "metal"]
    assert model.score(*held_out) >= old - 0.05
    assert model._model.documents == 324
    bags = [bags_of(fitted, labelled[0]) for fitted in (before, model._model)]
    names = [
        {fitted.features.name(f): w for f, w in zip(each[[0]].indices, each[[0]].data, strict=True)}
        for fitted, each in zip((before, model._model), bags, strict=True)
    ]
    assert names[0] == names[1]  # the bag of an old document is the same


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_the_bits_do_not_depend_on_threads(labelled, held_out, parameters):
    documents, labels = labelled
    several = [f"{label}{k % 9}" for k, label in enumerate(labels)]  # 27 of them: two tiles
    one, three = (Classifier(**parameters, threads=threads).fit(documents, several) for threads in (1, 3))
    for _ in range(2):
        assert_array_equal(one._model.embedding, three._model.embedding)
        assert_array_equal(one.predict_proba(documents), three.predict_proba(documents))
        one.partial_fit(*held_out)
        three.partial_fit(*held_out)


def test_what_agrees_with_the_model_changes_it_little_and_what_contradicts_it_much(labelled):
    documents, labels = labelled
    model = Classifier().fit(documents, labels)
    p = model.predict_proba(documents)
    again = Classifier().fit(documents, labels).partial_fit(documents[:20], labels[:20])
    assert_allclose(again.predict_proba(documents), p, atol=0.1)
    others = ["fruit" if label == "tools" else "tools" for label in labels]
    assert Classifier().fit(documents, labels).partial_fit(documents, others).score(documents, others) > 0.9


def test_earlier_documents_hold_the_bias(labelled, held_out, bags_of):
    model = Classifier(class_weight={}, tol=1e-6, epochs=1000, l2=0.5).fit(*labelled)
    before = model._model
    found = model.partial_fit(*held_out)._model
    x = bags_of(found, held_out[0])
    scores = x @ found.embedding + found.bias
    targets = np.array(held_out[1])[:, None] == found.classes
    # The gradient is 0, with the bias held by l2 16 and the second derivatives of the losses of the 300 documents
    duals = (targets - scores) / 0.5
    words = slice(len(before.features.words))
    assert_allclose(found.embedding[words], before.embedding[words] + (x.T @ duals)[words], atol=1e-4)
    assert_allclose(found.bias, before.bias + 0.5 * duals.sum(axis=0) / (16 * 0.5 + 300), atol=1e-5)


def test_a_label_is_as_rare_as_in_all_documents_so_far(labelled, scores_of):
    more, labels = ["iron bars", "cat and iron", "dog and cat"], ["metal", "metal", "animals"]
    counts = {label: [*labelled[1], *labels].count(label) for label in [*labelled[1], *labels]}
    weights = [(303 / 4 / counts[label]) ** (1 / 3) for label in labels]
    found = Classifier().fit(*labelled).partial_fit(more, labels)
    by_document = Classifier().fit(*labelled).set_params(class_weight={}).partial_fit(more, labels, weights)
    assert_allclose(scores_of(found, more), scores_of(by_document, more), rtol=1e-6)


def test_before_a_fit_it_is_a_fit(labelled):
    first, second = Classifier().partial_fit(*labelled), Classifier().fit(*labelled)
    assert_array_equal(first.predict_proba(labelled[0]), second.predict_proba(labelled[0]))


def test_files_and_saved_models_go_on(tmp_path, labelled, held_out):
    path = tmp_path / "more.txt"
    lines = [f"__label__{label} {text}\n" for text, label in zip(*held_out, strict=True)]
    path.write_text("".join(lines) + "no label\n", encoding="utf-8")
    model = Classifier().fit(*labelled)
    model.save(tmp_path / "m.safetensors")
    found = Classifier.load(tmp_path / "m.safetensors").partial_fit(path)
    assert found.ledger_.skipped == {"without a label": 1}
    assert_array_equal(found.predict_proba(held_out[0]), model.partial_fit(*held_out).predict_proba(held_out[0]))


@pytest.mark.parametrize(
    ("parameters", "labels", "error", "message"),
    [
        ({"ngrams": 1}, ["x"], ValueError, "ngrams=1"),
        ({"chars": (2, 3)}, ["x"], ValueError, "chars"),
        ({"weighting": "tfidf"}, ["x"], ValueError, "weighting='tfidf'"),
        ({"loss": "softmax"}, ["x"], ValueError, "loss='softmax'"),
        ({}, [7], TypeError, "the type that fit learned: str, such as 'animals', got the int 7"),
        ({}, [[]], ValueError, "at least 1 label, got 0"),
    ],
)
def test_what_does_not_fit_the_model_is_named_and_leaves_it(labelled, parameters, labels, error, message):
    model = Classifier().fit(*labelled)
    before = model._model
    with pytest.raises(error, match=message):
        model.set_params(**parameters).partial_fit(["a b c"], labels)
    assert model._model is before


@pytest.mark.parametrize("dim", [1, 3, None])
def test_a_classifier_does_not_go_on_with_another_dim(labelled, held_out, dim):
    model = Classifier(loss="softmax", dim=2).fit(*labelled)
    before = model._model
    with pytest.raises(ValueError, match=f"dim={dim}, .* 2"):
        model.set_params(dim=dim).partial_fit(*held_out)
    assert model._model is before
    assert model.set_params(dim=2).partial_fit(*held_out)._model.documents > before.documents


@pytest.mark.parametrize("labels", [[3, 5], ["x", "y"]])
def test_weights_of_labels_stay_those_of_the_labels_in_a_file_and_without_their_documents(tmp_path, labels):
    model = Classifier(class_weight={labels[0]: 2.0}).fit(["a", "b"], labels)
    model.save(tmp_path / "m.safetensors")
    found = Classifier.load(tmp_path / "m.safetensors")
    assert found.class_weight == {labels[0]: 2.0}
    more = ["b c"], labels[1:]  # without a document of the label that has a weight
    assert_array_equal(found.partial_fit(*more).predict_proba(["c"]), model.partial_fit(*more).predict_proba(["c"]))
    with pytest.raises(ValueError, match="class_weight has the label 9, which no document has"):
        model.set_params(class_weight={9: 1.0}).partial_fit(*more)


def test_probabilities_stay_right_in_a_stream_of_a_few_documents_at_a_time():
    """Features that earlier documents have are not unknown to those left out; and five do not decide."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 1300)
    own = rng.random((1300, 8)) < 0.3
    words = np.where(own, labels[:, None] * 60 + rng.integers(0, 60, (1300, 8)), rng.integers(360, 660, (1300, 8)))
    documents = [" ".join(f"w{word}" for word in row) for row in words]
    model = Classifier(weighting="tfidf").fit(documents[:100], labels[:100])  # which few documents suffice for
    for first in range(100, 300, 5):
        model.partial_fit(documents[first : first + 5], labels[first : first + 5])
    found = model.test(documents[300:], labels[300:])
    whole = Classifier(weighting="tfidf").fit(documents[:300], labels[:300]).test(documents[300:], labels[300:])
    assert found.nll < whole.nll + 0.2
    assert found.calibration_error < 0.2
