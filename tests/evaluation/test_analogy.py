"""Analogies against a plain search and against gensim."""

import json

import numpy as np
import pytest

from fastembed.evaluation import Analogies, Section, analogies
from fastembed.vectors import Vectors


def best_by_hand(vectors, size, asked, method):
    """Return the answer to a question, word by word in float64; None if no word is left."""
    unit = vectors.matrix[:size].astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    row = {}
    for i, token in enumerate(vectors.tokens[:size]):
        row.setdefault(token.upper(), i)
    a, b, c = (unit @ unit[row[word.upper()]] for word in asked)
    scores = b - a + c if method == "3CosAdd" else (1 + b) / 2 * (1 + c) / 2 / ((1 + a) / 2 + 1e-6)
    hidden = {word.upper() for word in asked}
    left = [i for i in range(size) if vectors.tokens[i].upper() not in hidden]
    return vectors.tokens[max(left, key=lambda i: scores[i])].upper() if left else None


@pytest.mark.parametrize("method", ["3CosAdd", "3CosMul"])
@pytest.mark.parametrize("restrict", [None, 3, 150, 10**9])
@pytest.mark.parametrize("block_bytes", [1, 5000, 1 << 26])
def test_analogies_are_those_of_a_plain_search(sizes, method, restrict, block_bytes, written, random_words):
    vectors, text = random_words(seed=1, dtype=np.float64)
    sizes.cosine_bytes = block_bytes
    sizes.questions = 7
    result = analogies(vectors, written(text), method=method, restrict=restrict)
    size = min(restrict or len(vectors), len(vectors))
    known = {token.upper() for token in vectors.tokens[:size]}
    expected = []
    for line in text.splitlines():
        if line.startswith(":"):
            expected.append([line[2:], 0, 0, 0])
            continue
        *asked, answer = line.upper().split()
        covered = known.issuperset([*asked, answer])
        correct = covered and best_by_hand(vectors, size, asked, method) == answer
        expected[-1][1:] = np.add(expected[-1][1:], [correct, covered, 1]).tolist()
    assert result.sections == tuple(Section(*section) for section in expected)
    if size > 3:
        assert 10 < result.total.correct < result.total.covered < result.total.asked


def test_the_methods_differ_and_the_words_of_the_question_are_not_answers(words, written, random_words):
    path = written("cat dog car cat\ncat dog car dog\ncat dog car car\ncat dog car sun")
    for method in ("3CosAdd", "3CosMul"):
        result = analogies(words, path, method=method)
        assert result == Analogies(method, (Section("", 1, 4, 4),))
    three = Vectors(words.tokens[:3], words.matrix[:3])  # nothing is left to answer with
    assert analogies(three, path).sections == (Section("", 0, 3, 4),)
    vectors, text = random_words(seed=2)
    path = written(text)
    assert analogies(vectors, path, method="3CosAdd").total != analogies(vectors, path, method="3CosMul").total


def test_variants_in_case_are_not_answers_but_count_as_the_right_one(written):
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1], [0.01, 1, 1], [0.02, 1, 1.1]])
    vectors = Vectors(["man", "woman", "king", "WOMAN", "Queen", "queen"], matrix)
    path = written(":family\nMan Woman King QUEEN\n")
    assert analogies(vectors, path).total.correct == 1
    assert analogies(vectors, path, case_insensitive=False).total == Section("total", 0, 0, 1)
    path = written(":family\nman woman king queen\n")
    assert analogies(vectors, path, case_insensitive=False).total == Section("total", 0, 1, 1)  # WOMAN


def test_zero_vectors_are_harmless(words, written):
    vectors = Vectors([*words.tokens, "nil"], np.vstack([words.matrix, [[0, 0]]]))
    path = written("cat dog car sun\ncat nil car sun")
    for method in ("3CosAdd", "3CosMul"):
        assert analogies(vectors, path, method=method).total.covered == 2


def test_summaries_and_records_show_the_counts():
    empty = Section("empty", 0, 0, 7)
    assert empty.summary() == "accuracy nan: 0 correct of 0 covered, 7 asked"
    result = Analogies("3CosMul", (empty, Section("full", 1, 4, 1000)))
    assert result.total == Section("total", 1, 4, 1007)
    assert result.summary() == "3CosMul accuracy 0.2500: 1 correct of 4 covered, 1,007 asked"
    record = json.loads(json.dumps(result.record(), allow_nan=False))
    assert (record["method"], record["accuracy"], record["asked"]) == ("3CosMul", 0.25, 1007)
    assert record["sections"][0] == {
        "name": "empty",
        "correct": 0,
        "covered": 0,
        "asked": 7,
        "composed": 0,
        "accuracy": None,
    }


@pytest.mark.filterwarnings("default")  # of another project
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_analogies_agree_with_gensim(dtype, written, random_words):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors, text = random_words(seed=3, dtype=dtype)
    peer = models.KeyedVectors(vectors.matrix.shape[1], dtype=dtype)
    peer.add_vectors(list(vectors.tokens), vectors.matrix)

    path = written(text)
    for restrict in (100, len(vectors)):
        for case_insensitive in (True, False):
            options = {"case_insensitive": case_insensitive}
            score, sections = peer.evaluate_word_analogies(str(path), restrict_vocab=restrict, **options)
            result = analogies(vectors, path, restrict=restrict, **options)
            assert result.total.accuracy == score
            assert [(s.name, s.correct, s.covered) for s in result.sections] == [
                (s["section"], len(s["correct"]), len(s["correct"] + s["incorrect"])) for s in sections[:-1]
            ]
            score, _ = peer.evaluate_word_analogies(str(path), restrict_vocab=restrict, dummy4unknown=True, **options)
            assert result.total.correct / result.total.asked == score


@pytest.mark.parametrize("method", ["3CosAdd", "3CosMul"])
def test_unknown_words_are_composed_if_that_is_asked_for(composing, tmp_path, method):
    questions = [("king", "queen", "kingly", w) for w in composing.tokens] + [("queen", "man", "king", "kingly")]
    questions += [
        ("xyz", "man", "king", "queen"),
        ("KINGLY", "KINGS", "man", "queen"),
        ("king", "queen", "man", "king"),
    ]
    path = tmp_path / "questions"
    path.write_text("\n".join(map(" ".join, questions)), encoding="utf-8")
    found = analogies(composing, path, compose=True, method=method).total
    assert (found.asked, found.covered, found.composed) == (len(questions), 6, 5)
    correct = 0
    for *asked, answer in questions:
        if "xyz" not in asked and answer != "kingly":
            ((best, _),) = composing.analogy(*(word.lower() for word in asked), topn=1, method=method)
            correct += best == answer
    assert found.correct == correct > 0
    assert "of 6 covered (5 with composed words)" in found.summary()
    without = analogies(composing, path, method=method).total
    assert (without.covered, without.composed) == (1, 0)
