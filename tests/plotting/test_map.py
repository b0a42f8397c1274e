"""The map: labels that do not overlap, fonts, files; and the page, in a real browser."""

import sys
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

from fastembed import Vectors
from fastembed.plotting import plot_map

pytestmark = pytest.mark.thread_unsafe(reason="neither matplotlib nor one browser is made for threads")


def boxes_of(axes):
    return np.array([text.get_window_extent().extents for text in axes.texts])


def overlapping(boxes):
    pairs = (boxes[:, None, :2] < boxes[None, :, 2:]).all(axis=2)
    return int(np.triu(pairs & pairs.T, 1).sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_labels_overlap_no_other_and_stay_inside(axes, seed, scale, vectors_of):
    axes.get_figure().set_size_inches(8 * scale, 6 * scale)
    vectors = vectors_of(300, seed=seed)
    assert plot_map(vectors, axes, words=vectors.tokens, method="pca") is axes
    axes.get_figure().canvas.draw()
    boxes = boxes_of(axes)
    assert 20 < len(boxes) < 300
    assert overlapping(boxes) == 0
    assert (boxes[:, :2] >= axes.bbox.extents[:2]).all()
    assert (boxes[:, 2:] <= axes.bbox.extents[2:]).all()
    assert f"\n{len(boxes)} of 300 words" in axes.get_xlabel()


def test_a_whole_map_has_names_of_clusters_and_words_that_stand_for_others(axes):
    """Four clusters of 50 words around their first: it names the cluster, in its colour and larger than the words."""
    rng = np.random.default_rng(0)
    middles = 3 * np.eye(4, 12)[np.arange(200) % 4]
    spread = np.where(np.arange(200) < 4, 0.02, 0.5)[:, None]
    words = [f"{'abcd'[k % 4]}{k // 4}" for k in range(200)]
    vectors = Vectors(words, (middles + spread * rng.normal(size=(200, 12))).astype(np.float32))
    plot_map(vectors, axes, method="pca")
    axes.get_figure().canvas.draw()
    assert overlapping(boxes_of(axes)) == 0
    named = [text for text in axes.texts if text.get_fontweight() == "bold" and text.get_fontsize() > 12]
    assert sorted(text.get_text()[:3] for text in named) == ["a0,", "b0,", "c0,", "d0,"]
    assert len({text.get_color() for text in named}) == 4
    colours = axes.collections[0].get_facecolors()[::-1]
    assert [len({tuple(colour) for colour in colours[k::4].tolist()}) for k in range(4)] == [1] * 4
    assert "of 200 words have a label" in axes.get_xlabel()


def test_each_label_is_beside_its_own_dot(axes, vectors_of):
    vectors = vectors_of(150)
    plot_map(vectors, axes, words=vectors.tokens, method="pca")
    dots = axes.transData.transform(axes.collections[0].get_offsets()[::-1])
    assert len(dots) == 150
    for text, box in zip(axes.texts, boxes_of(axes), strict=True):
        dot = dots[vectors.tokens.index(text.get_text())]
        distance = np.linalg.norm(np.maximum(0, np.maximum(box[:2] - dot, dot - box[2:])))
        assert 1 < distance < 12


def test_where_there_is_space_all_words_are_labelled_in_their_order(axes, vectors_of):
    words = ["word7", "word2", "word5"]
    plot_map(vectors_of(9), axes, words=words)
    assert [text.get_text() for text in axes.texts] == words
    assert axes.get_xlabel().startswith("first principal component (")
    assert axes.get_xlabel().endswith("of the variance)\n ")


def test_a_map_without_umap_says_what_gives_a_clearer_one(axes, vectors_of, monkeypatch):
    monkeypatch.setattr("fastembed.plotting.layout.importlib.util.find_spec", lambda name: None)
    plot_map(vectors_of(100), axes)
    assert "of the variance); the extra [maps] gives a clearer map\n" in axes.get_xlabel()


@pytest.mark.parametrize(("count", "dim"), [(1, 5), (1, 1), (2, 2), (2, 50), (30, 1), (30, 2)])
def test_few_words_and_few_dimensions_are_drawn(count, dim, tmp_path, vectors_of):
    axes = plot_map(vectors_of(count, dim), tmp_path / "map.png")
    assert 1 <= len(axes.texts) <= count
    assert overlapping(boxes_of(axes)) == 0


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".SVG", b"<?xml")])
def test_files_hold_any_token_and_are_the_same_each_time(suffix, magic, tmp_path, vectors_of, hostile_tokens):
    vectors = Vectors(hostile_tokens, vectors_of(len(hostile_tokens)).matrix)
    axes = plot_map(vectors, tmp_path / f"1{suffix}")
    plot_map(vectors, str(tmp_path / f"2{suffix}"))
    first, second = ((tmp_path / f"{n}{suffix}").read_bytes() for n in (1, 2))
    assert first.startswith(magic)
    assert first == second
    shown = {text.get_text() for text in axes.texts}
    assert {"$\\frac{$", "line\\nbreak\\u2028and\\u202eleft", "\\ud800", "x" * 29 + "…"} <= shown
    if suffix == ".SVG":
        names = {element.tag.split("}")[-1] for element in ET.fromstring(first).iter()}
        assert not names & {"script", "img", "image", "foreignObject"}


