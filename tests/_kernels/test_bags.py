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
