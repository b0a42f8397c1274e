"""Features: words, n-grams of words and of characters, and the bags of documents."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastembed._base.threads import Pool
from fastembed.classifier import Classifier, feature_counting, pair_counting
from fastembed.classifier.documents import DocumentLines
from fastembed.classifier.feature_counting import read_features
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.pair_counting import count_pairs
from fastembed.corpus import Reading
from fastembed.corpus.ledger import Ledger

TEXTS = ["to be or not to be", "", "to be, to BE!", "not a bee", "be"]


def features_of(texts, threads=1, **parameters):
    options = ClassifierOptions(**Classifier(**parameters).get_params())
    return read_features(DocumentLines(texts, options.reader), options, Ledger(), None, Pool(threads))


def expected(text, ngrams, chars):
    words = Reading(words=True).sequences(text or "\n")[0]
    found = Counter(" ".join(words[i : i + n]) for n in range(1, ngrams + 1) for i in range(len(words) - n + 1))
    if chars:
        for word in words:
            marked = f"<{word}>"
            parts = [marked[i : i + n] for n in range(chars[0], chars[1] + 1) for i in range(len(marked) - n + 1)]
            found.update(part for part in parts if part not in "<>")
    return found


@pytest.mark.parametrize("chars", [None, (1, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_counts_are_those_of_python(ngrams, chars):
    features, counts = features_of(TEXTS, ngrams=ngrams, chars=chars)
    names = [features.name(f) for f in range(len(features))]
    for row, text in enumerate(TEXTS):
        found = Counter()  # a word and an n-gram of characters may have the same name, such as "a"
        for f, count in zip(counts[[row]].indices, counts[[row]].data, strict=True):
            found[names[f]] += int(count)
        assert found == expected(text, ngrams, chars)
    assert counts.has_canonical_format


@pytest.mark.parametrize("chars", [None, (2, 4)])
def test_bags_of_the_same_documents_are_what_was_counted(chars):
    features, counts = features_of(TEXTS, ngrams=2, chars=chars)
    again = features.bags(TEXTS, Pool(1))
    lengths = np.sqrt(counts.multiply(counts).sum(axis=1))
    assert_allclose(again.toarray(), counts.toarray() / np.maximum(lengths, 1)[:, None], rtol=1e-12)


def test_min_count_and_max_features_keep_the_most_frequent_with_what_they_begin_with():
    features, _ = features_of(TEXTS, ngrams=2, min_count=2)
    assert [features.name(f) for f in range(len(features))] == ["be", "to", "not", "to be"]
    features, counts = features_of(TEXTS, ngrams=2, max_features=3)
    assert [features.name(f) for f in range(len(features))] == ["be", "to", "to be"]
    assert_array_equal(counts.toarray()[0], [2, 2, 2])


def test_features_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), rng.integers(0, 12))) for _ in range(20_000)]
    one, two = (features_of(texts, threads, ngrams=3) for threads in (1, 3))
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(one[1], name), getattr(two[1], name))
    for left, right in zip(one[0].grams, two[0].grams, strict=True):
        assert_array_equal(left.left, right.left)


def test_lists_of_tokens_are_taken_as_they_are():
    features, counts = features_of([["New York", "to"], ["to", "New York"]], ngrams=1)
    assert set(features.words.tokens) == {"New York", "to"}
    assert_array_equal(counts.toarray(), np.ones((2, 2)))


def test_documents_without_a_known_feature_have_empty_bags():
    features, _ = features_of(TEXTS)
    found = replace(features).bags(["unheard", "", "be unheard"], Pool(1))
    assert np.diff(found.indptr).tolist() == [0, 0, 1]


@pytest.mark.parametrize("least", [1, 2, 5, 9])
@pytest.mark.parametrize("tallied", [1, 2, 8, 256])
@pytest.mark.parametrize("pairs_of_a_part", [7, 1 << 15])
def test_pairs_are_counted_and_numbered_by_parts(pairs_of_a_part, tallied, least, set_constant):
    set_constant("fastembed.classifier.pair_counting.PART_PAIRS", pairs_of_a_part)
    set_constant("fastembed.classifier.pair_counting.TALLIED", tallied)
    ids = np.random.default_rng(0).integers(-1, 30, 5000).astype(np.int32)
    at = list(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))
    wanted = Counter(pair for pair in at if min(pair) >= 0)
    found, grams = count_pairs(ids, ids, 1, least, Pool(1))
    pairs = list(zip(grams.left.tolist(), grams.right.tolist(), strict=True))
    counts = dict(zip(pairs, grams.counts.tolist(), strict=True))
    assert counts == {pair: count for pair, count in wanted.items() if count >= least}
    assert (np.diff(grams.counts) <= 0).all()
    places = {pair: number for number, pair in enumerate(pairs)}
    assert found.tolist() == [*(places.get(pair, -1) for pair in at), -1]
    for threads in (2, 3):
        again, others = count_pairs(ids, ids, 1, least, Pool(threads))
        assert_array_equal(again, found)
        assert_array_equal(others.left, grams.left)


@pytest.mark.parametrize("tallied", [1, 3, 300])
def test_equal_counts_rank_by_the_first_occurrence_in_a_part(tallied, set_constant):
    set_constant("fastembed.classifier.pair_counting.TALLIED", tallied)
    ids = np.array([4, 5, -1, 2, 3, -1, 9, 9, -1, 2, 3, -1, 4, 5, -1, 7, 8, -1], np.int32)
    _, grams = count_pairs(ids, ids, 1, 1, Pool(2))
    assert grams.left.tolist() == [4, 2, 9, 7]
    assert grams.counts.tolist() == [2, 2, 1, 1]


def test_more_features_than_can_be_numbered_raise_an_error():
    message = r"2,147,483,647 features are too many, of at most 2,147,483,646: a larger min_count"
    most, tally = 2**31 - 2, np.zeros((2, 4), np.int64)
    tally[:, 1] = 2**30, 2**30 - 2
    none = np.empty(0, np.int32)
    assert pair_counting._first_ranks(tally, none, 1)[2] == most
    tally[0, 2] = 1
    with pytest.raises(ValueError, match=message):
        pair_counting._first_ranks(tally, none, 1)
    assert pair_counting._first_ranks(tally, none, 2)[2] == 1
    kinds = [np.broadcast_to(np.int64(1), size) for size in (most, 1)]
    assert feature_counting._kept(kinds[:1], None, None) == [most, 0]
    with pytest.raises(ValueError, match=message):
        feature_counting._kept(kinds, None, None)


@pytest.mark.parametrize("ids", [[], [3], [-1, -1], [1, 2]])
def test_few_ids_have_few_pairs(ids):
    ids = np.array(ids, np.int32)
    found, grams = count_pairs(ids, ids, 1, 1, Pool(2))
    assert found.tolist() == ([0, -1] if ids.tolist() == [1, 2] else [-1] * len(ids))
    assert len(grams) == int(ids.tolist() == [1, 2])


def test_few_pairs_are_counted_with_more_threads_than_there_could_be():
    ids = np.array([1, 2, -1, 1, 2], np.int32)
    found, grams = count_pairs(ids, ids, 1, 1, Pool(10**12))
    assert (found.tolist(), grams.counts.tolist()) == ([0, -1, -1, 0, -1], [2])


def test_ngrams_of_characters_without_any_word_raise_an_error():
    with pytest.raises(ValueError, match=r"no word is left among the features with min_count=1 and max_features=2"):
        features_of(["aab aaab", "aaac aad"], chars=(1, 3), max_features=2)
