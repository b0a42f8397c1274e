"""The checks of single values, tokens included: the type of an error, the value in its message, and warnings."""

import json
import math
import pickle
import re
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed._base.validation import (
    all_finite,
    check_amounts,
    check_callback,
    check_choice,
    check_finite,
    check_flag,
    check_ids,
    check_integer,
    check_number,
    check_token,
    plain,
    token_ids,
    warn_user,
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("value", [1, 5, np.int8(3), np.uint64(3)])
def test_an_integer_in_the_range_is_returned_as_an_int(value):
    assert check_integer("n", value, low=1, high=5) == value
    assert type(check_integer("n", value, low=1)) is int


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "n must be from 1 to 5, got 0"),
        (6, ValueError, "n must be from 1 to 5, got 6"),
        (True, TypeError, "n must be an integer, got True"),
        (2.0, TypeError, "n must be an integer, got 2.0"),
    ],
)
def test_another_integer_is_rejected(value, error, message):
    with pytest.raises(error, match=re.escape(message)):
        check_integer("n", value, low=1, high=5)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.5), 1])
def test_a_number_in_the_range_is_returned_as_a_float(value):
    assert check_number("x", value, high=1) == value
    assert isinstance(check_number("x", value), float)


@pytest.mark.parametrize(
    ("value", "options", "error", "message"),
    [
        ("1", {}, TypeError, "x must be a number, got '1'"),
        (True, {}, TypeError, "x must be a number, got True"),
        (NAN, {}, ValueError, "x must be finite and at least 0, got nan"),
        (2, {"high": 1}, ValueError, "x must be finite and from 0 to 1, got 2"),
        (0, {"above": True}, ValueError, "x must be finite and above 0, got 0"),
        (0, {"above": True, "high": 1}, ValueError, "x must be finite and above 0 and at most 1, got 0"),
    ],
)
def test_another_number_is_rejected(value, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        check_number("x", value, **options)


def test_flags_are_true_or_false():
    assert check_flag("f", np.True_) is True
    assert check_flag("f", False) is False
    for wrong in (1, 0.0, "True", None):
        with pytest.raises(TypeError, match=f"f must be True or False, got {wrong!r}"):
            check_flag("f", wrong)


def test_choices_and_callbacks_are_checked():
    assert check_choice("c", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match="c must be one of a, b, got 'd'"):
        check_choice("c", "d", ("a", "b"))
    check_callback("f", print)
    check_callback("f", None)
    with pytest.raises(TypeError, match="f must be callable, got 7"):
        check_callback("f", 7)


@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
def test_the_first_number_that_is_not_finite_is_named(wrong):
    array = np.zeros((2, 3))
    check_finite("a", array)
    assert all_finite(array)
    array[1, 1:] = wrong
    assert not all_finite(array)
    with pytest.raises(ValueError, match=re.escape(f"a must be finite, but a[1, 1] is {wrong}")):
        check_finite("a", array)


def test_amounts_are_real_and_not_negative():
    check_amounts("a", np.array([0, 1]))
    with pytest.raises(ValueError, match=re.escape("a must be non-negative, but a[1] is -2")):
        check_amounts("a", np.array([0, -2]))
    with pytest.raises(TypeError, match="a must hold real numbers, got dtype complex128"):
        check_amounts("a", np.array([1j]))


def test_ids_may_have_any_integer_dtype():
    for dtype in ("i1", "u1", "i4", "u8", ">i8"):
        ids = check_ids("ids", np.array([3, 0], dtype), 4)
        assert ids.dtype == np.intp
        assert_array_equal(ids, [3, 0])
    assert check_ids("ids", np.arange(8)[::2], 8).flags.c_contiguous


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
    assert message(asked, ("france", "spain")) == f"{asked!r} is not among the 2 tokens"


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


def test_containers_scalars_and_dataclasses_become_what_json_has():
    value = {"a": (np.int8(1), [np.float32(0.5)]), "b": Point(np.True_, None), "c": "text", "d": 7, "e": np.str_("s")}
    found = plain(value)
    assert found == {"a": [1, [0.5]], "b": {"x": True, "y": None}, "c": "text", "d": 7, "e": "s"}
    assert found == json.loads(json.dumps(found, allow_nan=False))
    assert {type(found["a"][0]), type(found["a"][1][0]), type(found["b"]["x"])} == {int, float, bool}


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
