"""Lists of phrases: contents, application and files."""

import copy
import pickle
from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import twins
from fastembed.corpus import Phrases

words = st.text(" \t\n\0aé猫_\ud800\u00a0\x1c", min_size=1, max_size=3)
lists = st.lists(st.lists(words, min_size=2, max_size=8).map(tuple), min_size=1, max_size=5, unique=True)


@given(st.data(), lists)
def test_any_tokens_are_joined_as_the_twin_joins_them(data, phrases):
    known = sorted({word for phrase in phrases for word in phrase})
    tokens = data.draw(st.lists(st.sampled_from(["", *known]), max_size=20))
    assert Phrases(phrases).join(tokens) == twins.join_phrases(tokens, phrases)


def test_a_text_keeps_all_but_the_white_space_inside_phrases():
    phrases = Phrases(["new york", "ein paar"])
    assert phrases.apply("in  new \t york\r\nnew\nyork einpaar ein\u00a0paar\n".encode()).decode() == (
        "in  new_york\r\nnew\nyork einpaar ein\u00a0paar\n"
    )
    assert phrases.apply(b"") == b""
    assert phrases.apply(b"new york") == b"new_york"


def test_the_longest_phrase_wins_and_the_next_begins_behind_it():
    phrases = Phrases([["a", "b"], ["b", "c"], ["a", "b", "c", "d"]])
    assert phrases.join(["a", "b", "c", "e"]) == ["a_b", "c", "e"]
    assert phrases.join(["a", "b", "c", "d", "e"]) == ["a_b_c_d", "e"]
    assert phrases.join(["a", "a", "b", "b", "c"]) == ["a", "a_b", "b_c"]


def test_a_list_shows_what_it_holds():
    phrases = Phrases(["new  york", ("bank", "of", "america")], [0.5, nan])
    assert phrases.phrases == tuple(phrases) == (("new", "york"), ("bank", "of", "america"))
    assert len(phrases) == 2
    assert repr(phrases) == "<Phrases: 2, such as 'new york'>"
    np.testing.assert_array_equal(phrases.scores, [0.5, nan])
    assert phrases == Phrases(phrases, [0.5, nan])
    assert hash(phrases) == hash(Phrases(phrases))
    assert phrases != Phrases(phrases)
    assert phrases != Phrases(["new york"], [0.5])
    assert phrases != "new york"


def test_a_list_can_be_copied_and_pickled_after_use():
    phrases = Phrases(["new york"], [0.5])
    for copied in (phrases, copy.deepcopy(phrases), pickle.loads(pickle.dumps(phrases))):
        assert copied.join(["new", "york"]) == ["new_york"]
        assert copied == phrases


@pytest.mark.parametrize(
    ("phrases", "error", "message"),
    [
        ("new york", TypeError, "phrases must be a list of phrases, got 'new york'"),
        (5, TypeError, "must be a list of phrases, got 5"),
        ([], ValueError, "needs at least one, got none"),
        (["new_york"], ValueError, "from 2 to 8 tokens, as in 'new york'; 'new_york' has 1 token$"),
        ([""], ValueError, "'' has 0 tokens"),
        (["a b c d e f g h i"], ValueError, "'a b c d e f g h i' has 9 tokens"),
        ([["a", ""]], ValueError, r"\['a', ''\] has an empty token"),
        ([["a", 5]], TypeError, r"must be strings, got 5 in \['a', 5\]"),
        ([5], TypeError, "a str or a sequence of str, got 5"),
        ([b"a b"], TypeError, "a str or a sequence of str, got b'a b'"),
        (["a b", "a c", ["a", "b"]], ValueError, "the phrase 'a b' occurs twice"),
    ],
)
def test_what_is_no_list_of_phrases_is_an_error(phrases, error, message):
    with pytest.raises(error, match=message):
        Phrases(phrases)


def test_scores_of_another_number_and_a_str_of_tokens_are_errors():
    with pytest.raises(ValueError, match=r"scores must have shape \(1,\), got \(2,\)"):
        Phrases(["a b"], [1, 2])
    with pytest.raises(TypeError, match=r"got the string 'a b'; pass text.split\(\)"):
        Phrases(["a b"]).join("a b")
    with pytest.raises(TypeError, match=r"tokens must be strings, got \[1, 2\]"):
        Phrases(["a b"]).join([1, 2])


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
        (b"", "holds no phrase: one per line was expected, such as 'new york'"),
        (b"\n \t\n", "holds no phrase"),
        (b"new york\nnew_york\t0.7\n", "line 2: a phrase has from 2 to 8 tokens, as in 'new york'; 'new_york' has 1"),
        (b"a b c d e f g h i", "line 1: .* has 9 tokens"),
        (b"a b\n\na  b\t1\n", "line 3: the phrase 'a b' occurs twice"),
        (b"a b\nc \xff\n", "is not valid UTF-8 at line 2: invalid start byte"),
    ],
)
def test_a_file_of_something_else_is_an_error(tmp_path, data, message):
    path = tmp_path / "phrases.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        Phrases.load(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Phrases.load(tmp_path / "none")


@pytest.mark.parametrize(("word", "message"), [("a b", "'a b' contains white space"), ("\ud800", "no UTF-8 form")])
def test_tokens_that_a_file_cannot_hold_are_an_error_and_the_old_file_stays(tmp_path, word, message):
    path = tmp_path / "phrases.txt"
    Phrases(["new york"]).save(path)
    with pytest.raises(ValueError, match=message):
        Phrases([["x", word]]).save(path)
    assert path.read_text(encoding="utf-8") == "new york\n"
