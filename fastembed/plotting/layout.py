"""The data of a map: words, their neighbours and clusters, and their coordinates."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array

from fastembed._base.optional import require
from fastembed._base.threads import SingleThreadedBlas
from fastembed._base.validation import check_choice, check_integer, token_of
from fastembed.plotting.figure import LIGHT
from fastembed.vectors.neighbors import unit_vectors
from fastembed.vectors.vectors import Vectors, check_is_vectors

Points = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]
Method = Literal["pca", "umap"]
METHODS = ("pca", "umap")
MIN_WORDS = 4  # the fewest words that UMAP can place
SPREAD = 10.0  # the largest coordinate of UMAP's start, as in UMAP's defaults
JITTER = 1e-4  # noise in UMAP's start, as a share of the spread
NEIGHBORS = 15  # per word: for the graph of clusters, and for UMAP
CROWD = 100  # the fewest words for which UMAP is the default

# Clusters
ROUNDS = 30  # the most rounds of moves on one graph
SHARE = 0.001  # moves end when at most this share of the nodes gain by a move
SCALES = (math.inf, 6000, 800)  # words per unit of resolution, from the coarsest level to the finest; inf: resolution 1
COMMON = 0.25  # typicality is divided by this power of the rank, so that common words name clusters
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


@dataclass(frozen=True)
class Layout:
    """Words in the plane.

    Attributes
    ----------
    words : Vectors
        N unique words.
    unit : ndarray of float64, shape (N, D)
        Their vectors scaled to length 1; zero stays zero.
    near : ndarray of intp, shape (N, K)
        The nearest of these words to each word, by cosine.
    cosines : ndarray of float64, shape (N, K)
    method : str
        "pca" or "umap".
    coordinates : ndarray of float64, shape (N, 2)
    shares : ndarray of float64, shape (2,)
        The shares of the first two principal components in the variance.
    levels : list of Level
        Clusters, the coarsest first.
    colours : ndarray of uint8, shape (C,)
        The number of the colour of each cluster of the coarsest level.
    order : ndarray of intp, shape (N,)
        The words, the most typical of their clusters first.
    """

    words: Vectors
    unit: Points
    near: npt.NDArray[np.intp]
    cosines: Points
    method: str
    coordinates: Points
    shares: Points
    levels: list[Level]
    colours: npt.NDArray[np.uint8]
    order: npt.NDArray[np.intp]

    def colours_of(self, level: int) -> npt.NDArray[np.uint8]:
        """Return the number of the colour of each cluster of a level."""
        coarse, labels = self.levels[0].labels, self.levels[level].labels
        first = np.unique(labels, return_index=True)[1]
        return self.colours[coarse[first]]


def lay_out(
    vectors: Vectors, words: Iterable[str | int] | None, topn: int, method: Method | None, seed: int, progress: bool
) -> Layout:
    """Place words in the plane; the parameters are those of :func:`fastembed.plotting.plot_map`."""
    seed = check_integer("seed", seed, low=0, high=2**32 - 1)
    check_is_vectors("vectors", vectors)
    topn = check_integer("topn", topn, low=1)
    if isinstance(words, str):
        raise TypeError(f"words must be an iterable of str, got the single str {words!r}")
    chosen = vectors.tokens[:topn] if words is None else list(dict.fromkeys(map(token_of, words)))
    shown = vectors.subset(chosen)
    shown = shown.subset(ids=np.flatnonzero(shown.matrix.any(axis=1)))
    if not len(shown):
        raise ValueError("words must hold at least one word with a vector that is not zero, got none")
    if method is None:
        method = "umap" if len(shown) >= CROWD and importlib.util.find_spec("umap") is not None else "pca"
    check_choice("method", method, METHODS)
    if method == "umap" and len(shown) < MIN_WORDS:
        raise ValueError(f"method 'umap' needs at least {MIN_WORDS} words, got {len(shown)}: use 'pca'")
    unit = unit_vectors(shown.matrix)
    near, cosines = shown.nearest(ids=np.arange(len(shown)), topn=NEIGHBORS, progress=progress)
    graph = neighbor_graph(near, cosines)
    levels = find_levels(graph, seed)
    with SingleThreadedBlas():  # so that the order of sums does not depend on threads
        coordinates, shares = principal_components(unit)
        if method == "umap":
            coordinates = umap_places(unit, coordinates, seed, near, cosines, progress)
    return Layout(
        words=shown,
        unit=unit,
        near=near,
        cosines=cosines,
        method=method,
        coordinates=coordinates,
        shares=shares,
        levels=levels,
        colours=spread_colours(levels[0].labels, coordinates),
        order=representatives(graph, levels[-1].labels),
    )


def spread_colours(labels: Labels, coordinates: Points) -> npt.NDArray[np.uint8]:
    """Return the number of a colour for each cluster: clusters of one colour are far apart on the map.

    Clusters choose in order of size: each takes the colour whose nearest cluster is farthest.

    Examples
    --------
    >>> spread_colours(np.arange(7), np.arange(14.0).reshape(7, 2)).tolist()
    [0, 1, 2, 3, 4, 5, 0]
    """
    centres = middles(labels, coordinates)
    chosen = np.zeros(len(centres), np.uint8)
    for cluster, centre in enumerate(centres):
        far = np.linalg.norm(centres[:cluster] - centre, axis=1)
        nearest = [far[chosen[:cluster] == colour].min(initial=np.inf) for colour in range(len(LIGHT["dots"]))]
        chosen[cluster] = np.argmax(nearest)
    return chosen


def middles(labels: Labels, coordinates: Points) -> Points:
    """Return the middle of each cluster on the map, (C, 2): the median of its words along each axis."""
    return np.array([np.median(coordinates[labels == cluster], axis=0) for cluster in range(labels.max() + 1)])


def principal_components(rows: Points) -> tuple[Points, Points]:
    """Return the first two principal components, shape (N, 2), and their shares of the variance, shape (2,).

    With X the rows less their mean and X = U S V', the coordinates are the first columns of U S. The signs
    make the largest component of each direction positive. Missing components, as with one word or one dimension, are 0.
    """
    centred = rows - rows.mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    s[s <= s[0] * np.finfo(np.float64).eps * max(rows.shape)] = 0  # rounding errors
    coordinates, shares = np.zeros((len(rows), 2)), np.zeros(2)
    for k in range(min(2, int(np.count_nonzero(s)))):
        coordinates[:, k] = u[:, k] * s[k] * np.sign(vt[k, np.abs(vt[k]).argmax()])
        shares[k] = (s[k] / s[0]) ** 2 / np.sum((s / s[0]) ** 2)
    return coordinates, shares


def umap_places(
    unit: Points, components: Points, seed: int, near: npt.NDArray[np.intp], cosines: Points, progress: bool
) -> Points:
    """Return UMAP's coordinates (N, 2), computed from the given neighbours, with principal components as the start."""
    start = components * (SPREAD / (np.abs(components).max() or 1.0))
    # Without noise, UMAP would divide by zero where a principal component is missing
    start += np.random.default_rng(seed).normal(scale=JITTER * SPREAD, size=start.shape)
    others = NEIGHBORS - 1  # UMAP counts the word itself
    rows = np.hstack([np.arange(len(unit))[:, None], near[:, :others]])
    distances = np.hstack([np.zeros((len(unit), 1)), 1 - cosines[:, :others]]).astype(np.float32)
    options: dict[str, Any] = {"n_neighbors": rows.shape[1], "precomputed_knn": (rows, distances), "metric": "cosine"}
    options |= {"init": start.astype(np.float32), "random_state": seed, "n_jobs": 1}
    options["tqdm_kwds"] = {"desc": "map", "leave": False, "disable": not progress}
    with warnings.catch_warnings():
        # UMAP warns that TensorFlow is missing, that new words cannot be placed, and of words without neighbours
        warnings.simplefilter("ignore")
        placed = require("umap", "maps").UMAP(**options).fit_transform(unit.astype(np.float32))
    return placed.astype(np.float64)


