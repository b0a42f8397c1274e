"""How the vocabulary is cut into shards."""

import numpy as np
import pytest

from fastembed.trainer.shards import ROW_GROUP, SHARD_ROWS, shard_bounds

SIZES = [1, 2, 15, 1023, 1024, 1025, 2047, 2048, 2049, 3001, 20_000, 33_700, 98_304, 1_000_003]


@pytest.mark.parametrize("rows", SIZES)
def test_shards_are_a_power_of_two_of_about_equal_size(rows):
    """So that any power of two of threads, or of machines, has the same work, and the tree of merges is complete."""
    bounds = shard_bounds(rows)
    shards, sizes = len(bounds) - 1, np.diff(bounds)
    assert (bounds[0], bounds[-1]) == (0, rows)
    assert shards & (shards - 1) == 0
    assert sizes.max() <= SHARD_ROWS
    assert shards == 1 or rows > shards // 2 * SHARD_ROWS
    assert sizes.max() - sizes[:-1].min(initial=sizes.max()) <= ROW_GROUP
    assert abs(rows / shards - sizes[-1]) <= ROW_GROUP


@pytest.mark.parametrize("rows", SIZES)
def test_bounds_are_whole_groups_of_rows(rows):
    assert (shard_bounds(rows)[:-1] % ROW_GROUP == 0).all()
