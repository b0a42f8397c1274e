"""The checks of single values, tokens included: the type of an error, the value in its message, and warnings."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from fastembed._base.validation import check_integer, check_number, check_token, plain, shown, token_ids, warn_user

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("number", [10**400, 2**63, -(10**400)], ids=["400", "64 bits", "negative"])
def test_integers_beyond_a_machine_word_are_rejected_and_named(number):
    with pytest.raises(ValueError, match=r"n must be (from 1 to \d+|at least 1), got -?\d"):
        check_integer("n", number, low=1)
    if abs(number) > 10**300:
        with pytest.raises(ValueError, match="rate must be finite and at least 0, got "):
            check_number("rate", number)


def unknown(token, tokens):
    with pytest.raises(KeyError) as caught:
        check_token(token, token_ids(tokens), tokens)
    return str(caught.value.args[0])


@pytest.mark.parametrize("asked", ["frnce", "frrance", "frence", "rfance", "france!"])
def test_a_spelling_one_edit_away_is_named(asked):
    assert unknown(asked, ("france", "england!", "spain")).endswith("'france'")


@pytest.mark.parametrize("asked", ["", "x" * 10**6, "zzzz", "\udc80", 1])
def test_without_a_similar_spelling_none_is_named(asked):
    assert unknown(asked, ("france", "spain")) == f"{shown(asked)} is not among the 2 tokens"


@pytest.mark.parametrize(("asked", "first"), [("File", "file"), ("FILE", "file"), ("E\u0301te\u0301", "\u00e9t\u00e9")])
def test_the_same_letters_in_another_case_are_named_first(asked, first):
    tokens = [*(f"file{k}" for k in range(20_000)), "tile", "pile", "file", "ete", "t", "\u00e9t\u00e9"]
    assert unknown(asked, tokens).partition("; the closest spellings are ")[2].startswith(f"'{first}'")


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
