"""The commands neighbors, analogy, predict, info and export."""

import re

import numpy as np
import pytest

from fastembed.corpus import Reading
from fastembed.formats.registry import format_of
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors


def test_every_word_is_a_query(run, saved):
    code, out, err = run("neighbors", saved, "king", "man", "-n", 2)
    assert (code, err) == (0, "")
    assert out.split() == ["king", "man", "0.7071", "queen", "0.5000", "man", "king", "0.7071", "woman", "0.0000"]


def test_words_together_or_with_negative_ones_are_one_query(run, document, saved):
    found = document("neighbors", saved, "king", "woman", "--negative", "man", "--topn", 1)
    assert found.keys() == {"vectors", "queries", "unknown"}
    assert found["vectors"] == str(saved)
    (query,) = found["queries"]
    score = Vectors.load(saved).most_similar(["king", "woman"], ["man"], topn=1)[0][1]
    neighbors = [{"word": "queen", "score": pytest.approx(score)}]
    assert query == {"positive": ["king", "woman"], "negative": ["man"], "neighbors": neighbors}
    (query,) = document("neighbors", saved, "king", "queen", "--together")["queries"]
    assert [near["word"] for near in query["neighbors"]] == ["man", "woman"]
    assert run("neighbors", saved, "king", "--negative", "man", "-n", 1)[1].startswith("king -man\n")


def test_queries_of_standard_input_have_the_answers_that_they_have_alone(document, saved, stdin):
    """Each query has the same result as alone, with or without a batch search."""
    stdin(b"king\n\n  man  king \r\nking woman\tman\n\tman\nqueen")
    found = document("neighbors", saved, "-", "-n", 2)["queries"]
    vectors = Vectors.load(saved)
    expected = [(["king"], []), (["man", "king"], []), (["king", "woman"], ["man"]), ([], ["man"]), (["queen"], [])]
    assert [(query["positive"], query["negative"]) for query in found] == expected
    for query in found:
        alone = vectors.most_similar(query["positive"], query["negative"], topn=2)
        assert [(near["word"], near["score"]) for near in query["neighbors"]] == [
            (word, pytest.approx(score)) for word, score in alone
        ]


def test_queries_with_an_unknown_word_are_named_and_the_others_answered(run, saved, stdin):
    stdin(b"k\xff")
    assert "not valid UTF-8 at byte 1" in run("neighbors", saved, "-")[2]
    stdin(b"quen\nking\nman king\tzzzz\n")
    code, out, err = run("neighbors", saved, "-", "-n", 1)
    assert (code, out) == (1, run("neighbors", saved, "king", "-n", 1)[1])
    assert (err.count("\n"), "'quen' is" in err, "'zzzz' is" in err) == (1, True, True)


def test_words_are_read_as_the_text_of_the_model_was_before_they_are_composed(document, tmp_path, stdin):
    reading = Reading(words=True, phrases=["new york"])
    model = SkipGram(dim=2, min_count=1, subwords=True, threads=1, reading=reading).fit(["Kings, kingly New York."] * 5)
    model.save(path := tmp_path / "m.safetensors")
    found = document("neighbors", path, "KINGSHIP,", "Kings", "New York", "-n", 1)
    assert [query["positive"] for query in found["queries"]] == [["kingship"], ["kings"], ["new_york"]]
    for command, words in (("neighbors", "positive"), ("predict", "words")):
        stdin(b"New  York\nkings kingly\n")
        queries = document(command, path, "-", "-n", 1)["queries"]
        assert [query[words] for query in queries] == [["new_york"], ["kings", "kingly"]]


def test_analogy_prints_json(document, saved):
    found = document("analogy", saved, "man", "king", "woman", "--method", "3CosMul")
    ((word, score),) = Vectors.load(saved).analogy("man", "king", "woman", method="3CosMul")
    asked = {"vectors": str(saved), "a": "man", "b": "king", "c": "woman", "method": "3CosMul"}
    assert found == {**asked, "answers": [{"word": word, "score": pytest.approx(score)}]}
    assert document("analogy", saved, "man", "woman", "king", "--restrict", 3)["answers"] == []


def test_json_has_the_words_and_what_is_predicted(document, model):
    for side in ("before", "after"):
        answers = SkipGram.load(model).predict_output(["cat"], side=side)
        queries = [{"words": ["cat"], "predicted": [{"word": word, "score": p} for word, p in answers]}]
        found = document("predict", model, "cat", "--side", side)
        assert found == {"model": str(model), "side": side, "queries": queries}


