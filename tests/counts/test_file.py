"""Files of counts: round trips, and detection of damage."""

import json
import math
import mmap
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Counts, Vocabulary

LINE = ["the", "cat", "saw", "the", "dog"]
VOCABULARY = Vocabulary(["the", "cat", "dog", "saw"], [2, 1, 1, 1])


def test_load_returns_what_save_wrote(tmp_path, zipf, assert_same):
    path = tmp_path / "counts.safetensors"
    for chosen in ({"window": (2, 3), "sample": 1e-3, "directed": True, "max_contexts": 50}, {"weighting": "flat"}):
        counts = Counts.from_corpus(*zipf, **chosen)
        counts.save(path)
        loaded = Counts.load(path)
        assert_same(loaded, counts)
        assert loaded.windows == counts.windows
        assert loaded.ledger == counts.ledger
        assert loaded.vocabulary.tokens == counts.vocabulary.tokens
        assert loaded.vocabulary.ledger == counts.vocabulary.ledger
        assert_array_equal(loaded.vocabulary.counts, counts.vocabulary.counts)
        assert_same(loaded + counts, counts + counts)
        assert_array_equal(loaded.to_scipy().data, counts.to_scipy().data)
        del loaded  # Windows replaces no file that is mapped
    pairs = Counts.from_ids([0, 4], [9, 1], [0.25, 3], shape=(10, 20))
    pairs.save(path)
    assert_same(Counts.load(path), pairs)
    assert Counts.load(path).shape == (10, 20)
    assert Counts.load(path).vocabulary is None
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_loaded_counts_are_mapped(tmp_path):
    path = tmp_path / "counts.safetensors"
    counts = Counts.from_corpus([LINE], VOCABULARY)
    counts.save(path)
    loaded = Counts.load(path)
    for name in ("indices", "data"):
        array = getattr(loaded, name)
        while isinstance(array, np.ndarray):
            array = array.base
        assert isinstance(array, mmap.mmap)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that is mapped")
def test_counts_may_be_saved_over_those_that_are_mapped(tmp_path, assert_same):
    path = tmp_path / "counts.safetensors"
    counts = Counts.from_corpus([LINE], VOCABULARY)
    counts.save(path)
    loaded = Counts.load(path)
    (counts + counts).save(path)
    assert_same(loaded, counts)


def test_parts_that_do_not_fit_together_are_rejected(tmp_path):
    from fastembed.formats.tensors import map_tensors, pack_tokens, write_tensors

    path = tmp_path / "counts.safetensors"
    Counts.from_corpus([LINE], VOCABULARY, sample=1e-2).save(path)
    tensors, metadata = map_tensors(path)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}  # Windows replaces no file that is mapped
    for change in (
        {"indices": tensors["indices"] + 5},
        {"indptr": tensors["indptr"][:-1]},
        {"data": -tensors["data"]},
        {"keep": tensors["keep"][:-1]},
        {"keep": -tensors["keep"]},
        {"keep": tensors["keep"] * math.nan},
        {"keep": tensors["keep"] + 1},
        {"tokens.counts": tensors["tokens.counts"][:-1]},
        pack_tokens(list("abcdefg")) | {"tokens.counts": np.arange(7)},
        {"data": tensors["data"].astype(np.float32)},
        {"indices": tensors["indices"].astype(float)},
        {"indptr": tensors["indptr"].astype(float)},
    ):
        write_tensors(path, tensors | change, metadata)
        with pytest.raises(ValueError, match=r"counts\.safetensors' does not hold counts that fit together"):
            Counts.load(path)
    about = json.loads(metadata["settings"])
    for change in (
        {"shape": None},
        {"shape": [4, 5]},
        {"shape": ["4", 4]},
        {"windows": None},
        {"windows": about["windows"] | {"directed": True}},
        {"windows": about["windows"] | {"sample": None}},
        {"ledger": {"bytes": "many"}},
        {"ledger": {"dropped": 3}},
        {"ledger": {"dropped": {"rare": 0.5}}},
        {"ledger": 1},
    ):
        write_tensors(path, tensors, metadata | {"settings": json.dumps(about | change)})
        with pytest.raises(ValueError, match=r"counts\.safetensors' does not hold counts that fit together"):
            Counts.load(path)
    write_tensors(path, tensors, {})
    with pytest.raises(ValueError, match="no format of fastembed"):
        Counts.load(path)
    with pytest.raises(OSError, match="missing"):
        Counts.load(tmp_path / "missing")


@pytest.mark.parametrize("size", ["1e400", str(10**30), str(10**400), "2.5", "-1", "null", '"6"'])
def test_a_file_of_an_impossible_shape_is_rejected(tmp_path, size):
    from fastembed.formats.tensors import map_tensors, write_tensors

    path = tmp_path / "counts.safetensors"
    Counts.from_pairs([0, 1], [1, 0]).save(path)
    tensors, metadata = map_tensors(path)
    settings = json.dumps(json.loads(metadata["settings"]) | {"shape": "SIZE"}).replace('"SIZE"', f"[{size}, 2]")
    write_tensors(path, {name: np.array(tensor) for name, tensor in tensors.items()}, metadata | {"settings": settings})
    with pytest.raises(ValueError, match="does not hold counts that fit together"):
        Counts.load(path)
