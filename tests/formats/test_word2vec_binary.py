"""The binary form of word2vec: files of other tools, blocks, and faults."""

import numpy as np
import pytest

from fastembed import formats


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"9999999999 300\none 1\n", "byte 19: the file ends inside vector 1 of 9999999999"),
        (b"1 999999999999\none 1\n", "line 1: the dimension must be at most 4194304, got 999999999999"),
        (b"1 1\n\xff\xfe 1234\n", "byte 4, vector 1 of 1: 'utf-8' codec can't decode"),
        (b"1 1\n 1234\n", "byte 4: the token of vector 1 of 1 is empty"),
        (b"2 1\nlong_name 1234\ntwo 12", "byte 23: the file ends inside vector 2 of 2"),
        (b"2 1\nlong_name_of_the_first 1234\n", "byte 31: the file ends inside vector 2 of 2"),
        (b"1 1\none 1234\ntwo 1234\n", "byte 12: b'two 1234' follows the 1 vectors it promises"),
        (b"2 1\none 1234\none 1234\n", "byte 12, vector 2 of 2: the token 'one' is at byte 4 too"),
        (b"2 1\none 1234\ntwo \x00\x00\xc0\x7f\n", "byte 12: the vector of 'two' is not finite"),
        (b"1 1\n" + b"a" * (20 << 20), "byte 4: vector 1 of 1 does not end within 16,777,216 bytes"),
    ],
)
def test_the_place_of_a_fault_is_named(tmp_path, content, message):
    (tmp_path / "v.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"v\.bin'.*{message}"):
        formats.load(tmp_path / "v.bin")


def test_binary_without_newlines_and_with_bytes_that_look_like_text(tmp_path):
    # gensim writes no newline after a vector; the first bytes of a vector may be any, a space or a newline among them
    rows = np.frombuffer(b"\n\n\n\n    \n \n    \n", dtype="<f4").reshape(2, 2)
    (tmp_path / "v.bin").write_bytes(b"2 2\none " + rows[0].tobytes() + b"two " + rows[1].tobytes())
    found = formats.load(tmp_path / "v.bin")
    assert found.tokens == ["one", "two"]
    np.testing.assert_array_equal(found.matrix, rows)


@pytest.mark.parametrize("size", [1 << 18, (1 << 20) + 3])
def test_binary_records_across_blocks(tmp_path, size, assert_same_bits):
    matrix = np.random.default_rng(0).normal(size=(5, size // 4)).astype(np.float32)
    tokens = ["a" * 100000, "b", "c", "d" * 1200000, "e"]
    formats.save(tokens, matrix, tmp_path / "v.bin")
    found = formats.load(tmp_path / "v.bin")
    assert found.tokens == tokens
    assert_same_bits(found.matrix, matrix)
