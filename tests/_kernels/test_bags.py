"""The kernels of weighted bags: their sums, the groups of their entries, the update of the rows that they name."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
from fastembed import reference
from fastembed._base.arrays import aligned_zeros, padded_width

INPUTS = 40


def as_bags(lists, dtype):
    """Return (starts, ids, weights) of lists of pairs of an id and a weight."""
    entries = [entry for bag in lists for entry in bag]
    return (
        np.cumsum([0, *map(len, lists)]),
        np.array([f for f, _ in entries], np.int32),
        np.array([weight for _, weight in entries], dtype),
    )


def random_bags(sizes, dtype, inputs=INPUTS, seed=0):
    """Return bags of these sizes, of signed weights, and the same as a dense matrix."""
    rng = np.random.default_rng(seed)
    lists = [[(f, rng.normal()) for f in np.sort(rng.permutation(inputs)[:size])] for size in sizes]
    starts, ids, weights = as_bags(lists, dtype)
    dense = np.zeros((len(sizes), inputs))
    dense[np.repeat(np.arange(len(sizes)), np.diff(starts)), ids] = weights
    return (starts, ids, weights), dense


def groups_of(kernels, bags, rows, inputs=INPUTS, bag_weights=None):
    """Return the groups of a block: the named rows, and where each ends; members and weights of the entries."""
    entries = int(sum(bags[0][r + 1] - bags[0][r] for r in rows))
    named, ends = np.empty(inputs, np.int32), np.empty(inputs, np.int64)
    members, weights = np.empty(entries + 1, np.int32), np.empty(entries + 1, kernels.dtype)
    slots = np.full(inputs, -1, np.int32)
    slot_of_entry = np.empty(entries + 1, np.int32)
    count = kernels.bag_group(*bags, rows, bag_weights, slots, slot_of_entry, named, ends, members, weights)
    assert (slots == -1).all()
    return named[:count], ends[:count], members[:entries], weights[:entries]


@pytest.fixture
def block(kernels, dim):
    """Return a block of bags, one of them empty, with an embedding and the gradients of its sums."""
    rng = np.random.default_rng(dim)
    bags, dense = random_bags([3, 0, 1, 7, 20, 40, 9], kernels.dtype)
    gradients = aligned_zeros((5, padded_width(dim, kernels.dtype)), kernels.dtype)
    gradients[:, :dim] = rng.normal(size=(5, dim))
    rows = np.array([6, 1, 3, 0, 4])  # bags 2 and 5 are of another block
    return SimpleNamespace(
        bags=bags,
        rows=rows,
        x=dense[rows],
        embedding=rng.normal(size=(INPUTS, dim)).astype(kernels.dtype),
        gradients=gradients,
        g=np.zeros(gradients.shape[1], kernels.dtype),
    )


def test_the_sums_of_bags_are_the_references(kernels, block, near, dim):
    h = np.full_like(block.gradients, np.nan)
    for first, last in [(0, 2), (2, 5)]:
        kernels.bag_gather(block.embedding, *block.bags, block.rows, first, last, h)
    near(h[:, :dim], reference.gather(block.x, block.embedding), times=2)
    assert_array_equal(h[1, :dim], 0)
    assert np.isnan(h[:, dim:]).all()


def test_a_bag_of_one_id_and_weight_one_is_the_row_itself(kernels):
    """With the bits of -0.0, of subnormal numbers and of NaN."""
    tiny = np.finfo(kernels.dtype).smallest_subnormal
    embedding = np.array([[1, 2, 3, 4], [-0.0, tiny, np.nan, -np.inf]], kernels.dtype)
    h = np.empty((1, 4), kernels.dtype)
    kernels.bag_gather(embedding, *as_bags([[(1, 1)]], kernels.dtype), np.array([0]), 0, 1, h)
    assert h[0].tobytes() == embedding[1].tobytes()


def test_the_sum_of_a_long_bag_is_the_references(kernels, near):
    size, dim = 100_000, 5
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(size, dim)).astype(kernels.dtype)
    bags = np.array([0, size]), np.arange(size, dtype=np.int32), (rng.normal(size=size) / 300).astype(kernels.dtype)
    h = np.empty((1, dim), kernels.dtype)
    kernels.bag_gather(embedding, *bags, np.array([0]), 0, 1, h)
    near(h, reference.gather(bags[2][None], embedding), times=3)


def test_groups_agree_with_a_calculation_by_hand(kernels):
    bags = as_bags([[(2, 0.5), (7, -1)], [], [(0, 3), (2, 4)], [(9, 9)]], kernels.dtype)
    named, ends, members, weights = groups_of(kernels, bags, np.array([2, 1, 0]))
    assert named.tolist() == [0, 2, 7]
    assert ends.tolist() == [1, 3, 4]
    assert members.tolist() == [0, 0, 2, 2]
    assert weights.tolist() == [3, 4, 0.5, -1]
    *same, weighted = groups_of(kernels, bags, np.array([2, 1, 0]), bag_weights=np.array([2, 9, 0.5], kernels.dtype))
    assert [part.tolist() for part in same] == [part.tolist() for part in (named, ends, members)]
    assert weighted.tolist() == [1.5, 2, 1, -2]


def test_each_entry_is_in_the_group_of_its_row_once_and_in_the_order_of_the_block(kernels):
    bags, dense = random_bags(np.random.default_rng(1).integers(0, INPUTS, 50).tolist(), kernels.dtype)
    rows = np.random.default_rng(2).permutation(50)
    named, ends, members, weights = groups_of(kernels, bags, rows)
    bounds = itertools.pairwise([0, *ends.tolist()])
    entries = [
        list(zip(members[first:last].tolist(), weights[first:last].tolist(), strict=True)) for first, last in bounds
    ]
    expected = twins.groups(dense[rows])
    assert named.tolist() == list(expected)
    assert entries == [list(group.items()) for group in expected.values()]


def test_empty_bags_have_no_groups(kernels):
    bags = as_bags([[], [(1, 1)], []], kernels.dtype)
    assert [part.size for part in groups_of(kernels, bags, np.array([0, 2]))] == [0, 0, 0, 0]


def test_the_update_of_named_rows_is_the_references(kernels, block, near, dim):
    """Row-wise Adagrad along the sum of the bags' gradients; rows of rate 0 and unnamed ones keep their bits."""
    rng = np.random.default_rng(dim)
    groups = groups_of(kernels, block.bags, block.rows)
    named = groups[0]
    squares, row_rates = rng.gamma(1, size=INPUTS), rng.gamma(1, size=INPUTS)
    frozen = named[::5]
    row_rates[frozen] = 0
    before, squares_before = block.embedding.copy(), squares.copy()
    for first, last in [(0, 3), (3, len(named))]:
        kernels.bag_update(block.embedding, *groups, first, last, block.gradients, row_rates, squares, 0.3, block.g)
    still = np.union1d(np.setdiff1d(np.arange(INPUTS), named), frozen)
    moved = np.setdiff1d(np.arange(INPUTS), still)
    g = reference.scatter(block.x, block.gradients[:, :dim])[moved]
    expected, expected_squares = reference.momentum_adagrad(
        before[moved], g, g, squares_before[moved], 0.3 * row_rates[moved]
    )
    near(block.embedding[moved], expected, times=2)
    near(squares[moved], expected_squares, times=4)
    assert block.embedding[still].tobytes() == before[still].tobytes()
    assert_array_equal(squares[still], squares_before[still])


def test_a_named_row_without_a_gradient_stays(kernels, block):
    """Its sum of squares is 0, which nothing is divided by."""
    groups = groups_of(kernels, block.bags, block.rows)
    before, ones = block.embedding.copy(), np.ones(INPUTS)
    block.gradients[:] = 0
    kernels.bag_update(
        block.embedding, *groups, 0, len(groups[0]), block.gradients, ones, np.zeros(INPUTS), 0.3, block.g
    )
    assert_array_equal(block.embedding, before)
