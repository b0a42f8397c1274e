"""Round trips of every format, and errors for data that a format cannot store."""

import re

import numpy as np
import pytest

from fastembed import Vectors, formats

FLOAT32 = ("word2vec", "word2vec-binary", "fasttext", "glove")  # the only dtype of these


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_comes_back(tmp_path, name, dtype, tokens, numbers, assert_same_bits):
    path, form = tmp_path / name, formats.format_of(name)
    matrix = numbers(len(tokens), dtype)
    if form.name in FLOAT32:
        matrix = np.where(np.abs(matrix) < 1e38, matrix, 1).astype(dtype)
    counts = np.arange(len(tokens)) * 2**40
    Vectors(tokens, matrix, counts=counts).save(path)
    found = Vectors.load(path)
    assert list(found.tokens) == tokens
    assert_same_bits(found.matrix, matrix.astype(np.float32) if form.name in FLOAT32 else matrix)
    assert not found.matrix.flags.writeable
    if form.name == "safetensors":
        assert_same_bits(found.counts, counts)
    else:
        assert found.counts is None
    del found  # Windows replaces no file that is mapped
    Vectors(tokens, matrix).save(path)  # over the old one, without counts
    assert Vectors.load(path).counts is None


@pytest.mark.parametrize("format_name", FLOAT32)
def test_float32_comes_back_bit_for_bit(tmp_path, format_name, numbers, assert_same_bits):
    matrix = numbers(20000)
    tokens = [f"größe{i}" for i in range(len(matrix))]
    Vectors(tokens, matrix).save(tmp_path / "v", format_name)
    found = Vectors.load(tmp_path / "v", format_name)
    assert list(found.tokens) == tokens
    assert_same_bits(found.matrix, matrix)


@pytest.mark.parametrize("layout", ["fortran", "strided"])
def test_any_memory_order_is_written(tmp_path, name, layout, numbers, assert_same_bits):
    matrix = numbers(4)
    layouts = {"fortran": np.asfortranarray(matrix), "strided": np.repeat(matrix, 2, axis=1)[:, ::2]}
    Vectors(list("abcd"), layouts[layout]).save(tmp_path / name)
    assert_same_bits(Vectors.load(tmp_path / name).matrix, matrix)


def test_every_odd_token_comes_back_or_is_rejected_by_name(tmp_path, name, odd_tokens):
    rejected = odd_tokens[:-3] if formats.format_of(name).name in FLOAT32 else []
    for token in rejected:
        with pytest.raises(ValueError, match=f"^token {re.escape(repr(token))} (is|contains) "):
            Vectors(["fine", token], np.eye(2)).save(tmp_path / name)
        assert not list(tmp_path.iterdir())
    kept = ["fine", *(token for token in odd_tokens if token not in rejected)]
    Vectors(kept, np.eye(len(kept))).save(tmp_path / name)
    assert list(Vectors.load(tmp_path / name).tokens) == kept


def test_equal_contents_are_equal_files(tmp_path, name):
    written = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Vectors(["a", "b"], np.eye(2), counts=np.array([3, 1])).save(tmp_path / folder / name)
        written.append({file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()})
    assert written[0] == written[1]


@pytest.mark.parametrize("format_name", FLOAT32)
def test_what_float32_cannot_hold_is_rejected(tmp_path, format_name):
    with pytest.raises(ValueError, match=r"float32, at most 3\.4028235e\+38; got 1e\+300"):
        Vectors(["a", "b"], np.array([[1, 2], [3, -1e300]])).save(tmp_path / "v", format_name)
    assert not list(tmp_path.iterdir())


def test_vectors_of_dimension_1_are_rejected_where_they_are_ambiguous(tmp_path):
    with pytest.raises(ValueError, match="vectors of dimension 1"):
        Vectors(["2", "a", "b"], np.ones((3, 1))).save(tmp_path / "v.glove")  # "2 1" would be read as "V D"
