"""Counts in groups of rows, which are the unit of reading from disk and of the order of an epoch.

An epoch visits two groups at a time, so that few of them need to be in memory. Sums over rows are also computed group
by group, so that they have the same bits for counts in memory and on disk.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastembed._base.sizes import SIZES

if TYPE_CHECKING:
    from fastembed.trainer.totals import Totals

Int64 = NDArray[np.int64]
Memory = tuple[NDArray[np.int32], NDArray[np.float64]]  # for `indices` and `data` of a group

DRAWN_GROUPS = 2  # groups whose rows are shuffled together (docs/decisions.md)


def group_count(rows: int) -> int:
    """Return G, the number of groups for a number of rows."""
    return -(-rows // SIZES.group_rows)


def group_slice(group: int, rows: int) -> slice:
    """Return the rows of a group: those whose number is `group` modulo G.

    The rows of a vocabulary are in the order of decreasing frequency, so every group is like the whole.

    Examples
    --------
    >>> list(range(10_000))[group_slice(1, 10_000)][:4]
    [1, 4, 7, 10]
    """
    return slice(group, rows, group_count(rows))


def group_places(rows: int) -> Int64:
    """Return the index of each row in the order of groups, (V_in,).

    Examples
    --------
    >>> places = group_places(10_000)
    >>> places[[0, 3, 6]].tolist(), int(places[1])  # of group 0, which has 3,334 rows; the first of group 1
    ([0, 1, 2], 3334)
    """
    places = np.empty(rows, np.int64)
    places[np.concatenate([np.arange(rows)[group_slice(group, rows)] for group in range(group_count(rows))])] = (
        np.arange(rows)
    )
    return places


def split_rows(present: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the ids of the present rows of each group; `present` has the shape (V_in,).

    Examples
    --------
    >>> split_rows(np.array([True, False, True]))
    [array([0, 2])]
    """
    rows = len(present)
    ids = np.arange(rows)
    return [ids[part][present[part]] for part in (group_slice(group, rows) for group in range(group_count(rows)))]


class Draw(NamedTuple):
    """A few groups, and the order in which an epoch visits their rows before it takes other groups."""

    groups: tuple[int, ...]
    rows: NDArray[np.intp]


def draw_order(groups: list[NDArray[np.intp]], rng: np.random.Generator) -> list[Draw]:
    """Return a random order of the rows: groups are shuffled, then the rows of a few groups at a time.

    Examples
    --------
    >>> order = draw_order([np.array([0, 3]), np.array([1, 4]), np.array([2, 5])], np.random.default_rng(0))
    >>> [len(draw.rows) for draw in order]
    [4, 2]
    """
    order = [group for group in rng.permutation(len(groups)).tolist() if len(groups[group])]
    taken = [tuple(order[first : first + DRAWN_GROUPS]) for first in range(0, len(order), DRAWN_GROUPS)]
    return [Draw(some, rng.permutation(np.concatenate([groups[group] for group in some]))) for some in taken]


def plain_order(groups: list[NDArray[np.intp]]) -> list[Draw]:
    """Return the rows group by group, in ascending order."""
    return [Draw((group,), rows) for group, rows in enumerate(groups) if len(rows)]


class RowGroup(NamedTuple):
    """The rows of a group: row n has `indices`, ascending, and `data` from ``begins[n]`` to ``ends[n] - 1``."""

    begins: Int64
    ends: Int64
    indices: NDArray[np.int32]
    data: NDArray[np.float64]

    def taken(self, rows: Any) -> RowGroup:
        """Return some of the rows, without copying their entries."""
        return RowGroup(self.begins[rows], self.ends[rows], self.indices, self.data)


