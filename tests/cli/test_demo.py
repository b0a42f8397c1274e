"""The command demo, on a standard library of one module."""

import json
import re

import pytest

from fastembed.cli.train import MODEL_KEYS
from fastembed.skipgram import SkipGram


@pytest.mark.usefixtures("small_library")
def test_demo_trains_saves_and_shows_neighbors(run, usage, tmp_path):
    argv = ("demo", "-o", tmp_path / "v.safetensors", "--dim", 3)
    code, out, err = run(*argv)
    assert (code, err) == (0, "")
    assert "socket" in out
    assert "epoch  5 of 5" in out
    assert "socket" in SkipGram.load(tmp_path / "v.safetensors").vectors
    assert "so --patience cannot be given" in usage(*argv, "--patience", 2)
    assert "a model is a .safetensors file, got" in usage("demo", "-o", tmp_path / "v.txt")
    assert run(*argv, "--quiet") == (0, "", "")
    code, out, err = run(*argv, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found.keys() == {*re.sub(r" \(.*?\)", "", MODEL_KEYS).split(", "), "neighbors"}
    assert found["neighbors"].keys() == {"socket", "lock"}
    assert found["neighbors"]["lock"][0].keys() == {"word", "score"}
