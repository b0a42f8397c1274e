"""Vectors: lookup, the meaning of most_similar against a plain twin and gensim, files, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastembed import formats
from fastembed.vectors import Vectors

TOLERANCE = {"float32": 2e-6, "float64": 1e-12}
DTYPES = sorted(TOLERANCE)


def plain_most_similar(tokens, matrix, positive, negative, topn):
    """3CosAdd said slowly: the mean of signed unit vectors, cosines in float64, the query's own tokens left out."""

    def unit(vector):
        norm = np.sqrt(np.sum(vector.astype(np.float64) ** 2))
        return vector / norm if norm else vector.astype(np.float64)

    signed = [(token, 1.0) for token in positive] + [(token, -1.0) for token in negative]
    mean = sum(sign * unit(matrix[tokens.index(token)]) for token, sign in signed) / len(signed)
    scored = [(token, float(unit(matrix[i]) @ unit(mean))) for i, token in enumerate(tokens)]
    scored = [pair for pair in scored if pair[0] not in (*positive, *negative)]
    return sorted(scored, key=lambda pair: -pair[1])[:topn]


@pytest.fixture(params=DTYPES)
def vectors(request):
    matrix = np.random.default_rng(5).standard_normal((200, 16)).astype(request.param)
    return Vectors([f"w{i}" for i in range(200)], matrix)


def test_lookup(vectors):
    assert len(vectors) == 200
    assert vectors.tokens[7] == "w7"
    assert isinstance(vectors.tokens, tuple)
    assert "w7" in vectors
    assert "w200" not in vectors
    assert 7 not in vectors
    np.testing.assert_array_equal(vectors["w7"], vectors.matrix[7])
    assert vectors["w7"].shape == (16,)
    assert repr(vectors) == f"<Vectors: 200 tokens, 16 dimensions, {vectors.matrix.dtype}>"


