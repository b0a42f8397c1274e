"""Phrases: lists of them and their files, and the search for them, on any number of threads and from any source."""

from collections import Counter
from math import log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import twins
from fastembed.corpus import FileCorpus, Ledger, Phrases, Reading

words = st.text(" \t\n\0aé猫_\ud800\u00a0\x1c", min_size=1, max_size=3)
lists = st.lists(st.lists(words, min_size=2, max_size=8).map(tuple), min_size=1, max_size=5, unique=True)


@given(st.data(), lists)
def test_any_tokens_are_joined_as_the_twin_joins_them(data, phrases):
    known = sorted({word for phrase in phrases for word in phrase})
    tokens = data.draw(st.lists(st.sampled_from(["", *known]), max_size=20))
    assert Phrases(phrases).join(tokens) == twins.join_phrases(tokens, phrases)


def test_lists_are_equal_if_their_phrases_and_scores_are():
    phrases = Phrases(["new  york", ("bank", "of", "america")], [0.5, nan])
    assert phrases.phrases == tuple(phrases) == (("new", "york"), ("bank", "of", "america"))
    assert phrases == Phrases(phrases, [0.5, nan])
    assert phrases != Phrases(phrases)


@pytest.mark.parametrize(
    ("phrases", "error", "message"),
    [
        ("new york", TypeError, "phrases must be a list of phrases, got 'new york'"),
        ([], ValueError, "needs at least one, got none"),
        (["new_york"], ValueError, "'new_york'"),
        ([["a", ""]], ValueError, r"\['a', ''\]"),
        ([["a", 5]], TypeError, "5"),
        (["a b", "a c", ["a", "b"]], ValueError, "the phrase 'a b' occurs twice"),
    ],
)
def test_what_is_no_list_of_phrases_is_an_error(phrases, error, message):
    with pytest.raises(error, match=message):
        Phrases(phrases)


plain = st.lists(st.text("aé猫_\u00a0#", min_size=1), min_size=2, max_size=4).map(tuple)


@given(st.lists(plain, min_size=1, unique=True))
def test_a_saved_list_is_read_back(tmp_path_factory, phrases):
    path = tmp_path_factory.mktemp("phrases") / "phrases.txt"
    for saved in (Phrases(phrases, np.linspace(-1, 1, len(phrases))), Phrases(phrases)):
        saved.save(path)
        assert Phrases.load(path) == saved


def test_a_list_of_ones_own_is_read(tmp_path):
    path = tmp_path / "phrases.txt"
    path.write_bytes("\ufeffnew york\r\n\n  bank   of\tamerica \nfoo bar\t0.5\r\nlast one".encode())
    phrases = Phrases.load(path)
    assert phrases.phrases == (("new", "york"), ("bank", "of", "america"), ("foo", "bar"), ("last", "one"))
    np.testing.assert_array_equal(phrases.scores, [nan, nan, 0.5, nan])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no phrase"),
        (b"new york\nnew_york\t0.7\n", "line 2: .* 'new_york' has 1"),
        (b"a b\n\na  b\t1\n", "line 3: the phrase 'a b' occurs twice"),
        (b"a b\nc \xff\n", "line 2"),
    ],
)
def test_a_file_of_something_else_is_an_error(tmp_path, data, message):
    path = tmp_path / "phrases.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        Phrases.load(path)


@pytest.mark.parametrize(("word", "message"), [("a b", "white space, got .*'a b'"), ("\ud800", "no UTF-8 form")])
def test_tokens_that_a_file_cannot_hold_are_an_error_and_the_old_file_stays(tmp_path, word, message):
    path = tmp_path / "phrases.txt"
    Phrases(["new york"]).save(path)
    with pytest.raises(ValueError, match=message):
        Phrases([["x", word]]).save(path)
    assert Phrases.load(path) == Phrases(["new york"])


TEXT = """\
the bank of america is a bank in new york
bank of america and the new york times
of new york times the bank is new
york new
a new york times bank of america
"""
LINES = [line.split() for line in TEXT.splitlines()]
corpora = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "of", "", "x y"]), max_size=12), max_size=12)


def twin(corpus, min_count, threshold, scoring, common):
    """Return the phrases of one pass, computed with Counter."""
    found = Counter(token for line in corpus for token in line)
    total = found.total()
    scores = {}
    for pair, n in twins.neighbors(corpus, common).items():
        a, b = found[pair[0]], found[pair[-1]]
        if n >= min_count:
            score = log(n * total / (a * b)) / log(total / n) if scoring == "npmi" else (n - min_count) * total / a / b
            if round(score, 6) >= threshold and "" not in pair:
                scores[pair] = round(score, 6)
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


