"""Predictions for many documents: the same in pieces of any size, on any number of threads."""

import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from fastembed import Classifier, reference


@pytest.fixture(params=[{}, {"ngrams": 3, "chars": (2, 3)}, {"loss": "softmax", "dim": 2}], ids=str)
def trained(request, labelled):
    return Classifier(**request.param, threads=1).fit(*labelled)


@pytest.fixture
def documents(held_out):
    """Texts, lists of tokens, and documents without a known feature, in runs that no piece ends with."""
    texts = held_out[0]
    return [*texts[:37], "", "unheard", *(text.split() for text in texts[37:60]), [], *texts[60:], "a\nb"]


def twin_scores(model, bags):
    """Return the scores by the twins of the kernels, in float64."""
    fitted = model._model
    h = reference.gather(bags.toarray(), fitted.embedding)
    return (h if fitted.linear is None else reference.matvec(h, fitted.linear)) + fitted.bias


@pytest.mark.filterwarnings("ignore:.*no known feature")
def test_the_scores_are_those_of_the_twins(trained, documents, tmp_path, bags_of, scores_of):
    trained.save(tmp_path / "m.safetensors")
    model = Classifier.load(tmp_path / "m.safetensors")
    expected = twin_scores(model, bags_of(model._model, documents))
    assert_allclose(scores_of(model, documents), expected, rtol=1e-5, atol=1e-5)
    logits = model.decision_function(documents)
    assert_array_equal(model.predict(documents), model.classes_[logits.argmax(axis=1)])
    assert_allclose(model.predict_proba(documents), special.softmax(logits, axis=1), rtol=1e-5)


def test_labels_in_documents_are_no_words_in_any_method(labelled, held_out, tmp_path):
    """Lines of a file in fastText's form, as texts or as lists of tokens, are answered as the texts alone."""
    texts, labels = held_out
    lines = [
        f"{text} #{label}" if k % 2 else f"#{label} #other {text}"
        for k, (text, label) in enumerate(zip(*held_out, strict=True))
    ]
    model = Classifier(label_prefix="#").fit(*labelled)
    model.save(tmp_path / "m.safetensors")
    more = Classifier(label_prefix="#").fit(*labelled).partial_fit(lines, labels)
    assert_array_equal(
        more.predict_proba(texts), Classifier().fit(*labelled).partial_fit(*held_out).predict_proba(texts)
    )
    for each in (model, more, Classifier.load(tmp_path / "m.safetensors")):
        for documents in (lines, [line.split() for line in lines]):
            for answer in (each.predict, each.predict_proba, each.decision_function):
                assert_array_equal(answer(documents), answer(texts))
            assert each.predict_top(documents, 2) == each.predict_top(texts, 2)
            assert each.explain(documents[0]).features == each.explain(texts[0]).features
            assert each.score(documents, labels) == each.score(texts, labels)
            assert each.test(documents, labels) == each.test(texts, labels)


@pytest.mark.filterwarnings("ignore:.*no known feature")
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_bits_do_not_depend_on_threads(trained, documents, set_constant, size):
    whole = trained.predict_proba(documents)
    set_constant("fastembed.classifier.model.ANSWERED_DOCUMENTS", size)
    one, three = (trained.set_params(threads=threads).predict_proba(documents) for threads in (1, 3))
    assert_array_equal(one, three)
    assert_allclose(one, whole, rtol=1e-5, atol=1e-6)  # BLAS may add in another order in pieces of another size
    if trained._model.linear is None:
        assert_array_equal(one, whole)


@pytest.mark.filterwarnings("ignore:.*no known feature")
@pytest.mark.parametrize(("k", "threshold"), [(1, 0.0), (2, 0.0), (3, 0.2), (99, 0.0), (1, 1.0)])
def test_the_top_labels_are_the_largest_probabilities(trained, documents, k, threshold):
    names = trained.classes_.tolist()
    expected = []
    for p in trained.predict_proba(documents):
        order = sorted(range(len(names)), key=lambda c, p=p: (-p[c], c))[:k]
        expected.append([(names[c], float(p[c])) for c in order if p[c] >= threshold])
    assert trained.predict_top(documents, k, threshold) == expected


def test_a_bad_document_is_named_by_its_number_in_any_piece(trained, set_constant):
    set_constant("fastembed.classifier.model.ANSWERED_DOCUMENTS", 4)
    with pytest.raises(TypeError, match="document 9"):
        trained.predict([*["a cat"] * 9, 5, "a dog"])
