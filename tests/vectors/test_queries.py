"""Queries of vectors: results compared with a plain implementation and with gensim; rejected queries."""

import multiprocessing
import threading

import numpy as np
import pytest

from fastembed import SkipGram, Vectors
from fastembed.corpus import Reading
from fastembed.vectors.neighbors import Neighbors

TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


def plain_unit(vector):
    norm = np.sqrt(np.sum(vector.astype(np.float64) ** 2))
    return vector / norm if norm else vector.astype(np.float64)


def assert_agree(found, expected, atol):
    assert [token for token, _ in found] == [token for token, _ in expected]
    np.testing.assert_allclose([score for _, score in found], [score for _, score in expected], rtol=0, atol=atol)


@pytest.fixture(params=sorted(TOLERANCE))
def vectors(request):
    matrix = np.random.default_rng(5).standard_normal((200, 16)).astype(request.param)
    return Vectors([f"w{i}" for i in range(200)], matrix)


@pytest.fixture
def peer(vectors):
    """Return gensim's object with the same vectors, in the dtype of ours."""
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors", reason="gensim is not installed")
    peer = keyedvectors.KeyedVectors(16, dtype=vectors.matrix.dtype)
    peer.add_vectors(list(vectors.tokens), vectors.matrix)
    return peer


@pytest.mark.parametrize("subwords", [False, True])
def test_accents_may_be_characters_of_their_own(subwords):
    """A text is read in Unicode's form NFC; a query may be in NFD, unless a token is."""
    composed, apart = "\u00e9t\u00e9", "e\u0301te\u0301"
    reading = Reading(words=True)
    model = SkipGram(dim=2, min_count=1, reading=reading, subwords=subwords).fit([f"{apart} file tile", "tile pile"])
    vectors, words = model.vectors, model.vocabulary
    assert apart in vectors
    assert apart in words
    assert words[apart] == words[composed]
    np.testing.assert_array_equal(vectors[apart], vectors[composed])
    np.testing.assert_array_equal(vectors[[apart]], vectors[[composed]])
    assert vectors.most_similar(apart) == vectors.most_similar(composed)
    assert vectors.subset([apart]).tokens == (composed,)
    assert vectors.doesnt_match([apart, "file", "tile"]) == vectors.doesnt_match([composed, "file", "tile"])
    both = Vectors([composed, apart], np.eye(2))
    assert (both[composed].tolist(), both[apart].tolist()) == ([1, 0], [0, 1])


@pytest.mark.parametrize("name", ["v.txt.gz", "v.bin", "\x1b[2J.vec"])
def test_bars_are_drawn_of_neighbours_and_of_files_and_change_nothing(name, tmp_path, capsys):
    held = Vectors([f"w{i}" for i in range(50)], np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32))
    held.save(tmp_path / name)
    results = []
    for progress in (False, True):
        assert capsys.readouterr().err == ""
        held.save(tmp_path / f"{progress}-{name}", progress=progress)
        loaded = Vectors.load(tmp_path / name, progress=progress)
        results.append(
            (loaded.matrix.tobytes(), *map(np.ndarray.tobytes, held.nearest(held.tokens, progress=progress)))
        )
    shown = capsys.readouterr().err
    assert all(f"{bar}: " in shown for bar in ("vectors", name.replace("\x1b", "\\x1b"), "neighbours"))
    assert results[0] == results[1]
    assert (tmp_path / f"True-{name}").read_bytes() == (tmp_path / f"False-{name}").read_bytes()


