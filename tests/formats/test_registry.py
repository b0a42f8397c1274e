"""Which name is which format, and the checks that every format shares."""

import numpy as np
import pytest

from fastembed import Vectors, formats
from fastembed.formats.registry import check_output


def test_each_suffix_and_each_name_is_of_one_format():
    suffixes = [suffix for form in formats.FORMATS.values() for suffix in form.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    for name, form in formats.FORMATS.items():
        assert form.name == name
        assert formats.format_of("a.txt", name) is form
        assert form.description
        for suffix in form.suffixes:
            assert formats.format_of(f"folder.txt/v{suffix.upper()}") is form
            assert f"``{suffix}``" in Vectors.save.__doc__ or not suffix or suffix in (".arrow", ".feather")
        assert f"``{name}``" in (Vectors.save if form.writable else Vectors.load).__doc__


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("v.npz", None, "'v.npz': no format has the suffix '.npz'; name one of safetensors, word2vec, "),
        ("v.pkl.gz", None, "no format has the suffix '.pkl'"),
        ("v.txt", "pickle", "format must be one of safetensors, .*, got 'pickle'"),
        ("v.npy.gz", None, "the format 'npy' are not compressed with gzip"),
        ("v.gz", "safetensors", "the format 'safetensors' are not compressed with gzip"),
    ],
)
def test_unknown_formats_are_rejected(tmp_path, path, name, message):
    with pytest.raises(ValueError, match=message):
        formats.format_of(path, name)
    with pytest.raises(ValueError, match=message):
        check_output(path, name)
    with pytest.raises(ValueError, match=message.replace("'v.npz'", "v.npz'")):
        Vectors(["a"], np.eye(1)).save(tmp_path / path, name)
    with pytest.raises(ValueError, match=message.replace("'v.npz'", "v.npz'")):
        Vectors.load(tmp_path / path, name)
    assert not list(tmp_path.iterdir())


def test_a_name_that_cannot_be_written_is_rejected_early(tmp_path):
    check_output(tmp_path / "v.vec")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        check_output(tmp_path / "nowhere" / "v.vec")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tokens": ["a", "a"]}, ValueError, "'a' is in rows 0 and 1"),
        ({"tokens": ["a", 2]}, TypeError, "every token must be a str, got 2"),
        ({"tokens": ["a"]}, ValueError, r"must have the shape \(1, D\)"),
        ({"tokens": [], "matrix": np.empty((0, 2))}, ValueError, "at least one vector, got none"),
        ({"matrix": np.empty((2, 0))}, ValueError, r"at least one column, got the shape \(2, 0\)"),
        ({"matrix": [[1.0], [2.0]]}, TypeError, "float32 or float64, got list"),
        ({"matrix": np.eye(2, dtype=int)}, TypeError, "float32 or float64, got int64"),
        ({"matrix": np.array([[1, 2], [np.nan, 1]])}, ValueError, r"finite, got nan at \[1, 0\], 'b'"),
        ({"matrix": np.array([[1, -np.inf], [1, 1]])}, ValueError, r"finite, got -inf at \[0, 1\], 'a'"),
        ({"counts": np.array([1.0, 2.0])}, TypeError, "counts must be .*integers"),
        ({"counts": np.array([1])}, ValueError, r"counts must have the shape \(2,\)"),
        ({"counts": np.array([1, -1])}, ValueError, "got -1 for 'b'"),
    ],
)
def test_parts_that_do_not_fit_are_rejected_before_anything_is_written(tmp_path, change, error, message):
    parts = {"tokens": ["a", "b"], "matrix": np.eye(2)} | change
    with pytest.raises(error, match=message):
        formats.save(path=tmp_path / "v.txt", **parts)
    assert not list(tmp_path.iterdir())
