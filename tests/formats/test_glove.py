"""GloVe's text: faults."""

import pytest

from fastembed import formats


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"2 3\none 1 2 3\n", r"line 1: a token and at least two numbers .* got b'2 3'; .*'word2vec'"),
        (b"one 1 2\n. . 1 2\n", "line 2: 2 finite float32 expected, got b'. 1 2'"),
        (b"one 1 2\none 1 2\n", "line 2: the token 'one' is at line 1 too"),
        (b"one 1 2\n\n", "line 2: a token and 2 numbers expected"),
    ],
)
def test_the_place_of_a_fault_is_named(tmp_path, content, message):
    (tmp_path / "v.glove").write_bytes(content)
    with pytest.raises(ValueError, match=rf"v\.glove'.*{message}"):
        formats.load(tmp_path / "v.glove")
