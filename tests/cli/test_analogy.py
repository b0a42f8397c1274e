"""The command analogy."""

import pytest

from fastembed.vectors import Vectors


def test_analogy_prints_the_best_answers(run, saved):
    code, out, err = run("analogy", saved, "man", "king", "woman", "-n", 1)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "man is to king as woman is to"
    assert out.splitlines()[1].split()[0] == "queen"


@pytest.mark.parametrize("method", ["3CosAdd", "3CosMul"])
def test_analogy_prints_json(document, saved, method):
    found = document("analogy", saved, "man", "king", "woman", "--method", method)
    ((word, score),) = Vectors.load(saved).analogy("man", "king", "woman", method=method)
    assert found == {
        "vectors": str(saved),
        "a": "man",
        "b": "king",
        "c": "woman",
        "method": method,
        "answers": [{"word": word, "score": pytest.approx(score)}],
        "composed": [],
    }
    assert document("analogy", saved, "man", "woman", "king", "--restrict", 3)["answers"] == []


@pytest.mark.parametrize("command", [["neighbors", "cat"], ["analogy", "cat", "dog", "the"]])
def test_purpose_chooses_the_vectors_of_a_model(document, model, command):
    name, *words = command
    answers = [document(name, model, *words, "--purpose", purpose) for purpose in ("analogies", "relatedness")]
    assert document(name, model, *words) == answers[0] != answers[1]


def test_the_format_of_a_model_cannot_be_chosen(usage):
    message = usage("neighbors", "v.txt", "king", "--purpose", "relatedness", "--input-format", "glove")
    assert "so --input-format cannot be given as well" in message


def test_words_that_are_composed_are_named(run, document, composing):
    code, out, err = run("analogy", composing, "man", "manly", "woman", "-n", 1)
    assert code == 0
    assert out.splitlines()[0] == "man is to manly as woman is to"
    assert err.startswith("fastembed: note: 'manly' is not among the words; its vector was composed of its n-grams ")
    (composed,) = document("analogy", composing, "man", "manly", "woman")["composed"]
    assert composed["word"] == "manly"