# ---------------------------------------------------------------- clusters


def neighbor_graph(near: npt.NDArray[np.integer[Any]], cosines: Points) -> csr_array:
    """Return the graph (N, N) of neighbours. The weight of an edge is the cosine, twice if each word is near the other.

    Parameters
    ----------
    near : ndarray of int, shape (N, K)
        The nearest words of each word, without itself.
    cosines : ndarray of float64, shape (N, K)
        Cosines below zero count as zero.

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

    The labels c should maximise the modularity, ``sum((A_ij - resolution * k_i * k_j / 2m) * (c_i == c_j)) / 2m`` over
    all pairs of nodes, where k are the degrees and 2m is their sum. In each round, every node finds the community with
    the largest gain, and a random half of the nodes that gain move. Communities become the nodes of the next graph.

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
    """Return the clusters of words at several scales, the coarsest first. Each cluster is part of a coarser one.

    Parameters
    ----------
    graph : csr_array, shape (N, N)
        The result of :func:`neighbor_graph`, for words in the order of their frequency.
    """
    count = graph.shape[0]
    levels = []
    labels, joined = np.arange(count), graph
    for scale in reversed(SCALES):
        if scale != math.inf and count < scale:
            continue  # its resolution would be 1, which the coarsest level has
        resolution = max(1.0, count / scale)
        parents = communities(joined, resolution, seed)
        labels = _largest_first(parents[labels])
        joined = _joined(graph, labels)
        levels.append(Level(labels, _names(graph, labels)))
    return levels[::-1]


def representatives(graph: csr_array, labels: Labels) -> Labels:
    """Return all words, shape (N,): the most typical word of each cluster, then the second of each, and so on.

    Larger clusters come first.
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
    """Return the words cluster by cluster, the most typical word of each cluster first.

    The typicality of a word is the weight of its edges inside the cluster, divided by a power of its rank.
    """
    count = graph.shape[0]
    rows = np.repeat(np.arange(count), np.diff(graph.indptr))
    inside = np.bincount(rows, graph.data * (labels[rows] == labels[graph.indices]), count)
    return np.lexsort((-inside / (np.arange(count) + 10.0) ** COMMON, labels))


