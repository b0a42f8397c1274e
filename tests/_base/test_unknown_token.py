"""The message for an unknown token."""

import pickle

import pytest

from fastembed._base.validation import token_ids, unknown_token


def message(token, tokens):
    return str(unknown_token(token, token_ids(tokens), tokens).args[0])


@pytest.mark.parametrize("asked", ["frnce", "frrance", "frence", "rfance", "france!", "FRANCE", "Frnce", "fRance"])
def test_a_spelling_one_edit_or_a_case_away_is_named(asked):
    assert message(asked, ("france", "england!", "spain")).endswith("; the closest spellings are 'france'")


def test_the_most_frequent_of_similar_spellings_are_named():
    tokens = ("cart", "cats", "cot", "cut", "at", "dog")
    assert message("cat", tokens).endswith("are 'cart', 'cats', 'cot'")


@pytest.mark.parametrize("asked", ["", "x" * 10**6, "zzzz", None, "\udc80"])
def test_without_a_similar_spelling_none_is_named(asked):
    assert message(asked, ("france", "spain")) == f"{asked!r} is not among the 2 tokens"


def test_an_unknown_integer_is_said_to_be_no_id():
    expected = "1 is not among the 2 tokens; an integer is the token of its digits, and the token of id 1 is tokens[1]"
    assert message(1, ("a", "b")) == expected
    for no_id in (-1, 2, 10**30):
        assert message(no_id, ("a", "b")).endswith("is not among the 2 tokens; an integer is the token of its digits")


def test_few_spellings_are_tried_however_many_tokens_there_are():
    class CountingIds(dict):
        tried = 0

        def __contains__(self, token):
            self.tried += 1
            return super().__contains__(token)

    tokens = tuple(f"{chr(0x4E00 + n % 9000)}{n}" for n in range(20_000))
    ids = CountingIds(token_ids(tokens))
    error = unknown_token("x" * 20, ids, tokens)
    assert ids.tried == 0  # nothing before the message is read
    str(error)
    assert 0 < ids.tried < 2000


def test_an_error_is_pickled_as_its_message():
    error = unknown_token("b", token_ids(("a",)), ("a",))
    assert pickle.loads(pickle.dumps(error)).args == ("'b' is not among the 1 tokens; the closest spellings are 'a'",)
    assert str(error) == '''"'b' is not among the 1 tokens; the closest spellings are 'a'"'''
