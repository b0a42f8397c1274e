"""Counts against brute force, by hand, over any split of the text, and from bad input."""

import errno
import itertools
import json
import math
import mmap
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from threadpoolctl import threadpool_limits

import fastembed.corpus.blocks
import fastembed.counts
import fastembed.counts.baskets
import fastembed.counts.external_sum
from fastembed.corpus import FileCorpus, Ledger
from fastembed.counts import Counts
from fastembed.reference import cooccurrence
from fastembed.vocabulary import Vocabulary

RTOL = 1e-13  # one division and two products away from exact
WEIGHT = {
    "harmonic": lambda d, length: 1 / d,
    "linear": lambda d, length: (length - d + 1) / length,
    "flat": lambda d, length: 1.0,
}
LINE = ["the", "cat", "saw", "the", "dog"]
VOCABULARY = Vocabulary(["the", "cat", "dog", "saw"], [2, 1, 1, 1])

lines = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=12), max_size=6)
options = st.fixed_dictionaries(
    {
        "window": st.integers(1, 6) | st.tuples(st.integers(0, 5), st.integers(1, 5)),
        "weighting": st.sampled_from(sorted(WEIGHT)),
        "sample": st.none() | st.floats(1e-4, 1.0),
        "directed": st.booleans(),
        "max_contexts": st.none() | st.integers(1, 8),
    }
)


def brute_force(corpus, vocabulary, window, weighting, sample, directed, max_contexts):
    """The counts through the NumPy twin."""
    ids = np.array([-1, *(i for line in corpus for i in [*vocabulary.ids(line), -1])])
    left, right = window if isinstance(window, tuple) else (window, window)
    directed = directed and left > 0 and right > 0
    before, after = ([WEIGHT[weighting](d, length) for d in range(1, length + 1)] for length in (left, right))
    k = min(max_contexts or len(vocabulary), len(vocabulary))
    counts = cooccurrence(ids, len(vocabulary), before, after, k, directed)
    if sample is not None:
        share = vocabulary.counts / vocabulary.counts.sum()
        keep = np.minimum(1, np.sqrt(sample / share) + sample / share)
        counts *= keep[:, None] * np.tile(keep[:k], 2 if directed else 1)
    return counts


def assert_same(a, b):
    for name in ("indptr", "indices", "data"):
        assert_array_equal(getattr(a, name), getattr(b, name), strict=True)


def test_by_hand():
    # the cat saw the dog, distances: the-cat 1, 2; the-saw 2, 1; the-the 3; the-dog 4, 1; cat-saw 1;
    # cat-dog 3; saw-dog 2
    counts = Counts.from_corpus([LINE], VOCABULARY, window=3, weighting="harmonic").to_scipy().toarray()
    expected = [[2 / 3, 1.5, 1, 1.5], [1.5, 0, 1 / 3, 1], [1, 1 / 3, 0, 0.5], [1.5, 1, 0.5, 0]]
    assert_allclose(counts, expected, rtol=RTOL)


def test_directions_by_hand():
    counts = Counts.from_corpus([LINE], VOCABULARY, window=2, weighting="linear", directed=True, max_contexts=2)
    # columns: the before, cat before, the after, cat after
    expected = [[0, 0.5, 0, 1], [1, 0, 0.5, 0], [1, 0, 0, 0], [0.5, 1, 1, 0]]
    assert_allclose(counts.to_scipy().toarray(), expected, rtol=RTOL)
    assert counts.directed
    assert counts.max_contexts == 2
    assert counts.shape == (4, 4)


def test_next_item_only():
    counts = Counts.from_corpus([LINE], VOCABULARY, window=(0, 1)).to_scipy()
    ids = VOCABULARY.ids(LINE)
    assert {(r, c): v for r, c, v in zip(*sparse.find(counts), strict=True)} == dict.fromkeys(pairwise(ids), 1.0)


def test_a_window_on_one_side_has_no_empty_half():
    both = [Counts.from_corpus([LINE], VOCABULARY, window=(0, 2), directed=directed) for directed in (True, False)]
    assert both[0].shape == (4, 4)
    assert not both[0].directed
    assert_same(*both)
    assert (both[0] + both[1]).total == 2 * both[0].total


