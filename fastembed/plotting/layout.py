"""What a map shows: words, their neighbours and clusters, and their places in the plane."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from fastembed._base.memory import check_free
from fastembed._base.optional import require
from fastembed._base.threads import single_threaded_blas
from fastembed._base.validation import check_integer, token_of, warn_user
from fastembed.plotting.clusters import Labels, Level, find_levels, neighbor_graph, representatives
from fastembed.plotting.figure import LIGHT
from fastembed.vectors.neighbors import unit_vectors
from fastembed.vectors.vectors import Vectors, check_is_vectors

Rows = npt.NDArray[np.float64]
METHODS = ("pca", "umap", "tsne")
MIN_WORDS = 4  # the fewest words for the methods that use neighbours
NEAR = 15  # words that UMAP keeps together: a word and its nearest
SPREAD = 10.0  # the spread of UMAP's start, as in its own
JITTER = 1e-4  # noise in UMAP's start, as a share of the spread
NEIGHBORS = 15  # neighbours of a word in the graph of which clusters and the projection are made
CROWD = 100  # from this number of words on, a projection that keeps neighbours together pays
COMPONENT_BYTES = 4 * 8  # per component of a word: unit vectors, the same centred, and two copies while it is projected
NOTES = {  # for people who look at a map
    "pca": "Places are the first two principal components, which show a small part of what the dimensions hold.",
    "umap": "Neighbours were kept together by UMAP; long distances mean little.",
    "tsne": "Neighbours were kept together by t-SNE; long distances mean little.",
}


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
        The nearest words of each, among these, by cosine.
    cosines : ndarray of float64, shape (N, K)
    method : str
        How the words were projected.
    coordinates : ndarray of float64, shape (N, 2)
    shares : ndarray of float64, shape (2,), or None
        For "pca", the share of the variance along each axis.
    levels : list of Level
        Clusters, the coarsest first.
    colours : ndarray of uint8, shape (C,)
        The number of the colour of each of the coarsest clusters.
    order : ndarray of intp, shape (N,)
        The words, the most typical of the words around them first.
    """

    words: Vectors
    unit: Rows
    near: npt.NDArray[np.intp]
    cosines: Rows
    method: str
    coordinates: Rows
    shares: Rows | None
    levels: list[Level]
    colours: npt.NDArray[np.uint8]
    order: npt.NDArray[np.intp]

    def colours_of(self, level: int) -> npt.NDArray[np.uint8]:
        """Return the number of the colour of each cluster of a level."""
        coarse, labels = self.levels[0].labels, self.levels[level].labels
        first = np.unique(labels, return_index=True)[1]
        return self.colours[coarse[first]]


def lay_out(
    vectors: Vectors,
    words: Iterable[str | int] | None,
    topn: int,
    method: Method | None,
    seed: int,
    *,
    neighbors: int = NEIGHBORS,
    progress: bool = False,
) -> Layout:
    """Place words in the plane.

    Parameters
    ----------
    words : iterable of str or int, optional
        Which words, the most important first; by default the first `topn` of all.
    topn : int
        At least 1.
    method : {"pca", "umap", "tsne"}, optional
        By default "umap" if it is installed and there are `CROWD` words or more, else "pca".
    seed : int
        Of UMAP and of the clusters; from 0 to 2**32 - 1.
    neighbors : int
        How many neighbours of each word to find, at least; fewer if there are no more words.
    progress : bool
        Whether bars are drawn.

    Raises
    ------
    ImportError, KeyError, MemoryError, TypeError, ValueError
        As :func:`fastembed.plotting.write_page`.
    """
    seed = check_integer("seed", seed, low=0, high=2**32 - 1)
    shown = select(vectors, words, topn)
    method = method or default_method(len(shown))
    check_method(method, len(shown))
    unit = unit_vectors(shown.matrix)
    near, cosines = shown.nearest(ids=np.arange(len(shown)), topn=max(neighbors, NEIGHBORS), progress=progress)
    graph = neighbor_graph(near[:, :NEIGHBORS], cosines[:, :NEIGHBORS])
    levels = find_levels(graph, seed)
    coordinates, shares = project(unit, method, seed, near=near, cosines=cosines, progress=progress)
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


def spread_colours(labels: Labels, coordinates: Rows) -> npt.NDArray[np.uint8]:
    """Return the number of a colour for each cluster: clusters of one colour are far apart on the map.

    The largest clusters come first; each takes the colour whose nearest cluster is farthest.

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


def middles(labels: Labels, coordinates: Rows) -> Rows:
    """Return the middle of each cluster on the map, (C, 2): its median word along each axis."""
    return np.array([np.median(coordinates[labels == cluster], axis=0) for cluster in range(labels.max() + 1)])


def select(vectors: Vectors, words: Iterable[str | int] | None, topn: int) -> Vectors:
    """Return the vectors of the words to show.

    Parameters
    ----------
    words : iterable of str or int, optional
        The most important first; by default the first `topn` of all tokens.
    topn : int
        At least 1.

    Raises
    ------
    KeyError
        If a word is unknown.
    TypeError, ValueError
        If `vectors` is not a Vectors, `words` is a single str, or there is no word whose vector is not zero.
    MemoryError
        If the words take more memory than is free.

    Examples
    --------
    >>> select(Vectors(["a", "b"], np.eye(2)), ["b", "b"], 200).tokens
    ('b',)
    """
    check_is_vectors("vectors", vectors)
    topn = check_integer("topn", topn, low=1)
    if isinstance(words, str):
        raise TypeError(f"words must be an iterable of str, got the single str {words!r}")
    chosen = vectors.tokens[:topn] if words is None else tuple(dict.fromkeys(map(token_of, words)))
    check_free(
        len(chosen) * vectors.matrix.shape[1] * COMPONENT_BYTES, f"a picture of {len(chosen):,} words", "show fewer"
    )
    return without_zeros(vectors.subset(chosen))


def without_zeros(vectors: Vectors) -> Vectors:
    """Return the vectors that are not zero; warn of those that are, and raise ValueError if all are."""
    some = np.asarray(vectors.matrix.any(axis=1))
    if not some.any():
        raise ValueError("there is no word to show")
    if some.all():
        return vectors
    warn_user(f"{np.count_nonzero(~some):,} of {len(some):,} words are left out: their vectors are zero")
    return vectors.subset(ids=np.flatnonzero(some))


def check_method(method: str, words: int) -> None:
    """Raise ValueError for an unknown method or too few words for it, ImportError for one that is not installed."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    if method == "pca":
        return
    if words < MIN_WORDS:
        raise ValueError(f"method {method!r} needs at least {MIN_WORDS} words, got {words}: use 'pca'")
    _library(method)


