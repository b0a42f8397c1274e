"""How the rows of counts are cut into groups."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed._base.sizes import SIZES
from fastembed.counts.groups import (
    CSRGroups,
    draw_order,
    group_count,
    group_slice,
    plain_order,
    split_rows,
)

ROWS = [1, 2, 4095, 4096, 4097, 8192, 8193, 75_769]


@pytest.mark.parametrize("rows", ROWS)
def test_groups_are_of_like_size_and_cover_every_row_once(rows):
    groups = [np.arange(rows)[group_slice(group, rows)] for group in range(group_count(rows))]
    sizes = [len(group) for group in groups]
    assert_array_equal(np.sort(np.concatenate(groups)), np.arange(rows))
    assert max(sizes) <= SIZES.group_rows
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("rows", ROWS)
def test_an_order_takes_two_groups_after_another_two_each_row_that_is_present_once(rows):
    present = np.random.default_rng(1).random(rows) < 0.9
    present[0] = True
    groups = split_rows(present)
    order = draw_order(groups, np.random.default_rng(2))
    count = group_count(rows)
    assert [len(draw.groups) for draw in order] == [2] * (count // 2) + [1] * (count % 2)
    for draw in order:
        assert set(draw.rows % count) == set(draw.groups)
    assert_array_equal(np.sort(np.concatenate([draw.rows for draw in order])), np.flatnonzero(present))
    again, other = (draw_order(groups, np.random.default_rng(seed)) for seed in (2, 3))
    assert str(again) == str(order)
    assert rows < 3 or str(other) != str(order)
    plain = plain_order(groups)
    assert [draw.groups for draw in plain] == [(group,) for group in range(count)]


def test_a_group_without_rows_is_passed_over():
    present = np.zeros(8193, bool)
    present[[0, 3, 1]] = True  # groups 0, 0 and 1 of three
    (draw,) = draw_order(split_rows(present), np.random.default_rng(0))
    assert sorted(draw.rows.tolist()) == [0, 1, 3]
    assert [plain.rows.tolist() for plain in plain_order(split_rows(present))] == [[0, 3], [1]]


def test_one_group_is_a_plain_permutation():
    """The order of the groups draws nothing from the generator then."""
    (draw,) = draw_order(split_rows(np.ones(4096, bool)), np.random.default_rng(7))
    assert_array_equal(draw.rows, np.random.default_rng(7).permutation(4096))


@pytest.mark.parametrize("shape", [(5, 7), (9000, 3)])
def test_the_digest_is_that_of_the_rows_of_each_group(shape):
    counts = sparse.random_array(shape, density=0.5, random_state=np.random.default_rng(0), format="csr")
    digest = hashlib.sha256(np.array(shape, "<i8").tobytes())
    for group in range(group_count(shape[0])):
        part = counts[group :: group_count(shape[0])]
        for array, dtype in ((part.indptr, "<i8"), (part.indices, "<i4"), (part.data, "<f8")):
            digest.update(array.astype(dtype).tobytes())
    assert CSRGroups(counts).sha256() == digest.hexdigest()
    assert CSRGroups(counts).entries.sum() == counts.nnz
