"""The sums of weighted bags."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import reference
from fastembed._base.arrays import padded_width

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


@pytest.fixture
def block(kernels, dim):
    """Return a block of bags, one of them empty, with an embedding, and memory for their sums."""
    rng = np.random.default_rng(dim)
    bags, dense = random_bags([3, 0, 1, 7, 20, 40, 9], kernels.dtype)
    rows = np.array([6, 1, 3, 0, 4])  # bags 2 and 5 are of another block
    return SimpleNamespace(
        bags=bags,
        rows=rows,
        x=dense[rows],
        embedding=rng.normal(size=(INPUTS, dim)).astype(kernels.dtype),
        h=np.full((5, padded_width(dim, kernels.dtype)), np.nan, kernels.dtype),
    )


def test_the_sums_of_bags_are_the_references(kernels, block, near, dim):
    h = block.h
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
