"""The command line: what each command prints, its exit codes, and that an error is one line."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from fastembed import cli, formats
from fastembed.counts import Counts
from fastembed.vectors import Vectors

COMMANDS = ("train", "count", "neighbors", "analogy", "evaluate", "info", "demo")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "v.safetensors"
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]])
    Vectors(["man", "woman", "king", "queen"], matrix).save(path, settings={"dim": 3})
    return path


@pytest.fixture
def corpus(tmp_path):
    """300 lines: walks on a ring of 40 words, and on each line a word that comes only once."""
    rng = np.random.default_rng(0)
    walks = (rng.integers(40, size=(300, 1)) + np.cumsum(rng.integers(0, 2, size=(300, 20)), axis=1)) % 40
    lines = [" ".join(f"w{step:02d}" for step in walk) + f" once{i}" for i, walk in enumerate(walks)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines))
    return path


def run(capsys, *argv):
    """Return the exit code, stdout and stderr of a command line."""
    code = cli.main([str(argument) for argument in argv])
    return code, *capsys.readouterr()


def python(*argv, **options):
    """Run ``python -m fastembed`` as a process of its own; -P keeps the current folder out of its path."""
    command = [sys.executable, "-P", "-m", "fastembed", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_training_that_does_not_fit_is_one_line(capsys, tmp_path, corpus, monkeypatch):
    monkeypatch.setattr("fastembed._estimate.free_memory", lambda: 5000)
    code, out, err = run(capsys, "train", corpus, "-o", tmp_path / "v")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: training 40 words on 80 outputs in 100 dimensions takes about .*\n", err)
    assert not (tmp_path / "v").exists()


def test_neighbors(capsys, saved):
    code, out, err = run(capsys, "neighbors", saved, "king", "man", "-n", 2)
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["king"],
        ["man", "0.7071"],
        ["queen", "0.5000"],
        ["man"],
        ["king", "0.7071"],
        ["woman", "0.0000"],
    ]


def test_analogy(capsys, saved):
    code, out, err = run(capsys, "analogy", saved, "man", "king", "woman", "-n", 1)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "man is to king as woman is to"
    assert out.splitlines()[1].split()[0] == "queen"


@pytest.fixture
def judged(tmp_path):
    """Return a file of word similarity and one of analogies."""
    (tmp_path / "similarity.tsv").write_text("# title\nking\tman\t8\nking\tqueen\t7\nman\twoman\t2\nking\tcow\t1\n")
    (tmp_path / "analogies.txt").write_text(": family\nman king woman queen\nman king boy prince\n: farm\na b c d\n")
    return tmp_path / "similarity.tsv", tmp_path / "analogies.txt"


def test_evaluate(capsys, saved, judged):
    similarity, analogies = judged
    code, out, err = run(
        capsys,
        "evaluate",
        saved,
        "--similarity",
        similarity,
        similarity,
        "--analogies",
        analogies,
        "--method",
        "3CosMul",
    )
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        *[f"{similarity}: Spearman 1.0000 on 3 of 4 pairs; 1 unknown word"] * 2,
        f"{analogies}: 3CosMul accuracy 1.0000: 1 correct of 1 covered, 3 asked",
        "  family                          accuracy 1.0000: 1 correct of 1 covered, 2 asked",
        "  farm                            accuracy nan: 0 correct of 0 covered, 1 asked",
    ]


def test_evaluate_as_json(capsys, saved, judged):
    similarity, analogies = map(str, judged)
    argv = ("evaluate", saved, "--json", "--similarity", similarity, "--analogies", analogies, "--restrict", 3)
    code, out, err = run(capsys, *argv)
    assert (code, err) == (0, "")
    results = json.loads(out)
    assert results["vectors"] == str(saved)
    assert results["similarity"] == [
        {"file": similarity, "spearman": pytest.approx(1), "pairs": 4, "covered": 3, "unknown": ["cow"]}
    ]
    (found,) = results["analogies"]
    assert found["sections"][1] == {"name": "farm", "correct": 0, "covered": 0, "asked": 1, "accuracy": None}
    del found["sections"]
    expected = {"file": analogies, "restrict": 3, "method": "3CosAdd", "name": "total"}
    assert found == expected | {"correct": 0, "covered": 0, "asked": 3, "accuracy": None}


def test_evaluate_needs_a_file_and_names_a_bad_line(capsys, saved, judged):
    code, out, err = run(capsys, "evaluate", saved)
    assert (code, out) == (1, "")
    assert err == "fastembed: error: nothing to evaluate with: give --similarity FILE or --analogies FILE\n"
    code, out, err = run(capsys, "evaluate", saved, "--analogies", judged[0])
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: '.*similarity.tsv', line 2: four words, .*\n", err)


def test_info_of_a_file(capsys, saved):
    code, out, err = run(capsys, "info", saved)
    assert (code, err) == (0, "")
    for piece in (f"{saved.stat().st_size:,} bytes", "fastembed.vectors", '{"dim": 3}', "float64 (4, 3)", "int64 (5,)"):
        assert piece in out


def test_info_of_the_installation(capsys):
    code, out, err = run(capsys, "info")
    assert (code, err) == (0, "")
    assert "blas" in out.lower()
    assert "threads" in out.lower()


def test_train(capsys, tmp_path, corpus):
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
    ring = {token for token, _ in vectors.most_similar("w10", topn=4)}
    assert ring & {"w09", "w11"}
    kept = formats.check_header(formats.read_tensors(output)[1], "vectors", output)
    assert (kept["dim"], kept["seed"], kept["max_contexts"]) == (8, 4, 30)
    assert run(capsys, "train", corpus, "-o", tmp_path / "again", "--quiet", *options) == (0, "", "")
    np.testing.assert_array_equal(Vectors.load(tmp_path / "again").matrix, vectors.matrix)


def test_train_without_subsampling(capsys, tmp_path, corpus):
    argv = ("train", corpus, "-o", tmp_path / "v", "--dim", 4, "--epochs", 1, "--quiet", "--sample")
    assert run(capsys, *argv, "none") == (0, "", "")
    assert formats.check_header(formats.read_tensors(tmp_path / "v")[1], "vectors", "v")["sample"] is None
    code, _, err = run(capsys, *argv, 0)
    assert code == 1
    assert "sample must be finite and above 0" in err


def test_a_missing_output_folder_is_found_before_training(capsys, tmp_path, corpus, monkeypatch):
    monkeypatch.delattr(cli, "SkipGram")
    code, out, err = run(capsys, "train", corpus, "-o", tmp_path / "nowhere" / "v")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: cannot write '.*v': the folder '.*nowhere' does not exist\n", err)


@pytest.mark.parametrize("missing", ["train", "info", "neighbors"])
def test_a_missing_file_is_one_line(capsys, tmp_path, missing):
    more = ["king"] if missing == "neighbors" else []
    output = ["-o", tmp_path / "v"] if missing == "train" else []
    code, out, err = run(capsys, missing, tmp_path / "absent.txt", *more, *output)
    assert (code, out) == (1, "")
    assert err.startswith("fastembed: error: ")
    assert "absent.txt" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "v").exists()


def test_an_unknown_word_is_one_line_with_the_closest_spellings(capsys, saved):
    code, out, err = run(capsys, "neighbors", saved, "king", "quen")
    assert (code, out) == (1, "")
    assert err == "fastembed: error: 'quen' is not among the 4 tokens; the closest spellings are 'queen'\n"


def test_debug_shows_the_traceback(capsys, saved):
    code, _, err = run(capsys, "neighbors", saved, "quen", "--debug")
    assert code == 1
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("fastembed: error: 'quen'")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice"),
        (["train"], "FILE"),
        (["neighbors", "v"], "WORD"),
        (["analogy", "v", "a", "b"], "C"),
        (["neighbors", "v", "w", "-n", "0"], "an integer of at least 1 expected, got '0'"),
        (["evaluate"], "VECTORS"),
        (["evaluate", "v", "--similarity"], "expected at least one argument"),
        (["evaluate", "v", "--method", "cosadd"], "invalid choice: 'cosadd'"),
        (["train", "f", "--dim", "1.5"], "an integer of at least 1 expected, got '1.5'"),
        (["train", "f", "--max-contexts", "all"], "an integer of at least 1 expected, got 'all'"),
        (["train", "f", "--sample", "x"], "a number or \"none\" expected, got 'x'"),
    ],
)
def test_wrong_usage_exits_with_two(capsys, argv, message):
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert f"example: fastembed {command}" in " ".join(capsys.readouterr().out.split())


def test_runs_as_a_module_and_gives_its_exit_code(saved):
    done = python("neighbors", saved, "king", "-n", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["king", "man", "0.7071"]
    assert python("neighbors", saved, "quen").returncode == 1
    assert python("neighbors").returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
@pytest.mark.parametrize("count", [1, 4000])
def test_a_closed_pipe_is_quiet(tmp_path, count):
    path = tmp_path / "many.safetensors"
    Vectors([f"w{i}" for i in range(5000)], np.eye(5000, 2, dtype=np.float32)).save(path)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:  # noqa: PTH123 - a descriptor
        command = [sys.executable, "-P", "-m", "fastembed", "neighbors", str(path), "w1", "-n", str(count)]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


class Terminal(io.StringIO):
    """A stderr that a person looks at."""

    def isatty(self):
        return True


def test_bars_on_a_terminal_only(capsys, monkeypatch):
    record = {"epoch": 1, "nll": 2.0, "perplexity": 7.389, "learning_rate": 1.0, "seconds": 0.5}

    def report(**options):
        with cli.Progress(epochs=2, **options) as progress:
            progress.reading(5, 10)
            progress.counting(3, None)
            progress.epoch(record)

    line = "epoch  1 of 2   nll 2.0000   perplexity 7.4   0.5 s\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    report(quiet=False)
    assert capsys.readouterr().out == line
    for stage in ("reading", "count", "epochs"):
        assert stage in terminal.getvalue()
    monkeypatch.setattr(sys, "stderr", quiet := Terminal())
    report(quiet=True)
    assert (capsys.readouterr().out, quiet.getvalue()) == ("", "")
    monkeypatch.setattr(sys, "stderr", piped := io.StringIO())
    report(quiet=False)
    assert (capsys.readouterr().out, piped.getvalue()) == (line, "")


# ------------------------------------------------------------------------------------------------ counts


def test_counting_and_training_on_counts_is_training(capsys, tmp_path, corpus):
    options = ("--min-count", 2, "--window", 3, "--sample", "none")
    training = ("--dim", 4, "--epochs", 2, "--seed", 3)
    assert run(capsys, "train", corpus, "-o", tmp_path / "a", *options, *training)[0] == 0
    code, out, err = run(capsys, "count", corpus, "-o", tmp_path / "counts", *options, "--memory-limit", "100M")
    assert (code, err) == (0, "")
    assert re.search(r"wrote .*counts: [\d,]+ counts of [\d,]+ tokens and [\d,]+ contexts; read [\d,]+ tokens in", out)
    code, out, err = run(capsys, "train", "--counts", tmp_path / "counts", "-o", tmp_path / "b", *training)
    assert (code, err) == (0, "")
    assert re.search(r"wrote .*b: [\d,]+ vectors of 4 numbers; read [\d,]+ tokens in", out)
    a, b = (Vectors.load(tmp_path / name) for name in "ab")
    assert a.tokens == b.tokens
    assert np.array_equal(a.matrix, b.matrix)
    settings = formats.check_header(formats.read_tensors(tmp_path / "b")[1], "vectors", "b")
    assert settings["window"] == [3, 3]
    assert settings["min_count"] is None
    assert settings["counts"] == str(tmp_path / "counts")


def test_baskets_and_the_next_item_only(capsys, tmp_path, corpus):
    counts = tmp_path / "counts"
    assert run(capsys, "count", corpus, "-o", counts, "--baskets", "share", "--min-count", 1, "--quiet") == (0, "", "")
    assert Counts.load(counts).windows is None
    vectors = tmp_path / "vectors"
    assert run(capsys, "train", "--counts", counts, "-o", vectors, "--dim", 3, "--epochs", 1, "--quiet") == (0, "", "")
    assert run(capsys, "count", corpus, "-o", counts, "--window", "0,1", "--min-count", 1, "--quiet") == (0, "", "")
    assert Counts.load(counts).windows.window == (0, 1)


def test_the_size_of_the_vocabulary_and_a_memory_limit(capsys, tmp_path, corpus):
    for more in ((), ("--baskets", "flat")):
        argv = ("count", corpus, "-o", tmp_path / "counts", "--max-size", 7, "--memory-limit", "1M", *more)
        code, out, err = run(capsys, *argv)
        assert (code, err) == (0, "")
        assert re.search(r"of 7 tokens and (7|14) contexts; .* over max_size=7\)$", out.strip())
        assert run(capsys, *argv, "--memory-limit", "1K")[0] == 1


def test_a_text_that_changes_between_its_two_readings(capsys, tmp_path, corpus, monkeypatch):
    text = tmp_path / "text"
    text.write_bytes(corpus.read_bytes())

    def cut(*args, real=cli.Vocabulary.from_corpus, **options):
        vocabulary = real(*args, **options)
        text.write_text("w01 w02\n")
        return vocabulary

    monkeypatch.setattr(cli.Vocabulary, "from_corpus", cut)
    code, out, err = run(capsys, "count", text, "-o", tmp_path / "counts", "--min-count", 1)
    assert (code, out) == (1, "")
    assert "the text changed between its two readings, from 6,300 tokens to 2" in err
    assert not (tmp_path / "counts").exists()


def test_options_of_the_text(capsys, tmp_path):
    (tmp_path / "text").write_bytes(b"The-cat SAT\xff\nthe-CAT\n")
    argv = ("count", tmp_path, "-o", tmp_path / "counts", "--min-count", 1, "--quiet", "--lowercase", "--token-pattern")
    code, _, err = run(capsys, *argv, "[a-z]+")
    assert code == 1
    assert "not valid UTF-8 at line 1, byte 11" in err
    assert run(capsys, *argv, "[a-z]+", "--replace-invalid") == (0, "", "")
    assert Counts.load(tmp_path / "counts").vocabulary.tokens == ("cat", "the", "sat")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "f", "--counts", "c"], "so FILE cannot be given"),
        (["train", "--counts", "c", "--window", "8", "--lowercase"], "so --lowercase, --window cannot be given"),
        (["count", "f", "--baskets", "flat", "--window", "5"], "say nothing about baskets"),
        (["count", "f", "--window", "0,0"], "an integer or two, as 0,1, expected, got '0,0'"),
        (["count", "f", "--memory-limit", "much"], "a size such as 800M or 4G expected, got 'much'"),
        (["count", "f", "--token-pattern", "("], "'(' is no regular expression"),
        (["count", "f", "--token-pattern", "(a)(b)"], "has 2 groups"),
        (["count", "f", "--token-pattern", "[a-z]*"], "'[a-z]*' matches the empty text"),
        (["count", "f", "--max-size", "0"], "an integer of at least 1 expected, got '0'"),
        (["count"], "FILE"),
    ],
)
def test_wrong_usage_of_counts(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_no_stdout_at_all(saved):
    command = f"{sys.executable} -m fastembed neighbors {saved} king >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120, cwd=saved.parent)
    assert (done.returncode, done.stderr) == (0, "")
