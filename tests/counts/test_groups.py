"""What training reads of counts: groups of rows, in any order, from memory or read meanwhile; shards of the columns."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, Trainer
from fastembed._base.sizes import SIZES
from fastembed._base.threads import Pool
from fastembed.counts.groups import (
    ROW_GROUP,
    CSRGroups,
    Division,
    Totals,
    buffered_groups,
    draw_order,
    group_count,
    group_slice,
    plain_order,
    shard_bounds,
    split_rows,
)
from fastembed.counts.store import StoredGroups

ROWS = [1, 2, 4095, 4096, 4097, 8192, 8193, 75_769]
OUTPUTS = [1, 2, 15, 1023, 1024, 1025, 2047, 2048, 2049, 3001, 20_000, 33_700, 98_304, 1_000_003]

# ---------------------------------------------------------------- groups and shards


@pytest.mark.parametrize("rows", ROWS)
def test_an_order_takes_two_groups_after_another_two_each_row_that_is_present_once(rows):
    sizes = [len(np.arange(rows)[group_slice(group, rows)]) for group in range(group_count(rows))]
    assert sum(sizes) == rows
    assert max(sizes) <= SIZES.group_rows
    assert max(sizes) - min(sizes) <= 1
    present = np.random.default_rng(1).random(rows) < 0.9
    present[0] = True
    groups, count = split_rows(present), group_count(rows)
    order = draw_order(groups, np.random.default_rng(2))
    assert [len(draw.groups) for draw in order] == [2] * (count // 2) + [1] * (count % 2)
    for draw in order:
        assert set(draw.rows % count) == set(draw.groups)
    assert_array_equal(np.sort(np.concatenate([draw.rows for draw in order])), np.flatnonzero(present))
    again, other = (draw_order(groups, np.random.default_rng(seed)) for seed in (2, 3))
    assert str(again) == str(order)
    assert rows < 3 or str(other) != str(order)
    assert [draw.groups for draw in plain_order(groups)] == [(group,) for group in range(count)]


def test_a_group_without_rows_is_passed_over_and_one_group_is_a_plain_permutation():
    present = np.zeros(8193, bool)
    present[[0, 3, 1]] = True  # groups 0, 0 and 1 of three
    (draw,) = draw_order(split_rows(present), np.random.default_rng(0))
    assert sorted(draw.rows.tolist()) == [0, 1, 3]
    assert [plain.rows.tolist() for plain in plain_order(split_rows(present))] == [[0, 3], [1]]
    (draw,) = draw_order(split_rows(np.ones(4096, bool)), np.random.default_rng(7))
    assert_array_equal(draw.rows, np.random.default_rng(7).permutation(4096))


@pytest.mark.parametrize("shape", [(5, 7), (9000, 3)])
def test_the_digest_and_the_sums_are_those_of_the_rows_of_each_group(shape):
    counts = sparse.random_array(shape, density=0.5, random_state=np.random.default_rng(0), format="csr")
    digest = hashlib.sha256(np.array(shape, "<i8").tobytes())
    for group in range(group_count(shape[0])):
        part = counts[group :: group_count(shape[0])]
        for array, dtype in ((part.indptr, "<i8"), (part.indices, "<i4"), (part.data, "<f8")):
            digest.update(array.astype(dtype).tobytes())
    groups = CSRGroups(counts)
    assert groups.sha256() == digest.hexdigest()
    assert groups.entries.sum() == counts.nnz
    first, *others = (Totals.of(groups, Pool(threads)) for threads in (1, 2, 5))
    np.testing.assert_allclose(first.rows, counts.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(first.columns, counts.sum(axis=0), rtol=1e-14)
    for other in others:
        assert_array_equal(other.rows, first.rows)
        assert_array_equal(other.columns, first.columns)


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_shards_are_a_power_of_two_of_about_equal_size(outputs):
    """So that any power of two of threads, or of machines, has the same work, and the tree of merges is complete."""
    bounds = shard_bounds(outputs)
    shards, sizes = len(bounds) - 1, np.diff(bounds)
    assert (bounds[0], bounds[-1]) == (0, outputs)
    assert shards & (shards - 1) == 0
    assert sizes.max() <= SIZES.shard_rows
    assert shards == 1 or outputs > shards // 2 * SIZES.shard_rows
    assert sizes.max() - sizes[:-1].min(initial=sizes.max()) <= ROW_GROUP
    assert abs(outputs / shards - sizes[-1]) <= ROW_GROUP
    assert (bounds[:-1] % ROW_GROUP == 0).all()


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


# ---------------------------------------------------------------- groups that are read while others are trained on


@pytest.fixture
def small_groups(sizes):
    sizes.group_rows = 16


@pytest.fixture
def reads(monkeypatch):
    """The numbers of the groups that are read into a buffer, in their order."""
    numbers, read_group = [], StoredGroups.read_group

    def noted(groups, group, memory=None):
        rows = read_group(groups, group, memory)
        if memory is not None:
            numbers.append(group)
        return rows

    monkeypatch.setattr(StoredGroups, "read_group", noted)
    return numbers


def make_matrix(rows, columns=30, empty=0.3):
    rng = np.random.default_rng(0)
    counts = sparse.random_array((rows, columns), density=0.4, random_state=rng, format="csr")
    counts.data = np.ceil(counts.data * 9)
    keep = (rng.random(rows) > empty).astype(float)
    keep[0] = 1
    counts = sparse.csr_array(sparse.diags_array(keep) @ counts)
    counts.eliminate_zeros()
    counts.sort_indices()
    return counts


def in_folder(matrix, folder):
    return Counts.from_scipy(matrix).store(folder)


@pytest.mark.parametrize("block_size", [1, 7, 40, 1000])
@pytest.mark.parametrize("rows", [3, 17, 33, 150])
@pytest.mark.usefixtures("small_groups")
def test_a_fit_has_the_same_bits_as_in_memory(tmp_path, rows, block_size):
    counts, validation = make_matrix(rows), make_matrix(rows, empty=0.8)
    stored = in_folder(counts, tmp_path / "a"), in_folder(validation, tmp_path / "b")
    fits = [Trainer.random(rows, 4, output_size=30, seed=0, threads=threads) for threads in (2, 2, 1)]
    histories = []
    for trainer, (given, held_out) in zip(fits, [(counts, validation), stored, stored], strict=True):
        history = trainer.fit_counts(given, epochs=3, block_size=block_size, validation_counts=held_out, seed=5)
        histories.append([(record["nll"], record["validation_nll"]) for record in history])
    for trainer, history in zip(fits[1:], histories[1:], strict=True):
        assert_array_equal(trainer.embedding, fits[0].embedding)
        assert_array_equal(trainer.linear, fits[0].linear)
        assert history == histories[0]
    assert fits[1].nll(stored[0]) == fits[0].nll(counts)


@pytest.mark.usefixtures("small_groups")
def test_groups_that_fit_into_the_buffer_are_read_once(tmp_path, reads):
    matrix = make_matrix(160)
    stored, expected = in_folder(matrix, tmp_path / "a"), Trainer.random(160, 4, output_size=30, seed=0)
    expected.fit_counts(matrix, epochs=3, block_size=4, seed=5)
    least = buffered_groups([16] * 10, 4)
    slot = 12 * int(stored.groups.entries.max())
    for slots, held in ((0, 0), (least + 1, 1), (9, 9 - least), (10, 10), (99, 10)):
        reads.clear()
        trainer = Trainer.random(160, 4, output_size=30, seed=0)
        trainer.fit_counts(stored.buffered(slots * slot), epochs=3, block_size=4, seed=5)
        assert sorted(reads) == sorted([*range(held), *list(range(held, 10)) * 3])
        assert_array_equal(trainer.embedding, expected.embedding)
    with pytest.raises(ValueError, match="memory must be at least 0, got -1"):
        stored.buffered(-1)
    with pytest.raises(TypeError, match="memory must be an integer"):
        stored.buffered(0.5)


@pytest.mark.usefixtures("small_groups")
def test_what_reading_raises_ends_the_fit(tmp_path):
    stored, trainer = in_folder(make_matrix(160), tmp_path / "a"), Trainer.random(160, 4, output_size=30, threads=2)
    next((tmp_path / "a").glob("group-00007-*")).unlink()
    with pytest.raises(FileNotFoundError, match="the store has lost a file of tiles"):
        trainer.fit_counts(stored, epochs=2, block_size=4)
    assert np.isfinite(trainer.embedding).all()
