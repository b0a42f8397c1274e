"""The words that are shown, their clusters and the words that stand for these, and their places in the plane."""

import importlib.util
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from fastembed import Vectors
from fastembed.plotting import layout
from fastembed.plotting.layout import communities, find_levels, lay_out, neighbor_graph, representatives


def test_the_first_words_or_the_chosen_ones_each_once(vectors_of):
    vectors = vectors_of(5)

    def shown(words, topn, vectors=vectors):
        return lay_out(vectors, words, topn, "pca", 0, False).words.tokens

    assert shown(None, 3) == ("word0", "word1", "word2")
    assert shown(None, 99) == vectors.tokens
    assert shown(iter(["word4", "word1", "word4"]), 1) == ("word4", "word1")
    assert shown(None, 9, Vectors(["hot", "tea"], np.diag([0.0, 1.0]))) == ("tea",)


def test_every_cluster_has_the_colour_of_the_coarsest_one_it_is_in(vectors_of):
    found = lay_out(vectors_of(2000, 8), None, 2000, "pca", 0, False)
    assert len(found.levels) > 1
    colours = found.colours[found.levels[0].labels]
    for number, level in enumerate(found.levels):
        np.testing.assert_array_equal(found.colours_of(number)[level.labels], colours)
    assert sorted(found.order.tolist()) == list(range(2000))


def test_neighbours_are_kept_together_where_that_is_installed_and_pays(vectors_of, monkeypatch):
    monkeypatch.setattr(layout, "umap_places", lambda unit, components, *more: components)
    for there, count, method in ((True, 100, "umap"), (True, 99, "pca"), (False, 100, "pca")):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, there=there: object() if there else None)
        assert lay_out(vectors_of(count), None, 100, None, 0, False).method == method


UMAP = pytest.param("umap", marks=pytest.mark.slow)  # numba compiles it for half a minute


def project(unit, method, seed=0):
    """Place rows in the plane."""
    vectors = Vectors([str(i) for i in range(len(unit))], np.array(unit))
    found = lay_out(vectors, None, len(unit), method, seed, False)
    return found.coordinates, found.shares


def test_principal_components_are_eigenvectors_of_the_covariance(unit_rows):
    unit = unit_rows(60, 7)
    coordinates, shares = project(unit, "pca")
    variances, directions = np.linalg.eigh(np.cov(unit.T))
    variances, directions = variances[::-1], directions[:, ::-1]
    np.testing.assert_allclose(shares, variances[:2] / variances.sum(), rtol=1e-9)
    for k in range(2):
        direction = directions[:, k] * np.sign(directions[np.abs(directions[:, k]).argmax(), k])
        np.testing.assert_allclose(coordinates[:, k], (unit - unit.mean(axis=0)) @ direction, atol=1e-9)


def test_missing_components_are_zero(unit_rows):
    for rows in (np.ones((1, 5)), np.ones((4, 3))):
        coordinates, shares = project(rows, "pca")
        assert not coordinates.any()
        assert not shares.any()
    for rows in (unit_rows(2, 30), unit_rows(50, 1), np.repeat(unit_rows(2, 9), 20, axis=0)):
        coordinates, shares = project(rows, "pca")
        assert np.ptp(coordinates[:, 0]) > 0.1
        assert not coordinates[:, 1].any()
        np.testing.assert_allclose(shares, [1, 0])


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
@pytest.mark.parametrize("method", ["pca", UMAP])
def test_the_same_bits_for_the_same_seed(method, unit_rows):
    unit = unit_rows(150, 12)
    first, _ = project(unit, method, 3)
    with threadpool_limits(limits=1):
        again, _ = project(unit, method, 3)
    assert first.shape == (150, 2)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    if method == "umap":
        assert not np.array_equal(first, project(unit, method, 4)[0])