def test_words_are_left_out_and_unknown_ones_skipped(run, document, model, stdin):
    words = dict(SkipGram.load(model).predict_output("cat", exclude=["dog"]))
    for given in (["cat", "--exclude", "dog"], ["cat", "cet", "--exclude", "dog", "cut", "--skip-unknown"]):
        code, out, err = run("predict", model, *given)
        assert (code, err) == (0, "")
        assert [line.split()[0] for line in out.splitlines()[1:]] == list(words)
    code, out, err = run("predict", model, "cat", "--exclude", "cet")
    assert (code, out, "'cet' is not among the 6 tokens" in err) == (1, "", True)
    stdin(b"cat whale\nunicorn\ncat")
    mixed, unknown, known = document("predict", model, "-", "--skip-unknown")["queries"]
    assert mixed["predicted"] == known["predicted"] != []
    assert unknown["predicted"] == []


def test_info_shows_the_contents_of_a_file(run, document, saved, model):
    code, out, err = run("info", saved)
    assert (code, err) == (0, "")
    assert out == f"{saved}: {saved.stat().st_size:,} bytes\n<Vectors: 4 tokens, 3 dimensions, float64>\n"
    found = document("info", model)
    assert found.keys() == {"file", "bytes", "metadata", "tensors"}
    assert found["bytes"] == model.stat().st_size
    assert found["metadata"]["settings"]["dim"] == 3
    assert found["metadata"]["manifest"]["nll"] == SkipGram.load(model).history[-1]["nll"]
    assert {"name": "linear", "dtype": "float32", "shape": [3, 12]} in found["tensors"]
    shown, loaded = run("info", model)[1].splitlines()[1], SkipGram.load(model)
    assert shown == f"{loaded}: {len(loaded.vocabulary)} words, 3 dimensions, {len(loaded.history)} epochs"
    loaded.set_params(reading=Reading(words=True)).fit(["a b", "b a"] * 5).save(model)
    assert run("info", model)[1].endswith(
        f": 2 words, 3 dimensions, {loaded.epochs} epochs, read as Reading(words=True)\n"
    )


def test_info_shows_counts(run, document, text, tmp_path):
    store = tmp_path / "store"
    assert run("count", text, "-o", store, "--min-count", 1, "--quiet") == (0, "", "")
    found = document("info", store)
    assert found["metadata"]["format"] == "fastembed.counts-store"
    assert found["bytes"] == sum(file.stat().st_size for file in store.iterdir())
    assert {"name": "totals.rows", "dtype": "float64", "shape": [6]} in found["tensors"]
    assert run("info", store)[1].splitlines()[1].startswith("<Counts of shape (6, 12), ")
    code, _, err = run("info", tmp_path)
    assert (code, "is not a store of counts" in err) == (1, True)


def test_info_shows_the_versions_of_the_installation(run, document):
    code, out, err = run("info")
    assert (code, err) == (0, "")
    assert re.search(r"^blas ", out, re.MULTILINE)
    found = document("info")
    assert list(found) == ["fastembed", "build", "caches", "python", "unicode", "numpy", "scipy", "blas", "threads"]


@pytest.mark.parametrize("name", ["v.txt", "v.vec.gz", "v.bin", "v.glove", "w.safetensors"])
def test_every_format_is_written_and_read_back(run, document, saved, tmp_path, name):
    code, out, err = run("export", saved, "-o", tmp_path / name)
    assert (code, err) == (0, "")
    form = format_of(name)
    size = (tmp_path / name).stat().st_size
    assert out == f"wrote {tmp_path / name}: 4 vectors of dimension 3, {form.description}, {size:,} bytes\n"
    np.testing.assert_array_equal(Vectors.load(tmp_path / name).matrix, Vectors.load(saved).matrix)
    found = document("neighbors", tmp_path / name, "king", "-n", 1)
    assert found["queries"][0]["neighbors"][0]["word"] == "man"
    assert document("info", tmp_path / name)["tensors"][0]["shape"] == [4, 3]


def test_a_format_can_be_named(run, document, saved, tmp_path):
    output = tmp_path / "v.txt"
    assert run("export", saved, "-o", output, "--format", "glove", "--quiet") == (0, "", "")
    assert output.read_text(encoding="utf-8").startswith("man 1 0 0\n")
    for options in ((), ("--input-format", "glove")):  # it begins with a vector
        assert run("neighbors", output, "king", *options)[0] == 0
    assert run("neighbors", output, "king", "--input-format", "word2vec")[0] == 1
    assert document("info", output)["metadata"] == {"format": "glove"}


def test_ngrams_that_the_format_cannot_hold_are_left_out_and_named(run, composing, tmp_path):
    code, out, err = run("export", composing, "-o", tmp_path / "v.vec")
    assert code == 0
    assert err.endswith("v.vec' has the words without the 9 buckets of n-grams: .safetensors keeps them\n")
    assert ": 4 vectors of dimension 3, text of fastText, float32" in out
    assert run("export", composing, "-o", tmp_path / "w.safetensors")[2] == ""
    np.testing.assert_array_equal(Vectors.load(tmp_path / "w.safetensors")["manly"], Vectors.load(composing)["manly"])
