"""Warnings: the line of the user's program that they point at."""

import pytest

from fastembed._base.validation import warn_user


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_a_warning_points_at_the_line_outside_of_the_package(depth):
    """Through so many calls of functions of a module of the package."""
    module = {"__name__": "fastembed.vectors.vectors", "warn": warn_user}
    exec("def call(depth):\n    warn('beware') if depth == 0 else call(depth - 1)", module)
    with pytest.warns(UserWarning, match="^beware$") as warned:
        module["call"](depth)
    assert warned[0].filename == __file__


def test_a_warning_of_the_user_points_at_the_users_line():
    with pytest.warns(UserWarning, match="^beware$") as warned:
        warn_user("beware")
    assert warned[0].filename == __file__
