"""Word similarity and analogies: against plain searches and gensim; the forms of their files, and errors."""

import json
import math

import numpy as np
import pytest

from fastembed.evaluation import Analogies, Section, Similarity, analogies, compare, word_similarity
from fastembed.vectors import Vectors

PAIRS = [("cat", "dog", 9.0), ("car", "sun", 8.5), ("cat", "car", 3.0), ("cat", "sun", 1.0)]


def test_spearman_is_that_of_the_ranks(words):
    assert word_similarity(words, PAIRS) == Similarity(pytest.approx(1), pairs=4, covered=4, unknown=())
    swapped = [(first, second, -score) for first, second, score in PAIRS]
    assert word_similarity(words, swapped).spearman == pytest.approx(-1)
    # ranks 1 2 3 4 against 1 2 4 3: 1 - 6 * 2 / (4 * 15)
    assert word_similarity(words, [*PAIRS[2:], ("cat", "dog", 5), ("car", "sun", 6)]).spearman == pytest.approx(0.8)


def test_unknown_words_are_left_out_and_counted(words):
    pairs = [*PAIRS, ("cow", "cat", 10.0), ("owl", "cow", 9.9)]
    assert word_similarity(words, pairs, compose=True) == word_similarity(words, pairs)
    assert word_similarity(words, pairs) == Similarity(pytest.approx(1), pairs=6, covered=4, unknown=("cow", "owl"))


@pytest.mark.parametrize("pairs", [PAIRS[:1], [(*PAIRS[0][:2], 1), (*PAIRS[1][:2], 1)]])
def test_spearman_that_is_not_defined_is_nan(words, pairs):
    result = word_similarity(words, pairs)
    assert math.isnan(result.spearman)
    assert result.record()["spearman"] is None
    json.dumps(result.record(), allow_nan=False)


def test_a_model_in_place_of_its_vectors_is_named(words):
    for call in (word_similarity, analogies):
        with pytest.raises(TypeError, match=r"vectors must be a Vectors, such as model.vectors, got list"):
            call([words], "file")


def test_words_that_differ_in_case_are_the_same_unless_case_matters():
    vectors = Vectors(["Apple", "apple", "pear"], np.array([[1.0, 0], [0, 1], [0, 2]]))
    pairs = [("apple", "PEAR", 1.0), ("pear", "pear", 2.0)]
    assert word_similarity(vectors, pairs).covered == 2
    assert word_similarity(vectors, pairs).spearman == pytest.approx(1)  # the first token, "Apple", gives the vector
    exact = word_similarity(vectors, pairs, case_insensitive=False)
    assert (exact.covered, exact.unknown) == (1, ("PEAR",))


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        ([], ValueError, "at least one pair"),
        ([("cat", "dog")], TypeError, r"pair 0 must be \(word, word, score\), got \('cat', 'dog'\)"),
        ([("cat", "dog", "9_")], TypeError, "the score of pair 0 must be a number, got '9_'"),
        ([("cat", "dog", math.nan)], ValueError, "the score of pair 0 must be finite"),
    ],
)
def test_wrong_pairs_in_memory_are_named(words, pairs, error, message):
    with pytest.raises(error, match=message):
        word_similarity(words, pairs)


@pytest.mark.filterwarnings("default")  # of another project
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_similarity_agrees_with_gensim(dtype, written, random_words):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors, _ = random_words(seed=3, dtype=dtype)
    peer = models.KeyedVectors(vectors.matrix.shape[1], dtype=dtype)
    peer.add_vectors(list(vectors.tokens), vectors.matrix)

    rng = np.random.default_rng(4)
    words = [f"w{i}" for i in range(320)]
    path = written("".join("\t".join([*rng.choice(words, 2), f"{rng.uniform(0, 10):.2f}\n"]) for _ in range(200)))
    for case_insensitive in (True, False):
        _, spearman, unknown = peer.evaluate_word_pairs(str(path), case_insensitive=case_insensitive)
        result = word_similarity(vectors, path, case_insensitive=case_insensitive)
        assert result.spearman == pytest.approx(spearman.statistic, abs=1e-6)
        assert 100 * (1 - result.covered / result.pairs) == pytest.approx(unknown)
        assert 0 < result.covered < result.pairs


