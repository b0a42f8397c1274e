"""The checks of single values, tokens included: the type of an error, the value in its message, and warnings."""

import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from fastembed._base.validation import (
    check_ids,
    check_integer,
    check_number,
    check_token,
    plain,
    token_ids,
    warn_user,
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("number", [10**400, 10**5000, 2**63, -(10**5000)], ids=["400", "5000", "64 bits", "negative"])
def test_integers_beyond_a_machine_word_are_rejected_and_named(number):
    with pytest.raises(ValueError, match=r"n must be (from 1 to \d+|at least 1), got (an integer of|\d)"):
        check_integer("n", number, low=1)
    with pytest.raises(ValueError, match=r"ids must be ids from 0 to 4, (got|but)"):
        check_ids("ids", [number], 5)
    if abs(number) > 10**300:
        with pytest.raises(ValueError, match="rate must be finite and at least 0, got an integer of"):
            check_number("rate", number)


def test_lists_of_unequal_lengths_are_rejected_by_name():
    with pytest.raises(ValueError, match=r"^i must be numbers, or lists of equally many numbers, got \[3, \[1, 2\]\]$"):
        check_ids("i", [3, [1, 2]], 5)


def unknown(token, tokens):
    with pytest.raises(KeyError) as caught:
        check_token(token, token_ids(tokens), tokens)
    return caught.value


def message(token, tokens):
    return str(unknown(token, tokens).args[0])


@pytest.mark.parametrize("asked", ["frnce", "frrance", "frence", "rfance", "france!", "FRANCE", "Frnce", "fRance"])
def test_a_spelling_one_edit_or_a_case_away_is_named(asked):
    assert message(asked, ("france", "england!", "spain")).endswith("; the closest spellings are 'france'")


@pytest.mark.parametrize("asked", ["", "x" * 10**6, "zzzz", "\udc80"])
def test_without_a_similar_spelling_none_is_named(asked):
    assert message(asked, ("france", "spain")) == f"{asked!r:.77}{'...' * (len(asked) > 80)} is not among the 2 tokens"


def test_an_unknown_integer_is_said_to_be_no_id():
    expected = "1 is not among the 2 tokens; an integer is the token of its digits, and the token of id 1 is tokens[1]"
    assert message(1, ("a", "b")) == expected
    error = pickle.loads(pickle.dumps(unknown(1, ("a", "b"))))
    assert error.args == (expected,)
    for no_id in (-1, 2, 10**30):
        assert message(no_id, ("a", "b")).endswith("is not among the 2 tokens; an integer is the token of its digits")


@dataclass
class Point:
    x: object
    y: object


@pytest.mark.parametrize("number", [math.nan, math.inf, np.float32("-inf"), np.float64("nan")])
def test_numbers_that_are_not_finite_are_rejected_or_become_none(number):
    with pytest.raises(ValueError, match="JSON holds finite numbers only, got "):
        plain({"a": [number]})
    assert plain({"a": [Point(number, 1)]}, none_for_nan=True) == {"a": [{"x": None, "y": 1}]}


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_a_warning_points_at_the_line_outside_of_the_package(depth):
    """Through so many calls of functions of a module of the package."""
    module = {"__name__": "fastembed.vectors.vectors", "warn": warn_user}
    exec("def call(depth):\n    warn('beware') if depth == 0 else call(depth - 1)", module)
    with pytest.warns(UserWarning, match="^beware$") as warned:
        module["call"](depth)
    assert warned[0].filename == __file__
