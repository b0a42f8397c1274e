"""What a map shows: words, their neighbours and clusters, and their places in the plane."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastembed._base.optional import require
from fastembed._base.threads import single_threaded_blas
from fastembed._base.validation import check_choice, check_integer, token_of, warn_user
from fastembed.plotting.clusters import Labels, Level, find_levels, neighbor_graph, representatives
from fastembed.plotting.figure import LIGHT
from fastembed.vectors.neighbors import unit_vectors
from fastembed.vectors.vectors import Vectors, check_is_vectors

Rows = npt.NDArray[np.float64]
Method = Literal["pca", "umap"]
METHODS = ("pca", "umap")
MIN_WORDS = 4  # the fewest words that UMAP can place
SPREAD = 10.0  # the spread of UMAP's start, as in its own
JITTER = 1e-4  # noise in UMAP's start, as a share of the spread
NEIGHBORS = 15  # of a word, which are listed, make the clusters and are kept together by a projection
CROWD = 100  # from this number of words on, a projection that keeps neighbours together pays
NOTES = {  # for people who look at a map
    "pca": "Places are the first two principal components, which show a small part of what the dimensions hold.",
    "umap": "Neighbours were kept together by UMAP; long distances mean little.",
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
    shares : ndarray of float64, shape (2,)
        Of the variance along the first two principal components.
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
    shares: Rows
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
    chosen = vectors.tokens[:topn] if words is None else dict.fromkeys(map(token_of, words))
    shown = without_zeros(vectors.subset(chosen))
    if method is None:
        method = "umap" if len(shown) >= CROWD and importlib.util.find_spec("umap") is not None else "pca"
    check_choice("method", method, METHODS)
    if method == "umap" and len(shown) < MIN_WORDS:
        raise ValueError(f"method 'umap' needs at least {MIN_WORDS} words, got {len(shown)}: use 'pca'")
    unit = unit_vectors(shown.matrix)
    near, cosines = shown.nearest(ids=np.arange(len(shown)), topn=NEIGHBORS, progress=progress)
    graph = neighbor_graph(near, cosines)
    levels = find_levels(graph, seed)
    with single_threaded_blas():  # more threads add in another order
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


def without_zeros(vectors: Vectors) -> Vectors:
    """Return the vectors that are not zero; warn of those that are, and raise ValueError if all are."""
    some = np.asarray(vectors.matrix.any(axis=1))
    if not some.any():
        raise ValueError("there is no word to show")
    if some.all():
        return vectors
    warn_user(f"{np.count_nonzero(~some):,} of {len(some):,} words are left out: their vectors are zero")
    return vectors.subset(ids=np.flatnonzero(some))


def principal_components(rows: Rows) -> tuple[Rows, Rows]:
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


def umap_places(
    unit: Rows, components: Rows, seed: int, near: npt.NDArray[np.intp], cosines: Rows, progress: bool
) -> Rows:
    """Return UMAP's coordinates (N, 2), which start from principal components, made of neighbours that are known."""
    start = components * (SPREAD / (np.abs(components).max() or 1.0))
    # Where principal components are missing, UMAP would divide by the width of nothing
    start += np.random.default_rng(seed).normal(scale=JITTER * SPREAD, size=start.shape)
    others = NEIGHBORS - 1  # UMAP counts the word itself
    rows = np.hstack([np.arange(len(unit))[:, None], near[:, :others]])
    distances = np.hstack([np.zeros((len(unit), 1)), 1 - cosines[:, :others]]).astype(np.float32)
    options: dict[str, Any] = {"n_neighbors": rows.shape[1], "precomputed_knn": (rows, distances), "metric": "cosine"}
    options |= {"init": start.astype(np.float32), "random_state": seed, "n_jobs": 1}
    options["tqdm_kwds"] = {"desc": "map", "leave": False, "disable": not progress}
    with warnings.catch_warnings():
        # UMAP says that TensorFlow is not there, that it could place no new words later, and that some stand alone
        warnings.simplefilter("ignore")
        placed = require("umap", "maps").UMAP(**options).fit_transform(unit.astype(np.float32))
    return placed.astype(np.float64)
