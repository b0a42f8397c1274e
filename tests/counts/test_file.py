"""Files of counts: round trips, and detection of damage."""

import sys

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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that is mapped")
def test_counts_may_be_saved_over_those_that_are_mapped(tmp_path, assert_same):
    path = tmp_path / "counts.safetensors"
    counts = Counts.from_corpus([LINE], VOCABULARY)
    counts.save(path)
    loaded = Counts.load(path)
    (counts + counts).save(path)
    assert_same(loaded, counts)


def test_parts_that_do_not_fit_together_are_rejected(tmp_path):
    from fastembed.formats.tensors import map_tensors, write_tensors

    path = tmp_path / "counts.safetensors"
    Counts.from_corpus([LINE], VOCABULARY, sample=1e-2).save(path)
    tensors, metadata = map_tensors(path)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}  # Windows replaces no file that is mapped
    for change in ({"indices": tensors["indices"] + 5}, {"indptr": tensors["indptr"][:-1]}, {"data": -tensors["data"]}):
        write_tensors(path, tensors | change, metadata)
        with pytest.raises(ValueError, match=r"counts\.safetensors' does not hold counts that fit together"):
            Counts.load(path)
    write_tensors(path, tensors, {})
    with pytest.raises(ValueError, match="no format of fastembed"):
        Counts.load(path)
    with pytest.raises(OSError, match="missing"):
        Counts.load(tmp_path / "missing")