def test_unknown_tokens_go_before_the_windows_are_laid_and_lines_are_boundaries():
    counts = Counts.from_corpus([["the", "x", "x", "cat"], ["dog"], [], ["saw", "x"]], VOCABULARY, window=1)
    assert counts.nnz == 2
    assert counts.total == 2.0
    assert counts.ledger == Ledger(0, 4, 1, 7, 4, {"outside the vocabulary": 3})


@given(lines, options)
@settings(max_examples=300)
def test_against_brute_force(corpus, chosen):
    if not any(corpus):
        return
    vocabulary = Vocabulary.from_corpus(corpus, min_count=1, max_size=6)
    expected = brute_force(corpus, vocabulary, **chosen)
    if not expected.any():
        with pytest.raises(ValueError, match="gives no pair"):
            Counts.from_corpus(corpus, vocabulary, **chosen)
        return
    counts = Counts.from_corpus(corpus, vocabulary, **chosen)
    matrix = counts.to_scipy()
    assert matrix.dtype == np.float64
    assert_allclose(matrix.toarray(), expected, rtol=RTOL)
    assert_allclose(counts.total, expected.sum(), rtol=RTOL)
    assert counts.shape == expected.shape
    assert counts.nnz == np.count_nonzero(expected)
    assert counts.indices.dtype == np.int32
    assert counts.indptr.dtype == np.int64
    assert sparse.csr_array((counts.data, counts.indices, counts.indptr), shape=counts.shape).has_canonical_format
    assert counts.ledger.tokens_read == counts.ledger.tokens_used + sum(counts.ledger.dropped.values())


@given(lines, lines, options)
def test_sum_of_two_corpora_is_exact(one, two, chosen):
    vocabulary = Vocabulary(list("abcdefg"), [70, 60, 50, 40, 30, 20, 10])
    try:
        parts = [Counts.from_corpus(corpus, vocabulary, **chosen) for corpus in (one, two)]
    except ValueError:  # one of the two has no pair
        return
    both = Counts.from_corpus(one + two, vocabulary, **chosen)
    added = parts[0] + parts[1]
    assert_same(added, both)
    assert_array_equal(added.to_scipy().data, both.to_scipy().data)
    assert added.ledger == both.ledger


@pytest.fixture(scope="module")
def zipf():
    """Lines of all lengths, 30,000 tokens, and a vocabulary that needs both levels of the bitmap."""
    rng = np.random.default_rng(3)
    words = np.minimum(rng.zipf(1.2, 30_000), 5_000).astype(str).tolist()
    cuts = [0, *sorted(rng.choice(30_000, 500, replace=False).tolist()), 30_000]
    corpus = [words[a:b] for a, b in pairwise(cuts)]
    return corpus, Vocabulary.from_corpus(corpus, min_count=1)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("max_contexts", [None, 700])
def test_a_large_vocabulary_against_brute_force(zipf, directed, max_contexts):
    chosen = {"window": 5, "weighting": "flat", "sample": None, "directed": directed, "max_contexts": max_contexts}
    assert_array_equal(
        Counts.from_corpus(*zipf, **chosen).to_scipy().toarray(), brute_force(*zipf, **chosen), strict=True
    )


def test_neither_threads_nor_ranges_of_rows_change_a_bit(zipf, set_constant):
    chosen = {"window": 8, "weighting": "harmonic", "sample": 1e-3, "directed": True}
    whole = Counts.from_corpus(*zipf, **chosen, threads=1)
    for pairs, threads in ((1, 1), (1000, 3), (20_000, 2)):
        set_constant(fastembed.counts.counts, "PART_PAIRS", pairs)
        assert_same(Counts.from_corpus(*zipf, **chosen, threads=threads), whole)


def test_order_of_lines_changes_no_bit(zipf):
    corpus, vocabulary = zipf
    chosen = {"window": 8, "weighting": "harmonic"}
    assert_same(
        Counts.from_corpus(corpus[::-1], vocabulary, **chosen), Counts.from_corpus(corpus, vocabulary, **chosen)
    )