def test_unknown_words_of_pairs_are_composed_if_that_is_asked_for(composing):
    known = Vectors([*composing.tokens, "kingly"], np.stack([*composing.matrix, composing["kingly"]]))
    pairs = [("king", "man", 3.0), ("KINGLY", "man", 2.0), ("kingly", "queen", 1.0), ("xyz", "king", 0.0)]
    found = word_similarity(composing, pairs, compose=True)
    expected = word_similarity(known, pairs)
    assert (found.spearman, found.covered, found.unknown) == (expected.spearman, expected.covered, expected.unknown)
    assert found.summary().endswith(" on 3 of 4 pairs; 1 unknown word")
    assert word_similarity(composing, pairs).covered == 1
    assert word_similarity(composing, pairs, compose=True, case_insensitive=False).unknown == ("KINGLY", "xyz")


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
@pytest.mark.parametrize("restrict", [None, 3, 150])
def test_analogies_are_those_of_a_plain_search(set_constant, method, restrict, written, random_words):
    vectors, text = random_words(seed=1, dtype=np.float64)
    set_constant("fastembed.vectors.neighbors.COSINE_BYTES", 1)
    set_constant("fastembed.evaluation.words.QUESTIONS", 7)
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


def test_variants_in_case_are_not_answers_but_count_as_the_right_one(written):
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1], [0.01, 1, 1], [0.02, 1, 1.1]])
    vectors = Vectors(["man", "woman", "king", "WOMAN", "Queen", "queen"], matrix)
    path = written(":family\nMan Woman King QUEEN\n")
    assert analogies(vectors, path).total.correct == 1
    path = written(":family\nman woman king queen\n")
    assert analogies(vectors, path, case_insensitive=False).total == Section("total", 0, 1, 1)  # WOMAN


def test_records_show_the_counts():
    empty = Section("empty", 0, 0, 7)
    result = Analogies("3CosMul", (empty, Section("full", 1, 4, 1000)))
    assert result.total == Section("total", 1, 4, 1007)
    record = json.loads(json.dumps(result.record(), allow_nan=False))
    assert (record["method"], record["accuracy"], record["asked"]) == ("3CosMul", 0.25, 1007)
    assert (record["sections"][0]["asked"], record["sections"][0]["accuracy"]) == (7, None)


@pytest.mark.parametrize("method", ["3CosAdd", "3CosMul"])
def test_unknown_words_of_analogies_are_composed_if_that_is_asked_for(composing, written, method):
    questions = [("king", "queen", "kingly", w) for w in composing.tokens] + [("queen", "man", "king", "kingly")]
    questions += [
        ("xyz", "man", "king", "queen"),
        ("KINGLY", "KINGS", "man", "queen"),
        ("king", "queen", "man", "king"),
    ]
    path = written("\n".join(map(" ".join, questions)))
    found = analogies(composing, path, compose=True, method=method).total
    assert (found.asked, found.covered) == (len(questions), 6)
    correct = 0
    for *asked, answer in questions:
        if "xyz" not in asked and answer != "kingly":
            ((best, _),) = composing.analogy(*(word.lower() for word in asked), topn=1, method=method)
            correct += best == answer
    assert found.correct == correct > 0
    assert analogies(composing, path, method=method).total.covered == 1


@pytest.mark.parametrize(
    "text",
    [
        "cat\tdog\t9\ncar\tsun\t8.5\ncat\tcar\t3\ncat\tsun\t1\n",
        "# title\n# Word 1\tWord 2\tmean\ncat\tdog\t9.0\n\ncar\tsun\t8.5\r\n   \ncat\tcar\t3\n#end\ncat\tsun\t1",
        "Word 1,Word 2,Human (mean)\ncat,dog,9\ncar, sun ,8.5\ncat,car,3\ncat,sun,1\n",
        '"word1","word2","score"\n"cat","dog","9"\n"car","sun","8.5"\ncat,"car",3\n"cat","sun",1e0\n',
        "cat dog 9\ncar   sun 8.5\n cat car 3\ncat\u00a0sun 1",
        "cat;dog;9\ncar;sun;8.5\ncat;car;3\ncat;sun;1\n",
        "word1\tword2\tPOS\tscore\tconc\ncat\tdog\tN\t9\t1\ncar\tsun\tN\t8.5\t2\ncat\tcar\tN\t3\t3\ncat\tsun\tN\t1\t4\n",
        "\ufeffCat\tDOG\t9\nCAR\tsun\t8.5\ncat\tcar\t3\t7\t7\ncat\tsun\t1\t0\n",
    ],
    ids=["tabs", "comments", "commas", "quotes", "white space", "semicolons", "more columns", "BOM and case"],
)
def test_similarity_files_of_many_forms_hold_the_same_pairs(words, text, written):
    assert word_similarity(words, written(text)) == Similarity(pytest.approx(1), pairs=4, covered=4, unknown=())


