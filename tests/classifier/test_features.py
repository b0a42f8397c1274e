"""Features: words, n-grams of words and of characters, and the bags of documents."""

from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastembed import Classifier
from fastembed._base.threads import Pool
from fastembed.classifier.data import LabelledSource, read_examples
from fastembed.classifier.features import count_pairs
from fastembed.classifier.options import ClassifierOptions
from fastembed.corpus import Ledger, Reading
from fastembed.trainer.run import Run

TEXTS = ["to be or not to be", "", "to be, to BE!", "not a bee", "be"]


def read(texts, threads=1, **parameters):
    """Return the features and bags of texts, as a fit reads them, and the names of the features."""
    options = ClassifierOptions(**Classifier(**parameters).get_params())
    labels = [k % 2 for k in range(len(texts))]
    found = read_examples(LabelledSource(texts, labels), options, Ledger(), Run(Pool(threads)))
    return found.features, found.bags, [found.features.name(f) for f in range(len(found.features))]


def grams(words, n):
    """Return the n-grams of a document, whose ends are neighbours of its first and last word."""
    marked = ["<start>", *words, "<end>"] if words else []
    return [tuple(marked[i : i + n]) for i in range(len(marked) - n + 1)]


def expected(text, ngrams, chars):
    words = Reading(words=True).sequences(text or "\n")[0]
    found = Counter(words) + Counter(" ".join(gram) for n in range(2, ngrams + 1) for gram in grams(words, n))
    if chars:
        for word in words:
            marked = f"<{word}>"
            parts = [marked[i : i + n] for n in range(chars[0], chars[1] + 1) for i in range(len(marked) - n + 1)]
            found.update(f"'{part}'" for part in parts if part not in "<>")
    return found


@pytest.mark.parametrize("chars", [None, (1, 1), (1, 2), (2, 4)])
@pytest.mark.parametrize("ngrams", [1, 2, 3])
@pytest.mark.parametrize("pieces", [2, 1 << 13])
def test_bags_have_the_counts_of_python(ngrams, chars, pieces, set_constant):
    set_constant("fastembed.classifier.features.BAG_DOCUMENTS", pieces)
    features, bags, names = read(TEXTS, ngrams=ngrams, chars=chars, weighting="count")
    assert bags.has_canonical_format
    for row, text in enumerate(TEXTS):
        bag = bags[[row]]
        shares = dict(zip([names[f] for f in bag.indices], bag.data / bag.data.sum(), strict=True))
        counts = expected(text, ngrams, chars)
        assert shares == pytest.approx({name: count / counts.total() for name, count in counts.items()})
    for again, counted in zip(features.bags(TEXTS), (bags.indptr, bags.indices, bags.data), strict=True):
        assert_array_equal(again, counted)


def of_frequent_neighbours(texts, ngrams, least):
    """Return how often each n-gram of words occurs, all of whose words and n-grams occur at least `least` times."""
    words = Counter(word for text in texts for word in text)
    found = [Counter({(word,): count for word, count in words.items() if count >= least})]
    for n in range(2, ngrams + 1):
        before, after = {*found[-1], ("<start>",)}, {*found[0], ("<end>",)}
        here = Counter(gram for text in texts for gram in grams(text, n) if gram[:-1] in before and gram[-1:] in after)
        found.append(Counter({gram: count for gram, count in here.items() if count >= least}))
    return found


@pytest.mark.parametrize("chars", [None, (2, 3)])
@pytest.mark.parametrize("least", [2, 40])
@pytest.mark.parametrize("ngrams", [2, 3])
def test_ngrams_of_words_do_not_cross_rare_or_unknown_words(ngrams, least, chars):
    rng = np.random.default_rng(1)
    words = [f"w{k}" for k in range(40)]
    texts = [list(rng.choice(words, rng.integers(0, 15), p=np.arange(40, 0, -1) / 820)) for _ in range(300)]
    features, bags, names = read([" ".join(t) for t in texts], 2, ngrams=ngrams, min_count=least, chars=chars)
    wanted = [{" ".join(gram): n for gram, n in kind.items()} for kind in of_frequent_neighbours(texts, ngrams, least)]
    size = features.offsets[ngrams]
    found = dict(zip(names[:size], [n for kind in (features.words, *features.grams) for n in kind.counts], strict=True))
    assert found == {name: n for kind in wanted for name, n in kind.items()}
    some = [" ".join([*text[:3], "unheard", *text[3:]]) for text in texts]
    for row, text in enumerate(some):
        indptr, indices, _ = features.bags([text])
        assert len(indptr) == 2
        present = {*text.split(), *(" ".join(gram) for n in range(2, ngrams + 1) for gram in grams(text.split(), n))}
        assert {names[f] for f in indices if f < size} == present & set(names[:size]), row
    first = features.bags([" ".join(text) for text in texts])  # as training counted them
    assert_array_equal(first[1], bags.indices)


