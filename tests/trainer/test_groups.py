"""How the rows of counts are cut into groups."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed.trainer.groups import GROUP_ROWS, draw_order, group_count, group_slice, split_rows

SIZES = [1, 2, 4095, 4096, 4097, 8192, 8193, 75_769]


@pytest.mark.parametrize("rows", SIZES)
def test_groups_are_of_like_size_and_cover_every_row_once(rows):
    groups = [np.arange(rows)[group_slice(group, rows)] for group in range(group_count(rows))]
    sizes = [len(group) for group in groups]
    assert_array_equal(np.sort(np.concatenate(groups)), np.arange(rows))
    assert max(sizes) <= GROUP_ROWS
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("rows", SIZES)
def test_an_order_takes_one_group_after_another_each_row_that_is_present_once(rows):
    present = np.random.default_rng(1).random(rows) < 0.9
    present[0] = True
    groups = split_rows(present)
    order = draw_order(groups, np.random.default_rng(2))
    assert_array_equal(np.sort(order), np.flatnonzero(present))
    changes = np.flatnonzero(np.diff(order % group_count(rows)))
    assert len(changes) == group_count(rows) - 1
    other = draw_order(groups, np.random.default_rng(3))
    assert_array_equal(draw_order(groups, np.random.default_rng(2)), order)
    assert len(order) < 3 or (other != order).any()


def test_a_group_without_rows_is_passed_over():
    present = np.zeros(8193, bool)
    present[[0, 3, 1]] = True  # groups 0, 0 and 1 of three
    assert sorted(draw_order(split_rows(present), np.random.default_rng(0)).tolist()) == [0, 1, 3]


def test_one_group_is_a_plain_permutation():
    """The order of the groups draws nothing from the generator then."""
    rows = np.arange(4096)
    order = draw_order(split_rows(np.ones(4096, bool)), np.random.default_rng(7))
    assert_array_equal(order, np.random.default_rng(7).permutation(rows))
