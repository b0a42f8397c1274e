"""The commands train and demo: from text, structured files and counts, and from a model and more text."""

import json
import re

import numpy as np
import pytest

from fastembed.cli.train import MODEL_KEYS
from fastembed.counts import Counts
from fastembed.evaluation import held_out_items
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors

SMALL = ("--dim", 4, "--epochs", 2, "--seed", 3)
QUIET = ("--dim", 4, "--epochs", 2, "--quiet")
TEXTS = [f"the w{n % 9} and the w{(n + 1) % 9}" for n in range(300)]


def test_train_writes_the_whole_model(run, tmp_path, corpus, set_constant):
    set_constant("fastembed.cli.output.TIMED_OPERATIONS", 0)
    set_constant("fastembed.cli.output.TOLD_BYTES", 9)
    output = tmp_path / "out.safetensors"
    options = ("--dim", 8, "--window", 2, "--epochs", 3, "--seed", 4, "--threads", 1, "--max-contexts", 30)
    code, out, err = run("train", corpus, "-o", output, *options)
    assert (code, err) == (0, "")  # no bars: stderr is not a terminal
    lines = out.splitlines()
    assert [lines.pop(k) for k in (0, 0, 1)] == ["reading ...", "counting ...", "start ..."]
    assert len(lines) == 5
    size = r"training 40 words, 60 outputs, [\d,]+ counts: about \d+ GFLOP and [\d.]+ [MG]B of memory"
    assert re.fullmatch(size + r", in about \d+ s if nothing else runs", lines.pop(0))
    for line in lines[:3]:
        assert re.fullmatch(r"epoch +\d of 3   nll [\d.]+   perplexity [\d,.]+   [\d.]+ s", line)
    assert lines[3].startswith(f"wrote {output}: 40 vectors of dimension 8, 1 of them zero; read 6,300 tokens")
    assert "300" in lines[3].split("dropped")[1]
    vectors = Vectors.load(output)
    assert vectors.matrix.shape == (40, 8)
    assert {token for token, _ in vectors.most_similar("w10", topn=4)} & {"w09", "w11"}
    model = SkipGram.load(output)
    assert (model.dim, model.window, model.seed, model.max_contexts_) == (8, 2, 4, 30)
    assert len(model.history) == 3
    assert run("train", corpus, "-o", tmp_path / "again", "--quiet", *options) == (0, "", "")
    np.testing.assert_array_equal(Vectors.load(tmp_path / "again").matrix, vectors.matrix)


def test_train_prints_json_at_the_end_or_json_lines_while_it_runs(run, document, tmp_path, corpus):
    output = tmp_path / "v.safetensors"
    found = document("train", corpus, "-o", output, *SMALL, "--early-stopping")
    assert (found["output"], found["words"], found["dim"], found["contexts"]) == (str(output), 40, 4, 40)
    assert found["parameters"] == SkipGram(dim=4, epochs=2, seed=3, early_stopping=True).get_params()
    assert found["history"] == SkipGram.load(output).history
    assert [record["epoch"] for record in found["history"]] == [1, 2]
    assert min(found["estimate"]["flops"], found["estimate"]["memory"]) > 0
    assert found["ledger"]["tokens_read"] == 6300
    code, out, err = run("train", corpus, "-o", output, *SMALL, "--json-lines", "--early-stopping")
    assert (code, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event.pop("event") for event in events] == ["training", "epoch", "epoch", "kept", "written"]
    training, *epochs, kept, written = events
    assert (training["epochs"], training["estimate"]["inputs"]) == (2, 40)
    assert epochs == [{k: v for k, v in r.items() if k != "kept"} for r in written["history"]]
    assert kept == {"epoch": written["best_epoch"], "epochs": 2}
    assert written.keys() == found.keys()


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ("", {}),
        ("--sample none --max-contexts none --max-size 20", {"sample": None, "max_contexts": None, "max_size": 20}),
        ("--window 0,2 --weighting flat", {"window": (0, 2), "weighting": "flat"}),
        ("--early-stopping --validation-fraction 0.2", {"early_stopping": True, "validation_fraction": 0.2}),
        ("--early-stopping --patience 1", {"early_stopping": True, "n_iter_no_change": 1}),
        ("--subwords 2-3", {"subwords": (2, 3)}),
        ("--subwords", {"subwords": True}),
        ("--baskets share", {"baskets": "share"}),
        ("--drop english", {"drop": "english"}),  # of which the text has none
    ],
)
@pytest.mark.filterwarnings("ignore:no token of drop occurs")
def test_options_are_the_parameters_of_skipgram(run, tmp_path, corpus, options, parameters):
    assert run("train", corpus, "-o", tmp_path / "v", *SMALL, "--quiet", *options.split())[:2] == (0, "")
    expected = SkipGram(dim=4, epochs=2, seed=3, **parameters).fit(str(corpus))
    found = SkipGram.load(tmp_path / "v")
    assert found.vectors.tokens == expected.vectors.tokens
    np.testing.assert_array_equal(found.vectors.matrix, expected.vectors.matrix)