def test_long_window_over_short_lines():
    counts = Counts.from_corpus([["the", "cat"]], VOCABULARY, window=40, weighting="harmonic")
    assert counts.total == 2.0


def test_sums_that_are_not_exact_are_refused():
    corpus = [["a"] * 41] * 40  # 40 pairs at the distance 1 alone are a multiple of lcm(1 ... 40) above 2^53
    with pytest.raises(ValueError, match="too large to be exact"):
        Counts.from_corpus(corpus, Vocabulary(["a"], [1640]), window=40, weighting="harmonic")
    one = Counts.from_corpus([["a", "a"]], Vocabulary(["a"], [2]), window=1, weighting="flat")
    one.data[:] = 2**53
    with pytest.raises(ValueError, match="too large to be exact"):
        one + one


@pytest.mark.slow
def test_no_counter_stops_at_two_to_the_24():
    corpus = [["a"] * 5_000] * 3_400
    counts = Counts.from_corpus(corpus, Vocabulary(["a"], [17_000_000]), window=(0, 1))
    assert counts.total == 3_400 * 4_999 > 2**24


def test_from_a_file(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"the cat saw\nthe dog\n")
    seen = []
    counts = Counts.from_corpus(path, VOCABULARY, progress=lambda *now: seen.append(now))
    assert_same(counts, Counts.from_corpus([["the", "cat", "saw"], ["the", "dog"]], VOCABULARY))
    assert seen == sorted(seen)
    assert seen[-1] == (40, 40)  # read and counted


# ------------------------------------------------------------------------------------------------ pairs, SciPy, files


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 9)), min_size=1),
    st.sampled_from([np.int8, np.uint64, np.int64]),
)
def test_from_pairs(triples, dtype):
    rows, columns, weights = map(list, zip(*triples, strict=True))
    expected = np.zeros((5, 7))
    np.add.at(expected, (rows, columns), weights)
    counts = Counts.from_pairs(np.array(rows, dtype), np.array(columns, dtype), weights, shape=(5, 7))
    assert_array_equal(counts.to_scipy().toarray(), expected)
    assert counts.nnz == np.count_nonzero(expected)
    assert not counts.directed
    assert counts.max_contexts is None
    assert Counts.from_pairs(rows, columns).shape == (max(rows) + 1, max(columns) + 1)
    assert Counts.from_pairs(rows, columns).total == len(rows)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, -1], [0, 0]), ValueError, r"inputs must be ids from 0 to 2147483646, but inputs\[1\] is -1"),
        (([0.0], [0]), TypeError, "inputs must hold integers, got dtype float64"),
        (([True], [0]), TypeError, "inputs must hold integers, got dtype bool"),
        (([0], [[0]]), ValueError, r"outputs must have one dimension and at least one id, got shape \(1, 1\)"),
        (([0], [0, 1]), ValueError, r"outputs must have the shape \(1,\)"),
        (([0], [0], [1, 2]), ValueError, r"weights must have the shape \(1,\)"),
        (([0], [0], ["1"]), TypeError, "weights must hold real numbers"),
        (([0], [0], [-1.0]), ValueError, r"weights must be non-negative, but weights\[0\] is -1.0"),
        (([0], [0], [math.nan]), ValueError, r"weights must be finite, but weights\[0\] is nan"),
        (([0], [0], [math.inf]), ValueError, r"weights must be finite, but weights\[0\] is inf"),
        (([0, 0], [0, 0], [1, -1]), ValueError, r"non-negative, but weights\[1\] is -1"),
        (([3], [0], None, (3, 1)), ValueError, r"inputs must be ids from 0 to 2, but inputs\[0\] is 3"),
        (([0], [1], None, (3, 1)), ValueError, "outputs must be ids from 0 to 0"),
        (([0], [0], None, (3, 0)), ValueError, r"shape\[1\] must be from 1 to 2147483647, got 0"),
        (([0], [0], None, (3,)), TypeError, r"shape must be a pair \(V_in, V_out\), got \(3,\)"),
        (([0], [0], None, 3), TypeError, "shape must be a pair"),
        (([], []), (TypeError, ValueError), "inputs must"),
    ],
)
def test_bad_pairs(arguments, error, message):
    with pytest.raises(error, match=message):
        Counts.from_pairs(*arguments)


