"""Score files and their errors, Spearman and coverage, analogies against a plain search and against gensim."""

import json
import math
import random

import numpy as np
import pytest

from fastembed.evaluation import Analogies, Section, Similarity, analogies, word_similarity
from fastembed.evaluation.evaluation import perplexity
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors
from fastembed.vectors import neighbors as _neighbors

# cosines: cat-dog 1.0, cat-car 0.6, dog-car 0.6, cat-sun 0, car-sun 0.8
WORDS = Vectors(["cat", "dog", "car", "sun"], np.array([[1.0, 0], [2, 0], [0.6, 0.8], [0, 3]]))
PAIRS = [("cat", "dog", 9.0), ("car", "sun", 8.5), ("cat", "car", 3.0), ("cat", "sun", 1.0)]


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "scores.txt"
    path.write_bytes(text.encode(encoding))
    return path


def random_words(seed, size=304, dim=8, dtype=np.float32):
    """Return vectors and analogies: some words are upper case only, some in both cases, some unknown."""
    rng = np.random.default_rng(seed)
    tokens = [f"w{i}" for i in range(size)]
    tokens[0::8] = [token.upper() for token in tokens[0::8]]
    tokens[4::8] = [token.upper() for token in tokens[5::8]]  # before the lower case
    vectors = Vectors(tokens, rng.standard_normal((len(tokens), dim)).astype(dtype))
    names = [f"w{i}" for i in range(size + 20)]
    choose = random.Random(seed)
    lines = []
    for k in range(200):
        if k % 50 == 0:
            lines.append(f": section {k}")
        lines.append(" ".join(choose.sample(names, 4)))
    # random vectors answer little: ask for what they answer, too
    for k in range(100):
        a, b, c = choose.sample(tokens[: len(tokens) // 2], 3)
        best = vectors.most_similar([b, c], [a], topn=5)
        lines.append(f"{a} {b} {c} {best[0 if k % 2 else 1][0]}")
    return vectors, "\n".join(lines)


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


def test_spearman_of_pairs_in_memory():
    assert word_similarity(WORDS, PAIRS) == Similarity(pytest.approx(1), pairs=4, covered=4, unknown=())
    swapped = [(first, second, -score) for first, second, score in PAIRS]
    assert word_similarity(WORDS, swapped).spearman == pytest.approx(-1)
    # ranks 1 2 3 4 against 1 2 4 3: 1 - 6 * 2 / (4 * 15)
    assert word_similarity(WORDS, [*PAIRS[2:], ("cat", "dog", 5), ("car", "sun", 6)]).spearman == pytest.approx(0.8)


def test_unknown_words_are_left_out_and_counted_or_score_zero():
    pairs = [*PAIRS, ("cow", "cat", 10.0), ("owl", "cow", 9.9)]
    assert word_similarity(WORDS, pairs) == Similarity(pytest.approx(1), pairs=6, covered=4, unknown=("cow", "owl"))
    as_zero = word_similarity(WORDS, pairs, dummy4unknown=True)
    assert (as_zero.pairs, as_zero.covered) == (6, 4)
    # people: 4 3 2 1 6 5; cosines 1 .8 .6 0 0 0: ranks 6 5 4 2 2 2
    assert as_zero.spearman == pytest.approx(np.corrcoef([4, 3, 2, 1, 6, 5], [6, 5, 4, 2, 2, 2])[0, 1])


@pytest.mark.parametrize("pairs", [PAIRS[:1], [(*PAIRS[0][:2], 1), (*PAIRS[1][:2], 1)], [("x", "y", 1), ("x", "z", 2)]])
def test_spearman_that_is_not_defined_is_nan(pairs):
    result = word_similarity(WORDS, pairs)
    assert math.isnan(result.spearman)
    assert result.record()["spearman"] is None
    json.dumps(result.record(), allow_nan=False)


def test_case():
    vectors = Vectors(["Apple", "apple", "pear"], np.array([[1.0, 0], [0, 1], [0, 2]]))
    pairs = [("apple", "PEAR", 1.0), ("pear", "pear", 2.0)]
    assert word_similarity(vectors, pairs).covered == 2
    assert word_similarity(vectors, pairs).spearman == pytest.approx(1)  # the first token, "Apple", gives the vector
    exact = word_similarity(vectors, pairs, case_insensitive=False)
    assert (exact.covered, exact.unknown) == (1, ("PEAR",))


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
def test_forms_of_similarity_files(tmp_path, text):
    assert word_similarity(WORDS, written(tmp_path, text)) == Similarity(
        pytest.approx(1), pairs=4, covered=4, unknown=()
    )


def test_a_word_may_hold_spaces_commas_and_quotes(tmp_path):
    path = written(tmp_path, '"a, ""b""",c d,1\n')
    assert word_similarity(WORDS, path).unknown == ('a, "b"', "c d")
    assert word_similarity(WORDS, str(path)).unknown == ('a, "b"', "c d")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no pair of words with a score"),
        ("# only\n\nword word score", "holds no pair"),
        ("cat dog 9\ncat sun", "line 2: two words and a finite score expected, got 'cat sun'"),
        ("#\ncat dog 9\n\ncat sun one", "line 4: two words"),
        ("w w s\nw w s\ncat dog 9", "line 2: two words"),
        ("cat dog nan\ncat dog inf", "line 2: two words"),
        ("cat dog 9\ncat dog inf", "line 2: two words and a finite score expected, got 'cat dog inf'"),
        ("cat,dog,N,9\ncat,sun,9", "line 2: two words and a finite score in field 4 expected, got 'cat,sun,9'"),
        (",dog,9", "line 1: two words"),
        ('cat,dog,9\n"cat,dog,9', "line 2: unexpected end of data in '\"cat,dog,9'"),
    ],
)
def test_bad_similarity_files(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=r"scores\.txt") as caught:
        word_similarity(WORDS, path)
    assert message in str(caught.value)


