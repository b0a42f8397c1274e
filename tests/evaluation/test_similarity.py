"""Word similarity: Spearman and coverage, by hand and against gensim."""

import json
import math

import numpy as np
import pytest

from fastembed.evaluation import Similarity, word_similarity
from fastembed.vectors import Vectors

PAIRS = [("cat", "dog", 9.0), ("car", "sun", 8.5), ("cat", "car", 3.0), ("cat", "sun", 1.0)]


def test_spearman_is_that_of_the_ranks(words):
    assert word_similarity(words, PAIRS) == Similarity(pytest.approx(1), pairs=4, covered=4, unknown=())
    swapped = [(first, second, -score) for first, second, score in PAIRS]
    assert word_similarity(words, swapped).spearman == pytest.approx(-1)
    # ranks 1 2 3 4 against 1 2 4 3: 1 - 6 * 2 / (4 * 15)
    assert word_similarity(words, [*PAIRS[2:], ("cat", "dog", 5), ("car", "sun", 6)]).spearman == pytest.approx(0.8)


def test_unknown_words_are_left_out_and_counted_or_score_zero(words):
    pairs = [*PAIRS, ("cow", "cat", 10.0), ("owl", "cow", 9.9)]
    assert word_similarity(words, pairs) == Similarity(pytest.approx(1), pairs=6, covered=4, unknown=("cow", "owl"))
    as_zero = word_similarity(words, pairs, dummy4unknown=True)
    assert (as_zero.pairs, as_zero.covered) == (6, 4)
    # people: 4 3 2 1 6 5; cosines 1 .8 .6 0 0 0: ranks 6 5 4 2 2 2
    assert as_zero.spearman == pytest.approx(np.corrcoef([4, 3, 2, 1, 6, 5], [6, 5, 4, 2, 2, 2])[0, 1])


@pytest.mark.parametrize("pairs", [PAIRS[:1], [(*PAIRS[0][:2], 1), (*PAIRS[1][:2], 1)], [("x", "y", 1), ("x", "z", 2)]])
def test_spearman_that_is_not_defined_is_nan(words, pairs):
    result = word_similarity(words, pairs)
    assert math.isnan(result.spearman)
    assert result.record()["spearman"] is None
    json.dumps(result.record(), allow_nan=False)


def test_words_that_differ_in_case_are_the_same_unless_case_matters():
    vectors = Vectors(["Apple", "apple", "pear"], np.array([[1.0, 0], [0, 1], [0, 2]]))
    pairs = [("apple", "PEAR", 1.0), ("pear", "pear", 2.0)]
    assert word_similarity(vectors, pairs).covered == 2
    assert word_similarity(vectors, pairs).spearman == pytest.approx(1)  # the first token, "Apple", gives the vector
    exact = word_similarity(vectors, pairs, case_insensitive=False)
    assert (exact.covered, exact.unknown) == (1, ("PEAR",))


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        ([], ValueError, "at least one pair"),
        ([("cat", "dog")], TypeError, r"pair 0 must be \(word, word, score\), got \('cat', 'dog'\)"),
        ([*PAIRS, ("cat", 1, 1)], TypeError, "pair 4 must be"),
        ([None], TypeError, "pair 0 must be"),
        ([("cat", "dog", "9")], TypeError, "the score of pair 0 must be a number, got '9'"),
        ([("cat", "dog", math.nan)], ValueError, "the score of pair 0 must be finite"),
    ],
)
def test_wrong_pairs_in_memory_are_named(words, pairs, error, message):
    with pytest.raises(error, match=message):
        word_similarity(words, pairs)


def test_the_summary_shows_coverage_and_unknown_words():
    assert Similarity(math.nan, 5, 0, ("a", "b")).summary() == "Spearman nan on 0 of 5 pairs; 2 unknown words"


@pytest.mark.filterwarnings("default")  # of another project
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_similarity_agrees_with_gensim(dtype, written, random_words):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors, _ = random_words(seed=3, dtype=dtype)
    peer = models.KeyedVectors(vectors.matrix.shape[1], dtype=dtype)
    peer.add_vectors(list(vectors.tokens), vectors.matrix)

    rng = np.random.default_rng(4)
    words = [f"w{i}" for i in range(320)]
    path = written("".join("\t".join([*rng.choice(words, 2), f"{rng.uniform(0, 10):.2f}\n"]) for _ in range(200)))
    for case_insensitive in (True, False):
        for dummy4unknown in (True, False):
            options = {"case_insensitive": case_insensitive, "dummy4unknown": dummy4unknown}
            _, spearman, unknown = peer.evaluate_word_pairs(str(path), **options)
            result = word_similarity(vectors, path, **options)
            assert result.spearman == pytest.approx(spearman.statistic, abs=1e-6)
            assert 100 * (1 - result.covered / result.pairs) == pytest.approx(unknown)
            assert 0 < result.covered < result.pairs


def test_unknown_words_are_composed_if_that_is_asked_for(composing):
    known = Vectors([*composing.tokens, "kingly"], np.stack([*composing.matrix, composing["kingly"]]))
    pairs = [("king", "man", 3.0), ("KINGLY", "man", 2.0), ("kingly", "queen", 1.0), ("xyz", "king", 0.0)]
    found = word_similarity(composing, pairs, compose=True)
    expected = word_similarity(known, pairs)
    assert (found.spearman, found.covered, found.unknown) == (expected.spearman, expected.covered, expected.unknown)
    assert (expected.covered, expected.composed, found.composed) == (3, 0, 2)
    assert found.summary().endswith(" on 3 of 4 pairs, 2 of them with composed words; 1 unknown word")
    assert found.record()["composed"] == 2
    assert word_similarity(composing, pairs).covered == 1
    assert word_similarity(composing, pairs, compose=True, case_insensitive=False).unknown == ("KINGLY", "xyz")


def test_words_are_composed_in_their_own_case_if_tokens_have_capitals(composing):
    capital = Vectors._composing(["King", *composing.tokens[1:]], composing.matrix, None, composing._composer)
    pairs = [("king", "man", 3.0), ("KINGLY", "man", 2.0), ("kingly", "man", 1.0)]
    assert word_similarity(capital, pairs, compose=True).unknown == ("KINGLY",)


def test_nothing_is_composed_of_no_ngrams(words):
    pairs = [*PAIRS, ("cow", "cat", 10.0)]
    assert word_similarity(words, pairs, compose=True) == word_similarity(words, pairs)
