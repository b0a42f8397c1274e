"""The commands info and export."""

import re

import numpy as np
import pytest

from fastembed.formats.registry import format_of
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors


def test_info_shows_the_contents_of_a_file(run, document, saved, model):
    code, out, err = run("info", saved)
    assert (code, err) == (0, "")
    for piece in (f"{saved.stat().st_size:,} bytes", "fastembed.vectors", "float64 (4, 3)"):
        assert piece in out
    found = document("info", model)
    assert found.keys() == {"file", "bytes", "metadata", "tensors"}
    assert found["bytes"] == model.stat().st_size
    assert found["metadata"]["settings"]["dim"] == 3
    assert found["metadata"]["manifest"]["nll"] == SkipGram.load(model).history[-1]["nll"]
    assert {"name": "linear", "dtype": "float32", "shape": [3, 12]} in found["tensors"]
    assert max(map(len, run("info", model)[1].splitlines())) < 120  # the history is shortened


def test_info_shows_counts(run, document, text, tmp_path):
    store = tmp_path / "store"
    assert run("count", text, "-o", store, "--min-count", 1, "--quiet") == (0, "", "")
    found = document("info", store)
    assert found["metadata"]["format"] == "fastembed.counts-store"
    assert found["bytes"] == sum(file.stat().st_size for file in store.iterdir())
    assert {"name": "totals.rows", "dtype": "float64", "shape": [6]} in found["tensors"]
    assert "totals.rows" in run("info", store)[1]
    code, _, err = run("info", tmp_path)
    assert (code, "is not a store of counts" in err) == (1, True)


def test_info_shows_the_versions_of_the_installation(run, document):
    code, out, err = run("info")
    assert (code, err) == (0, "")
    assert re.search(r"^blas ", out, re.MULTILINE)
    found = document("info")
    assert list(found) == ["fastembed", "build", "caches", "python", "unicode", "numpy", "scipy", "blas", "threads"]


@pytest.mark.parametrize("name", ["v.txt", "v.vec.gz", "v.bin", "v.glove", "w.safetensors"])
def test_every_format_is_written_and_read_back(run, document, saved, tmp_path, name):
    code, out, err = run("export", saved, tmp_path / name)
    assert (code, err) == (0, "")
    form = format_of(name)
    assert out == f"wrote {tmp_path / name}: 4 vectors of dimension 3, {form.description}\n"
    np.testing.assert_array_equal(Vectors.load(tmp_path / name).matrix, Vectors.load(saved).matrix)
    found = document("neighbors", tmp_path / name, "king", "-n", 1)
    assert found["queries"][0]["neighbors"][0]["word"] == "man"
    assert document("info", tmp_path / name)["tensors"][0]["shape"] == [4, 3]


def test_a_format_can_be_named(run, document, saved, tmp_path):
    output = tmp_path / "v.txt"
    assert run("export", saved, output, "--format", "glove", "--quiet") == (0, "", "")
    assert output.read_text(encoding="utf-8").startswith("man 1 0 0\n")
    for options in ((), ("--input-format", "glove")):  # it begins with a vector
        assert run("neighbors", output, "king", *options)[0] == 0
    assert run("neighbors", output, "king", "--input-format", "word2vec")[0] == 1
    assert document("info", output)["metadata"] == {"format": "glove"}


def test_ngrams_that_the_format_cannot_hold_are_left_out_and_named(run, composing, tmp_path):
    code, out, err = run("export", composing, tmp_path / "v.vec")
    assert (code, err) == (0, "")
    assert ": 4 vectors of dimension 3, without the 9 buckets of n-grams, text of fastText, float32" in out
    assert "without" not in run("export", composing, tmp_path / "w.safetensors")[1]
    np.testing.assert_array_equal(Vectors.load(tmp_path / "w.safetensors")["manly"], Vectors.load(composing)["manly"])