def test_a_pair_with_an_unknown_word_between_is_no_feature():
    model = Classifier().fit(["a b", "c d"], ["x", "y"])
    assert model.explain("zzz b a zzz").features == ["a", "b"]
    assert model.explain("a b").features == ["a", "b", "<start> a", "a b", "b <end>"]
    texts = ["a z b", "a b", "z", "b z c", "a a"]  # those of two words that occur twice are with an end
    assert read(texts, min_count=2)[2] == ["a", "b", "z", "<start> a", "b <end>"]


def test_min_count_keeps_the_most_frequent():
    assert read(TEXTS, ngrams=2, min_count=2)[2] == ["be", "to", "not", "to be", "be <end>", "<start> to"]


def test_features_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), rng.integers(0, 12))) for _ in range(20_000)]
    one, three = (read(texts, threads, ngrams=3) for threads in (1, 3))
    assert one[2] == three[2]
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(one[1], name), getattr(three[1], name))


def test_lists_of_tokens_are_taken_as_they_are():
    features, bags, names = read([["New York", "to"], ["to", "New York"]], ngrams=1, weighting="count")
    assert set(names) == {'"New York"', "to"}
    pairs = Classifier().fit([["New York", "<end>"], ["New", "York", "x"]], ["p", "q"])
    assert len(set(pairs.explain(["New York", "<end>", "New", "York"]).features)) == 7
    assert_allclose(bags.toarray(), np.full((2, 2), 2**-0.5))
    assert np.diff(features.bags(["unheard", "", "to unheard"])[0]).tolist() == [0, 0, 1]


@pytest.mark.parametrize("least", [1, 2, 5, 9])
@pytest.mark.parametrize("pairs_of_a_part", [7, 1 << 15])
def test_pairs_are_counted_and_numbered_by_parts(pairs_of_a_part, least, set_constant):
    set_constant("fastembed.classifier.features.PART_PAIRS", pairs_of_a_part)
    ids = np.random.default_rng(0).integers(-2, 30, 5000).astype(np.int32)
    at = list(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))
    wanted = Counter(pair for pair in at if -2 not in pair and pair != (-1, -1))
    found, grams = count_pairs(ids, ids, 1, least, Pool(1))
    pairs = list(zip(grams.left.tolist(), grams.right.tolist(), strict=True))
    counts = dict(zip(pairs, grams.counts.tolist(), strict=True))
    assert counts == {pair: count for pair, count in wanted.items() if count >= least}
    assert (np.diff(grams.counts) <= 0).all()
    places = {pair: number for number, pair in enumerate(pairs)}
    assert found.tolist() == [*(places.get(pair, -2) for pair in at), -2]
    for threads in (2, 40 if pairs_of_a_part == 7 else 10**12):  # of many parts, as many threads would be started
        again, others = count_pairs(ids, ids, 1, least, Pool(threads))
        assert_array_equal(again, found)
        assert_array_equal(others.left, grams.left)


def test_equal_counts_rank_by_the_first_occurrence_in_a_part():
    ids = np.array([4, 5, -2, 2, 3, -2, 9, 9, -2, 2, 3, -2, 4, 5, -2, 7, 8, -2], np.int32)
    _, grams = count_pairs(ids, ids, 1, 1, Pool(2))
    assert grams.left.tolist() == [4, 2, 9, 7]
    assert grams.counts.tolist() == [2, 2, 1, 1]


def test_ngrams_of_characters_without_any_word_raise_an_error():
    with pytest.raises(ValueError, match=r"no word occurs min_count=2 times"):
        Classifier(chars=(1, 3), min_count=2).fit(["aab aaab", "aaac aad"], ["x", "y"])
