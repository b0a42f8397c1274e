"""From unit vectors to two dimensions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from fastembed._base.optional import require
from fastembed._base.threads import single_threaded_blas

Rows = npt.NDArray[np.float64]
METHODS = ("pca", "umap", "tsne")
MIN_WORDS = 4  # the fewest words for the methods that use neighbours
NEAR = 15  # words that UMAP keeps together: a word and its nearest
SPREAD = 10.0  # the spread of UMAP's start, as in its own
JITTER = 1e-4  # noise in UMAP's start, as a share of the spread
NOTES = {  # for people who look at a map
    "pca": "Places are the first two principal components, which show a small part of what the dimensions hold.",
    "umap": "Neighbours were kept together by UMAP; long distances mean little.",
    "tsne": "Neighbours were kept together by t-SNE; long distances mean little.",
}


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
    coordinates: Rows = placed.astype(np.float64)
    return coordinates


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
