"""The bytes of a group of rows on disk: one tile per shard of the columns, concatenated.

A tile has the entries of the group's rows in the columns of one shard, by rows, columns ascending. Its parts are
concatenated, little-endian, and padded with zeros to a multiple of 8 bytes:

    values    float32, or float64 where float32 would round one of them    (n,)
    columns   uint16, from the first column of the shard                   (n,)
    lengths   uint16, the number of entries of each row                    (R,)

So a reader of consecutive shards reads one range of bytes per group.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import fastembed._kernels.tiles as kernels
from fastembed.counts.groups import Memory, RowGroup

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

ALIGNMENT = 8


class Tiles(NamedTuple):
    """The sizes, formats and digests of the tiles of a group, one for each of S shards.

    Attributes
    ----------
    entries : ndarray of int64 (S,)
    wide : ndarray of bool (S,)
        Whether values are float64.
    sha256 : ndarray of uint8 (S, 32)
        The digest of the bytes of each tile.
    """

    entries: Int64
    wide: npt.NDArray[np.bool_]
    sha256: Bytes

    def offsets(self, rows: int) -> Int64:
        """Return the offsets of the tiles of a group of `rows` rows, and the end of the last one, (S + 1,)."""
        sizes = self.entries * np.where(self.wide, 8 + 2, 4 + 2) + 2 * rows
        return np.concatenate([[0], np.cumsum(-(-sizes // ALIGNMENT) * ALIGNMENT)])


def encode_group(lengths: Int64, columns: Int32, values: Float, bounds: npt.NDArray[np.intp]) -> tuple[Bytes, Tiles]:
    """Return the bytes of the rows of a group, and their `Tiles`.

    Parameters
    ----------
    lengths : ndarray of int64 (R,)
        Number of entries of each row.
    columns, values : ndarray (n,)
        The concatenated rows, with columns ascending in each.
    bounds : ndarray of int (S + 1,)
        The bounds of the shards.
    """
    shards, rows, ends = len(bounds) - 1, len(lengths), np.cumsum(lengths)
    of_tile, wide = np.empty((shards, rows), np.uint16), np.zeros(shards, np.bool_)
    places = ends - lengths
    kernels.measure_tiles(places, ends, columns, values, bounds.astype(np.int64), of_tile, wide.view(np.uint8))
    tiles = Tiles(of_tile.sum(axis=1, dtype=np.int64), wide, np.zeros((shards, 32), np.uint8))
    offsets = tiles.offsets(rows)
    data = np.zeros(offsets[-1], np.uint8)
    for k in range(shards):
        tile = data[offsets[k] : offsets[k + 1]]
        tile_values, tile_columns, tile_lengths = _parts(tile, int(tiles.entries[k]), rows, bool(wide[k]))
        tile_lengths[:] = of_tile[k]
        kernels.write_tile(places, of_tile[k], columns, values, int(bounds[k]), tile_values, tile_columns)
        tiles.sha256[k] = _sha256(tile)
    return data, tiles


def damaged_tile(data: Bytes, tiles: Tiles, rows: int) -> int | None:
    """Return the number of the first tile whose bytes do not match its digest; None if all match."""
    offsets = tiles.offsets(rows)
    for k, digest in enumerate(tiles.sha256):
        if len(data) < offsets[k + 1] or not np.array_equal(_sha256(data[offsets[k] : offsets[k + 1]]), digest):
            return k
    return None


def decode_group(
    data: Bytes, tiles: Tiles, rows: int, bounds: npt.NDArray[np.intp], memory: Memory | None = None
) -> RowGroup:
    """Return the concatenated rows of a group, in the given memory or in new arrays.

    Raises
    ------
    ValueError
        If the lengths in a tile are not those of its entries, or a column is not of its shard.
    """
    offsets, shards = tiles.offsets(rows), len(bounds) - 1
    parts = [
        _parts(data[offsets[k] : offsets[k + 1]], int(tiles.entries[k]), rows, bool(tiles.wide[k]))
        for k in range(shards)
    ]
    nnz = int(tiles.entries.sum())
    indices, values = (np.empty(nnz, np.int32), np.empty(nnz)) if memory is None else memory
    of_row = np.zeros(rows, np.int64)
    for k, (_, columns, lengths) in enumerate(parts):
        if lengths.sum(dtype=np.int64) != tiles.entries[k]:
            raise ValueError(f"a tile says that it has {tiles.entries[k]:,} entries, and lengths of {lengths.sum():,}")
        if len(columns) and columns.max() >= bounds[k + 1] - bounds[k]:
            wrong = bounds[k] + columns.max()
            raise ValueError(f"a tile of the columns {bounds[k]} to {bounds[k + 1] - 1} has one of {wrong}")
        of_row += lengths
    ends = np.cumsum(of_row)
    begins = ends - of_row
    places = begins.copy()
    for k, (tile_values, tile_columns, lengths) in enumerate(parts):
        kernels.read_tile(places, lengths, indices, values, int(bounds[k]), tile_values, tile_columns)
    return RowGroup(begins, ends, indices, values)


def _parts(tile: Bytes, entries: int, rows: int, wide: bool) -> tuple[npt.NDArray[Any], ...]:
    """Return views of the values, columns and lengths of a tile."""
    dtype, item = ("<f8", 8) if wide else ("<f4", 4)
    a, b = item * entries, (item + 2) * entries
    return tile[:a].view(dtype), tile[a:b].view("<u2"), tile[b : b + 2 * rows].view("<u2")


def _sha256(tile: Bytes) -> Bytes:
    return np.frombuffer(hashlib.sha256(tile.data).digest(), np.uint8)
