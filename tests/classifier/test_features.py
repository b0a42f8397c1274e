"""Features: words, n-grams of words and of characters, and the bags of documents."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastembed._base.threads import Pool
from fastembed._kernels import features as kernels
from fastembed._kernels.features import PairTable, bags, separate_labels, unit_rows
from fastembed.classifier import Classifier
from fastembed.classifier.documents import DocumentLines
from fastembed.classifier.feature_counting import count_pairs, read_features
from fastembed.classifier.options import ClassifierOptions
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


@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize("pairs_of_a_part", [7, 1 << 15])
def test_pairs_are_counted_and_numbered_by_parts(pairs_of_a_part, least, set_constant):
    set_constant("fastembed.classifier.feature_counting.PART_PAIRS", pairs_of_a_part)
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


@pytest.mark.parametrize("ids", [[], [3], [-1, -1], [1, 2]])
def test_few_ids_have_few_pairs(ids):
    ids = np.array(ids, np.int32)
    found, grams = count_pairs(ids, ids, 1, 1, Pool(2))
    assert found.tolist() == ([0, -1] if ids.tolist() == [1, 2] else [-1] * len(ids))
    assert len(grams) == int(ids.tolist() == [1, 2])


@pytest.mark.parametrize("parts", [0, 3, 6])
def test_parts_are_a_power_of_two(parts):
    ids = np.zeros(4, np.int32)
    with pytest.raises(ValueError, match=f"a power of two, got {parts}"):
        kernels.part_sizes(ids, ids, 1, 0, 4, np.empty(parts, np.int64))


@pytest.mark.parametrize("size", [1, 7, 33, 1000, 5000])
def test_bags_of_long_documents_are_sorted_and_added_up(size):
    ids = np.random.default_rng(size).integers(0, 50, size).astype(np.int32)
    indptr, indices, data = np.empty(2, np.int64), np.empty(2 * size, np.int32), np.empty(2 * size)
    offsets, starts = np.array([0, 100]), np.array([0, size])
    total = bags([ids, ids], offsets, starts, indptr, indices, data)
    values, counts = np.unique(np.concatenate([ids, ids + 100]), return_counts=True)
    assert_array_equal(indices[:total], values)
    assert_array_equal(data[:total], counts)
    unit_rows(indptr, indices, data, np.ones(150))
    assert np.linalg.norm(data[:total]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": [np.zeros(4, np.int32)] * 17}, "at most 16 arrays"),
        ({"offsets": np.zeros(1, np.int64)}, "with an offset each"),
        ({"starts": np.array([0, 5])}, "has 4 places, but starts end at 5"),
        ({"starts": np.array([-1, 4])}, "begin with a place"),
        ({"starts": np.array([4, 0])}, "must ascend"),
        ({"indptr": np.zeros(1, np.int64)}, "indptr must be as long"),
        ({"indices": np.zeros(7, np.int32)}, "must hold 2 features of each place"),
        ({"data": np.zeros(7)}, "must hold 2 features of each place"),
    ],
)
def test_bags_that_do_not_fit_together_raise_an_error(changed, message):
    given = {
        "features": [np.zeros(4, np.int32)] * 2,
        "offsets": np.zeros(2, np.int64),
        "starts": np.array([0, 4]),
        "indptr": np.zeros(2, np.int64),
        "indices": np.zeros(8, np.int32),
        "data": np.zeros(8),
    }
    assert bags(**given) == 1
    if changed.get("starts") is not None and changed["starts"][-1] == 5:
        changed = changed | {"indices": np.zeros(10, np.int32), "data": np.zeros(10)}
    with pytest.raises(ValueError, match=message):
        bags(**given | changed)


def test_a_table_needs_as_many_words_on_the_left_as_on_the_right():
    with pytest.raises(ValueError, match="of one length, got 2 and 1"):
        PairTable().fill(np.zeros(2, np.int32), np.zeros(1, np.int32))


def test_ngrams_of_characters_without_any_word_raise_an_error():
    with pytest.raises(ValueError, match=r"no word is left among the features with min_count=1 and max_features=2"):
        features_of(["aab aaab", "aaac aad"], chars=(1, 3), max_features=2)


@pytest.mark.parametrize(
    ("text", "labels", "rest"),
    [
        (b"__label__a x y\n", b"a \n", b" x y\n"),
        (b"x __label__a __label__b\ty\nz\n", b"a b \n\n", b"x  \ty\nz\n"),
        (b"__label__ x\n", b"\n", b"__label__ x\n"),
        (b"", b"", b""),
    ],
)
def test_labels_are_separated_from_text(text, labels, rest):
    assert separate_labels(text, b"__label__") == (labels, rest)
