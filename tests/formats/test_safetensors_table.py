"""Vectors in safetensors: mapped into memory, with settings; hostile headers."""

import json
import struct

import numpy as np
import pytest

from fastembed import Vectors, formats


def test_safetensors_are_mapped_and_keep_settings(tmp_path):
    formats.save(["a"], np.ones((1, 3)), tmp_path / "v", settings={"dim": 3})
    found = formats.load(tmp_path / "v")
    assert found.settings == {"dim": 3}
    for matrix in (found.matrix, Vectors.load(tmp_path / "v").matrix):
        bases = [matrix]
        while bases[-1] is not None:
            bases.append(getattr(bases[-1], "base", None))
        assert any(isinstance(base, np.memmap) for base in bases)


def safetensors(entries):
    head = json.dumps(entries).encode()
    return struct.pack("<Q", len(head)) + head + bytes(64)


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**62),
        safetensors({"matrix": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 64]}}),
        safetensors({"matrix": {"dtype": "F32", "shape": [-2, -8], "data_offsets": [0, 64]}}),
        safetensors({"matrix": {"dtype": "F32", "shape": [2, 8], "data_offsets": [0, 2**60]}}),
    ],
)
def test_hostile_headers_are_rejected(tmp_path, content):
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(ValueError, match="v' is not a whole safetensors file"):
        formats.load(tmp_path / "v")