def test_from_scipy_takes_any_format_and_changes_nothing():
    dense = np.array([[0, 2, 0.5], [0, 0, 3]])
    for kind in ("csr", "csc", "coo", "lil", "dok"):
        counts = Counts.from_scipy(sparse.coo_array(dense).asformat(kind))
        assert_array_equal(counts.to_scipy().toarray(), dense)
    unsorted = sparse.csr_matrix((np.array([1.0, 0, 2, 3]), np.array([2, 1, 0, 2]), np.array([0, 4])), shape=(1, 3))
    counts = Counts.from_scipy(unsorted)
    assert_array_equal(counts.indices, [0, 2])
    assert_array_equal(counts.data, [2, 4])
    assert_array_equal(unsorted.indices, [2, 1, 0, 2])


def test_scipy_round_trip_shares_memory():
    matrix = sparse.random_array((20, 30), density=0.2, random_state=1).tocsr()
    matrix.sort_indices()
    counts = Counts.from_scipy(matrix)
    assert np.shares_memory(counts.to_scipy().data, matrix.data)
    assert (counts.to_scipy() != matrix).nnz == 0


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (np.eye(2), TypeError, "SciPy sparse array, got ndarray"),
        (sparse.csr_array(np.eye(2) * 1j), TypeError, "got dtype complex128"),
        (sparse.coo_array(np.ones(3)), ValueError, r"got shape \(3,\)"),
        (sparse.csr_array((0, 3)), ValueError, r"got shape \(0, 3\)"),
        (sparse.csr_array(-np.eye(2)), ValueError, r"counts must be non-negative, but counts\[0\] is -1.0"),
        (sparse.coo_array(([2.0, -1.0], ([0, 0], [0, 0]))), ValueError, r"counts\[1\] is -1.0"),
    ],
)
def test_bad_matrices(matrix, error, message):
    with pytest.raises(error, match=message):
        Counts.from_scipy(matrix)


def test_save_and_load(tmp_path, zipf):
    path = tmp_path / "counts.safetensors"
    for chosen in ({"window": (2, 3), "sample": 1e-3, "directed": True, "max_contexts": 50}, {"weighting": "flat"}):
        counts = Counts.from_corpus(*zipf, **chosen)
        counts.save(path)
        loaded = Counts.load(path)
        assert_same(loaded, counts)
        assert loaded.windows == counts.windows
        assert loaded.ledger == counts.ledger
        assert loaded.vocabulary.tokens == counts.vocabulary.tokens
        assert loaded.vocabulary.ledger == counts.vocabulary.ledger
        assert_array_equal(loaded.vocabulary.counts, counts.vocabulary.counts)
        assert_same(loaded + counts, counts + counts)
        assert_array_equal(loaded.to_scipy().data, counts.to_scipy().data)
        del loaded  # Windows replaces no file that is mapped
    pairs = Counts.from_pairs([0, 4], [9, 1], [0.25, 3], shape=(10, 20))
    pairs.save(path)
    assert_same(Counts.load(path), pairs)
    assert Counts.load(path).shape == (10, 20)
    assert Counts.load(path).vocabulary is None
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_damaged_files(tmp_path):
    from fastembed.formats.tensors import map_tensors, pack_tokens, write_tensors

    path = tmp_path / "counts.safetensors"
    Counts.from_corpus([LINE], VOCABULARY, sample=1e-2).save(path)
    tensors, metadata = map_tensors(path)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}  # Windows replaces no file that is mapped
    for change in (
        {"indices": tensors["indices"] + 5},
        {"indptr": tensors["indptr"][:-1]},
        {"data": -tensors["data"]},
        {"keep": tensors["keep"][:-1]},
        {"keep": -tensors["keep"]},
        {"keep": tensors["keep"] * math.nan},
        {"keep": tensors["keep"] + 1},
        {"tokens.counts": tensors["tokens.counts"][:-1]},
        pack_tokens(list("abcdefg")) | {"tokens.counts": np.arange(7)},
        {"data": tensors["data"].astype(np.float32)},
        {"indices": tensors["indices"].astype(float)},
        {"indptr": tensors["indptr"].astype(float)},
    ):
        write_tensors(path, tensors | change, metadata)
        with pytest.raises(ValueError, match=r"counts\.safetensors' does not hold counts that fit together"):
            Counts.load(path)
    about = json.loads(metadata["settings"])
    for change in (
        {"shape": None},
        {"shape": [4, 5]},
        {"shape": ["4", 4]},
        {"windows": None},
        {"windows": about["windows"] | {"directed": True}},
        {"windows": about["windows"] | {"sample": None}},
        {"ledger": {"bytes": "many"}},
        {"ledger": {"dropped": 3}},
        {"ledger": {"dropped": {"rare": 0.5}}},
        {"ledger": 1},
    ):
        write_tensors(path, tensors, metadata | {"settings": json.dumps(about | change)})
        with pytest.raises(ValueError, match=r"counts\.safetensors' does not hold counts that fit together"):
            Counts.load(path)
    write_tensors(path, tensors, {})
    with pytest.raises(ValueError, match="no format of fastembed"):
        Counts.load(path)
    with pytest.raises(OSError, match="missing"):
        Counts.load(tmp_path / "missing")


