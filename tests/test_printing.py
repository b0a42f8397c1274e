"""Results print themselves as a person would write them: a few lines."""

import re

import numpy as np
import pytest

from fastembed import Classifier, Recommender, SkipGram, Trainer, Vectors, Vocabulary
from fastembed.evaluation import Analogies, HeldOutItems, Section, Similarity, analogies, compare

WORDS = [f"w{k}" for k in range(6300)]


def comparison():
    matrix = np.random.default_rng(0).normal(size=(6300, 4)).astype(np.float32)
    moved = matrix.copy()
    moved[7] *= -1
    return compare(Vectors(WORDS, matrix), Vectors(WORDS, moved))


def classifier():
    return Classifier(threads=1).fit(["a b <b>", "c d", "e f"] * 5, ["<x>", "y", "z"] * 5)


def held_out():
    scores = dict.fromkeys(("precision", "recall", "ndcg", "hit_rate", "mrr", "coverage"), 0.25)
    return HeldOutItems(
        5.0, **scores, errors={"nll": 0.1, **scores}, popularity={"nll": 6.0, **scores}, topn=10, baskets=9, scored=8
    )


def explained_item():
    return Recommender(threads=1).fit([["bread", "jam"], ["bread", "tea"]]).explain([["bread"]], "jam")


PRINTED = {
    "Comparison": (comparison, 1),
    "Evaluation": (lambda: classifier().test(["a b", "c"], ["<x>", "z"]), 7),
    "Similarity": (lambda: Similarity(0.5, 9, 8, tuple(WORDS)), 1),
    "Analogies": (lambda: Analogies("3CosAdd", (Section("a", 3, 4, 5),) * 14), 1),
    "HeldOutItems": (held_out, 9),
    "LabelExplanation": (lambda: classifier().explain("a"), 20),
    "Explanation of an item": (explained_item, 3),
    "Counts": (lambda: SkipGram(min_count=1).count(["a b", "b c"]), 1),
    "Trainer": (lambda: Trainer.random(5, 3), 1),
    "Vocabulary": (lambda: Vocabulary(["a", "b"], [3, 1]), 1),
}


@pytest.mark.parametrize("name", PRINTED)
def test_a_result_prints_a_few_lines(name):
    make, most = PRINTED[name]
    shown = repr(make())
    assert shown
    assert len(shown.splitlines()) <= most
    assert max(map(len, shown.splitlines())) < 130
    assert "array(" not in shown


def test_analogies_show_their_sections(tmp_path, capsys):
    path = tmp_path / "questions.txt"
    path.write_text(": family\nw1 w2 w3 w4\n: plural\nw5 w6 w7 w8\n", encoding="utf-8")
    vectors = Vectors(WORDS[:9], np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32))
    shown = analogies(vectors, path, progress=True)
    assert re.search(r"analogies: .*/2 ", capsys.readouterr().err)
    assert analogies(vectors, path) == shown
    assert capsys.readouterr() == ("", "")