@pytest.mark.parametrize("method", [UMAP])
def test_neighbours_stay_together(method, unit_rows):
    centres = np.eye(3)[np.arange(60) % 3]
    coordinates, _ = project(centres + unit_rows(60, 3) / 20, method)
    distances = np.linalg.norm(coordinates[:, None] - coordinates, axis=2) + np.diag(np.full(60, np.inf))
    assert (distances.argmin(axis=1) % 3 == np.arange(60) % 3).all()
    for rows in (np.ones((9, 3)), unit_rows(9, 1), unit_rows(4, 3)):
        coordinates, _ = project(rows, method)
        assert coordinates.shape == (len(rows), 2)
        assert np.isfinite(coordinates).all()


def test_umap_is_given_the_seed_one_thread_and_our_neighbours(monkeypatch, unit_rows):
    given = []

    def umap(**options):
        given.append(options)
        return SimpleNamespace(fit_transform=lambda rows: rows[:, :2].astype(np.float32))

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=umap))
    unit = unit_rows(40, 3)
    coordinates, _ = project(unit, "umap", 7)
    assert (coordinates.shape, coordinates.dtype) == ((40, 2), np.float64)
    (options,) = given
    near, distances = options["precomputed_knn"]
    expected = 1 - unit @ unit.T
    np.testing.assert_array_equal(near, np.argsort(expected - 2 * np.eye(40), axis=1)[:, :15])
    np.testing.assert_allclose(distances, np.take_along_axis(expected, near, axis=1), atol=1e-6)
    assert (options["n_neighbors"], options["random_state"], options["n_jobs"]) == (15, 7, 1)


def planted(groups, size, seed=0):
    """A graph of groups whose members are joined by 60 % of their pairs, and others by 2 %, in a random order."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(groups), size))
    joined = rng.random((len(group), len(group))) < np.where(group[:, None] == group, 0.6, 0.02)
    upper = np.triu(joined, 1).astype(float)
    return csr_array(upper + upper.T), group


def test_edges_of_mutual_neighbours_weigh_twice_and_negative_cosines_nothing():
    graph = neighbor_graph(np.array([[1, 2], [0, 2], [1, 0]]), np.array([[0.5, -0.2], [0.5, 0.25], [0.25, -0.2]]))
    np.testing.assert_array_equal(graph.toarray(), [[0, 1, 0], [1, 0, 0.5], [0, 0.5, 0]])
    assert neighbor_graph(np.empty((1, 0), int), np.empty((1, 0))).shape == (1, 1)


@pytest.mark.parametrize("seed", range(5))
def test_planted_groups_are_found(seed):
    graph, group = planted(6, 40, seed)
    labels = communities(graph, 1.0, seed)
    assert len(set(zip(labels.tolist(), group.tolist(), strict=True))) == 6
    np.testing.assert_array_equal(labels, communities(graph, 1.0, seed))


@pytest.mark.parametrize("graph", [csr_array((1, 1)), csr_array((4, 4)), csr_array(np.ones((3, 3)))])
def test_graphs_without_structure_have_communities(graph):
    labels = communities(graph, 1.0, 0)
    assert labels.shape == (graph.shape[0],)
    assert sorted(set(labels.tolist())) == list(range(labels.max() + 1))


def test_clusters_lie_inside_those_of_the_level_before():
    graph, _ = planted(60, 30)
    levels = find_levels(graph, 0)
    assert [len(level.names) for level in levels] == sorted(len(level.names) for level in levels)
    for coarse, fine in pairwise(levels):
        assert len(set(zip(coarse.labels.tolist(), fine.labels.tolist(), strict=True))) == fine.labels.max() + 1
    for level in levels:
        sizes = np.bincount(level.labels)
        assert (np.diff(sizes) <= 0).all()
        for cluster, name in enumerate(level.names):
            assert len(name) == (min(3, sizes[cluster]) if sizes[cluster] >= 5 else 0)
            assert {level.labels[word] for word in name} <= {cluster}


def test_the_word_at_the_middle_of_a_star_stands_for_it_and_each_cluster_comes_in_turn():
    star = np.zeros((12, 12))
    star[0, 1:6] = star[6, 7:12] = 1
    graph, labels = csr_array(star + star.T), np.repeat([0, 1], 6)
    order = representatives(graph, labels).tolist()
    assert order[:2] == [0, 6]
    assert sorted(order) == list(range(12))
    assert [labels[word] for word in order] == [0, 1] * 6
