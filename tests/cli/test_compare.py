"""The command compare."""

import numpy as np
import pytest

from fastembed.vectors import Vectors


@pytest.fixture
def two(tmp_path):
    """Two files of vectors that differ in one word."""
    matrix = np.random.default_rng(0).normal(size=(40, 6))
    other = matrix.copy()
    other[5] = -other[5]
    for name, rows in (("one", matrix), ("two", other)):
        Vectors([f"w{i}" for i in range(40)], rows).save(tmp_path / f"{name}.safetensors")
    return tmp_path / "one.safetensors", tmp_path / "two.safetensors"


def test_words_that_moved_are_printed(run, document, two):
    code, out, err = run("compare", *two)
    assert (code, err) == (0, "")
    first, second = out.splitlines()[:2]
    assert first == "40 words in both; moved most, with the cosine of their two vectors:"
    assert second.split()[0] == "w5"
    found = document("compare", *two)
    assert (found["output"], found["words"], found["moved"][0]["word"]) == (None, 40, "w5")
    assert len(found["moved"]) == 10


def test_a_page_is_written(run, two, tmp_path):
    code, out, _ = run("compare", *two, "-o", tmp_path / "page.html", "-n", 30)
    assert code == 0
    assert out.endswith(f"wrote {tmp_path / 'page.html'}\n")
    assert "one and two: 30 words" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert run("compare", *two, "-o", tmp_path / "page.html", "--quiet") == (0, "", "")


def test_what_makes_no_sense_is_rejected(usage, two, tmp_path):
    assert "so --topn cannot be given as well" in usage("compare", *two, "-n", 3)
    assert "ends in .html" in usage("compare", *two, "-o", tmp_path / "page.png")
    assert "would overwrite" in usage("compare", *two, "-o", two[0])
