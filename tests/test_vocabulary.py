"""Vocabulary: the tokens that are kept, their order, and look-ups."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed import SkipGram
from fastembed.corpus import DocumentCorpus, Reading
from fastembed.vocabulary import Vocabulary

CORPUS = [["b", "a", "c", "a"], ["b", "d"], ["a"]]
corpora = st.lists(st.lists(st.sampled_from(["a", "b", "ab", "z", "é", "猫", "", "A"]), max_size=8), max_size=8)


def test_tokens_are_in_the_order_of_their_counts_and_can_be_looked_up():
    vocabulary = Vocabulary.from_corpus(CORPUS, min_count=1)
    assert vocabulary.tokens == tuple(vocabulary) == ("a", "b", "c", "d")
    assert vocabulary.counts.tolist() == [3, 2, 1, 1]
    assert vocabulary.counts.dtype == np.int64
    assert [vocabulary[token] for token in "abcd"] == [0, 1, 2, 3]
    assert "a" in vocabulary
    assert "x" not in vocabulary
    assert len(vocabulary) == 4
    assert repr(vocabulary) == "<Vocabulary of 4 tokens, 7 occurrences>"
    assert "9,223,372,036,854,775,807 occurrences" in repr(Vocabulary(["a", "b"], [2**63 - 2, 1]))


@given(corpora, st.integers(1, 3), st.none() | st.integers(1, 5))
def test_the_counts_are_those_of_a_counter(corpus, min_count, max_size):
    found = Counter(token for line in corpus for token in line)
    enough = {token: count for token, count in found.items() if count >= min_count}
    expected = sorted(enough, key=lambda token: (-found[token], token))[:max_size]
    if not expected:
        with pytest.raises(ValueError, match="the corpus is empty" if not found else "no token is left"):
            Vocabulary.from_corpus(corpus, min_count, max_size)
        return
    vocabulary = Vocabulary.from_corpus(corpus, min_count, max_size)
    assert vocabulary.tokens == tuple(expected)
    assert vocabulary.counts.tolist() == [found[token] for token in expected]
    ledger = vocabulary.ledger
    assert ledger.lines == len(corpus)
    assert ledger.empty_lines == corpus.count([])
    assert ledger.tokens_read == found.total() == ledger.tokens_used + sum(ledger.dropped.values())
    assert ledger.tokens_used == vocabulary.counts.sum()
    assert ledger.dropped[f"below min_count={min_count}"] == found.total() - sum(enough.values())


def test_encode_leaves_out_what_is_unknown():
    vocabulary = Vocabulary(["a", "b"], [2, 1])
    ids = vocabulary.encode(iter(["b", "x", "a", "a"]))
    assert ids.dtype == np.int32
    assert ids.tolist() == vocabulary.ids(["b", "x", "a", "a"]) == [1, 0, 0]
    assert vocabulary.encode([]).shape == (0,)
    with pytest.raises(TypeError, match="got the string 'ab'"):
        vocabulary.encode("ab")


def test_an_integer_is_the_token_of_its_digits_and_never_an_id():
    vocabulary = Vocabulary.from_corpus([[33, 0], [33, 1]], 1)
    assert vocabulary.tokens == ("33", "0", "1")
    for number in (33, np.int16(33), "33"):
        assert number in vocabulary
        assert vocabulary[number] == 0
    assert 2 not in vocabulary
    with pytest.raises(KeyError, match="2 is not among the 3 tokens"):
        vocabulary[2]
    assert vocabulary.ids([0, 2, "33", np.int64(1)]) == vocabulary.encode((0, 2, 33, 1)).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("tokens", "counts", "error", "message"),
    [
        (["a", "b", "a"], [1, 1, 1], ValueError, "tokens must be unique, but 'a' is in rows 0 and 2"),
        (["a", "b"], [1, -1], ValueError, r"must be from 0 to 2\*\*63 - 1, got -1 for 'b'"),
        (["a", "b"], [1.0, 2.0], TypeError, "got dtype float64"),
        (["a", None], [1, 2], TypeError, "every token must be a str, got None"),
        ([], [], ValueError, "at least one token"),
    ],
)
def test_bad_tokens_or_counts_are_rejected(tokens, counts, error, message):
    with pytest.raises(error, match=message):
        Vocabulary(tokens, counts)


def test_lists_of_tokens_are_dropped_or_kept_and_counted_by_reason(tmp_path):
    (tmp_path / "text").write_text("\n".join(map(" ".join, CORPUS)), encoding="utf-8")
    for corpus in (CORPUS, tmp_path / "text"):
        vocabulary = Vocabulary.from_corpus(corpus, 1, 2, drop=["a", "x"], keep_only=["a", "b", "c", "d"])
        assert vocabulary.tokens == ("b", "c")
        assert vocabulary.ledger.dropped == {
            "listed in drop": 3,
            "not listed in keep_only": 0,
            "below min_count=1": 0,
            "over max_size=2": 1,
        }
        assert vocabulary.ledger.tokens_read == vocabulary.ledger.tokens_used + 4
        assert Vocabulary.from_corpus(corpus, 2, keep_only={"a", "c"}).ledger.dropped == {
            "not listed in keep_only": 3,
            "below min_count=2": 1,
            "over max_size=None": 0,
        }


def test_a_list_none_of_which_occurs_is_warned_of():
    corpus = DocumentCorpus(["The cat, the dog"], reading=Reading(words=True))
    with pytest.warns(UserWarning, match=r"no token of drop occurs .* 'The'") as caught:
        assert "the" in Vocabulary.from_corpus(corpus, 1, drop=["The"], keep_only=["the", "horse"])
    assert [warning.filename for warning in caught] == [__file__]
    model = SkipGram(dim=1, min_count=1, epochs=1, reading=Reading(words=True, phrases=["red sea"]))
    with pytest.warns(UserWarning, match=r"no token of phrases occurs .* 'red_sea'"):
        model.fit(["the cat", "the dog"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"min_count": 0}, ValueError, "min_count"),
        ({"max_size": True}, TypeError, "max_size"),
        ({"drop": []}, ValueError, "drop must hold at least one token"),
        ({"keep_only": "abc"}, TypeError, "keep_only .*'abc'"),
        ({"min_count": 5}, ValueError, "no token is left: all 4 .* below min_count=5"),
        ({"drop": ["a", "b", "c", "d"]}, ValueError, "no token is left: all 4 .* listed in drop"),
    ],
)
def test_bad_options_and_lists_that_leave_no_token_are_errors(options, error, message):
    with pytest.raises(error, match=message):
        Vocabulary.from_corpus(CORPUS, **{"min_count": 2} | options)
