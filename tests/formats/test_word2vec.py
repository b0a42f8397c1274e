"""Text of a line per vector, and the binary form of word2vec: files of other tools, batches, and faults."""

import gzip
import re

import numpy as np
import pytest

from fastembed import Vectors

FAULTS = {
    "v.txt": [
        (b"one 1\n", r"is no file of vectors: line 1 must be two numbers, got b'one 1'"),
        (b"2 0\na\nb\n", "line 1: it promises 2 vectors of dimension 0"),
        (b"9999999999 300\none 1\n", "line 2: 300 finite float32 expected, got b'1'"),
        (b"999999999999999999 1\none 1\n", "ends after 1 of the 999999999999999999 vectors"),
        (b"2 2\none 1 2\ntwo 2\n", "line 3: 2 finite float32 expected, got b'2'"),
        (b"2 2\n 1 2\ntwo 1 2\n", "line 2: a token and 2 numbers expected, got b' 1 2'"),
        (b"2 2\none 1 2\n\ntwo 1 2\n", "line 3: a token and 2 numbers expected, got b''"),
        (b"2 2\none 1 2\ntwo 1 nan\n", "line 3: 2 finite float32 expected, got b'1 nan'"),
        (b"1 2\n\xff\xfe 1 2\n", "line 2: 'utf-8' codec can't decode"),
        (b"3 2\none 1 2\ntwo 1 2\none 3 4\n", "line 4: the token 'one' is at line 2 too"),
        (b"1 2\none 1 2\n\ntwo 1 2\n", "line 4: b'two 1 2' follows the 1 vectors it promises"),
        (b"1 2\n" + b"a" * (1 << 24) + b" 1 2\n", "line 2: it has more than 16,777,216 bytes"),
    ],
    "v.bin": [
        (b"9999999999 300\none 1\n", "byte 19: the file ends inside vector 1 of 9999999999"),
        (b"1 1\n\xff\xfe 1234\n", "byte 4, vector 1 of 1: 'utf-8' codec can't decode"),
        (b"2 1\nlong_name 1234\ntwo 12", "byte 23: the file ends inside vector 2 of 2"),
        (b"1 1\none 1234\ntwo 1234\n", "byte 12: b'two 1234' follows the 1 vectors it promises"),
        (b"2 1\none 1234\none 1234\n", "byte 12, vector 2 of 2: the token 'one' is at byte 4 too"),
        (b"2 1\none 1234\ntwo \x00\x00\xc0\x7f\n", "byte 12: the vector of 'two' is not finite"),
        (b"1 1\n" + b"a" * (20 << 20), "byte 4: vector 1 of 1 does not end within 16,777,216 bytes"),
    ],
    "v.glove": [
        (b"2 3\none 1 2 3\n", r"line 1: a token and two or more numbers .* got b'2 3'"),
        (b"one 1 2\n. 3 1 2\n", "line 2: 2 finite float32 expected, got b'3 1 2'"),
        (b"one 1 2\n\n", "line 2: a token and 2 numbers expected"),
    ],
    "v.vec.gz": [
        (gzip.compress(b"1 1\none 1\n", mtime=0)[:-9], "not whole gzip data: Compressed file ended"),
        (gzip.compress(b"1 1\none 1\n", mtime=0)[:-8] + bytes(8), "not whole gzip data: CRC check failed"),
    ],
}


@pytest.mark.parametrize(
    ("name", "content", "message"), [(name, *case) for name, cases in FAULTS.items() for case in cases]
)
def test_the_place_of_a_fault_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{re.escape(name)}'.*{message}"):
        Vectors.load(tmp_path / name)


def test_text_of_other_tools(tmp_path):
    # trailing spaces as fastText writes them, \r\n, no last line end
    (tmp_path / "v.vec").write_bytes(b"2 3\r\none 1 2e0 -3.5 \r\ntwo 0.5 .25 1 ")
    found = Vectors.load(tmp_path / "v.vec")
    assert found.tokens == ("one", "two")
    for name in ("glove.2d.txt", "glove.vec", "v.glove"):  # GloVe's have no first line, and tokens with spaces
        (tmp_path / name).write_bytes(b". . 1 -2 \none 1 2\nat me@home 3 4\n")
        assert Vectors.load(tmp_path / name).tokens == (". .", "one", "at me@home")
    np.testing.assert_array_equal(found.matrix, np.array([[1, 2, -3.5], [0.5, 0.25, 1]], np.float32))


def test_binary_without_newlines_and_with_bytes_that_look_like_text(tmp_path):
    # gensim writes no newline after a vector; the first bytes of a vector may be any, a space or a newline among them
    rows = np.frombuffer(b"\n\n\n\n    \n \n    \n", dtype="<f4").reshape(2, 2)
    (tmp_path / "v.bin").write_bytes(b"2 2\none " + rows[0].tobytes() + b"two " + rows[1].tobytes())
    found = Vectors.load(tmp_path / "v.bin")
    assert found.tokens == ("one", "two")
    np.testing.assert_array_equal(found.matrix, rows)


@pytest.mark.parametrize("size", [1 << 18, (1 << 20) + 3])
def test_binary_records_across_blocks(tmp_path, size, assert_same_bits):
    matrix = np.random.default_rng(0).normal(size=(5, size // 4)).astype(np.float32)
    tokens = ("a" * 100000, "b", "c", "d" * 1200000, "e")
    Vectors(tokens, matrix).save(tmp_path / "v.bin")
    found = Vectors.load(tmp_path / "v.bin")
    assert found.tokens == tokens
    assert_same_bits(found.matrix, matrix)


def test_a_fault_beyond_the_first_batch_is_found(tmp_path, set_constant):
    set_constant("fastembed.formats.word2vec.PARSED_NUMBERS", 1000)
    lines = [b"t%d 0.5 %d\n" % (i, i) for i in range(5000)]
    lines[3456] = b"bad 0.5 1.2.3\n"
    (tmp_path / "v.glove").write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"line 3457: 2 finite float32 expected, got b'0.5 1.2.3'"):
        Vectors.load(tmp_path / "v.glove")
