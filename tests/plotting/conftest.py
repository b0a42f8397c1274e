"""Fixtures for the tests of pictures: vectors, axes, a history, and tokens that try to break a picture or a page."""

import json
import os
import shutil

import numpy as np
import pytest
from matplotlib.figure import Figure
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from fastembed import Vectors
from fastembed.vectors.neighbors import unit_vectors


@pytest.fixture
def vectors_of():
    """Return a function that makes random vectors of "word0", "word1" ..."""

    def make(count, dim=20, seed=0):
        matrix = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
        return Vectors([f"word{i}" for i in range(count)], matrix)

    return make


@pytest.fixture
def unit_rows(vectors_of):
    """Return a function that makes random rows of length 1."""
    return lambda count, dim, seed=0: unit_vectors(vectors_of(count, dim, seed).matrix)


@pytest.fixture
def axes():
    return Figure(figsize=(6, 5), dpi=100).add_subplot()


@pytest.fixture
def hostile_tokens():
    return [
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


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A headless browser, which records the messages and requests of the page."""
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
    # What `make check-asan` loads into Python is not for the browser
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver, env=environment))
    yield browser
    browser.quit()


class Page:
    """A page in the browser, as a person uses it."""

    def __init__(self, browser, path, fragment=""):
        self.browser, self.path = browser, path
        browser.get("about:blank")
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(path.as_uri() + fragment)
        self.wait("return view?.drawn")

    def wait(self, script, *arguments, seconds=300):
        return WebDriverWait(self.browser, seconds).until(lambda b: b.execute_script(script, *arguments))

    def run(self, script, *arguments):
        """Run a script after pending drawing has finished."""
        drawn = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
        self.browser.execute_async_script(drawn)
        return self.browser.execute_script(script, *arguments)

    def element(self, name):
        return self.browser.find_element("id", name)

    def lines(self, name):
        return [tuple(line.text.split("\n")) for line in self.element(name).find_elements("tag name", "li")]

    def search(self, text):
        box = self.element("search")
        box.clear()
        box.send_keys(text)
        return [line[0] for line in self.lines("found")]

    def words(self):
        return self.run("return word")

    def labels(self):
        return self.run("return view.labels")

    def place(self, word):
        """The pixel of a word's dot, from the middle of the map."""
        return self.run(
            "const [x, y] = view.place(word.indexOf(arguments[0])); return [x - view.width / 2, y - view.height / 2]",
            word,
        )

    def pointer_at(self, word):
        """Move the pointer to a word's dot."""
        x, y = self.place(word)
        return webdriver.ActionChains(self.browser).move_to_element_with_offset(self.element("map"), round(x), round(y))

    def requests(self):
        """Return the addresses that the page has asked for, and what went wrong.

        chrome: is what the browser's own first page, which may still load, is made of.
        """
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        errors = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
        ours = ("data:", "blob:", "chrome:", "about:")
        return [url.partition("#")[0] for url in sent if not url.startswith(ours)], errors


@pytest.fixture
def open_page(chromium):
    """Return a function that opens a file in the browser."""
    return lambda path, fragment="": Page(chromium, path, fragment)
