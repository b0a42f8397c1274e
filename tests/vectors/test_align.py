"""The alignment of two sets of vectors."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from fastembed import Vectors
from fastembed.vectors.neighbors import unit_vectors


def rotation(dim, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


def vectors_of(count, dim, dtype=np.float64):
    return Vectors([f"w{i}" for i in range(count)], np.random.default_rng(1).normal(size=(count, dim)).astype(dtype))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_a_turn_is_undone_whatever_the_order_of_the_tokens(dtype, tolerance):
    there = vectors_of(50, 7, dtype)
    order = np.random.default_rng(2).permutation(50)
    turned = Vectors([there.tokens[i] for i in order], (there.matrix[order] @ rotation(7)).astype(dtype))
    back = turned.align(there)
    assert back.tokens == turned.tokens
    assert back.matrix.dtype == dtype
    np.testing.assert_allclose(back[there.tokens], there.matrix, atol=20 * tolerance)


def test_the_turn_is_that_of_orthogonal_procrustes_on_unit_vectors():
    one, other = (
        vectors_of(40, 5),
        Vectors([f"w{i}" for i in range(20, 60)], np.random.default_rng(3).normal(size=(40, 5))),
    )
    shared = [f"w{i}" for i in range(20, 40)]
    expected, _ = orthogonal_procrustes(unit_vectors(one[shared]), unit_vectors(other[shared]))
    np.testing.assert_allclose(one.align(other).matrix, one.matrix @ expected, atol=1e-10)
    few = shared[:6]
    expected, _ = orthogonal_procrustes(unit_vectors(one[few]), unit_vectors(other[few]))
    np.testing.assert_allclose(one.align(other, few).matrix, one.matrix @ expected, atol=1e-10)
    assert one.align(other).similarity("w3", "w7") == pytest.approx(one.similarity("w3", "w7"), abs=1e-10)


def test_what_cannot_be_aligned_is_rejected():
    vectors = vectors_of(5, 3)
    with pytest.raises(ValueError, match="vectors to align must have one dimension, got 3 and 4"):
        vectors.align(vectors_of(5, 4))
    with pytest.raises(ValueError, match="must share tokens, got none"):
        vectors.align(Vectors(["x"], np.ones((1, 3))))
    with pytest.raises(ValueError, match="must share tokens, got none"):
        vectors.align(vectors, [])
    with pytest.raises(KeyError, match="nowhere"):
        vectors.align(vectors, ["w1", "nowhere"])
    for one in ("w1", 1):  # else the vectors would turn by the tokens "w" and "1"
        with pytest.raises(TypeError, match="tokens must be"):
            vectors.align(vectors, one)
    with pytest.raises(TypeError, match=r"must be a Vectors, such as model\.vectors, got ndarray"):
        vectors.align(np.eye(3))