def _moved(graph: csr_array, resolution: float, rng: np.random.Generator) -> Labels:
    """Return communities of the nodes of a graph, numbered from 0, after rounds of moves of single nodes."""
    count = graph.shape[0]
    community = np.arange(count)
    degrees = graph.sum(axis=1)
    total = degrees.sum()
    if total == 0:
        return community
    expected = resolution * degrees / total
    links = csr_array(graph - diags_array(graph.diagonal()))  # self-loops move with their node
    links.eliminate_zeros()
    for _ in range(ROUNDS):
        members = csr_array((np.ones(count), community, np.arange(count + 1)), shape=(count, count))
        weights = csr_array(links @ members)  # of the edges between each node and each community
        rows = np.repeat(np.arange(count), np.diff(weights.indptr))
        sizes = np.bincount(community, degrees, count)
        here = weights.indices == community[rows]
        gains = weights.data - expected[rows] * (sizes[weights.indices] - degrees[rows] * here)
        stay = -expected * (sizes[community] - degrees)
        stay[rows[here]] = gains[here]
        best = np.full(count, -np.inf)
        np.maximum.at(best, rows, gains)
        first = np.flatnonzero(gains == best[rows])[::-1]
        target = community.copy()
        target[rows[first]] = weights.indices[first]
        gaining = best > stay + 1e-12 * total
        if gaining.sum() <= SHARE * count:
            break
        community = np.where(gaining & (rng.random(count) < 0.5), target, community)
    return np.unique(community, return_inverse=True)[1]


def _joined(graph: csr_array, labels: Labels) -> csr_array:
    """Return the graph whose nodes are the communities of a graph; weights between two communities are added."""
    members = csr_array((np.ones(len(labels)), labels, np.arange(len(labels) + 1)))
    return csr_array(members.T @ graph @ members)


def _largest_first(labels: Labels) -> Labels:
    """Return labels numbered from the largest community to the smallest; ties are in the order of the first node."""
    distinct, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    ranks = np.empty(len(distinct), np.intp)
    ranks[np.lexsort((first, -counts))] = np.arange(len(distinct))
    return ranks[inverse]
