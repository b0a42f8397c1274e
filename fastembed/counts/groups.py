"""How the rows and columns of counts are divided: rows into groups, columns into shards.

Of G groups of rows, group g has the rows g, g + G, g + 2 G, ... The order of groups is: the rows of group 0, of group
1, and so on. An epoch visits two groups at a time, so that few groups need to be in memory. Sums over rows are computed
group by group.

The columns, which are the outputs of a model, are divided into ranges, the shards. One thread at a time computes a
shard, and each rank computes some shards. The bounds depend on the number of columns alone, so no bit depends on the
number of threads or ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import Float64, Int32, Int64

GROUP_ROWS = 4096  # largest number of rows of a group: the order of training depends on it
DRAWN_GROUPS = 2  # groups whose rows are shuffled together (docs/design.md)

# Largest number of columns of a shard: its part of the linear layer and 256 rows of logits fit into 1.5 MiB of cache
SHARD_COLUMNS = 1024
SHARD_MULTIPLE = 16  # bounds of shards are multiples of this, so that SIMD loops over the columns have no remainder

BATCH_PAIRS = 1 << 20  # approximate number of pairs of a corpus that are summed at a time: 12 MB of them
ENTRY_BYTES = 12  # of a count in a batch or a group of rows: its column and its value
MAX_EXACT = 2**53  # integers up to here are exact in float64
MIN_BATCH_ENTRIES = 1 << 14  # smallest batch, however little memory there is: overhead dominates in smaller ones


class RowBatch(NamedTuple):
    """Consecutive rows of a matrix: the number of entries per row, their columns, ascending per row, and values.

    `release` is called when columns and values have been stored.
    """

    lengths: Int64
    columns: Int32
    values: Float64
    release: Callable[[], object] = lambda: None


def check_exact(sums: Float64) -> None:
    """Raise ValueError if integer sums may have been rounded.

    Partial sums of positive numbers are below the final one: if that is exact, so were they.
    """
    if sums.max(initial=0) > MAX_EXACT:
        raise ValueError("a count is too large to be exact: use a shorter window, or weighting='linear' or 'flat'")


def batch_entries(memory: int, threads: int) -> int:
    """Return the number of pairs or entries per batch: 5 batches per thread, 24 bytes per entry with its result."""
    return min(max(memory // (2 * ENTRY_BYTES * 5 * threads), MIN_BATCH_ENTRIES), BATCH_PAIRS)


def group_count(rows: int) -> int:
    """Return G, the number of groups for a number of rows."""
    return -(-rows // GROUP_ROWS)


def group_slice(group: int, rows: int) -> slice:
    """Return the rows of a group: those whose number is `group` modulo G.

    Words are in the order of decreasing frequency, so every group of them is like the whole.

    Examples
    --------
    >>> list(range(10_000))[group_slice(1, 10_000)][:4]
    [1, 4, 7, 10]
    """
    return slice(group, rows, -(-rows // GROUP_ROWS))


def group_size(group: int, rows: int) -> int:
    """Return the number of rows of a group."""
    return len(range(rows)[group_slice(group, rows)])


def group_places(rows: int) -> Int64:
    """Return the index of each row in the order of groups, (V_in,): group 0 first, then group 1, and so on.

    Examples
    --------
    >>> places = group_places(10_000)
    >>> places[[0, 3, 6]].tolist(), int(places[1])  # of group 0, which has 3,334 rows; the first of group 1
    ([0, 1, 2], 3334)
    """
    order = np.concatenate([np.arange(rows)[group_slice(group, rows)] for group in range(group_count(rows))])
    places = np.empty(rows, np.int64)
    places[order] = np.arange(rows)
    return places


def split_rows(present: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the ids of the present rows of each group; `present` has the shape (V_in,).

    Examples
    --------
    >>> split_rows(np.array([True, False, True]))
    [array([0, 2])]
    """
    ids = np.arange(len(present))
    group_rows = [ids[group_slice(group, len(ids))] for group in range(group_count(len(ids)))]
    return [rows[present[rows]] for rows in group_rows]


class Draw(NamedTuple):
    """Groups that an epoch draws together, and the order of their rows; the rows of the next draw follow."""

    groups: tuple[int, ...]
    rows: NDArray[np.intp]


def draw_order(group_rows: list[NDArray[np.intp]], rng: np.random.Generator) -> list[Draw]:
    """Return a random order of the rows of all groups: groups are shuffled, then the rows of a few groups at a time.

    Examples
    --------
    >>> order = draw_order([np.array([0, 3]), np.array([1, 4]), np.array([2, 5])], np.random.default_rng(0))
    >>> [len(draw.rows) for draw in order]
    [4, 2]
    """
    order = [group for group in rng.permutation(len(group_rows)).tolist() if len(group_rows[group])]
    taken = [tuple(order[first : first + DRAWN_GROUPS]) for first in range(0, len(order), DRAWN_GROUPS)]
    return [Draw(some, rng.permutation(np.concatenate([group_rows[group] for group in some]))) for some in taken]


def plain_order(group_rows: list[NDArray[np.intp]]) -> list[Draw]:
    """Return the rows of all groups, group by group, in ascending order."""
    return [Draw((group,), rows) for group, rows in enumerate(group_rows) if len(rows)]


def shard_bounds(columns: int) -> NDArray[np.intp]:
    """Return the bounds of shards of about equal size, (S + 1,), from 0 to `columns`; S is a power of two.

    A fixed binary tree adds up what the shards give, so the sums have the same bits whichever thread computed a shard.

    Examples
    --------
    >>> shard_bounds(3000).tolist()
    [0, 752, 1504, 2256, 3000]
    """
    count = 1
    while count * SHARD_COLUMNS < columns:
        count *= 2
    bounds = np.arange(count + 1, dtype=np.intp) * columns // count
    bounds[1:-1] = -(-bounds[1:-1] // SHARD_MULTIPLE) * SHARD_MULTIPLE
    return bounds
