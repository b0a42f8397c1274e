"""Two models compared."""

import numpy as np
import pytest

from fastembed import Vectors
from fastembed.plotting import compare


@pytest.fixture
def models():
    """Two sets of vectors, the second turned, with two words that changed places, and words that only one has."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(200, 12))
    turned = matrix @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
    turned[[20, 30]] = turned[[30, 20]]
    words = [f"w{i}" for i in range(200)]
    return Vectors(["old", *words[1:]], matrix), Vectors(["new", *words[1:]], turned)


def test_words_that_changed_places_moved_most(models):
    comparison = compare(*models)
    moved = comparison.moved(3)
    assert {word for word, _ in moved[:2]} == {"w20", "w30"}
    assert moved[0][1] < 0.9 < moved[2][1]
    assert comparison.tokens[0] == "w1"
    assert set(comparison.tokens) == {f"w{i}" for i in range(1, 200)}
    assert comparison.moved(5, first=25)[0][0] == "w20"
    one, other = models
    aligned = other.align(one)
    cosine = one["w7"] @ aligned["w7"] / np.linalg.norm(one["w7"]) / np.linalg.norm(aligned["w7"])
    assert comparison.cosines[comparison.tokens.index("w7")] == pytest.approx(cosine, abs=1e-9)
    one = Vectors(one.tokens, one.matrix * (np.arange(200) != 7)[:, None])  # w7 has no counts in the first corpus
    with pytest.warns(UserWarning, match="1 of 200 words are left out: their vectors are zero"):
        assert set(compare(one, other).tokens) == set(comparison.tokens) - {"w7"}


def test_function_words_are_left_out(models):
    one, other = (
        Vectors(["the" if token == "w20" else token for token in held.tokens], held.matrix) for held in models
    )
    comparison = compare(one, other)
    assert "the" in comparison.tokens
    assert comparison.moved(1)[0][0] == "w30"
    assert "the" not in {word for word, _ in comparison.moved(200)}


def test_only_vectors_with_a_word_in_common_are_compared(models):
    with pytest.raises(TypeError, match="second must be a Vectors"):
        compare(models[0], np.eye(3))
    with pytest.raises(ValueError, match="share no token"):
        compare(models[0], Vectors(["x"], np.ones((1, 12))))
    with pytest.raises(ValueError, match="topn"):
        compare(*models).moved(0)
