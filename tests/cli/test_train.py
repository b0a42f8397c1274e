"""The commands train, count, phrases and demo."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastembed import demo
from fastembed.cli.common import Progress
from fastembed.corpus import Phrases
from fastembed.counts import Counts
from fastembed.evaluation import held_out_items
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors

KILL = Path(__file__).resolve().parents[2] / "tools" / "kill.py"
LINE = "i saw new york and the bank of america in new york while {} was away\n"
STOPPING = {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 1}
SMALL = ("--dim", 4, "--epochs", 2, "--seed", 3, "--quiet")


def bits_of(model):
    return model.vectors.tokens, model.vectors.matrix.tobytes(), model.trainer.linear.tobytes()


def test_train_writes_the_whole_model_and_prints_a_line_per_epoch(run, tmp_path, corpus):
    output = tmp_path / "out.safetensors"
    options = ("--dim", 8, "--window", 2, "--epochs", 3, "--seed", 4, "--threads", 1, "--max-contexts", 30)
    code, out, err = run("train", corpus, "-o", output, *options)
    assert (code, err) == (0, "")
    first, *epochs, last = out.splitlines()
    assert first.startswith("training 40 words, 60 outputs, ")
    assert len(epochs) == 3
    for line in epochs:
        assert re.fullmatch(r"epoch +\d of 3   nll [\d.]+   perplexity [\d,.]+   [\d.]+ s", line)
    assert last.startswith(
        f"wrote {output}: 40 vectors of dimension 8, {output.stat().st_size:,} bytes; read 6,300 tokens"
    )
    model = SkipGram.load(output)
    assert (model.dim, model.window, model.seed, model.max_contexts_) == (8, 2, 4, 30)
    assert len(model.history) == 3
    assert {token for token, _ in model.vectors.most_similar("w10", topn=4)} & {"w09", "w11"}


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ("--sample none --max-contexts none --max-size 20", {"sample": None, "max_contexts": None, "max_size": 20}),
        ("--window 0,2 --weighting flat", {"window": (0, 2), "weighting": "flat"}),
        ("--early-stopping --validation-fraction 0.2 --patience 1", STOPPING),
        ("--subwords 2-3", {"subwords": (2, 3)}),
        ("--baskets share", {"baskets": "share"}),
        ("--drop listed", {"drop": ["w01", "w02"]}),
        ("--keep-only listed", {"keep_only": ["w01", "w02"]}),
    ],
)
def test_options_are_the_parameters_of_skipgram(run, tmp_path, monkeypatch, corpus, options, parameters):
    monkeypatch.chdir(tmp_path)
    Path("listed").write_text("w01\nw02\n", encoding="utf-8")
    assert run("train", corpus, "-o", "v", *SMALL, *options.split())[:2] == (0, "")
    expected = SkipGram(dim=4, epochs=2, seed=3, **parameters).fit(str(corpus))
    assert bits_of(SkipGram.load("v")) == bits_of(expected)


def test_early_stopping_shows_the_nll_of_held_out_lines(run, tmp_path, corpus):
    more = ("--dim", 4, "--epochs", 60, "--early-stopping", "--patience", 1, "--seed", 4)
    _, *epochs, wrote = run("train", corpus, "-o", tmp_path / "v", *more)[1].splitlines()
    best = SkipGram.load(tmp_path / "v").best_epoch_
    assert sum("validation nll " in line for line in epochs) == len(epochs) == best + 1 < 60
    assert f"of epoch {best} " in wrote


@pytest.mark.parametrize("options", ["", "--grow-vocabulary --min-count 4", "--replay counts", "--memory-limit 9G"])
def test_continue_goes_on_where_the_model_was(run, tmp_path, monkeypatch, corpus, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").write_text("w01 new w02\n" * 4 + "w01 rare w02\n", encoding="utf-8")
    expected = SkipGram(dim=4, epochs=2)
    counts = expected.count(corpus, store="counts")
    expected.fit(counts).save("model")
    code, out, err = run("train", "more", "--continue", "model", "-o", "model", "--epochs", 1, *options.split())
    assert (code, err) == (0, "")
    assert "training 4" in out
    assert "epoch  1 of 1" in out
    expected.set_params(epochs=1, min_count=4)
    grow = "grow" in options
    expected.partial_fit("more", grow_vocabulary=grow, replay=counts if "replay" in options else None)
    found = SkipGram.load("model")
    assert bits_of(found) == bits_of(expected)
    assert found.vectors.tokens[40:] == (("new",) if grow else ())
    assert [record["epoch"] for record in found.history] == [1, 2, 1]


def test_counting_and_then_training_gives_the_bits_of_training(run, tmp_path, corpus):
    options = ("--min-count", 2, "--window", 3, "--sample", "none", "--no-directed")
    assert run("train", corpus, "-o", tmp_path / "a", *options, *SMALL)[0] == 0
    code, out, err = run("count", corpus, "-o", tmp_path / "counts", *options, "--memory-limit", "100M")
    assert (code, err) == (0, "")
    assert re.search(
        r"wrote .*counts: [\d,]+ counts of [\d,]+ tokens and [\d,]+ contexts, [\d,]+ bytes; read [\d,]+ tok", out
    )
    given = ("--counts", tmp_path / "counts", "--validation-counts", tmp_path / "counts")
    assert run("train", *given, "-o", tmp_path / "b", *SMALL) == (0, "", "")
    a, b = (SkipGram.load(tmp_path / name) for name in "ab")
    assert bits_of(a) == bits_of(b)
    assert b.windows_ == a.windows_
    assert "validation_nll" in b.history[0]


def test_baskets_are_counted_and_evaluated(run, tmp_path, corpus, capsys):
    counts, model = tmp_path / "counts", tmp_path / "m.safetensors"
    assert run("count", corpus, "-o", counts, "--baskets", "share", "--quiet") == (0, "", "")
    assert run("train", "--counts", counts, "-o", model, *SMALL) == (0, "", "")
    code, out, err = run("evaluate", model, "--perplexity", corpus, counts, "--held-out-items", corpus, "--given", 3)
    assert (code, err) == (0, "")
    trained = SkipGram.load(model)
    text, counted = (line.partition(": ")[2].partition(" of ")[0] for line in out.splitlines()[:2])
    assert text == counted == f"perplexity {trained.perplexity(corpus):.2f}"
    with pytest.raises(SystemExit):
        run("evaluate", model, "--held-out-items", corpus, "--user", "who")
    assert "--user is for --held-out-items of a recommender" in capsys.readouterr().err
    items = [line.removeprefix("  ") for line in out.splitlines()[3:]]
    assert items == held_out_items(trained, corpus, given=3).summary().split("\n")


def test_a_model_reads_other_texts_as_its_own(run, tmp_path):
    """All commands without the options of train do."""
    text, model, more = tmp_path / "text", tmp_path / "m.safetensors", tmp_path / "n.safetensors"
    text.write_text("The King of New York, met a Queen.\nA queen of Rome met the King!\n" * 20, encoding="utf-8")
    (tmp_path / "list").write_text("new york\n", encoding="utf-8")
    reading = ("--words", "--phrases", tmp_path / "list")
    assert run("train", text, "-o", model, *SMALL, *reading) == (0, "", "")
    assert "new_york" in Vectors.load(model)
    as_it_was = run("evaluate", model, "--perplexity", text)
    assert run("evaluate", model, "--perplexity", text, *reading) == as_it_was
    assert run("evaluate", model, "--perplexity", text, "--digits", "drop")[0] == 0
    assert run("analogy", model, "KING", "queen", "Rome,")[0] == 0
    assert run("train", text, "--continue", model, "-o", more, "--quiet") == (0, "", "")
    assert bits_of(SkipGram.load(more)) == bits_of(SkipGram.load(model).partial_fit(text))


def test_a_field_of_a_table_is_trained_on_as_lines_are(run, tmp_path):
    texts = [f"the w{n % 9} and the w{(n + 1) % 9}" for n in range(300)]
    plain, csv, output = tmp_path / "plain.txt", tmp_path / "data.csv", tmp_path / "m.safetensors"
    plain.write_text("\n".join(texts), encoding="utf-8")
    csv.write_text("".join(f"{n},{text}\n" for n, text in enumerate(["text", *texts])) + "bad\n", encoding="utf-8")
    matrices = []
    for files in [plain], [csv, "--field", "text", "--skip-bad"], [csv, "--field", 2, "--skip-bad"]:
        assert run("train", *files, "-o", output, *SMALL) == (0, "", "")
        matrices.append(Vectors.load(output).matrix.tobytes())
    assert len(set(matrices)) == 1
    assert sum(SkipGram.load(output).ledger.skipped.values()) == 1
    code, out, err = run("train", csv, "--field", "text", "-o", output, *SMALL)
    assert (code, out, "data.csv', line 302" in err) == (1, "", True)
    options = ("--field", 2, "--no-header", "--skip-bad", "-o", output, "--min-count", 1)
    assert run("train", csv, *options, *SMALL) == (0, "", "")
    assert "text" in Vectors.load(output)


def test_demo_trains_saves_and_shows_neighbors(run, tmp_path, monkeypatch):
    library = demo.standard_library(Path(asyncio.__file__).parent)
    monkeypatch.setattr(demo, "standard_library", lambda: library)
    argv = ("demo", "-o", tmp_path / "v.safetensors")
    code, out, err = run(*argv)
    assert (code, err) == (0, "")
    assert "epoch  5 of 5" in out
    assert "  socket  " in out
    assert "socket" in SkipGram.load(tmp_path / "v.safetensors").vectors
    assert run(*argv, "--quiet") == (0, "", "")


def test_a_graph_is_trained_on_by_its_walks(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    edges = [(a, b, 1 + a % 2) for group in (range(9), range(9, 20)) for a in group for b in group if a < b]
    text = "".join(f"n{a} n{b} {weight}\n" for a, b, weight in [*edges, (0, 19, 1)])
    (tmp_path / "edges").write_text(f"# a graph of two groups\n{text}", encoding="utf-8")
    options = "--window 2 --weighting linear --min-count 9 --directed --memory-limit 1G --tolerance 0.3"
    chosen = {"window": 2, "weighting": "linear", "min_count": 9, "directed": True, "tolerance": 0.3}
    for given, how in ([], {}), (options.split(), chosen):
        assert run("train", "edges", "--graph", "-o", "m", "--dim", 4, "--quiet", *given) == (0, "", "")
        expected = SkipGram(dim=4).fit(Counts.from_graph("edges", **how))
        assert bits_of(SkipGram.load("m")) == bits_of(expected)


def test_pairs_and_their_weights_are_trained_on_as_they_are(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    edges = [("a", "b", 3.0), ("b", "c", 0.5), ("a", "c", 1.0), ("x", "b", 2.0)]
    (tmp_path / "edges").write_text("".join(f"{a} {b} {w}\n" for a, b, w in edges), encoding="utf-8")
    (tmp_path / "pairs").write_text("".join(f"{a} {b}\n" for a, b, _ in edges), encoding="utf-8")
    sources, targets, weights = zip(*edges, strict=True)
    for given, counts in (
        (["edges"], Counts.from_pairs(sources, targets, weights, symmetric=True)),
        (["edges", "--directed"], Counts.from_pairs(sources, targets, weights)),
        (["pairs"], Counts.from_pairs(sources, targets, symmetric=True)),
    ):
        assert run("train", *given, "--pairs", "-o", "m.safetensors", "--dim", 2, "--quiet") == (0, "", "")
        assert bits_of(SkipGram.load("m.safetensors")) == bits_of(SkipGram(dim=2).fit(counts))


# ---------------------------------------------------------------- checkpoints


def test_the_same_command_goes_on_and_another_is_refused(run, tmp_path, monkeypatch, corpus):
    model, expected, checkpoint = tmp_path / "m.safetensors", tmp_path / "e.safetensors", tmp_path / "c"
    command = ["train", corpus, "--dim", 8, "--min-count", 1, "--epochs", 4, "--threads", 1, "-o"]
    assert run(*command, expected)[0] == 0
    epoch = Progress.epoch

    def stop(self, record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt
        epoch(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "epoch", stop)
        code, _, err = run(*command, model, "--checkpoint", checkpoint)
    assert (code, model.exists()) == (130, False)
    assert err == f"fastembed: interrupted; the same command goes on from {checkpoint}\n"
    code, _, err = run(*command, model, "--checkpoint", checkpoint, "--epochs", 5)
    assert (code, err.count("\n"), "epochs" in err) == (1, 1, True)
    code, out, err = run(*command, model, "--checkpoint", checkpoint)
    assert (code, err) == (0, "")
    assert out.count("\nepoch ") <= 2
    assert bits_of(SkipGram.load(model)) == bits_of(SkipGram.load(expected))


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_in_the_same_bits(tmp_path):
    """`make check-kill` does it a thousand times."""
    command = [sys.executable, "-P", KILL, tmp_path, "--kills", "8"]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"8 kills \(\d+ while a file was written\), \d+ models, all with the bits of", done.stdout)


# ---------------------------------------------------------------- count and phrases


def test_options_of_reading_reach_the_corpus(run, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "text").write_bytes(b"The-cat SAT\xff\nthe-CAT\n")
    (tmp_path / "list").write_text("the cat\n", encoding="utf-8")
    argv = ("count", tmp_path / "texts", "-o", tmp_path / "counts", "--min-count", 1, "--quiet", "--lowercase")
    argv += ("--token-pattern", "[a-z]+", "--phrases", tmp_path / "list")
    code, _, err = run(*argv)
    assert (code, "not valid UTF-8 at line 1, byte 11" in err) == (1, True)
    assert run(*argv, "--errors", "replace") == (0, "", "")
    assert Counts.open(tmp_path / "counts").vocabulary.tokens == ("the_cat", "sat")


def test_text_and_counts_have_urls(run, tmp_path, corpus):
    fsspec = pytest.importorskip("fsspec", reason="needs the extra [remote]")
    system = fsspec.filesystem("memory")
    system.pipe_file("/cli/text.txt", corpus.read_bytes())
    assert run("count", "memory://cli/text.txt", "-o", "memory://cli/a.counts", "--quiet") == (0, "", "")
    argv = ("train", "--dim", 3, "--quiet", "-o")
    assert run(*argv, tmp_path / "a", "--counts", "memory://cli/a.counts") == (0, "", "")
    assert run(*argv, tmp_path / "b", "memory://cli/text.txt") == (0, "", "")
    assert bits_of(SkipGram.load(tmp_path / "a")) == bits_of(SkipGram.load(tmp_path / "b"))
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
    (tmp_path / "common").write_text("of\nnew\n", encoding="utf-8")
    output = tmp_path / "found.txt"
    code, out, err = run("phrases", phrased, "-o", output)
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote {output}: {len(Phrases.load(output))} phrases, such as '")
    assert Phrases.load(output) == Phrases.from_corpus(phrased)
    argv = ("--min-count", 3, "--min-score", 2, "--scoring", "word2vec", "--max-words", 3, "--quiet")
    for option, common in ((tmp_path / "common", ["of", "new"]), ("none", None)):
        assert run("phrases", phrased, "-o", output, *argv, "--common", option) == (0, "", "")
        expected = Phrases.from_corpus(phrased, 3, 2, common=common, scoring="word2vec", max_words=3)
        assert Phrases.load(output) == expected
