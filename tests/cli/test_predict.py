"""The command predict."""

import io
import json
import sys
from types import SimpleNamespace

import pytest

from fastembed.skipgram import SkipGram


@pytest.fixture
def stdin(monkeypatch):
    """Put bytes into standard input."""
    return lambda content: monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_words_are_one_query(run, model):
    code, out, err = run("predict", model, "cat", "dog", "-n", 2)
    assert (code, err) == (0, "")
    first, *answers = out.splitlines()
    assert first == "cat dog"
    expected = SkipGram.load(model).predict_output(["cat", "dog"], topn=2)
    assert [line.split() for line in answers] == [[word, f"{p:.4f}"] for word, p in expected]


@pytest.mark.parametrize("side", [None, "before", "after"])
def test_json_has_the_words_and_what_is_predicted(document, model, side):
    found = document("predict", model, "cat", *(["--side", side] if side else []))
    answers = SkipGram.load(model).predict_output(["cat"], side=side)
    assert found == {
        "model": str(model),
        "side": side,
        "queries": [{"words": ["cat"], "predicted": [{"word": word, "score": p} for word, p in answers]}],
        "unknown": [],
    }


def test_lines_of_standard_input_are_queries(document, model, stdin):
    stdin(b"cat dog\n\n  the \r\ncat")
    found = document("predict", model, "-")["queries"]
    assert [query["words"] for query in found] == [["cat", "dog"], ["the"], ["cat"]]
    assert "cat" not in {answer["word"] for answer in found[2]["predicted"]}


def test_unknown_words_of_standard_input_are_left_out_and_named(run, model, stdin):
    stdin(b"cat whale\nunicorn\ncat")
    code, out, err = run("predict", model, "-", "--json")
    mixed, unknown, known = json.loads(out)["queries"]
    assert json.loads(out)["unknown"] == ["whale", "unicorn"]
    assert code == 1
    assert err.splitlines() == [
        f"fastembed: error: '{word}' is unknown and was left out" for word in ("whale", "unicorn")
    ]
    assert mixed["predicted"] == known["predicted"] != []
    assert unknown["predicted"] == []


def test_an_unknown_word_of_the_command_line_is_an_error(run, model):
    code, out, err = run("predict", model, "cet")
    assert (code, out) == (1, "")
    assert "'cet' is not among the 6 tokens; the closest spellings are 'cat'" in err


def test_a_model_is_needed(run, saved):
    code, out, err = run("predict", saved, "king")
    assert (code, out) == (1, "")
    assert "predict needs a model that `train` wrote" in err
