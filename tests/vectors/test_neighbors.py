"""The search for the nearest rows: exact against a full sort, ties, near ties, any magnitude, bounded memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fastembed.vectors.neighbors import METHODS, Neighbors, unit_vectors

DTYPES = ["float32", "float64"]


def full_sort(neighbors, query, topn, excluded=(), among=None):
    """Return the answer by a sort of the cosines of rows that are not zero, in float64 with 12 decimals; ties by id."""
    ids = np.arange(len(neighbors.rows))[: among if isinstance(among, int) else None]
    ids = ids if among is None or isinstance(among, int) else among
    ids = np.array([i for i in ids if i not in excluded and neighbors.rows[i].any()], dtype=np.intp)
    cosines = np.round((neighbors.unit(ids) * query).sum(axis=1), 12)
    order = np.lexsort((ids, -cosines))[:topn]
    return ids[order], cosines[order]


def assert_same(found, expected):
    for (ids, scores), (true_ids, true_scores) in zip(found, expected, strict=True):
        assert ids.tolist() == true_ids.tolist()
        assert scores.tolist() == true_scores.tolist()  # the same bits


@pytest.fixture(params=DTYPES)
def tied(request):
    """Return 5,000 rows that are repeated many times, some zero, at positions that BLAS treats differently."""
    rng = np.random.default_rng(1)
    kinds = rng.standard_normal((60, 17)).astype(request.param)
    kinds[7] = 0
    return kinds[rng.integers(0, 60, 5000)]


@pytest.mark.parametrize("topn", [1, 10, 700, 6000])
@pytest.mark.parametrize("block_bytes", [1, 10**5, 1 << 25])
def test_ties_are_in_the_order_of_ids_alone_and_in_a_batch(tied, topn, block_bytes, set_constant):
    set_constant("fastembed.vectors.neighbors.COSINE_BYTES", block_bytes)
    set_constant("fastembed.vectors.neighbors.EXACT_BYTES", 4000)
    neighbors = Neighbors(tied)
    queries = unit_vectors(np.concatenate([tied[:9], np.zeros((1, 17)), np.eye(3, 17)]))
    excluded = [[i, 4999] for i in range(9)] + [[]] * 4
    found = neighbors.nearest(queries, topn, excluded=excluded)
    assert_same(found, [full_sort(neighbors, query, topn, own) for query, own in zip(queries, excluded, strict=True)])
    alone = [
        neighbors.nearest(query[None], topn, excluded=[own])[0] for query, own in zip(queries, excluded, strict=True)
    ]
    assert_same(alone, found)


@pytest.fixture(params=DTYPES)
def alike(request):
    """Return 3,000 rows that differ by units in the last place, a query, and the order of a product in their dtype."""
    rng = np.random.default_rng(2)
    row = rng.standard_normal(100).astype(request.param)
    rows = np.nextafter(row, np.where(rng.random((3000, 100)) < 0.5, np.inf, row).astype(row.dtype))
    query = unit_vectors(rng.standard_normal((1, 100)))
    product = (rows @ query[0].astype(row.dtype)) / np.linalg.norm(rows, axis=1)
    return rows, query, np.argsort(-product, kind="stable")


def test_units_in_the_last_place_of_float32_are_told_apart_and_those_of_float64_are_ties(alike):
    rows, query, order_of_product = alike
    neighbors = Neighbors(rows)
    ids, cosines = expected = full_sort(neighbors, query[0], 50)
    assert order_of_product[:50].tolist() != ids.tolist()
    assert len(set(cosines.tolist())) > 40 if rows.dtype == np.float32 else ids.tolist() == list(range(50))
    assert_same(neighbors.nearest(query, 50), [expected])


@settings(max_examples=80)
@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-2, 2)),
    st.integers(1, 10),
    st.data(),
)
def test_small_integers_agree_with_a_full_sort(rows, topn, data):
    neighbors = Neighbors(rows)
    queries = neighbors.unit(slice(None))
    size = st.lists(st.integers(0, len(rows) - 1), max_size=3, unique=True)
    excluded = data.draw(st.lists(size, min_size=len(rows), max_size=len(rows)))
    expected = [full_sort(neighbors, query, topn, own) for query, own in zip(queries, excluded, strict=True)]
    assert_same(neighbors.nearest(queries, topn, excluded=excluded), expected)


@pytest.mark.parametrize(("dtype", "exponents"), [("float32", (-140, 120)), ("float64", (-1000, 1000))])
def test_the_magnitude_of_vectors_does_not_matter(dtype, exponents):
    """Lengths cancel, also where a square would overflow or vanish."""
    rng = np.random.default_rng(3)
    rows = rng.integers(-9, 10, (2000, 12)).astype(dtype)
    plain, queries = Neighbors(rows), rng.integers(-9, 10, (5, 12)).astype(float)
    scaled = np.ldexp(rows, np.where(np.arange(2000) % 2, *exponents)[:, None])
    assert np.isfinite(scaled).all()
    neighbors = Neighbors(scaled)
    expected = plain.nearest(unit_vectors(queries), 40)
    assert_same(neighbors.nearest(unit_vectors(queries), 40), expected)
    for scale in (2.0**-1060, 2.0**1019):
        assert_same(plain.nearest(unit_vectors(queries * scale), 40), expected)
    np.testing.assert_array_equal(neighbors.normalized(), plain.normalized())
    questions = [neighbors.unit(np.array([i, i + 1])) for i in range(3)]
    for method in METHODS:
        options = {"method": method, "excluded": [[0, 1, 2], [1, 2, 3]]}
        assert_same(neighbors.analogies(questions, 9, **options), plain.analogies(questions, 9, **options))


def test_without_rows_or_queries_nothing_is_found():
    none = Neighbors(np.empty((0, 3)))
    assert [len(ids) for ids, _ in none.nearest(np.eye(3), 2)] == [0, 0, 0]
    assert Neighbors(np.eye(3)).nearest(np.empty((0, 3)), 2) == []
    ((ids, cosines),) = Neighbors(np.eye(3)).nearest(np.eye(3)[:1], 2, excluded=[[0, 1, 2]])
    assert ids.shape == cosines.shape == (0,)
