"""Counts from pairs, SciPy matrices and arrays, and their sums."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, Vocabulary

LINE = ["the", "cat", "saw", "the", "dog"]
VOCABULARY = Vocabulary(["the", "cat", "dog", "saw"], [2, 1, 1, 1])


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 9)), min_size=1),
    st.sampled_from([np.int8, np.uint64, np.int64]),
)
def test_pairs_are_summed(triples, dtype):
    rows, columns, weights = map(list, zip(*triples, strict=True))
    expected = np.zeros((5, 7))
    np.add.at(expected, (rows, columns), weights)
    counts = Counts.from_ids(np.array(rows, dtype), np.array(columns, dtype), weights, shape=(5, 7))
    assert_array_equal(counts.to_scipy().toarray(), expected)
    assert counts.nnz == np.count_nonzero(expected)
    assert not counts.directed
    assert counts.max_contexts is None
    assert Counts.from_ids(rows, columns).shape == (max(rows) + 1, max(columns) + 1)
    assert Counts.from_ids(rows, columns).total == len(rows)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, -1], [0, 0]), ValueError, r"inputs must be ids from 0 to 2147483646, but inputs\[1\] is -1"),
        (([0], [[0]]), ValueError, r"outputs must have one dimension and at least one id, got shape \(1, 1\)"),
        (([0], [0, 1]), ValueError, r"outputs must have the shape \(1,\)"),
        (([0], [0], [1, 2]), ValueError, r"weights must have the shape \(1,\)"),
        (([0], [0], [-1.0]), ValueError, r"weights must be non-negative, but weights\[0\] is -1.0"),
        (([0], [0], [math.nan]), ValueError, r"weights must be finite, but weights\[0\] is nan"),
        (([3], [0], None, (3, 1)), ValueError, r"inputs must be ids from 0 to 2, but inputs\[0\] is 3"),
        (([0], [1], None, (3, 1)), ValueError, "outputs must be ids from 0 to 0"),
        (([0], [0], None, (3, 0)), ValueError, r"shape\[1\] must be from 1 to 2147483647, got 0"),
        (([0], [0], None, (3,)), TypeError, r"shape must be a pair \(V_in, V_out\), got \(3,\)"),
        (([], []), (TypeError, ValueError), "inputs must"),
    ],
)
def test_bad_pairs_are_rejected(arguments, error, message):
    with pytest.raises(error, match=message):
        Counts.from_ids(*arguments)


def test_from_scipy_takes_any_format_and_leaves_the_matrix_as_it_was():
    dense = np.array([[0, 2, 0.5], [0, 0, 3]])
    for kind in ("csr", "csc", "coo", "lil", "dok"):
        counts = Counts.from_scipy(sparse.coo_array(dense).asformat(kind))
        assert_array_equal(counts.to_scipy().toarray(), dense)
    unsorted = sparse.csr_matrix((np.array([1.0, 0, 2, 3]), np.array([2, 1, 0, 2]), np.array([0, 4])), shape=(1, 3))
    counts = Counts.from_scipy(unsorted)
    assert_array_equal(counts.indices, [0, 2])
    assert_array_equal(counts.data, [2, 4])
    assert_array_equal(unsorted.indices, [2, 1, 0, 2])


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (np.eye(2), TypeError, "SciPy sparse array, got ndarray"),
        (sparse.coo_array(np.ones(3)), ValueError, r"got shape \(3,\)"),
        (sparse.csr_array(-np.eye(2)), ValueError, r"counts must be non-negative, but counts\[0\] is -1.0"),
        (sparse.coo_array(([2.0, -1.0], ([0, 0], [0, 0]))), ValueError, r"counts\[1\] is -1.0"),
    ],
)
def test_bad_matrices_are_rejected(matrix, error, message):
    with pytest.raises(error, match=message):
        Counts.from_scipy(matrix)


def test_the_tokens_of_a_sum_are_those_of_either():
    named = Counts.from_baskets([["the", "cat"]], VOCABULARY)
    pairs = Counts.from_ids([0], [1], shape=(4, 4))
    assert (named + pairs).vocabulary is (pairs + named).vocabulary is VOCABULARY
    assert (named + pairs).baskets is (pairs + named).baskets is None
    assert (named + named).baskets == "flat"


def test_counts_of_different_meaning_cannot_be_added():
    flat = Counts.from_corpus([LINE], VOCABULARY, weighting="flat")
    with pytest.raises(ValueError, match="counts of different windows"):
        flat + Counts.from_corpus([LINE], VOCABULARY)
    with pytest.raises(ValueError, match=r"counts of different shape: \(4, 4\) and \(1, 1\)"):
        flat + Counts.from_ids([0], [0])
    baskets = [Counts.from_baskets([LINE], VOCABULARY, weighting=weighting) for weighting in ("flat", "share")]
    with pytest.raises(ValueError, match="counts of baskets with different weightings, 'flat' and 'share'"):
        baskets[0] + baskets[1]
    other = Vocabulary(VOCABULARY.tokens, [9, 1, 1, 1])
    with pytest.raises(ValueError, match="the same vocabulary"):
        Counts.from_corpus([LINE], VOCABULARY, sample=0.1) + Counts.from_corpus([LINE], other, sample=0.1)
    renamed = Vocabulary(["a", "b", "c", "d"], [2, 1, 1, 1])
    with pytest.raises(ValueError, match="counts of different vocabularies"):
        flat + Counts.from_corpus([["a", "b"]], renamed, weighting="flat")
    with pytest.raises(TypeError):
        flat + 1
    assert_array_equal((Counts.from_ids([0], [1]) + Counts.from_ids([0], [1])).data, [2])


def test_sums_that_are_not_exact_are_rejected():
    corpus = [["a"] * 41] * 40  # 40 pairs at the distance 1 alone are a multiple of lcm(1 ... 40) above 2^53
    with pytest.raises(ValueError, match="too large to be exact"):
        Counts.from_corpus(corpus, Vocabulary(["a"], [1640]), window=40, weighting="harmonic")
    one = Counts.from_corpus([["a", "a"]], Vocabulary(["a"], [2]), window=1, weighting="flat")
    one = Counts(np.array([2.0**53]), one.indices, one.indptr, one.shape, windows=one.windows)
    with pytest.raises(ValueError, match="too large to be exact"):
        one + one


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": np.ones(2, np.float32)}, TypeError, "data must be an array of float64, got float32"),
        ({"indices": np.array([0, 2], np.int32)}, ValueError, r"counts.indices must be ids from 0 to 1, but .*\[1\]"),
        ({"indptr": np.array([0, 2, 2]), "indices": np.array([1, 0], np.int32)}, ValueError, "whose columns ascend"),
        ({"data": np.array([1.0, 0])}, ValueError, "counts must be positive"),
        ({"indptr": np.array([1, 1, 2])}, ValueError, "indptr must begin with 0, got 1"),
        ({"data": np.ones(3)}, ValueError, r"those of a CSR matrix \(2, 2\), got the shapes \(3,\), \(2,\) and \(3,\)"),
    ],
)
def test_arrays_of_no_matrix_are_rejected(change, error, message):
    arrays = {"data": np.ones(2), "indices": np.zeros(2, np.int32), "indptr": np.array([0, 1, 2]), "shape": (2, 2)}
    with pytest.raises(error, match=message):
        Counts(**(arrays | change))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "float16", "float32", "longdouble"])
def test_equal_pairs_are_summed_in_double_whatever_their_dtype(dtype):
    weight = 1 if dtype == "bool" else 5
    weights = np.full(3000, weight, dtype)
    pairs = np.zeros(3000, int), np.ones(3000, int)
    assert Counts.from_ids(*pairs, weights).total == 3000 * weight
    assert Counts.from_pairs(["a"] * 3000, ["b"] * 3000, weights).total == 3000 * weight
    if dtype != "float16":  # which SciPy does not have
        assert Counts.from_scipy(sparse.coo_array((weights, pairs), shape=(2, 2))).total == 3000 * weight
        rows = sparse.csr_array((weights, pairs[1], np.array([0, 3000])), shape=(1, 2))
        assert Counts.from_scipy(rows).total == 3000 * weight
        assert Counts.from_scipy(rows.T.tocsc()).total == 3000 * weight


@pytest.mark.parametrize("weights", [[1e308, 1e308], np.array([1e308, 1e308], np.longdouble)])
def test_sums_beyond_double_are_rejected(weights):
    with pytest.raises(ValueError, match=r"counts must be finite, but .*counts\[0\] is inf"):
        Counts.from_ids([0, 0], [1, 1], weights)
    one = Counts.from_ids([0], [1], weights[:1])
    with pytest.raises(ValueError, match=r"the sums of counts must be finite, but .* is inf"):
        one + one


def test_the_arrays_of_counts_are_read_only_and_those_of_the_caller_are_not_shared():
    """A wrong index would let SciPy read memory that is not its own."""
    matrix = sparse.csr_array(np.array([[0.0, 2], [3, 4]]))
    given = matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64)
    both = Counts.from_scipy(matrix), Counts(*given, shape=(2, 2))
    for counts in (*both, Counts.from_corpus([LINE], VOCABULARY, sample=0.1)):
        arrays = counts.data, counts.indices, counts.indptr, counts.to_scipy().data, counts.to_scipy().indices
        for array in (*arrays, *([] if counts.keep is None else [counts.keep])):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    for array in (matrix.indices, matrix.indptr, *given[1:]):
        array[:] = 1 << 30
    for counts in both:
        assert counts.to_scipy().toarray().tolist() == [[0, 2], [3, 4]]
    assert matrix.data.flags.writeable
