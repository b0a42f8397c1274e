"""The command info."""

import re

import numpy as np

from fastembed.formats.tensors import write_tensors
from fastembed.skipgram import SkipGram


def test_info_shows_the_contents_of_a_file(run, document, saved, model):
    code, out, err = run("info", saved)
    assert (code, err) == (0, "")
    for piece in (
        f"{saved.stat().st_size:,} bytes",
        "fastembed.vectors",
        "settings dim",
        "float64 (4, 3)",
        "int64 (5,)",
    ):
        assert piece in out
    found = document("info", model)
    assert found.keys() == {"file", "bytes", "metadata", "tensors"}
    assert found["bytes"] == model.stat().st_size
    assert found["metadata"]["settings"]["dim"] == 3
    assert found["metadata"]["manifest"]["nll"] == SkipGram.load(model).history[-1]["nll"]
    assert {"name": "linear", "dtype": "float32", "shape": [3, 12]} in found["tensors"]
    code, out, _ = run("info", model)
    assert code == 0
    assert max(map(len, out.splitlines())) < 120
    assert re.search(r"model history +\[\{.* \.\.\.\n", out)


def test_info_shows_the_versions_of_the_installation(run, document, usage):
    assert "so --input-format cannot be given" in usage("info", "--input-format", "glove")
    code, out, err = run("info")
    assert (code, err) == (0, "")
    assert re.search(r"^blas ", out, re.MULTILINE)
    found = document("info")
    assert list(found) == ["fastembed", "build", "caches", "python", "unicode", "numpy", "scipy", "blas", "threads"]


def test_metadata_that_only_begins_like_json_is_shown_as_text(document, tmp_path):
    path = tmp_path / "noted.safetensors"
    write_tensors(path, {"a": np.zeros(1)}, {"note": "{as it is", "settings": "[1, 2]"})
    assert document("info", path)["metadata"] == {"note": "{as it is", "settings": [1, 2]}


def test_a_damaged_file_is_an_error_of_one_line(run, tmp_path):
    (tmp_path / "junk.safetensors").write_bytes(b"\xff" * 100)
    code, out, err = run("info", tmp_path / "junk.safetensors")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: .*junk.safetensors' is not a whole safetensors file.*\n", err)
