"""The command evaluate."""

import re

import pytest

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
    (found,) = document("evaluate", saved, "--analogies", analogies, "--case-sensitive")["analogies"]
    assert found["covered"] == 0


def test_evaluate_prints_json(document, saved, judged):
    similarity, analogies = map(str, judged)
    argv = ("--similarity", similarity, "--analogies", analogies, "--restrict", 3)
    results = document("evaluate", saved, *argv)
    assert results.keys() == {"vectors", "similarity", "analogies", "perplexity", "held_out_items"}
    assert (results["vectors"], results["perplexity"]) == (str(saved), [])
    assert results["similarity"] == [
        {"file": similarity, "spearman": pytest.approx(1), "pairs": 4, "covered": 3, "unknown": ["cow"], "composed": 0}
    ]
    (found,) = results["analogies"]
    assert found["sections"][1] == {
        "name": "farm",
        "correct": 0,
        "covered": 0,
        "asked": 1,
        "composed": 0,
        "accuracy": None,
    }
    del found["sections"]
    expected = {"file": analogies, "restrict": 3, "method": "3CosAdd", "name": "total"}
    assert found == expected | {"correct": 0, "covered": 0, "asked": 3, "composed": 0, "accuracy": None}


def test_evaluate_names_a_bad_line(run, saved, judged):
    code, out, err = run("evaluate", saved, "--analogies", judged[0])
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: '.*similarity.tsv', line 2: four words, .*\n", err)


def test_perplexity_is_that_of_the_model(run, document, saved, model, text, tmp_path):
    (tmp_path / "other").write_text("the mat sat\n", encoding="utf-8")
    argv = ("evaluate", model, "--perplexity", text, tmp_path / "other", "--threads", 1)
    expected = [SkipGram.load(model).perplexity(path) for path in (text, [["the", "mat", "sat"]])]
    found = document(*argv)["perplexity"]
    assert [entry["perplexity"] for entry in found] == pytest.approx(expected)
    assert [entry["file"] for entry in found] == [str(text), str(tmp_path / "other")]
    code, out, _ = run(*argv)
    assert code == 0
    assert out.splitlines()[0] == f"{text}: perplexity {expected[0]:.2f}"
    code, out, err = run("evaluate", saved, "--perplexity", text)
    assert (code, out) == (1, "")
    assert "holds vectors alone and no model" in err


@pytest.mark.parametrize("option", [["--threads", "2"], ["--lowercase"], ["--restrict", "5"], ["--method", "3CosMul"]])
def test_evaluate_rejects_options_without_effect(usage, option):
    assert f"so {option[0]} cannot be given as well" in usage("evaluate", "v", "--similarity", "f", *option)


@pytest.mark.parametrize(
    ("option", "command"),
    [
        ("--purpose relatedness", ("neighbors", "king", "--purpose", "relatedness")),
        ("--history", ("plot", "--history")),
        ("--perplexity", ("evaluate", "--perplexity", "text")),
    ],
)
def test_options_that_need_a_model_say_so(run, saved, text, tmp_path, monkeypatch, option, command):
    monkeypatch.chdir(tmp_path)
    Vectors.load(saved).save("v.npy")
    for path in (saved, "v.npy"):
        code, out, err = run(command[0], path, *command[1:])
        assert (code, out) == (1, "")
        assert re.fullmatch(
            rf"fastembed: error: {option} needs a model that `train` wrote: '.*' holds vectors alone and no model.*\n",
            err,
        )


def test_words_are_composed_if_that_is_asked_for(run, document, usage, composing, tmp_path):
    similarity, analogies = tmp_path / "similarity", tmp_path / "analogies"
    similarity.write_text("king man 8\nking queen 7\nMan womanly 2\nking x 1\n", encoding="utf-8")
    analogies.write_text("man king manly queen\n", encoding="utf-8")
    argv = ("evaluate", composing, "--similarity", similarity, "--analogies", analogies)
    code, out, _ = run(*argv, "--compose")
    assert code == 0
    assert "on 3 of 4 pairs, 1 of them with composed words; 1 unknown word" in out
    assert "of 1 covered (1 with composed words), 1 asked" in out
    found = document(*argv, "--compose")
    assert (found["similarity"][0]["composed"], found["analogies"][0]["composed"]) == (1, 1)
    found = document(*argv)
    assert (found["similarity"][0]["composed"], found["analogies"][0]["composed"]) == (0, 0)
    assert (found["similarity"][0]["covered"], found["analogies"][0]["covered"]) == (2, 0)
    assert "--compose cannot be given as well" in usage("evaluate", composing, "--perplexity", "t", "--compose")