def test_a_dry_run_prints_time_and_memory_and_writes_nothing(run, document, usage, tmp_path, corpus):
    output = tmp_path / "v.safetensors"
    code, out, err = run("train", corpus, "-o", output, *SMALL, "--dry-run")
    assert (code, err) == (0, "")
    assert re.fullmatch(
        r"training would take 40 words, .* GFLOP and \d+ MB of memory, in about [\d.]+ s if nothing else runs\n", out
    )
    expected = document("train", corpus, "-o", tmp_path / "m.safetensors", *SMALL)["estimate"]
    found = document("train", corpus, "-o", output, *SMALL, "--dry-run")["estimate"]
    assert found.pop("seconds") > 0
    assert (found.keys(), found["flops"]) == (expected.keys(), expected["flops"])
    assert not output.exists()
    assert "--dry-run writes nothing, so --checkpoint" in usage(
        "train", corpus, "-o", output, "--dry-run", "--checkpoint", tmp_path / "c"
    )


def test_early_stopping_shows_the_nll_of_held_out_lines(run, tmp_path, corpus):
    more = ("--epochs", 60, "--early-stopping", "--patience", 1, "--seed", 4)
    code, out, _ = run("train", corpus, "-o", tmp_path / "v", *SMALL, *more)
    assert code == 0
    epochs = [line for line in out.splitlines() if line.startswith("epoch")]
    assert all(re.search(r"validation nll \d+\.\d{4}", line) for line in epochs)
    assert len(epochs) < 60
    *_, kept, wrote = out.splitlines()
    assert kept == f"kept epoch {len(epochs) - 1} of {len(epochs)}"
    assert re.search(r"\d held out\)", wrote)
    assert SkipGram.load(tmp_path / "v").best_epoch_ == len(epochs) - 1


