"""Pictures: where words are drawn, labels that do not overlap, files; and the page, in a real browser."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.support.ui import WebDriverWait
from threadpoolctl import threadpool_limits

from fastembed import SkipGram, Vectors
from fastembed.plotting import plot_history, plot_map, write_page
from fastembed.plotting.fonts import choose_fonts
from fastembed.plotting.projection import GROUPS, group, project, select

HOSTILE = [
    "</script><img src=x onerror=window.ran=1>",
    "<img src=x onerror=window.ran=2>",
    "<script>window.ran=3</script>",
    "{{ 7*7 }}{% raw %}",
    "${window.ran=4}`'\"\\",
    "$\\frac{$",
    "$$\\int x$$",
    "-->]]>&lt;&amp;",
    "line\nbreak\u2028and\u202eleft",
    "\ud800",
    "",
    "x" * 500,
]
HISTORY = [{"nll": 8.5, "seconds": 2.0}, {"nll": 8.0, "seconds": 1.5}, {"nll": 7.75, "seconds": 60.0}]
PICTURES = (plot_map, write_page)
ENDING = {plot_map: ".png", write_page: ".html"}

not_without_the_gil = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="matplotlib needs fontTools for PDF, which turns the GIL on for all tests that follow",
)


def vectors_of(count, dim=20, seed=0):
    matrix = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return Vectors([f"word{i}" for i in range(count)], matrix)


def unit_rows(count, dim, seed=0):
    return select(vectors_of(count, dim, seed), None, count)[1]


@pytest.fixture
def axes():
    return Figure(figsize=(6, 5), dpi=100).add_subplot()


class TestSelection:
    def test_the_first_words_or_the_chosen_ones_each_once(self):
        vectors = vectors_of(5)
        assert select(vectors, None, 3)[0].tokens == ("word0", "word1", "word2")
        assert select(vectors, None, 99)[0].tokens == vectors.tokens
        shown, unit = select(vectors, iter(["word4", 1, "word4"]), 1)
        assert shown.tokens == ("word4", "word1")
        expected = [vectors[word] / np.linalg.norm(vectors[word]) for word in shown.tokens]
        np.testing.assert_allclose(unit, expected, rtol=1e-6)

    @pytest.mark.parametrize("size", [1e-310, 1e-200, 1.0, 1e200, 1e308])
    def test_any_size_of_vector_has_length_one(self, size):
        _, unit = select(Vectors(["a", "zero"], np.array([[0.6, -0.8], [0.0, 0.0]]) * size), None, 2)
        np.testing.assert_allclose(unit, [[0.6, -0.8], [0.0, 0.0]], rtol=1e-9)

    @pytest.mark.parametrize("picture", PICTURES)
    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"words": ["word1", "nowhere"]}, KeyError, "'nowhere'"),
            ({"words": "word1"}, TypeError, "single str 'word1'"),
            ({"words": []}, ValueError, "no word"),
            ({"words": [3.5]}, TypeError, "3.5"),
            ({"topn": 0}, ValueError, "topn must be at least 1, got 0"),
            ({"topn": 2.0}, TypeError, "topn must be an integer"),
            ({"method": "mds"}, ValueError, "'pca', 'umap', 'tsne', got 'mds'"),
            ({"seed": -1}, ValueError, "seed must be from 0 to"),
        ],
    )
    def test_bad_arguments_leave_no_file(self, picture, arguments, error, message, tmp_path):
        with pytest.raises(error, match=message):
            picture(vectors_of(9), tmp_path / f"map{ENDING[picture]}", **arguments)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("picture", PICTURES)
    def test_only_vectors_that_hold_a_word(self, picture, tmp_path):
        path = tmp_path / f"map{ENDING[picture]}"
        with pytest.raises(ValueError, match="no word"):
            picture(Vectors([], np.empty((0, 3))), path)
        with pytest.raises(TypeError, match="must be a Vectors, got ndarray"):
            picture(np.eye(3), path)

    @pytest.mark.parametrize("picture", PICTURES)
    def test_the_path_is_checked_first(self, picture, tmp_path):
        with pytest.raises(ValueError, match=r"must end in .*got '.*map\.jpg'"):
            picture(vectors_of(9), tmp_path / "map.jpg")
        with pytest.raises(FileNotFoundError, match="does not exist"):
            picture(vectors_of(9), tmp_path / "nowhere" / f"map{ENDING[picture]}")


class TestProjection:
    def test_principal_components(self):
        unit = unit_rows(60, 7)
        coordinates, shares = project(unit, "pca", 0)
        variances, directions = np.linalg.eigh(np.cov(unit.T))
        variances, directions = variances[::-1], directions[:, ::-1]
        np.testing.assert_allclose(shares, variances[:2] / variances.sum(), rtol=1e-9)
        for k in range(2):
            direction = directions[:, k] * np.sign(directions[np.abs(directions[:, k]).argmax(), k])
            np.testing.assert_allclose(coordinates[:, k], (unit - unit.mean(axis=0)) @ direction, atol=1e-9)

    def test_what_is_not_there_is_zero(self):
        for rows in (np.ones((1, 5)), np.ones((4, 3)), np.zeros((3, 2))):
            coordinates, shares = project(rows, "pca", 0)
            assert not coordinates.any()
            assert not shares.any()
        for rows in (unit_rows(2, 30), unit_rows(50, 1), np.repeat(unit_rows(2, 9), 20, axis=0)):
            coordinates, shares = project(rows, "pca", 0)
            assert np.ptp(coordinates[:, 0]) > 0.1
            assert not coordinates[:, 1].any()
            np.testing.assert_allclose(shares, [1, 0])

    @pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
    @pytest.mark.parametrize(("method", "library"), [("pca", "numpy"), ("tsne", "sklearn"), ("umap", "umap")])
    def test_the_same_bits_for_the_same_seed(self, method, library):
        pytest.importorskip(library)
        unit = unit_rows(150, 12)
        first, _ = project(unit, method, 3)
        with threadpool_limits(limits=1):
            again, _ = project(unit, method, 3)
        assert first.shape == (150, 2)
        assert np.isfinite(first).all()
        np.testing.assert_array_equal(first, again)
        if method == "umap":
            assert not np.array_equal(first, project(unit, method, 4)[0])

    @pytest.mark.parametrize(("method", "library"), [("tsne", "sklearn"), ("umap", "umap")])
    def test_neighbours_stay_together(self, method, library, tmp_path):
        pytest.importorskip(library)
        centres = np.eye(3)[np.arange(60) % 3]
        coordinates, shares = project(centres + unit_rows(60, 3) / 20, method, 0)
        assert shares is None
        distances = np.linalg.norm(coordinates[:, None] - coordinates, axis=2) + np.diag(np.full(60, np.inf))
        assert (distances.argmin(axis=1) % 3 == np.arange(60) % 3).all()
        with pytest.raises(ValueError, match="at least 4 words, got 3"):
            plot_map(vectors_of(3), tmp_path / "map.png", method=method)
        for rows in (np.ones((9, 3)), np.zeros((4, 2)), unit_rows(9, 1)):
            coordinates, _ = project(rows, method, 0)
            assert coordinates.shape == (len(rows), 2)
            assert np.isfinite(coordinates).all()
        for picture in PICTURES:
            picture(vectors_of(4), tmp_path / f"map{ENDING[picture]}", method=method)

    def test_groups(self):
        centres = np.eye(12)[np.repeat(np.arange(4), [8, 20, 2, 10])]
        numbers = group(centres + unit_rows(40, 12) / 100, 1)
        assert numbers.max() < GROUPS
        assert (np.diff(np.bincount(numbers)) <= 0).all()
        np.testing.assert_array_equal(numbers, group(centres + unit_rows(40, 12) / 100, 1))
        assert set(group(np.ones((50, 3)), 0)) == {0}
        assert group(np.ones((1, 3)), 0).tolist() == [0]


class TestMissingLibraries:
    @pytest.mark.parametrize(
        ("missing", "extra", "call"),
        [
            ("matplotlib.axes", "plot", lambda path: plot_map(vectors_of(9), path / "map.png")),
            ("matplotlib.axes", "plot", lambda path: plot_history(HISTORY, path / "history.png")),
            ("bokeh", "plot", lambda path: write_page(vectors_of(9), path / "map.html")),
            ("umap", "maps", lambda path: project(unit_rows(9, 3), "umap", 0)),
            ("sklearn.manifold", "maps", lambda path: project(unit_rows(9, 3), "tsne", 0)),
        ],
    )
    def test_the_extra_is_named(self, missing, extra, call, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(ImportError, match=rf"{missing} cannot be imported.*\[{extra}\]"):
            call(tmp_path)

    def test_importing_imports_none_of_them(self):
        code = "import sys, fastembed.plotting; print({'matplotlib', 'bokeh', 'umap', 'sklearn'} & set(sys.modules))"
        assert subprocess.check_output([sys.executable, "-P", "-c", code], encoding="utf-8") == "set()\n"


def boxes_of(axes):
    return np.array([text.get_window_extent().extents for text in axes.texts])


def overlapping(boxes):
    pairs = (boxes[:, None, :2] < boxes[None, :, 2:]).all(axis=2)
    return int(np.triu(pairs & pairs.T, 1).sum())


@pytest.mark.thread_unsafe(reason="matplotlib is not made for threads")
class TestMap:
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("scale", [0.5, 2.0])
    def test_labels_overlap_no_other_and_stay_inside(self, axes, seed, scale):
        axes.get_figure().set_size_inches(8 * scale, 6 * scale)
        vectors = vectors_of(300, seed=seed)
        assert plot_map(vectors, axes, topn=300) is axes
        axes.get_figure().canvas.draw()
        boxes = boxes_of(axes)
        assert 20 < len(boxes) < 300
        assert overlapping(boxes) == 0
        assert (boxes[:, :2] >= axes.bbox.extents[:2]).all()
        assert (boxes[:, 2:] <= axes.bbox.extents[2:]).all()
        assert f"\n{300 - len(boxes)} of 300 words" in axes.get_xlabel()

    def test_the_check_sees_labels_that_do(self, axes):
        for place in (0.5, 0.51):
            axes.text(place, 0.5, "label")
        assert overlapping(boxes_of(axes)) == 1

    def test_each_label_is_beside_its_own_dot(self, axes):
        vectors = vectors_of(150)
        plot_map(vectors, axes, topn=150)
        dots = axes.transData.transform(axes.collections[0].get_offsets())
        assert len(dots) == 150
        for text, box in zip(axes.texts, boxes_of(axes), strict=True):
            dot = dots[vectors.tokens.index(text.get_text())]
            distance = np.linalg.norm(np.maximum(0, np.maximum(box[:2] - dot, dot - box[2:])))
            assert 1 < distance < 12

    def test_labels_take_no_picture_each(self, axes, monkeypatch):
        """A renderer holds the whole picture: one for each of 300 labels is gigabytes."""
        made = []

        class Renderer(backend_agg.RendererAgg):
            def __init__(self, *size):
                made.append(size)
                super().__init__(*size)

        monkeypatch.setattr(backend_agg, "RendererAgg", Renderer)
        plot_map(vectors_of(30), axes)
        assert 1 <= len(made) <= 3

    def test_where_there_is_room_all_words_are_labelled_in_their_order(self, axes):
        words = ["word7", "word2", "word5"]
        plot_map(vectors_of(9), axes, words=words)
        assert [text.get_text() for text in axes.texts] == words
        assert axes.get_xlabel().startswith("first principal component (")
        assert axes.get_xlabel().endswith("of the variance)\n ")

    @pytest.mark.parametrize(("count", "dim"), [(1, 5), (1, 1), (2, 2), (2, 50), (30, 1), (30, 2)])
    def test_few_words_and_few_dimensions(self, count, dim, tmp_path):
        axes = plot_map(vectors_of(count, dim), tmp_path / "map.png")
        assert 1 <= len(axes.texts) <= count
        assert overlapping(boxes_of(axes)) == 0

    @pytest.mark.parametrize(
        ("ending", "magic"),
        [(".png", b"\x89PNG"), (".SVG", b"<?xml"), pytest.param(".pdf", b"%PDF", marks=not_without_the_gil)],
    )
    def test_files_hold_any_token_and_are_the_same_each_time(self, ending, magic, tmp_path):
        vectors = Vectors(HOSTILE, vectors_of(len(HOSTILE)).matrix)
        axes = plot_map(vectors, tmp_path / f"1{ending}")
        plot_map(vectors, str(tmp_path / f"2{ending}"))
        first, second = ((tmp_path / f"{n}{ending}").read_bytes() for n in (1, 2))
        assert first.startswith(magic)
        assert first == second
        shown = {text.get_text() for text in axes.texts}
        assert {"$\\frac{$", "line\\nbreak\\u2028and\\u202eleft", "\\ud800", "x" * 29 + "…"} <= shown
        if ending == ".SVG":
            names = {element.tag.split("}")[-1] for element in ET.fromstring(first).iter()}
            assert not names & {"script", "img", "image", "foreignObject"}

    @pytest.mark.parametrize("ending", [".png", ".svg", pytest.param(".pdf", marks=not_without_the_gil)])
    def test_what_the_font_lacks_is_drawn_in_another(self, axes, tmp_path, ending):
        """Neither a warning nor escapes: STIX, which comes with matplotlib, has both letters, DejaVu Sans neither."""
        words = ["\u1d81og", "cat\u1d8d", "mouse"]
        assert choose_fonts(["mouse"]) == (["sans-serif"], set())
        assert choose_fonts(words)[1] == set()
        vectors = Vectors(words, vectors_of(3).matrix)
        for place in (axes, tmp_path / f"map{ending}"):
            assert [text.get_text() for text in plot_map(vectors, place).texts] == words
        axes.get_figure().canvas.draw()

    def test_fonts_that_are_gone_do_no_harm(self, tmp_path, monkeypatch):
        """One of the settings, drawn in DejaVu Sans; one removed since matplotlib listed it. STIX has no Latin here."""
        stix = next(font for font in fontManager.ttflist if font.name == "STIXSizeOneSym")
        deleted = replace(stix, fname=str(tmp_path / "deleted.ttf"), name="Deleted")
        dejavu = [font for font in fontManager.ttflist if font.name == "DejaVu Sans"]
        monkeypatch.setattr(fontManager, "ttflist", [*dejavu, deleted, stix])
        words = ["\u20ecx", "cat", "mouse"]
        with mpl.rc_context({"font.family": ["never installed"]}):
            axes = plot_map(Vectors(words, vectors_of(3).matrix), tmp_path / "map.png")  # warns of nothing
        assert [text.get_text() for text in axes.texts] == words

    def test_what_no_font_has_is_escaped_with_one_warning(self, axes, tmp_path, monkeypatch):
        monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if "DejaVu" in font.name])
        words = [f"\u65e5\u672c{n}" for n in range(7)] + ["\u65e5\x07", "plain"]
        vectors = Vectors(words, vectors_of(9).matrix)
        message = r"^words with .* no font here has are escaped, .*: '\u65e5\u672c0', .*\u672c4' and 3 more$"
        for place in (axes, tmp_path / "map.png"):
            with pytest.warns(UserWarning, match=message) as caught:
                shown = {text.get_text() for text in plot_map(vectors, place).texts}
            assert len(caught) == 1
            assert {r"\u65e5\u672c0", r"\u65e5\x07", "plain"} <= shown
        axes.get_figure().canvas.draw()  # warns of nothing

    @pytest.mark.thread_unsafe(reason="looks at the settings of matplotlib, which the process has once")
    def test_pictures_written_at_once_are_the_same_and_leave_the_settings(self, tmp_path):
        before = dict(mpl.rcParams)
        paths = [tmp_path / f"{k}.svg" for k in range(24)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda path: plot_history(HISTORY, path), paths))
        assert len({path.read_bytes() for path in paths}) == 1
        assert dict(mpl.rcParams) == before

    def test_a_failed_write_leaves_the_old_file(self, tmp_path, monkeypatch):
        path = tmp_path / "map.png"
        path.write_text("old", encoding="utf-8")

        def fail(self, target, **options):
            Path(target).write_text("half", encoding="utf-8")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Figure, "savefig", fail)
        for draw in (lambda: plot_map(vectors_of(9), path), lambda: plot_history(HISTORY, path)):
            with pytest.raises(OSError, match="No space left"):
                draw()
            assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]

    @pytest.mark.parametrize("place", [None, 3, b"map.png"])
    def test_neither_path_nor_axes(self, place):
        with pytest.raises(TypeError, match="path_or_ax must be a path or matplotlib axes"):
            plot_map(vectors_of(9), place)


@pytest.mark.thread_unsafe(reason="matplotlib is not made for threads")
class TestHistory:
    def test_nll_against_epochs_and_seconds(self, axes):
        assert plot_history(HISTORY, axes) is axes
        np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 8.5], [2, 8.0], [3, 7.75]])
        axes.get_figure().canvas.draw()
        (above,) = axes.child_axes
        assert [label.get_text() for label in above.get_xticklabels()] == ["2", "3.5", "63.5"]
        assert above.get_xlabel() == "seconds"
        assert axes.get_legend() is None

    def test_a_fit_and_its_validation(self, tmp_path):
        lines = [["a", "b", "c", "d"][k % 3 :] for k in range(200)]
        model = SkipGram(dim=3, min_count=1, epochs=12, early_stopping=True, n_iter_no_change=12).fit(lines)
        axes = plot_history(model.history, tmp_path / "history.svg")
        assert [line.get_label() for line in axes.lines] == ["training", "held out"]
        assert axes.lines[1].get_ydata().tolist() == [record["validation_nll"] for record in model.history]
        assert axes.get_xticks().tolist() == [1, 3, 5, 7, 9, 11]
        assert (tmp_path / "history.svg").read_bytes().startswith(b"<?xml")

    @pytest.mark.parametrize(
        ("history", "error", "message"),
        [
            ([], ValueError, "at least one epoch"),
            ([{"nll": 1.0}], ValueError, r"history\[0\] must have the key 'seconds', got \['nll'\]"),
            ([*HISTORY, {"nll": np.nan, "seconds": 1.0}], ValueError, r"history\[3\]\['nll'\] must be finite"),
            ([{"nll": "8", "seconds": 1.0}], TypeError, r"history\[0\]\['nll'\] must be a number"),
            ([8.5, 8.0], TypeError, r"history\[0\] must be a mapping with 'nll', got float"),
            ([*HISTORY, {"nll": 1.0, "seconds": 1.0, "validation_nll": 2.0}], ValueError, "'validation_nll'"),
        ],
    )
    def test_bad_histories(self, history, error, message, tmp_path):
        with pytest.raises(error, match=message):
            plot_history(history, tmp_path / "history.png")
        assert not list(tmp_path.iterdir())


TOOLTIP = """const texts = [], walk = (node) => {
    if (node.classList?.contains("bk-tooltip-content")) texts.push(node.textContent)
    for (const child of [...node.children, ...(node.shadowRoot?.children ?? [])]) walk(child)
}
walk(document.body)
return texts.join()"""
"""Bokeh keeps its tooltips in shadow roots."""


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A real browser without a window; it keeps what the page says and asks for."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    binary = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs Chromium and chromedriver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    switches = "headless no-sandbox disable-gpu disable-dev-shm-usage disable-quic no-first-run disable-sync"
    switches += " disable-background-networking disable-component-update enable-unsafe-swiftshader"
    for switch in switches.split():
        options.add_argument(f"--{switch}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.add_argument("--window-size=1200,800")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # What `make test-asan` loads into Python is not for the browser
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver, env=environment))
    yield browser
    browser.quit()


class Page:
    """A page in the browser, as a person uses it."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(path.as_uri())
        self.wait("return window.Bokeh?.documents[0]?.get_model_by_name('labels').data.word.length")

    def wait(self, script, *arguments, seconds=60):
        return WebDriverWait(self.browser, seconds).until(lambda b: b.execute_script(script, *arguments))

    def element(self, name):
        return self.browser.find_element("id", name)

    def lines(self, name):
        return [tuple(line.text.split("\n")) for line in self.element(name).find_elements("tag name", "li")]

    def search(self, text):
        box = self.element("search")
        box.clear()
        box.send_keys(text)
        return [line[0] for line in self.lines("found")]

    def column(self, source, name):
        return self.wait(f"return [...Bokeh.documents[0].get_model_by_name('{source}').data.{name}]")

    def pointer_at(self, word):
        """Move the pointer to a word's dot."""
        i = self.column("words", "word").index(word)
        plot = self.element("map")
        place = self.wait(
            """const [plot, words] = ["plot", "words"].map((name) => Bokeh.documents[0].get_model_by_name(name))
            const part = (range, value) => (value - range.start) / (range.end - range.start)
            const box = Bokeh.index.find_one_by_id(plot.id).frame.bbox
            return [box.left + part(plot.x_range, words.data.x[arguments[0]]) * box.width,
                    box.bottom - part(plot.y_range, words.data.y[arguments[0]]) * box.height]""",
            i,
        )
        middle = plot.size["width"] / 2, plot.size["height"] / 2
        return ActionChains(self.browser).move_to_element_with_offset(
            plot, round(place[0] - middle[0]), round(place[1] - middle[1])
        )

    def requests(self):
        """Return the addresses that the page has asked for, and what went wrong.

        chrome: is what the browser's own first page, which may still load, is made of.
        """
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        errors = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
        return [url for url in sent if not url.startswith(("data:", "blob:", "chrome:"))], errors


