"""Counts of baskets: against brute force, within a memory limit, and from bad input."""

import itertools
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fastembed import Counts, Vocabulary
from fastembed.corpus import Ledger

RTOL = 1e-13  # one division and two products away from exact
VOCABULARY = Vocabulary(["the", "cat", "dog", "saw"], [2, 1, 1, 1])
lines = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=12), max_size=6)


@pytest.mark.thread_unsafe(reason="sets a constant to one value after another")
@given(lines, st.sampled_from(["flat", "share"]), st.none() | st.integers(1, 7))
def test_counts_of_baskets_agree_with_brute_force(assert_same, corpus, weighting, max_contexts):
    vocabulary = Vocabulary(list("abcdef"), [1] * 6)
    k = min(max_contexts or 6, 6)
    expected = np.zeros((6, k))
    for basket in corpus:
        ids = vocabulary.ids(basket)
        for (p, i), (q, j) in itertools.product(enumerate(ids), repeat=2):
            if p != q and j < k:
                expected[i, j] += 1 if weighting == "flat" else 1 / (len(ids) - 1)
    chosen = {"weighting": weighting, "max_contexts": max_contexts}
    if not expected.any():
        with pytest.raises(ValueError, match=r"the corpus gives no pair: read|no token of the corpus"):
            Counts.from_baskets(corpus, vocabulary, **chosen)
        return
    counts = Counts.from_baskets(corpus, vocabulary, **chosen)
    assert_allclose(counts.to_scipy().toarray(), expected, rtol=RTOL)
    assert counts.nnz == np.count_nonzero(expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastembed.counts.groups.BATCH_PAIRS", 3)
        assert_same(Counts.from_baskets(corpus, vocabulary, **chosen, threads=3), counts)


def test_baskets_are_the_lines_of_a_file(tmp_path, write_lines):
    path = write_lines(tmp_path, [["the", "cat", "x"], ["cat", "dog", "the"]])
    counts = Counts.from_baskets(path, VOCABULARY, weighting="share")
    assert_array_equal(counts.to_scipy().toarray()[:3, :3], [[0, 1.5, 0.5], [1.5, 0, 0.5], [0.5, 0.5, 0]])
    assert counts.ledger == Ledger(path.stat().st_size, 2, 0, 6, 5, {"outside the vocabulary": 1}, unit="basket")


def test_a_memory_limit_changes_no_bit_of_the_counts_of_baskets(zipf, tmp_path, monkeypatch, assert_same):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for weighting in ("flat", "share"):
        whole = Counts.from_baskets(*zipf, weighting=weighting, threads=1)
        small = Counts.from_baskets(*zipf, weighting=weighting, threads=3, memory_limit=10**6)
        assert len(list(tmp_path.iterdir())) == 1
        assert_same(small, whole)
        del small
        assert list(tmp_path.iterdir()) == []


def test_bad_baskets_are_rejected():
    with pytest.raises(ValueError, match="'linear'"):
        Counts.from_baskets([[0, 1]], 2, weighting="linear")
    with pytest.raises(ValueError, match=r"at most 32,768 items, but basket 2 has 32,769"):
        Counts.from_baskets([[0, 1], [0] * 32_769], 2)
