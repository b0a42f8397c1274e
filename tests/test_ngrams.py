"""Character n-grams of words as an exact dictionary."""

import itertools

import pytest

import twins
from fastembed.ngrams import NgramFinder, common_ngrams


def rows(starts, ids):
    return [ids[begin:end].tolist() for begin, end in itertools.pairwise(starts)]


def twin(words, shortest, longest, least=2):
    """Return the n-grams by dictionaries, sorted by UTF-8, and the ids of those of each word."""
    marked = [["".join(n) for n in each] for each in twins.ngrams([f"<{w}>" for w in words], shortest, longest)]
    keys = {ngram for each in marked for ngram in each}
    kept = sorted((k for k in keys - {"<", ">"} if sum(k in set(e) for e in marked) >= least), key=str.encode)
    places = {ngram: place for place, ngram in enumerate(kept)}
    return kept, [[places[ngram] for ngram in each if ngram in places] for each in marked]


# Also with an n-gram twice
WORDS = [
    "größe", "große", "größer", "日本", "日本語", "a", "", "naïve", "banana", "ananas", "😀😀", "😀", "a\0", "<a>",
    "größe" * 9,
]  # fmt: skip


@pytest.mark.parametrize("lengths", [(1, 1), (1, 4), (3, 6), (2, 2), (5, 60)])
@pytest.mark.parametrize("least", [1, 2, 3])
def test_n_grams_are_those_of_the_twin(lengths, least):
    ngrams, *found = common_ngrams(WORDS, lengths, least)
    kept, expected = twin(WORDS, *lengths, least)
    assert list(ngrams) == kept
    assert rows(*found) == expected
    assert rows(*NgramFinder(ngrams, lengths).find(WORDS)) == expected
    finder = NgramFinder(ngrams, lengths)  # of words that come at different times
    assert [rows(*finder.find([word]))[0] for word in WORDS] == expected


def test_no_words_have_no_n_grams():
    ngrams, starts, ids = common_ngrams([], (3, 6))
    assert (ngrams, starts.tolist(), ids.tolist()) == ((), [0], [])
    assert common_ngrams(["banana", "xyz"], (3, 3))[0] == ()  # an n-gram that a word has twice is that of one word


def test_a_word_without_utf8_is_an_error_unless_it_may_have_none():
    words = ["a\ud800", "b\ud800"]
    with pytest.raises(ValueError, match="no UTF-8 form"):
        common_ngrams(words, (2, 3))
    ngrams, *found = common_ngrams(words, (2, 3), errors="surrogatepass")
    assert ngrams == ("\ud800>",)
    assert rows(*found) == rows(*NgramFinder(ngrams, (2, 3)).find(words)) == [[0], [0]]
    assert rows(*NgramFinder(["<a", "b>"], (2, 3)).find(["a\ud800b", "\ud800", "ab"])) == [[0, 1], [], [0, 1]]


def test_the_marks_alone_are_no_n_grams_but_characters_are():
    assert rows(*NgramFinder(["<", ">", "a"], (1, 1)).find(["a", "<a>", "", ">"])) == [[2], [0, 2, 1], [], [1]]