class GroupedCounts(Protocol):
    """Counts (V_in, V), in memory or on disk, which are read group by group."""

    @property
    def shape(self) -> tuple[int, int]:
        """(V_in, V)."""

    @property
    def entries(self) -> Int64:
        """The number of stored counts of each group, (G,)."""

    @property
    def totals(self) -> Totals | None:
        """The sums of rows and columns, if they are known."""

    @property
    def buffer_memory(self) -> int:
        """The bytes of the buffer in which a fit holds groups; it always holds at least a few."""

    def read_group(self, group: int, memory: Memory | None = None) -> RowGroup:
        """Return the rows of a group, in the given memory unless they are in memory already; thread-safe."""

    def sha256(self) -> str:
        """Return the `CountsDigest` of all groups."""

    def of_shards(self, shards: slice) -> GroupedCounts:
        """Return the same counts restricted to consecutive shards of the columns."""


class CSRGroups:
    """A canonical CSR array in groups of rows, without copies.

    Parameters
    ----------
    matrix : csr_array (V_in, V)
        float64, canonical.
    """

    totals: Totals | None = None
    buffer_memory = 0  # all are in memory

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        self.shape: tuple[int, int] = matrix.shape
        self.indptr: Int64 = matrix.indptr.astype(np.int64, copy=False)
        self.indices: NDArray[np.int32] = matrix.indices.astype(np.int32, copy=False)
        self.data: NDArray[np.float64] = matrix.data

    def own(self) -> CSRGroups:
        """Return the same counts in memory without other references."""
        writable = self.indices.flags.writeable or self.data.flags.writeable
        return CSRGroups(self.matrix.copy()) if writable else self

    @property
    def entries(self) -> Int64:
        """The number of stored counts of each group, (G,)."""
        lengths = np.diff(self.indptr)
        slices = (group_slice(group, self.shape[0]) for group in range(group_count(self.shape[0])))
        return np.array([lengths[part].sum() for part in slices], np.int64)

    def read_group(self, group: int, memory: Memory | None = None) -> RowGroup:
        """Return the rows of a group, in the memory of the array."""
        part = group_slice(group, self.shape[0])
        ends = np.ascontiguousarray(self.indptr[1:][part])
        return RowGroup(np.ascontiguousarray(self.indptr[:-1][part]), ends, self.indices, self.data)

    def sha256(self) -> str:
        """Return the digest of all groups."""
        digest = CountsDigest(self.shape)
        for group in range(group_count(self.shape[0])):
            digest.add(self.read_group(group))
        return digest.hexdigest()

    def of_shards(self, shards: slice) -> CSRGroups:
        """Return these counts unchanged: all are in memory."""
        return self


class CountsDigest:
    """The SHA-256 of counts: of their shape and, group by group, of `indptr`, `indices` and `data`.

    `shape` and `indptr` are int64, `indices` int32 and `data` float64, all little-endian and concatenated.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> CSRGroups(csr_array([[0.0, 1.0], [1.0, 0.0]])).sha256()[:16]
    '8ebcdd3a69549ae5'
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._digest = hashlib.sha256(np.array(shape, "<i8").data)

    def add(self, group: RowGroup) -> None:
        """Add the next group."""
        places = list(zip(group.begins.tolist(), group.ends.tolist(), strict=True))
        self._digest.update(np.concatenate([[0], np.cumsum(group.ends - group.begins)]).astype("<i8").data)
        for array, dtype in ((group.indices, "<i4"), (group.data, "<f8")):
            for begin, end in _joined(places):
                self._digest.update(np.ascontiguousarray(array[begin:end], dtype=dtype).data)

    def hexdigest(self) -> str:
        """Return the digest in hexadecimal digits."""
        return self._digest.hexdigest()


def _joined(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges of entries, with adjacent ranges merged."""
    joined = places[:1]
    for begin, end in places[1:]:
        if begin == joined[-1][1]:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((begin, end))
    return joined


def as_groups(counts: Any) -> GroupedCounts:
    """Return counts in groups of rows: those of a canonical CSR array, or grouped counts unchanged."""
    groups: GroupedCounts = counts if hasattr(counts, "read_group") else CSRGroups(counts)
    return groups
