"""The commands that read text: train, count and demo."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from fastembed import cli, demo
from fastembed.counts import Counts
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors
from fastembed.vocabulary import Vocabulary

MODEL_KEYS = {"output", "words", "dim", "contexts", "parameters", "estimate", "history", "ledger"}
SMALL = ("--dim", 4, "--epochs", 2, "--seed", 3)


@pytest.fixture
def corpus(tmp_path):
    """300 lines: walks on a ring of 40 words, and on each line a word that comes only once."""
    rng = np.random.default_rng(0)
    walks = (rng.integers(40, size=(300, 1)) + np.cumsum(rng.integers(0, 2, size=(300, 20)), axis=1)) % 40
    lines = [" ".join(f"w{step:02d}" for step in walk) + f" once{i}" for i, walk in enumerate(walks)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def run(capsys, *argv):
    """Return the exit code, stdout and stderr of a command line."""
    code = cli.main([str(argument) for argument in argv])
    return code, *capsys.readouterr()


def usage(capsys, *argv):
    """Return what a wrong command line says, after checking its exit code."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in argv])
    assert caught.value.code == 2
    return " ".join(capsys.readouterr().err.split())


# ------------------------------------------------------------------------------------------------ train


def test_train_writes_the_whole_model(capsys, tmp_path, corpus):
    output = tmp_path / "out.safetensors"
    options = ("--dim", 8, "--window", 2, "--epochs", 3, "--seed", 4, "--threads", 1, "--max-contexts", 30)
    code, out, err = run(capsys, "train", corpus, "-o", output, *options)
    assert (code, err) == (0, "")  # no bars: stderr is not a terminal
    lines = out.splitlines()
    assert len(lines) == 5
    size = r"training 40 words, 60 outputs, [\d,]+ counts: about \d+ GFLOP and \d+ MB of memory"
    assert re.fullmatch(size, lines.pop(0))
    for line in lines[:3]:
        assert re.fullmatch(r"epoch +\d of 3   nll [\d.]+   perplexity [\d,.]+   [\d.]+ s", line)
    assert lines[3].startswith(f"wrote {output}: 40 vectors of 8 numbers; read 6,300 tokens")
    assert "300" in lines[3].split("dropped")[1]
    vectors = Vectors.load(output)
    assert vectors.matrix.shape == (40, 8)
    assert {token for token, _ in vectors.most_similar("w10", topn=4)} & {"w09", "w11"}
    model = SkipGram.load(output)
    assert (model.dim, model.window, model.seed, model.max_contexts_) == (8, 2, 4, 30)
    assert len(model.history) == 3
    assert run(capsys, "train", corpus, "-o", tmp_path / "again", "--quiet", *options) == (0, "", "")
    np.testing.assert_array_equal(Vectors.load(tmp_path / "again").matrix, vectors.matrix)


def test_train_as_json(capsys, tmp_path, corpus):
    output = tmp_path / "v.safetensors"
    code, out, err = run(capsys, "train", corpus, "-o", output, *SMALL, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found.keys() == MODEL_KEYS
    assert (found["output"], found["words"], found["dim"], found["contexts"]) == (str(output), 40, 4, 40)
    assert found["parameters"] == SkipGram(dim=4, epochs=2, seed=3).get_params()
    assert [record["epoch"] for record in found["history"]] == [1, 2]
    assert found["history"] == SkipGram.load(output).history
    assert found["estimate"]["flops"] > 0
    assert found["estimate"]["memory"] > 0
    assert found["ledger"]["tokens_read"] == 6300


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ("", {}),
        ("--sample none --max-contexts none --max-size 20", {"sample": None, "max_contexts": None, "max_size": 20}),
        ("--window 0,2 --weighting flat", {"window": (0, 2), "weighting": "flat"}),
        ("--no-directed", {"directed": False}),
        ("--min-count 1 --memory-limit 1M", {"min_count": 1}),
        ("--early-stopping --validation-fraction 0.2", {"early_stopping": True, "validation_fraction": 0.2}),
        ("--early-stopping --patience 1", {"early_stopping": True, "n_iter_no_change": 1}),
        ("--early-stopping --memory-limit 1M", {"early_stopping": True}),
    ],
)
def test_options_are_the_parameters_of_skipgram(capsys, tmp_path, corpus, options, parameters):
    assert run(capsys, "train", corpus, "-o", tmp_path / "v", *SMALL, "--quiet", *options.split()) == (0, "", "")
    expected = SkipGram(dim=4, epochs=2, seed=3, **parameters).fit(str(corpus))
    found = SkipGram.load(tmp_path / "v")
    assert found.vectors.tokens == expected.vectors.tokens
    np.testing.assert_array_equal(found.vectors.matrix, expected.vectors.matrix)


