"""`TileBuffer`: the tiles of counts that are in memory while a fit reads them.

A tile has the counts of a group of rows in a shard, which is a range of columns (`tiles.py`, `groups.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import Int64
from fastembed._base.threads import Call
from fastembed.counts.groups import DRAWN_GROUPS, Draw
from fastembed.counts.store import GroupedCounts
from fastembed.counts.tiles import Bytes

Hold = Callable[[int], None]  # called with the number of a block: makes its counts and those of the next block resident


class TileBuffer:
    """The tiles of the groups of two successive blocks, and of as many other groups as fit.

    Of counts that are in memory, it has all tiles.

    While blocks of some groups are trained on, the next groups are read.

    Parameters
    ----------
    counts : GroupedCounts (N, V)
    group_rows : list of ndarray of int
        The rows that each group has in an order; some groups may have none.
    block_size : int
        The number of rows of a block.

    Attributes
    ----------
    bases : ndarray of int64 (G,)
        The address of the bytes of each group; 0 while it is not in memory.
    offsets : ndarray of int64 (G, S + 1)
        The offset of each tile in the bytes of its group.
    entries, filled, kinds : ndarray (G, S)
        As in `TileSizes`.
    row_factors, column_factors : ndarray (N,), ndarray (V,)
        A value in a tile times both is an expected count.
    totals : ndarray (N,)
        The sums of the rows.
    """

    def __init__(self, counts: GroupedCounts, group_rows: list[NDArray[np.intp]], block_size: int) -> None:
        self._counts, self._block_size = counts, block_size
        sizes, bounds = counts.sizes, counts.bounds
        self.offsets = sizes.offsets()
        self.entries, self.filled, self.kinds = sizes
        self.row_factors = counts.scale.rows / counts.scale.denominator
        self.column_factors = np.ascontiguousarray(counts.scale.columns[bounds[0] : bounds[-1]])
        self.totals = counts.totals.rows
        self.bases = np.zeros(len(sizes.entries), np.int64)
        self._tiles: dict[int, Bytes] = {}

        used = [group for group, rows in enumerate(group_rows) if len(rows)]
        # The groups of the blocks at hand come and go; the rest of the buffer keeps some groups for the whole fit
        passing = buffered_groups([len(group_rows[group]) for group in used], block_size)
        fitting = counts.buffer_memory // max(int(self.offsets[used, -1].max()), 1)
        self._kept = set(used if fitting >= len(used) else used[: max(fitting - passing, 0)])
        if counts.in_memory:
            self._kept = set(used)
            for group in used:
                self._hold(group, counts.read_tiles(group))

    @contextmanager
    def reading(self, order: list[Draw]) -> Iterator[Hold]:
        """Yield the function to call before each block of the rows in this order."""
        calls: dict[int, Call[Bytes]] = {}
        row_ends = np.cumsum([len(draw.rows) for draw in order])
        try:
            yield partial(self._hold_block, order, row_ends, calls)
        finally:
            for call in calls.values():
                call.cancel()
            for call in calls.values():
                call.wait()

    def _hold_block(self, order: list[Draw], row_ends: Int64, calls: dict[int, Call[Bytes]], block: int) -> None:
        """Wait for the groups of a block and of the next block, and start to read the groups of the next draw.

        Groups that neither block nor the next draw needs are dropped. `calls` has the groups that are being read. If
        all groups are in memory, nothing happens.
        """
        first_row, last_row = block * self._block_size, min((block + 2) * self._block_size, row_ends[-1]) - 1
        first, last = np.searchsorted(row_ends, [first_row, last_row], side="right")  # draws of the two blocks
        last_read = last + 1 if first == last else last  # while both blocks are of one draw, the next draw is read
        needed = [group for draw in order[first : last + 1] for group in draw.groups]
        wanted = [group for draw in order[first : last_read + 1] for group in draw.groups]
        for group in self._tiles.keys() - self._kept.union(wanted):
            self.bases[group] = 0
            del self._tiles[group]
        for group in wanted:
            if group not in self._tiles and group not in calls:
                calls[group] = Call(self._counts.read_tiles, group).start()
        for group in needed:
            if group in calls:
                self._hold(group, calls.pop(group).result())

    def _hold(self, group: int, tiles: Bytes) -> None:
        self._tiles[group], self.bases[group] = tiles, tiles.ctypes.data


def buffered_groups(sizes: list[int], block_size: int) -> int:
    """Return how many groups of these sizes are in memory: the groups that two blocks can need, and the next group.

    Examples
    --------
    >>> buffered_groups([4000] * 9, 256), buffered_groups([100] * 99, 256), buffered_groups([5], 256)
    (4, 9, 1)
    """
    # Two blocks have at least a row of their first draw and a row of their last, and all rows of the draws between
    inner_rows = 2 * block_size - 2
    inner_groups = int(np.searchsorted(np.cumsum(np.sort(sizes)), inner_rows, side="right"))
    return min(inner_groups + 2 * DRAWN_GROUPS, len(sizes))
