"""The kernels of features: pairs, bags and labelled lines, against their twins."""

from itertools import chain, pairwise
from time import thread_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import twins
from fastembed._kernels import features as kernels
from fastembed._kernels.features import PairIndex

LARGEST = 2**31 - 1


def unspread(h):
    """Return what `spread` of features.pyx, the mixer of splitmix64, makes these hashes (n,) of, uint64."""
    for multiplier, shift in ((0x94D049BB133111EB, 31), (0xBF58476D1CE4E5B9, 27)):
        h = h ^ (h >> np.uint64(shift)) ^ (h >> np.uint64(2 * shift))
        h = h * np.uint64(pow(multiplier, -1, 2**64))
    return h ^ (h >> np.uint64(30)) ^ (h >> np.uint64(60))


def seconds(function, *arguments):
    start = thread_time()
    function(*arguments)
    return thread_time() - start


@pytest.mark.parametrize("place", [0, 32])
def test_pairs_chosen_for_the_mixer_are_numbered_and_found_as_fast_as_others(place):
    """Hashes that differ in their high or their low bits alone would all have one place."""
    n = 30_000
    times = []
    for low in (
        np.arange(n, dtype=np.uint64) << np.uint64(32 - place),
        np.random.default_rng(0).integers(0, 2**64, n, np.uint64),
    ):
        pairs = unspread(low)
        left, right = ((pairs >> np.uint64(shift)).astype(np.uint32).view(np.int32) for shift in (32, 0))
        numbers, counts, size = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(1, np.int64)
        times.append(seconds(kernels.number_pairs, pairs, np.array([0, n]), 0, 1, numbers, counts, size))
        times[-1] += seconds(PairIndex, left, right)
        assert numbers.tolist() == list(range(n))
    assert times[0] < 20 * times[1]


def random_ids(size, ids, seed=0):
    return np.random.default_rng(seed).integers(-2, ids, size).astype(np.int32)


def columns(pairs):
    """Return pairs as two arrays."""
    left, right = np.array(pairs, np.int32).reshape(-1, 2).T.copy()
    return left, right


def uint64(pairs):
    return np.array([left % 2**32 << 32 | right % 2**32 for left, right in pairs], np.uint64)


# ---------------------------------------------------------------- pairs


@pytest.mark.parametrize("sizes", [[0], [1], [3, 0, 40], [5000, 7]])
def test_the_pairs_of_a_part_are_numbered_and_counted_as_by_the_twin(sizes):
    rng = np.random.default_rng(len(sizes))
    bounds = np.cumsum([0, *sizes])
    given = rng.integers(0, LARGEST, (50, 2))[rng.integers(0, 50, bounds[-1])].tolist()
    pairs, numbers, counts = uint64(given), np.empty(len(given), np.int32), np.empty(len(given), np.int32)
    different = np.empty(len(sizes), np.int64)
    for first in range(len(sizes)):
        kernels.number_pairs(pairs, bounds, first, first + 1, numbers, counts, different)
    for k, (first, last) in enumerate(pairwise(bounds)):
        expected, times = twins.number_pairs(map(tuple, given[first:last]))
        assert numbers[first:last].tolist() == expected
        assert_array_equal(pairs[first : first + different[k]], uint64(times))
        assert counts[first : first + different[k]].tolist() == list(times.values())


@pytest.mark.parametrize("shift", [0, 1, 2, 400])
@pytest.mark.parametrize(("size", "ids", "known"), [(0, 2, 0), (1, 1, 1), (40, 3, 5), (300, 20, 200), (5000, 99, 4000)])
def test_pairs_are_found_as_by_the_twin(size, ids, known, shift):
    left, right = random_ids(size, ids), random_ids(size, ids, 1)
    pairs = list(set(twins.pairs_at(random_ids(known, ids, 2), random_ids(known, ids, 3), 0).values()))
    found = np.full(size, 99, np.int32)
    PairIndex(*columns(pairs)).find_all(left, right, shift, found)
    assert found.tolist() == twins.find_pairs(left, right, shift, pairs)


def test_pairs_on_one_line_of_the_index_and_on_the_last_one_are_found():
    """More than a line holds have the same place: others take the next lines, from the last one those at the start."""
    rng = np.random.default_rng(0)
    candidates = list(dict.fromkeys(map(tuple, rng.integers(0, LARGEST, (200_000, 2)).tolist())))
    lines = 99 // 3 + 1  # of an index of 99 pairs
    for line in (0, 5, lines - 1):
        same = [pair for pair in candidates if twins.part_of_pair(pair, 2**32) * lines >> 32 == line]
        known, others = same[:99], same[99:500]
        assert len(others) == 401
        left, right = columns([*known, *others])
        found = np.empty(len(left), np.int32)
        PairIndex(*columns(known)).find_all(left, right, 0, found)
        assert found.tolist() == [*range(99), *[-2] * 401]