@pytest.mark.parametrize("read", [word_similarity, analogies])
def test_unreadable_files(tmp_path, read):
    with pytest.raises(ValueError, match=r"scores.txt', line 2: not valid UTF-8: invalid"):
        read(WORDS, written(tmp_path, "cat dog 9\ncaf\xe9 dog 9", "latin-1"))
    with pytest.raises(FileNotFoundError, match="absent"):
        read(WORDS, tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        ([], ValueError, "at least one pair"),
        ([("cat", "dog")], TypeError, r"pair 0 must be \(word, word, score\), got \('cat', 'dog'\)"),
        ([*PAIRS, ("cat", 1, 1)], TypeError, "pair 4 must be"),
        ([None], TypeError, "pair 0 must be"),
        ([("cat", "dog", "9")], TypeError, "the score of pair 0 must be a number, got '9'"),
        ([("cat", "dog", math.nan)], ValueError, "the score of pair 0 must be finite"),
    ],
)
def test_bad_pairs(pairs, error, message):
    with pytest.raises(error, match=message):
        word_similarity(WORDS, pairs)


def test_summaries():
    assert Similarity(math.nan, 5, 0, ("a", "b")).summary() == "Spearman nan on 0 of 5 pairs; 2 unknown words"
    empty = Section("empty", 0, 0, 7)
    assert empty.summary() == "accuracy nan: 0 correct of 0 covered, 7 asked"
    result = Analogies("3CosMul", (empty, Section("full", 1, 4, 1000)))
    assert result.total == Section("total", 1, 4, 1007)
    assert result.summary() == "3CosMul accuracy 0.2500: 1 correct of 4 covered, 1,007 asked"
    record = json.loads(json.dumps(result.record(), allow_nan=False))
    assert (record["method"], record["accuracy"], record["asked"]) == ("3CosMul", 0.25, 1007)
    assert record["sections"][0] == {"name": "empty", "correct": 0, "covered": 0, "asked": 7, "accuracy": None}


@pytest.mark.parametrize("method", ["3CosAdd", "3CosMul"])
@pytest.mark.parametrize("restrict", [None, 3, 150, 10**9])
@pytest.mark.parametrize("block_bytes", [1, 5000, 1 << 26])
def test_analogies_are_those_of_a_plain_search(tmp_path, set_constant, method, restrict, block_bytes):
    vectors, text = random_words(seed=1, dtype=np.float64)
    set_constant(_neighbors, "BLOCK_BYTES", block_bytes)
    set_constant("fastembed.evaluation.evaluation.BLOCK", 7)
    result = analogies(vectors, written(tmp_path, text), method=method, restrict=restrict)
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


