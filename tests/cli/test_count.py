"""The commands count and phrases, and the option --phrases of the others."""

import pytest

from fastembed.corpus import FileCorpus, Phrases, Reading
from fastembed.counts import Counts
from fastembed.skipgram import SkipGram

LINE = "i saw new york and the bank of america in new york while {} was away\n"


def test_options_of_reading_reach_the_corpus(run, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "text").write_bytes(b"The-cat SAT\xff\nthe-CAT\n")
    argv = ("count", tmp_path / "texts", "-o", tmp_path / "counts", "--min-count", 1, "--quiet", "--lowercase")
    code, _, err = run(*argv, "--token-pattern", "[a-z]+")
    assert (code, "not valid UTF-8 at line 1, byte 11" in err) == (1, True)
    assert run(*argv, "--token-pattern", "[a-z]+", "--errors", "replace") == (0, "", "")
    assert Counts.open(tmp_path / "counts").vocabulary.tokens == ("cat", "the", "sat")


def test_text_and_counts_have_urls(run, tmp_path, corpus):
    fsspec = pytest.importorskip("fsspec", reason="needs the extra [remote]")
    system = fsspec.filesystem("memory")
    system.pipe_file("/cli/text.txt", corpus.read_bytes())
    assert run("count", "memory://cli/text.txt", "-o", "memory://cli/a.counts", "--quiet") == (0, "", "")
    argv = ("train", "--dim", 3, "--quiet", "-o")
    assert run(*argv, tmp_path / "a", "--counts", "memory://cli/a.counts") == (0, "", "")
    assert run(*argv, tmp_path / "b", corpus) == (0, "", "")
    assert run(*argv, tmp_path / "c", "memory://cli/text.txt", "--checkpoint", tmp_path / "k") == (0, "", "")
    matrices = [SkipGram.load(tmp_path / name).vectors.matrix for name in "abc"]
    assert (matrices[0] == matrices[1]).all()
    assert (matrices[0] == matrices[2]).all()
    code, _, err = run("count", "memory://cli/missing.txt", "-o", tmp_path / "c", "--quiet")
    assert (code, "'memory://cli/missing.txt'" in err) == (1, True)
    system.rm("/cli", recursive=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.thread_unsafe(reason="starts processes")
def test_a_cluster_counts_what_this_machine_does(run, tmp_path, corpus):
    distributed = pytest.importorskip("distributed", reason="needs the extra [dask]")
    assert run("count", corpus, "-o", tmp_path / "a", "--quiet") == (0, "", "")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as cluster:
        argv = ("count", corpus, "-o", tmp_path / "b", "--quiet", "--scheduler", cluster.scheduler_address)
        assert run(*argv) == (0, "", "")
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "ab"]
    assert files[0] == files[1]


@pytest.fixture
def phrased(tmp_path):
    """A text with two phrases."""
    path = tmp_path / "text.txt"
    names = ["anna", "bert", "carl", "dora", "emil", "fred", "gina", "hugo"]
    path.write_text("".join(LINE.format(name) for name in names) + "anna bert carl dora\n" * 5, encoding="utf-8")
    return path


def test_phrases_are_written_as_the_library_finds_them(run, phrased, tmp_path):
    output = tmp_path / "found.txt"
    code, out, err = run("phrases", phrased, "-o", output)
    expected = Phrases.from_corpus(phrased)
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote {output}: {len(expected)} phrases, such as '")
    assert Phrases.load(output) == expected
    assert {("new", "york"), ("bank", "of", "america")} <= set(expected)


def test_every_option_of_the_search_is_passed_on(run, phrased, tmp_path):
    (tmp_path / "common").write_text("of\nnew\n", encoding="utf-8")
    output = tmp_path / "found.txt"
    argv = ("--min-count", 3, "--min-score", 2, "--scoring", "word2vec", "--max-words", 3, "--threads", 2)
    assert run("phrases", phrased, "-o", output, *argv, "--common", tmp_path / "common", "--quiet") == (0, "", "")
    options = {"scoring": "word2vec", "max_words": 3}
    assert Phrases.load(output) == Phrases.from_corpus(phrased, 3, 2, common=["of", "new"], **options)
    assert run("phrases", phrased, "-o", output, *argv, "--common", "none", "--quiet") == (0, "", "")
    assert Phrases.load(output) == Phrases.from_corpus(phrased, 3, 2, common=None, **options)


def test_a_list_is_applied_by_every_command_that_reads_text(run, document, phrased, tmp_path):
    listed, model = tmp_path / "list.txt", tmp_path / "m.safetensors"
    listed.write_text("new york\nbank of america\n", encoding="utf-8")
    training = ("--dim", 2, "--epochs", 1, "--min-count", 1, "--quiet")
    assert run("train", phrased, "-o", model, "--phrases", listed, *training) == (0, "", "")
    assert {"new_york", "bank_of_america"} <= set(SkipGram.load(model).vectors.tokens)
    argv = ("count", phrased, "-o", tmp_path / "counts", "--phrases", listed, "--min-count", 1, "--quiet")
    assert run(*argv) == (0, "", "")
    assert "new_york" in Counts.open(tmp_path / "counts").vocabulary
    found = document("evaluate", model, "--perplexity", phrased, "--phrases", listed)["perplexity"]
    corpus = FileCorpus(phrased, reading=Reading(phrases=Phrases.load(listed)))
    assert found[0]["perplexity"] == pytest.approx(SkipGram.load(model).perplexity(corpus))
