"""Vectors: contents, subsets, files, rejected arguments. Queries are in test_queries."""

import numpy as np
import pytest

from fastembed import Vectors


@pytest.fixture(params=["float32", "float64"])
def vectors(request):
    matrix = np.random.default_rng(5).standard_normal((200, 16)).astype(request.param)
    return Vectors([f"w{i}" for i in range(200)], matrix)


def test_tokens_are_looked_up(vectors):
    assert len(vectors) == 200
    assert vectors.tokens[7] == "w7"
    assert isinstance(vectors.tokens, tuple)
    assert "w7" in vectors
    assert "w200" not in vectors
    assert 7 not in vectors
    np.testing.assert_array_equal(vectors["w7"], vectors.matrix[7])
    for key in (["w7", "w3", "w7"], np.array(["w7", "w3", "w7"]), iter(["w7", "w3", "w7"])):
        np.testing.assert_array_equal(vectors[key], vectors.matrix[[7, 3, 7]])
    assert vectors[[]].shape == (0, 16)
    vectors[["w1", "w2"]][:] = 0  # a copy
    assert vectors.matrix[1:3].all()
    assert repr(vectors) == f"<Vectors: 200 tokens, 16 dimensions, {vectors.matrix.dtype}>"


def test_nothing_can_change_them(vectors):
    for array in (vectors.matrix, vectors["w7"]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    matrix = np.eye(3)
    held = Vectors(["a", "b", "c"], matrix)
    matrix[...] = 7
    np.testing.assert_array_equal(held.matrix, np.eye(3))


@pytest.mark.parametrize("order", ["Fortran", "not aligned"])
def test_any_memory_order_becomes_c_contiguous(order):
    matrix = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    if order == "not aligned":
        matrix = np.frombuffer(b"." + np.arange(12.0).tobytes(), np.float64, offset=1).reshape(4, 3)
    matrix.flags.writeable = False
    held = Vectors(list("abcd"), matrix)
    assert held.matrix.flags.c_contiguous
    assert held.matrix.flags.aligned
    np.testing.assert_array_equal(held.matrix, matrix)


def test_a_read_only_matrix_is_not_copied(tmp_path):
    np.save(tmp_path / "matrix.npy", np.eye(4, 3, dtype=np.float32))
    mapped = np.load(tmp_path / "matrix.npy", mmap_mode="r")
    held = Vectors(list("abcd"), mapped)
    assert np.shares_memory(held.matrix, mapped)
    assert not held.matrix.flags.writeable
    assert held.most_similar("a", topn=1) == [("b", 0.0)]
    for mode in ("r+", "c"):  # may be written to
        mapped = np.load(tmp_path / "matrix.npy", mmap_mode=mode)
        assert not np.shares_memory(Vectors(list("abcd"), mapped).matrix, mapped)


def test_counts_follow_the_tokens(vectors):
    assert vectors.counts is None
    counts = np.arange(200, dtype=np.uint16)[::-1]
    held = Vectors(vectors.tokens, vectors.matrix, counts=counts)
    assert held.counts.dtype == np.int64
    assert not held.counts.flags.writeable
    assert held.counts.tolist() == list(range(199, -1, -1))
    assert held.subset(["w3", "w1"]).counts.tolist() == [196, 198]
    assert held.subset(2).counts.tolist() == [199, 198]
    assert held.normalized().counts.tolist() == counts.tolist()


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ("w", KeyError, "'w' is not among the 200 tokens; the closest spellings are "),
        (["w1", "v0000"], KeyError, "'v0000' is not among the 200 tokens"),
        (7, TypeError, "got 7: pass '7', or "),
        (1.0, TypeError, r"tokens must be one token or several, got 1\.0"),
        (slice(3), TypeError, r"got slice\(None, 3, None\)"),
    ],
)
def test_bad_keys_are_rejected(vectors, key, error, message):
    with pytest.raises(error, match=message):
        vectors[key]


def test_an_array_of_vectors_is_their_matrix(vectors):
    np.testing.assert_array_equal(np.array(vectors), vectors.matrix, strict=True)
    assert np.shares_memory(np.asarray(vectors), vectors.matrix)
    assert not np.shares_memory(np.array(vectors), vectors.matrix)
    assert np.asarray(vectors, dtype="f2").dtype == np.float16


def test_a_subset_has_the_chosen_tokens(vectors):
    few = vectors.subset(["w9", "w2", "w5"])
    assert few.tokens == ("w9", "w2", "w5")
    assert type(few) is Vectors
    np.testing.assert_array_equal(few.matrix, vectors.matrix[[9, 2, 5]])
    first = vectors.subset(50)
    assert first.tokens == vectors.tokens[:50]
    assert np.shares_memory(first.matrix, vectors.matrix)
    assert first.most_similar("w3", topn=3) == vectors.most_similar("w3", topn=3, restrict=50)
    for bad, error, message in [
        (["w1", "w1"], ValueError, "tokens must be unique, but 'w1' is in rows 0 and 1"),
        (["x"], KeyError, "'x' is not"),
        (0, ValueError, "tokens must be from 1 to 200, got 0"),
        (201, ValueError, "tokens must be from 1 to 200, got 201"),
        ("w1", TypeError, "tokens must be several tokens, got 'w1'"),
    ]:
        with pytest.raises(error, match=message):
            vectors.subset(bad)


def test_normalized_vectors_have_length_one(vectors):
    unit = vectors.normalized()
    assert unit.tokens == vectors.tokens
    assert unit.matrix.dtype == vectors.matrix.dtype
    expected = vectors.matrix / np.linalg.norm(vectors.matrix.astype(float), axis=1)[:, None]
    np.testing.assert_allclose(unit.matrix, expected, rtol=4 * np.finfo(vectors.matrix.dtype).eps)
    assert not unit.matrix.flags.writeable


@pytest.mark.parametrize(
    ("tokens", "matrix", "error", "message"),
    [
        ("ab", np.eye(2), TypeError, "single str 'ab'"),
        (["a", 3], np.eye(2), TypeError, "every token must be a str, got 3"),
        (["a", "a"], np.eye(2), ValueError, "'a' is in rows 0 and 1"),
        (["a"], np.ma.masked_invalid([[1.0, np.nan]]), TypeError, "got a masked array"),
        (["a", "b"], np.eye(3), ValueError, r"shape \(2, D\), one row per token, got \(3, 3\)"),
        (["a"], np.empty((1, 0)), ValueError, r"at least one column, got the shape \(1, 0\)"),
        (["a", "b"], np.array([[1.0, 2], [3, np.nan]]), ValueError, r"got nan at \[1, 1\], 'b'"),
    ],
)
def test_bad_parts_are_rejected(tokens, matrix, error, message):
    with pytest.raises(error, match=message):
        Vectors(tokens, matrix)


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        ([1.0, 2.0], TypeError, "counts must be integers, got dtype float64"),
        ([1, -2], ValueError, r"counts must be from 0 to 2\*\*63 - 1, got -2 for 'b'"),
        (np.array([2**63, 1], np.uint64), ValueError, "got 9223372036854775808 for 'a'"),
    ],
)
def test_bad_counts_are_rejected(counts, error, message):
    with pytest.raises(error, match=message):
        Vectors(["a", "b"], np.eye(2), counts=counts)