def _library(method: str) -> Any:
    """Import what a method needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # UMAP's, that TensorFlow is not there, which is not used
        return require("umap" if method == "umap" else "sklearn.manifold", "maps")


def default_method(words: int) -> Method:
    """Return the method by which a number of words is placed if the caller names none.

    Returns
    -------
    {"pca", "umap"}

    Examples
    --------
    >>> default_method(2)
    'pca'
    """
    return "umap" if words >= CROWD and importlib.util.find_spec("umap") is not None else "pca"


def project(
    unit: Rows, method: str, seed: int, near: npt.NDArray[np.intp], cosines: Rows, *, progress: bool = False
) -> tuple[Rows, Rows | None]:
    """Return coordinates in the plane.

    Parameters
    ----------
    unit : ndarray of float64, shape (N, D)
    method : {"pca", "umap", "tsne"}
        Checked by :func:`check_method`.
    seed : int
        Seed of "umap"; both others start from the principal components and draw no random numbers.
    near, cosines : ndarray, shape (N, K)
        The nearest rows of each, without itself, and their cosines, of which "umap" is made.
    progress : bool
        Whether "umap" draws a bar.

    Returns
    -------
    coordinates : ndarray of float64, shape (N, 2)
    shares : ndarray of float64, shape (2,), or None
        For "pca", the share of the variance along each axis.

    Examples
    --------
    >>> none = np.empty((3, 0))
    >>> project(np.array([[0.6, 0.8], [0.0, 1.0], [0.6, 0.8]]), "pca", 0, none.astype(int), none)[0].round(3)
    array([[ 0.211,  0.   ],
           [-0.422,  0.   ],
           [ 0.211,  0.   ]])
    """
    with single_threaded_blas(), threadpool_limits(limits=1, user_api="openmp"):  # more threads add in another order
        if method == "pca":
            return _principal_components(unit)
        start, _ = _principal_components(unit)
        if method == "umap":
            return _umap(unit, start, seed, near, cosines, progress), None
        start *= 1e-4 / (start[:, 0].std() or 1.0)  # the usual standard deviation
        perplexity = min(30.0, (len(unit) - 1) / 3)
        tsne = _library("tsne").TSNE(perplexity=perplexity, init=start.astype(np.float32), n_jobs=1)
        return tsne.fit_transform(unit.astype(np.float32)).astype(np.float64), None


def _umap(unit: Rows, start: Rows, seed: int, near: npt.NDArray[np.intp], cosines: Rows, progress: bool) -> Rows:
    """Return UMAP's coordinates, made of neighbours that are known."""
    start = start * (SPREAD / (np.abs(start).max() or 1.0))
    # Where principal components are missing, UMAP would divide by the width of nothing
    start += np.random.default_rng(seed).normal(scale=JITTER * SPREAD, size=start.shape)
    known = near[:, : NEAR - 1]
    rows = np.hstack([np.arange(len(unit))[:, None], known])
    distances = np.hstack([np.zeros((len(unit), 1)), 1 - cosines[:, : NEAR - 1]]).astype(np.float32)
    options: dict[str, Any] = {"n_neighbors": rows.shape[1], "precomputed_knn": (rows, distances), "metric": "cosine"}
    options |= {"init": start.astype(np.float32), "random_state": seed, "n_jobs": 1}
    options["tqdm_kwds"] = {"desc": "map", "leave": False, "disable": not progress}
    with warnings.catch_warnings():
        # UMAP says that it could place no new words later, and, of words without a neighbour, that they stand alone
        warnings.simplefilter("ignore", UserWarning)
        placed = _library("umap").UMAP(**options).fit_transform(unit.astype(np.float32))
    return placed.astype(np.float64)


def _principal_components(rows: Rows) -> tuple[Rows, Rows]:
    """Return the first two principal components, shape (N, 2), and their shares of the variance, shape (2,).

    With X the rows less their mean and X = U S V', the coordinates are the first columns of U S. The signs
    make the largest component of each direction positive. Missing components, as of one word or one dimension, are 0.
    """
    centred = rows - rows.mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    s[s <= s[0] * np.finfo(np.float64).eps * max(rows.shape)] = 0  # rounding errors are not a direction
    coordinates, shares = np.zeros((len(rows), 2)), np.zeros(2)
    for k in range(min(2, int(np.count_nonzero(s)))):
        coordinates[:, k] = u[:, k] * s[k] * np.sign(vt[k, np.abs(vt[k]).argmax()])
        shares[k] = (s[k] / s[0]) ** 2 / np.sum((s / s[0]) ** 2)
    return coordinates, shares


Method = Literal["pca", "umap", "tsne"]
