"""The largest of many values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def largest(values: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Return the places of the `count` largest values (N,), or of all, descending; ties are in the order of places.

    Examples
    --------
    >>> largest(np.array([0.1, 0.4, 0.1, 0.4]), 3)
    array([1, 3, 0])
    """
    if not 0 < count < len(values):
        return np.argsort(-values, kind="stable")[: max(count, 0)]
    least = np.partition(values, len(values) - count)[len(values) - count]
    candidates = np.flatnonzero(values >= least)
    best: NDArray[np.intp] = candidates[np.argsort(-values[candidates], kind="stable")[:count]]
    return best
