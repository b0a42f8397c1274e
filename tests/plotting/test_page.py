"""The interactive page, in a real browser."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.support.ui import WebDriverWait

from fastembed import Vectors
from fastembed.plotting import write_page

pytestmark = pytest.mark.thread_unsafe(reason="one browser shows one page at a time")

# Bokeh keeps its tooltips in shadow roots
TOOLTIP = """const texts = [], walk = (node) => {
    if (node.classList?.contains("bk-tooltip-content")) texts.push(node.textContent)
    for (const child of [...node.children, ...(node.shadowRoot?.children ?? [])]) walk(child)
}
walk(document.body)
return texts.join()"""


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


def test_a_search_finds_and_a_click_lists_the_neighbours(opened, vectors_of):
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
    assert page.element("found").text == "No word starts with this."
    assert page.requests() == ([page.path.as_uri()], [])


def test_tokens_are_shown_and_never_run(opened, vectors_of, hostile_tokens):
    page = opened(Vectors(hostile_tokens, vectors_of(len(hostile_tokens)).matrix), neighbors=len(hostile_tokens))
    shown = [*hostile_tokens[:8], "line\\nbreak\\u2028and\\u202eleft", "\\ud800", "", "x" * 500]
    assert page.column("words", "word") == shown
    assert set(page.column("labels", "word")) <= {text if len(text) <= 30 else f"{text[:29]}…" for text in shown}
    for token in [token for token in shown if token]:
        assert page.search(f"{token[:50]}\n") == [token]
        assert page.element("chosen").text == token
        assert len(page.lines("neighbors")) == len(hostile_tokens) - 1
        page.pointer_at(token).click().perform()
        assert token in page.wait(TOOLTIP)
    assert page.wait("return [window.ran]") == [None]
    assert page.requests() == ([page.path.as_uri()], [])


def test_labels_follow_the_wheel(opened, vectors_of):
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


def test_a_click_on_many_dots_takes_the_first_word(opened, vectors_of):
    vectors = vectors_of(40, 2)
    page = opened(Vectors(vectors.tokens, np.ones_like(vectors.matrix)), neighbors=3)
    page.pointer_at("word0").click().perform()
    page.wait("return document.getElementById('chosen').textContent === 'word0'")
    assert page.lines("neighbors") == [("word1", "1.00"), ("word2", "1.00"), ("word3", "1.00")]


@pytest.mark.slow
def test_fifty_thousand_words_are_shown(opened, vectors_of, monkeypatch):
    """Their neighbours are made up: the search for them takes longer than all else, and is tested elsewhere."""
    vectors = vectors_of(50_000, dim=10)
    rng = np.random.default_rng(0)
    near, cosines = rng.integers(0, 50_000, (50_000, 10)), rng.uniform(-1, 1, (50_000, 10))
    monkeypatch.setattr(Vectors, "nearest", lambda self, queries, topn: (near, cosines))
    page = opened(vectors)
    assert page.path.stat().st_size < 5e6
    assert page.wait("return performance.now()") < 60_000
    page.search("word49999\n")
    expected = [(f"word{i}", f"{c:.2f}") for i, c in zip(near[-1], cosines[-1], strict=True)]
    assert page.lines("neighbors") == [(word, cosine.replace("-0.00", "0.00")) for word, cosine in expected]
    assert page.requests() == ([page.path.as_uri()], [])


@pytest.mark.parametrize(("count", "dim"), [(1, 3), (2, 1), (3, 2)])
def test_few_words_are_shown(opened, count, dim, vectors_of):
    page = opened(vectors_of(count, dim))
    assert page.column("labels", "word")[0] == "word0"
    page.pointer_at("word0").click().perform()
    page.wait("return document.getElementById('chosen').textContent === 'word0'")
    assert len(page.lines("neighbors")) == count - 1
    assert page.requests() == ([page.path.as_uri()], [])


def test_a_failed_write_leaves_the_old_page(tmp_path, monkeypatch, vectors_of):
    path = tmp_path / "map.html"
    path.write_text("old", encoding="utf-8")

    def fail(self, text, encoding):
        self.write_bytes(text[:100].encode(encoding))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        write_page(vectors_of(9), path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_at_least_one_neighbour_is_listed(tmp_path, vectors_of):
    with pytest.raises(ValueError, match="neighbors must be at least 1, got 0"):
        write_page(vectors_of(9), tmp_path / "map.html", neighbors=0)
