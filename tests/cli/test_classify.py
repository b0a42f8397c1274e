"""The commands of classifiers: train-classifier, test, predict."""

import csv
import gzip
import json
import sys
from types import SimpleNamespace

import pytest

from fastembed import Classifier, cli

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


def test_info_names_a_classifier_and_a_large_one_says_how_to_be_smaller(run, train, classifier, monkeypatch):
    model = Classifier.load(classifier)
    shown = run("info", classifier)[1].splitlines()[1]
    assert shown == f"{model}: 2 labels, {model.n_features_} features, read as {model.reading_}"
    monkeypatch.setattr("fastembed.cli.classify.LARGE", 1)
    out = run("train-classifier", train, "-o", classifier)[1]
    assert f"{model.n_features_} features (fewer, and a smaller file, with --min-count 2), " in out
    assert f", {classifier.stat().st_size:,} bytes; read " in out


def test_training_prints_its_epochs_and_the_ledger(run, train, tmp_path):
    path = tmp_path / "c"  # of safetensors, without a suffix
    options = "--epochs 2 --ngrams 1 --chars 2-3"
    code, out, _ = run("train-classifier", train, "-o", path, *options.split())
    assert code == 0
    assert out.splitlines()[0].startswith("training ")
    assert out.splitlines()[1].startswith("epoch  1 of at most 2   loss ")
    assert "; read 10 tokens in 4 documents" in out
    assert "skipped 1 row (1 without a label)" in out
    model = Classifier.load(path)
    assert (model.classes_.tolist(), model.chars, model.ngrams) == (["x", "y"], (2, 3), 1)


def test_lines_are_predicted_as_by_the_model(run, classifier, train, stdin, set_constant):
    model = Classifier.load(classifier)
    train.write_text("__label__x cats and dogs\nunheard __label__y\naxe", encoding="utf-8")
    texts = ["cats and dogs", "unheard", "axe"]
    with pytest.warns(UserWarning, match="no known feature"):
        answers = model.predict_top(texts, k=2)
    expected = ["  ".join(f"{label} {p:.4f}" for label, p in answer) for answer in answers]
    code, out, err = run("predict", classifier, train, "-n", 2)
    assert (code, out.splitlines()) == (0, expected)
    assert "1 of 3 documents have no known feature" in err
    set_constant("fastembed.cli.classify.CHUNK_BYTES", 8)
    assert run("predict", classifier, train, "-n", 2)[1:] == (out, err)  # also in parts: one warning
    stdin(b"a dog\nan axe")
    code, out, err = run("predict", classifier, "--json", "--threshold", 0.5)
    assert [json.loads(line)["labels"][0]["label"] for line in out.splitlines()] == ["x", "y"]


def test_lines_of_standard_input_are_answered_as_they_come(classifier, monkeypatch, capsys):
    """A pipe gives parts of lines, and many lines together: complete lines are answered before more is read."""
    parts = [b"a dog\n", b"an axe\na", b" do", b"g\nan axe\na dog\n", b"\n", b"an axe", b""]
    answered = []

    def read(_):
        answered.extend(line.split()[0] for line in capsys.readouterr().out.splitlines())
        lengths.append(len(answered))
        return parts[len(lengths) - 1]

    lengths = []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read1=read)))
    assert cli.main(["predict", str(classifier)]) == 0
    answered += [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert lengths == [0, 1, 2, 2, 5, 6, 6]
    assert answered == ["x", "y", "x", "y", "x", "x", "y"]


def test_compressed_files_in_folders_are_predicted_and_bytes_that_are_not_utf8_named(run, classifier, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "t.txt.gz").write_bytes(gzip.compress(b"a dog\nan axe\n"))
    assert [line.split()[0] for line in run("predict", classifier, folder)[1].splitlines()] == ["x", "y"]
    (folder / "t.txt.gz").write_bytes(gzip.compress(b"a dog\nan \xff axe\n"))
    code, out, err = run("predict", classifier, folder)
    assert (code, out, "line 2, byte 9" in err) == (1, "", True)


def test_structured_files_are_learned_tested_and_predicted(run, document, tmp_path):
    path, model = tmp_path / "t.csv", tmp_path / "m.safetensors"
    rows = [("a dog, running", "x"), ("an axe", "y"), ("dog", "x"), ('the "axe"', "y"), ("owl", "")]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([("body", "topic"), *rows])
    fields = ("--field", "body", "--label", "topic")
    code, _, err = run("train-classifier", path, "-o", model, *fields)
    assert (code, f"{str(path)!r}, line 6: " in err) == (1, True)
    fields += ("--skip-bad",)
    code, out, _ = run("train-classifier", path, "-o", model, *fields)
    assert (code, "2 labels;" in out) == (0, True)
    assert document("test", model, path, *fields)["documents"] == 4
    found = run("predict", model, path, "--field", "body")[1].splitlines()
    assert [line.split()[0] for line in found[:4]] == ["x", "y", "x", "y"]
    assert len(found) == 5
    bare = tmp_path / "bare.csv"
    bare.write_bytes(path.read_bytes().split(b"\r\n", 1)[1])
    assert run("predict", model, bare, "--field", "1", "--no-header")[1].splitlines() == found


def test_a_test_prints_precision_and_recall(run, document, classifier, train):
    assert run("test", classifier, train)[1].startswith("4 documents   P@1 1.0000   R@1 1.0000   F1 1.0000   nll ")
    assert document("test", classifier, train, "-n", 2)["precision"] == 0.5
