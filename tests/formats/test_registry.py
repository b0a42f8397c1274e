"""Which name is which format, and the checks that every format shares."""

import numpy as np
import pytest

from fastembed import SkipGram, Vectors, formats
from fastembed.cli import main
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
            assert f"``{suffix}``" in Vectors.save.__doc__ or not suffix
        assert f"``{name}``" in (Vectors.save if form.write else Vectors.load).__doc__


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("v.npz", None, "'.npz'"),
        ("v.txt", "pickle", "format must be one of safetensors, .*, got 'pickle'"),
        ("v.safetensors.gz", None, "'safetensors' are not compressed"),
    ],
)
def test_unknown_formats_are_rejected(tmp_path, path, name, message):
    for call in (formats.format_of, check_output, Vectors(["a"], np.eye(1)).save):
        with pytest.raises(ValueError, match=message):
            call(tmp_path / path, name)
    assert not list(tmp_path.iterdir())
    (tmp_path / path).touch()
    with pytest.raises(ValueError, match=message):
        Vectors.load(tmp_path / path, name)


@pytest.mark.parametrize("name", ["w2v.model", "w2v.bin", "w2v.txt"])
def test_what_was_written_is_read_whatever_its_name(tmp_path, capsys, name):
    model = SkipGram(dim=2, min_count=1, epochs=1).fit([["a", "b", "c"], ["b", "c"]])
    model.save(tmp_path / "w2v.model")
    (tmp_path / "w2v.model").rename(tmp_path / name)
    assert Vectors.load(tmp_path / name).tokens == SkipGram.load(tmp_path / name).vectors.tokens
    for command in (["neighbors"], ["predict"], ["info"]):
        words = [] if command == ["info"] else ["b"]
        assert main([*command, str(tmp_path / name), *words]) == 0
    capsys.readouterr()


def test_what_cannot_be_written_is_rejected_early(tmp_path):
    check_output(tmp_path / "v.vec")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        check_output(tmp_path / "nowhere" / "v.vec")
    with pytest.raises(ValueError, match="at least one vector, got none"):
        Vectors([], np.empty((0, 2))).save(tmp_path / "v.txt")
    assert not list(tmp_path.iterdir())
