"""What the map and the page both show: words, their places, neighbours and clusters."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from fastembed._base.memory import check_free
from fastembed._base.validation import check_integer, token_of
from fastembed.plotting.clusters import Level, find_levels, neighbor_graph, representatives
from fastembed.plotting.palette import spread_colours
from fastembed.plotting.projection import Rows, check_method, project
from fastembed.vectors.neighbors import unit_vectors
from fastembed.vectors.vectors import Vectors

Method = Literal["pca", "umap", "tsne"]

NEIGHBORS = 15  # neighbours of a word in the graph of which clusters and the projection are made
QUERIES = 2048  # words whose neighbours are found between two steps of the progress bar
CROWD = 100  # from this number of words on, a projection that keeps neighbours together pays
COMPONENT_BYTES = 4 * 8  # per component of a word: unit vectors, the same centred, and two copies while it is projected


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

    def middles_of(self, level: int) -> Rows:
        """Return the middle of each cluster of a level on the map: its median word along each axis."""
        labels = self.levels[level].labels
        return np.array([np.median(self.coordinates[labels == c], axis=0) for c in range(labels.max() + 1)])


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
    vectors : Vectors
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
    if method is None:
        crowd = len(shown) >= CROWD and importlib.util.find_spec("umap") is not None
        method = "umap" if crowd else "pca"
    check_method(method, len(shown))
    unit = unit_vectors(shown.matrix)
    near, cosines = _neighbors(shown, max(neighbors, NEIGHBORS), progress)
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


def select(vectors: Vectors, words: Iterable[str | int] | None, topn: int) -> Vectors:
    """Return the vectors of the words to show.

    Parameters
    ----------
    vectors : Vectors
    words : iterable of str or int, optional
        The most important first; by default the first `topn` of all tokens.
    topn : int
        At least 1.

    Raises
    ------
    KeyError
        If a word is unknown.
    TypeError, ValueError
        If `vectors` is not a Vectors, `words` is a single str, or there is no word.
    MemoryError
        If the words take more memory than is free.

    Examples
    --------
    >>> select(Vectors(["a", "b"], np.array([[3.0, 4.0], [0.0, 0.0]])), ["b", "b"], 200).tokens
    ('b',)
    """
    if not isinstance(vectors, Vectors):
        raise TypeError(f"vectors must be a Vectors, got {type(vectors).__name__}")
    topn = check_integer("topn", topn, low=1)
    if isinstance(words, str):
        raise TypeError(f"words must be an iterable of str, got the single str {words!r}")
    chosen = vectors.tokens[:topn] if words is None else tuple(dict.fromkeys(map(token_of, words)))
    if not chosen:
        raise ValueError("there is no word to show")
    check_free(
        len(chosen) * vectors.matrix.shape[1] * COMPONENT_BYTES,
        f"a picture of {len(chosen):,} words",
        "show fewer",
    )
    return vectors.subset(chosen)


def _neighbors(shown: Vectors, count: int, progress: bool) -> tuple[npt.NDArray[np.intp], Rows]:
    """Return the nearest words of each word and their cosines, shape (N, K), where K is at most `count`."""
    per_word = min(count, len(shown) - 1)
    near, cosines = np.empty((len(shown), per_word), np.intp), np.empty((len(shown), per_word))
    if not per_word:
        return near, cosines
    with tqdm(desc="neighbours", total=len(shown), leave=False, unit_scale=True, disable=not progress) as bar:
        for first in range(0, len(shown), QUERIES):
            part = slice(first, min(first + QUERIES, len(shown)))
            near[part], cosines[part] = shown.nearest(ids=np.arange(part.start, part.stop), topn=per_word)
            bar.update(part.stop - part.start)
    return near, cosines
