"""Counts from SciPy matrices, and their sums."""

import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, Vocabulary

LINE = ["the", "cat", "saw", "the", "dog"]
VOCABULARY = Vocabulary(["the", "cat", "dog", "saw"], [2, 1, 1, 1])


def single(count=1.0, *, shape=(2, 2)):
    """Counts of one pair."""
    return Counts.from_scipy(sparse.coo_array(([count], ([0], [1])), shape=shape))


def test_from_scipy_takes_any_format_and_leaves_the_matrix_as_it_was():
    dense = np.array([[0, 2, 0.5], [0, 0, 3]])
    for kind in ("csr", "csc", "coo", "lil", "dok"):
        counts = Counts.from_scipy(sparse.coo_array(dense).asformat(kind))
        assert_array_equal(counts.to_scipy().toarray(), dense)
        assert (counts.nnz, counts.total, counts.directed) == (3, 5.5, False)
    unsorted = sparse.csr_matrix((np.array([1.0, 0, 2, 3]), np.array([2, 1, 0, 2]), np.array([0, 4])), shape=(1, 3))
    assert_array_equal(Counts.from_scipy(unsorted).to_scipy().indices, [0, 2])
    assert_array_equal(Counts.from_scipy(unsorted).to_scipy().data, [2, 4])
    assert_array_equal(unsorted.indices, [2, 1, 0, 2])


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (np.eye(2), TypeError, "SciPy sparse array, got ndarray"),
        (sparse.coo_array(np.ones(3)), ValueError, r"got shape \(3,\)"),
        (sparse.csr_array(-np.eye(2)), ValueError, r"counts must be non-negative, but counts\[0\] is -1.0"),
        (sparse.coo_array(([2.0, -1.0], ([0, 0], [0, 0]))), ValueError, r"counts\[1\] is -1.0"),
        (sparse.coo_array(([1], ([0], [2**40]))), ValueError, "columns"),
        (sparse.csr_array([[math.nan]]), ValueError, "nan"),
        (sparse.csr_array([[1j]]), TypeError, "complex"),
    ],
)
def test_bad_matrices_are_rejected(matrix, error, message):
    with pytest.raises(error, match=message):
        Counts.from_scipy(matrix)


def test_the_tokens_of_a_sum_are_those_of_either():
    named, pairs = Counts.from_baskets([["the", "cat"]], VOCABULARY), single(shape=(4, 4))
    assert (named + pairs).vocabulary is (pairs + named).vocabulary is VOCABULARY
    assert (named + pairs).baskets is (pairs + named).baskets is None
    assert (named + named).baskets == "flat"


def test_counts_of_different_meaning_cannot_be_added():
    flat = Counts.from_corpus([LINE], VOCABULARY, weighting="flat")
    baskets = [Counts.from_baskets([LINE], VOCABULARY, weighting=weighting) for weighting in ("flat", "share")]
    other = Vocabulary(VOCABULARY.tokens, [9, 1, 1, 1])
    sampled = [Counts.from_corpus([LINE], vocabulary, sample=0.1) for vocabulary in (VOCABULARY, other)]
    renamed = Counts.from_corpus([["a", "b"]], Vocabulary(["a", "b", "c", "d"], [2, 1, 1, 1]), weighting="flat")
    for one, two, message in (
        (flat, Counts.from_corpus([LINE], VOCABULARY), "different windows"),
        (flat, single(), r"different shape: \(4, 4\) and \(2, 2\)"),
        (*baskets, "'flat' and 'share'"),
        (*sampled, "the same vocabulary"),
        (flat, renamed, "different vocabularies"),
    ):
        with pytest.raises(ValueError, match=message):
            one + two
    with pytest.raises(TypeError):
        flat + 1
    assert (single() + single()).total == 2


def test_sums_that_are_not_exact_are_rejected():
    corpus = [["a"] * 41] * 40  # 40 pairs at the distance 1 alone are a multiple of lcm(1 ... 40) above 2^53
    with pytest.raises(ValueError, match="too large to be exact"):
        Counts.from_corpus(corpus, Vocabulary(["a"], [1640]), window=40, weighting="harmonic")
    one = Counts.from_corpus([["a", "a"]], Vocabulary(["a"], [2]), window=(0, 40), weighting="harmonic")
    with pytest.raises(ValueError, match="too large to be exact"):
        one + one


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "float16", "float32", "longdouble"])
def test_equal_pairs_are_summed_in_double_whatever_their_dtype(dtype):
    weight = 1 if dtype == "bool" else 5
    weights = np.full(3000, weight, dtype)
    pairs = np.zeros(3000, int), np.ones(3000, int)
    assert Counts.from_pairs(["a"] * 3000, ["b"] * 3000, weights).total == 3000 * weight
    if dtype != "float16":  # which SciPy does not have
        assert Counts.from_scipy(sparse.coo_array((weights, pairs), shape=(2, 2))).total == 3000 * weight
        rows = sparse.csr_array((weights, pairs[1], np.array([0, 3000])), shape=(1, 2))
        assert Counts.from_scipy(rows).total == 3000 * weight
        assert Counts.from_scipy(rows.T.tocsc()).total == 3000 * weight


@pytest.mark.parametrize("weights", [[1e308, 1e308], np.array([1e308, 1e308], np.longdouble)])
def test_sums_beyond_double_are_rejected(weights):
    with pytest.raises(ValueError, match=r"counts must be finite, but .*counts\[0\] is inf"):
        Counts.from_scipy(sparse.coo_array((weights, ([0, 0], [1, 1]))))
    with pytest.raises(ValueError, match=r"must be finite, but .* is inf"):
        single(1e308) + single(1e308)


def test_arrays_of_a_caller_are_not_shared():
    """A wrong index would let SciPy read memory that is not its own."""
    matrix = sparse.csr_array(np.array([[0.0, 2], [3, 4]]))
    counts = Counts.from_scipy(matrix)
    for given in (matrix, counts.to_scipy()):
        given.data[:], given.indices[:], given.indptr[:] = 9, 1 << 30, 1 << 30
        assert counts.to_scipy().toarray().tolist() == [[0, 2], [3, 4]]
