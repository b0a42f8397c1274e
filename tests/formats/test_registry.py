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
        ("v.txt", "pickle", "format must be one of safetensors, .*, got 'pickle'"),
        ("v.npy.gz", None, "the format 'npy' are not compressed with gzip"),
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


def test_a_file_holds_at_least_one_vector(tmp_path):
    with pytest.raises(ValueError, match="at least one vector, got none"):
        formats.save([], np.empty((0, 2)), tmp_path / "v.txt")
    assert not list(tmp_path.iterdir())
