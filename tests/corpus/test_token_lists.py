"""Lists of tokens: which are accepted, how files of them are read."""

import pytest

from fastembed.corpus.tokens import ENGLISH, check_token_list, read_token_list


def test_a_list_is_in_order_without_repetitions():
    assert check_token_list("drop", {"b", "a"}) == check_token_list("drop", ["b", "a", "b"]) == ("a", "b")
    assert check_token_list("drop", "english") == ENGLISH == tuple(sorted(set(ENGLISH)))


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ([], ValueError, "drop must hold at least one token, got an empty list"),
        ("the", TypeError, "drop must be a list of tokens or 'english', got 'the'"),
        (5, TypeError, "a list of tokens or 'english', got 5"),
        (["a", 5], TypeError, "drop must hold strings, got 5"),
        (iter(["a"]), TypeError, "drop must be a list of tokens, which can be read again, got <list_iterator"),
    ],
)
def test_what_is_no_list_of_tokens_is_an_error(tokens, error, message):
    with pytest.raises(error, match=message):
        check_token_list("drop", tokens)


def test_a_file_has_one_token_per_line_and_a_count_may_follow(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_bytes("\ufeffthe\t7\r\n\n cat \ndé jà\nthe\t1".encode())
    assert read_token_list(path) == ("the", "cat", "dé jà")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no token: one per line was expected"),
        (b"\n \n\t5\n", "holds no token"),
        (b"a\nb\xe9\n", "is not valid UTF-8 at line 2: "),
    ],
)
def test_a_file_without_tokens_or_of_another_encoding_is_an_error(tmp_path, data, message):
    path = tmp_path / "words.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"words.txt' {message}"):
        read_token_list(path)