def test_what_the_font_lacks_is_drawn_in_another(axes, tmp_path, vectors_of):
    """Neither a warning nor escapes: STIX, which comes with matplotlib, has both letters, DejaVu Sans neither."""
    words = ["\u1d81og", "cat\u1d8d", "mouse"]
    vectors = Vectors(words, vectors_of(3).matrix)
    for place in (axes, tmp_path / "map.png", tmp_path / "map.svg"):
        assert [text.get_text() for text in plot_map(vectors, place).texts] == words
    axes.get_figure().canvas.draw()
    with mpl.rc_context({"font.family": ["never installed"]}):
        plot_map(vectors, tmp_path / "map.png")


def test_what_no_font_has_is_a_box_and_the_picture_says_so(axes, tmp_path, vectors_of, monkeypatch):
    fonts = [font for font in fontManager.ttflist if font.name == "DejaVu Sans"]  # which comes with matplotlib
    monkeypatch.setattr(fontManager, "ttflist", fonts)
    vectors = Vectors(["\u4e2d\u6587", "\U0001f469", "mouse"], vectors_of(3).matrix)
    for place in (axes, tmp_path / "map.png", tmp_path / "map.svg"):
        drawn = plot_map(vectors, place)
        assert [text.get_text() for text in drawn.texts] == ["\u25a1\u25a1", "\u25a1", "mouse"]
        assert "; no installed font has the characters shown as \u25a1\n" in drawn.get_xlabel()
    axes.get_figure().canvas.draw()
    assert "no installed font" not in plot_map(vectors_of(3), Figure().add_subplot()).get_xlabel()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"words": ["word1", "nowhere"]}, KeyError, "'nowhere'"),
        ({"words": "word1"}, TypeError, "words"),
        ({"words": []}, ValueError, "at least one word"),
        ({"topn": 0}, ValueError, "topn"),
        ({"method": "mds"}, ValueError, "method"),
        ({"method": "umap", "topn": 3}, ValueError, "at least 4 words, got 3"),
        ({"seed": -1}, ValueError, "seed"),
        ({"vectors": np.eye(3)}, TypeError, "must be a Vectors"),
        ({"vectors": Vectors([], np.empty((0, 3)))}, ValueError, "at least one word"),
    ],
)
def test_bad_arguments_leave_no_file(arguments, error, message, tmp_path, vectors_of):
    with pytest.raises(error, match=message):
        plot_map(**{"vectors": vectors_of(9), "path_or_ax": tmp_path / "map.html", **arguments})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("missing", "extra", "name", "options"),
    [("matplotlib.axes", "plot", "map.png", {}), ("umap", "maps", "map.html", {"method": "umap"})],
)
def test_the_extra_of_a_missing_library_is_named(missing, extra, name, options, tmp_path, monkeypatch, vectors_of):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"{missing} cannot be imported.*\[{extra}\]"):
        plot_map(vectors_of(9), tmp_path / name, **options)


# ---------------------------------------------------------------- the page


@pytest.fixture
def opened(open_page, tmp_path):
    def write_and_open(vectors, fragment=""):
        path = tmp_path / "map.html"
        assert plot_map(vectors, path, method="pca") is None
        return open_page(path, fragment)

    return write_and_open


def test_a_search_finds_and_a_click_lists_the_neighbours(opened, vectors_of):
    vectors = vectors_of(300)
    page = opened(vectors)
    assert page.search("word29") == ["word29", *(f"word29{k}" for k in range(10))]
    assert page.search("WORD299\n") == ["word299"]
    assert page.element("chosen").text == "word299"
    for word in ("word299", "word4", "word50"):
        if word != "word299":
            page.search(f"{word}\n")
            page.pointer_at(word).click().perform()
        page.wait("return document.getElementById('chosen').textContent === arguments[0]", word)
        expected = [(token, f"{cosine:.2f}") for token, cosine in vectors.most_similar(word, topn=10)]
        assert page.lines("neighbors") == expected
        assert len(page.run("return view.marked")) == 11
    page.element("neighbors").find_element("tag name", "button").click()
    assert page.element("chosen").text == vectors.most_similar("word50", topn=1)[0][0]
    assert page.search("nothing") == []
    assert page.element("found").text == "No word starts with this."
    assert page.requests() == ([page.path.as_uri()], [])


def test_tokens_are_shown_and_never_run(opened, vectors_of, hostile_tokens):
    page = opened(Vectors(hostile_tokens, vectors_of(len(hostile_tokens)).matrix))
    shown = [*hostile_tokens[:8], "line\\nbreak\\u2028and\\u202eleft", "\\ud800", "", "x" * 500]
    assert page.words() == shown
    texts = {label["text"] for label in page.labels()}
    assert texts & {text if len(text) <= 30 else f"{text[:29]}…" for text in shown}
    for token in [token for token in shown if token]:
        assert page.search(f"{token[:50]}\n") == [token]
        assert page.element("chosen").text == token
        assert len(page.lines("neighbors")) == 10
        page.pointer_at(token).perform()
        page.wait("return document.getElementById('tip').textContent === arguments[0]", token)
    assert page.run("return [window.ran]") == [None]
    assert page.requests() == ([page.path.as_uri()], [])


