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


def largest_of_rows(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return what `largest` does of each row of values (N, L), none of them NaN: (N, count), or (N, L).

    Examples
    --------
    >>> largest_of_rows(np.array([[0.1, 0.4, 0.1, 0.4], [-1, 0, -0.0, 9]], np.float32), 3)
    array([[1, 3, 0],
           [3, 1, 2]])
    """
    columns, low = values.shape[1], np.int64(0xFFFFFFFF)
    count = min(count, columns)
    # One number per value: its bits, in the order of the numbers, above its place, so that no two are equal
    bits = (values + np.float32(0)).view(np.int32)  # without a -0
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) << 32 | (low - np.arange(columns))
    keys.partition(columns - count, axis=1)
    keys = keys[:, columns - count :]
    keys.sort(axis=1)
    places: NDArray[np.int64] = low - (keys[:, ::-1] & low)
    return places