@given(corpora, st.integers(1, 3), st.sampled_from(["npmi", "word2vec"]), st.sampled_from([0.0, 0.3]))
def test_the_pairs_and_their_scores_are_those_of_a_counter(corpus, min_count, scoring, threshold):
    expected = twin(corpus, min_count, threshold, scoring, {"of"})
    options = {"scoring": scoring, "max_words": 2, "common": ["of"]}
    expected = {pair: score for pair, score in expected.items() if len(pair) == 2}
    if not expected:
        with pytest.raises(ValueError, match=r"no phrase: no pair|the corpus is empty"):
            Phrases.from_corpus(corpus, min_count, threshold, **options)
        return
    found = Phrases.from_corpus(corpus, min_count, threshold, **options)
    assert dict(zip(found, found.scores.tolist(), strict=True)) == pytest.approx(expected, abs=2e-6)
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert found.ledger.tokens_read == found.ledger.tokens_used == sum(map(len, corpus))


def test_common_words_stand_inside_phrases_and_not_at_their_ends():
    found = Phrases.from_corpus(LINES, 2, 0.3)
    assert ("bank", "of", "america") in found.phrases
    assert not {"the", "of", "a", "is"} & {word for phrase in found for word in (phrase[0], phrase[-1])}
    without = Phrases.from_corpus(LINES, 2, 0.3, common=None)
    assert ("bank", "of") in without.phrases
    assert ("bank", "of", "america") in without.phrases  # by the second pass


def test_three_and_four_words_come_from_a_second_pass():
    assert ("new", "york", "times") not in Phrases.from_corpus(LINES, 2, 0.3, max_words=2).phrases
    found = Phrases.from_corpus(LINES, 2, 0.3)
    assert ("new", "york", "times") in found.phrases
    text = [[*"pqrstu", str(i)] for i in range(9)]
    longest = [max(map(len, Phrases.from_corpus(text, 2, 0.1, max_words=n))) for n in range(2, 9)]
    assert longest == [2, 2, 4, 4, 6, 6, 6]


@pytest.fixture
def files(tmp_path, set_constant):
    """Three files of a text that is read in many small chunks."""
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 256)
    rng = np.random.default_rng(0)
    words = np.array(["a", "b", "c", "d", "new", "york", "of", "the", "é"])
    for name in "xyz":
        text = "\n".join(" ".join(rng.choice(words, 7)) + " new york of times" * (i % 2) for i in range(60))
        (tmp_path / name).write_text(text + "\n", encoding="utf-8")
    return [tmp_path / name for name in "xyz"]


def test_the_number_of_threads_and_the_form_of_the_corpus_change_nothing(files):
    lines = [line.split(" ") for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    expected = Phrases.from_corpus(lines, 3, 0.05)
    assert any(len(phrase) > 2 for phrase in expected)
    assert len(set(expected)) == len(expected)  # also of those that were joined in another order
    for source in (files, FileCorpus(files, reading=Reading(tokenizer=str.split)), [tuple(line) for line in lines]):
        for threads in (1, 2, 5):
            assert Phrases.from_corpus(source, 3, 0.05, threads=threads) == expected


def test_a_line_longer_than_a_chunk_is_read_in_pieces_at_whose_ends_nothing_is_joined(tmp_path, set_constant):
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 64)
    (tmp_path / "long").write_bytes(b"new york " * 100)
    tokens = ["new", "york"] * 100
    assert next(FileCorpus(tmp_path / "long").sequences(Ledger())) == tokens
    found, whole = (Phrases.from_corpus(text, 1, -1, max_words=2) for text in (tmp_path / "long", [tokens]))
    assert set(found) == set(whole) == {("new", "york"), ("york", "new")}
    assert found.ledger.tokens_read == 200
    assert 0 < found.scores.sum() < whole.scores.sum()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scoring": "pmi"}, ValueError, "scoring must be .* got 'pmi'"),
        ({"max_words": 1}, ValueError, "max_words must be from 2 to 8, got 1"),
        ({"common": "german"}, TypeError, "common must be .* got 'german'"),
        ({"common": [*map(str, range(4001))]}, ValueError, "common must hold at most 4,000 tokens, got 4,001"),
        ({"threshold": 1.5}, ValueError, r"no phrase: .* min_count=5 times with a npmi score of at least 1\.5"),
    ],
)
def test_bad_parameters_are_named(options, error, message):
    with pytest.raises(error, match=message):
        Phrases.from_corpus(LINES, **options)
