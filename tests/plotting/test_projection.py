"""Which words a picture shows, where, and in which group."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fastembed import Vectors
from fastembed.plotting import plot_map, write_page
from fastembed.plotting.projection import GROUPS, group, project, select

UMAP = pytest.param("umap", "umap", marks=pytest.mark.slow)  # numba compiles it for half a minute


def test_the_first_words_or_the_chosen_ones_each_once(vectors_of):
    vectors = vectors_of(5)
    assert select(vectors, None, 3)[0].tokens == ("word0", "word1", "word2")
    assert select(vectors, None, 99)[0].tokens == vectors.tokens
    shown, unit = select(vectors, iter(["word4", "word1", "word4"]), 1)
    assert shown.tokens == ("word4", "word1")
    expected = [vectors[word] / np.linalg.norm(vectors[word]) for word in shown.tokens]
    np.testing.assert_allclose(unit, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1.0, 1e200, 1e308])
def test_a_vector_of_any_magnitude_is_scaled_to_length_one(size):
    _, unit = select(Vectors(["a", "zero"], np.array([[0.6, -0.8], [0.0, 0.0]]) * size), None, 2)
    np.testing.assert_allclose(unit, [[0.6, -0.8], [0.0, 0.0]], rtol=1e-9)


def test_principal_components_are_eigenvectors_of_the_covariance(unit_rows):
    unit = unit_rows(60, 7)
    coordinates, shares = project(unit, "pca", 0)
    variances, directions = np.linalg.eigh(np.cov(unit.T))
    variances, directions = variances[::-1], directions[:, ::-1]
    np.testing.assert_allclose(shares, variances[:2] / variances.sum(), rtol=1e-9)
    for k in range(2):
        direction = directions[:, k] * np.sign(directions[np.abs(directions[:, k]).argmax(), k])
        np.testing.assert_allclose(coordinates[:, k], (unit - unit.mean(axis=0)) @ direction, atol=1e-9)


def test_missing_components_are_zero(unit_rows):
    for rows in (np.ones((1, 5)), np.ones((4, 3)), np.zeros((3, 2))):
        coordinates, shares = project(rows, "pca", 0)
        assert not coordinates.any()
        assert not shares.any()
    for rows in (unit_rows(2, 30), unit_rows(50, 1), np.repeat(unit_rows(2, 9), 20, axis=0)):
        coordinates, shares = project(rows, "pca", 0)
        assert np.ptp(coordinates[:, 0]) > 0.1
        assert not coordinates[:, 1].any()
        np.testing.assert_allclose(shares, [1, 0])


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
@pytest.mark.parametrize(("method", "library"), [("pca", "numpy"), ("tsne", "sklearn"), UMAP])
def test_the_same_bits_for_the_same_seed(method, library, unit_rows):
    pytest.importorskip(library)
    unit = unit_rows(150, 12)
    first, _ = project(unit, method, 3)
    with threadpool_limits(limits=1):
        again, _ = project(unit, method, 3)
    assert first.shape == (150, 2)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    if method == "umap":
        assert not np.array_equal(first, project(unit, method, 4)[0])


@pytest.mark.parametrize(("method", "library"), [("tsne", "sklearn"), UMAP])
def test_neighbours_stay_together(method, library, tmp_path, vectors_of, unit_rows):
    pytest.importorskip(library)
    centres = np.eye(3)[np.arange(60) % 3]
    coordinates, shares = project(centres + unit_rows(60, 3) / 20, method, 0)
    assert shares is None
    distances = np.linalg.norm(coordinates[:, None] - coordinates, axis=2) + np.diag(np.full(60, np.inf))
    assert (distances.argmin(axis=1) % 3 == np.arange(60) % 3).all()
    with pytest.raises(ValueError, match="at least 4 words, got 3"):
        plot_map(vectors_of(3), tmp_path / "map.png", method=method)
    for rows in (np.ones((9, 3)), np.zeros((4, 2)), unit_rows(9, 1)):
        coordinates, _ = project(rows, method, 0)
        assert coordinates.shape == (len(rows), 2)
        assert np.isfinite(coordinates).all()
    plot_map(vectors_of(4), tmp_path / "map.png", method=method)
    write_page(vectors_of(4), tmp_path / "map.html", method=method)


def test_umap_is_given_the_seed_and_one_thread(monkeypatch, unit_rows):
    given = []

    def umap(**options):
        given.append(options)
        return SimpleNamespace(fit_transform=lambda rows: rows[:, :2].astype(np.float32))

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=umap))
    for count in (9, 40):
        coordinates, shares = project(unit_rows(count, 3), "umap", 7)
        assert (coordinates.shape, coordinates.dtype, shares) == ((count, 2), np.float64, None)
    assert given == [{"n_neighbors": size, "random_state": 7, "n_jobs": 1} for size in (8, 15)]


def test_groups_are_the_same_for_the_same_seed_and_the_largest_is_first(unit_rows):
    centres = np.eye(12)[np.repeat(np.arange(4), [8, 20, 2, 10])]
    numbers = group(centres + unit_rows(40, 12) / 100, 1)
    assert numbers.max() < GROUPS
    assert (np.diff(np.bincount(numbers)) <= 0).all()
    np.testing.assert_array_equal(numbers, group(centres + unit_rows(40, 12) / 100, 1))
    assert set(group(np.ones((50, 3)), 0)) == {0}
    assert group(np.ones((1, 3)), 0).tolist() == [0]


def test_a_picture_that_does_not_fit_in_memory_is_rejected(monkeypatch):
    vectors = Vectors([str(n) for n in range(1000)], np.ones((1000, 100)))
    monkeypatch.setattr("fastembed._base.memory.free_memory", lambda: 1_000_000)
    assert len(select(vectors, None, 200)[0]) == 200
    with pytest.raises(MemoryError, match="a picture of 1,000 words takes about 3 MB, but 1 MB are free: show fewer"):
        select(vectors, None, 10**9)
