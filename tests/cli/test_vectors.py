"""The commands that take vectors: neighbors, analogy, evaluate, export, plot and info."""

import io
import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fastembed import cli, formats
from fastembed.formats.tensors import map_tensors, write_tensors
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors

MATRIX = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]])


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "v.safetensors"
    Vectors(["man", "woman", "king", "queen"], MATRIX).save(path, settings={"dim": 3})
    return path


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_text("the cat sat on the mat\nthe dog sat on the cat\n" * 20, encoding="utf-8")
    return path


@pytest.fixture
def model(tmp_path, text):
    path = tmp_path / "model.safetensors"
    SkipGram(dim=3, min_count=1, sample=None, epochs=2).fit(text).save(path)
    return path


def run(capsys, *argv):
    """Return the exit code, stdout and stderr of a command line."""
    code = cli.main([str(argument) for argument in argv])
    return code, *capsys.readouterr()


def document(capsys, *argv):
    """Return what --json prints."""
    code, out, err = run(capsys, *argv, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def usage(capsys, *argv):
    """Return what a wrong command line says, after checking its exit code."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in argv])
    assert caught.value.code == 2
    return " ".join(capsys.readouterr().err.split())


# ------------------------------------------------------------------------------------------------ neighbors


def test_every_word_is_a_query(capsys, saved):
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


def test_words_together_and_negative_ones(capsys, saved):
    found = document(capsys, "neighbors", saved, "king", "woman", "--negative", "man", "--topn", 1)
    assert found.keys() == {"vectors", "queries"}
    assert found["vectors"] == str(saved)
    (query,) = found["queries"]
    score = Vectors.load(saved).most_similar(["king", "woman"], ["man"], topn=1)[0][1]
    neighbors = [{"word": "queen", "score": pytest.approx(score)}]
    assert query == {"positive": ["king", "woman"], "negative": ["man"], "neighbors": neighbors}
    (query,) = document(capsys, "neighbors", saved, "king", "queen", "--together")["queries"]
    assert [near["word"] for near in query["neighbors"]] == ["man", "woman"]
    code, out, _ = run(capsys, "neighbors", saved, "king", "--negative", "man", "-n", 1)
    assert code == 0
    assert out.splitlines()[0] == "king -man"


def test_restricted_to_the_first_words(capsys, saved):
    (query,) = document(capsys, "neighbors", saved, "king", "--restrict", 2)["queries"]
    assert [near["word"] for near in query["neighbors"]] == ["man", "woman"]


def test_among_few_words_each_query_has_its_whole_answer(capsys, saved):
    queries = document(capsys, "neighbors", saved, "man", "king", "--restrict", 2)["queries"]
    found = [[near["word"] for near in query["neighbors"]] for query in queries]
    assert found == [["woman"], ["man", "woman"]]


def stdin(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_queries_of_standard_input(capsys, saved, monkeypatch):
    """Each has the answer it has alone, whether there is a search for all or not."""
    stdin(monkeypatch, b"king\n\n  man  king \r\nking woman\tman\n\tman\nqueen")
    found = document(capsys, "neighbors", saved, "-", "-n", 2)["queries"]
    vectors = Vectors.load(saved)
    expected = [(["king"], []), (["man", "king"], []), (["king", "woman"], ["man"]), ([], ["man"]), (["queen"], [])]
    assert [(query["positive"], query["negative"]) for query in found] == expected
    for query in found:
        alone = vectors.most_similar(query["positive"], query["negative"], topn=2)
        assert [(near["word"], near["score"]) for near in query["neighbors"]] == [
            (word, pytest.approx(score)) for word, score in alone
        ]


def test_standard_input_that_is_none(capsys, saved, monkeypatch):
    stdin(monkeypatch, b"\n")
    assert document(capsys, "neighbors", saved, "-")["queries"] == []
    for content, message in ((b"k\xff", "standard input is not UTF-8"), (b"king\nquen\n", "'quen' is not among")):
        stdin(monkeypatch, content)
        code, out, err = run(capsys, "neighbors", saved, "-")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert message in err
    monkeypatch.setattr(sys, "stdin", None)
    assert (
        run(capsys, "neighbors", saved, "-")[2] == "fastembed: error: there is no standard input to read queries from\n"
    )
    assert "so --together cannot be given as well" in usage(capsys, "neighbors", saved, "-", "--together")


# ------------------------------------------------------------------------------------------------ analogy


def test_analogy(capsys, saved):
    code, out, err = run(capsys, "analogy", saved, "man", "king", "woman", "-n", 1)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "man is to king as woman is to"
    assert out.splitlines()[1].split()[0] == "queen"


@pytest.mark.parametrize("method", ["3CosAdd", "3CosMul"])
def test_analogy_as_json(capsys, saved, method):
    found = document(capsys, "analogy", saved, "man", "king", "woman", "--method", method)
    ((word, score),) = Vectors.load(saved).analogy("man", "king", "woman", method=method)
    assert found == {
        "vectors": str(saved),
        "a": "man",
        "b": "king",
        "c": "woman",
        "method": method,
        "answers": [{"word": word, "score": pytest.approx(score)}],
    }
    assert document(capsys, "analogy", saved, "man", "woman", "king", "--restrict", 3)["answers"] == []


# ------------------------------------------------------------------------------------------------ evaluate


@pytest.fixture
def judged(tmp_path):
    """Return a file of word similarity and one of analogies."""
    (tmp_path / "similarity.tsv").write_text(
        "# title\nking\tman\t8\nking\tqueen\t7\nman\twoman\t2\nking\tcow\t1\n", encoding="utf-8"
    )
    (tmp_path / "analogies.txt").write_text(
        ": family\nman king woman Queen\nman king boy prince\n: farm\na b c d\n", encoding="utf-8"
    )
    return tmp_path / "similarity.tsv", tmp_path / "analogies.txt"


def test_evaluate(capsys, saved, judged):
    similarity, analogies = judged
    argv = ("--similarity", similarity, similarity, "--analogies", analogies, "--method", "3CosMul")
    code, out, err = run(capsys, "evaluate", saved, *argv)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        *[f"{similarity}: Spearman 1.0000 on 3 of 4 pairs; 1 unknown word"] * 2,
        f"{analogies}: 3CosMul accuracy 1.0000: 1 correct of 1 covered, 3 asked",
        "  family                          accuracy 1.0000: 1 correct of 1 covered, 2 asked",
        "  farm                            accuracy nan: 0 correct of 0 covered, 1 asked",
    ]
    (found,) = document(capsys, "evaluate", saved, "--analogies", analogies, "--case-sensitive")["analogies"]
    assert found["covered"] == 0


def test_evaluate_as_json(capsys, saved, judged):
    similarity, analogies = map(str, judged)
    argv = ("--similarity", similarity, "--analogies", analogies, "--restrict", 3)
    results = document(capsys, "evaluate", saved, *argv)
    assert results.keys() == {"vectors", "similarity", "analogies", "perplexity"}
    assert (results["vectors"], results["perplexity"]) == (str(saved), [])
    assert results["similarity"] == [
        {"file": similarity, "spearman": pytest.approx(1), "pairs": 4, "covered": 3, "unknown": ["cow"]}
    ]
    (found,) = results["analogies"]
    assert found["sections"][1] == {"name": "farm", "correct": 0, "covered": 0, "asked": 1, "accuracy": None}
    del found["sections"]
    expected = {"file": analogies, "restrict": 3, "method": "3CosAdd", "name": "total"}
    assert found == expected | {"correct": 0, "covered": 0, "asked": 3, "accuracy": None}


def test_evaluate_names_a_bad_line(capsys, saved, judged):
    code, out, err = run(capsys, "evaluate", saved, "--analogies", judged[0])
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: '.*similarity.tsv', line 2: four words, .*\n", err)


def test_perplexity_of_a_text(capsys, saved, model, text, tmp_path):
    (tmp_path / "other").write_text("THE MAT sat\n", encoding="utf-8")
    argv = ("evaluate", model, "--perplexity", text, tmp_path / "other", "--lowercase", "--threads", 1)
    expected = [SkipGram.load(model).perplexity(path) for path in (text, [["the", "mat", "sat"]])]
    found = document(capsys, *argv)["perplexity"]
    assert [entry["perplexity"] for entry in found] == pytest.approx(expected)
    assert [entry["file"] for entry in found] == [str(text), str(tmp_path / "other")]
    code, out, _ = run(capsys, *argv)
    assert code == 0
    assert out.splitlines()[0] == f"{text}: perplexity {expected[0]:.2f}"
    code, out, err = run(capsys, "evaluate", saved, "--perplexity", text)
    assert (code, out) == (1, "")
    assert "holds vectors alone and no model" in err


@pytest.mark.parametrize("option", [["--threads", "2"], ["--lowercase"], ["--restrict", "5"], ["--method", "3CosMul"]])
def test_evaluate_refuses_what_would_be_without_effect(capsys, option):
    assert f"so {option[0]} cannot be given as well" in usage(capsys, "evaluate", "v", "--similarity", "f", *option)


# ------------------------------------------------------------------------------------------------ what cannot be seen


HOSTILE = "red\x1b[31m\x07", "left\u202eright", "two\nlines\x9b2J"
SEEN = r"red\x1b[31m\x07", r"left\u202eright", r"two\nlines\x9b2J"


@pytest.fixture
def hostile(tmp_path):
    """Vectors whose words, and whose tensors and settings, hold what a terminal takes for commands."""
    path = tmp_path / "hostile.safetensors"
    vectors = Vectors([*HOSTILE, "می\u200cشود"], MATRIX)
    vectors.save(path, settings={HOSTILE[0]: HOSTILE[1]})
    tensors, metadata = map_tensors(path)
    write_tensors(tmp_path / "h.safetensors", {HOSTILE[0]: np.eye(2), **tensors}, metadata)
    (tmp_path / "analogies").write_text(f": {HOSTILE[0]}\n" + " ".join([*HOSTILE[:2], "a", "b"]), encoding="utf-8")
    return tmp_path / "h.safetensors"


@pytest.mark.parametrize(
    "command",
    [
        ("neighbors", *HOSTILE),
        ("neighbors", HOSTILE[0], "--negative", *HOSTILE[1:]),
        ("analogy", *HOSTILE),
        ("evaluate", "--analogies", "analogies"),
        ("info",),
        ("neighbors", f"{HOSTILE[0]}?"),
        ("export", "absent/\x1b]2;title\x07.vec"),
    ],
)
def test_what_cannot_be_seen_of_a_word_is_escaped(capsys, hostile, monkeypatch, command):
    """A pipe gets what a terminal would get; --json has the words themselves."""
    monkeypatch.chdir(hostile.parent)
    _, out, err = run(capsys, command[0], hostile, *command[1:])
    printed = out + err
    assert all(c.isprintable() or c in "\n\u200c" for c in printed), repr(printed)
    assert command[0] == "export" or SEEN[0] in printed.replace("\\\\", "\\")
    if command[0] == "analogy":
        assert "می\u200cشود" in printed
        assert len(printed.splitlines()) == 2
        assert document(capsys, "analogy", hostile, *HOSTILE)["c"] == HOSTILE[2]


# ------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("command", [["neighbors", "cat"], ["analogy", "cat", "dog", "the"]])
def test_the_vectors_for_a_purpose(capsys, model, command):
    name, *words = command
    answers = [document(capsys, name, model, *words, "--purpose", purpose) for purpose in ("analogies", "relatedness")]
    assert document(capsys, name, model, *words) == answers[0] != answers[1]


@pytest.mark.parametrize(
    ("option", "command"),
    [
        ("--purpose relatedness", ("neighbors", "king", "--purpose", "relatedness")),
        ("--history", ("plot", "--history")),
        ("--perplexity", ("evaluate", "--perplexity", "text")),
    ],
)
def test_what_only_a_model_can_do(capsys, saved, text, tmp_path, monkeypatch, option, command):
    monkeypatch.chdir(tmp_path)
    Vectors.load(saved).save("v.npy")
    for path, what in ((saved, "holds vectors alone and no model"), ("v.npy", "is not a whole safetensors file")):
        code, out, err = run(capsys, command[0], path, *command[1:])
        assert (code, out) == (1, "")
        assert re.fullmatch(rf"fastembed: error: {option} needs a model that `train` wrote: '.*' {what}.*\n", err)


def test_the_format_of_a_model_is_no_choice(capsys):
    message = usage(capsys, "neighbors", "v.txt", "king", "--purpose", "relatedness", "--input-format", "glove")
    assert "so --input-format cannot be given as well" in message


@pytest.mark.parametrize("name", ["v.txt", "v.vec.gz", "v.bin", "v.glove", "v.npy", "v.tsv", "w.safetensors"])
def test_export_and_back(capsys, saved, tmp_path, name):
    code, out, err = run(capsys, "export", saved, tmp_path / name)
    assert (code, err) == (0, "")
    form = formats.format_of(name)
    assert out == f"wrote {tmp_path / name}: 4 vectors of 3 numbers, {form.description}\n"
    np.testing.assert_array_equal(Vectors.load(tmp_path / name).matrix, MATRIX)
    found = document(capsys, "neighbors", tmp_path / name, "king", "-n", 1)
    assert found["queries"][0]["neighbors"][0]["word"] == "man"
    assert document(capsys, "info", tmp_path / name)["tensors"][0]["shape"] == [4, 3]


def test_a_format_by_name(capsys, saved, tmp_path):
    output = tmp_path / "v.txt"
    found = document(capsys, "export", saved, output, "--format", "glove")
    assert found == {"output": str(output), "vectors": str(saved), "format": "glove", "words": 4, "dim": 3}
    assert output.read_text(encoding="utf-8").startswith("man 1 0 0\n")
    assert run(capsys, "neighbors", output, "king")[0] == 1
    assert run(capsys, "neighbors", output, "king", "--input-format", "glove")[0] == 0
    assert document(capsys, "info", output, "--input-format", "glove")["metadata"] == {"format": "glove"}
    assert run(capsys, "export", saved, output, "--quiet", "--format", "fasttext") == (0, "", "")
    code, out, err = run(capsys, "export", saved, tmp_path / "v.npz")
    assert (code, out) == (1, "")
    assert "no format has the suffix '.npz'" in err


def test_export_of_a_model(capsys, model, tmp_path):
    expected = SkipGram.load(model).vectors_for("relatedness")
    assert run(capsys, "export", model, tmp_path / "r.npy", "--purpose", "relatedness", "--quiet") == (0, "", "")
    np.testing.assert_array_equal(Vectors.load(tmp_path / "r.npy").matrix, expected.matrix)


def test_export_refuses_a_token_by_name(capsys, tmp_path):
    Vectors(["new york"], np.eye(1)).save(tmp_path / "v.safetensors")
    code, out, err = run(capsys, "export", tmp_path / "v.safetensors", tmp_path / "v.vec")
    assert (code, out) == (1, "")
    assert "'new york'" in err
    assert not (tmp_path / "v.vec").exists()


def test_info_of_a_file(capsys, saved, model):
    code, out, err = run(capsys, "info", saved)
    assert (code, err) == (0, "")
    for piece in (
        f"{saved.stat().st_size:,} bytes",
        "fastembed.vectors",
        "settings dim",
        "float64 (4, 3)",
        "int64 (5,)",
    ):
        assert piece in out
    found = document(capsys, "info", model)
    assert found.keys() == {"file", "bytes", "metadata", "tensors"}
    assert found["bytes"] == model.stat().st_size
    assert found["metadata"]["settings"]["dim"] == 3
    assert found["metadata"]["manifest"]["nll"] == SkipGram.load(model).history[-1]["nll"]
    assert {"name": "linear", "dtype": "float32", "shape": [3, 12]} in found["tensors"]
    code, out, _ = run(capsys, "info", model)
    assert code == 0
    assert max(map(len, out.splitlines())) < 120
    assert re.search(r"model history +\[\{.* \.\.\.\n", out)


def test_what_is_read_is_not_written_over(capsys, model):
    before = model.read_bytes()
    for argv in (("export", model, model), ("plot", model, "-o", model)):
        assert "to be written, would replace" in usage(capsys, *argv)
    assert model.read_bytes() == before


@pytest.mark.parametrize(("name", "other"), [("e.npy", "e.tokens.txt"), ("e.tsv", "e.metadata.tsv")])
def test_nor_is_the_second_file_of_a_pair(capsys, model, name, other):
    first, second = model.parent / name, model.parent / other
    assert run(capsys, "export", model, first)[0] == 0
    before = second.read_bytes()
    for argv in (("export", first, second), ("export", second, first, "--input-format", "word2vec")):
        assert "to be written, would replace" in usage(capsys, *argv)
    assert second.read_bytes() == before


def test_info_of_the_installation(capsys):
    assert "so --input-format cannot be given" in usage(capsys, "info", "--input-format", "glove")
    code, out, err = run(capsys, "info")
    assert (code, err) == (0, "")
    assert re.search(r"^blas ", out, re.MULTILINE)
    found = document(capsys, "info")
    assert list(found) == ["fastembed", "build", "python", "numpy", "scipy", "blas", "threads"]


def test_info_of_text_that_begins_like_json(capsys, tmp_path):
    path = tmp_path / "noted.safetensors"
    write_tensors(path, {"a": np.zeros(1)}, {"note": "{as it is", "settings": "[1, 2]"})
    assert document(capsys, "info", path)["metadata"] == {"note": "{as it is", "settings": [1, 2]}


def test_info_of_junk(capsys, tmp_path):
    (tmp_path / "junk.safetensors").write_bytes(b"\xff" * 100)
    code, out, err = run(capsys, "info", tmp_path / "junk.safetensors")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: .*junk.safetensors' is not a whole safetensors file.*\n", err)


# ------------------------------------------------------------------------------------------------ plot


@pytest.fixture
def drawn(monkeypatch):
    """Keep the calls of the functions that draw."""
    calls = []
    for name in ("plot_map", "write_page", "plot_history"):
        monkeypatch.setattr(
            f"fastembed.plotting.{name}", lambda *args, name=name, **options: calls.append((name, args, options))
        )
    return calls


def test_plot_calls_what_the_ending_says(capsys, saved, model, tmp_path, drawn):
    options = {"words": None, "topn": 200, "method": "pca", "seed": 0}
    code, out, err = run(capsys, "plot", saved, "-o", tmp_path / "m.svg")
    assert (code, out, err) == (0, f"wrote {tmp_path / 'm.svg'}: a map of 4 words\n", "")
    found = document(
        capsys, "plot", saved, "-o", tmp_path / "m.HTML", "--words", "king", "man", "--method", "tsne", "--seed", 5
    )
    assert found == {"output": str(tmp_path / "m.HTML"), "vectors": str(saved), "words": 2}
    assert run(capsys, "plot", model, "-o", tmp_path / "m.html", "-n", 3, "--quiet") == (0, "", "")
    assert document(capsys, "plot", model, "-o", tmp_path / "h.png", "--history")["epochs"] == 2
    assert [(name, args[1], keys) for name, args, keys in drawn] == [
        ("plot_map", str(tmp_path / "m.svg"), options),
        (
            "write_page",
            str(tmp_path / "m.HTML"),
            {"words": ["king", "man"], "topn": 50_000, "method": "tsne", "seed": 5},
        ),
        ("write_page", str(tmp_path / "m.html"), options | {"topn": 3}),
        ("plot_history", str(tmp_path / "h.png"), {}),
    ]
    assert drawn[-1][1][0] == SkipGram.load(model).history


def test_plot_refuses_what_would_be_without_effect(capsys):
    assert "so --topn cannot be given as well" in usage(capsys, "plot", "v", "--words", "a", "-n", 3)
    assert "so --method, --words cannot" in usage(capsys, "plot", "v", "--history", "--words", "a", "--method", "tsne")


def test_plot_draws(capsys, model, tmp_path):
    pytest.importorskip("matplotlib")
    assert run(capsys, "plot", model, "-o", tmp_path / "m.png", "--quiet") == (0, "", "")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    assert run(capsys, "plot", model, "-o", tmp_path / "h.svg", "--history", "--quiet") == (0, "", "")
    assert b"<svg" in (tmp_path / "h.svg").read_bytes()


@pytest.mark.filterwarnings("default")
def test_plot_says_on_one_line_what_no_font_has(capsys, tmp_path, monkeypatch):
    manager = pytest.importorskip("matplotlib.font_manager").fontManager
    monkeypatch.setattr(manager, "ttflist", [font for font in manager.ttflist if "DejaVu" in font.name])
    Vectors(["a", "\u65e5"], np.eye(2)).save(tmp_path / "v.safetensors")
    code, out, err = run(capsys, "plot", tmp_path / "v.safetensors", "-o", tmp_path / "m.png", "--quiet")
    assert (code, out) == (0, "")
    assert re.fullmatch(r"fastembed: warning: words with .* install one that has them: '\u65e5'\n", err)
    assert (tmp_path / "m.png").exists()


def test_plot_writes_a_page(capsys, model, tmp_path):
    pytest.importorskip("bokeh")
    assert run(capsys, "plot", model, "-o", tmp_path / "m.html", "--quiet") == (0, "", "")
    assert b"</html>" in (tmp_path / "m.html").read_bytes()


def test_plot_without_its_extra_is_one_line(capsys, model, tmp_path, monkeypatch):
    for module in ("matplotlib", "matplotlib.axes", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    code, out, err = run(capsys, "plot", model, "-o", tmp_path / "m.png")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: .*\[plot\].*\n", err)
