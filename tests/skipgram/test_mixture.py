"""`SkipGram.vectors_for`: words mixed with their vectors as contexts."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import SkipGram
from fastembed.skipgram.model import mixture

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None}


@pytest.mark.parametrize("directed", [False, True])
def test_vectors_for_relatedness_follow_the_formula(corpus, directed):
    """The formula, row by row, in float64."""
    model = SkipGram(directed=directed, max_contexts=12, **SETTINGS).fit(corpus)
    e, w = model.trainer.embedding.astype(float), model.trainer.linear.astype(float)
    assert w.shape == (4, 24 if directed else 12)
    found = model.vectors_for("relatedness")
    assert found.counts.tolist() == model.vocabulary.counts.tolist()
    for i, token in enumerate(model.vocabulary.tokens):
        expected = e[i] / (np.linalg.norm(e[i]) or 1)  # a word that never meets one of the 12 has a zero vector
        if i < 12:
            context = w[:, i] + w[:, 12 + i] if directed else w[:, i]
            expected = expected + 0.3 * context / np.linalg.norm(context)
        assert found[token] == pytest.approx(expected, abs=1e-6)
    assert found.matrix.dtype == np.float32
    assert model.vectors_for("analogies") is model.vectors


def test_a_word_without_a_vector_stays_without_one():
    found = mixture(np.array([[0.0, 0.0], [0.0, 2.0]]), np.zeros((2, 1)), directed=False)
    assert_array_equal(found, [[0, 0], [0, 1]])


def test_another_purpose_is_rejected(corpus):
    with pytest.raises(AttributeError, match="call fit first"):
        SkipGram().vectors_for("relatedness")
    with pytest.raises(ValueError, match="purpose must be one of analogies, relatedness, got 'poetry'"):
        SkipGram(**SETTINGS).fit(corpus).vectors_for("poetry")
