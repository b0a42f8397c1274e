"""The command tokens."""

import pytest

from fastembed.vocabulary import Vocabulary


@pytest.fixture
def text(tmp_path):
    """A raw text."""
    path = tmp_path / "text.txt"
    path.write_bytes(b"The cat, the DOG.\n\nThe \x1b[31mend of the cat\n")
    return path


def test_tokens_are_printed_line_by_line(run, text):
    assert run("tokens", text) == (0, "The cat, the DOG.\n\nThe \\x1b[31mend of the cat\n", "")
    assert run("tokens", text, "--head", 1, "--lowercase") == (0, "the cat, the dog.\n", "")
    assert run("tokens", text, "--head", 1, "--token-pattern", "[a-z]+", "--lowercase") == (0, "the cat the dog\n", "")


def test_the_most_frequent_tokens_are_counted(run, document, text):
    code, out, err = run("tokens", text, "--lowercase", "--top", 2)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines == [
        ["9", "tokens", "in", "3", "lines,", "6", "different", "ones"],
        ["the", "4"],
        ["\\x1b[31mend", "1"],
    ]
    found = document("tokens", text, "--lowercase", "--top", 2)
    assert found["tokens"] == [{"token": "the", "count": 4}, {"token": "\x1b[31mend", "count": 1}]
    assert found["different"] == 6
    assert found["ledger"]["tokens_read"] == 9


def test_json_has_the_tokens_themselves(document, text):
    found = document("tokens", text)
    assert found["sequences"] == [["The", "cat,", "the", "DOG."], [], ["The", "\x1b[31mend", "of", "the", "cat"]]
    assert (found["ledger"]["lines"], found["ledger"]["empty_lines"]) == (3, 1)


def test_what_is_printed_is_what_is_counted(run, text, tmp_path):
    _, out, _ = run("tokens", text, "--lowercase", "--token-pattern", r"\w+")
    (tmp_path / "read").write_text(out, encoding="utf-8")
    _, counted, _ = run("tokens", text, "--lowercase", "--token-pattern", r"\w+", "--top", 99)
    vocabulary = Vocabulary.from_corpus(tmp_path / "read", 1)
    pairs = zip(vocabulary.tokens, map(str, vocabulary.counts), strict=True)
    assert [line.split() for line in counted.splitlines()[1:]] == [list(pair) for pair in pairs]


def test_wrong_usage_is_named(run, usage, text, tmp_path):
    assert "--top counts the tokens of the whole text, so --head cannot be given" in usage(
        "tokens", text, "--top", 5, "--head", 5
    )
    assert "an integer of at least 1 expected, got '0'" in usage("tokens", text, "--head", 0)
    (tmp_path / "empty").write_bytes(b"")
    assert run("tokens", tmp_path / "empty") == (0, "", "")
    assert "the corpus is empty" in run("tokens", tmp_path / "empty", "--top", 5)[2]


@pytest.mark.parametrize("pattern", [r"\b", "(a)|b", "(a)?b", "a*", "|a", "(?=a)", "()", "(Z)|é"])
def test_a_pattern_that_matches_nothing_at_places_is_an_error(run, text, tmp_path, pattern, capsys):
    (tmp_path / "more").write_text("aé b Zé\n", encoding="utf-8")
    try:
        code, out, err = run("tokens", tmp_path / "more", "--token-pattern", pattern)
    except SystemExit as error:
        code, out, err = error.code, *capsys.readouterr()
    assert code == (1 if pattern == "(Z)|é" else 2)
    assert out == ""
    assert "matches the empty string, not a token" in " ".join(err.split())
