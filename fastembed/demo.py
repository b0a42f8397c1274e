"""The demonstration: word vectors from the standard library of the Python that runs, so that no data is needed."""

from __future__ import annotations

import ast
import os
import platform
import re
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import decode_source
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from fastembed.skipgram import FitProgress, SkipGram
from fastembed.vectors.vectors import Vectors

WORDS = ("socket", "thread", "bytes", "coroutine", "lock")
ANALOGY = ("thread", "threads", "process")  # "processes" is the answer, and not the nearest neighbour of "process"
SKIPPED_FOLDERS = {"__pycache__", "dist-packages", "idle_test", "site-packages", "test", "tests"}
TOKEN = re.compile(r"[a-z_][a-z0-9_]+")
COMMENT_BLOCK = re.compile(r"(?:^[ \t]*#.*\n?)+", re.MULTILINE)
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class StandardLibrary(NamedTuple):
    """The text that the standard library holds for people.

    Attributes
    ----------
    sequences : list of list of str
        The lower-case words and names of each docstring, block of comments, and topic of the language reference.
    tokens : Counter of str
        How many tokens came from each of the three kinds.
    files : int
        The number of source files read; those that this Python cannot parse are left out.
    """

    sequences: list[list[str]]
    tokens: Counter[str]
    files: int


def standard_library(folder: str | os.PathLike[str] | None = None) -> StandardLibrary:
    """Read the source files of the standard library; nothing is imported or run.

    Parameters
    ----------
    folder : path-like, optional
        The folder of the library; by default the standard library of the Python that runs.

    Returns
    -------
    StandardLibrary

    Raises
    ------
    OSError
        If there is no source file, as in a Python that keeps only compiled files.

    Examples
    --------
    >>> import json
    >>> library = standard_library(Path(json.__file__).parent)
    >>> sorted(library.tokens)
    ['comments', 'docstrings']
    """
    root = Path(sysconfig.get_path("stdlib") if folder is None else folder)
    sequences: list[list[str]] = []
    tokens: Counter[str] = Counter()
    files = 0
    for path in _sources(root):
        try:
            source = decode_source(path.read_bytes())
            tree = ast.parse(source)
        except (SyntaxError, ValueError):  # ValueError: a null byte, or a file in another encoding than it declares
            continue
        files += 1
        if path == root / "pydoc_data" / "topics.py":
            topics = (node.values for node in ast.walk(tree) if isinstance(node, ast.Dict))  # {name: text, ...}
            texts: dict[str, Iterator[str]] = {"language reference": map(ast.literal_eval, chain.from_iterable(topics))}
        else:
            texts = {"docstrings": _docstrings(tree), "comments": iter(COMMENT_BLOCK.findall(source))}
        for kind, passages in texts.items():
            for passage in passages:
                sequences.append(TOKEN.findall(passage.lower()))
                tokens[kind] += len(sequences[-1])
    if not files:
        raise OSError(f"no Python source in {str(root)!r}: the demo reads the standard library's .py files")
    return StandardLibrary(sequences, tokens, files)


def _sources(root: Path) -> Iterator[Path]:
    """Yield the .py files below a folder in a fixed order, except for tests and installed packages."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".py"))


def _docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and functions, also those inside ``if`` and ``try``."""
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, Documented) and (text := ast.get_docstring(node, clean=False)):
            yield text
        if isinstance(node, Documented | ast.If | ast.Try):
            nodes.extend(reversed(node.body))


def run(
    model: SkipGram, output: str | os.PathLike[str], progress: FitProgress | None = None, *, quiet: bool = False
) -> None:
    """Train `model` on the standard library, save it and print what it learned.

    Parameters
    ----------
    output : path-like
        The safetensors file to make or to replace.
    progress : FitProgress, optional
        As for :meth:`SkipGram.fit`.
    quiet : bool
        Whether to print nothing.

    Raises
    ------
    OSError
        If the standard library has no sources, or the file cannot be written.
    """
    start = time.perf_counter()
    library = standard_library()
    if not quiet:
        kinds = ", ".join(f"{count:,} from {kind}" for kind, count in library.tokens.items())
        print(f"Python {platform.python_version()}'s own standard library: {library.files} files, ", end="")
        print(f"{library.tokens.total():,} tokens ({kinds})")
    vectors = model.fit(library.sequences, progress=progress).vectors
    model.save(output)
    if not quiet:
        _show(vectors)
        print(f"\nwrote {Path(output).resolve()} ({time.perf_counter() - start:.1f} seconds in all)")


def _show(vectors: Vectors) -> None:
    """Print the neighbours and the analogy, if `min_count` kept their words."""
    print(f"\n{len(vectors):,} words learned their neighbours:")
    for word in filter(vectors.__contains__, WORDS):
        print(f"  {word:<10} {', '.join(near for near, _ in vectors.most_similar(word, topn=5))}")
    a, b, c = ANALOGY
    if a in vectors and b in vectors and c in vectors:
        answers = ", ".join(near for near, _ in vectors.most_similar([b, c], [a], topn=3))
        print(f"\n{a} is to {b} as {c} is to: {answers}")