@pytest.fixture
def opened(chromium, tmp_path):
    def write_and_open(vectors, **options):
        path = tmp_path / "map.html"
        write_page(vectors, path, **options)
        page = Page(chromium, path)
        page.path = path
        return page

    return write_and_open


@pytest.mark.thread_unsafe(reason="one browser shows one page at a time")
class TestPage:
    def test_a_search_finds_and_a_click_lists_the_neighbours(self, opened):
        vectors = vectors_of(300)
        page = opened(vectors, neighbors=7)
        assert page.search("word29") == ["word29", *(f"word29{k}" for k in range(10))]
        assert page.search("WORD299\n") == ["word299"]
        assert page.element("chosen").text == "word299"
        for word in ("word299", "word4", "word50"):
            if word != "word299":
                page.pointer_at(word).click().perform()
            page.wait("return document.getElementById('chosen').textContent === arguments[0]", word)
            expected = [(token, f"{cosine:.2f}") for token, cosine in vectors.most_similar(word, topn=7)]
            assert page.lines("neighbors") == expected
            assert len(page.column("marks", "x")) == 8
        page.element("neighbors").find_element("tag name", "button").click()
        assert page.element("chosen").text == vectors.most_similar("word50", topn=1)[0][0]
        assert page.search("nothing") == []
        assert page.element("found").text == "No word begins so."
        assert page.requests() == ([page.path.as_uri()], [])

    def test_tokens_are_shown_and_never_run(self, opened):
        page = opened(Vectors(HOSTILE, vectors_of(len(HOSTILE)).matrix), neighbors=len(HOSTILE))
        shown = [*HOSTILE[:8], "line\\nbreak\\u2028and\\u202eleft", "\\ud800", "", "x" * 500]
        assert page.column("words", "word") == shown
        assert set(page.column("labels", "word")) <= {text if len(text) <= 30 else f"{text[:29]}…" for text in shown}
        for token in [token for token in shown if token]:
            assert page.search(f"{token}\n") == [token]
            assert page.element("chosen").text == token
            assert len(page.lines("neighbors")) == len(HOSTILE) - 1
            page.pointer_at(token).click().perform()
            assert token in page.wait(TOOLTIP)
        assert page.wait("return [window.ran]") == [None]
        assert page.requests() == ([page.path.as_uri()], [])

    def test_labels_follow_the_wheel(self, opened):
        page = opened(vectors_of(2000))
        labels = page.column("labels", "word")
        assert 20 < len(labels) < 2000
        origin = ScrollOrigin.from_element(page.element("map"))
        ActionChains(page.browser).scroll_from_origin(origin, 0, -1200).perform()
        page.wait(
            """const labels = Bokeh.documents[0].get_model_by_name("labels").data, shown = new Set(labels.word)
            const {x_range: r, y_range: s} = Bokeh.documents[0].get_model_by_name("plot")
            const inside = (range, values) => values.every((value) => range.start <= value && value <= range.end)
            const gone = arguments[0].some((word) => !shown.has(word))
            return gone && inside(r, labels.x) && inside(s, labels.y)""",
            labels,
        )
        hidden = next(word for word in labels if word not in page.column("labels", "word"))
        page.search(f"{hidden}\n")
        assert hidden in page.column("labels", "word")  # the search moved the map

    def test_a_click_on_many_dots_takes_the_first_word(self, opened):
        vectors = vectors_of(40, 2)
        page = opened(Vectors(vectors.tokens, np.ones_like(vectors.matrix)), neighbors=3)
        page.pointer_at("word0").click().perform()
        page.wait("return document.getElementById('chosen').textContent === 'word0'")
        assert page.lines("neighbors") == [("word1", "1.00"), ("word2", "1.00"), ("word3", "1.00")]

    @pytest.mark.slow
    def test_fifty_thousand_words(self, opened):
        vectors = vectors_of(50_000, dim=10)
        page = opened(vectors)
        assert page.path.stat().st_size < 5e6
        assert page.wait("return performance.now()") < 60_000
        page.search("word49999\n")
        assert page.lines("neighbors") == [(token, f"{c:.2f}") for token, c in vectors.most_similar("word49999")]
        assert page.requests() == ([page.path.as_uri()], [])

    @pytest.mark.parametrize(("count", "dim"), [(1, 3), (2, 1), (3, 2)])
    def test_few_words(self, opened, count, dim):
        page = opened(vectors_of(count, dim))
        assert page.column("labels", "word")[0] == "word0"
        page.pointer_at("word0").click().perform()
        page.wait("return document.getElementById('chosen').textContent === 'word0'")
        assert len(page.lines("neighbors")) == count - 1
        assert page.requests() == ([page.path.as_uri()], [])

    def test_a_failed_write_leaves_the_old_page(self, tmp_path, monkeypatch):
        path = tmp_path / "map.html"
        path.write_text("old", encoding="utf-8")

        def fail(self, text, encoding):
            self.write_bytes(text[:100].encode(encoding))
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_text", fail)
        with pytest.raises(OSError, match="No space left"):
            write_page(vectors_of(9), path)
        assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]

    def test_how_many_neighbours(self, tmp_path):
        with pytest.raises(ValueError, match="neighbors must be at least 1, got 0"):
            write_page(vectors_of(9), tmp_path / "map.html", neighbors=0)