def test_labels_do_not_overlap_and_follow_the_wheel(opened, vectors_of):
    page = opened(vectors_of(2000))
    labels = page.labels()
    assert 20 < len(labels) < 2000
    boxes = np.array([label["box"] for label in labels])
    over = (boxes[:, None, :2] < boxes[None, :, 2:]).all(axis=2)
    assert not np.triu(over & over.T, 1).any()
    before = page.run("return view.zoom")
    origin = ScrollOrigin.from_element(page.element("map"))
    ActionChains(page.browser).scroll_from_origin(origin, 0, -1200).perform()
    assert page.run("return view.zoom") > 1.5 * before
    shown = {label["of"] for label in page.labels() if isinstance(label["of"], int)}
    gone = [label["of"] for label in labels if isinstance(label["of"], int) and label["of"] not in shown]
    assert gone
    hidden = page.words()[gone[0]]
    page.search(f"{hidden}\n")
    assert hidden in {label["text"] for label in page.labels()}  # the search moved the map


def test_the_keyboard_does_what_the_pointer_does(opened, vectors_of):
    page = opened(vectors_of(300))
    before = page.run("return [view.middleX, view.middleY, view.zoom]")
    page.element("map").send_keys("+", Keys.ARROW_LEFT, Keys.ARROW_UP)
    after = page.run("return [view.middleX, view.middleY, view.zoom]")
    assert after[0] < before[0]
    assert after[1] > before[1]
    assert after[2] == pytest.approx(1.4 * before[2])
    page.element("map").send_keys("0")
    assert page.run("return [view.middleX, view.middleY, view.zoom]") == before
    page.element("map").send_keys("/")
    page.browser.switch_to.active_element.send_keys("word12", Keys.ENTER)
    assert page.element("chosen").text == "word12"
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not page.element("word").is_displayed()
    assert page.element("contents").is_displayed()


def test_the_address_has_the_word_and_leads_to_it(opened, vectors_of):
    vectors = vectors_of(30)
    vectors = Vectors(["naïve #1 word", *vectors.tokens[1:]], vectors.matrix)
    page = opened(vectors, "#word7")
    assert page.element("chosen").text == "word7"
    page.search("naïve\n")
    address = page.browser.current_url
    assert address.endswith("#na%C3%AFve%20%231%20word")
    page.run("location.hash = 'word7'")
    page.wait("return document.getElementById('chosen').textContent === 'word7'")
    page.browser.get(address)
    page.wait("return document.getElementById('chosen').textContent === 'naïve #1 word'")
    page.browser.get(page.path.as_uri() + "#%E0%A4%A")  # no text
    page.wait("return document.getElementById('word').hidden")
    assert page.requests()[1] == []


def test_the_form_for_analogies_is_in_sight_below_the_largest_clusters(opened):
    rng = np.random.default_rng(0)
    matrix = 4 * np.eye(30, 30)[np.arange(600) % 30] + 0.3 * rng.normal(size=(600, 30))
    page = opened(Vectors([f"word{k}" for k in range(600)], matrix.astype(np.float32)))
    form = page.element("analogy").rect
    assert form["y"] + form["height"] < page.run("return innerHeight")
    assert len(page.lines("clusters")) == 8
    page.element("more").click()
    assert len(page.lines("others")) == page.run("return levels[0].clusters.length") - 8 > 8


def test_analogies_are_those_of_the_vectors(opened, vectors_of):
    vectors = vectors_of(300)
    page = opened(vectors)
    for words in (("word1", "word2", "word3"), ("word250", "word9", "word40")):
        for box, word in zip(page.element("analogy").find_elements("tag name", "input"), words, strict=True):
            box.clear()
            box.send_keys(word)
        page.element("analogy").find_element("tag name", "button").click()
        page.wait("return document.querySelectorAll('#answers li').length === 5")
        expected = vectors.analogy(*words, topn=5)
        answers = page.lines("answers")
        assert answers[0][0] == expected[0][0]
        np.testing.assert_allclose([float(line[1]) for line in answers], [cosine for _, cosine in expected], atol=0.02)
    page.element("analogy").find_elements("tag name", "input")[1].send_keys("x")
    page.element("analogy").find_element("tag name", "button").click()
    page.wait("return document.getElementById('trouble').textContent === 'Not on this page: word9x'")


def test_a_phone_shows_the_map_above_the_panel(opened, vectors_of, chromium):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page = opened(vectors_of(300))
        assert page.run("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
        above, below = page.element("map").rect, page.element("search").rect
        assert above["width"] == 390
        assert above["y"] + above["height"] <= below["y"]
        page.search("word5\n")
        assert page.element("chosen").text == "word5"
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_equal_seeds_give_the_same_page(tmp_path, vectors_of):
    for name in "ab":
        plot_map(vectors_of(300), tmp_path / f"{name}.html", method="pca", seed=3)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