@pytest.fixture(scope="module")
def saved_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "counts"
    Counts.from_corpus([LINE], VOCABULARY, sample=1e-2, directed=True).save(path)
    return path.parent, path.read_bytes()


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4), st.none() | st.integers(0, 10_000))
@settings(max_examples=300)
def test_any_damage_is_a_value_error_or_harmless(saved_bytes, changes, length):
    folder, data = saved_bytes
    path = folder / f"damaged-{threading.get_ident()}"
    damaged = bytearray(data)
    for place, byte in changes:
        damaged[place % len(data)] = byte
    path.write_bytes(damaged[:length])
    try:
        counts = Counts.load(path)
        both = counts + counts  # which may be too large to be exact
    except ValueError:
        return
    assert counts.to_scipy().shape == counts.shape
    assert repr(both)
    assert counts.ledger is None or counts.ledger.summary()


def test_the_tokens_of_a_sum_are_those_of_either():
    named = Counts.from_baskets([["the", "cat"]], VOCABULARY)
    pairs = Counts.from_pairs([0], [1], shape=(4, 4))
    assert (named + pairs).vocabulary is (pairs + named).vocabulary is VOCABULARY


def test_sums_need_the_same_meaning():
    flat = Counts.from_corpus([LINE], VOCABULARY, weighting="flat")
    with pytest.raises(ValueError, match="counts of different windows"):
        flat + Counts.from_corpus([LINE], VOCABULARY)
    with pytest.raises(ValueError, match=r"counts of different shape: \(4, 4\) and \(1, 1\)"):
        flat + Counts.from_pairs([0], [0])
    other = Vocabulary(VOCABULARY.tokens, [9, 1, 1, 1])
    with pytest.raises(ValueError, match="the same vocabulary"):
        Counts.from_corpus([LINE], VOCABULARY, sample=0.1) + Counts.from_corpus([LINE], other, sample=0.1)
    renamed = Vocabulary(["a", "b", "c", "d"], [2, 1, 1, 1])
    with pytest.raises(ValueError, match="counts of different vocabularies"):
        flat + Counts.from_corpus([["a", "b"]], renamed, weighting="flat")
    with pytest.raises(TypeError):
        flat + 1
    assert_array_equal((Counts.from_pairs([0], [1]) + Counts.from_pairs([0], [1])).data, [2])


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"window": 0}, ValueError, "window must be at least 1 on one side, got 0"),
        ({"window": -1}, ValueError, "window must be from 0 to 65536, got -1"),
        ({"window": (1, 2, 3)}, ValueError, r"got \(1, 2, 3\)"),
        ({"window": 2.5}, TypeError, "window must be an integer, got 2.5"),
        ({"window": 41, "weighting": "harmonic"}, ValueError, "window must be at most 40"),
        ({"weighting": "cubic"}, ValueError, "weighting must be one of 'harmonic', 'linear', 'flat', got 'cubic'"),
        ({"sample": 0}, ValueError, "sample must be finite and above 0, got 0"),
        ({"sample": math.nan}, ValueError, "got nan"),
        ({"sample": "1e-3"}, TypeError, "sample must be a number, got '1e-3'"),
        ({"directed": 1}, TypeError, "directed must be True or False, got 1"),
        ({"max_contexts": 0}, ValueError, "max_contexts must be at least 1, got 0"),
        ({"threads": 0}, ValueError, "threads must be at least 1, got 0"),
    ],
)
def test_bad_options(option, error, message):
    with pytest.raises(error, match=message):
        Counts.from_corpus([LINE], VOCABULARY, **option)


