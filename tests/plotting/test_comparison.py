"""Two models compared, in numbers and on a page in a real browser."""

import numpy as np
import pytest

from fastembed import Vectors
from fastembed.plotting import compare, write_comparison

thread_unsafe = pytest.mark.thread_unsafe(reason="one browser shows one page at a time")


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


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"names": "ab"}, TypeError, "names must be two str, got 'ab'"),
        ({"names": ["a"]}, TypeError, "names must be two str"),
        ({"topn": 0}, ValueError, "topn must be at least 1, got 0"),
        ({"neighbors": 0}, ValueError, "neighbors must be at least 1"),
    ],
)
def test_bad_arguments_leave_no_file(models, arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        write_comparison(*models, tmp_path / "page.html", **arguments)
    assert not list(tmp_path.iterdir())


def test_only_vectors_with_a_word_in_common_are_compared(models, tmp_path):
    with pytest.raises(TypeError, match=r"second must be a Vectors, such as model\.vectors, got ndarray"):
        compare(models[0], np.eye(3))
    with pytest.raises(TypeError, match=r"first must be a Vectors, such as model\.vectors, got ndarray"):
        write_comparison(np.eye(3), models[0], tmp_path / "page.html")
    with pytest.raises(ValueError, match="share no token"):
        compare(models[0], Vectors(["x"], np.ones((1, 12))))
    with pytest.raises(ValueError, match="must end in"):
        write_comparison(*models, tmp_path / "page.png")


@thread_unsafe
def test_the_page_shows_the_neighbours_in_both(models, tmp_path, open_page):
    write_comparison(*models, tmp_path / "page.html", names=("<b>1900</b>", "2000"), neighbors=5)
    page = open_page(tmp_path / "page.html", "#w20")
    assert page.element("chosen").text == "w20"
    for name, model in zip(("before", "after"), models, strict=True):
        expected = [(word, f"{cosine:.2f}") for word, cosine in model.most_similar("w20", topn=5)]
        assert page.lines(name) == expected
    assert "<b>1900</b>" in page.element("word").text
    page.search("w7\n")
    assert page.element("chosen").text == "w7"
    assert "5 of 5 neighbours in both" in page.element("moved").text
    page.element("map").send_keys("\ue00c")  # Escape
    assert {line[0] for line in page.lines("most")[:2]} == {"w20", "w30"}
    assert page.requests() == ([page.path.as_uri()], [])
