"""NumPy's files with files of tokens."""

import io
import struct

import numpy as np
import pytest

from fastembed import Vectors, formats


def test_numpy_reads_ours_and_we_read_numpys(tmp_path, tokens, numbers, assert_same_bits):
    matrix = numbers(len(tokens), np.float64)
    Vectors(tokens, matrix).save(tmp_path / "v.npy")
    assert_same_bits(np.load(tmp_path / "v.npy", allow_pickle=False), matrix)
    with (tmp_path / "v.tokens.txt").open(encoding="utf-8") as file:  # universal newlines
        assert [line.removesuffix("\n") for line in file] == tokens
    for order in "CF":
        np.save(tmp_path / "w.npy", np.asarray(matrix, ">f8", order=order))
        (tmp_path / "w.tokens.txt").write_text("\n".join(tokens), encoding="utf-8")  # no last line end
        found = Vectors.load(tmp_path / "w.npy")
        assert list(found.tokens) == tokens
        assert_same_bits(found.matrix, matrix)


def test_the_line_of_a_token_beside_an_array_is_named(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(3))
    for content, message in (
        (b"a\nb\na\n", "line 3: the token 'a' is at line 1 too"),
        (b"a\n\xff\n", "line 2: 'utf-8'"),
    ):
        (tmp_path / "v.tokens.txt").write_bytes(content)
        with pytest.raises(ValueError, match=rf"v\.tokens\.txt', {message}"):
            formats.load(tmp_path / "v.npy")


def npy(header):
    text = f"{header}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(16)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 300)}"), "not a whole .npy file"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -2)}"), "v.npy'"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}"), "v.npy'"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,)}"), r"must have the shape \(2, D\)"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 1)}"), "not a whole .npy file"),
        (npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2)}"), "float32 or float64, got int32"),
        (npy("(" * 5000), "not a whole .npy file"),
        (npy("__import__('os')"), "not a whole .npy file"),
    ],
)
def test_hostile_headers_are_rejected(tmp_path, array, message):
    (tmp_path / "v.npy").write_bytes(array)
    (tmp_path / "v.tokens.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        formats.load(tmp_path / "v.npy")


def test_pickles_are_never_loaded(tmp_path):
    file = io.BytesIO()
    np.save(file, np.array([[print, None]]), allow_pickle=True)
    (tmp_path / "v.npy").write_bytes(file.getvalue())
    (tmp_path / "v.tokens.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"not a whole \.npy file"):
        formats.load(tmp_path / "v.npy")
