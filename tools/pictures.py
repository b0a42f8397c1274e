"""Create the pictures of the documentation: the gallery from the code on its pages, and screenshots of a browser.

python tools/pictures.py SITE --genome FILE
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

from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

DOCS = Path(__file__).resolve().parents[1] / "docs"
WIDTH, HEIGHT = 1200, 800  # size of a page in the browser
SHRUNK = 2 / 3  # scale factor per side
THEMES = ("light", "dark")


def run_page(page: Path, genome: Path) -> None:
    """Run the code of a page in the current folder, next to its data, and copy the pictures that it shows."""
    text = page.read_text(encoding="utf-8")
    shutil.copy(DOCS / "gallery" / "openings.txt", "openings.txt")
    if "NC_008253.fna.gz" in text:
        if not genome.exists():
            print(f"kept the picture of {page.name}: there is no {genome}")
            return
        shutil.copy(genome, "NC_008253.fna.gz")
    namespace: dict[str, object] = {}
    for language, code in re.findall(r"^```(python|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language == "sh":
            subprocess.run(code, shell=True, check=True)
        else:
            exec(compile(code, str(page), "exec"), namespace)
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        made = Path(Path(name).name)
        if made.exists():
            keep(Image.open(made), (page.parent / name).resolve())


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
    arguments = parser.parse_args()
    site, genome = arguments.site.resolve(), arguments.genome.resolve()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # `fastembed`
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), browser() as chrome:
        for page in sorted(set((DOCS / "gallery").glob("*.md")) - {DOCS / "gallery" / "index.md"}):
            run_page(page, genome)
        map_page = Path("library.html").absolute().as_uri()  # made by the code of library.md
        photograph(chrome, f"{map_page}#thread", "view?.drawn", DOCS / "gallery" / "page.png")
        photograph(chrome, (site / "index.html").as_uri(), "document.readyState === 'complete'", DOCS / "site.png")


if __name__ == "__main__":
    main()
