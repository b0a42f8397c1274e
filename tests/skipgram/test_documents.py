"""`SkipGram.transform` by its methods: means, SIF, and the vector that predicts a document best, at its minimum."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, sparse

from fastembed import SkipGram, reference
from fastembed._base.threads import Pool
from fastembed.trainer import folding as module
from fastembed.trainer.folding import Origin, optimal_rows

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None}


def random_layer(dim, outputs, dtype=np.float64, bias=True):
    rng = np.random.default_rng(dim + outputs)
    linear = rng.normal(size=(outputs, dim)).astype(dtype).T  # as that of a trainer
    return linear, rng.normal(size=outputs).astype(dtype) if bias else None


def objective(d, counts, layer, ridge):
    """Return f(d) and its gradient, by the reference."""
    x = reference.matvec(d, *layer)
    gradient = reference.logits_gradient(x, counts, 1.0) @ layer[0].T.astype(float)
    return reference.loss(x, counts, 1.0) + ridge / 2 * d @ d, gradient + ridge * d


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("dim", "outputs", "documents"), [(1, 1, 1), (3, 7, 5), (64, 200, 4), (2, 40_000, 120)])
def test_a_fitted_vector_is_the_minimum(dim, outputs, documents, bias):
    layer = random_layer(dim, outputs, bias=bias)
    rng = np.random.default_rng(0)
    counts = sparse.random_array((documents, outputs), density=min(1, 20 / outputs), format="csr", random_state=rng)
    counts.data = np.ceil(counts.data * 3)
    counts.indices = counts.indices.astype(np.int64 if bias else np.int32)
    found, missed = optimal_rows(counts, *layer, 0.5, Pool(1), origin=Origin.of(*layer) if bias else None)
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
    set_constant(module, "MOST_STEPS", 1)
    with pytest.warns(UserWarning, match="3 of 3 documents did not converge in 1 steps: their") as caught:
        cut = model.transform(labelled[0][:3], method="fit")
    assert [warning.filename for warning in caught] == [__file__]
    assert np.isfinite(cut).all()
    assert not np.array_equal(cut, whole)
    assert optimal_rows(sparse.csr_array([[3.0, 0.0], [0.0, 0.0]]), *random_layer(1, 2), 1.0, Pool(1))[1] == 1


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


def test_fit_transform_is_fit_then_transform(labelled):
    documents, labels = labelled
    model = SkipGram(**SETTINGS)
    found = model.fit_transform(documents, labels)
    assert_array_equal(found, SkipGram(**SETTINGS).fit(documents).transform(documents))
    assert model.get_feature_names_out().tolist() == ["skipgram0", "skipgram1", "skipgram2", "skipgram3"]
    assert model.get_feature_names_out().dtype == object
