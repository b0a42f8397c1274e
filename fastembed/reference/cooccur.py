"""Counts of windows, and their tiles: twins of ``cooccur.pyx`` and ``tiles.pyx``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastembed.reference.arrays import Array, Ids, Real


def cooccurrence(
    ids: Ids,
    vocabulary_size: int,
    before: Sequence[float],
    after: Sequence[float],
    contexts: int | None = None,
    directed: bool = False,
) -> Array:
    """Count weighted windows, N[w, c] = sum over positions of w and distances d of weight_d [c is at distance d].

    Parameters
    ----------
    ids : ndarray of int, shape (T,)
        The text; -1 separates sequences.
    vocabulary_size : int
        V; ids are below it.
    before, after : sequence of float
        The weights at the distances 1, 2, ... on each side.
    contexts : int, optional
        K; only ids below it are contexts. By default all ids are contexts.
    directed : bool
        Count the contexts before a word and those after it in separate columns.

    Returns
    -------
    ndarray of float64, shape (V, K), or (V, 2 K) if `directed`

    Examples
    --------
    >>> cooccurrence(np.array([0, 1, 1, -1, 0]), 2, before=[1.0, 0.5], after=[1.0, 0.5])
    array([[0. , 1.5],
           [1.5, 2. ]])
    """
    k = vocabulary_size if contexts is None else contexts
    counts = np.zeros((vocabulary_size, 2 * k if directed else k))
    sequence = np.cumsum(ids < 0)

    def add(centre: Ids, context: Ids, d: int, weight: float, shift: int) -> None:
        pair = (centre >= 0) & (context >= 0) & (context < k) & (sequence[:-d] == sequence[d:])
        np.add.at(counts, (centre[pair], context[pair] + shift), weight)

    for d, weight in enumerate(before, 1):
        add(ids[d:], ids[:-d], d, weight, 0)
    for d, weight in enumerate(after, 1):
        add(ids[:-d], ids[d:], d, weight, k if directed else 0)
    return counts


def tile(counts: Array, first: int, last: int) -> tuple[Array, Ids, Ids]:
    """Return the tile of counts in the columns first to last - 1: values and columns by rows, and the rows' lengths.

    Parameters
    ----------
    counts : ndarray, shape (R, V)
    first, last : int

    Returns
    -------
    values : ndarray (n,)
    columns : ndarray of int (n,)
        The columns of the values, from `first` on.
    lengths : ndarray of int (R,)

    Examples
    --------
    >>> tile(np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 0.0]]), 1, 3)
    (array([2., 4.]), array([1, 0]), array([1, 1]))
    """
    part = counts[:, first:last]
    rows, columns = np.nonzero(part)
    return part[rows, columns], columns, np.bincount(rows, minlength=len(part))


def positions(ids: Ids, vocabulary_size: int) -> list[Ids]:
    """Return the ascending positions of each word.

    Examples
    --------
    >>> positions(np.array([1, -1, 0, 1]), 2)
    [array([2]), array([0, 3])]
    """
    return [np.flatnonzero(ids == word) for word in range(vocabulary_size)]


def totals(counts: Real) -> tuple[Array, Array]:
    """Return the sums of the rows and the sums of the columns of counts (R, C).

    Examples
    --------
    >>> totals([[1, 2], [3, 4]])
    (array([3., 7.]), array([4., 6.]))
    """
    n = np.asarray(counts, np.float64)
    return n.sum(axis=1), n.sum(axis=0)
