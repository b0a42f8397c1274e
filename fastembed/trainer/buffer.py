"""Buffers from which the block kernels read counts: all counts in memory, or a few groups of rows, read ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from fastembed._base.calls import Call
from fastembed._base.threads import Workers
from fastembed.trainer.groups import DRAWN_GROUPS, CSRGroups, Draw, GroupedCounts, RowGroup, group_slice

BUFFERED_BYTES = 12  # per count: its column and its value
Hold = Callable[[int], None]  # called with the number of a block: makes its counts and those of the next block resident


class ResidentCounts:
    """Counts that are all in memory.

    Attributes
    ----------
    begins, ends, indices, data
        As in a `RowGroup`, for all rows.
    """

    def __init__(self, counts: CSRGroups) -> None:
        self.begins, self.ends = counts.indptr[:-1], counts.indptr[1:]
        self.indices, self.data = counts.indices, counts.data

    @contextmanager
    def reading(self, order: list[Draw]) -> Iterator[Hold]:
        """Yield a function that does nothing, for blocks of rows in any order."""
        yield lambda block: None


class BufferedCounts:
    """Counts with only some groups in memory: those of the rows of two successive blocks, and some more.

    While blocks of some groups are trained on, the next groups are read. If the buffer is larger, as many groups as fit
    stay in memory once they have been read.

    Parameters
    ----------
    counts : GroupedCounts
    groups : list of ndarray of int
        The rows of each group in an order; some groups may have none.
    block_size : int
        The number of rows of a block.

    Attributes
    ----------
    begins, ends, indices, data
        As in a `RowGroup`, for all rows; only those of the groups in memory are valid.
    """

    def __init__(self, counts: GroupedCounts, groups: list[NDArray[np.intp]], block_size: int) -> None:
        self._counts, self._block_size = counts, block_size
        used = [group for group, rows in enumerate(groups) if len(rows)]
        self._capacity = max(int(counts.entries[used].max()), 1)  # the shards of a rank may have no counts
        least = buffered_groups([len(groups[group]) for group in used], block_size)
        slots = min(max(counts.buffer_memory // (BUFFERED_BYTES * self._capacity), least), len(used))
        self._turning = 0 if slots == len(used) else least  # slots that groups use in turn
        self._held = {group: slot for slot, group in enumerate(used[: slots - self._turning])}
        self._in_memory: set[int] = set()  # the groups in memory
        inputs = counts.shape[0]
        self.begins, self.ends = np.zeros(inputs, np.int64), np.zeros(inputs, np.int64)
        self.indices = np.empty(slots * self._capacity, np.int32)
        self.data = np.empty(slots * self._capacity)

    @contextmanager
    def reading(self, order: list[Draw]) -> Iterator[Hold]:
        """Yield the function to call before each block of the rows in this order."""
        groups = [group for draw in order for group in draw.groups]
        turns = np.cumsum([0, *(group not in self._held for group in groups)]).tolist()
        row_ends = np.cumsum([len(draw.rows) for draw in order])
        group_ends = np.cumsum([len(draw.groups) for draw in order])
        calls: list[Call[RowGroup | None]] = []
        ready = 0

        def hold(block: int) -> None:
            nonlocal ready
            first, last = block * self._block_size, min((block + 2) * self._block_size, row_ends[-1]) - 1
            current, next_one = np.searchsorted(row_ends, [first, last], side="right")
            in_use = int(group_ends[current]) - len(order[current].groups)  # the first group that is still needed
            while len(calls) < len(groups) and turns[len(calls) + 1] <= turns[in_use] + self._turning:
                calls.append(reader.submit(self._read, groups[len(calls)], turns[len(calls)]))
            while ready < group_ends[next_one]:
                rows = calls[ready].result()
                if rows is not None:
                    part = group_slice(groups[ready], self._counts.shape[0])
                    self.begins[part], self.ends[part] = rows.begins, rows.ends
                    if groups[ready] in self._held:
                        self._in_memory.add(groups[ready])
                ready += 1

        with Workers(1) as reader:
            yield hold

    def _read(self, group: int, turn: int) -> RowGroup | None:
        """Read a group into its slot, or into the next slot in turn; return None if it is in memory already."""
        if group in self._in_memory:
            return None
        slot = self._held[group] if group in self._held else len(self._held) + turn % self._turning
        first = slot * self._capacity
        part = slice(first, first + self._capacity)
        rows = self._counts.read_group(group, (self.indices[part], self.data[part]))
        return RowGroup(rows.begins + first, rows.ends + first, self.indices, self.data)


def counts_reader(
    counts: GroupedCounts, groups: list[NDArray[np.intp]], block_size: int
) -> ResidentCounts | BufferedCounts:
    """Return the buffer of these counts; the arguments are those of `BufferedCounts`."""
    return ResidentCounts(counts) if isinstance(counts, CSRGroups) else BufferedCounts(counts, groups, block_size)


def buffered_groups(sizes: list[int], block_size: int) -> int:
    """Return the number of groups of given sizes in memory: those that two blocks can need, and the next one.

    Examples
    --------
    >>> buffered_groups([4000] * 9, 256), buffered_groups([100] * 99, 256), buffered_groups([5], 256)
    (4, 9, 1)
    """
    inner = int(np.searchsorted(np.cumsum(np.sort(sizes)), 2 * block_size - 2, side="right"))
    return min(inner + 2 * DRAWN_GROUPS, len(sizes))