def test_the_memory_limit_reaches_the_counts(capsys, tmp_path, corpus, monkeypatch):
    limits = []

    def from_corpus(*args, real=Counts.from_corpus, **options):
        limits.append(options["memory_limit"])
        return real(*args, **options)

    monkeypatch.setattr(Counts, "from_corpus", from_corpus)
    for more in ((), ("--early-stopping",)):
        argv = ("train", corpus, "-o", tmp_path / "v", *SMALL, "--quiet", "--memory-limit", "2M", *more)
        assert run(capsys, *argv) == (0, "", "")
    assert limits == [2_000_000] * 3


def test_early_stopping_shows_the_lines_held_out(capsys, tmp_path, corpus):
    argv = ("train", corpus, "-o", tmp_path / "v", *SMALL, "--epochs", 60, "--early-stopping", "--patience", 1)
    code, out, _ = run(capsys, *argv)
    assert code == 0
    epochs = [line for line in out.splitlines() if line.startswith("epoch")]
    assert all(re.search(r"validation nll \d+\.\d{4}", line) for line in epochs)
    assert len(epochs) < 60


def test_training_that_does_not_fit_is_one_line(capsys, tmp_path, corpus, monkeypatch):
    monkeypatch.setattr("fastembed.skipgram.estimate.free_memory", lambda: 5000)
    code, out, err = run(capsys, "train", corpus, "-o", tmp_path / "v")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: training 40 words on 80 outputs in 100 dimensions takes about .*\n", err)
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--patience", "3"], "nothing is held out without --early-stopping, so --patience cannot be given as well"),
        (["--grow-vocabulary"], "a new model is learned from text, so --grow-vocabulary cannot"),
        (["--validation-counts", "c"], "so --validation-counts cannot be given"),
        (["--counts", "c"], "so FILE cannot be given"),
        (["--continue", "m", "--dim", "3", "--no-directed"], "so --dim, --directed cannot be given"),
        (["--continue", "m", "--min-count", "3"], "so --min-count cannot be given"),
        (["-o", "v.vec"], "a model is a .safetensors file, got 'v.vec'; `export` writes others"),
        (["-o", "v.pkl"], "a model is a .safetensors file, got 'v.pkl'"),
    ],
)
def test_options_that_exclude_each_other(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in usage(capsys, "train", "f", *argv)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--window", "8", "--lowercase"], "so --lowercase, --window cannot be given"),
        (["--continue", "m"], "so --continue cannot be given"),
        (["--memory-limit", "1G"], "so --memory-limit cannot be given"),
        (["--early-stopping"], "--early-stopping needs --validation-counts"),
    ],
)
def test_options_that_counts_exclude(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in usage(capsys, "train", "--counts", "c", *argv)


@pytest.mark.parametrize("command", ["train", "count"])
def test_what_is_read_is_not_written_over(capsys, tmp_path, corpus, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "text").write_bytes(corpus.read_bytes())
    for source in ("folder", "folder/text", "./folder/../folder/t*"):
        assert "to be written, would replace" in usage(capsys, command, source, "-o", tmp_path / "folder" / "text")
    assert (tmp_path / "folder" / "text").read_bytes() == corpus.read_bytes()


# ------------------------------------------------------------------------------------------------ train --continue


def test_training_goes_on_where_it_was(capsys, tmp_path, corpus):
    half, whole = corpus.read_text(encoding="utf-8").splitlines()[:150], tmp_path / "m.safetensors"
    (tmp_path / "half").write_text("\n".join(half), encoding="utf-8")
    assert run(capsys, "train", corpus, "-o", whole, *SMALL, "--quiet") == (0, "", "")
    expected = SkipGram.load(whole).set_params(epochs=1).partial_fit(tmp_path / "half")
    argv = ("train", tmp_path / "half", "--continue", whole, "-o", whole, "--epochs", 1)
    code, out, err = run(capsys, *argv)
    assert (code, err) == (0, "")
    assert "training 40 words, 80 outputs" in out
    assert "epoch  1 of 1" in out
    found = SkipGram.load(whole)
    np.testing.assert_array_equal(found.vectors.matrix, expected.vectors.matrix)
    assert [record["epoch"] for record in found.history] == [1, 2, 1]


def test_a_model_that_stopped_early_does_so_again(capsys, tmp_path, corpus):
    model, more = tmp_path / "m", ("--epochs", 1, "--memory-limit", "1M")
    assert run(capsys, "train", corpus, "-o", model, *SMALL, "--early-stopping", "--quiet") == (0, "", "")
    argv = ("train", corpus, "--continue", model, "-o", tmp_path / "n", *more)
    assert "validation nll" in run(capsys, *argv, "--patience", 3)[1]
    assert SkipGram.load(tmp_path / "n").n_iter_no_change == 3
    assert "validation nll" not in run(capsys, *argv, "--no-early-stopping")[1]
    assert "so --patience cannot" in usage(capsys, *argv, "--no-early-stopping", "--patience", 3)


def test_the_vocabulary_grows_if_it_is_to(capsys, tmp_path, corpus):
    (tmp_path / "more").write_text("w01 new w02\n" * 4 + "w01 rare w02\n", encoding="utf-8")
    model = tmp_path / "m.safetensors"
    assert run(capsys, "train", corpus, "-o", model, *SMALL, "--quiet") == (0, "", "")
    more = ("train", tmp_path / "more", "--continue", model, "-o", tmp_path / "n", "--quiet")
    assert run(capsys, *more) == (0, "", "")
    assert len(Vectors.load(tmp_path / "n")) == 40
    assert run(capsys, *more, "--grow-vocabulary", "--min-count", 4) == (0, "", "")
    assert Vectors.load(tmp_path / "n").tokens[40:] == ("new",)


def test_only_a_model_goes_on(capsys, tmp_path, corpus):
    Vectors(["w01", "w02"], np.eye(2)).save(tmp_path / "v.safetensors")
    code, out, err = run(capsys, "train", corpus, "--continue", tmp_path / "v.safetensors", "-o", tmp_path / "m")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: .*v\.safetensors' holds vectors alone and no model.*\n", err)


# ------------------------------------------------------------------------------------------------ count


def test_counting_and_training_on_counts_is_training(capsys, tmp_path, corpus):
    options = ("--min-count", 2, "--window", 3, "--sample", "none", "--no-directed")
    assert run(capsys, "train", corpus, "-o", tmp_path / "a", *options, *SMALL)[0] == 0
    code, out, err = run(capsys, "count", corpus, "-o", tmp_path / "counts", *options, "--memory-limit", "100M")
    assert (code, err) == (0, "")
    assert re.search(r"wrote .*counts: [\d,]+ counts of [\d,]+ tokens and [\d,]+ contexts; read [\d,]+ tokens in", out)
    code, out, err = run(capsys, "train", "--counts", tmp_path / "counts", "-o", tmp_path / "b", *SMALL)
    assert (code, err) == (0, "")
    assert re.search(r"wrote .*b: [\d,]+ vectors of 4 numbers; read [\d,]+ tokens in", out)
    a, b = (SkipGram.load(tmp_path / name) for name in "ab")
    assert a.vectors.tokens == b.vectors.tokens
    assert np.array_equal(a.vectors.matrix, b.vectors.matrix)
    assert b.windows_ == a.windows_


def test_early_stopping_on_counts(capsys, tmp_path, corpus):
    for name in ("c", "d"):
        assert run(capsys, "count", corpus, "-o", tmp_path / name, "--quiet") == (0, "", "")
    counts = ("--counts", tmp_path / "c", "--validation-counts", tmp_path / "d")
    code, out, err = run(capsys, "train", *counts, "--early-stopping", "-o", tmp_path / "m", *SMALL)
    assert (code, err) == (0, "")
    assert "validation nll" in out
    code, out, err = run(capsys, "train", *counts, "-o", tmp_path / "m", *SMALL)
    assert (code, err) == (0, "")
    assert "validation nll" in out
    for name in "cd":
        assert "to be written, would replace" in usage(capsys, "train", *counts, "-o", tmp_path / name)


def test_count_as_json(capsys, tmp_path, corpus):
    code, out, err = run(capsys, "count", corpus, "-o", tmp_path / "counts", "--json")
    assert (code, err) == (0, "")
    found, counts = json.loads(out), Counts.load(tmp_path / "counts")
    assert found.keys() == {"output", "words", "contexts", "nnz", "total", "ledger"}
    assert (found["words"], found["contexts"], found["nnz"]) == (*counts.shape, counts.nnz)
    assert found["total"] == pytest.approx(counts.total)
    assert found["ledger"]["dropped"]["below min_count=5"] == 300


def test_baskets_and_the_next_item_only(capsys, tmp_path, corpus):
    counts = tmp_path / "counts"
    assert run(capsys, "count", corpus, "-o", counts, "--baskets", "share", "--min-count", 1, "--quiet") == (0, "", "")
    assert Counts.load(counts).windows is None
    vectors = tmp_path / "vectors"
    assert run(capsys, "train", "--counts", counts, "-o", vectors, "--dim", 3, "--epochs", 1, "--quiet") == (0, "", "")
    assert run(capsys, "count", corpus, "-o", counts, "--window", "0,1", "--min-count", 1, "--quiet") == (0, "", "")
    assert Counts.load(counts).windows.window == (0, 1)
    message = usage(capsys, "count", corpus, "-o", counts, "--baskets", "flat", "--window", 5, "--no-directed")
    assert "all pairs of a basket count, so --directed, --window cannot be given" in message


def test_the_size_of_the_vocabulary_and_a_memory_limit(capsys, tmp_path, corpus):
    for more in ((), ("--baskets", "flat")):
        argv = ("count", corpus, "-o", tmp_path / "counts", "--max-size", 7, "--memory-limit", "1M", *more)
        code, out, err = run(capsys, *argv)
        assert (code, err) == (0, "")
        assert re.search(r"of 7 tokens and (7|14) contexts; .* over max_size=7\)$", out.strip())


@pytest.mark.parametrize("more", [(), ("--baskets", "flat")])
def test_a_text_that_changes_between_its_two_readings(capsys, tmp_path, corpus, monkeypatch, more):
    text = tmp_path / "text"
    text.write_bytes(corpus.read_bytes())

    def cut(*args, real=Vocabulary.from_corpus, **options):
        vocabulary = real(*args, **options)
        text.write_text("w01 w02\n", encoding="utf-8")
        return vocabulary

    monkeypatch.setattr(Vocabulary, "from_corpus", cut)
    code, out, err = run(capsys, "count", text, "-o", tmp_path / "counts", "--min-count", 1, *more)
    assert (code, out) == (1, "")
    assert "the text changed between its two readings, from 6,300 tokens to 2" in err
    assert not (tmp_path / "counts").exists()


def test_options_of_the_text(capsys, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "text").write_bytes(b"The-cat SAT\xff\nthe-CAT\n")
    argv = ("count", tmp_path / "texts", "-o", tmp_path / "counts", "--min-count", 1, "--quiet", "--lowercase")
    code, _, err = run(capsys, *argv, "--token-pattern", "[a-z]+")
    assert code == 1
    assert "not valid UTF-8 at line 1, byte 11" in err
    assert run(capsys, *argv, "--token-pattern", "[a-z]+", "--replace-invalid") == (0, "", "")
    assert Counts.load(tmp_path / "counts").vocabulary.tokens == ("cat", "the", "sat")


# ------------------------------------------------------------------------------------------------ demo


@pytest.fixture
def small_library(tmp_path, monkeypatch):
    """Let the demo read a library of one module."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "a.py").write_text('"""' + "bind the socket, take the lock; " * 9 + '"""', encoding="utf-8")
    small = demo.standard_library(tmp_path / "library")
    monkeypatch.setattr(demo, "standard_library", lambda: small)


@pytest.mark.usefixtures("small_library")
def test_demo(capsys, tmp_path):
    argv = ("demo", "-o", tmp_path / "v.safetensors", "--dim", 3)
    code, out, err = run(capsys, *argv)
    assert (code, err) == (0, "")
    assert "socket" in out
    assert "epoch  5 of 5" in out
    assert "socket" in SkipGram.load(tmp_path / "v.safetensors").vectors
    assert "so --patience cannot be given" in usage(capsys, *argv, "--patience", 2)
    assert "a model is a .safetensors file, got" in usage(capsys, "demo", "-o", tmp_path / "v.txt")
    assert run(capsys, *argv, "--quiet") == (0, "", "")
    code, out, err = run(capsys, *argv, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found.keys() == MODEL_KEYS | {"neighbors"}
    assert found["neighbors"].keys() == {"socket", "lock"}
    assert found["neighbors"]["lock"][0].keys() == {"word", "score"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_training_goes_on_when_nobody_reads_its_lines(corpus, tmp_path):
    """A pipe that closes early ends with code 1, and with the model saved."""
    model = tmp_path / "model.safetensors"
    options = ["--min-count", "1", "--dim", "2", "--epochs", "40"]
    command = [sys.executable, "-P", "-m", "fastembed", "train", str(corpus), "-o", str(model), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
    assert len(SkipGram.load(model).history) == 40
