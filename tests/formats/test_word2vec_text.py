"""The text of word2vec and fastText: files of other tools, and faults."""

import numpy as np
import pytest

from fastembed import formats


def test_text_of_other_tools(tmp_path):
    # trailing spaces as fastText writes them, \r\n, no last line end
    (tmp_path / "v.vec").write_bytes(b"2 3\r\none 1 2e0 -3.5 \r\ntwo 0.5 .25 1 ")
    found = formats.load(tmp_path / "v.vec")
    assert found.tokens == ["one", "two"]
    np.testing.assert_array_equal(found.matrix, np.array([[1, 2, -3.5], [0.5, 0.25, 1]], np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one 1 2\n", r"line 1: word2vec's files begin with a line 'V D', got b'one 1 2'; .*'glove'"),
        (b"-1 2\n", "line 1: word2vec's files begin with a line 'V D', got b'-1 2'"),
        (b"2 0\na\nb\n", "line 1: it promises 2 vectors of dimension 0"),
        (b"0 2\n", "line 1: it promises 0 vectors of dimension 2"),
        (b"9999999999 300\none 1\n", "line 2: 300 finite float32 expected, got b'1'"),
        (b"1 999999999999\none 1\n", "line 2: 999999999999 finite float32 expected, got b'1'"),
        (b"9" * 30 + b" 1\none 1\n", "line 1: word2vec's files begin"),
        (b"999999999999999999 1\none 1\n", "ends after 1 of the 999999999999999999 vectors"),
        (b"2 2\none 1 2\ntwo 2\n", "line 3: 2 finite float32 expected, got b'2'"),
        (b"2 2\none 1 2 3\ntwo 1 2\n", "line 2: 2 finite float32 expected, got b'1 2 3'"),
        (b"2 2\none 1  2\ntwo 1 2\n", "line 2: 2 finite float32 expected, got b'1  2'"),
        (b"2 2\n 1 2\ntwo 1 2\n", "line 2: a token and 2 numbers expected, got b' 1 2'"),
        (b"2 2\none 1 2\n\ntwo 1 2\n", "line 3: a token and 2 numbers expected, got b''"),
        (b"1 1\none \t\n", "line 2: 1 finite float32 expected"),
        (b"2 2\none 1 2\ntwo 1 two\n", "line 3: 2 finite float32 expected, got b'1 two'"),
        (b"2 2\none 1 2\ntwo 1 1_0\n", "line 3: 2 finite float32 expected, got b'1 1_0'"),
        (b"2 2\none 1 2\ntwo 1 nan\n", "line 3: 2 finite float32 expected, got b'1 nan'"),
        (b"2 2\none 1 2\ntwo -inf 1\n", "line 3: 2 finite float32 expected, got b'-inf 1'"),
        (b"2 2\none 1 2\ntwo 1 1e39\n", "line 3: 2 finite float32 expected, got b'1 1e39'"),
        (b"2 2\none 1 2\ntwo 1\r 1\n", "line 3: 2 finite float32 expected"),
        (b"1 2\n\xff\xfe 1 2\n", "line 2: 'utf-8' codec can't decode"),
        (b"1 2\n\xed\xa0\x80 1 2\n", "line 2: 'utf-8' codec can't decode"),
        (b"3 2\none 1 2\ntwo 1 2\none 3 4\n", "line 4: the token 'one' is at line 2 too"),
        (b"1 2\none 1 2\n\ntwo 1 2\n", "line 4: b'two 1 2' follows the 1 vectors it promises"),
        ("\ufeff1 2\none 1 2\n".encode(), "line 1: word2vec's files begin with a line 'V D'"),
        (b"1 2\n" + b"a" * (1 << 24) + b" 1 2\n", "line 2: it has more than 16,777,216 bytes"),
    ],
)
def test_the_place_of_a_fault_is_named(tmp_path, content, message):
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(ValueError, match=rf"v\.txt'.*{message}"):
        formats.load(tmp_path / "v.txt")
