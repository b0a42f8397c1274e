"""Count what a reader must follow: the files, functions and depth of calls of the package behind its main calls.

    python tools/walk.py

Each call runs once, in a process of its own, under `sys.setprofile` in all threads. A function counts once, by its
file and name; a frame counts for the depth if its code is in the package. What runs while a module is imported does not
count, except for `fastembed train`, whose files are all that it imports or runs. Behind the calls stand the modules and
lines of code (docstrings and comments apart) and the circles of imports (imports for type checking apart). A figure
beyond its bound is marked, and the program then exits with 1.
"""

from __future__ import annotations

import ast
import io
import multiprocessing
import os
import re
import sys
import tempfile
import threading
import tokenize
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import FrameType

import grimp
import numpy as np
import scipy.sparse

import fastembed

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = str(Path(fastembed.__file__).parent) + os.sep

# The calls, each with what is made before it is measured, and at most so many (files, functions, depth)
BOUNDS = {
    "SkipGram.fit(path)": (30, 289, 13),
    "Counts.from_corpus": (14, 102, 10),
    "Trainer.fit_counts": (10, 75, 8),
    "Classifier.fit": (19, 141, 10),
    "Trainer.step": (3, 4, 2),
    "most_similar": (4, None, None),
    "save": (9, None, None),
    "load": (13, None, None),
    "fastembed train": (62, None, None),
}
MODULES, LINES, TEST_LINES, CIRCLES = 114, 23_180, 18_515, 0


def prepared(name: str) -> Callable[[], object]:
    """Return the call of a name, with all that it needs, in the current folder."""
    words = np.random.default_rng(0).zipf(1.3, (500, 40)) % 1000
    text = Path("text.txt")
    text.write_text("\n".join(" ".join(f"w{word}" for word in line) for line in words), encoding="utf-8")
    if name == "SkipGram.fit(path)":
        model = fastembed.SkipGram(seed=0)
        return lambda: model.fit("text.txt")
    if name == "Counts.from_corpus":
        from_corpus, vocabulary = fastembed.Counts.from_corpus, fastembed.Vocabulary.from_corpus("text.txt")
        return lambda: from_corpus("text.txt", vocabulary)
    if name.startswith("Trainer"):
        trainer = fastembed.Trainer(np.zeros((50, 8)), np.ones((8, 50)))
        counts = scipy.sparse.random(50, 50, 0.2, format="csr", random_state=0)
        if "fit" in name:
            return lambda: trainer.fit_counts(counts)
        trainer.step(3)  # the first one makes the workspace
        return lambda: trainer.step(3)
    if name == "Classifier.fit":
        classifier = fastembed.Classifier(seed=0)
        return lambda: classifier.fit(["a good film", "a bad film", "so good"], ["+", "-", "+"])
    if name == "fastembed train":
        from fastembed.cli import main

        return lambda: main(["train", "text.txt", "-o", "model.safetensors", "--quiet"])
    model = fastembed.SkipGram(seed=0, dim=10, epochs=1).fit("text.txt")
    if name == "most_similar":
        vectors = model.vectors
        return lambda: vectors.most_similar("w1")
    if name == "load":
        model.save("model.safetensors")
        return lambda: fastembed.SkipGram.load("model.safetensors")
    return lambda: model.save("model.safetensors")


def walk(name: str) -> tuple[int, int, int]:
    """Return how many files and functions one call runs, and how deep they call one another."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        call = prepared(name)
        imports_too = name == "fastembed train"
        seen: set[tuple[str, str]] = set()
        deepest = 0

        def profile(frame: FrameType, event: str, _: object) -> None:
            nonlocal deepest
            if event != "call" or not frame.f_code.co_filename.startswith(PACKAGE):
                return
            above = ours(frame)
            if "<module>" in above and not imports_too:
                return
            seen.add((frame.f_code.co_filename, frame.f_code.co_name))
            deepest = max(deepest, len(above))

        threading.setprofile(profile)
        sys.setprofile(profile)
        try:
            call()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        os.chdir(ROOT)
    return len({file for file, _ in seen}), len(seen), deepest


def ours(frame: FrameType | None) -> list[str]:
    """Return the names of the functions of the package on the stack of a frame."""
    names = []
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def lines_of_code(file: Path) -> int:
    """Return the lines of a file of Python or Cython without docstrings, comments and blank lines."""
    source = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        source = re.sub(r'[ru]?"""(?:.|\n)*?"""', "", source)
        return sum(1 for line in source.splitlines() if line.strip() and not line.strip().startswith("#"))
    spaces = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in spaces:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node) is not None
        ):
            lines -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def code(folder: str) -> list[Path]:
    """Return the files of Python and Cython in a folder of the repository."""
    return [file for file in sorted((ROOT / folder).rglob("*")) if file.suffix in (".py", ".pyx", ".pxi", ".pxd")]


def circles() -> list[list[str]]:
    """Return the modules of the package that import one another, also over others and within functions."""
    graph = grimp.build_graph("fastembed", exclude_type_checking_imports=True, cache_dir=None)
    modules = sorted(graph.modules)
    number = {module: index for index, module in enumerate(modules)}
    imports = scipy.sparse.lil_matrix((len(modules), len(modules)), dtype=bool)
    for module in modules:
        for imported in graph.find_modules_directly_imported_by(module):
            imports[number[module], number[imported]] = True
    _, labels = scipy.sparse.csgraph.connected_components(imports.tocsr(), connection="strong")
    groups = [[modules[member] for member in np.flatnonzero(labels == label)] for label in np.unique(labels)]
    return [group for group in groups if len(group) > 1]


def cell(value: int, bound: int | None) -> str:
    """Return a figure with its bound, marked if it is beyond."""
    if bound is None:
        return f"{value:,}"
    return f"{value:,}{' !' if value > bound else ''} (at most {bound:,})"


def main() -> int:
    """Print the table; return the exit code."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=spawn, max_tasks_per_child=1) as processes:
        walks = dict(zip(BOUNDS, processes.map(walk, BOUNDS), strict=True))
    figures = [(value, bound) for name in BOUNDS for value, bound in zip(walks[name], BOUNDS[name], strict=True)]
    print("| call | files | functions | depth |\n|---|---|---|---|")
    for name, bounds in BOUNDS.items():
        print(f"| {name} | " + " | ".join(map(cell, walks[name], bounds)) + " |")
    package, found = code("fastembed"), circles()
    whole = {
        "Python modules": (sum(file.suffix == ".py" for file in package), MODULES),
        "lines of code of the package": (sum(map(lines_of_code, package)), LINES),
        "lines of code of the tests": (sum(map(lines_of_code, code("tests"))), TEST_LINES),
        "circles of imports": (len(found), CIRCLES),
    }
    print("\n| whole | |\n|---|---|")
    for name, (value, bound) in whole.items():
        print(f"| {name} | {cell(value, bound)} |")
    for group in found:
        print("circle:", ", ".join(group))
    return any(bound is not None and value > bound for value, bound in [*figures, *whole.values()])


if __name__ == "__main__":
    sys.exit(main())
