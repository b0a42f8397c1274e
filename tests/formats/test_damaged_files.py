"""Damaged and hostile files of every format raise a ValueError that names the place: no crash, no giant allocation."""

import gzip
import json
import re
import struct
import sys

import numpy as np
import pytest

from fastembed import Vectors


def load_or_reject(path):
    """Load a file, or return None after checking that the ValueError names it."""
    try:
        return Vectors.load(path)
    except ValueError as error:
        message = str(error)
    assert re.search(r"v(\.[a-z]+)+'", message), message
    return None


@pytest.fixture
def file(tmp_path, reader_name):
    """A file of five vectors, one per reader."""
    matrix = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    path = tmp_path / reader_name
    Vectors(["the", "größe", "日本", "3", "e"], matrix, counts=np.array([9, 7, 5, 3, 1])).save(path)
    return path


def test_every_truncation_is_rejected_or_whole(file):
    whole = file.read_bytes()
    for size in range(0, len(whole), 1 + len(whole) // 150):
        file.write_bytes(whole[:size])
        found = load_or_reject(file)
        # A cut in the last component, count or token of a text cannot be seen, nor a missing last line of GloVe's
        if found is not None:
            assert file.name in ("v.txt", "v.bin", "v.glove")
            assert file.name == "v.glove" or len(found.tokens) == 5


def test_missing_files_and_folders_are_os_errors(file):
    file.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(file.name)):
        Vectors.load(file)
    file.mkdir()
    with pytest.raises(OSError, match=re.escape(file.name)):
        Vectors.load(file)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the address space")
def test_promises_allocate_nothing(tmp_path, rejected_in_little_memory):
    """Load files that promise terabytes with little address space to spare."""
    record = b"one " + bytes(4)
    bomb = gzip.compress(b"x" * (1 << 20)) * 300  # 300 MB in members of 1 MB
    matrix = {"dtype": "F32", "shape": [2**30, 300], "data_offsets": [0, 1200 * 2**30]}
    tensors = json.dumps({"matrix": matrix}).encode()
    files = {
        "a.bin": b"999999999999 1000\n" + record,
        "a.bin.gz": gzip.compress(b"999999999999 1000\n" + record),
        "a.glove.gz": bomb,
        "b.bin.gz": gzip.compress(b"1 1\n") + bomb,
        "a.safetensors": struct.pack("<Q", len(tensors)) + tensors + bytes(64),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    rejected_in_little_memory([tmp_path / name for name in files])
