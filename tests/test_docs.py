"""Every code block of the README and of docs/ runs, and sessions show what is really printed.

- ``python``: the blocks of a page run one after another in one namespace; the output of ``>>>`` is compared.
- ``sh``: runs line by line. Lines that take long or set up an environment (make, pip, the benchmarks' scripts) are
  compared with the Makefile, the extras and the files instead.
- ``console``: a session, commands behind ``$`` and what they print. Numbers may differ by `TOLERANCE`.
- ``output``: what the block before prints, in which ``...`` stands for anything. Words are compared; numbers, times and
  lists of neighbours are not, since they depend on the machine and on the text.
- ``text``: what needs other machines or other text. It is not run.

A line that only calls ``fastembed`` runs in the process of the tests, which saves importing the libraries again; other
lines run in a shell. Maps are by principal components. A page runs in a folder of its own, with small generated texts
under the names that it uses and does not write itself. ``fastembed demo`` reads one package of the standard library
instead of all.
"""

import contextlib
import doctest
import functools
import gzip
import importlib.metadata
import importlib.util
import io
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sybil import Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

import fastembed
from fastembed import Classifier, Recommender, SkipGram, Trainer, Vectors, cli, demo, evaluation
from fastembed.cli import build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A word of a block, and the module that the block needs then
NEEDS = {"gensim": "gensim", "pandas": "pandas", "parquet": "pyarrow", "sklearn": "sklearn", "torch": "torch"}
NEEDS |= {
    "nx.": "networkx",
    "graph.": "networkx",
    "from_graph(": "networkx",
    "--graph ": "networkx",
}
NEEDS |= {"LogisticRegression": "sklearn", "make_pipeline": "sklearn"}
NEEDS |= {"exported/": "pyarrow", "import spacy": "spacy", "tokenizer=words": "spacy", "import jieba": "jieba"}
NEEDS |= {"fastembed plot": "matplotlib", "plotting": "matplotlib", "plot_map": "matplotlib", "plt.": "matplotlib"}
SHOWN = {"text", "math", "{toctree}"}  # fences that do not run
SHELL = set("|&;<>*?$`~=")  # characters that a shell acts on
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"), "asyncio")  # for the demo
TOLERANCE = 0.002  # of a printed cosine, from one instruction set or BLAS to another


@functools.cache
def sentences():
    """Return lines of a small world: countries and their capitals, people, animals."""
    rng = np.random.default_rng(0)
    capitals = [("france", "paris"), ("italy", "rome"), ("spain", "madrid"), ("japan", "tokyo")]
    people = [("king", "man", "he"), ("queen", "woman", "she")]
    lines = []
    for place, person, animal, kind in rng.integers([4, 2, 2, 3], size=(3000, 4)):
        country, capital = capitals[place]
        royal, adult, pronoun = people[person]
        line = (
            f"{capital} is the capital of {country}",
            f"the {royal} is a {adult} and {pronoun} rules {country}",
            f"{pronoun} went to {capital} where the {adult} saw a {('cat', 'dog')[animal]}",
        )
        lines.append(line[kind])
    return lines