def test_similarity_and_distance_are_those_by_hand():
    held = Vectors(["a", "b", "c"], np.array([[3.0, 0.0], [4.0, 3.0], [-6.0, 0.0]]))
    assert held.similarity("a", "b") == pytest.approx(0.8, abs=1e-15)
    assert held.similarity("a", "c") == -1.0
    assert held.distance("a", "b") == pytest.approx(0.2, abs=1e-15)
    assert held.distance("a", "c") == 2.0
    with pytest.raises(TypeError, match="a token is a str"):
        held.similarity(["a"], ["b"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_token_has_similarity_1_and_distance_0_with_itself(dtype):
    smallest, largest = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    for dim in (1, 2, 10, 100, 300):
        rows = np.random.default_rng(dim).standard_normal((300, dim)).astype(dtype)
        rows = np.concatenate([rows, rows[:1] * np.array([[smallest * 1e6], [largest / 8]], dtype)])
        held = Vectors([f"w{i}" for i in range(len(rows))], rows)
        assert {held.similarity(token, token) for token in held} == {1.0}
        assert {held.distance(token, token) for token in held} == {0.0}
        assert held.nearest(rows, topn=1)[1].ravel().tolist() == [1.0] * len(rows)


def test_most_similar_takes_tokens_and_arrays_alone_or_mixed(vectors):
    assert vectors.most_similar("w1") == vectors.most_similar(["w1"])
    assert vectors.most_similar("w1", "w2") == vectors.most_similar(np.array(["w1"]), ["w2"])
    assert vectors.most_similar(iter(["w1", "w2"])) == vectors.most_similar(("w1", "w2"))
    assert vectors.most_similar(vectors.matrix[:2]) == vectors.most_similar([vectors["w0"], vectors["w1"]])
    # a vector names no token, so the nearest one is its own
    token, cosine = vectors.most_similar(vectors["w1"], topn=1)[0]
    assert token == "w1"
    assert cosine == pytest.approx(1.0, abs=TOLERANCE[vectors.matrix.dtype.name])
    # arrays count as they are: a long one outweighs a token
    assert vectors.most_similar([1e6 * vectors["w2"], "w1"], topn=1)[0][0] == "w2"


def test_weights_multiply_the_vectors(vectors):
    tolerance = TOLERANCE[vectors.matrix.dtype.name]
    assert vectors.most_similar([("w1", 1.0), ("w2", 1)], [("w3", -1.0)]) == vectors.most_similar(["w1", "w2"], ["w3"])
    assert vectors.most_similar([("w1", 2)], [("w2", -0.5)]) == vectors.most_similar([("w1", 2), ("w2", -0.5)])
    units = [plain_unit(vectors[token]) for token in ("w1", "w2")]
    mean = 2 * units[0] - 0.5 * units[1]
    found = vectors.most_similar([("w1", 2), ("w2", -0.5)], topn=198)
    expected = [pair for pair in vectors.most_similar(mean, topn=200) if pair[0] not in ("w1", "w2")]
    assert_agree(found, expected, tolerance)
    doubled = vectors.most_similar([vectors["w5"], vectors["w5"], vectors["w8"]])
    assert_agree(vectors.most_similar([(vectors["w5"], 2.0), vectors["w8"]]), doubled, tolerance)


def test_integers_are_the_tokens_of_their_digits_and_never_ids():
    """As in a corpus: nodes 33 and 0 of a graph are queried as they were given."""
    held = Vectors(["33", "0", "-8", "1"], np.array([[1.0, 0], [1, 1], [0, 1], [1, -1]]))
    for zero in (0, np.int64(0), "0"):
        assert zero in held
        assert held[zero].tolist() == [1.0, 1.0]
        assert held.most_similar(zero, topn=3, restrict=[33]) == held.most_similar("0", topn=3, restrict=["33"])
        assert held.nearest([zero, 33])[0].tolist() == held.nearest(["0", "33"])[0].tolist()
    assert held.most_similar(np.array([33, 0])) == held.most_similar(["33", "0"])
    assert held.analogy(33, 0, 1) == held.analogy("33", "0", "1")
    for no in (2, 3, -1, True, None, 0.0):
        assert no not in held
    with pytest.raises(KeyError, match="3 is not among"):
        held.most_similar(3)


@pytest.mark.parametrize("ask", ["__getitem__", "most_similar", "subset", "subwords", "doesnt_match"])
@pytest.mark.parametrize("number", [0, np.int32(0)])
def test_an_integer_is_no_word_among_words(ask, number):
    held = Vectors(["0", "the", "33"], np.eye(3))
    with pytest.raises(TypeError, match=r"^a token must be a str, got 0: pass '0', or matrix\[0\] for a row$"):
        getattr(held, ask)(number if ask in ("__getitem__", "most_similar", "subwords") else [number, "the"])


def test_names_of_gensim_are_told_as_they_are_here():
    held = Vectors(["a", "b"], np.eye(2))
    model = SkipGram(dim=2, min_count=1)
    for owner, name, here in (
        (held, "index_to_key", "it is tokens here"),
        (held, "get_vector", r"it is vectors\[token\] here"),
        (held, "vector_size", r"it is matrix.shape\[1\] here"),
        (model, "wv", "it is vectors here"),
        (held, "nothing", "'Vectors' object has no attribute 'nothing'"),
        (model, "vectors", "has not been fitted yet"),
    ):
        with pytest.raises(AttributeError, match=here):
            getattr(owner, name)


def test_ids_are_asked_for_by_their_own_name(vectors):
    ids, cosines = vectors.nearest(ids=[3, 4], topn=5)
    expected, expected_cosines = vectors.nearest(["w3", "w4"], topn=5)
    assert ids.tolist() == expected.tolist()
    assert cosines.tolist() == expected_cosines.tolist()
    assert vectors.nearest(ids=ids[0])[0].shape == (5, 10)
    assert [array.shape for array in vectors.nearest(ids=[])] == [(0, 0), (0, 0)]
    assert vectors.subset(ids=np.array([9, 2])).tokens == ("w9", "w2")
    for call in (vectors.nearest, vectors.subset):
        with pytest.raises(TypeError, match="or ids, not neither"):
            call()
        with pytest.raises(TypeError, match="or ids, not both"):
            call(["w1"], ids=[1])
        with pytest.raises(ValueError, match=r"ids must be ids from 0 to 199, but ids\[1\] is 200"):
            call(ids=[1, 200])
        with pytest.raises(TypeError, match="ids must hold integers"):
            call(ids=["w1"])


@pytest.mark.parametrize(
    ("restrict", "allowed"),
    [
        (1, ["w0"]),
        (60, [f"w{i}" for i in range(60)]),
        (10**6, [f"w{i}" for i in range(200)]),
        (["w4", "w100", "w7", "w4"], ["w4", "w7", "w100"]),
        (np.array(["w9", "w5"]), ["w5", "w9"]),
        ([], []),
    ],
)
def test_restrict_limits_the_search(vectors, restrict, allowed):
    for query in ({"positive": "w4"}, {"positive": ["w1", "w2"], "negative": "w199"}, {"positive": vectors["w7"]}):
        expected = [pair for pair in vectors.most_similar(**query, topn=200) if pair[0] in allowed]
        assert vectors.most_similar(**query, topn=200, restrict=restrict) == expected
        assert vectors.most_similar(**query, topn=1, restrict=restrict) == expected[:1]
    ids, _ = vectors.nearest(vectors.matrix[:5], topn=200, restrict=restrict)
    for i in range(5):
        expected = [token for token, _ in vectors.most_similar(vectors.matrix[i], topn=200) if token in allowed]
        assert [vectors.tokens[near] for near in ids[i]] == expected


def test_ties_are_in_the_order_of_the_tokens():
    held = Vectors(list("qabcdef"), np.array([[1.0, 0], [1, 1], [1, -1], [2, 2], [1, 0], [4, -4], [0.5, 0.5]]))
    assert [token for token, _ in held.most_similar("q", topn=4)] == ["d", "a", "b", "c"]
    assert held.nearest(["q", "d"], topn=5)[0].tolist() == [[4, 1, 2, 3, 5], [0, 1, 2, 3, 5]]


@pytest.mark.parametrize("extra", [0, 40])
def test_zero_vectors_are_never_found_and_a_zero_query_is_named(extra):
    """Words that are only predicted, isolated nodes: never before neighbours of negative cosines."""
    rows = [[0.0, 0], [1, 0], [-1, 0], *extra * [[0, 0]]]
    held = Vectors(["zero", "a", "b", *map(str, range(extra))], np.array(rows, np.float32))
    for topn in (1, 9):
        assert held.most_similar("a", topn=topn) == [("b", -1.0)]
        assert held.analogy("b", "b", "a", topn, method="3CosMul") == []
        assert held.nearest(["a", "b"], topn)[0].tolist() == [[2], [1]]
        assert held.most_similar("a", topn=topn, restrict=1) == held.most_similar("a", restrict=["zero"]) == []
    for call, expected in [
        (lambda: held.nearest(["a", "zero"], 1)[0].tolist(), [[2], [1]]),
        (lambda: held.similarity("a", "zero"), 0.0),
        (lambda: held.doesnt_match(["a", "a", "zero"]), "zero"),
        (lambda: held.analogy("a", "a", "zero"), [("b", 0.0)]),
        (lambda: held.nearest(np.zeros((1, 2)), 1)[0].tolist(), [[1]]),
    ]:
        assert call() == expected
    for query in ("zero", ["a", "b"]):
        with pytest.raises(ValueError, match=r"^the vector of \['.*'\] is zero, which is near no token$"):
            held.most_similar(query)


@pytest.mark.parametrize("topn", [1, 7, 199, 1000])
def test_a_query_has_the_same_answer_alone_and_among_others(topn):
    rng = np.random.default_rng(6)
    matrix = rng.integers(-1, 2, (200, 4)).astype(np.float32)  # 81 different rows at most, one of them zero
    held = Vectors([f"w{i}" for i in range(200)], matrix)
    queries = [token for token in held if held[token].any()]
    ids, cosines = held.nearest(queries, topn)
    assert ids.shape == cosines.shape == (len(queries), min(topn, len(queries) - 1))
    assert (ids.dtype, cosines.dtype) == (np.intp, np.float64)
    assert (cosines[:, 1:] == cosines[:, :-1]).any() or topn == 1
    for i, token in enumerate(queries):
        expected = [(held.tokens[near], cosine) for near, cosine in zip(ids[i], cosines[i], strict=True)]
        assert held.most_similar(token, topn=topn) == expected
        alone, alone_cosines = held.nearest(token, topn)
        assert alone.tolist() == ids[i].tolist()
        assert alone_cosines.tolist() == cosines[i].tolist()


def test_nearest_takes_vectors_and_tokens(vectors):
    queries = np.random.default_rng(7).standard_normal((20, 16))
    ids, cosines = vectors.nearest(queries, 200)
    unit = np.array([plain_unit(row) for row in vectors.matrix])
    truth = np.array([plain_unit(row) for row in queries]) @ unit.T
    tolerance = TOLERANCE[vectors.matrix.dtype.name]
    np.testing.assert_allclose(cosines, np.sort(truth, axis=1)[:, ::-1], rtol=0, atol=tolerance)
    np.testing.assert_allclose(np.take_along_axis(truth, ids, axis=1), cosines, rtol=0, atol=tolerance)
    for same in (queries.astype(np.float64, order="F"), list(queries), iter(queries)):
        np.testing.assert_array_equal(vectors.nearest(same, 200)[0], ids)
    for same in (("w3", "w4"), iter(["w3", "w4"]), np.array(["w3", "w4"])):
        np.testing.assert_array_equal(vectors.nearest(same)[1], vectors.nearest(["w3", "w4"])[1])
    one, _ = vectors.nearest(vectors["w3"].astype(np.float16), 1)
    assert one.tolist() == [3]
    mixed, _ = vectors.nearest(["w3", vectors["w3"]], 200)
    assert mixed.shape == (2, 199)  # as many as there are for each: w3 is left out of its own answer
    assert mixed[1, 0] == 3
    for none in ([], np.empty((0, 16))):
        assert [array.shape for array in vectors.nearest(none)] == [(0, 0), (0, 0)]


def test_the_odd_one_out_is_found(vectors):
    held = Vectors(["red", "cat", "blue"], np.array([[1.0, 0.1], [0.1, 1.0], [1.0, 0.2]]))
    assert held.doesnt_match(iter(["red", "cat", "blue"])) == "cat"
    assert Vectors(list("abc"), np.eye(3)).doesnt_match(["c", "a", "b"]) == "c"  # the first of a tie
    with pytest.raises(ValueError, match="at least three tokens, got 2"):
        held.doesnt_match(["red", "cat"])


def test_analogies_are_scored_by_both_methods(vectors):
    add = vectors.analogy("w1", "w2", "w3", topn=7)
    assert_agree(add, vectors.most_similar(["w2", "w3"], ["w1"], topn=7), TOLERANCE[vectors.matrix.dtype.name])
    mul = vectors.analogy("w1", "w2", "w3", topn=200, method="3CosMul")
    shifted = [
        (1 + (np.array([plain_unit(row) for row in vectors.matrix]) @ plain_unit(vectors.matrix[i]))) / 2
        for i in (1, 2, 3)
    ]
    scores = shifted[1] * shifted[2] / (shifted[0] + 1e-6)
    order = [i for i in np.argsort(-scores, kind="stable") if i not in (1, 2, 3)]
    assert_agree(mul, [(f"w{i}", scores[i]) for i in order], 100 * TOLERANCE[vectors.matrix.dtype.name])
    assert [token for token, _ in add] != [token for token, _ in mul[:7]]
    restricted = vectors.analogy("w1", "w2", "w3", method="3CosMul", restrict=20)
    assert restricted == [pair for pair in mul if int(pair[0][1:]) < 20][:10]


def test_most_similar_is_gensims(vectors, peer):
    raw = vectors["w8"] * 3
    for positive, negative in [
        ("w1", []),
        (["w1", "w2"], ["w3"]),
        ([raw, "w2"], "w5"),
        (raw, []),
        ([], ["w4"]),
        (["w4", "w4"], ["w7", "w8", "w9"]),
        ([("w1", 0.3), ("w2", -2.0), ("w5", 1.5)], [("w3", -0.7), "w6"]),
        ([(raw, 0.25), "w2"], []),
    ]:
        for topn, restrict in [(20, None), (500, 90)]:
            found = vectors.most_similar(positive, negative, topn=topn, restrict=restrict)
            expected = peer.most_similar(positive, negative, topn=topn, restrict_vocab=restrict)
            assert_agree(found, expected, TOLERANCE["float32"])  # gensim rounds the mean to float32


def test_unknown_tokens_name_the_closest_spellings():
    held = Vectors(["france", "french", "trance", "two"], np.eye(4))
    for call in (
        held.__getitem__,
        held.nearest,
        lambda token: held.analogy("two", "france", token),
        lambda token: held.most_similar("two", restrict=[token]),
        lambda token: held.subset([token]),
    ):
        with pytest.raises(KeyError, match="'frence' is not among the 4 tokens; the closest spellings are 'fr"):
            call("frence")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"positive": "a", "topn": 0}, ValueError, "topn must be at least 1, got 0"),
        ({}, ValueError, "at least one token or vector"),
        ({"positive": 0.5}, TypeError, r"positive must be tokens or vectors, got 0\.5"),
        ({"positive": {"a": 2.0}}, TypeError, "positive must be tokens or vectors, got {'a': 2.0}"),
        ({"positive": ("a", 2.0)}, TypeError, r"a token is a str, .*got 2\.0"),
        ({"positive": [np.array([1, 2, 3])]}, TypeError, "must hold floating-point numbers, got dtype int64"),
        ({"positive": np.zeros(4)}, ValueError, r"shape \(3,\), got \(4,\)"),
        ({"positive": ["a", np.array([1.0, np.nan, 0])]}, ValueError, r"query vector\[1\] is nan"),
        ({"positive": [("a", "b")]}, TypeError, "the weight of 'a' in positive"),
        ({"positive": "a", "negative": 3}, TypeError, r"negative=3 may be .* pass \[3\], or topn=3"),
        ({"positive": "a", "negative": [("b", 0.5)]}, ValueError, "the weight of 'b' in negative"),
        ({"positive": [np.array([1e308, 0, 0]), np.array([1e308, 0, 0])]}, ValueError, "the sum of the query"),
        ({"positive": "a", "restrict": 0}, ValueError, "restrict must be at least 1, got 0"),
        ({"positive": "a", "restrict": "b"}, TypeError, "restrict must be several tokens, got 'b'"),
    ],
)
def test_bad_queries_are_rejected(arguments, error, message):
    with pytest.raises(error, match=message):
        Vectors(list("abc"), np.eye(3)).most_similar(**arguments)