@pytest.mark.parametrize("parts", [1, 2, 64])
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_pairs_are_divided_into_the_parts_of_the_twin(shift, parts):
    left, right = random_ids(500, 40), random_ids(500, 40, 1)
    expected = [[] for _ in range(parts)]
    for pair in twins.pairs_at(left, right, shift).values():
        expected[twins.part_of_pair(pair, parts)].append(pair)
    pieces = [(0, 123), (123, 500)]
    sizes = np.full((2, parts), 99)
    for piece, row in zip(pieces, sizes, strict=True):
        kernels.part_sizes(left, right, shift, *piece, row)
    assert sizes.sum(axis=0).tolist() == list(map(len, expected))
    starts = np.cumsum([0, *map(len, expected)])
    pairs, ends = np.empty(starts[-1], np.uint64), starts[:-1].copy()
    for piece in pieces:
        kernels.part_pairs(left, right, shift, *piece, ends, pairs)
    assert_array_equal(ends, starts[1:])
    assert_array_equal(pairs, uint64(chain.from_iterable(expected)))
    found, ends = np.full(500, 99, np.int32), starts[:-1].copy()
    in_part = np.concatenate([np.arange(size, dtype=np.int32) for size in np.diff(starts)])
    ranks = np.random.default_rng(0).permutation(len(pairs)).astype(np.int32)
    for piece in pieces:
        kernels.put_numbers(left, right, shift, *piece, in_part, starts, ranks, ends, found)
    assert_array_equal(ends, starts[1:])
    assert found.tolist() == twins.put_numbers(left, right, shift, parts, ranks.tolist())


# ---------------------------------------------------------------- bags


def csr_of(kinds, offsets, starts):
    """Return the bags that the kernel writes as indptr, indices and data."""
    most = max(1, (starts[-1] - starts[0]) * len(kinds))
    indptr, indices, data = np.empty(len(starts), np.int64), np.empty(most, np.int32), np.empty(most)
    total = kernels.bags(kinds, np.array(offsets), np.array(starts), indptr, indices, data)
    return indptr, indices[:total], data[:total]


@pytest.mark.parametrize("starts", [[0, 0, 3, 10, 10, 60], [5, 6, 40], [0, 2000], [0]])
@pytest.mark.parametrize(
    ("kinds", "logarithmic", "size"), [(1, True, 9), (3, False, 9), (1, False, 300), (2, True, 70_000)]
)
def test_bags_and_their_unit_rows_are_those_of_the_twin(starts, kinds, logarithmic, size):
    features = [random_ids(2000, size, seed) for seed in range(kinds)]
    offsets = [size * kind for kind in range(kinds)]
    expected = twins.bags(features, offsets, starts, size * kinds)
    indptr, indices, data = csr_of(features, offsets, starts)
    found = sparse.csr_array((data, indices, indptr), shape=expected.shape)
    assert found.has_canonical_format
    assert_array_equal(found.toarray(), expected)
    if found.nnz:
        weights = np.random.default_rng(0).random(size * kinds)
        kernels.unit_rows(indptr, indices, data, weights, logarithmic)
        found = sparse.csr_array((data, indices, indptr), shape=expected.shape)
        assert_allclose(found.toarray(), twins.unit_rows(expected, weights, logarithmic), rtol=1e-12)


@pytest.mark.parametrize("every", [False, True])
def test_bags_are_split_as_by_the_twin(every):
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(30, 40)) * (rng.random((30, 40)) < 0.05)
    dense[4] = 0
    bags, order = sparse.csr_array(dense), rng.permutation(30)
    indptr, indices = bags.indptr.astype(np.int64), bags.indices.astype(np.int32)
    shared = ((dense != 0).sum(axis=0) > 1) | every
    rows = np.where(shared, np.cumsum(shared) - 1, -1).astype(np.int32)
    squares, own = np.empty(30, np.float32), np.empty(30, np.float32)
    owners, amounts = np.full(40, -1, np.int32), np.zeros(40, np.float32)
    sizes = (dense[order] != 0)[:, rows >= 0].sum(axis=1)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    ids, weights = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    for piece in ((0, 8), (8, 30)):
        kernels.split_bags(
            indptr, indices, bags.data, order, rows, *piece, starts, ids, weights, squares, own, owners, amounts
        )
    of_rows, *expected = twins.split_bags(dense, order, rows)
    found = sparse.csr_array((weights, ids, starts), shape=of_rows.shape).toarray()
    for one, other in zip((found, squares, own, owners, amounts), (of_rows, *expected), strict=True):
        assert_allclose(one, other, rtol=1e-6)


# ---------------------------------------------------------------- what features say of labels


@pytest.mark.parametrize(("documents", "labels"), [(1, 1), (7, 2), (60, 5)])
def test_terms_of_labels_are_those_of_the_twin(documents, labels):
    rng = np.random.default_rng(documents)
    has, y = rng.random((documents, 20)) < 0.3, (rng.random((documents, labels)) < 0.6).astype(float)
    y[~y.any(axis=1)] = 1
    y[0] = 1
    y /= y.sum(axis=1, keepdims=True)
    bags, targets = sparse.csr_array(has), sparse.csc_array(y)
    given = bags.indptr.astype(np.int64), bags.indices, targets.indptr.astype(np.int64), targets.indices, targets.data
    sums, changes = np.full(20, 0.5 * np.log(0.5)), np.zeros(bags.nnz)
    places = np.where(rng.random(documents) < 0.5, bags.indptr[:-1], -1).astype(np.int64)
    space = np.zeros(20), np.empty(21, np.int32)
    for asked in ((np.empty(0, np.int64), np.empty(0)), (places, changes)):
        kernels.label_terms(*given, y.mean(axis=0), 0.5, sums, *asked, *space)
    expected, without = twins.label_terms(has, y, 0.5)
    assert_allclose(sums, expected, rtol=1e-12)
    assert_allclose(changes, (without * (places >= 0)[:, None])[has], rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- labelled lines


@given(st.lists(st.sampled_from(["#", "#a", "##b", "a#", "猫", " ", "\t", "\n", "\r"]), max_size=30))
def test_labels_are_separated_as_by_the_twin(parts):
    text = ("".join(parts) + "\n").encode()
    assert kernels.separate_labels(text, b"#") == twins.separate_labels(text, b"#")
