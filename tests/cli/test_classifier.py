"""The commands of classifiers: train-classifier, predict, test, explain."""

import io
import json
import sys
from types import SimpleNamespace

import pytest

from fastembed import Classifier

LINES = ["__label__x cats and dogs", "__label__y saws and axes", "__label__x a dog", "__label__y an axe", "no label"]


@pytest.fixture
def train(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def classifier(tmp_path, train, run):
    path = tmp_path / "c.safetensors"
    assert run("train-classifier", train, "-o", path, "--quiet")[0] == 0
    return path


def test_training_prints_its_epochs_and_the_ledger(run, train, tmp_path):
    code, out, err = run("train-classifier", train, "-o", tmp_path / "c.safetensors", "--epochs", 2, "--ngrams", 1)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("epoch  1 of 2   nll ")
    assert "2 labels, 0 of them seen once; 11 features; read 12 tokens in 5 lines" in out
    assert "skipped 1 rows (1 without a label)" in out


def test_json_of_training(document, train, tmp_path):
    path = tmp_path / "c.safetensors"
    found = document("train-classifier", train, "-o", path, "--rows", "int8", "--chars", "2,3")
    assert (found["labels"], found["parameters"]["chars"]) == (2, [2, 3])
    assert Classifier.load(path).classes_.tolist() == ["x", "y"]


def test_lines_are_predicted_as_by_the_model(run, classifier, train, monkeypatch):
    model = Classifier.load(classifier)
    train.write_text("__label__x cats and dogs\nunheard __label__y\naxe", encoding="utf-8")
    texts = ["cats and dogs", "unheard", "axe"]
    with pytest.warns(UserWarning, match="no known feature"):
        answers = model.predict_top(texts, k=2)
    expected = ["  ".join(f"{label} {p:.4f}" for label, p in answer) for answer in answers]
    code, out, err = run("predict", classifier, train, "-n", 2)
    assert (code, out.splitlines()) == (0, expected)
    assert "1 of 3 documents have no known feature" in err
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a dog\nan axe")))
    code, out, err = run("predict", classifier, "--json", "--threshold", 0.5)
    assert [json.loads(line)["labels"][0]["label"] for line in out.splitlines()] == ["x", "y"]


def test_a_test_prints_precision_and_recall(run, document, classifier, train):
    code, out, err = run("test", classifier, train)
    assert (code, err) == (0, "")
    assert out.startswith("4 documents   P@1 1.0000   R@1 1.0000   F1 1.0000   nll ")
    assert document("test", classifier, train, "-n", 2)["precision"] == 0.5


def test_an_explanation_adds_up(run, document, classifier):
    found = document("explain", classifier, "a dog", "-n", 1)["labels"][0]
    assert sum(each["share"] for each in found["features"]) + found["bias"] == pytest.approx(found["logit"])
    code, out, _ = run("explain", classifier, "a dog")
    assert (code, out.split()[0]) == (0, "x")


def test_wrong_usage_is_named(usage, classifier, train, model):
    assert "only a classifier answers with labels, so --threshold" in usage("predict", model, "cat", "--threshold", 0.5)
    assert "give a WORD" in usage("predict", model)
    assert "a classifier reads one file" in usage("predict", classifier, "a", "b")
    assert "so --side cannot be given" in usage("predict", classifier, train, "--side", "before")
    assert "nothing is held out" in usage("train-classifier", train, "--patience", 3)
