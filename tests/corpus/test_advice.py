"""Advice on how to read a text, from its beginning."""

import re

import pytest

from fastembed.corpus import FileCorpus, Reading
from fastembed.corpus.corpus import advice

WRAPPED = """It was a bright cold day in the city, and the clocks of all towers were
striking one after the other; nobody counted them, since it was known to
everyone that no two of them agreed about the hour or even about the day
"""
PLAIN = WRAPPED.replace(",", "").replace(";", "")


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (WRAPPED * 20, {}, "7 % of the tokens end .* 'city,', and .* wrapped.* --words --unit paragraph reads whole"),
        (WRAPPED * 20, {"words": True}, "^the text looks wrapped, .*; --unit paragraph reads whole paragraphs$"),
        (WRAPPED * 20, {"token_pattern": "[a-z]+"}, "^the text looks wrapped"),
        (WRAPPED * 20, {"unit": "sentence"}, "^7 % of .*; --words reads words without it$"),
        (WRAPPED * 20, {"unit": "sentence", "words": True}, None),
        (PLAIN * 20, {}, "^the text looks wrapped"),
        (PLAIN * 6, {}, None),  # 18 lines are too few to tell
        (PLAIN.replace("\n", " ") * 20, {}, None),
        (PLAIN.replace("\n", ".\n") * 20, {"words": True}, None),
        ("a tokenised text , with spaces around punctuation .\n" * 20, {}, None),
        ("100 words and then one more, " + "w " * 94, {}, None),  # 1 %
        ("", {}, None),
    ],
)
def test_advice_names_the_options_that_read_the_text_better(tmp_path, text, options, expected):
    (tmp_path / "text").write_text(text, encoding="utf-8")
    found = advice(FileCorpus(tmp_path / "text", reading=Reading(**options)))
    if expected is None:
        assert found is None
    else:
        assert re.search(expected, found)


def test_a_folder_of_small_files_is_looked_at_as_one_text(tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(WRAPPED, encoding="utf-8")
    assert "wrapped" in advice(FileCorpus(tmp_path))


def test_invalid_utf8_does_not_matter(tmp_path):
    (tmp_path / "text").write_bytes(b"\xff" + WRAPPED.encode() * 20)
    assert "wrapped" in advice(FileCorpus(tmp_path / "text"))


def test_an_example_is_cut_to_a_line(tmp_path):
    (tmp_path / "text").write_text("a." * 1_000, encoding="utf-8")
    assert len(advice(FileCorpus(tmp_path / "text"))) < 200
