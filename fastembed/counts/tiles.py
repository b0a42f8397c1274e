"""The layout of counts, in memory, in a folder and at a URL: tiles of a group of rows and a shard of columns.

The tiles of a group are concatenated, so that a reader of consecutive shards reads one range of bytes. A tile has the
entries of the group's rows in the columns of its shard, by rows, columns ascending. Its parts are concatenated,
little-endian, and padded with zeros to a multiple of 8 bytes:

    values    float32, or float64 where float32 would round one of them    (n,)
    ends      uint32, where the entries of each row end                    (m,)
    columns   uint16, from the first column of the shard                   (n,)
    rows      uint16, the places in the group of the rows with entries     (m,)

The values are what was counted; factors make them expected counts when they are read (`Scale`). In float32 most counts
of a text are exact, which makes them 6 bytes each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import fastembed._kernels.tiles as kernels
from fastembed._base.arrays import Float64, Int32, Int64
from fastembed.counts.groups import RowBatch, group_count, group_size
from fastembed.counts.windows import Scale

Bytes = npt.NDArray[np.uint8]

ALIGNMENT = 8  # bytes of which the size of a tile is a multiple


class RowGroup(NamedTuple):
    """Rows of counts: row n has `indices`, ascending, and `data` from ``begins[n]`` to ``ends[n] - 1``."""

    begins: Int64
    ends: Int64
    indices: Int32
    data: Float64

    def taken(self, rows: Any) -> RowGroup:
        """Return some of the rows, without copying their entries."""
        return RowGroup(self.begins[rows], self.ends[rows], self.indices, self.data)


class Tiles(NamedTuple):
    """The sizes and formats of the tiles of a group; or of several groups, which are the first axis.

    Attributes
    ----------
    entries, filled : ndarray of int64 (S,)
        The number of entries in each shard, and of rows that have some.
    wide : ndarray of bool (S,)
        Whether values are float64.
    """

    entries: Int64
    filled: Int64
    wide: npt.NDArray[np.bool_]

    def part(self, place: Any) -> Tiles:
        """Return some of the tiles."""
        return Tiles(*(np.ascontiguousarray(array[place]) for array in self))

    def offsets(self) -> Int64:
        """Return the offset of each tile in the bytes of its group, and the end of the last one, (S + 1,)."""
        sizes = self.entries * np.where(self.wide, 8 + 2, 4 + 2) + (4 + 2) * self.filled
        ends = np.cumsum(-(-sizes // ALIGNMENT) * ALIGNMENT, axis=-1)
        return np.concatenate([np.zeros_like(ends[..., :1]), ends], axis=-1)


class EncodedGroup(NamedTuple):
    """The tiles of a group of rows, and the sums of its rows and columns.

    Attributes
    ----------
    tiles : Tiles
    data : ndarray of uint8
    rows, columns : ndarray (R,), ndarray (V,)
        Sums of expected counts.
    """

    tiles: Tiles
    data: Bytes
    rows: Float64
    columns: Float64

    @classmethod
    def of(cls, pieces: list[RowGroup], bounds: npt.NDArray[np.intp], scale: Scale) -> EncodedGroup:
        """Return the group whose rows are those of the pieces, with the factors of its rows and all columns."""
        rows, columns, first = np.zeros(len(scale.rows)), np.zeros(len(scale.columns)), 0
        for piece in pieces:
            part = slice(first, first + len(piece.ends))
            add_totals(piece, scale.part(part), rows[part], columns)
            first = part.stop
        return cls(*encode(pieces, bounds), rows, columns)


def add_totals(part: RowGroup, scale: Scale, rows: Float64, columns: Float64) -> None:
    """Add the expected counts of rows to the sums of these rows (R,) and of all columns (V,)."""
    kernels.add_totals(*part, scale.denominator, scale.rows, scale.columns, rows, columns)


def encode(pieces: list[RowGroup], bounds: npt.NDArray[np.intp]) -> tuple[Tiles, Bytes]:
    """Return the tiles of a group of rows, some in each piece, between the bounds (S + 1,) of the shards."""
    shards, edges, place = len(bounds) - 1, bounds.astype(np.int64), 0
    tiles = Tiles(np.zeros(shards, np.int64), np.zeros(shards, np.int64), np.zeros(shards, np.bool_))
    entries, filled, wide = *tiles[:2], tiles.wide.view(np.uint8)
    for piece in pieces:
        kernels.measure_rows(*piece, edges, entries, filled, wide)
    offsets = tiles.offsets()
    data, written, rows = np.zeros(offsets[-1], np.uint8), np.zeros(shards, np.int64), np.zeros(shards, np.int64)
    for piece in pieces:
        kernels.write_rows(*piece, edges, place, offsets, entries, filled, wide, written, rows, data)
        place += len(piece.ends)
    return tiles, data


def decode(data: Bytes, tiles: Tiles, bounds: npt.NDArray[np.intp], scale: Scale) -> RowGroup:
    """Return the expected counts of a group of rows, given the factors of its rows and of all columns."""
    lengths = np.zeros(len(scale.rows), np.int64)
    add_lengths(data, tiles, lengths)
    places = np.cumsum(lengths) - lengths
    rows = RowGroup(places, places + lengths, np.empty(lengths.sum(), np.int32), np.empty(lengths.sum()))
    decode_into(data, tiles, bounds, scale, places.copy(), rows.indices, rows.data)
    return rows


def add_lengths(data: Bytes, tiles: Tiles, lengths: Int64) -> None:
    """Add the number of entries of each row of a group, (R,)."""
    kernels.row_lengths(data, tiles.offsets(), *tiles[:2], tiles.wide.view(np.uint8), lengths)


def decode_into(
    data: Bytes,
    tiles: Tiles,
    bounds: npt.NDArray[np.intp],
    scale: Scale,
    places: Int64,
    indices: Int32,
    values: Float64,
) -> None:
    """Write the rows of `decode` from the places (R,) on, which become the places behind them."""
    sizes = tiles.offsets(), *tiles[:2], tiles.wide.view(np.uint8)
    factors = scale.denominator, scale.rows, scale.columns
    kernels.read_rows(data, bounds.astype(np.int64), *sizes, *factors, places, indices, values)


def digests(data: Bytes, tiles: Tiles) -> Bytes:
    """Return the SHA-256 of the bytes of each tile of a group, (S, 32)."""
    offsets = tiles.offsets().tolist()
    hashes = (hashlib.sha256(data[first:end].data).digest() for first, end in pairwise(offsets))
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)


def check_tiles(data: Bytes, tiles: Tiles, sha256: Bytes, bounds: npt.NDArray[np.intp], rows: int) -> None:
    """Raise ValueError if bytes are not the tiles of a group of so many rows with these digests."""
    offsets = tiles.offsets()
    if len(data) != offsets[-1]:
        raise ValueError(f"it has {len(data):,} bytes, not {offsets[-1]:,}")
    same = (digests(data, tiles) == sha256).all(axis=1)
    damaged = int(np.argmin(same)) if not same.all() else -1
    if damaged < 0:
        sizes = offsets, *tiles[:2], tiles.wide.view(np.uint8)
        damaged = kernels.damaged_tile(data, bounds.astype(np.int64), *sizes, rows)
    if damaged >= 0:
        columns = f"{bounds[damaged]} to {bounds[damaged + 1] - 1}"
        raise ValueError(f"the tile of the columns {columns} is not what was written")


def joined_groups(batches: Iterable[RowBatch], rows: int) -> Generator[list[RowGroup], None, None]:
    """Yield the rows group by group, in some pieces each, from batches of rows in that order (see `group_places`)."""
    sizes = iter(group_size(group, rows) for group in range(group_count(rows)))
    pieces, missing = list[RowGroup](), next(sizes)
    for lengths, columns, values, release in batches:
        first, begin = 0, 0
        while first < len(lengths):
            ends = np.cumsum(lengths[first : first + missing])
            part = slice(begin, begin + int(ends[-1]))
            pieces.append(RowGroup(np.append(0, ends[:-1]), ends, columns[part].copy(), values[part].copy()))
            first, begin, missing = first + len(ends), part.stop, missing - len(ends)
            if not missing:
                yield pieces
                pieces, missing = [], next(sizes, 0)
        release()