def of(items, low, high, seed=0):
    """Return 1,000 lines of `low` to `high` - 1 different items."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(items, rng.integers(low, high), replace=False)) for _ in range(1000)]


def write_news(path):
    path.mkdir()
    text = "\n".join(sentences()).encode()
    (path / "monday.txt").write_bytes(text)
    (path / "tuesday.txt.gz").write_bytes(gzip.compress(text))


def write_book(path):
    """Write the small world as a raw text: capitals, punctuation, paragraphs wrapped at 70 columns."""
    raw = [line[0].upper() + line[1:].replace(" and", ", and") + "." for line in sentences()]
    parts = (" ".join(raw[first : first + 6]) for first in range(0, len(raw), 6))
    path.write_text("\n\n".join(map(textwrap.fill, parts)), encoding="utf-8")


def json_lines():
    return "".join(f"{json.dumps({'id': n, 'text': text})}\n" for n, text in enumerate(sentences())).encode()


def labelled():
    """Return the lines of the small world about animals and about capitals, with labels, as fastText reads them."""
    return "".join(f"__label__{'place' if 'capital' in line else 'other'} {line}\n" for line in sentences()).encode()


def write_csv(path):
    path.write_text("id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(sentences())), encoding="utf-8")


def write_parquet(path):
    path.mkdir()
    if importlib.util.find_spec("pyarrow"):  # else the blocks that need it do not run
        pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
        parquet.write_table(pyarrow.table({"text": sentences()}), path / "part-0.parquet")


def writer(lines):
    return lambda path: path.write_bytes("".join(f"{line}\n" for line in lines()).encode())


FILES = {
    "book.txt": write_book,
    "corpus.txt": writer(lambda: [*sentences(), "a zebra"]),  # a rare word
    "more.txt": writer(lambda: [line.replace("cat", "horse") for line in sentences()]),
    "carts.txt": writer(lambda: of(["bread", "butter", "jam", "milk", "nails", "hammer"], 2, 5)),
    "openings.txt": lambda path: shutil.copy(ROOT / "docs" / "gallery" / path.name, path),
    "news": write_news,
    "train.txt": lambda path: path.write_bytes(labelled()),
    "valid.txt": lambda path: path.write_bytes(labelled()),
    "reviews.jsonl": lambda path: path.write_bytes(json_lines()),
    "reviews.csv": write_csv,
    "exported": write_parquet,
}


def prepare(folder, text):
    """Write the files that a page names and does not write itself."""
    for name, make in FILES.items():
        own = f'Path("{name}").write_text('
        if own not in text and re.search(rf"(?<![\w/]){re.escape(name)}(?![\w.]*\.)", text):
            make(folder / name)


def run(*words, warnings="error,ignore::EncodingWarning"):
    """Run a program of this environment in a separate process; return its output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "COLUMNS": "100", "PYTHONWARNINGS": warnings}
    command = [shutil.which(words[0], path=path), *words[1:]]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=600, env=environment)
    assert done.returncode == 0, f"{words} ends with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def run_line(line):
    """Run a line of shell; return its output."""
    program, *arguments = shlex.split(line, comments=True)
    if program != "fastembed" or SHELL & set(re.sub("'[^']*'|#.*", "", line)):
        return run("bash", "-c", line)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert cli.main(arguments) == 0, f"{line} fails"
    return printed.getvalue()


def check(words):
    """Check a line that would take long or set up an environment, instead of running it."""
    program, *arguments = words
    if program == "make":
        phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        targets = re.findall(r"[\w-]+", phony[1])
        asked = [word for word in arguments if "=" not in word]
        assert set(asked) <= set(targets), f"the Makefile has no {set(asked) - set(targets)}"
    elif program == "pip":
        known = importlib.metadata.metadata("fastembed-cython").get_all("Provides-Extra")
        asked = re.findall(r"[\w-]+", "".join(re.findall(r"\[(.*?)\]", " ".join(arguments))))
        assert set(asked) <= set(known), f"the package has no extras {set(asked) - set(known)}"
    else:
        assert (ROOT / arguments[0]).is_file(), f"there is no {arguments[0]}"


def evaluate_sh(example):
    for line in example.parsed.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] in (["make"], ["pip"]) or (words[:1] == ["python"] and words[1].startswith("bench/")):
            check(words)
        elif words:
            print(run_line(line), end="")


def evaluate_output(example):
    expected, printed = shape(example.parsed), shape(example.namespace["printed"])
    pattern = re.escape(expected).replace(re.escape("..."), ".*")
    assert re.search(pattern, printed), f"the block before prints\n{printed}\ninstead of\n{expected}"


def shape(text):
    """Return a text in one line, with 0 for each number, "MB" for all sizes, and "words" for each list of words."""
    text = re.sub(r"\b[kG]B\b", "MB", text)  # of the memory that a process has taken before
    text = re.sub(r"[\w\'-]+(, [\w\'-]+)+(?=\n)", "words", text)
    return " ".join(re.sub(r"\d[\d.,]*\d|\d", "0", text).split())


