"""The page of a map of many words: seconds to make and to draw it, bytes; and the layouts of other libraries.

    python bench/peers/map.py vectors.safetensors --words 50000 [--layouts pacmap opentsne]

The page is made twice, in processes of their own: the first may compile UMAP, the second finds it compiled if numba
could keep it. It is drawn by Chromium without a graphics card. Each layout gets the same neighbours, and what it keeps
of the ten nearest is the share of them among the ten nearest on the map. Each is called for few words first, which
compiles it. PaCMAP and openTSNE are not part of the extra [bench].
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import print_facts
from scipy.spatial import KDTree

from fastembed import Vectors
from fastembed.plotting import projection
from fastembed.plotting.layout import NEIGHBORS, lay_out
from fastembed.vectors.neighbors import unit_vectors

KEPT = 10  # neighbours
COMMAND = "import sys; from fastembed import Vectors; from fastembed.plotting import write_page; "
COMMAND += "write_page(Vectors.load(sys.argv[1]), sys.argv[2], topn=int(sys.argv[3]))"


def seconds_of_children(call):
    """Return the seconds that a call takes, and those of a processor that its child processes take."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    call()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def drawn(page):
    """Return the milliseconds from opening a page until it is drawn, the median of five, and None without Chromium."""
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


def kept(near, coordinates):
    """Return the share of the nearest words of each that are among its nearest on a map."""
    _, on_map = KDTree(coordinates).query(coordinates, KEPT + 1)
    return np.mean([len(np.intersect1d(a[:KEPT], b[1:])) for a, b in zip(near, on_map, strict=True)]) / KEPT


def umap(unit, near, cosines):
    return projection.project(unit, "umap", 0, near, cosines)[0]


def pacmap(unit, near, cosines):
    import pacmap

    count = len(unit)
    pairs = np.column_stack([np.repeat(np.arange(count), KEPT), near[:, :KEPT].ravel()]).astype(np.int32)
    return pacmap.PaCMAP(n_neighbors=KEPT, pair_neighbors=pairs, random_state=0).fit_transform(unit.astype(np.float32))


def opentsne(unit, near, cosines):
    import openTSNE

    affinities = openTSNE.affinity.PerplexityBasedNN(
        knn_index=openTSNE.nearest_neighbors.PrecomputedNeighbors(near[:, :NEIGHBORS], 1 - cosines[:, :NEIGHBORS]),
        perplexity=NEIGHBORS / 3,
        n_jobs=os.cpu_count(),
    )
    start = openTSNE.initialization.pca(unit, random_state=0)
    embedding = openTSNE.TSNEEmbedding(start, affinities, n_jobs=os.cpu_count(), random_state=0)
    embedding.optimize(250, exaggeration=12, momentum=0.5, inplace=True)
    return np.asarray(embedding.optimize(500, momentum=0.8, inplace=True))


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("vectors")
    parser.add_argument("--words", type=int, default=50_000)
    parser.add_argument("--layouts", nargs="*", default=(), choices=("umap", "pacmap", "opentsne"))
    arguments = parser.parse_args()
    print_facts("The page of a map", "umap-learn", "numba")
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
    if not arguments.layouts:
        return
    layout = lay_out(vectors, None, len(vectors), "pca", 0)
    unit = unit_vectors(vectors.matrix)
    print(f"pca        keeps {kept(layout.near, layout.coordinates):.3f} of the {KEPT} nearest")
    for name in arguments.layouts:
        method = globals()[name]
        few = lay_out(vectors, None, 500, "pca", 0)
        method(few.unit, few.near, few.cosines)
        start, processor = time.perf_counter(), time.process_time()
        coordinates = method(unit, layout.near, layout.cosines)
        wall, busy = time.perf_counter() - start, time.process_time() - processor
        print(f"{name:10} keeps {kept(layout.near, coordinates):.3f}, {wall:.1f} s, {busy:.1f} s of a processor")


if __name__ == "__main__":
    main()
