"""Create the pictures of the gallery by the code on its page, and a screenshot of the page of a map.

python tools/pictures.py
"""

from __future__ import annotations

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
WIDTH, HEIGHT = 960, 640  # size of a page in the browser


def run_page(page: Path) -> None:
    """Run the code of a page in the current folder, and copy the pictures that the page shows."""
    text = page.read_text(encoding="utf-8")
    shutil.copy(DOCS / "gallery" / "openings.txt", "openings.txt")
    namespace: dict[str, object] = {}
    for language, code in re.findall(r"^```(python|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language == "sh":
            subprocess.run(code, shell=True, check=True)
        else:
            exec(compile(code, str(page), "exec"), namespace)
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        made = Path(Path(name).name)
        if made.exists():
            keep(Image.open(made), page.parent / name)


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
    """Write a screenshot of a page, once a script returns true."""
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 2, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get(address)
    WebDriverWait(chrome, 60).until(lambda page: page.execute_script(f"return {ready}"))
    chrome.execute_async_script("const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(done))")
    chrome.save_screenshot("page.png")
    keep(Image.open("page.png"), path)


def main() -> None:
    """Create all pictures."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # `fastembed`
    os.environ["MPLBACKEND"] = "agg"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), browser() as chrome:
        run_page(DOCS / "gallery.md")
        map_page = Path("map.html").absolute().as_uri()
        photograph(chrome, f"{map_page}#thread", "view?.drawn", DOCS / "gallery" / "page.png")


if __name__ == "__main__":
    main()