def test_bad_corpora():
    with pytest.raises(ValueError, match="no token of the corpus is in the vocabulary: read 2 tokens in 1 lines"):
        Counts.from_corpus([["x", "y"]], VOCABULARY)
    with pytest.raises(ValueError, match="gives no pair: read 2 tokens in 2 lines"):
        Counts.from_corpus([["the"], ["cat"]], VOCABULARY)
    with pytest.raises(TypeError, match="vocabulary must be a Vocabulary or a number of ids, got list"):
        Counts.from_corpus([LINE], ["the"])
    with pytest.raises(ValueError, match="order of falling counts"):
        Counts.from_corpus([LINE], Vocabulary(["cat", "the"], [1, 2]), max_contexts=1)


# ------------------------------------------------------------------------------------------------ files, ids, memory


def as_file(folder, corpus, name="text"):
    path = folder / name
    path.write_text("".join(" ".join(line) + "\n" for line in corpus), encoding="utf-8")
    return path


@pytest.mark.thread_unsafe(reason="sets a constant to one value after another")
@given(lines, options, st.integers(1, 3), st.integers(1, 40))
def test_a_file_gives_what_the_same_lists_give(tmp_path_factory, corpus, chosen, threads, block):
    vocabulary = Vocabulary(list("abcdef"), [70, 60, 50, 40, 30, 20])
    path = as_file(tmp_path_factory.mktemp("files"), corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastembed.corpus.blocks, "BLOCK", block)
        try:
            expected = Counts.from_corpus(corpus, vocabulary, **chosen)
        except ValueError as error:
            with pytest.raises(ValueError, match=str(error).partition(":")[0]):
                Counts.from_corpus(path, vocabulary, **chosen, threads=threads)
            return
        counts = Counts.from_corpus(path, vocabulary, **chosen, threads=threads)
    assert_same(counts, expected)
    expected.ledger.bytes = path.stat().st_size
    assert counts.ledger == expected.ledger


def test_tokenizer_and_lower_case(tmp_path):
    path = as_file(tmp_path, [["The-cat", "SAW"], ["the-DOG"]])
    corpus = FileCorpus(path, lowercase=True, tokenizer=re.compile("[a-z]+").findall)
    counts = Counts.from_corpus(corpus, VOCABULARY)
    assert_same(counts, Counts.from_corpus([["the", "cat", "saw"], ["the", "dog"]], VOCABULARY))
    lower = Vocabulary.from_corpus(FileCorpus(path, lowercase=True), min_count=1)
    assert lower.tokens == ("saw", "the-cat", "the-dog")


@given(lines, options)
def test_ids_without_a_vocabulary(corpus, chosen):
    tokens = list("abcdefg")
    ids = [[tokens.index(token) for token in line] for line in corpus]
    occurrences = np.bincount([i for line in ids for i in line], minlength=7)
    try:
        expected = Counts.from_corpus(corpus, Vocabulary(tokens, occurrences), **chosen)
    except ValueError as error:
        with pytest.raises(ValueError, match=f"{str(error)[:20]}|gives no pair|no token"):
            Counts.from_corpus(ids, 7, **chosen)
        return
    counts = Counts.from_corpus([np.array(line, np.int64) for line in ids], 7, **chosen)
    assert_same(counts, expected)
    assert_array_equal(counts.to_scipy().data, expected.to_scipy().data)