def test_a_word_may_hold_spaces_commas_and_quotes(words, written):
    path = written('"a, ""b""",c d,1\ncat,dog,2\n')
    assert word_similarity(words, path).unknown == ('a, "b"', "c d")
    assert word_similarity(words, str(path)).unknown == ('a, "b"', "c d")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no pair of words with a score"),
        ("# only\n\nword word score", "holds no pair"),
        ("#\ncat dog 9\n\ncat sun one", "line 4: two words"),
        ("cat dog 9\ncat dog inf", "line 2: two words and a finite score expected, got 'cat dog inf'"),
        ("cat,dog,9\n,sun,9", "line 2: two words and a finite score expected, got ',sun,9'"),
        ('cat,dog,9\n"cat,dog,9', "line 2: unexpected end of data in '\"cat,dog,9'"),
    ],
)
def test_a_wrong_line_of_a_similarity_file_is_named(words, text, message, written):
    path = written(text)
    with pytest.raises(ValueError, match=r"scores\.txt") as caught:
        word_similarity(words, path)
    assert message in str(caught.value)


@pytest.mark.parametrize("read", [word_similarity, analogies])
def test_files_that_are_missing_or_not_utf8_are_named(words, tmp_path, read, written):
    with pytest.raises(ValueError, match=r"scores.txt' is not valid UTF-8"):
        read(words, written("cat dog 9\ncaf\xe9 dog 9", "latin-1"))
    with pytest.raises(FileNotFoundError, match="absent"):
        read(words, tmp_path / "absent.txt")


@pytest.mark.parametrize("separator", [" ", "\t", ",", " ; "])
def test_analogy_files_of_many_forms_hold_the_same_questions(words, separator, written):
    line = separator.join(["cat", "dog", "car", "sun"])
    path = written(f"# comment\n{line}\n:  one, two\n\n: two\r\n{line}\r\n{line.replace('sun', 'owl')}")
    assert analogies(words, path).sections == (
        Section("", 1, 1, 1),
        Section("one, two", 0, 0, 0),
        Section("two", 1, 1, 2),
    )


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, ValueError, "scores.txt' holds no analogy"),
        (": a\na b c", {}, ValueError, r"scores.txt', line 2: four words, or : and .* expected, got 'a b c'"),
        ("a b c d", {"method": "cosadd"}, ValueError, "method must be one of 3CosAdd, 3CosMul, got 'cosadd'"),
        ("a b c d", {"restrict": 0}, ValueError, "restrict must be at least 1, got 0"),
    ],
)
def test_a_wrong_line_or_option_of_analogies_is_named(words, text, options, error, message, written):
    with pytest.raises(error, match=message):
        analogies(words, written(text), **options)
    with pytest.raises(TypeError, match="list"):
        analogies(words, [("cat", "dog", "owl", "cow")])


@pytest.fixture
def models():
    """Two sets of vectors, the second turned, with two words that changed places, and words that only one has."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(200, 12))
    turned = matrix @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
    turned[[20, 30]] = turned[[30, 20]]
    words = [f"w{i}" for i in range(200)]
    return Vectors(["old", *words[1:]], matrix), Vectors(["new", *words[1:]], turned)


def test_words_that_changed_places_moved_most(models):
    comparison = compare(*models)
    moved = comparison.moved(3)
    assert {word for word, _ in moved[:2]} == {"w20", "w30"}
    assert moved[0][1] < 0.9 < moved[2][1]
    assert comparison.tokens[0] == "w1"
    assert set(comparison.tokens) == {f"w{i}" for i in range(1, 200)}
    assert comparison.moved(5, first=25)[0][0] == "w20"
    one, other = models
    aligned = other.align(one)
    cosine = one["w7"] @ aligned["w7"] / np.linalg.norm(one["w7"]) / np.linalg.norm(aligned["w7"])
    assert comparison.cosines[comparison.tokens.index("w7")] == pytest.approx(cosine, abs=1e-9)
    one = Vectors(one.tokens, one.matrix * (np.arange(200) != 7)[:, None])  # w7 has no counts in the first corpus
    assert set(compare(one, other).tokens) == set(comparison.tokens) - {"w7"}


def test_function_words_are_left_out(models):
    one, other = (
        Vectors(["the" if token == "w20" else token for token in held.tokens], held.matrix) for held in models
    )
    comparison = compare(one, other)
    assert "the" in comparison.tokens
    assert comparison.moved(1)[0][0] == "w30"
    assert "the" not in {word for word, _ in comparison.moved(200)}


def test_only_vectors_with_a_word_in_common_are_compared(models):
    with pytest.raises(TypeError, match="second must be a Vectors"):
        compare(models[0], np.eye(3))
    with pytest.raises(ValueError, match="must share tokens"):
        compare(models[0], Vectors(["x"], np.ones((1, 12))))
    with pytest.raises(ValueError, match="topn"):
        compare(*models).moved(0)