def evaluate_console(example):
    for session in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, _, expected = session.partition("\n")
        printed = run_line(command)
        assert same(expected, printed), f"`{command}` prints\n{printed}\ninstead of\n{expected}"


def same(expected, printed):
    """Return whether two outputs are the same words, and numbers that differ by no more than the tolerance."""
    left, right = expected.split(), printed.split()
    return len(left) == len(right) and all(map(alike, left, right))


def alike(expected, printed):
    try:
        return math.isclose(float(expected), float(printed), abs_tol=TOLERANCE)
    except ValueError:
        return expected == printed


SYBIL = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=doctest.NORMALIZE_WHITESPACE),
        CodeBlockParser("sh", evaluate_sh),
        CodeBlockParser("console", evaluate_console),
        CodeBlockParser("output", evaluate_output),
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page, tmp_path, monkeypatch, write_fasttext):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "standard_library", functools.partial(demo.standard_library, STANDARD_LIBRARY))
    monkeypatch.setattr("fastembed.plotting.layout.CROWD", sys.maxsize)  # UMAP compiles itself for long; tests/plotting
    document, missing = SYBIL.parse(page), set()
    if sys.platform == "win32" and re.search("^ *```(sh|console)$", document.text, re.MULTILINE):
        pytest.skip("has blocks for a POSIX shell, whose files those after them take")
    prepare(tmp_path, document.text)
    if "model.bin" in document.text:
        write_fasttext(tmp_path / "model.bin", ["man", "woman", "king", "queen", "kings"])
    for example in document.examples():
        block = document.text[example.start : example.end]
        needed = {module for word, module in NEEDS.items() if word in block}
        absent = {module for module in needed if importlib.util.find_spec(module) is None}
        missing |= absent
        if absent:
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(printed):
                example.evaluate()
            document.namespace["printed"] = printed.getvalue()
        except Exception as error:
            error.add_note(f"{page}, line {example.line}")
            raise
    if missing:
        pytest.skip(f"all other blocks ran; these need {', '.join(sorted(missing))}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_of_a_kind_that_runs(page):
    opened = re.findall(r"^ *```+(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)[::2]
    languages = {line.split()[0] if line.strip() else "" for line in opened}
    assert languages <= SHOWN | {"python", "sh", "console", "output"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page}: no {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_makefile_has_every_target_that_is_named(page):
    for command in re.findall(r"`make ([^`]+)`", page.read_text(encoding="utf-8")):
        check(["make", *command.split()])


def test_our_side_of_the_tables_exists():
    """Every method, parameter and option in the last column of "Coming from" is one of ours."""
    page = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
    ours = " ".join(line.rstrip("| ").rpartition(" | ")[2] for line in page.splitlines() if line.startswith("|"))
    model = SkipGram(dim=2, min_count=1).fit([["a", "b"], ["b", "c"]])
    objects = {"model": model, "SkipGram": SkipGram, "vectors": model.vectors, "Vectors": Vectors, "Trainer": Trainer}
    objects |= {"trainer": model.trainer, "fastembed": fastembed, "evaluation": evaluation}
    objects |= {"classifier": Classifier, "recommender": Recommender}
    named = re.findall(r"\b(\w+)\.(\w+)(?=[(`.,])", ours)
    assert len(named) > 20
    assert [name for name in named if name[0] in objects and not hasattr(objects[name[0]], name[1])] == []
    lines = "train", "count FILE", "export FILE", "train-classifier FILE -o FILE", "predict FILE", "test FILE FILE"
    lines = *lines, "train-recommender FILE", "recommend FILE ITEM"
    commands = [build_parser().parse_args(line.split()).parser for line in lines]
    help_text = "".join(command.format_help() for command in commands)
    assert [option for option in re.findall(r"--[a-z][a-z-]+", ours) if option not in help_text] == []
