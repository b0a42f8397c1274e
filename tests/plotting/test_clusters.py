"""Clusters of the graph of neighbours, and the words that stand for them."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_array

from fastembed.plotting.clusters import communities, find_levels, neighbor_graph, representatives


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
