"""Vectors as objects of gensim and pandas, and back; missing libraries."""

import sys

import numpy as np
import pytest

from fastembed import Vectors

TOKENS = ["the", "größe", "日本", "3", "nan", "", "new york", "new\nline", "None"]


def matrix_of(dtype):
    return np.random.default_rng(0).normal(size=(len(TOKENS), 5)).astype(dtype)


@pytest.fixture(scope="module")
def keyedvectors():
    return pytest.importorskip("gensim.models.keyedvectors", reason="gensim is not installed").KeyedVectors


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gensims_object_has_the_same_vectors_and_gives_them_back(keyedvectors, dtype):
    matrix = matrix_of(dtype)
    vectors = Vectors(TOKENS, matrix, counts=np.arange(len(TOKENS)))
    peer = vectors.to_gensim()
    assert isinstance(peer, keyedvectors)
    assert peer.index_to_key == TOKENS
    assert peer.vectors.dtype == dtype
    np.testing.assert_array_equal(peer.vectors, matrix)
    assert [peer.get_vecattr(token, "count") for token in TOKENS] == list(range(len(TOKENS)))
    assert peer.most_similar("the", topn=1)[0][0] == vectors.most_similar("the", topn=1)[0][0]
    back = Vectors.from_gensim(peer)
    assert back.tokens == vectors.tokens
    np.testing.assert_array_equal(back.matrix, matrix)
    assert back.counts.tolist() == vectors.counts.tolist()
    assert Vectors.from_gensim(Vectors(TOKENS, matrix).to_gensim()).counts is None
    with pytest.raises(TypeError, match=r"a gensim\.models\.KeyedVectors expected, got dict"):
        Vectors.from_gensim({})
    numbered = keyedvectors(4, dtype=dtype)
    numbered.add_vectors([7, 3], matrix[:2, :4])
    assert Vectors.from_gensim(numbered).tokens == ("7", "3")
    peer.vectors[:] = 0  # its own memory
    assert vectors.matrix.all()


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models.keyedvectors", None)
    with pytest.raises(ImportError, match=r"^gensim.models.keyedvectors cannot be imported .* the extra \[gensim\]$"):
        Vectors(["a"], np.eye(1)).to_gensim()