def test_nothing_can_change_them(vectors):
    for array in (vectors.matrix, vectors["w7"]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    matrix = np.eye(3)
    held = Vectors(["a", "b", "c"], matrix)
    matrix[...] = 7
    np.testing.assert_array_equal(held.matrix, np.eye(3))


def test_any_memory_order_becomes_c_contiguous():
    matrix = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    held = Vectors(list("abcd"), matrix)
    assert held.matrix.flags.c_contiguous
    np.testing.assert_array_equal(held.matrix, matrix)


def test_similarity_by_hand():
    held = Vectors(["a", "b", "c", "zero"], np.array([[3.0, 0.0], [4.0, 3.0], [-6.0, 0.0], [0.0, 0.0]]))
    assert held.similarity("a", "b") == pytest.approx(0.8, abs=1e-15)
    assert held.similarity("a", "c") == -1.0
    assert held.similarity("a", "a") == 1.0
    assert held.similarity("a", "zero") == 0.0


@pytest.mark.parametrize(
    ("positive", "negative", "topn"),
    [
        (["w1"], [], 10),
        (["w1", "w2"], ["w3"], 5),
        (["w1"], ["w2", "w3", "w4"], 500),
        ([], ["w9"], 3),
        (["w1", "w1"], [], 2),
    ],
)
def test_most_similar_is_the_plain_twin(vectors, positive, negative, topn):
    found = vectors.most_similar(positive, negative, topn=topn)
    expected = plain_most_similar(list(vectors.tokens), vectors.matrix, positive, negative, topn)
    assert [token for token, _ in found] == [token for token, _ in expected]
    cosines = [cosine for _, cosine in expected]
    np.testing.assert_allclose([c for _, c in found], cosines, rtol=0, atol=TOLERANCE[vectors.matrix.dtype.name])


def test_most_similar_takes_tokens_and_arrays_alone_or_mixed(vectors):
    assert vectors.most_similar("w1") == vectors.most_similar(["w1"])
    assert vectors.most_similar("w1", "w2") == vectors.most_similar(["w1"], ["w2"])
    assert vectors.most_similar(iter(["w1", "w2"])) == vectors.most_similar(["w1", "w2"])
    # a vector names no token, so the nearest one is its own
    token, cosine = vectors.most_similar(vectors["w1"], topn=1)[0]
    assert token == "w1"
    assert cosine == pytest.approx(1.0, abs=TOLERANCE[vectors.matrix.dtype.name])
    # arrays count as they are: a long one outweighs a token
    assert vectors.most_similar([1e6 * vectors["w2"], "w1"], topn=1)[0][0] == "w2"


def test_most_similar_is_gensims(vectors):
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors", reason="gensim is not installed")
    peer = keyedvectors.KeyedVectors(16)
    peer.add_vectors(list(vectors.tokens), vectors.matrix.astype(np.float32))
    raw = vectors["w8"] * 3
    for positive, negative in [("w1", ()), (["w1", "w2"], ["w3"]), ([raw, "w2"], "w5"), (raw, ()), ([], ["w4"])]:
        found = vectors.most_similar(positive, negative, topn=20)
        expected = peer.most_similar(positive=positive, negative=list(np.atleast_1d(negative)), topn=20)
        assert [token for token, _ in found] == [token for token, _ in expected]
        np.testing.assert_allclose([c for _, c in found], [c for _, c in expected], rtol=0, atol=TOLERANCE["float32"])
    assert vectors.similarity("w1", "w2") == pytest.approx(float(peer.similarity("w1", "w2")), abs=TOLERANCE["float32"])


def test_equal_cosines_keep_the_order_of_the_tokens():
    held = Vectors(list("qabcdef"), np.array([[1.0, 0], [1, 1], [1, -1], [2, 2], [1, 0], [4, -4], [0.5, 0.5]]))
    assert [token for token, _ in held.most_similar("q", topn=4)] == ["d", "a", "b", "c"]


def test_zero_vectors_have_cosine_zero():
    held = Vectors(["zero", "a", "b"], np.array([[0.0, 0], [1, 0], [-1, 0]], dtype=np.float32))
    assert held.most_similar("zero") == [("a", 0.0), ("b", 0.0)]
    assert held.most_similar("a") == [("zero", 0.0), ("b", -1.0)]
    assert held.most_similar(["a", "b"]) == [("zero", 0.0)]


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (6, 3), elements=st.floats(-(2.0**100), 2.0**100, width=32)), st.integers(1, 9))
def test_cosines_are_finite_and_fall(matrix, topn):
    found = Vectors(list("abcdef"), matrix).most_similar(["a"], ["b"], topn=topn)
    cosines = [cosine for _, cosine in found]
    assert len(found) == min(topn, 4)
    assert not {"a", "b"} & {token for token, _ in found}
    assert all(-1 <= cosine <= 1 for cosine in cosines)
    assert cosines == sorted(cosines, reverse=True)


def test_unknown_tokens_name_the_closest_spellings():
    held = Vectors(["france", "french", "trance", "two"], np.eye(4))
    for call in (held.__getitem__, held.most_similar, lambda token: held.similarity("two", token)):
        with pytest.raises(KeyError, match="'frence' is not among the 4 tokens; the closest spellings are 'fr"):
            call("frence")
    with pytest.raises(KeyError, match="spellings are 'two'"):
        held["TWO"]
    with pytest.raises(KeyError) as caught:
        held["zzzzzz"]
    assert caught.value.args == ("'zzzzzz' is not among the 4 tokens",)
    with pytest.raises(TypeError, match="a token is a str, got 3"):
        held[3]


