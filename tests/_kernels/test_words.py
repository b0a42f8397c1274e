"""Words and sequences of raw text against their twins, which are regular expressions."""

import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import twins
from fastembed._kernels import words as kernels
from fastembed.corpus.reading import DIGITS, UNITS

WAYS = [(keep_case, digits) for keep_case in (False, True) for digits in DIGITS]

# What the rules are about, and characters of each kind: cased and not, with longer and shorter lower case, ignored
# before a final sigma, digits and other numbers, marks, ideographs, kana, soft hyphens, joiners
SPECIAL = (
    "aBz 09\n\t'\u2019-_.,\0\u00e9\u00c9\u00ad\u03a3\u03c3\u0391\u0130\u023a\u1e9e\u00b2"
    "\u0301\u20dd\u0660\u2167\u6f22\u3007\u3042\u30fc\u3099\u200c\u200d\U0001d400\U00020000\ufffd\U0001f600"
)
WRAPPED = "aB9 \n\n\r\t-.!?\"')]([\u2010\u00ad\u201c\u201d\u00bb\u00c9\u01c5\u00e9\u0301\u6f22\u00a0"

texts = st.one_of(
    st.text(SPECIAL, max_size=100),
    st.text(max_size=50),
    st.lists(st.sampled_from(["the ", "Cat", "1984", "don't", "\u00e9", ", ", "\n", "'", " x"]), max_size=60).map(
        "".join
    ),
    st.binary(max_size=80).map(lambda data: data.decode(errors="replace")),
)
wrapped = st.one_of(st.text(WRAPPED, max_size=60), st.text(max_size=50))


def lines_of(text, keep_case=False, digits="keep"):
    """Return the tokens of each line of the output of the kernel for a text."""
    found = kernels.words(text.encode(), keep_case, DIGITS[digits])
    assert not found or found.endswith((b" ", b"\n"))
    return [[token.decode() for token in line.split()] for line in found.split(b"\n")]


@pytest.mark.slow
def test_every_character_is_read_as_by_the_twin():
    points = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    text = "".join(f"{point} X{point}\u03a3 \u03a3{point}'Y7\u6f22{point}" for point in points)
    assert lines_of(text) == twins.words(text)


@pytest.mark.parametrize(("keep_case", "digits"), WAYS)
def test_each_kind_of_character_is_read_as_by_the_twin(keep_case, digits):
    points = [*range(0x2000), *range(0x2000, 0x30000, 61), 0x3007, 0x3042, 0xFF9E, 0x10FFFF]
    text = "".join(f"{chr(point)} X{chr(point)}\u03a3 7{chr(point)}" for point in points if point >> 11 != 0x1B)
    assert lines_of(text, keep_case, digits) == twins.words(text, keep_case, digits)


@pytest.mark.parametrize(("keep_case", "digits"), WAYS)
@given(text=texts)
@example(text="x" * 31 + "'" + "y" * 40)
@example(text="A" * 40 + "\u03a3")
@example(text="1" * 40 + " " * 40 + "2")
def test_words_are_those_of_the_twin(keep_case, digits, text):
    assert lines_of(text, keep_case, digits) == twins.words(text, keep_case, digits)


@pytest.mark.parametrize("unit", UNITS)
@given(text=wrapped)
@example(text="a-\nb")
@example(text='He said "a." (B) c.\n D')
@example(text="a.\n \n\tB")
def test_sequences_are_those_of_the_twin(unit, text):
    found = kernels.sequences(text.encode(), UNITS[unit], False, True).decode()
    assert not found or found.endswith("\n")
    *parts, rest = found.split("\n")
    assert not rest.strip(" ")
    expected = twins.sequences(text, unit)
    assert [split(part) for part in parts] == [split(part) for part in expected]


def split(text):
    """Split at ASCII white space."""
    return text.encode().split()


def test_the_examples_of_the_rules():
    assert lines_of("Don\u2019t \u2018x\u2019 o''b rock'n'roll 'tis dogs'") == [
        ["don't", "x", "o", "b", "rock'n'roll", "tis", "dogs"]
    ]
    assert lines_of("STRASSE \u1e9e \u0130 \u0391\u03a3 \u0391\u03a3\u0391") == [
        ["strasse", "\u00df", "i", "\u03b1\u03c2", "\u03b1\u03c3\u03b1"]
    ]
    assert lines_of("\u6f22\u5b57a\u3044\u304b\u3099") == [["\u6f22", "\u5b57", "a", "\u3044", "\u304b\u3099"]]
    assert lines_of("\u0645\u06cc\u200c\u0631\u0648\u062f \u200dI \u2764\ufe0f it") == [
        ["\u0645\u06cc\u200c\u0631\u0648\u062f", "i", "it"]
    ]
    assert lines_of("co\u00adop a_b x-y\nz", keep_case=True) == [["coop", "a", "b", "x", "y"], ["z"]]
    assert lines_of("1984 3.14 4ever mp3 \u00bd", digits="shape") == [["0000", "0", "00", "4ever", "mp3", "0"]]
    assert lines_of("1984 3.14 4ever mp3 \u00bd", digits="drop") == [["4ever", "mp3"]]


def test_the_longest_results_fit():
    for text in ("\u6f22a", "\u023a", "\u6f22\u023a", "\u0130", ".\u023a", "a."):
        assert lines_of(text * 1000) == twins.words(text * 1000)
    for text in ("A. " * 1000, "A.\n\n" * 1000, "a"):
        assert kernels.sequences(text.encode(), UNITS["sentence"], False, True).count(b"\n") >= 1


def test_the_tables_are_those_of_this_python():
    assert unicodedata.unidata_version == kernels.unicode_version()


def test_arrays_and_empty_texts_are_read():
    assert kernels.words(np.frombuffer(b"A", np.uint8), False, DIGITS["keep"]) == b"a "
    assert kernels.words(b"", False, DIGITS["keep"]) == b""
    assert kernels.sequences(b"", UNITS["paragraph"], False, True) == b""
    assert kernels.sequences(b"", UNITS["paragraph"], True, True) == b"\n"
    assert kernels.sequences(b"a", UNITS["document"], False, False) == b"a "