@pytest.mark.parametrize(
    ("queries", "error", "message"),
    [
        (np.zeros((2, 4)), ValueError, r"queries must have the shape \(Q, 3\) or \(3,\), got \(2, 4\)"),
        (np.zeros(4), ValueError, r"a query vector must have the shape \(3,\), got \(4,\)"),
        (np.array([[0, np.inf, 0]]), ValueError, r"queries\[0, 1\] is inf"),
    ],
)
def test_bad_queries_of_nearest_are_rejected(queries, error, message):
    with pytest.raises(error, match=message):
        Vectors(list("abc"), np.eye(3)).nearest(queries)


def test_one_vectors_gives_many_threads_the_same_bits(asked, in_threads):
    """From the first query on, which prepares data for later queries."""
    matrix = np.random.default_rng(0).standard_normal((2000, 30), dtype=np.float32)
    vectors, twin = (Vectors([f"w{i}" for i in range(2000)], matrix) for _ in range(2))
    assert in_threads(*[lambda: asked(vectors)] * 8) == [asked(twin)] * 8


@pytest.mark.thread_unsafe(reason="forks")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs a system that forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_answers_that_is_forked_while_another_thread_prepares_an_answer(answer_of_child, monkeypatch):
    """On Python 3.11 `functools.cached_property` has a lock that a child would find held."""
    first, second = (Vectors(["a", "b"], np.eye(2)) for _ in range(2))
    inside, leave = threading.Event(), threading.Event()

    def make(matrix):
        if matrix is first.matrix:
            inside.set()
            leave.wait(300)
        return Neighbors(matrix)

    monkeypatch.setattr("fastembed.vectors.vectors.Neighbors", make)
    other = threading.Thread(target=first.most_similar, args=("a",), daemon=True)
    other.start()
    assert inside.wait(300)
    assert answer_of_child(lambda: second.most_similar("a")) == [("b", 0.0)]
    leave.set()
    other.join(300)
