"""The NumPy twin of the kernel ``cooccur``: one addition for each distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.integer]


def cooccurrence(
    ids: Ids,
    vocabulary_size: int,
    before: Sequence[float],
    after: Sequence[float],
    contexts: int | None = None,
    directed: bool = False,
) -> npt.NDArray[np.float64]:
    """Count weighted windows, N[w, c] = sum over positions of w and distances d of weight_d [c stands at distance d].

    Parameters
    ----------
    ids : ndarray of int, shape (T,)
        The text; -1 stands between sequences.
    vocabulary_size : int
        V; ids are below it.
    before, after : sequence of float
        The weights at the distances 1, 2, ... on either side.
    contexts : int, optional
        K; only ids below it are contexts. All are by default.
    directed : bool
        Keep the contexts before and after a word apart.

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
