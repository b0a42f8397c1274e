"""The commands count, tokens and phrases, and the option --phrases of the others."""

import json

import pytest

from fastembed.corpus import FileCorpus, Phrases, Reading
from fastembed.counts import Counts
from fastembed.skipgram import SkipGram
from fastembed.vocabulary import Vocabulary

LINE = "i saw new york and the bank of america in new york while {} was away\n"


def test_count_prints_json(run, tmp_path, corpus):
    code, out, err = run("count", corpus, "-o", tmp_path / "counts", "--json")
    assert (code, err) == (0, "")
    found, counts = json.loads(out), Counts.load(tmp_path / "counts")
    assert found.keys() == {"output", "words", "contexts", "nnz", "total", "ledger"}
    assert (found["words"], found["contexts"], found["nnz"]) == (*counts.shape, counts.nnz)
    assert found["total"] == pytest.approx(counts.total)
    assert found["ledger"]["dropped"]["below min_count=5"] == 300


def test_options_of_reading_reach_the_corpus(run, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "text").write_bytes(b"The-cat SAT\xff\nthe-CAT\n")
    argv = ("count", tmp_path / "texts", "-o", tmp_path / "counts", "--min-count", 1, "--quiet", "--lowercase")
    code, _, err = run(*argv, "--token-pattern", "[a-z]+")
    assert (code, "not valid UTF-8 at line 1, byte 11" in err) == (1, True)
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
    assert (code, "no such file: 'memory://cli/missing.txt'" in err) == (1, True)
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


@pytest.fixture
def raw(tmp_path):
    """A raw text."""
    path = tmp_path / "text.txt"
    path.write_bytes(b"The cat, the DOG.\n\nThe \x1b[31mend of the cat\n")
    return path


def test_tokens_are_printed_line_by_line(run, raw):
    assert run("tokens", raw) == (0, "The cat, the DOG.\n\nThe \\x1b[31mend of the cat\n", "")
    assert run("tokens", raw, "--head", 1, "--lowercase") == (0, "the cat, the dog.\n", "")
    assert run("tokens", raw, "--head", 1, "--token-pattern", "[a-z]+", "--lowercase") == (0, "the cat the dog\n", "")


def test_the_most_frequent_tokens_are_counted(run, document, raw):
    code, out, err = run("tokens", raw, "--lowercase", "--top", 2)
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert first == "9 tokens in 3 lines, 6 different ones"
    assert [line.split() for line in lines] == [["the", "4"], ["\\x1b[31mend", "1"]]
    found = document("tokens", raw, "--lowercase", "--top", 2)
    assert found["tokens"] == [{"token": "the", "count": 4}, {"token": "\x1b[31mend", "count": 1}]
    assert found["different"] == 6
    assert found["ledger"]["tokens_read"] == 9


def test_json_has_the_tokens_themselves(document, raw):
    found = document("tokens", raw)
    assert found["sequences"] == [["The", "cat,", "the", "DOG."], [], ["The", "\x1b[31mend", "of", "the", "cat"]]
    assert (found["ledger"]["lines"], found["ledger"]["empty_lines"]) == (3, 1)


@pytest.fixture
def phrased(tmp_path):
    """A text with two phrases."""
    path = tmp_path / "text.txt"
    names = ["anna", "bert", "carl", "dora", "emil", "fred", "gina", "hugo"]
    path.write_text("".join(LINE.format(name) for name in names) + "anna bert carl dora\n" * 5, encoding="utf-8")
    return path


def test_phrases_are_written_as_the_library_finds_them(run, document, phrased, tmp_path):
    output = tmp_path / "found.txt"
    code, out, err = run("phrases", phrased, "-o", output)
    expected = Phrases.from_corpus(phrased)
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote {output}: {len(expected)} phrases, such as '")
    assert Phrases.load(output) == expected
    assert {("new", "york"), ("bank", "of", "america")} <= set(expected)
    found = document("phrases", phrased, "-o", output)
    assert found.keys() == {"output", "phrases", "ledger"}
    assert found["phrases"] == len(expected)
    assert found["ledger"]["tokens_read"] == found["ledger"]["tokens_used"] == 8 * 16 + 20


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
    tokens = document("tokens", phrased, "--phrases", listed, "--head", 1)["sequences"]
    assert tokens == [LINE.format("anna").replace("new york", "new_york").replace("k of a", "k_of_a").split()]
    training = ("--dim", 2, "--epochs", 1, "--min-count", 1, "--quiet")
    assert run("train", phrased, "-o", model, "--phrases", listed, *training) == (0, "", "")
    assert {"new_york", "bank_of_america"} <= set(SkipGram.load(model).vectors.tokens)
    words = document("count", phrased, "-o", tmp_path / "c.safetensors", "--phrases", listed, "--min-count", 1)["words"]
    corpus = FileCorpus(phrased, reading=Reading(phrases=Phrases.load(listed)))
    assert words == len(Vocabulary.from_corpus(corpus, 1)) < len(Vocabulary.from_corpus(phrased, 1))
    found = document("evaluate", model, "--perplexity", phrased, "--phrases", listed)["perplexity"]
    assert found[0]["perplexity"] == pytest.approx(SkipGram.load(model).perplexity(corpus))


def test_auto_finds_the_phrases_of_the_text_first(run, document, phrased, tmp_path):
    model = tmp_path / "m.safetensors"
    options = ("--dim", 2, "--epochs", 1, "--min-count", 1)
    code, out, err = run("train", phrased, "-o", model, "--phrases", "auto", *options)
    assert (code, err) == (0, "")
    expected = Phrases.from_corpus(phrased)
    assert out.startswith(f"found {len(expected)} phrases, such as '")
    assert "america_in_new_york" in SkipGram.load(model).vectors.tokens
    read = document("tokens", phrased, "--phrases", "auto")["sequences"]
    assert read == [expected.join(line.split()) for line in phrased.read_text(encoding="utf-8").splitlines()]


def test_what_holds_nothing_to_find_is_named(run, tmp_path, phrased):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "raw.txt").write_bytes(b"He came to New York, at last, and left New York.\n" * 9)
    assert "; --words reads words without it\n" in run("phrases", tmp_path / "raw.txt", "-o", tmp_path / "p.txt")[2]
    assert run("tokens", tmp_path / "empty") == (0, "", "")
    assert "the corpus is empty" in run("tokens", tmp_path / "empty", "--top", 5)[2]
    assert "is named more than once, and counts as often" in run("tokens", tmp_path / "empty", tmp_path / "empty")[2]
    err = run("phrases", phrased, "--max-words", 1, "-o", tmp_path / "p")[2]
    assert "--max-words must be from 2 to 8, got 1" in err
