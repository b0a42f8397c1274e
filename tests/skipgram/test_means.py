"""`SkipGram.transform`: documents as the means of their words' vectors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastembed import SkipGram

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None}


def test_transform_is_the_mean_of_the_known_words(labelled):
    documents, _ = labelled
    model = SkipGram(**SETTINGS).fit(documents)
    texts = ["lamb stew lamb unknown", "", "unknown", "fog", *documents[:20]]
    with pytest.warns(UserWarning, match="^2 of 24 documents have no known word: their vectors are 0$"):
        found = model.transform(texts)
    assert found.shape == (24, 4)
    assert found.dtype == np.float32
    for row, text in zip(found, texts, strict=True):
        vectors = [model.vectors[token].astype(float) for token in text.split() if token in model.vectors]
        expected = np.mean(vectors, axis=0) if vectors else np.zeros(4)
        assert_allclose(row, expected, rtol=0, atol=1e-6)
    assert not found[1].any()
    assert not found[2].any()
    with pytest.warns(UserWarning, match="2 of 24 documents"):
        assert_array_equal(found, model.transform([text.split() for text in texts]))
    assert model.transform([]).shape == (0, 4)


def test_fit_transform_is_fit_then_transform(labelled):
    documents, labels = labelled
    model = SkipGram(**SETTINGS)
    found = model.fit_transform(documents, labels)
    assert_array_equal(found, SkipGram(**SETTINGS).fit(documents).transform(documents))
    assert model.get_feature_names_out().tolist() == ["skipgram0", "skipgram1", "skipgram2", "skipgram3"]
    assert model.get_feature_names_out().dtype == object


def test_before_a_fit_nothing_is_transformed():
    for call in (SkipGram().transform, SkipGram().get_feature_names_out):
        with pytest.raises(AttributeError, match="call fit first"):
            call(["a b"])
