"""The commands evaluate, compare and plot."""

import numpy as np
import pytest

from fastembed.corpus import Reading
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors


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


def test_evaluate_prints_a_line_per_file_and_section(run, document, saved, judged):
    similarity, analogies = judged
    argv = ("--similarity", similarity, similarity, "--analogies", analogies, "--method", "3CosMul")
    code, out, err = run("evaluate", saved, *argv)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        *[f"{similarity}: Spearman 1.0000 on 3 of 4 pairs; 1 unknown word"] * 2,
        f"{analogies}: 3CosMul accuracy 1.0000: 1 correct of 1 covered, 3 asked",
        "  family                          accuracy 1.0000: 1 correct of 1 covered, 2 asked",
        "  farm                            accuracy nan: 0 correct of 0 covered, 1 asked",
    ]
    found = document("evaluate", saved, *argv, "--restrict", 3)
    assert [(each["file"], each["unknown"]) for each in found["similarity"]] == [(str(similarity), ["cow"])] * 2
    (found,) = found["analogies"]
    assert [section["name"] for section in found["sections"]] == ["family", "farm"]
    assert (found["restrict"], found["method"], found["asked"], found["accuracy"]) == (3, "3CosMul", 3, None)
    analogies.write_text("MAN KING WOMAN QUEEN\n", encoding="utf-8")
    assert document("evaluate", saved, "--analogies", analogies)["analogies"][0]["covered"] == 1
    code, out, err = run("evaluate", saved, "--analogies", analogies, "--case-sensitive")
    assert (code, "of 0 covered, 1 asked" in out, err) == (0, True, "")


def test_perplexity_is_that_of_the_model(run, document, saved, model, text, tmp_path):
    (tmp_path / "other").write_text("the mat sat\n", encoding="utf-8")
    argv = ("evaluate", model, "--perplexity", text, tmp_path / "other", "--threads", 1)
    expected = [SkipGram.load(model).perplexity(path) for path in (text, [["the", "mat", "sat"]])]
    found = document(*argv)["perplexity"]
    assert [entry["perplexity"] for entry in found] == pytest.approx(expected)
    assert [entry["file"] for entry in found] == [str(text), str(tmp_path / "other")]
    code, out, _ = run(*argv)
    assert code == 0
    assert f"other: perplexity {expected[1]:,.2f} of {found[1]['outputs']} outputs; 100.0% of the tokens" in out


def test_words_are_composed_if_that_is_asked_for(document, composing, tmp_path):
    (tmp_path / "similarity").write_text("king man 8\nking queen 7\nMan womanly 2\nking x 1\n", encoding="utf-8")
    for option, covered in ([], 2), (["--compose"], 3):
        found = document("evaluate", composing, "--similarity", tmp_path / "similarity", *option)["similarity"][0]
        assert found["covered"] == covered


def test_words_that_moved_are_printed(run, document, tmp_path):
    matrix = np.random.default_rng(0).normal(size=(40, 6))
    two = tmp_path / "one", tmp_path / "two"
    for path in two:
        Vectors([f"w{i}" for i in range(40)], matrix).save(path)
        matrix[5] *= -1
    code, out, err = run("compare", *two)
    assert (code, err) == (0, "")
    first, second = out.splitlines()[:2]
    assert first == "40 words in both; moved most, with the cosine of their two vectors:"
    assert second.split()[0] == "w5"
    found = document("compare", *two)
    assert (found["words"], found["moved"][0]["word"]) == (40, "w5")
    assert len(found["moved"]) == 10


def test_the_suffix_and_history_choose_the_picture(run, model, tmp_path, monkeypatch):
    drawn = []
    for name in ("plot_map", "plot_history"):
        monkeypatch.setattr(
            f"fastembed.plotting.{name}", lambda *args, name=name, **how: drawn.append((name, args, how))
        )
    svg, html, png = (str(tmp_path / name) for name in ("m.svg", "m.HTML", "h.png"))
    assert run("plot", model, "-o", svg) == (0, f"wrote {svg}: a map of words\n", "")
    assert run("plot", model, "-o", html, "--method", "umap", "--seed", 5, "--quiet")[1] == ""
    assert run("plot", model, "-o", png, "--history")[1] == f"wrote {png}: the course of 2 epochs\n"
    options = {"words": None, "topn": None, "method": None, "seed": 0, "progress": False}
    assert [(name, args[1], how) for name, args, how in drawn] == [
        ("plot_map", svg, options),
        ("plot_map", html, options | {"method": "umap", "seed": 5}),
        ("plot_history", png, {}),
    ]


def test_words_of_a_map_are_read_as_the_text_of_the_model_was(run, tmp_path):
    pytest.importorskip("matplotlib")
    model = tmp_path / "m.safetensors"
    SkipGram(dim=2, min_count=1, threads=1, reading=Reading(words=True)).fit(["The cat, the DOG."] * 5).save(model)
    assert run("plot", model, "-o", tmp_path / "m.svg", "--words", "Cat", "DOG,", "cat")[0] == 0
    code, out, err = run("plot", model, "-o", tmp_path / "u.svg", "--words", "cat", "fish")
    assert (code, out, "'fish'" in err) == (1, "", True)
    assert not (tmp_path / "u.svg").exists()
