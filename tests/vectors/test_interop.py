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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_data_frame_has_the_same_vectors_and_gives_them_back(dtype):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    matrix = matrix_of(dtype)
    vectors = Vectors(TOKENS, matrix)
    frame = vectors.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.index.name == "token"
    np.testing.assert_array_equal(frame.loc["größe"].to_numpy(), matrix[1])
    found = Vectors.from_pandas(frame)
    assert list(found.tokens) == TOKENS
    assert found.matrix.dtype == dtype
    np.testing.assert_array_equal(found.matrix, matrix)
    np.testing.assert_array_equal(Vectors.from_pandas(frame[[2, 0]]).matrix, matrix[:, [2, 0]])
    frame.iloc[0, 0] = 7  # neither is the other's memory
    assert vectors.matrix[0, 0] == found.matrix[0, 0] == matrix[0, 0]
    with pytest.raises(TypeError, match=r"a pandas\.DataFrame expected, got list"):
        Vectors.from_pandas([1])
    with pytest.raises(TypeError, match="float32 or float64, got object"):
        Vectors.from_pandas(frame.reset_index())


@pytest.mark.parametrize(
    ("use", "module", "extra"),
    [
        (Vectors.to_gensim, "gensim.models.keyedvectors", "gensim"),
        (Vectors.to_pandas, "pandas", "pandas"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(monkeypatch, use, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"^{module} cannot be imported .*: install .* the extra \[{extra}\]$"):
        use(Vectors(["a"], np.eye(1)))
