"""The layout of counts, in memory, in a folder and at a URL: tiles of a group of rows and a shard of columns.

The tiles of a group are concatenated, so that a reader of consecutive shards reads one range of bytes. A tile has the
entries of the group's rows in the columns of its shard, by rows, columns ascending. Its arrays are concatenated,
little-endian, and padded with zeros to a multiple of 8 bytes:

    values    float32, uint32 or float64: the first in which all are exact    (n,)
    ends      uint32, where the entries of each row end                       (m,)
    columns   uint16, from the first column of the shard                      (n,)
    rows      uint16, the indices in the group of the rows with entries        (m,)

The values are what was counted; factors make them expected counts when they are read (`Scale`). The counts of a
text are integers, and take 6 bytes each with their column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

import fastembed._kernels.tiles as kernels
from fastembed._base.arrays import Float64, Int32, Int64, sorted_csr
from fastembed.counts.groups import RowBatch, group_size, group_slice
from fastembed.counts.windows import Windows

Bytes = npt.NDArray[np.uint8]

ALIGNMENT = 8  # bytes of which the size of a tile is a multiple
ENTRY_SIZES = np.array([4 + 2, 4 + 2, 8 + 2])  # bytes of an entry by the kind of its tile
ROW_SIZE = 4 + 2  # bytes of a row with entries


class Rows(NamedTuple):
    """Rows of counts: row n has `indices`, ascending, and `data` from ``begins[n]`` to ``ends[n] - 1``."""

    begins: Int64
    ends: Int64
    indices: Int32
    data: Float64

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> Rows:
        """Return the rows of a canonical CSR array."""
        ends = matrix.indptr.astype(np.int64, copy=False)
        return cls(ends[:-1], ends[1:], matrix.indices.astype(np.int32, copy=False), matrix.data)

    def part(self, rows: slice) -> Rows:
        """Return some of the rows."""
        begins, ends = (np.ascontiguousarray(offsets[rows]) for offsets in self[:2])
        return Rows(begins, ends, self.indices, self.data)


class TileSizes(NamedTuple):
    """The sizes and formats of the tiles of a group; or of several groups, which are the first axis.

    Attributes
    ----------
    entries, filled : ndarray of int64 (S,)
        The number of entries in each shard, and of rows that have some.
    kinds : ndarray of uint8 (S,)
        The dtype of the values: 0 for float32, 1 for uint32, 2 for float64.
    """

    entries: Int64
    filled: Int64
    kinds: npt.NDArray[np.uint8]

    def part(self, tiles: Any) -> TileSizes:
        """Return the sizes of some of the tiles."""
        return TileSizes(*(np.ascontiguousarray(array[tiles]) for array in self))

    def offsets(self) -> Int64:
        """Return the offset of each tile in the bytes of its group, and the end of the last one, (S + 1,)."""
        sizes = self.entries * ENTRY_SIZES[self.kinds] + ROW_SIZE * self.filled
        ends = np.cumsum(-(-sizes // ALIGNMENT) * ALIGNMENT, axis=-1)
        return np.concatenate([np.zeros_like(ends[..., :1]), ends], axis=-1)


@dataclass(frozen=True)
class Scale:
    """The factors that turn unscaled counts (V_in, V) into expected counts: unscaled / denominator * row * column.

    Attributes
    ----------
    denominator : float
        The denominator of the weights of the windows.
    rows, columns : ndarray (V_in,), ndarray (V,)
        The factors of subsampling; 1 without it.
    """

    denominator: float
    rows: Float64
    columns: Float64

    @classmethod
    def none(cls, rows: int, columns: int) -> Scale:
        """Return factors of 1 for counts of this shape."""
        return cls(1.0, np.ones(rows), np.ones(columns))

    @classmethod
    def of(cls, windows: Windows | None, keep: Float64 | None, shape: tuple[int, int]) -> Scale:
        """Return the factors for counts in windows, with the factors `keep` (V_in,) of subsampling."""
        denominator = 1.0 if windows is None else float(windows.weights()[2])
        rows = np.ones(shape[0]) if keep is None else keep
        sides = 2 if windows is not None and windows.directed else 1
        return cls(denominator, rows, np.ones(shape[1]) if keep is None else np.tile(keep[: shape[1] // sides], sides))

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the counts."""
        return len(self.rows), len(self.columns)

    def part(self, group: int) -> Scale:
        """Return the factors of a group of rows and of all columns."""
        return Scale(self.denominator, self.rows[group_slice(group, len(self.rows))].copy(), self.columns)


def add_totals(group: Rows, scale: Scale, rows: Float64, columns: Float64) -> None:
    """Add the expected counts of a group of rows to the sums of its rows (R,) and of all columns (V,)."""
    kernels.add_totals(*group, scale.denominator, scale.rows, scale.columns, rows, columns)


