"""Count what a reader must follow: lines, modules, circles of imports, and the way of five calls through the package.

    python tools/size.py

The exit code is 1 if the package has more lines of code than ``[tool.fastembed]`` in pyproject.toml says, which may
only fall. Docstrings, comments and blank lines are no lines of code. Imports for type checking count for circles.
Each call runs once, in a process of its own. A function counts once, by its file and name; a frame counts for the depth
if its code is in the package. What runs while a module is imported does not count.
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
import tomllib
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
CALLS = ("SkipGram.fit(path)", "Counts.from_corpus", "Trainer.fit_counts", "Classifier.fit", "Recommender.fit")


def prepared(name: str) -> Callable[[], object]:
    """Return the call of a name, with all that it needs, in the current folder."""
    if name == "Trainer.fit_counts":
        trainer = fastembed.Trainer(np.zeros((50, 8)), np.ones((8, 50)))
        counts = scipy.sparse.random(50, 50, 0.2, format="csr", random_state=0)
        return lambda: trainer.fit_counts(counts)
    if name == "Classifier.fit":
        classifier = fastembed.Classifier(seed=0)
        return lambda: classifier.fit(["a good film", "a bad film", "so good"], ["+", "-", "+"])
    if name == "Recommender.fit":
        recommender = fastembed.Recommender(seed=0)
        baskets = np.random.default_rng(0).integers(50, size=(400, 8)).tolist()
        return lambda: recommender.fit(baskets)
    words = np.random.default_rng(0).zipf(1.3, (500, 40)) % 1000
    text = Path("text.txt")
    text.write_text("\n".join(" ".join(f"w{word}" for word in line) for line in words), encoding="utf-8")
    if name == "SkipGram.fit(path)":
        model = fastembed.SkipGram(seed=0)
        return lambda: model.fit("text.txt")
    from_corpus, vocabulary = fastembed.Counts.from_corpus, fastembed.Vocabulary.from_corpus("text.txt")
    return lambda: from_corpus("text.txt", vocabulary)


def way(name: str) -> tuple[int, int, int]:
    """Return how many files and functions one call runs, and how deep they call one another."""
    seen: set[tuple[str, str]] = set()
    deepest = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal deepest
        if event != "call" or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        above = ours(frame)
        if "<module>" not in above:
            seen.add((frame.f_code.co_filename, frame.f_code.co_name))
            deepest = max(deepest, len(above))

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        call = prepared(name)
        threading.setprofile(profile)
        sys.setprofile(profile)
        call()
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
    """Return the modules of the package that import one another, also over others, within functions and for types.

    `fastembed` itself is left out: it names what others define, and they read its version.
    """
    graph = grimp.build_graph("fastembed", cache_dir=None)
    modules = sorted(graph.modules - {"fastembed"})
    number = {module: index for index, module in enumerate(modules)}
    imports = scipy.sparse.lil_matrix((len(modules), len(modules)), dtype=bool)
    for module in modules:
        for imported in graph.find_modules_directly_imported_by(module) - {"fastembed"}:
            imports[number[module], number[imported]] = True
    _, labels = scipy.sparse.csgraph.connected_components(imports.tocsr(), connection="strong")
    groups = [[modules[member] for member in np.flatnonzero(labels == label)] for label in np.unique(labels)]
    return [group for group in groups if len(group) > 1]


def main() -> int:
    """Print the figures; return the exit code."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=spawn, max_tasks_per_child=1) as processes:
        ways = list(processes.map(way, CALLS))
    print("| call | files | functions | depth |\n|---|---|---|---|")
    for name, figures in zip(CALLS, ways, strict=True):
        print(f"| {name} | {' | '.join(map(str, figures))} |")
    package = code("fastembed")
    lines, modules = sum(map(lines_of_code, package)), sum(file.suffix == ".py" for file in package)
    bound = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["fastembed"]["lines"]
    print(f"\npackage: {lines:,} lines of code (at most {bound:,}) in {modules} Python modules")
    print(f"tests: {sum(map(lines_of_code, code('tests'))):,} lines of code")
    for group in circles():
        print("circle of imports:", ", ".join(group))
    if lines > bound:
        print(f"the package has grown by {lines - bound:,} lines of code", file=sys.stderr)
    return int(lines > bound)


if __name__ == "__main__":
    sys.exit(main())
