"""The search for phrases: the pairs found and their scores, on any number of threads and from any source."""

from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import twins
from fastembed._base.sizes import SIZES
from fastembed.corpus import FileCorpus, Ledger, Phrases, Reading

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
        with pytest.raises(ValueError, match=r"no phrase was found|the corpus is empty"):
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


def test_phrases_that_differ_in_where_they_were_joined_are_one():
    text = [["a", "b", "c"]] * 3 + [["x", "b", "c"], ["a", "b", "y"]]
    phrases = Phrases.from_corpus(text, 1, -1.0).phrases
    assert len(set(phrases)) == len(phrases)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three files of a text that is read in many small blocks."""
    monkeypatch.setattr(SIZES, "block_bytes", 256)
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
    sources = [
        FileCorpus(files),
        FileCorpus(files, reading=Reading(tokenizer=str.split)),
        (tuple(line) for line in lines),
    ]
    for source in (*sources[:2], [*sources[2]]):
        for threads in (1, 2, 5):
            assert Phrases.from_corpus(source, 3, 0.05, threads=threads) == expected


def test_a_line_longer_than_a_block_is_read_in_pieces_at_whose_ends_nothing_is_joined(tmp_path, monkeypatch):
    monkeypatch.setattr(SIZES, "block_bytes", 64)
    (tmp_path / "long").write_bytes(b"new york " * 100)
    tokens = ["new", "york"] * 100
    assert next(FileCorpus(tmp_path / "long").sequences(Ledger())) == tokens
    found, whole = (Phrases.from_corpus(text, 1, -1, max_words=2) for text in (tmp_path / "long", [tokens]))
    assert set(found) == set(whole) == {("new", "york"), ("york", "new")}
    assert found.ledger.tokens_read == 200
    assert 0 < found.scores.sum() < whole.scores.sum()


def test_progress_is_reported_once_more_per_pass(files):
    calls = []
    Phrases.from_corpus(files, 3, 0.05, progress=lambda *done: calls.append(done))
    size = sum(file.stat().st_size for file in files)
    assert calls.count((size, size)) >= 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"min_count": 0}, ValueError, "min_count must be at least 1, got 0"),
        ({"threshold": "x"}, TypeError, "threshold must be a number, got 'x'"),
        ({"scoring": "pmi"}, ValueError, "scoring must be one of npmi, word2vec, got 'pmi'"),
        ({"max_words": 1}, ValueError, "max_words must be from 2 to 8, got 1"),
        ({"max_words": 9}, ValueError, "max_words must be from 2 to 8, got 9"),
        ({"common": []}, ValueError, "common must hold at least one token, got an empty list"),
        ({"common": "german"}, TypeError, "common must be a list of tokens or 'english', got 'german'"),
        ({"common": [*map(str, range(4001))]}, ValueError, "common must hold at most 4,000 tokens, got 4,001"),
        ({"threads": 0}, ValueError, "threads must be at least 1"),
        ({"threshold": 1.5}, ValueError, r"no phrase .* min_count=5 times and has a npmi score of at least 1\.5"),
    ],
)
def test_bad_parameters_are_named(options, error, message):
    with pytest.raises(error, match=message):
        Phrases.from_corpus(LINES, **options)


def test_a_corpus_without_a_token_or_without_a_pair_is_an_error(tmp_path):
    (tmp_path / "empty").write_bytes(b"\n\n")
    with pytest.raises(ValueError, match="the corpus is empty: no token in 2 lines"):
        Phrases.from_corpus(tmp_path / "empty")
    with pytest.raises(ValueError, match="no phrase was found"):
        Phrases.from_corpus([["a"], ["b"]], 1)
