"""`Classifier` with the loss "squared": its minimum, weights of documents and labels, what is left out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastembed import Classifier


def weights_of(model):
    return model._model.embedding.astype(float)


def one_hot(model, labels):
    lists = [label if isinstance(label, list) else [label] for label in labels]
    return np.array([[float(c in each) for c in model.classes_.tolist()] for each in lists])


def test_by_default_scores_are_within_tol_of_the_optimum_where_the_ascent_is_slow(bags_of):
    """Five of 4,000 documents have half of all weight, and their words do not tell them from the others."""
    rng = np.random.default_rng(0)
    documents = [" ".join(f"w{word}" for word in each) for each in rng.integers(0, 20, (4000, 6)).tolist()]
    y = np.zeros(4000)
    y[rng.choice(4000, 5, replace=False)] = 1
    model = Classifier(l2=0.5, class_weight="balanced", weighting="tfidf").fit(documents, np.where(y > 0, "y", "x"))
    x = np.hstack([bags_of(model._model, documents).toarray(), np.full((4000, 1), 0.25)])
    weights = np.where(y > 0, 400, 4000 / (2 * 3995))
    ridge = np.linalg.solve(0.5 * np.eye(x.shape[1]) + (x.T * weights) @ x, x.T @ (weights * (y - 0.5)))
    found = model._model.scores(model._model.features.bags(documents))[:, 1]
    assert_allclose(found, x @ ridge + 0.5, atol=0.05)
    assert len(model.history_) > 30  # it is slow


def test_weights_that_are_nothing_in_float32_leave_what_was_at_the_start():
    model = Classifier().fit(["a", "b"] * 10, ["x", "y"] * 10, np.full(20, 1e-300))
    assert_allclose(model.predict_proba(["a"]), [[0.5, 0.5]], rtol=1e-5)


def test_what_has_not_converged_says_so(labelled):
    with pytest.warns(UserWarning, match="epochs=2"):
        Classifier(epochs=2, tol=1e-3).fit(*labelled)


@pytest.mark.parametrize("seed", range(2))
def test_the_share_of_a_label_of_all_documents_is_1_whatever_their_weights_add_up_to(labelled, seed):
    weights = np.random.default_rng(seed).random(30)
    model = Classifier().fit(labelled[0][:30], [[label, "all"] for label in labelled[1][:30]], weights)
    with pytest.warns(UserWarning, match="the answer is the labels' shares"):
        assert model.predict_proba(["zzz"])[0, 0] == pytest.approx(1)
    assert 0.5 < model.explain(labelled[0][0], ["all"]).bias[0] < 10


def test_a_heavy_document_that_was_left_out_does_not_end_training_before_its_end(labelled, scores_of):
    documents, labels = labelled[0][:60], labelled[1][:60]
    weights = np.ones(60)
    weights[5] = 1e6
    found, exact = (
        scores_of(Classifier(l2=0.1, tol=tol, epochs=2000).fit(documents, labels, weights), documents)
        for tol in (0.001, 0)
    )
    assert_allclose(found, exact, atol=0.02)
    history = Classifier(tol=0.02).fit(documents, labels).history_  # each part ends when scores are exact enough
    assert sum(record["left_out"] > 0 and record["change"] <= 0.02 * 60 / 20 for record in history) == 10


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_weights_of_labels_are_those_of_their_documents(labelled, loss):
    documents, labels = labelled
    of_label = {"fruit": 3.0, "tools": 0.5}
    by_label = Classifier(loss=loss, class_weight=of_label).fit(documents, labels)
    by_document = Classifier(loss=loss, class_weight={}).fit(
        documents, labels, [of_label.get(label, 1.0) for label in labels]
    )
    assert_array_equal(weights_of(by_label), weights_of(by_document))
    several = Classifier(loss=loss, class_weight=of_label).fit(documents, [[label, "fruit"] for label in labels])
    mean = [(of_label.get(label, 1.0) + 3) / 2 for label in labels]
    again = Classifier(loss=loss, class_weight={}).fit(documents, [[label, "fruit"] for label in labels], mean)
    assert_array_equal(weights_of(several), weights_of(again))
    matrix = np.hstack([one_hot(by_label, labels), np.zeros((len(labels), 20))])  # labels of no document do not count
    for weight in () if loss == "softmax" else ("balanced", None):
        some, all_of_them = (
            Classifier(loss=loss, class_weight=weight).fit(documents, y) for y in (matrix[:, :3], matrix)
        )
        assert_allclose(weights_of(all_of_them)[:, :3], weights_of(some), rtol=1e-3, atol=1e-4)
    balanced = Classifier(loss=loss, class_weight="balanced").fit(documents, labels)
    assert_allclose(np.exp(balanced._model.prior), 1 / 3, rtol=1e-5)


@pytest.mark.parametrize(("l2", "weight"), [(1e-300, 1.0), (1.0, 1e300), (1.0, 1e31)])
def test_a_weight_that_would_overflow_is_named_and_changes_nothing(l2, weight):
    documents, labels = ["a b", "c d", "a d"] * 4, ["x", "y", "x"] * 4
    model = Classifier(min_count=1).fit(documents, labels)
    before = model.predict_proba(["a", "d"])
    model.set_params(l2=l2)
    with pytest.raises(ValueError, match="the weight of a document"):
        model.fit(documents, labels, np.full(12, weight))
    assert_array_equal(model.predict_proba(["a", "d"]), before)
    model.set_params(l2=1.0).fit(documents, labels, np.full(12, 1e30))
    assert np.isfinite(model.predict_proba(["a", "d"])).all()


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_what_does_not_fit_in_memory_is_an_error(labelled, set_constant, loss):
    set_constant("fastembed._base.memory.free_memory", lambda: 100)
    with pytest.raises(MemoryError, match=r"training 3 labels on .* features"):
        Classifier(loss=loss).fit(*labelled)