@pytest.mark.parametrize(
    ("tokens", "matrix", "error", "message"),
    [
        ("ab", np.eye(2), TypeError, "single str 'ab'"),
        (["a", 3], np.eye(2), TypeError, "every token must be a str, got 3"),
        (["a", "a"], np.eye(2), ValueError, "'a' comes more than once"),
        (["a"], [[1.0]], TypeError, "array of float32 or float64, got list"),
        (["a"], np.array([[1]]), TypeError, "got int64"),
        (["a"], np.array([[1]], dtype=np.float16), TypeError, "got float16"),
        (["a"], np.array([1.0]), ValueError, r"shape \(1, D\), one row a token, got \(1,\)"),
        (["a", "b"], np.eye(3), ValueError, r"shape \(2, D\), one row a token, got \(3, 3\)"),
        (["a"], np.empty((1, 0)), ValueError, r"got \(1, 0\)"),
        (["a", "b"], np.array([[1.0, 2], [3, np.nan]]), ValueError, r"got nan at \[1, 1\], 'b'"),
        (["a"], np.array([[-np.inf]]), ValueError, r"got -inf at \[0, 0\], 'a'"),
    ],
)
def test_bad_parts_are_refused(tokens, matrix, error, message):
    with pytest.raises(error, match=message):
        Vectors(tokens, matrix)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"positive": "a", "topn": 0}, ValueError, "topn must be at least 1, got 0"),
        ({"positive": "a", "topn": 2.0}, TypeError, r"topn must be an integer, got 2\.0"),
        ({}, ValueError, "at least one token or vector"),
        ({"positive": [3]}, TypeError, "str and arrays of numbers, got 3"),
        ({"positive": np.array(["a", "b", "c"])}, TypeError, "str and arrays"),
        ({"positive": np.zeros(4)}, ValueError, r"shape \(3,\), got \(4,\)"),
        ({"positive": ["a", np.array([1.0, np.nan, 0])]}, ValueError, r"query vector\[1\] is nan"),
    ],
)
def test_bad_queries_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Vectors(list("abc"), np.eye(3)).most_similar(**arguments)


def test_save_and_load(tmp_path, vectors):
    path = tmp_path / "v.safetensors"
    vectors.save(path, settings={"dim": 16})
    found = Vectors.load(path)
    assert found.tokens == vectors.tokens
    assert found.matrix.dtype == vectors.matrix.dtype
    np.testing.assert_array_equal(found.matrix, vectors.matrix)
    assert formats.check_header(formats.read_tensors(path)[1], "vectors", path) == {"dim": 16}


@pytest.mark.parametrize("binary", [False, True])
def test_word2vec_round_trip(tmp_path, vectors, binary):
    vectors.save_word2vec_format(tmp_path / "v", binary=binary)
    found = Vectors.load_word2vec_format(tmp_path / "v", binary=binary)
    assert found.tokens == vectors.tokens
    np.testing.assert_array_equal(found.matrix, vectors.matrix.astype(np.float32))


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_reads_ours_and_we_read_gensims(tmp_path, vectors, binary):
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors", reason="gensim is not installed")
    vectors.save_word2vec_format(tmp_path / "ours", binary=binary)
    peer = keyedvectors.KeyedVectors.load_word2vec_format(tmp_path / "ours", binary=binary)
    assert tuple(peer.index_to_key) == vectors.tokens
    np.testing.assert_array_equal(peer.vectors, vectors.matrix.astype(np.float32))
    peer.save_word2vec_format(str(tmp_path / "theirs"), binary=binary)
    found = Vectors.load_word2vec_format(tmp_path / "theirs", binary=binary)
    assert found.tokens == vectors.tokens
    np.testing.assert_array_equal(found.matrix, peer.vectors)


def test_files_that_hold_something_else_are_refused(tmp_path):
    path = tmp_path / "v.safetensors"
    matrix = np.eye(2)
    tokens = formats.pack_tokens(["a", "b"])
    for tensors, metadata, message in [
        ({"matrix": matrix, **tokens}, formats.header("counts"), "'fastembed.vectors' was expected"),
        ({"matrix": matrix, **tokens}, {}, "no format of fastembed"),
        (tokens, formats.header("vectors"), "no tensor 'matrix'"),
        ({"matrix": matrix}, formats.header("vectors"), "no tensor 'tokens.utf8'"),
        ({"matrix": np.eye(3), **tokens}, formats.header("vectors"), "one row a token"),
        ({"matrix": np.eye(2, dtype=int), **tokens}, formats.header("vectors"), "got int"),
    ]:
        formats.write_tensors(path, tensors, metadata)
        with pytest.raises(ValueError, match=rf"v\.safetensors'.*{message}"):
            Vectors.load(path)
    (tmp_path / "nan.vec").write_text("1 2\na 1e39 2\n")
    with pytest.raises(ValueError, match=r"nan\.vec': matrix must be finite, got inf at \[0, 0\], 'a'"):
        Vectors.load_word2vec_format(tmp_path / "nan.vec")
