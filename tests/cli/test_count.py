"""The command count."""

import json
import re

import pytest

from fastembed.counts import Counts
from fastembed.skipgram import SkipGram
from fastembed.vocabulary import Vocabulary


def test_count_prints_json(run, tmp_path, corpus):
    code, out, err = run("count", corpus, "-o", tmp_path / "counts", "--json")
    assert (code, err) == (0, "")
    found, counts = json.loads(out), Counts.load(tmp_path / "counts")
    assert found.keys() == {"output", "words", "contexts", "nnz", "total", "ledger"}
    assert (found["words"], found["contexts"], found["nnz"]) == (*counts.shape, counts.nnz)
    assert found["total"] == pytest.approx(counts.total)
    assert found["ledger"]["dropped"]["below min_count=5"] == 300


def test_baskets_and_windows_on_one_side_are_counted(run, usage, tmp_path, corpus):
    counts = tmp_path / "counts"
    assert run("count", corpus, "-o", counts, "--baskets", "share", "--min-count", 1, "--quiet") == (0, "", "")
    assert Counts.load(counts).windows is None
    vectors = tmp_path / "vectors"
    assert run("train", "--counts", counts, "-o", vectors, "--dim", 3, "--epochs", 1, "--quiet") == (0, "", "")
    assert run("count", corpus, "-o", counts, "--window", "0,1", "--min-count", 1, "--quiet") == (0, "", "")
    assert Counts.load(counts).windows.window == (0, 1)
    message = usage("count", corpus, "-o", counts, "--baskets", "flat", "--window", 5, "--no-directed")
    assert "all pairs of a basket count, so --directed, --window cannot be given" in message


def test_max_size_and_memory_limit_apply_to_windows_and_baskets(run, tmp_path, corpus):
    for more in ((), ("--baskets", "flat")):
        argv = ("count", corpus, "-o", tmp_path / "counts", "--max-size", 7, "--memory-limit", "1M", *more)
        code, out, err = run(*argv)
        assert (code, err) == (0, "")
        assert re.search(r"of 7 tokens and (7|14) contexts; .* over max_size=7\)$", out.strip())


@pytest.mark.parametrize("more", [(), ("--baskets", "flat")])
def test_a_text_that_changes_between_its_two_readings_is_an_error(run, tmp_path, corpus, monkeypatch, more):
    text = tmp_path / "text"
    text.write_bytes(corpus.read_bytes())

    def cut(*args, real=Vocabulary.from_corpus, **options):
        vocabulary = real(*args, **options)
        text.write_text("w01 w02\n", encoding="utf-8")
        return vocabulary

    monkeypatch.setattr(Vocabulary, "from_corpus", cut)
    code, out, err = run("count", text, "-o", tmp_path / "counts", "--min-count", 1, *more)
    assert (code, out) == (1, "")
    assert "the text changed between its two readings, from 6,300 tokens to 2" in err
    assert not (tmp_path / "counts").exists()


def test_options_of_reading_reach_the_corpus(run, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "text").write_bytes(b"The-cat SAT\xff\nthe-CAT\n")
    argv = ("count", tmp_path / "texts", "-o", tmp_path / "counts", "--min-count", 1, "--quiet", "--lowercase")
    code, _, err = run(*argv, "--token-pattern", "[a-z]+")
    assert code == 1
    assert "not valid UTF-8 at line 1, byte 11" in err
    assert run(*argv, "--token-pattern", "[a-z]+", "--replace-invalid") == (0, "", "")
    assert Counts.load(tmp_path / "counts").vocabulary.tokens == ("cat", "the", "sat")


def test_a_model_of_a_store_is_the_one_of_a_file(run, tmp_path, corpus):
    file, folder = tmp_path / "file", tmp_path / "folder.counts"
    assert run("count", corpus, "-o", file, "--quiet") == (0, "", "")
    assert run("count", corpus, "-o", folder, "--store", "--quiet") == (0, "", "")
    assert Counts.open(folder).nnz == Counts.load(file).nnz
    models = []
    for counts in (file, folder):
        model = tmp_path / f"{counts.name}.safetensors"
        argv = ("train", "--counts", counts, "--validation-counts", counts, "-o", model, "--dim", 3, "--quiet")
        assert run(*argv) == (0, "", "")
        models.append(SkipGram.load(model))
    assert (models[0].vectors.matrix == models[1].vectors.matrix).all()
    assert models[0].counts_sha256_ == models[1].counts_sha256_


def test_a_store_is_not_written_over_other_files(run, tmp_path, corpus):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "novel.txt").write_text("a b", encoding="utf-8")
    code, out, err = run("count", corpus, "-o", tmp_path / "texts", "--store", "--quiet")
    assert (code, out) == (1, "")
    assert "holds other files, such as 'novel.txt'" in err
