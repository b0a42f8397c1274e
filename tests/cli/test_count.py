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


def test_a_store_is_counted_within_a_limit_to_the_same_bytes(run, tmp_path, corpus):
    argv = ("count", corpus, "--store", "--quiet", "-o")
    assert run(*argv, tmp_path / "a") == (0, "", "")
    assert run(*argv, tmp_path / "b", "--memory-limit", "1M") == (0, "", "")
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "ab"]
    assert files[0] == files[1]


def test_text_and_stores_have_urls(run, tmp_path, corpus):
    fsspec = pytest.importorskip("fsspec", reason="needs the extra [remote]")
    system = fsspec.filesystem("memory")
    system.pipe_file("/cli/text.txt", corpus.read_bytes())
    assert run("count", "memory://cli/text.txt", "-o", "memory://cli/a.counts", "--store", "--quiet") == (0, "", "")
    assert run("count", corpus, "-o", tmp_path / "counts", "--quiet") == (0, "", "")
    argv = ("train", "--dim", 3, "--quiet", "-o")
    assert run(*argv, tmp_path / "a", "--counts", "memory://cli/a.counts") == (0, "", "")
    assert run(*argv, tmp_path / "b", "--counts", tmp_path / "counts") == (0, "", "")
    assert run(*argv, tmp_path / "c", "memory://cli/text.txt", "--checkpoint", tmp_path / "k") == (0, "", "")
    matrices = [SkipGram.load(tmp_path / name).vectors.matrix for name in "abc"]
    assert (matrices[0] == matrices[1]).all()
    assert (matrices[0] == matrices[2]).all()
    code, _, err = run("count", "memory://cli/missing.txt", "-o", tmp_path / "c", "--quiet")
    assert code == 1
    assert "no such file: 'memory://cli/missing.txt'" in err
    system.rm("/cli", recursive=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.thread_unsafe(reason="connects to a port")
def test_a_scheduler_that_is_not_there_is_an_error(run, tmp_path, corpus, monkeypatch):
    pytest.importorskip("distributed", reason="needs the extra [dask]")
    monkeypatch.setattr("fastembed.cli.count.CONNECTING_SECONDS", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        code, out, err = run("count", corpus, "-o", tmp_path / "a.counts", "--scheduler", address, "--quiet")
        assert (code, out) == (1, "")
        assert f"no scheduler of Dask answers at '{address}' within 1 s" in err
    assert not (tmp_path / "a.counts").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.thread_unsafe(reason="starts processes")
def test_a_cluster_counts_what_this_machine_does(run, tmp_path, corpus):
    distributed = pytest.importorskip("distributed", reason="needs the extra [dask]")
    assert run("count", corpus, "-o", tmp_path / "a", "--store", "--quiet") == (0, "", "")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as cluster:
        argv = ("count", corpus, "-o", tmp_path / "b", "--quiet", "--scheduler", cluster.scheduler_address)
        assert run(*argv) == (0, "", "")
        code, _, err = run(*argv, "--baskets", "flat")
        assert (code, "an executor counts windows, and no baskets" in err) == (1, True)
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "ab"]
    assert files[0] == files[1]
