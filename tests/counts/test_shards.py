"""How the vocabulary is cut into shards."""

import numpy as np
import pytest

from fastembed._base.sizes import SIZES
from fastembed.counts.groups import ROW_GROUP, Division, shard_bounds

OUTPUTS = [1, 2, 15, 1023, 1024, 1025, 2047, 2048, 2049, 3001, 20_000, 33_700, 98_304, 1_000_003]


@pytest.mark.parametrize("rows", OUTPUTS)
def test_shards_are_a_power_of_two_of_about_equal_size(rows):
    """So that any power of two of threads, or of machines, has the same work, and the tree of merges is complete."""
    bounds = shard_bounds(rows)
    shards, sizes = len(bounds) - 1, np.diff(bounds)
    assert (bounds[0], bounds[-1]) == (0, rows)
    assert shards & (shards - 1) == 0
    assert sizes.max() <= SIZES.shard_rows
    assert shards == 1 or rows > shards // 2 * SIZES.shard_rows
    assert sizes.max() - sizes[:-1].min(initial=sizes.max()) <= ROW_GROUP
    assert abs(rows / shards - sizes[-1]) <= ROW_GROUP


@pytest.mark.parametrize("rows", OUTPUTS)
def test_bounds_are_whole_groups_of_rows(rows):
    assert (shard_bounds(rows)[:-1] % ROW_GROUP == 0).all()


@pytest.mark.parametrize("shards", [1, 2, 16, 64, 1024])
def test_ranks_have_runs_of_nodes_of_about_equal_size(shards):
    """A power of two of ranks has a node each; otherwise, with enough shards, no rank has 1.25 times its part."""
    for ranks in range(1, min(shards, 50) + 1):
        division = Division.of(shards, ranks)
        runs = [division.shards(rank) for rank in range(ranks)]
        assert [run.start for run in runs] + [shards] == [0] + [run.stop for run in runs]
        sizes = np.diff(division.firsts)
        assert division.node * division.nodes == shards
        assert division.nodes & (division.nodes - 1) == 0
        assert division.most - 1 <= sizes.min() <= sizes.max() == division.most
        if ranks & (ranks - 1) == 0:
            assert division.nodes == ranks
        elif shards >= 8 * ranks:
            assert division.most < 1.25 * division.nodes / ranks
