"""The command phrases, and the option --phrases of the others."""

import pytest

from fastembed.corpus import FileCorpus, Phrases, Reading
from fastembed.skipgram import SkipGram
from fastembed.vocabulary import Vocabulary

LINE = "i saw new york and the bank of america in new york while {} was away\n"


@pytest.fixture
def text(tmp_path):
    """A text with two phrases."""
    path = tmp_path / "text.txt"
    names = ["anna", "bert", "carl", "dora", "emil", "fred", "gina", "hugo"]
    path.write_text("".join(LINE.format(name) for name in names) + "anna bert carl dora\n" * 5, encoding="utf-8")
    return path


def test_phrases_are_written_as_the_library_finds_them(run, document, text, tmp_path):
    output = tmp_path / "found.txt"
    code, out, err = run("phrases", text, "-o", output)
    expected = Phrases.from_corpus(text)
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote {output}: {len(expected)} phrases, such as '")
    assert Phrases.load(output) == expected
    assert {("new", "york"), ("bank", "of", "america")} <= set(expected)
    found = document("phrases", text, "-o", output)
    assert found.keys() == {"output", "phrases", "ledger"}
    assert found["phrases"] == len(expected)
    assert found["ledger"]["tokens_read"] == found["ledger"]["tokens_used"] == 8 * 16 + 20


def test_every_option_of_the_search_is_passed_on(run, text, tmp_path):
    (tmp_path / "common").write_text("of\nnew\n", encoding="utf-8")
    output = tmp_path / "found.txt"
    argv = ("--min-count", 3, "--min-score", 2, "--scoring", "word2vec", "--max-words", 3, "--threads", 2)
    assert run("phrases", text, "-o", output, *argv, "--common", tmp_path / "common", "--quiet") == (0, "", "")
    options = {"scoring": "word2vec", "max_words": 3}
    assert Phrases.load(output) == Phrases.from_corpus(text, 3, 2, common=["of", "new"], **options)
    assert run("phrases", text, "-o", output, *argv, "--common", "none", "--quiet") == (0, "", "")
    assert Phrases.load(output) == Phrases.from_corpus(text, 3, 2, common=None, **options)


def test_a_list_is_applied_by_every_command_that_reads_text(run, document, text, tmp_path):
    listed, model = tmp_path / "list.txt", tmp_path / "m.safetensors"
    listed.write_text("new york\nbank of america\n", encoding="utf-8")
    tokens = document("tokens", text, "--phrases", listed, "--head", 1)["sequences"]
    assert tokens == [LINE.format("anna").replace("new york", "new_york").replace("k of a", "k_of_a").split()]
    training = ("--dim", 2, "--epochs", 1, "--min-count", 1, "--quiet")
    assert run("train", text, "-o", model, "--phrases", listed, *training) == (0, "", "")
    assert {"new_york", "bank_of_america"} <= set(SkipGram.load(model).vectors.tokens)
    words = document("count", text, "-o", tmp_path / "c.safetensors", "--phrases", listed, "--min-count", 1)["words"]
    corpus = FileCorpus(text, reading=Reading(phrases=Phrases.load(listed)))
    assert words == len(Vocabulary.from_corpus(corpus, 1)) < len(Vocabulary.from_corpus(text, 1))
    found = document("evaluate", model, "--perplexity", text, "--phrases", listed)["perplexity"]
    assert found[0]["perplexity"] == pytest.approx(SkipGram.load(model).perplexity(corpus))


def test_auto_finds_the_phrases_of_the_text_first(run, document, text, tmp_path):
    model = tmp_path / "m.safetensors"
    code, out, err = run("train", text, "-o", model, "--phrases", "auto", "--dim", 2, "--epochs", 1, "--min-count", 1)
    assert (code, err) == (0, "")
    expected = Phrases.from_corpus(text)
    assert out.startswith(f"found {len(expected)} phrases, such as '")
    assert "america_in_new_york" in SkipGram.load(model).vectors.tokens
    read = document("tokens", text, "--phrases", "auto")["sequences"]
    assert read == [
        Phrases.from_corpus(text).join(line.split()) for line in text.read_text(encoding="utf-8").splitlines()
    ]


def test_wrong_usage_is_named(run, usage, text, tmp_path, saved):
    message = usage("evaluate", saved, "--perplexity", text, "--phrases", "auto")
    assert "--phrases auto would find those of the text to evaluate" in message
    assert "would overwrite the input" in usage("phrases", text, "-o", text)
    (tmp_path / "common").write_text("of\n", encoding="utf-8")
    assert "would overwrite" in usage("phrases", text, "-o", tmp_path / "common", "--common", tmp_path / "common")
    for option in ("--phrases", "--drop", "--keep-only"):
        listed = tmp_path / "listed"
        listed.write_text("new york\n", encoding="utf-8")
        assert "would overwrite the input" in usage("count", text, "-o", listed, option, listed)
    assert "max_words must be from 2 to 8, got 1" in run("phrases", text, "--max-words", 1, "-o", tmp_path / "p")[2]
    assert "text is read for --perplexity and" in usage("evaluate", saved, "--analogies", text, "--phrases", text)
    assert "--counts says what was counted" in usage("train", "--counts", text, "--phrases", "auto")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "list.txt' holds no phrase"),
        (b"new_york", "list.txt', line 1: a phrase has from 2 to 8 tokens"),
        (b"a b c d e f g h i", "'a b c d e f g h i' has 9 tokens"),
        (b"new \xff", "list.txt' is not valid UTF-8 at line 1"),
    ],
)
def test_a_bad_list_is_named(run, text, tmp_path, data, message):
    (tmp_path / "list.txt").write_bytes(data)
    code, out, err = run("tokens", text, "--phrases", tmp_path / "list.txt")
    assert (code, out) == (1, "")
    assert message in err
