"""How the rows of counts are cut into groups: an epoch takes one group after another, so few need to be in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GROUP_ROWS = 4096  # at most


def group_count(rows: int) -> int:
    """Return the number of groups of so many rows, G."""
    return -(-rows // GROUP_ROWS)


def group_slice(group: int, rows: int) -> slice:
    """Return the rows of a group: those whose number is `group` modulo G.

    The rows of a vocabulary are in the order of decreasing frequency, so every group is like the whole.

    Examples
    --------
    >>> np.arange(10_000)[group_slice(1, 10_000)]
    array([   1,    4,    7, ..., 9991, 9994, 9997])
    """
    return slice(group, rows, group_count(rows))


def split_rows(present: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the ids of the rows of each group that are present, (V_in,).

    Examples
    --------
    >>> split_rows(np.array([True, False, True]))
    [array([0, 2])]
    """
    rows = len(present)
    ids = np.arange(rows)
    return [ids[part][present[part]] for part in (group_slice(group, rows) for group in range(group_count(rows)))]


def draw_order(groups: list[NDArray[np.intp]], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the rows of all groups: the groups in a random order, and the rows of each in a random order.

    Examples
    --------
    >>> draw_order([np.array([0, 2]), np.array([1, 3])], np.random.default_rng(0))
    array([1, 3, 2, 0])
    """
    return np.concatenate([rng.permutation(groups[group]) for group in rng.permutation(len(groups))])
