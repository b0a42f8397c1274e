"""The command neighbors."""

import io
import json
import sys
from types import SimpleNamespace

import pytest

from fastembed.vectors import Vectors


def test_every_word_is_a_query(run, saved):
    code, out, err = run("neighbors", saved, "king", "man", "-n", 2)
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["king"],
        ["man", "0.7071"],
        ["queen", "0.5000"],
        ["man"],
        ["king", "0.7071"],
        ["woman", "0.0000"],
    ]


def test_words_together_or_with_negative_ones_are_one_query(run, document, saved):
    found = document("neighbors", saved, "king", "woman", "--negative", "man", "--topn", 1)
    assert found.keys() == {"vectors", "queries", "composed", "unknown"}
    assert found["vectors"] == str(saved)
    (query,) = found["queries"]
    score = Vectors.load(saved).most_similar(["king", "woman"], ["man"], topn=1)[0][1]
    neighbors = [{"word": "queen", "score": pytest.approx(score)}]
    assert query == {"positive": ["king", "woman"], "negative": ["man"], "neighbors": neighbors}
    (query,) = document("neighbors", saved, "king", "queen", "--together")["queries"]
    assert [near["word"] for near in query["neighbors"]] == ["man", "woman"]
    code, out, _ = run("neighbors", saved, "king", "--negative", "man", "-n", 1)
    assert code == 0
    assert out.splitlines()[0] == "king -man"


def test_restrict_searches_only_the_first_words(document, saved):
    (query,) = document("neighbors", saved, "king", "--restrict", 2)["queries"]
    assert [near["word"] for near in query["neighbors"]] == ["man", "woman"]


def test_among_few_words_each_query_has_its_whole_answer(document, saved):
    queries = document("neighbors", saved, "man", "king", "--restrict", 2)["queries"]
    found = [[near["word"] for near in query["neighbors"]] for query in queries]
    assert found == [["woman"], ["man", "woman"]]


def stdin(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_queries_of_standard_input_have_the_answers_that_they_have_alone(document, saved, monkeypatch):
    """Each query has the same result as alone, with or without a batch search."""
    stdin(monkeypatch, b"king\n\n  man  king \r\nking woman\tman\n\tman\nqueen")
    found = document("neighbors", saved, "-", "-n", 2)["queries"]
    vectors = Vectors.load(saved)
    expected = [(["king"], []), (["man", "king"], []), (["king", "woman"], ["man"]), ([], ["man"]), (["queen"], [])]
    assert [(query["positive"], query["negative"]) for query in found] == expected
    for query in found:
        alone = vectors.most_similar(query["positive"], query["negative"], topn=2)
        assert [(near["word"], near["score"]) for near in query["neighbors"]] == [
            (word, pytest.approx(score)) for word, score in alone
        ]


def test_errors_of_standard_input_are_one_line(run, document, usage, saved, monkeypatch):
    stdin(monkeypatch, b"\n")
    assert document("neighbors", saved, "-")["queries"] == []
    stdin(monkeypatch, b"k\xff")
    code, out, err = run("neighbors", saved, "-")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "standard input is not UTF-8" in err
    assert "so --together cannot be given as well" in usage("neighbors", saved, "-", "--together")


def test_queries_with_an_unknown_word_are_named_and_the_others_answered(run, saved, monkeypatch):
    stdin(monkeypatch, b"quen\nking\nman king\tzzzz\n")
    code, out, err = run("neighbors", saved, "-", "-n", 1)
    assert (code, out) == (1, run("neighbors", saved, "king", "-n", 1)[1])
    assert err.splitlines() == [
        "fastembed: error: 'quen' is not among the 4 tokens; the closest spellings are 'queen'",
        "fastembed: error: 'zzzz' is not among the 4 tokens",
    ]
    stdin(monkeypatch, b"quen\nking\n")
    code, out, _ = run("neighbors", saved, "-", "--json")
    found = json.loads(out)
    assert (code, len(found["queries"]), len(found["unknown"])) == (1, 1, 1)
    assert found["queries"][0]["positive"] == ["king"]
    code, out, err = run("neighbors", saved, "zzzz")
    assert (code, out, err) == (1, "", "fastembed: error: 'zzzz' is not among the 4 tokens\n")


def test_words_that_are_composed_are_named_and_of_what(run, document, composing):
    vectors = Vectors.load(composing)
    code, out, err = run("neighbors", composing, "king", "manly", "manly", "-n", 1)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[::2]] == ["king", "manly", "manly"]
    shares = sorted(vectors.subwords("manly"), key=lambda pair: -abs(pair[1]))
    shown = ", ".join(f"{ngram} ({share:.2f})" for ngram, share in shares[:5])
    assert err == (
        "fastembed: note: 'manly' is not among the words; "
        f"its vector was composed of its n-grams {shown} and {len(shares) - 5} more\n"
    )
    found = document("neighbors", composing, "king", "manly", "-n", 1)
    assert found["unknown"] == []
    (composed,) = found["composed"]
    assert composed["word"] == "manly"
    assert [(each["ngram"], each["share"]) for each in composed["ngrams"]] == vectors.subwords("manly")
    ((word, score),) = vectors.most_similar("manly", topn=1)
    assert found["queries"][1]["neighbors"] == [{"word": word, "score": pytest.approx(score)}]


def test_a_word_without_ngrams_has_no_answer(run, composing):
    code, out, err = run("neighbors", composing, "x", "manly", "-n", 1)
    assert code == 1
    assert out.splitlines()[0] == "manly"
    assert err.splitlines()[0] == "fastembed: error: 'x' is not among the 4 tokens"
