"""Counts of pairs of names, and of matrices with named rows."""

import datetime as dt

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts


def named(counts):
    """The counts by the tokens of rows and columns."""
    tokens, entries = counts.vocabulary.tokens, counts.to_scipy().tocoo()
    return {(tokens[r], tokens[c]): w for r, c, w in zip(entries.row, entries.col, entries.data, strict=True)}


def test_pairs_are_summed_by_name():
    counts = Counts.from_pairs(["a", "b", "a", "c"], ["x", "x", "x", "a"], [1, 2, 0.5, 3])
    assert named(counts) == {("a", "x"): 1.5, ("b", "x"): 2, ("c", "a"): 3}
    assert counts.vocabulary.tokens == ("a", "x", "b", "c")  # targets first, the more frequent first
    assert counts.vocabulary.counts.tolist() == [3, 3, 1, 1]
    assert counts.shape == (4, 2)
    assert named(Counts.from_pairs(("a", "a"), ("b", "b"))) == {("a", "b"): 2}


def test_symmetric_pairs_count_in_both_directions_and_loops_once():
    counts = Counts.from_pairs(["a", "b", "b"], ["b", "a", "b"], [1, 2, 4], symmetric=True)
    assert named(counts) == {("a", "b"): 3, ("b", "a"): 3, ("b", "b"): 4}
    assert counts.shape == (2, 2)


@pytest.mark.parametrize(
    ("names", "tokens"),
    [
        (["ann", "bob"], {"ann", "bob"}),
        (np.array([0, 33], np.int16), {"0", "33"}),
        (np.array([0, 33.0, 1.5]), {"0.0", "33.0", "1.5"}),
        ([(0, 1), frozenset([2])], {"(0, 1)", "frozenset({2})"}),
        ([dt.date(2024, 2, 29), True], {"2024-02-29", "True"}),
    ],
)
def test_names_of_any_hashable_kind_are_known_by_their_str(names, tokens):
    counts = Counts.from_pairs(names[:-1], names[1:])
    assert set(counts.vocabulary.tokens) == tokens
    assert all(type(token) is str for token in counts.vocabulary.tokens)


def test_a_matrix_with_names_has_a_vocabulary():
    matrix = sparse.csr_array([[0, 2.5], [2.5, 0], [0, 1]])
    counts = Counts.from_scipy(matrix, tokens=np.array([7, 1, 3]))
    assert counts.vocabulary.tokens == ("7", "1", "3")
    assert counts.vocabulary.counts.tolist() == [2, 3, 1]
    assert_array_equal(counts.to_scipy().toarray(), matrix.toarray())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Counts.from_pairs([], []), ValueError, "at least one pair"),
        (lambda: Counts.from_pairs(["a"], ["b", "c"]), ValueError, r"targets .*\(1,\)"),
        (lambda: Counts.from_pairs(["a"], ["b"], [-1]), ValueError, r"weights\[0\]"),
        (lambda: Counts.from_pairs(["a"], [np.nan]), ValueError, "targets .*nan"),
        (lambda: Counts.from_pairs("ab", "cd"), TypeError, "sources .*'ab'"),
        (lambda: Counts.from_pairs(["a", 1], ["b", (1, [2])]), TypeError, "unhashable"),
        (lambda: Counts.from_pairs([1], ["1"]), ValueError, "the names 1 and '1' would both be the token '1'"),
        (lambda: Counts.from_scipy(sparse.eye_array(2), tokens="ab"), TypeError, "tokens must be a sequence of names"),
        (lambda: Counts.from_scipy(sparse.eye_array(2), tokens=["a"]), ValueError, "1 tokens for 2 rows and 2 columns"),
        (lambda: Counts.from_scipy(sparse.eye_array(2), tokens=["a", "a"]), ValueError, "would both be the token 'a'"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
