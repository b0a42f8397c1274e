"""Counts of windows: against the reference, by hand, of files, lists and ids, and from bad input."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fastembed import Counts, SkipGram, Vocabulary
from fastembed.corpus import Ledger
from twins import cooccurrence

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


def test_directed_counts_agree_with_those_by_hand():
    counts = Counts.from_corpus([LINE], VOCABULARY, window=2, weighting="linear", directed=True, max_contexts=2)
    # columns: the before, cat before, the after, cat after
    expected = [[0, 0.5, 0, 1], [1, 0, 0.5, 0], [1, 0, 0, 0], [0.5, 1, 1, 0]]
    assert_allclose(counts.to_scipy().toarray(), expected, rtol=RTOL)
    assert counts.directed
    assert counts.shape == (4, 4)


def test_unknown_tokens_are_dropped_before_windows_are_formed_and_lines_are_boundaries():
    counts = Counts.from_corpus([["the", "x", "x", "cat"], ["dog"], [], ["saw", "x"]], VOCABULARY, window=1)
    assert counts.nnz == 2
    assert counts.total == 2.0
    assert counts.ledger == Ledger(0, 4, 1, 7, 4, {"outside the vocabulary": 3})


@given(lines, options)
@settings(max_examples=300)
def test_counts_agree_with_the_reference(corpus, chosen):
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
    assert sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=counts.shape).has_canonical_format
    assert counts.ledger.tokens_read == counts.ledger.tokens_used + sum(counts.ledger.dropped.values())


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("max_contexts", [None, 700])
def test_counts_of_a_large_vocabulary_agree_with_the_reference(zipf, directed, max_contexts):
    chosen = {"window": 5, "weighting": "flat", "sample": None, "directed": directed, "max_contexts": max_contexts}
    assert_array_equal(
        Counts.from_corpus(*zipf, **chosen).to_scipy().toarray(), brute_force(*zipf, **chosen), strict=True
    )


@given(lines, lines, options)
def test_the_sum_of_two_counts_is_exactly_the_count_of_both_corpora(assert_same, one, two, chosen):
    vocabulary = Vocabulary(list("abcdefg"), [70, 60, 50, 40, 30, 20, 10])
    try:
        parts = [Counts.from_corpus(corpus, vocabulary, **chosen) for corpus in (one, two)]
    except ValueError:  # one of the two has no pair
        return
    both = Counts.from_corpus(one + two, vocabulary, **chosen)
    added = parts[0] + parts[1]
    assert_same(added, both)
    assert added.ledger == both.ledger


def test_neither_threads_nor_batches_of_rows_change_a_bit(zipf, set_constant, assert_same):
    chosen = {"window": 8, "weighting": "harmonic", "sample": 1e-3, "directed": True}
    whole = Counts.from_corpus(*zipf, **chosen, threads=1)
    for pairs, threads in ((1, 1), (1000, 3), (20_000, 2)):
        set_constant("fastembed.counts.groups.BATCH_PAIRS", pairs)
        assert_same(Counts.from_corpus(*zipf, **chosen, threads=threads), whole)


@pytest.mark.parametrize(("tokens", "size"), [(50, 1), (50, 7), (30_000, 1000), (30_000, 29_999), (30_000, 40_000)])
@pytest.mark.parametrize("chosen", [{"window": 3}, {"window": (0, 2), "directed": True}, {"window": (7, 1)}])
def test_passages_cut_anywhere_change_no_bit(zipf, set_constant, tokens, size, chosen, assert_same):
    corpus, vocabulary = zipf
    line = [token for line in corpus for token in line][:tokens]
    corpora = ([line], [line[: tokens // 3], [], line[tokens // 3 :]])
    whole = [Counts.from_corpus(corpus, vocabulary, **chosen) for corpus in corpora]
    set_constant("fastembed.counts.windows.PASSAGE_IDS", size)
    for corpus, expected in zip(corpora, whole, strict=True):
        assert_same(Counts.from_corpus(corpus, vocabulary, **chosen), expected)


@pytest.mark.slow
def test_no_count_stops_at_two_to_the_24():
    corpus = [["a"] * 5_000] * 3_400
    counts = Counts.from_corpus(corpus, Vocabulary(["a"], [17_000_000]), window=(0, 1))
    assert counts.total == 3_400 * 4_999 > 2**24


@pytest.mark.thread_unsafe(reason="sets a constant to one value after another")
@given(lines, options, st.integers(1, 3), st.integers(1, 40))
def test_a_file_gives_what_the_same_lists_give(
    assert_same, write_lines, tmp_path_factory, corpus, chosen, threads, block
):
    vocabulary = Vocabulary(list("abcdef"), [70, 60, 50, 40, 30, 20])
    path = write_lines(tmp_path_factory.mktemp("files"), corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastembed.corpus.chunks.CHUNK_BYTES", block)
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


@given(lines, options)
def test_ids_need_no_vocabulary(assert_same, corpus, chosen):
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


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"window": 0}, ValueError, "window .*got 0"),
        ({"window": "0,1"}, TypeError, "window.*got '0,1'"),
        ({"window": (1, 2, 3)}, ValueError, r"window.*got \(1, 2, 3\)"),
        ({"window": 41, "weighting": "harmonic"}, ValueError, "window must be at most 40"),
        ({"weighting": "cubic"}, ValueError, "weighting.*cubic"),
        ({"sample": 0}, ValueError, "sample.*got 0"),
        ({"directed": 1}, TypeError, "directed.*got 1"),
        ({"max_contexts": 0}, ValueError, "max_contexts.*got 0"),
        ({"lines": 0.1}, TypeError, "lines.*float"),
        ({"vocabulary": ["the"]}, TypeError, "vocabulary"),
        ({"vocabulary": Vocabulary(["cat", "the"], [1, 2]), "max_contexts": 1}, ValueError, "order"),
        (
            {"corpus": [["x", "y"]]},
            ValueError,
            "no token of the corpus is in the vocabulary: read 2 tokens in 1 line.* grow_vocabulary adds",
        ),
        (
            {"corpus": [["the"], ["cat"]]},
            ValueError,
            "gives no pair: read 2 tokens in 2 lines.* one line or list, .* a tokenizer splits text without spaces$",
        ),
        (
            {"corpus": [["the", "x"], ["cat", "x"]]},
            ValueError,
            "gives no pair: read 4 tokens in 2 lines.* a pair is two tokens of one line or list, as in",
        ),
    ],
)
def test_bad_options_and_corpora_without_pairs_are_rejected(option, error, message):
    with pytest.raises(error, match=message):
        Counts.from_corpus(**{"corpus": [LINE], "vocabulary": VOCABULARY} | option)


def test_sets_have_no_windows_and_are_baskets_in_the_order_of_their_items():
    with pytest.raises(TypeError, match="documents are sets"):
        SkipGram(min_count=1).fit([{"a", "b"}, {"b", "c"}])
    model = SkipGram(dim=1, min_count=1, baskets="flat").fit([{"a", "b"}, {"b", "c"}])
    assert model.vocabulary.tokens == ("b", "a", "c")


@pytest.mark.skipif(os.name == "nt", reason="signals are sent the POSIX way")
def test_ctrl_c_stops_counting(tmp_path, write_lines):
    """Long before the end: the text is read in a second, but to count its pairs takes half a minute."""
    program = """
import sys
from fastembed import Counts, Vocabulary
def progress(*now):
    progress.reached = now
    print("working", flush=True)
try:
    Counts.from_corpus(sys.argv[1], Vocabulary(list("abcdefgh"), [9] * 8), window=2000, progress=progress)
except KeyboardInterrupt as interrupt:
    print(*progress.reached)
"""
    path = write_lines(tmp_path, [list("abcdefgh") * 100] * 20_000)
    folder = tmp_path / "temporary"
    folder.mkdir()
    command, environment = [sys.executable, "-c", program, str(path)], os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment, cwd=tmp_path) as process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    done, total = re.search(r"(\d+) (\d+)\n$", output).groups()
    assert int(done) < 0.9 * int(total)
    assert list(folder.iterdir()) == []
