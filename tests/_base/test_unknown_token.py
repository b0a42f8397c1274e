"""The message for an unknown token."""

import pickle

import pytest

from fastembed._base.validation import token_ids, unknown_token


def message(token, tokens):
    return str(unknown_token(token, token_ids(tokens), tokens).args[0])


@pytest.mark.parametrize("asked", ["frnce", "frrance", "frence", "rfance", "france!", "FRANCE", "Frnce", "fRance"])
def test_a_spelling_one_edit_or_a_case_away_is_named(asked):
    assert message(asked, ("france", "england!", "spain")).endswith("; the closest spellings are 'france'")


def test_three_spellings_are_named():
    assert message("cat", ("cart", "cats", "cot", "cut", "at", "dog")).endswith("are 'cats', 'cart', 'at'")


@pytest.mark.parametrize("asked", ["", "x" * 10**6, "zzzz", None, "\udc80"])
def test_without_a_similar_spelling_none_is_named(asked):
    assert message(asked, ("france", "spain")) == f"{asked!r} is not among the 2 tokens"


def test_an_unknown_integer_is_said_to_be_no_id():
    expected = "1 is not among the 2 tokens; an integer is the token of its digits, and the token of id 1 is tokens[1]"
    assert message(1, ("a", "b")) == expected
    for no_id in (-1, 2, 10**30):
        assert message(no_id, ("a", "b")).endswith("is not among the 2 tokens; an integer is the token of its digits")


def test_an_error_is_pickled_as_its_message():
    error = unknown_token("aa", token_ids(("a",)), ("a",))
    assert pickle.loads(pickle.dumps(error)).args == ("'aa' is not among the 1 tokens; the closest spellings are 'a'",)
    assert str(error) == '''"'aa' is not among the 1 tokens; the closest spellings are 'a'"'''