@pytest.mark.parametrize("options", ["", "--grow-vocabulary --min-count 4", "--replay counts", "--memory-limit 9G"])
def test_continue_goes_on_where_the_model_was(run, tmp_path, monkeypatch, corpus, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").write_text("w01 new w02\n" * 4 + "w01 rare w02\n", encoding="utf-8")
    expected = SkipGram(dim=4, epochs=2)
    counts = expected.count(corpus)
    counts.save("counts")
    expected.fit(counts).save("model")
    code, out, err = run("train", "more", "--continue", "model", "-o", "model", "--epochs", 1, *options.split())
    assert (code, err) == (0, "")
    assert "training 4" in out
    assert "epoch  1 of 1" in out
    expected.set_params(epochs=1, min_count=4)
    grow = "grow" in options
    expected.partial_fit("more", grow_vocabulary=grow, replay=counts if "replay" in options else None)
    found = SkipGram.load("model")
    np.testing.assert_array_equal(found.vectors.matrix, expected.vectors.matrix)
    assert found.vectors.tokens[40:] == (("new",) if grow else ())
    assert [record["epoch"] for record in found.history] == [1, 2, 1]


def test_counting_and_then_training_gives_the_bits_of_training(run, tmp_path, corpus):
    options = ("--min-count", 2, "--window", 3, "--sample", "none", "--no-directed")
    assert run("train", corpus, "-o", tmp_path / "a", *options, *SMALL)[0] == 0
    code, out, err = run("count", corpus, "-o", tmp_path / "counts", *options, "--memory-limit", "100M")
    assert (code, err) == (0, "")
    assert re.search(r"wrote .*counts: [\d,]+ counts of [\d,]+ tokens and [\d,]+ contexts; read [\d,]+ tokens in", out)
    code, out, err = run("train", "--counts", tmp_path / "counts", "-o", tmp_path / "b", *SMALL)
    assert (code, err) == (0, "")
    assert re.search(r"wrote .*b: [\d,]+ vectors of dimension 4; read [\d,]+ tokens in", out)
    a, b = (SkipGram.load(tmp_path / name) for name in "ab")
    assert a.vectors.tokens == b.vectors.tokens
    assert np.array_equal(a.vectors.matrix, b.vectors.matrix)
    assert b.windows_ == a.windows_


def test_baskets_are_trained_on_in_one_step(run, tmp_path, corpus):
    counts, one, two = (tmp_path / name for name in ("c.safetensors", "one.safetensors", "two.safetensors"))
    assert run("train", corpus, "-o", one, "--baskets", "share", "--quiet", *SMALL) == (0, "", "")
    assert run("count", corpus, "-o", counts, "--baskets", "share", "--quiet") == (0, "", "")
    assert run("train", "--counts", counts, "-o", two, "--quiet", *SMALL) == (0, "", "")
    models = [SkipGram.load(path) for path in (one, two)]
    np.testing.assert_array_equal(*(model.vectors.matrix for model in models))
    assert [model.baskets_ for model in models] == ["share", "share"]
    code, out, err = run("evaluate", one, "--perplexity", corpus, counts, "--held-out-items", corpus, "--given", 3)
    assert (code, err) == (0, "")
    text, counted = (line.partition(": ")[2].partition(" of ")[0] for line in out.splitlines()[:2])
    assert text == counted == f"perplexity {models[0].perplexity(corpus):.2f}"
    items = [line.removeprefix("  ") for line in out.splitlines()[3:]]
    assert items == held_out_items(models[0], corpus, given=3).summary().split("\n")


def test_a_raw_book_is_one_command_and_a_hint_says_how_to_read_it(run, tmp_path):
    book, output = tmp_path / "book.txt", tmp_path / "m.safetensors"
    page = (
        "Call me Anna. Some years ago, never mind how long, I thought that I would sail\n"
        "a little and see the wat-\nery part of Anna\u2019s world.\n\n"
    )
    book.write_text(page * 30, encoding="utf-8")
    code, _, err = run("train", book, "-o", output, *SMALL)
    assert code == 0
    assert re.match(r"fastembed: warning: \d+ % of the tokens end in .+'Anna\.': .*words=True", err)
    assert "Anna." in Vectors.load(output)
    read = ("--words", "--unit", "paragraph")
    code, out, err = run("train", book, "-o", output, *SMALL, *read)
    assert (code, err) == (0, "")
    assert "read 780 tokens in 30 paragraphs" in out
    assert {"anna", "watery", "anna's"} <= set(Vectors.load(output).tokens)
    again = ("train", book, "-o", tmp_path / "b.safetensors", *SMALL, "--words", "--keep-case", "--digits", "drop")
    assert run(*again, "--quiet", "--threads", 1) == (0, "", "")
    assert "Call" in Vectors.load(tmp_path / "b.safetensors")


def test_a_model_reads_other_texts_as_its_own(run, tmp_path):
    """All commands without the options of train do; other options are warned of."""
    text, model, more = tmp_path / "text", tmp_path / "m.safetensors", tmp_path / "n.safetensors"
    text.write_text("The King of New York, met a Queen.\nA queen of Rome met the King!\n" * 20, encoding="utf-8")
    (tmp_path / "list").write_text("new york\n", encoding="utf-8")
    reading = ("--words", "--phrases", tmp_path / "list")
    assert run("train", text, "-o", model, *SMALL, *reading, "--quiet") == (0, "", "")
    assert "new_york" in Vectors.load(model)
    as_it_was = run("evaluate", model, "--perplexity", text)
    for same in (reading, ("--words",)):
        assert run("evaluate", model, "--perplexity", text, *same) == as_it_was
    code, out, err = run("evaluate", model, "--perplexity", text, "--words", "--digits", "drop")
    assert code == 0
    assert "fastembed: warning: the text is read by Reading(words=True, digits='drop', phrases=" in err
    commands = (("neighbors", model, "KING"), ("analogy", model, "KING", "queen", "Rome,"), ("predict", model, "King."))
    for command in commands:
        code, out, err = run(*command)
        assert (code, err) == (0, "")
        assert out
    assert run("neighbors", model, "King!", "-n", 2)[1] == run("neighbors", model, "king", "-n", 2)[1]
    assert run("train", text, "--continue", model, "-o", more, "--quiet") == (0, "", "")
    expected = SkipGram.load(model).partial_fit(text).vectors.matrix
    np.testing.assert_array_equal(Vectors.load(more).matrix, expected)


@pytest.fixture
def records(tmp_path):
    """JSON lines of 300 texts."""
    path = tmp_path / "data.jsonl"
    path.write_text("".join(f"{json.dumps({'id': n, 'text': text})}\n" for n, text in enumerate(TEXTS)), "utf-8")
    return path


@pytest.fixture
def plain(tmp_path):
    """The same texts as lines."""
    path = tmp_path / "plain.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def test_a_field_of_records_is_trained_on_as_lines_are(run, tmp_path, records, plain):
    csv, folder = tmp_path / "data.csv", tmp_path / "folder"
    csv.write_text("".join(f"{n},{text}\n" for n, text in enumerate(["text", *TEXTS])), encoding="utf-8")
    folder.mkdir()
    (folder / "part-0.csv").write_bytes(csv.read_bytes())
    (folder / "_SUCCESS").touch()
    output, matrices = tmp_path / "m.safetensors", []
    for files in (
        [plain],
        [records, "--field", "text"],
        [csv, "--field", "text"],
        [csv, "--field", 2],
        [folder, "--field", "text"],
    ):
        assert run("train", *files, "-o", output, *QUIET) == (0, "", "")
        matrices.append(Vectors.load(output).matrix.tobytes())
    assert len(set(matrices)) == 1
    assert run("train", csv, "--field", 2, "--no-header", "-o", output, *QUIET, "--min-count", 1) == (0, "", "")
    assert "text" in Vectors.load(output)


def test_bad_rows_stop_the_command_or_are_counted(run, document, tmp_path, records):
    with records.open("a", encoding="utf-8") as file:
        file.write("no JSON\n")
    output = tmp_path / "m.safetensors"
    code, out, err = run("train", records, "--field", "text", "-o", output, *QUIET)
    assert (code, out) == (1, "")
    assert "data.jsonl', line 301: no JSON" in err
    assert not output.exists()
    found = document("train", records, "--field", "text", "--skip-bad", "-o", output, *QUIET)
    assert found["ledger"]["skipped"] == {"no JSON": 1}
    assert SkipGram.load(output).ledger.skipped == {"no JSON": 1}


@pytest.fixture
def listed(tmp_path):
    """A file of three words, one of which occurs nowhere."""
    path = tmp_path / "listed"
    path.write_text("the\ncat\nzebra\n", encoding="utf-8")
    return path


def test_words_are_dropped_or_kept_by_every_command_that_counts(run, document, tmp_path, text, listed):
    small = ("--min-count", 1, "--dim", 2, "--epochs", 1)
    model, counts = tmp_path / "m.safetensors", tmp_path / "c.safetensors"
    found = document("train", text, "-o", model, "--drop", listed, *small)
    assert found["ledger"]["dropped"]["listed in drop"] == 120
    assert found["parameters"]["drop"] == ["the", "cat", "zebra"]
    assert sorted(SkipGram.load(model).vectors.tokens) == ["dog", "mat", "on", "sat"]
    assert document("train", text, "-o", model, "--drop", "english", *small)["words"] == 4
    for more in ((), ("--baskets", "flat")):
        assert document("count", text, "-o", counts, "--drop", listed, "--min-count", 1, *more)["words"] == 4
        assert sorted(Counts.load(counts).vocabulary) == ["dog", "mat", "on", "sat"]
    kept = tmp_path / "kept"
    kept.write_text("dog\ncat\nsat\n", encoding="utf-8")
    more = ("--continue", model, "--grow-vocabulary", "--keep-only", kept, "--drop", listed, "--epochs", 1)
    found = document("train", text, "-o", model, *more)
    assert found["parameters"]["keep_only"] == ["dog", "cat", "sat"]
    assert found["words"] == 4  # the vocabulary of the model stays


@pytest.mark.usefixtures("small_library")
def test_demo_trains_saves_and_shows_neighbors(run, tmp_path):
    argv = ("demo", "-o", tmp_path / "v.safetensors", "--dim", 3)
    code, out, err = run(*argv)
    assert (code, err) == (0, "")
    assert "socket" in out
    assert "epoch  5 of 5" in out
    assert "socket" in SkipGram.load(tmp_path / "v.safetensors").vectors
    assert run(*argv, "--quiet") == (0, "", "")
    code, out, err = run(*argv, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found.keys() == {*re.sub(r" \(.*?\)", "", MODEL_KEYS).split(", "), "neighbors"}
    assert found["neighbors"].keys() == {"socket", "lock"}
    assert found["neighbors"]["lock"][0].keys() == {"word", "score"}


def test_a_graph_is_trained_on_by_its_walks(run, document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    edges = [(a, b, 1 + a % 2) for group in (range(9), range(9, 20)) for a in group for b in group if a < b]
    text = "".join(f"n{a} n{b} {weight}\n" for a, b, weight in [*edges, (0, 19, 1)])
    (tmp_path / "edges").write_text(f"# a graph of two groups\n{text}", encoding="utf-8")
    code, out, err = run("train", "edges", "--graph", "-o", "m.safetensors", "--dim", 4, "--threads", 1)
    assert (code, err) == (0, "")
    assert "wrote m.safetensors: 20 vectors of dimension 4; read 20 tokens in 93 edges" in out
    assert re.search(" of the counts, at most .*; walks of window=10 and weighting='flat'", out)
    model = SkipGram.load("m.safetensors")
    counts = Counts.from_graph("edges", threads=1)
    np.testing.assert_array_equal(model.vectors.matrix, SkipGram(dim=4).fit(counts).vectors.matrix)
    assert model.vectors.similarity("n1", "n5") > model.vectors.similarity("n1", "n15")
    options = "--window 2 --weighting linear --min-count 9 --directed --memory-limit 1G --tolerance 0.3"
    found = document("train", "edges", "--graph", "-o", "m.safetensors", "--dim", 4, *options.split())
    assert (found["ledger"]["dropped"], found["parameters"]["window"]) == ({"below min_count=9": 8}, None)
    counts = Counts.from_graph("edges", window=2, weighting="linear", min_count=9, directed=True, tolerance=0.3)
    assert counts.nnz < Counts.from_graph("edges", window=2, weighting="linear", min_count=9, directed=True).nnz
    model = SkipGram.load("m.safetensors")
    np.testing.assert_array_equal(model.vectors.matrix, SkipGram(dim=4).fit(counts).vectors.matrix)


def test_pairs_and_their_weights_are_trained_on_as_they_are(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    edges = [("a", "b", 3.0), ("b", "c", 0.5), ("a", "c", 1.0), ("x", "b", 2.0)]
    (tmp_path / "edges").write_text("".join(f"{a} {b} {w}\n" for a, b, w in edges), encoding="utf-8")
    (tmp_path / "pairs").write_text("".join(f"{a} {b}\n" for a, b, _ in edges), encoding="utf-8")
    sources, targets, weights = zip(*edges, strict=True)
    options = ("-o", "m.safetensors", "--dim", 2, "--quiet")
    for given, counts in (
        (["edges", "--weight"], Counts.from_pairs(sources, targets, weights, symmetric=True)),
        (["edges", "--weight", "--directed"], Counts.from_pairs(sources, targets, weights)),
        (["pairs"], Counts.from_pairs(sources, targets, symmetric=True)),
    ):
        assert run("train", *given, "--pairs", *options) == (0, "", "")
        model = SkipGram.load("m.safetensors")
        np.testing.assert_array_equal(model.vectors.matrix, SkipGram(dim=2).fit(counts).vectors.matrix)
    code, _, err = run("train", "edges", "--pairs", *options)
    assert (code, "with --weight their weight" in err, "'edges', line 1: " in err) == (1, True, True)
    code, _, err = run("train", "pairs", "--pairs", "--weight", *options)
    assert (code, "two names and a weight" in err) == (1, True)
