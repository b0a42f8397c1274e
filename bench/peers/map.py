"""The page of a map of many words: seconds to build and to draw it, and bytes.

    python bench/peers/map.py vectors.safetensors --words 50000

The page is built twice, in separate processes: the first may compile UMAP, the second uses numba's cache if there is
one. It is drawn by Chromium without a graphics card.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import print_facts

from fastembed import Vectors

COMMAND = "import sys; from fastembed import Vectors; from fastembed.plotting import plot_map; "
COMMAND += "plot_map(Vectors.load(sys.argv[1]), sys.argv[2], topn=int(sys.argv[3]))"


def seconds_of_children(call):
    """Return the seconds of a call, and the CPU seconds of its child processes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    call()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def drawn(page):
    """Return the milliseconds from opening a page until it is drawn, the median of five; None without Chromium."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if binary is None or shutil.which("chromedriver") is None:
        return None
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for switch in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1200,800"):
        options.add_argument(f"--{switch}")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    times = []
    try:
        for _ in range(5):
            browser.get("about:blank")
            browser.get(page.as_uri())
            times.append(WebDriverWait(browser, 60).until(lambda b: b.execute_script("return view?.drawn")))
    finally:
        browser.quit()
    return float(np.median(times))


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("vectors")
    parser.add_argument("--words", type=int, default=50_000)
    arguments = parser.parse_args()
    print_facts("The page of a map", "umap", "numba")
    vectors = Vectors.load(arguments.vectors)
    vectors = vectors.subset(min(arguments.words, len(vectors)))
    print(f"{len(vectors):,} words of dimension {vectors.matrix.shape[1]}")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "map.html")
        for time_of in ("first", "second"):
            made = [sys.executable, "-P", "-c", COMMAND, arguments.vectors, str(page), str(arguments.words)]
            wall, processor = seconds_of_children(lambda command=made: subprocess.run(command, check=True))
            print(f"{time_of} time: {wall:.1f} s, {processor:.1f} s of a processor")
        milliseconds = drawn(page)
        shown = "no Chromium" if milliseconds is None else f"drawn {milliseconds / 1000:.2f} s after it is opened"
        print(f"page: {page.stat().st_size / 1e6:.2f} MB, {shown}")


if __name__ == "__main__":
    main()
