"""`Classifier` with each label against all others: its minimum, weights of documents and labels, calibration."""

import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize

import twins
from fastembed import Classifier
from fastembed.classifier.calibration import BEND


def weights_of(model):
    return model._model.rows(np.arange(model.n_features_)).astype(float)


def minimum(model, bags, targets, costs):
    """Return the weights (F, L) at the minimum of the objective, by L-BFGS."""
    x = bags.toarray()
    bias, shape = model._model.bias.astype(float), (x.shape[1], targets.shape[1])

    def objective(flat):
        w = flat.reshape(shape)
        logits = x @ w + bias
        if model.loss == "squared":
            losses, residual = (targets - logits) ** 2 / 2, logits - targets
        else:
            losses, residual = np.logaddexp(0, logits) - targets * logits, twins.ova_gradient(logits, targets)
        return (w**2).sum() / 2 + costs @ losses.sum(axis=1), (w + x.T @ (costs[:, None] * residual)).ravel()

    options = {"gtol": 1e-9, "ftol": 1e-15, "maxiter": 5000}
    found = optimize.minimize(objective, np.zeros(np.prod(shape)), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(shape)


def one_hot(model, labels):
    lists = [label if isinstance(label, list) else [label] for label in labels]
    return np.array([[float(c in each) for c in model.classes_.tolist()] for each in lists])


@pytest.mark.parametrize("loss", ["squared", "ova"])
@pytest.mark.parametrize("l2", [0.01, 0.3, 5.0])
def test_it_finds_the_minimum(labelled, l2, loss, set_constant, bags_of):
    set_constant("fastembed.classifier.ova.EPOCHS_OF_ALL", 300)  # none is left out at first
    documents, labels = labelled[0][:60], labelled[1][:60]
    model = Classifier(loss, l2=l2, epochs=300, tol=0).fit(documents, labels)
    expected = minimum(model, bags_of(model._model, documents), one_hot(model, labels), np.full(60, 1 / l2))
    assert_allclose(weights_of(model), expected, atol=1e-3 * np.abs(expected).max())
    assert model.history_[-1]["change"] < 1e-4 * model.history_[0]["change"]


@pytest.mark.parametrize("loss", ["squared", "ova"])
def test_weights_of_documents_are_factors_of_their_losses(labelled, loss, set_constant, bags_of):
    set_constant("fastembed.classifier.ova.EPOCHS_OF_ALL", 300)
    documents, labels = labelled[0][:40], labelled[1][:40]
    weights = np.random.default_rng(0).integers(0, 4, 40)
    model = Classifier(loss, l2=0.5, epochs=300, tol=0).fit(documents, labels, weights)
    expected = minimum(model, bags_of(model._model, documents), one_hot(model, labels), weights / 0.5)
    assert_allclose(weights_of(model), expected, atol=1e-3 * np.abs(expected).max())
    share = weights @ one_hot(model, labels) / weights.sum()
    assert_allclose(np.exp(model._model.prior), share, rtol=1e-5)
    bias = model._model.bias
    assert_allclose(bias if loss == "squared" else 1 / (1 + np.exp(-bias)), share, rtol=1e-5)


@pytest.mark.parametrize("loss", ["squared", "ova", "softmax"])
def test_weights_of_labels_are_those_of_their_documents(labelled, loss):
    documents, labels = labelled
    of_label = {"fruit": 3.0, "tools": 0.5}
    by_label = Classifier(loss, class_weight=of_label).fit(documents, labels)
    by_document = Classifier(loss).fit(documents, labels, [of_label.get(label, 1.0) for label in labels])
    assert_array_equal(weights_of(by_label), weights_of(by_document))
    several = Classifier(loss, class_weight=of_label).fit(documents, [[label, "fruit"] for label in labels])
    mean = [(of_label.get(label, 1.0) + 3) / 2 for label in labels]
    again = Classifier(loss).fit(documents, [[label, "fruit"] for label in labels], mean)
    assert_array_equal(weights_of(several), weights_of(again))
    balanced = Classifier(loss, class_weight="balanced").fit(documents, labels)
    assert_allclose(np.exp(balanced._model.prior), 1 / 3, rtol=1e-5)


def test_weights_are_for_documents_in_memory(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("__label__x a\n__label__y b\n", encoding="utf-8")
    with pytest.raises(ValueError, match="those of a file have no weights"):
        Classifier().fit(path, sample_weight=[1, 2])


@pytest.mark.parametrize("loss", ["squared", "ova"])
@pytest.mark.parametrize(("l2", "weight"), [(1e-300, 1.0), (1.0, 1e300), (1.0, 1e31)])
def test_a_weight_that_would_overflow_is_named_and_changes_nothing(loss, l2, weight):
    documents, labels = ["a b", "c d", "a d"] * 4, ["x", "y", "x"] * 4
    model = Classifier(loss=loss, min_count=1).fit(documents, labels)
    before = model.predict_proba(["a", "d"])
    model.set_params(l2=l2)
    with pytest.raises(
        ValueError, match=re.escape(f"the weight of a document is {weight:g} and l2={l2:g}: at most 1e+30")
    ):
        model.fit(documents, labels, np.full(12, weight))
    assert_array_equal(model.predict_proba(["a", "d"]), before)
    model.set_params(l2=1.0).fit(documents, labels, np.full(12, 1e30))
    assert np.isfinite(model.predict_proba(["a", "d"])).all()


@pytest.mark.parametrize("loss", ["squared", "ova"])
def test_probabilities_of_several_labels_are_independent(labelled, loss):
    documents, labels = labelled
    lists = [[label, "all"] for label in labels]
    several = Classifier(loss).fit(documents, lists)
    calibration = several._model.calibration
    scores = several.decision_function(documents).astype(float)
    bent = np.arcsinh(scores / BEND) if loss == "squared" else scores
    logits = calibration.slope * bent + calibration.offset
    assert_allclose(several.predict_proba(documents), 1 / (1 + np.exp(-logits)), rtol=1e-4)
    found, y = several.test(documents, lists, k=2), one_hot(several, lists)
    assert found.precision > 0.95
    assert found.nll == pytest.approx((np.logaddexp(0, logits) - y * logits).sum(axis=1).mean(), rel=1e-4)
    single = Classifier(loss).fit(documents, labels)
    assert_allclose(single.predict_proba(documents).sum(axis=1), 1, rtol=1e-5)


def test_a_document_of_unknown_features_has_the_shares_of_the_labels():
    model = Classifier().fit(["a b", "c d", "e f", "g"], [["x"], ["x", "y"], ["y"], ["x"]])
    with pytest.warns(UserWarning, match="the answer is the labels' shares"):
        assert_allclose(model.predict_proba(["zzz"]), [[0.75, 0.5]], rtol=1e-5)


def test_the_calibration_error_is_small_where_labels_are_drawn_by_chance():
    """Each word has a different probability of the label x."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 8, 20_000)
    labels = np.where(rng.random(20_000) < (words + 1) / 9, "x", "y")
    model = Classifier().fit([f"w{word}" for word in words], labels)
    assert model.test([f"w{word}" for word in words], labels).calibration_error < 0.04
    for word in range(8):
        assert model.predict_proba([f"w{word}"])[0, 0] == pytest.approx((word + 1) / 9, abs=0.08)


@pytest.mark.parametrize("l2", [1e-30, 1e30])
def test_no_strength_of_l2_gives_what_is_not_finite(labelled, l2):
    model = Classifier(l2=l2, epochs=3, chars=(1, 2)).fit(*labelled)
    assert np.isfinite(weights_of(model)).all()
    assert np.isfinite(model.predict_proba(labelled[0])).all()


@pytest.mark.parametrize(
    ("loss", "advice"),
    [("squared", "give loss='softmax' and a dim"), ("softmax", "give a smaller dim, or fewer features")],
)
def test_what_does_not_fit_in_memory_is_an_error_with_advice(labelled, set_constant, loss, advice):
    set_constant("fastembed._base.memory.free_memory", lambda: 100)
    with pytest.raises(MemoryError, match=rf"training 3 labels on .* features .*{advice}"):
        Classifier(loss=loss).fit(*labelled)


def test_rows_of_many_labels_are_written_without_small_numbers(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 100, 600)
    words = rng.integers(0, 50, (2, 600))
    documents = [f"l{label} w{word} w{other}" for label, word, other in zip(labels, *words, strict=True)]
    model = Classifier().fit(documents, labels)
    model.save(tmp_path / "float32.safetensors")
    model.save(tmp_path / "int8.safetensors", rows="int8")
    small = Classifier.load(tmp_path / "int8.safetensors")
    assert small._model.embedding.nnz < small._model.embedding.shape[0] * 100 / 12
    assert_allclose(small.predict_proba(documents), model.predict_proba(documents), atol=0.1)
    assert small.score(documents, labels) == model.score(documents, labels) > 0.9
    assert (tmp_path / "float32.safetensors").stat().st_size > 5 * (tmp_path / "int8.safetensors").stat().st_size
    small.save(tmp_path / "again.safetensors", rows="int8")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "int8.safetensors").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert small.explain(documents[0]).labels[0] == labels[0]