def test_ids_must_be_ids():
    with pytest.raises(ValueError, match=r"item 1 of the corpus must be ids from 0 to 4, but .*\[0\] is 5"):
        Counts.from_corpus([[0, 1], [5]], 5)
    with pytest.raises(TypeError, match="consists of ids, so it cannot be files"):
        Counts.from_corpus(__file__, 5)
    for number, error in ((0, ValueError), (True, TypeError), (2.0, TypeError)):
        with pytest.raises(error, match="vocabulary must be"):
            Counts.from_corpus([[0, 1]], number)


@pytest.mark.parametrize(("tokens", "size"), [(50, 1), (50, 7), (30_000, 1000), (30_000, 29_999), (30_000, 40_000)])
@pytest.mark.parametrize("chosen", [{"window": 3}, {"window": (0, 2), "directed": True}, {"window": (7, 1)}])
def test_texts_cut_anywhere_change_no_bit(zipf, set_constant, tokens, size, chosen):
    corpus, vocabulary = zipf
    line = [token for line in corpus for token in line][:tokens]
    corpora = ([line], [line[: tokens // 3], [], line[tokens // 3 :]])
    whole = [Counts.from_corpus(corpus, vocabulary, **chosen) for corpus in corpora]
    set_constant(fastembed.counts.external_sum, "LONGEST_TEXT", size)
    for corpus, expected in zip(corpora, whole, strict=True):
        assert_same(Counts.from_corpus(corpus, vocabulary, **chosen), expected)


@pytest.fixture(scope="module")
def long_text(tmp_path_factory):
    """A file of 300,000 tokens in one line, and its vocabulary."""
    words = np.random.default_rng(5).zipf(1.3, 300_000).clip(max=20_000).astype(str)
    path = as_file(tmp_path_factory.mktemp("long"), [words])
    return path, Vocabulary.from_corpus(path, min_count=1)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_memory_limit_changes_no_bit_and_leaves_no_file(long_text, threads, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = []
    monkeypatch.setattr(
        fastembed.counts.external_sum,
        "_spill",
        lambda *args, real=fastembed.counts.external_sum._spill: made.append(1) or real(*args),
    )
    whole = Counts.from_corpus(*long_text, directed=True)
    assert not made
    small = Counts.from_corpus(*long_text, directed=True, memory_limit=1 << 20, threads=threads)
    assert made
    assert isinstance(small.data.base, np.memmap)
    assert_same(small, whole)
    assert_array_equal(small.to_scipy().data, whole.to_scipy().data)
    del small  # the files have names on Windows, for as long as they are mapped
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(long_text, monkeypatch):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: full.open("wb", buffering=buffering))
    with pytest.raises(OSError, match=r"cannot keep counts in a file in .*No space left.*memory_limit") as caught:
        Counts.from_corpus(*long_text, memory_limit=1 << 20)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
def test_threads_of_blas_change_no_bit_of_the_total():
    for seed in range(10):
        counts = Counts.from_scipy(
            sparse.random_array((30_000, 300), density=0.01, random_state=np.random.default_rng(seed))
        )
        totals = set()
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="blas"):
                totals.add(counts.total)
        assert len(totals) == 1


def test_many_runs_leave_few_files_open(long_text, monkeypatch):
    monkeypatch.setattr(fastembed.counts.external_sum, "LONGEST_TEXT", 2_000)
    sizes = []
    monkeypatch.setattr(
        fastembed.counts.external_sum.Sum,
        "add",
        lambda self, parts, real=fastembed.counts.external_sum.Sum.add: (
            real(self, parts),
            sizes.append(len(self.spilled)),
        ),
    )
    small = Counts.from_corpus(*long_text, memory_limit=1 << 20)
    assert max(sizes) == fastembed.counts.external_sum.MOST_FILES - 1
    assert sizes[-1] < len(sizes) / 2
    assert_same(small, Counts.from_corpus(*long_text))


@pytest.mark.parametrize(("limit", "error"), [(1000, ValueError), (1.5, TypeError), (True, TypeError)])
def test_bad_memory_limits(limit, error):
    with pytest.raises(error, match="memory_limit must be"):
        Counts.from_corpus([LINE], VOCABULARY, memory_limit=limit)


@pytest.mark.thread_unsafe(reason="must be done within a time")
@pytest.mark.skipif(os.name == "nt", reason="signals are sent the POSIX way")
def test_ctrl_c_stops_within_a_second_and_says_what_was_read(tmp_path):
    program = """
import sys, signal, tempfile
from fastembed.counts import Counts
from fastembed.vocabulary import Vocabulary
def progress(done, total):
    print("working", flush=True)
try:
    Counts.from_corpus(sys.argv[1], Vocabulary(list("abcdefgh"), [9] * 8), window=2000, progress=progress)
except KeyboardInterrupt as interrupt:
    print(*interrupt.__notes__)
"""
    path = as_file(tmp_path, [list("abcdefgh") * 100] * 20_000)
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = os.environ | {"TMPDIR": str(folder)}
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment, cwd=tmp_path) as process:
        assert process.stdout.readline() == "working\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        output = process.stdout.read()
        assert time.monotonic() - start < 10  # a second, and the patience of a busy machine
    assert re.search(r"interrupted after [\d,]+ tokens in [\d,]+ lines\n$", output)
    assert list(folder.iterdir()) == []


# ------------------------------------------------------------------------------------------------ baskets


@pytest.mark.thread_unsafe(reason="sets a constant to one value after another")
@given(lines, st.sampled_from(["flat", "share"]), st.none() | st.integers(1, 7))
def test_baskets_against_brute_force(corpus, weighting, max_contexts):
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
        with pytest.raises(ValueError, match=r"the baskets give no pair: read|no token of the corpus"):
            Counts.from_baskets(corpus, vocabulary, **chosen)
        return
    counts = Counts.from_baskets(corpus, vocabulary, **chosen)
    assert_allclose(counts.to_scipy().toarray(), expected, rtol=RTOL)
    assert counts.nnz == np.count_nonzero(expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastembed.counts.baskets, "PART_PAIRS", 3)
        assert_same(Counts.from_baskets(corpus, vocabulary, **chosen, threads=3), counts)


def test_baskets_of_files(tmp_path):
    path = as_file(tmp_path, [["the", "cat", "x"], ["cat", "dog", "the"]])
    counts = Counts.from_baskets(path, VOCABULARY, weighting="share")
    assert_array_equal(counts.to_scipy().toarray()[:3, :3], [[0, 1.5, 0.5], [1.5, 0, 0.5], [0.5, 0.5, 0]])
    assert counts.ledger == Ledger(path.stat().st_size, 2, 0, 6, 5, {"outside the vocabulary": 1})


def test_a_memory_limit_changes_no_bit_of_baskets(zipf, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    corpus, vocabulary = zipf
    for weighting in ("flat", "share"):
        whole = Counts.from_baskets(corpus, vocabulary, weighting=weighting, threads=1)
        small = Counts.from_baskets(corpus, vocabulary, weighting=weighting, threads=3, memory_limit=10**6)
        assert isinstance(small.data.base, np.memmap)
        assert_same(small, whole)
        del small  # the files have names on Windows, for as long as they are mapped
    assert list(tmp_path.iterdir()) == []


def test_bad_baskets():
    with pytest.raises(ValueError, match="weighting must be 'flat' or 'share', got 'linear'"):
        Counts.from_baskets([[0, 1]], 2, weighting="linear")
    with pytest.raises(ValueError, match=r"at most 32,768 items, .*, but basket 2 has 32,769"):
        Counts.from_baskets([[0, 1], [0] * 32_769], 2)


def test_loaded_counts_are_mapped(tmp_path):
    path = tmp_path / "counts.safetensors"
    counts = Counts.from_corpus([LINE], VOCABULARY)
    counts.save(path)
    loaded = Counts.load(path)
    for name in ("indices", "data"):
        array = getattr(loaded, name)
        while isinstance(array, np.ndarray):
            array = array.base
        assert isinstance(array, mmap.mmap)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that is mapped")
def test_counts_may_be_saved_over_those_that_are_mapped(tmp_path):
    path = tmp_path / "counts.safetensors"
    counts = Counts.from_corpus([LINE], VOCABULARY)
    counts.save(path)
    loaded = Counts.load(path)
    (counts + counts).save(path)
    assert_same(loaded, counts)
