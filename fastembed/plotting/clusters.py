"""Communities of the graph of nearest neighbours, at several scales, and the words that stand for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array

Labels = npt.NDArray[np.intp]
Weights = npt.NDArray[np.float64]

ROUNDS = 30  # the most rounds of moves on one graph
SHARE = 0.001  # if at most this share of the nodes gain by a move, the communities are settled
SCALES = (math.inf, 6000, 800)  # words per unit of resolution, from the coarsest level to the finest; inf: resolution 1
COMMON = 0.25  # the power of its rank by which a rarer word names a cluster less
LEAST = 5  # the fewest words of a cluster that has a name
NAMED_BY = 3  # words in the name of a cluster


@dataclass(frozen=True)
class Level:
    """A division of N words into clusters, numbered from the largest to the smallest.

    Attributes
    ----------
    labels : ndarray of intp, shape (N,)
        The cluster of each word.
    names : list of tuple of int
        The words that stand for each cluster, the most typical first; empty for a cluster of few words.
    """

    labels: Labels
    names: list[tuple[int, ...]]


def neighbor_graph(near: npt.NDArray[np.integer[Any]], cosines: Weights) -> csr_array:
    """Return the graph (N, N) of neighbours: an edge weighs the cosine, and twice that if each is near the other.

    Parameters
    ----------
    near : ndarray of int, shape (N, K)
        The nearest words of each word, without itself.
    cosines : ndarray of float64, shape (N, K)
        Those below zero count as zero.

    Examples
    --------
    >>> neighbor_graph(np.array([[1], [0], [1]]), np.array([[0.5], [0.5], [0.25]])).toarray()
    array([[0.  , 1.  , 0.  ],
           [1.  , 0.  , 0.25],
           [0.  , 0.25, 0.  ]])
    """
    count, per_word = near.shape
    starts = np.arange(count + 1) * per_word
    directed = csr_array((np.maximum(cosines, 0).ravel(), near.ravel(), starts), shape=(count, count))
    graph = csr_array(directed + directed.T)
    graph.eliminate_zeros()
    return graph


def communities(graph: csr_array, resolution: float, seed: int) -> Labels:
    """Return the community of each node, numbered from the largest to the smallest: Louvain's method.

    It looks for the labels c that maximise the modularity with a resolution, over all pairs of nodes,
    ``sum((A_ij - resolution * k_i * k_j / 2m) * (c_i == c_j)) / 2m``, where k are the degrees and 2m their sum. In a
    round every node finds the community that it gains most by joining, and a random half of those that gain move; the
    communities are the nodes of the next graph.

    Parameters
    ----------
    graph : csr_array, shape (N, N)
        Symmetric, without negative weights.
    resolution : float
        The larger, the smaller the communities.

    Examples
    --------
    >>> pairs = csr_array(np.kron(np.eye(2), 1 - np.eye(3)))  # two triangles
    >>> communities(pairs, 1.0, seed=0).tolist()
    [0, 0, 0, 1, 1, 1]
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(graph.shape[0])
    while True:
        moved = _moved(graph, resolution, rng)
        labels = moved[labels]
        if moved.max(initial=-1) + 1 == graph.shape[0]:
            return _largest_first(labels)
        graph = _joined(graph, moved)


def find_levels(graph: csr_array, seed: int) -> list[Level]:
    """Return the clusters of words at several scales, the coarsest first, each part of one of the level before.

    Parameters
    ----------
    graph : csr_array, shape (N, N)
        As of :func:`neighbor_graph`; words in the order of their frequency.
    """
    count = graph.shape[0]
    found = []
    labels, joined = np.arange(count), graph
    for scale in reversed(SCALES):
        if scale != math.inf and count < scale:
            continue  # coarser than communities of resolution 1
        resolution = max(1.0, count / scale)
        parents = communities(joined, resolution, seed)
        labels = _largest_first(parents[labels])
        joined = _joined(graph, labels)
        found.append(Level(labels, _names(graph, labels)))
    return found[::-1]


def representatives(graph: csr_array, labels: Labels) -> Labels:
    """Return all words, shape (N,): those that stand best for their cluster, then the second of each, and so on.

    Of equal ones that of the larger cluster is first.
    """
    order = _typical_first(graph, labels)
    sizes = np.bincount(labels)
    places = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[np.argsort(places, kind="stable")]


def _names(graph: csr_array, labels: Labels) -> list[tuple[int, ...]]:
    """Return the words that stand for each cluster."""
    ends = np.cumsum(np.bincount(labels))
    clusters = np.split(_typical_first(graph, labels), ends[:-1])
    return [tuple(words[:NAMED_BY].tolist()) if len(words) >= LEAST else () for words in clusters]


def _typical_first(graph: csr_array, labels: Labels) -> Labels:
    """Return the words of the first cluster, those of the second and so on, in each the most typical first.

    How typical a word is: the weight of its edges inside its cluster, which is large if many words of the cluster have
    it as a near neighbour, divided by a power of its rank: of two that are as typical, the more frequent one says more
    to a reader.
    """
    count = graph.shape[0]
    rows = np.repeat(np.arange(count), np.diff(graph.indptr))
    inside = np.bincount(rows, graph.data * (labels[rows] == labels[graph.indices]), count)
    return np.lexsort((-inside / (np.arange(count) + 10.0) ** COMMON, labels))


def _moved(graph: csr_array, resolution: float, rng: np.random.Generator) -> Labels:
    """Return communities of the nodes of a graph, numbered from 0, after rounds of moves of single nodes."""
    count = graph.shape[0]
    own = np.arange(count)
    degrees = graph.sum(axis=1)
    total = degrees.sum()
    if total == 0:
        return own
    expected = resolution * degrees / total
    links = csr_array(graph - diags_array(graph.diagonal()))  # an edge to itself goes where the node goes
    links.eliminate_zeros()
    for _ in range(ROUNDS):
        members = csr_array((np.ones(count), own, np.arange(count + 1)), shape=(count, count))
        weights = csr_array(links @ members)  # of the edges of a node to each community
        rows = np.repeat(np.arange(count), np.diff(weights.indptr))
        sizes = np.bincount(own, degrees, count)
        here = weights.indices == own[rows]
        gains = weights.data - expected[rows] * (sizes[weights.indices] - degrees[rows] * here)
        stay = -expected * (sizes[own] - degrees)
        stay[rows[here]] = gains[here]
        best = np.full(count, -np.inf)
        np.maximum.at(best, rows, gains)
        first = np.flatnonzero(gains == best[rows])[::-1]
        target = own.copy()
        target[rows[first]] = weights.indices[first]
        gaining = best > stay + 1e-12 * total
        if gaining.sum() <= SHARE * count:
            break
        own = np.where(gaining & (rng.random(count) < 0.5), target, own)
    return np.unique(own, return_inverse=True)[1]


def _joined(graph: csr_array, labels: Labels) -> csr_array:
    """Return the graph whose nodes are the communities of a graph's nodes."""
    members = csr_array((np.ones(len(labels)), labels, np.arange(len(labels) + 1)))
    return csr_array(members.T @ graph @ members)


def _largest_first(labels: Labels) -> Labels:
    """Return labels numbered from the largest community to the smallest, equal ones by their first node."""
    found, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    ranks = np.empty(len(found), np.intp)
    ranks[np.lexsort((first, -counts))] = np.arange(len(found))
    return ranks[inverse]
