"""A corpus: every form, every way to get one wrong, and hints at how to read it."""

import re
import warnings
from contextlib import nullcontext

import numpy as np
import pytest

from fastembed import Counts, SkipGram
from fastembed.corpus import Ledger, Phrases, Reading
from fastembed.corpus.corpus import as_corpus


def test_documents_may_be_made_anew_by_each_iteration():
    class Anew:
        def __iter__(self):
            yield ("a", "b")
            yield iter("cd")

    corpus, seen = as_corpus(Anew()), []
    for _ in range(2):
        sequences = list(corpus.sequences(Ledger(), lambda *now: seen.append(now)))
        assert sequences == [["a", "b"], ["c", "d"]]
    assert seen[-1] == (2, None)


@pytest.mark.parametrize("once", [(line for line in [["a"]]), iter([["a"]]), map(list, ["a"])])
def test_what_can_be_read_only_once_is_rejected(once):
    with pytest.raises(TypeError, match=f"a {type(once).__name__} does not allow"):
        as_corpus(once)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (3, "item 1 of the corpus: it is 3"),
        ({"text": "a"}, "item 1 of the corpus: a record with \\['text'\\]: name the field of the text by field"),
        (np.nan, r"item 1 of the corpus: null.*; drop it, or pass DocumentCorpus\(items, skip_bad=True\)$"),
        ([3, "a"], r"item 1 of the corpus: it mixes strings and integers: \[3, 'a'\]"),
        (bytearray(b"ab"), "item 1 of the corpus: it is bytearray"),
    ],
)
def test_an_item_that_is_no_document_is_rejected(item, message, read):
    with pytest.raises(TypeError, match=message):
        read([["fine"], item])


def test_integers_stand_for_their_digits(read):
    assert read([[3, -1], np.array([7, 3]), range(2), []])[0] == [["3", "-1"], ["7", "3"], ["0", "1"], []]


@pytest.mark.parametrize(
    ("corpus", "error", "message"),
    [
        ([[0], [1, 4]], ValueError, r"item 1 of the corpus must be ids from 0 to 3, but item 1 of the corpus\[1\] is"),
        ([[0], ["a"]], TypeError, "item 1 of the corpus must hold integers"),
        ([[0], 3], TypeError, "item 1 of the corpus is 3, where a list of ids"),
        (__file__, TypeError, "vocabulary=4 is for lists of ids, got files: pass a Vocabulary"),
    ],
)
def test_ids_are_read_and_checked(corpus, error, message):
    counts = Counts.from_corpus([[3, 1], np.array([2], np.uint8), range(2), []], 4, window=1)
    assert counts.to_scipy().nonzero()[0].tolist() == [0, 1, 1, 3]
    assert (counts.ledger.lines, counts.ledger.empty_lines, counts.ledger.tokens_read) == (4, 1, 5)
    with pytest.raises(error, match=message):
        Counts.from_corpus(corpus, 4)


WRAPPED = """It was a bright cold day in the city and the clocks of all towers were
striking one after the other and nobody counted them since it was known to
everyone that no two of them agreed about the hour or even about the day

"""


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (WRAPPED * 20, {}, "wrapped: .*'paragraph'"),
        (WRAPPED * 20, {"words": True}, "wrapped: .*'paragraph'"),
        (WRAPPED * 20, {"unit": "sentence"}, None),
        (WRAPPED.replace("\n\n", "\n") * 20, {}, "wrapped: .*'sentence'"),
        (WRAPPED.replace("\n", " ") * 20, {}, None),
        (WRAPPED.replace("\n", ".\n") * 20, {"words": True}, None),
        ("It was cold, and nobody counted.\n" * 20, {}, r"^33 % .* 'cold,': Reading\(words=True\)"),
        ("It was cold, and nobody counted.\n" * 20, {"token_pattern": r"\w+"}, None),
        ("قال، إن القطة نائمة؟ نعم\n" * 20, {}, r"^40 % of the tokens end in punctuation"),
        ("我来到北京清华大学\uff0c 他来到上海交通大学。\n" * 20, {}, r"^100 % of the tokens end in punctuation"),
        ("milk,bread jam\nfruit,cream jam\n" * 10, {}, "^tokens have commas, such as 'milk,bread': lists need"),
        ("a tokenised text , with spaces\naround punctuation .\n" * 20, {}, None),
        (("a." * 1_000 + " ") * 20, {}, "^.{,240}$"),  # an example is cut to a line
        ("__label__b some text\n__label__c\n" * 10, {}, "labels such as '__label__b' are read as words"),
        ('{"id": 1, "text": "a, b"}\n' * 9, {}, "the lines are JSON: .* by field or --field"),
    ],
)
def test_a_text_that_another_reading_would_suit_gets_a_hint(tmp_path, text, options, expected):
    (tmp_path / "text").write_text(text, encoding="utf-8")
    model = SkipGram(dim=1, min_count=1, reading=Reading(**options))
    for source in (tmp_path / "text", [text]):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.count(source)
        assert [bool(re.search(expected, str(each.message))) for each in caught] == [True] * (expected is not None)
        assert all(each.filename == __file__ for each in caught)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([["red", "tea,", "old", "ale"]] * 20, "^25 % .* 'tea,': .* words$"),
        ([["Heat (1995)", "__label__a"]] * 20, "labels such as '__label__a' are read as words"),
        ([["a sequence", "of", "tokens", "which", "is", "as", "long", "as", "a wrapped line would be"]] * 50, None),
    ],
)
def test_lists_of_what_looks_like_raw_text_get_a_hint(lists, expected):
    for learn in (SkipGram(min_count=1).count, lambda each: Phrases.from_corpus(each, min_count=1, threshold=-1)):
        with pytest.warns(UserWarning, match=expected) if expected else nullcontext():
            learn(lists)


def test_a_folder_of_small_files_is_looked_at_as_one_text(tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(WRAPPED, encoding="utf-8")
    with pytest.warns(UserWarning, match="wrapped"):
        SkipGram(dim=1, min_count=1, epochs=1).fit(tmp_path)
