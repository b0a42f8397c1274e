"""The bytes of a group of rows on disk: one tile for each shard of the columns, one after another.

A tile has the entries of the group's rows in the columns of one shard, by rows, columns ascending. Its parts follow one
another, little-endian, and zeros fill it up to a multiple of 8 bytes:

    values    float32, or float64 where float32 would round one of them    (n,)
    columns   uint16, from the first column of the shard                   (n,)
    lengths   uint16, the number of entries of each row                    (R,)

So whoever works on some shards alone reads one run of bytes per group.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastembed._base.csr import row_ranges
from fastembed.trainer.groups import Memory, RowGroup

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

ALIGNMENT = 8
ENCODED_ENTRIES = 1 << 19  # entries that are encoded at a time


class Tiles(NamedTuple):
    """What is known of the tiles of a group, one for each of S shards.

    Attributes
    ----------
    entries : ndarray of int64 (S,)
    wide : ndarray of bool (S,)
        Whether values are float64.
    sha256 : ndarray of uint8 (S, 32)
        Of the bytes of each tile.
    """

    entries: Int64
    wide: npt.NDArray[np.bool_]
    sha256: Bytes

    def offsets(self, rows: int) -> Int64:
        """Return the offsets of the tiles of a group of `rows` rows, and the end of the last one, (S + 1,)."""
        sizes = self.entries * np.where(self.wide, 8 + 2, 4 + 2) + 2 * rows
        return np.concatenate([[0], np.cumsum(-(-sizes // ALIGNMENT) * ALIGNMENT)])


def encode_group(lengths: Int64, columns: Int32, values: Float, bounds: npt.NDArray[np.intp]) -> tuple[Bytes, Tiles]:
    """Return the bytes of the rows of a group, and what is to be known of them.

    Parameters
    ----------
    lengths : ndarray of int64 (R,)
        Number of entries of each row.
    columns, values : ndarray (n,)
        The rows one after another, columns ascending in each.
    bounds : ndarray of int (S + 1,)
        Of the shards.
    """
    shards, rows = len(bounds) - 1, len(lengths)
    shard_of_column = np.repeat(np.arange(shards, dtype=np.uint16), np.diff(bounds))
    of_row, wide = np.zeros((rows, shards), np.int64), np.zeros(shards, np.bool_)
    ends, ranges = np.cumsum(lengths), row_ranges(lengths, ENCODED_ENTRIES)
    for first, last in ranges:
        entries = slice(int(ends[first] - lengths[first]), int(ends[last - 1]))
        shard_of = shard_of_column[columns[entries]]
        cells = np.repeat(np.arange(last - first) * shards, lengths[first:last]) + shard_of
        of_row[first:last] = np.bincount(cells, minlength=(last - first) * shards).reshape(-1, shards)
        with np.errstate(over="ignore"):
            rounded = values[entries].astype(np.float32) != values[entries]
        wide[shard_of[rounded]] = True
    tiles = Tiles(of_row.sum(axis=0), wide, np.zeros((shards, 32), np.uint8))
    offsets = tiles.offsets(rows)
    data = np.zeros(offsets[-1], np.uint8)
    parts = [
        _parts(data[offsets[k] : offsets[k + 1]], int(tiles.entries[k]), rows, bool(wide[k])) for k in range(shards)
    ]
    filled = np.zeros(shards, np.int64)
    for first, last in ranges:
        begin, end = int(ends[first] - lengths[first]), int(ends[last - 1])
        order = np.argsort(shard_of_column[columns[begin:end]], kind="stable") + begin
        new = of_row[first:last].sum(axis=0)
        for k, own in enumerate(np.split(order, np.cumsum(new)[:-1])):
            place = slice(filled[k], filled[k] + new[k])
            parts[k][0][place] = values[own]
            parts[k][1][place] = columns[own] - bounds[k]
        filled += new
    for k, (_, _, lengths_of_tile) in enumerate(parts):
        lengths_of_tile[:] = of_row[:, k]
        tiles.sha256[k] = _sha256(data[offsets[k] : offsets[k + 1]])
    return data, tiles


def damaged_tile(data: Bytes, tiles: Tiles, rows: int) -> int | None:
    """Return the number of the first tile whose bytes are not those that were written; None if all are."""
    offsets = tiles.offsets(rows)
    for k, digest in enumerate(tiles.sha256):
        if len(data) < offsets[k + 1] or not np.array_equal(_sha256(data[offsets[k] : offsets[k + 1]]), digest):
            return k
    return None


def decode_group(
    data: Bytes, tiles: Tiles, rows: int, bounds: npt.NDArray[np.intp], memory: Memory | None = None
) -> RowGroup:
    """Return the rows of a group, one after another, in the given memory or in new arrays."""
    offsets, shards = tiles.offsets(rows), len(bounds) - 1
    parts = [
        _parts(data[offsets[k] : offsets[k + 1]], int(tiles.entries[k]), rows, bool(tiles.wide[k]))
        for k in range(shards)
    ]
    nnz = int(tiles.entries.sum())
    indices, values = (np.empty(nnz, np.int32), np.empty(nnz)) if memory is None else memory
    of_row = np.zeros(rows, np.int64)
    for _, _, lengths in parts:
        of_row += lengths
    ends = np.cumsum(of_row)
    places = ends - of_row  # of the next entry of each row
    begins = places.copy()
    for k, (amounts, columns, lengths) in enumerate(parts):
        many = lengths.astype(np.int64)
        to = np.repeat(places - (np.cumsum(many) - many), many)
        to += np.arange(len(to))
        indices[to] = columns + np.int32(bounds[k])
        values[to] = amounts
        places += many
    return RowGroup(begins, ends, indices, values)


def _parts(tile: Bytes, entries: int, rows: int, wide: bool) -> tuple[npt.NDArray[Any], ...]:
    """Return views of the values, columns and lengths of a tile."""
    dtype, item = ("<f8", 8) if wide else ("<f4", 4)
    a, b = item * entries, (item + 2) * entries
    return tile[:a].view(dtype), tile[a:b].view("<u2"), tile[b : b + 2 * rows].view("<u2")


def _sha256(tile: Bytes) -> Bytes:
    return np.frombuffer(hashlib.sha256(tile.data).digest(), np.uint8)
