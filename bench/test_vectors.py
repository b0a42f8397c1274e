"""Neighbours among 75,769 float32 vectors of dimension 100, on one thread: one query and a thousand; gensim too.

Also vectors of 100,000 unseen words of 3 to 12 letters, composed of the n-grams in 2,000,000 buckets as fastText does.

A stream is a bare product of the matrix with a vector, which reads the 30 MB of the matrix once.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastembed import Vectors
from fastembed.vectors.subwords import BucketComposer
from fastembed.vectors.vectors import composing_vectors

SIZE, DIM, QUERIES, TOPN = 75_769, 100, 1_000, 10


@pytest.fixture(scope="module")
def vectors():
    matrix = np.random.default_rng(0).standard_normal((SIZE, DIM), np.float32)
    vectors = Vectors([f"w{i}" for i in range(SIZE)], matrix)
    vectors.most_similar("w0")  # the first query computes the lengths
    return vectors


@pytest.fixture(scope="module")
def peer(vectors):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    peer = models.KeyedVectors(DIM)
    peer.add_vectors(list(vectors.tokens), vectors.matrix)
    peer.fill_norms()
    return peer


@pytest.fixture(scope="module")
def expected(vectors):
    """Return the ids nearest to each of the first tokens, by a full sort in float64."""
    unit = vectors.matrix / np.linalg.norm(vectors.matrix.astype(np.float64), axis=1)[:, None]
    cosines = unit[:QUERIES] @ unit.T
    cosines[np.arange(QUERIES), np.arange(QUERIES)] = -1
    part = np.argpartition(-cosines, TOPN, axis=1)[:, :TOPN]
    order = np.argsort(-np.take_along_axis(cosines, part, axis=1), axis=1)
    return np.take_along_axis(part, order, axis=1)


def ids(answers):
    return [[int(token[1:]) for token, _ in answer] for answer in answers]


def test_one_query_two_streams(benchmark, vectors):
    vector = vectors["w7"].copy()
    first, second = benchmark(lambda: (vectors.matrix @ vector, vectors.matrix @ vector))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("contestant", ["fastembed", "gensim"])
def test_one_query(benchmark, request, contestant, expected):
    model = request.getfixturevalue({"fastembed": "vectors", "gensim": "peer"}[contestant])
    assert ids([benchmark(model.most_similar, "w7", topn=TOPN)]) == [expected[7].tolist()]


def test_thousand_queries_at_once(benchmark, vectors, expected):
    rounds = {"kwargs": {"ids": range(QUERIES), "topn": TOPN}, "rounds": 5}
    found, _ = benchmark.pedantic(vectors.nearest, **rounds)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("contestant", ["fastembed", "gensim"])
def test_thousand_queries_one_by_one(benchmark, request, contestant, vectors, expected):
    model = request.getfixturevalue({"fastembed": "vectors", "gensim": "peer"}[contestant])
    found = benchmark.pedantic(lambda: [model.most_similar(token, topn=TOPN) for token in vectors.tokens[:QUERIES]])
    assert ids(found) == expected.tolist()


@pytest.mark.parametrize("contestant", ["fastembed", "gensim"])
def test_composing(benchmark, contestant):
    rng = np.random.default_rng(1)
    composer = BucketComposer(rng.random((2_000_000, DIM), np.float32), 3, 6)
    words = ["".join(map(chr, rng.integers(97, 123, size))) for size in rng.integers(3, 13, 100_000)]
    composing = composing_vectors(Vectors, ["a"], np.zeros((1, DIM), np.float32), None, composer)
    if contestant == "gensim":
        pytest.importorskip("gensim", reason="gensim is not installed")
        composing = composing.to_gensim()
    found = benchmark.pedantic(composing.__getitem__, (words,), rounds=1)
    parts = [sum(part for _, part in composer.parts(word)) for word in words[:20]]
    np.testing.assert_allclose(found[:20], parts, rtol=0, atol=1e-5)