def test_the_methods_differ_and_the_words_of_the_question_are_no_answers(tmp_path):
    path = written(tmp_path, "cat dog car cat\ncat dog car dog\ncat dog car car\ncat dog car sun")
    for method in ("3CosAdd", "3CosMul"):
        result = analogies(WORDS, path, method=method)
        assert result == Analogies(method, (Section("", 1, 4, 4),))
    three = Vectors(WORDS.tokens[:3], WORDS.matrix[:3])  # nothing is left to answer with
    assert analogies(three, path).sections == (Section("", 0, 3, 4),)
    vectors, text = random_words(seed=2)
    path = written(tmp_path, text)
    assert analogies(vectors, path, method="3CosAdd").total != analogies(vectors, path, method="3CosMul").total


def test_variants_in_case_are_no_answers_but_count_as_the_right_one(tmp_path):
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1], [0.01, 1, 1], [0.02, 1, 1.1]])
    vectors = Vectors(["man", "woman", "king", "WOMAN", "Queen", "queen"], matrix)
    path = written(tmp_path, ":family\nMan Woman King QUEEN\n")
    assert analogies(vectors, path).total.correct == 1
    assert analogies(vectors, path, case_insensitive=False).total == Section("total", 0, 0, 1)
    path = written(tmp_path, ":family\nman woman king queen\n")
    assert analogies(vectors, path, case_insensitive=False).total == Section("total", 0, 1, 1)  # WOMAN


def test_zero_vectors_are_harmless(tmp_path):
    vectors = Vectors([*WORDS.tokens, "nil"], np.vstack([WORDS.matrix, [[0, 0]]]))
    path = written(tmp_path, "cat dog car sun\ncat nil car sun")
    for method in ("3CosAdd", "3CosMul"):
        assert analogies(vectors, path, method=method).total.covered == 2


@pytest.mark.parametrize("separator", [" ", "\t", ",", " ; "])
def test_forms_of_analogy_files(tmp_path, separator):
    line = separator.join(["cat", "dog", "car", "sun"])
    path = written(tmp_path, f"# comment\n{line}\n:  one, two\n\n: two\r\n{line}\r\n{line.replace('sun', 'owl')}")
    assert analogies(WORDS, path).sections == (
        Section("", 1, 1, 1),
        Section("one, two", 0, 0, 0),
        Section("two", 1, 1, 2),
    )


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, ValueError, "scores.txt' holds no analogy"),
        (": a\n# b", {}, ValueError, "holds no analogy"),
        (": a\na b c", {}, ValueError, r"scores.txt', line 2: four words, or : and .* expected, got 'a b c'"),
        ("a b c d\n\na b c d e", {}, ValueError, "line 3: four words"),
        ("a,b,,d", {}, ValueError, "line 1: four words"),
        ("a b c d", {"method": "cosadd"}, ValueError, "method must be one of 3CosAdd, 3CosMul, got 'cosadd'"),
        ("a b c d", {"restrict": 0}, ValueError, "restrict must be at least 1, got 0"),
        ("a b c d", {"restrict": 1.5}, TypeError, "restrict must be an integer, got 1.5"),
    ],
)
def test_bad_analogies(tmp_path, text, options, error, message):
    with pytest.raises(error, match=message):
        analogies(WORDS, written(tmp_path, text), **options)


def test_perplexity_is_the_models():
    corpus = [["a", "b"], ["b", "c"]] * 9
    model = SkipGram(dim=2, min_count=1, sample=None).fit(corpus)
    assert perplexity(model, corpus) == model.perplexity(corpus)


@pytest.mark.filterwarnings("default")  # of another project
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_gensim(tmp_path, dtype):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors, text = random_words(seed=3, dtype=dtype)
    peer = models.KeyedVectors(vectors.matrix.shape[1], dtype=dtype)
    peer.add_vectors(list(vectors.tokens), vectors.matrix)

    path = written(tmp_path, text)
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

    rng = np.random.default_rng(4)
    words = [f"w{i}" for i in range(320)]
    path = written(
        tmp_path, "".join("\t".join([*rng.choice(words, 2), f"{rng.uniform(0, 10):.2f}\n"]) for _ in range(200))
    )
    for case_insensitive in (True, False):
        for dummy4unknown in (True, False):
            options = {"case_insensitive": case_insensitive, "dummy4unknown": dummy4unknown}
            _, spearman, unknown = peer.evaluate_word_pairs(str(path), **options)
            result = word_similarity(vectors, path, **options)
            assert result.spearman == pytest.approx(spearman.statistic, abs=1e-6)
            assert 100 * (1 - result.covered / result.pairs) == pytest.approx(unknown)
            assert 0 < result.covered < result.pairs
