"""Which words a picture shows, where, and in which group: unit vectors, projected to two dimensions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import vq
from threadpoolctl import threadpool_limits

from fastembed._base.blas import single_threaded_blas
from fastembed._base.extras import require
from fastembed._base.lookup import token_of
from fastembed._base.memory import check_free
from fastembed._base.validation import check_integer
from fastembed.vectors.neighbors import unit_vectors
from fastembed.vectors.vectors import Vectors

Rows = npt.NDArray[np.float64]
METHODS = ("pca", "umap", "tsne")
GROUPS = 6  # at most
ITERATIONS = 30  # of k-means
COMPONENT_BYTES = 4 * 8  # per component of a word: unit vectors, the same centred, and two copies while it is projected
MIN_WORDS = 4  # for the methods that use neighbours


def check_method(method: str, words: int) -> None:
    """Raise ValueError for an unknown method or too few words for it, ImportError for one that is not installed."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    if method == "pca":
        return
    if words < MIN_WORDS:
        raise ValueError(f"method {method!r} needs at least {MIN_WORDS} words, got {words}: use 'pca'")
    require("umap" if method == "umap" else "sklearn.manifold", "maps")


def select(vectors: Vectors, words: Iterable[str | int] | None, topn: int) -> tuple[Vectors, Rows]:
    """Return the vectors to show, and the same scaled to length 1 (zero stays zero).

    Parameters
    ----------
    vectors : Vectors
    words : iterable of str or int, optional
        The most important first; by default the first `topn` of all tokens.
    topn : int
        At least 1.

    Returns
    -------
    shown : Vectors
        Of N unique words.
    unit : ndarray of float64, shape (N, D)

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
    >>> shown, unit = select(Vectors(["a", "b"], np.array([[3.0, 4.0], [0.0, 0.0]])), None, 200)
    >>> shown.tokens, unit.tolist()
    (('a', 'b'), [[0.6, 0.8], [0.0, 0.0]])
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
    shown = vectors.subset(chosen)
    return shown, unit_vectors(shown.matrix)


def project(unit: Rows, method: str, seed: int) -> tuple[Rows, Rows | None]:
    """Return coordinates in the plane.

    Parameters
    ----------
    unit : ndarray of float64, shape (N, D)
    method : {"pca", "umap", "tsne"}
        Checked by :func:`check_method`.
    seed : int
        Seed of "umap"; "tsne" starts from the principal components.

    Returns
    -------
    coordinates : ndarray of float64, shape (N, 2)
    shares : ndarray of float64, shape (2,), or None
        For "pca", the share of the variance along each axis.

    Examples
    --------
    >>> project(np.array([[0.6, 0.8], [0.0, 1.0], [0.6, 0.8]]), "pca", 0)[0].round(3)
    array([[ 0.211,  0.   ],
           [-0.422,  0.   ],
           [ 0.211,  0.   ]])
    """
    with single_threaded_blas(), threadpool_limits(limits=1, user_api="openmp"):  # more threads add in another order
        if method == "pca":
            return _principal_components(unit)
        if method == "umap":
            umap = require("umap", "maps").UMAP(n_neighbors=min(15, len(unit) - 1), random_state=seed, n_jobs=1)
            return umap.fit_transform(unit).astype(np.float64), None
        start, _ = _principal_components(unit)
        start *= 1e-4 / (start[:, 0].std() or 1.0)  # the usual standard deviation
        perplexity = min(30.0, (len(unit) - 1) / 3)
        tsne = require("sklearn.manifold", "maps").TSNE(perplexity=perplexity, init=start.astype(np.float32), n_jobs=1)
        return tsne.fit_transform(unit.astype(np.float32)).astype(np.float64), None


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


def group(unit: Rows, seed: int) -> npt.NDArray[np.intp]:
    """Return the group of every row, shape (N,): k-means in all dimensions, the largest group is 0.

    Examples
    --------
    >>> group(np.repeat([[1.0, 0.0], [0.0, 1.0]], [3, 9], axis=0), seed=0).tolist()
    [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    count = max(1, min(GROUPS, len(unit) // 5))
    centres = unit[np.random.default_rng(seed).choice(len(unit), count, replace=False)]
    with single_threaded_blas():
        for _ in range(ITERATIONS):
            labels, _ = vq(unit, centres)
            for k in np.unique(labels):  # a group that becomes empty, as with equal vectors, keeps its centre
                centres[k] = unit[labels == k].mean(axis=0)
    largest_first = np.argsort(-np.bincount(labels, minlength=count), kind="stable")
    return np.argsort(largest_first)[labels]