def encode(group: Rows, bounds: npt.NDArray[np.intp]) -> tuple[TileSizes, Bytes]:
    """Return the sizes and the bytes of the tiles of a group of rows, between the bounds (S + 1,) of the shards."""
    shards, edges = len(bounds) - 1, bounds.astype(np.int64)
    entries, filled, inexact = np.zeros(shards, np.int64), np.zeros(shards, np.int64), np.zeros((shards, 3), np.uint8)
    kernels.measure_rows(*group, edges, entries, filled, inexact)
    sizes = TileSizes(entries, filled, np.argmin(inexact, axis=1).astype(np.uint8))  # the first dtype that is exact
    data = np.zeros(sizes.offsets()[-1], np.uint8)
    written, written_rows = np.zeros(shards, np.int64), np.zeros(shards, np.int64)
    kernels.fill_tiles(*group, edges, sizes.offsets(), *sizes, written, written_rows, data)
    return sizes, data


class TiledRows:
    """A group of rows in tiles, which are decoded in part or as a whole.

    Parameters
    ----------
    data : ndarray of uint8
        The bytes of the tiles.
    sizes : TileSizes
    bounds : ndarray of int (S + 1,)
        The bounds of the shards.
    scale : Scale
        The factors of the rows and of all columns.

    Attributes
    ----------
    lengths : ndarray of int64 (R,)
        The number of entries of each row.
    """

    def __init__(self, data: Bytes, sizes: TileSizes, bounds: npt.NDArray[np.intp], scale: Scale) -> None:
        self._data, self._bounds, self._scale = data, bounds.astype(np.int64), scale
        self._offsets_and_sizes = sizes.offsets(), *sizes
        self.lengths = np.zeros(len(scale.rows), np.int64)
        kernels.row_lengths(data, *self._offsets_and_sizes, self.lengths)

    def decoded(self, first: int = 0, last: int | None = None) -> Rows:
        """Return the expected counts of the rows `first` to last - 1, by default of all."""
        lengths = self.lengths[first:last]
        ends = np.cumsum(lengths)
        rows = Rows(ends - lengths, ends, np.empty(ends[-1], np.int32), np.empty(ends[-1]))
        self.decode_into(rows.begins.copy(), rows.indices, rows.data, first)
        return rows

    def decode_into(self, offsets: Int64, indices: Int32, values: Float64, first: int = 0) -> None:
        """Write the rows from `first` on, each to its offset in the arrays; the offsets become the ends of the rows."""
        factors, last = (self._scale.denominator, self._scale.rows, self._scale.columns), first + len(offsets)
        tiles = self._data, self._bounds, *self._offsets_and_sizes
        kernels.read_rows(*tiles, *factors, first, last, offsets, indices, values)

    def csr(self) -> sparse.csr_array:
        """Return the expected counts of all rows as a CSR array of all columns."""
        rows, shape = self.decoded(), (len(self.lengths), len(self._scale.columns))
        return sorted_csr(rows.data, rows.indices, np.append(0, rows.ends), shape)


def digests(data: Bytes, sizes: TileSizes) -> Bytes:
    """Return the SHA-256 of the bytes of each tile of a group, (S, 32)."""
    offsets = sizes.offsets().tolist()
    hashes = (hashlib.sha256(data[first:end].data).digest() for first, end in pairwise(offsets))
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)


def check_tiles(data: Bytes, sizes: TileSizes, sha256: Bytes, bounds: npt.NDArray[np.intp], rows: int) -> None:
    """Raise ValueError if bytes are not the tiles of a group of so many rows with these digests."""
    offsets = sizes.offsets()
    if len(data) != offsets[-1]:
        raise ValueError(f"it has {len(data):,} bytes, not {offsets[-1]:,}")
    same = (digests(data, sizes) == sha256).all(axis=1)
    damaged = int(np.argmin(same)) if not same.all() else -1
    if damaged < 0:
        damaged = kernels.damaged_tile(data, bounds.astype(np.int64), offsets, *sizes, rows)
    if damaged >= 0:
        columns = f"{bounds[damaged]} to {bounds[damaged + 1] - 1}"
        raise ValueError(f"the tile of the columns {columns} is not what was written")


def joined_groups(batches: Iterable[RowBatch], rows: int) -> Generator[Rows, None, None]:
    """Yield each group of rows, from batches of rows in the order of groups (see `group_places`).

    All groups use the same memory: fresh pages take longer than what is written to them.
    """
    indices, data = np.empty(0, np.int32), np.empty(0)
    group, filled, ends = 0, 0, np.zeros(group_size(0, rows) + 1, np.int64)  # row n of the group ends at ends[n + 1]
    for lengths, columns, values, release in batches:
        row, entry = 0, 0  # what is next in the batch
        while row < len(lengths):
            moved = lengths[row : row + len(ends) - 1 - filled]  # the lengths of as many rows as the group lacks
            begin = int(ends[filled])
            ends[filled + 1 : filled + 1 + len(moved)] = begin + np.cumsum(moved)
            row, filled = row + len(moved), filled + len(moved)
            end = int(ends[filled])
            if end > len(data):  # longer in place, where the system can
                indices.resize(end, refcheck=False)
                data.resize(end, refcheck=False)
            source = slice(entry, entry + end - begin)
            indices[begin:end], data[begin:end] = columns[source], values[source]
            entry = source.stop
            if filled == len(ends) - 1:
                yield Rows(ends[:-1], ends[1:], indices, data)
                group, filled = group + 1, 0
                ends = np.zeros(group_size(group, rows) + 1, np.int64)
        release()
