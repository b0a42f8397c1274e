"""Raw documents as a corpus."""

import pytest

from fastembed.corpus.corpus import split_documents


def test_documents_may_be_strings_and_token_lists(read):
    assert read(split_documents(["to be", ["or", "not"], "to\tbe\n"]))[0] == [["to", "be"], ["or", "not"], ["to", "be"]]


def test_the_progress_of_documents_has_a_total_if_they_have_a_length(read):
    class Unsized:
        def __iter__(self):
            return iter(["a b", "c d"])

    for source, total in ((["a b", "c d"], 2), (Unsized(), None)):
        seen = []
        read(split_documents(source), lambda *now, seen=seen: seen.append(now))
        assert seen[-1] == (2, total)


def test_strings_of_one_token_need_to_be_allowed(read):
    assert read(split_documents(["a", "b"], single=True))[0] == [["a"], ["b"]]
    with pytest.raises(ValueError, match="each of the 2 strings, such as 'b', is a document of one token at most"):
        read(split_documents(["a", "b"]))


def test_a_table_is_rejected():
    class Table(list):
        columns = ("text",)

    with pytest.raises(TypeError, match="one column of a table, got a whole Table"):
        split_documents(Table(["a b"]))
