"""Create the pictures of the documentation: the gallery from the code on its pages, and screenshots of a browser.

python tools/pictures.py SITE --genome FILE --films FILE
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from fastembed import Vectors
from fastembed.plotting import plot_map

DOCS = Path(__file__).resolve().parents[1] / "docs"
WIDTH, HEIGHT = 1200, 800  # size of a page in the browser
SHRUNK = 2 / 3  # scale factor per side
THEMES = ("light", "dark")


def run_page(page: Path, given: list[Path]) -> None:
    """Run the code of a page in the current folder, next to its data, and copy the pictures that it shows."""
    text = page.read_text(encoding="utf-8")
    shutil.copy(DOCS / "gallery" / "openings.txt", "openings.txt")
    for path in given:
        if path.name in text:
            if not path.exists():
                print(f"kept the pictures of {page.name}: there is no {path}")
                return
            shutil.copy(path, path.name)
    namespace: dict[str, object] = {}
    for language, code in re.findall(r"^```(python|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language == "sh":
            subprocess.run(code, shell=True, check=True)
        else:
            exec(compile(code, str(page), "exec"), namespace)
    write_thumbnail(page.stem, namespace)
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        made = Path(Path(name).name)
        if made.exists():
            keep(Image.open(made), (page.parent / name).resolve())


def write_thumbnail(name: str, of: dict[str, Any]) -> None:
    """Write a picture of what a page has computed, made for a card: few words, as large as those around it."""
    figure = Figure(figsize=(2.0, 1.4), dpi=300)
    if name in ("baskets", "classifier"):
        figure.set_layout_engine("constrained")
        ax = figure.add_subplot()
    else:
        ax = figure.add_axes((0.005, 0.005, 0.99, 0.99))  # what stands beside the axes is cut off
    vectors = None
    match name:
        case "baskets":
            few = ["basil", "pasta", "garlic", "cumin", "rice", "nori"]
            unit = of["unit"][[of["items"].index(item) for item in few]]
            ax.imshow(unit @ unit.T, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
            ax.set(xticks=[])
            ax.set_yticks(range(len(few)), few, fontsize=8)
        case "classifier":
            few = of["order"][-5:]
            shares = of["why"].shares[few, 0]
            ax.barh(range(len(few)), shares, color=["#0072b2" if share > 0 else "#e69f00" for share in shares])
            ax.axvline(0, color="#222222", lw=0.8)
            ax.set(xticks=[])
            ax.set_yticks(range(len(few)), [of["why"].features[f] for f in few], fontsize=8)
        case "graph":
            of["nx"].draw_networkx_edges(of["graph"], of["where"], ax=ax, edge_color="#cccccc", width=0.4)
            style = {"node_color": of["colours"], "cmap": "Set2", "node_size": 14}
            of["nx"].draw_networkx_nodes(of["graph"], of["where"], ax=ax, **style)
            ax.set_axis_off()
        case "library":
            held, subjects = Vectors.load("library.safetensors"), ["thread", "file", "date", "window", "mail", "socket"]
            near = (token for word in subjects for token, _ in held.most_similar(word, topn=5))
            vectors = held.subset(list(dict.fromkeys([*subjects, *near])))
        case "two-corpora":
            vectors = Vectors(list(of["rows"]), np.array(list(of["rows"].values())))
        case "chess":
            vectors = of["openings"]
        case "subwords":
            vectors = Vectors(of["shown"], np.array([of["vectors"][token] for token in of["shown"]]))
        case _:
            vectors = of["vectors"]
    if vectors is not None:
        plot_map(vectors, ax, words=vectors.tokens)
    if name == "two-corpora":
        ax.collections[0].set_color(of["colours"][::-1])
        for label in ax.texts:
            label.set_color(of["colours"][vectors.tokens.index(label.get_text())])
    figure.savefig("small.png")
    keep(Image.open("small.png"), DOCS / "gallery" / "small" / f"{name}.png")


def keep(picture: Image.Image, path: Path) -> None:
    """Write a picture with a palette, which takes a third of the bytes."""
    picture.convert("RGB").quantize(256).save(path, optimize=True)
    print(f"made {path.relative_to(DOCS)}")


@contextlib.contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Yield a headless Chromium."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if binary is None:
        sys.exit("pictures of pages need Chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for switch in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{switch}")
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield chrome
    finally:
        chrome.quit()


def photograph(chrome: webdriver.Chrome, address: str, ready: str, path: Path) -> None:
    """Write screenshots of a page in the light and the dark theme, each once a script returns true."""
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    both = Image.new("RGB", (2 * WIDTH, HEIGHT))
    for number, theme in enumerate(THEMES):
        feature = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
        chrome.get("about:blank")  # another fragment of the same page would not load it again
        chrome.get(address)
        WebDriverWait(chrome, 60).until(lambda page: page.execute_script(f"return {ready}"))
        chrome.execute_async_script(
            "const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(done))"
        )
        chrome.save_screenshot(f"{theme}.png")
        both.paste(Image.open(f"{theme}.png"), (number * WIDTH, 0))
    keep(both.resize((round(both.width * SHRUNK), round(both.height * SHRUNK)), Image.Resampling.LANCZOS), path)


def main() -> None:
    """Create all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("site", type=Path, help="the folder in which Sphinx has built the documentation")
    parser.add_argument("--genome", type=Path, required=True, help="NC_008253.fna.gz")
    parser.add_argument("--films", type=Path, required=True, help="movielens_liked.txt")
    arguments = parser.parse_args()
    site, given = arguments.site.resolve(), [arguments.genome.resolve(), arguments.films.resolve()]
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # `fastembed`
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), browser() as chrome:
        for page in sorted((DOCS / "gallery").glob("*.md")):
            if page.name not in ("index.md", "other.md", "text.md"):  # which list pages
                run_page(page, given)
        map_page = Path("library.html").absolute().as_uri()  # made by the code of library.md
        photograph(chrome, f"{map_page}#thread", "view?.drawn", DOCS / "gallery" / "page.png")
        photograph(chrome, (site / "index.html").as_uri(), "document.readyState === 'complete'", DOCS / "site.png")


if __name__ == "__main__":
    main()
