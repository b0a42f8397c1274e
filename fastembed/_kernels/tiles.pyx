"""Rows of counts <-> the tiles of a group: a tile has the entries of the group's rows in the columns of a shard.

The columns of a row ascend, so a tile has a contiguous range of its entries. The twin is `tiles_of` of
``tests/twins.py``.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t

from fastembed._kernels.primitives cimport lower_bound
from fastembed._kernels.tile cimport FLOAT32, UINT32, Tile, tile_at


cdef inline double value_of(const Tile* tile, int64_t t) noexcept nogil:
    if tile.kind == FLOAT32:
        return (<const float*>tile.values)[t]
    if tile.kind == UINT32:
        return (<const uint32_t*>tile.values)[t]
    return (<const double*>tile.values)[t]


cdef inline void set_value(const Tile* tile, int64_t t, double value) noexcept nogil:
    if tile.kind == FLOAT32:
        (<float*>tile.values)[t] = <float>value
    elif tile.kind == UINT32:
        (<uint32_t*>tile.values)[t] = <uint32_t>value
    else:
        (<double*>tile.values)[t] = value


cdef inline bint is_uint32(double value) noexcept nogil:
    return 0 <= value < 4294967296.0 and <double><uint32_t>value == value


def measure_rows(
    const int64_t[::1] begins, const int64_t[::1] ends, const int32_t[::1] columns, const double[::1] values,
    const int64_t[::1] bounds, int64_t[::1] entries, int64_t[::1] filled, uint8_t[:, ::1] inexact,
):
    """Add the sizes of the tiles of some rows.

    Parameters
    ----------
    begins, ends : int64 (R,)
        Row r has `columns`, ascending, and `values` from begins[r] to ends[r] - 1.
    columns : int32, values : float64
    bounds : int64 (S + 1,)
        The bounds of the shards, of at most 65,535 columns each.
    entries, filled : int64 (S,), increased
        The number of entries in each tile, and of rows that have some.
    inexact : uint8 (S, kinds), increased
        1 in the columns `FLOAT32` and `UINT32` if that dtype rounds a value of the tile.
    """
    cdef int64_t row, t, shard, first
    cdef bint by_float32, by_uint32
    with nogil:
        for row in range(begins.shape[0]):
            t, shard = begins[row], 0
            while t < ends[row]:
                while columns[t] >= bounds[shard + 1]:
                    shard += 1
                first, by_float32, by_uint32 = t, False, False
                while t < ends[row] and columns[t] < bounds[shard + 1]:
                    by_float32 |= <double><float>values[t] != values[t]
                    by_uint32 |= not is_uint32(values[t])
                    t += 1
                entries[shard] += t - first
                filled[shard] += 1
                inexact[shard, <int>FLOAT32] |= by_float32
                inexact[shard, <int>UINT32] |= by_uint32


def fill_tiles(
    const int64_t[::1] begins, const int64_t[::1] ends, const int32_t[::1] columns, const double[::1] values,
    const int64_t[::1] bounds, const int64_t[::1] offsets, const int64_t[::1] entries, const int64_t[::1] filled,
    const uint8_t[::1] kinds, int64_t[::1] written, int64_t[::1] written_rows, uint8_t[::1] data,
):
    """Write the rows of a group into its tiles, in memory.

    Parameters
    ----------
    begins, ends, columns, values, bounds, entries, filled, kinds
        As for `measure_rows`. `kinds` (S,) has the dtype of the values of each tile.
    offsets : int64 (S + 1,)
        Where each tile begins.
    written, written_rows : int64 (S,), increased
        How many entries and rows of each tile have been written; 0 on entry.
    data : uint8
        The tiles.
    """
    cdef int64_t row, t, shard, n
    cdef Tile tile
    with nogil:
        for row in range(begins.shape[0]):
            t, shard = begins[row], 0
            while t < ends[row]:
                while columns[t] >= bounds[shard + 1]:
                    shard += 1
                tile = tile_at(&data[offsets[shard]], entries[shard], filled[shard], kinds[shard])
                n = written[shard]
                while t < ends[row] and columns[t] < bounds[shard + 1]:
                    set_value(&tile, n, values[t])
                    (<uint16_t*>tile.columns)[n] = <uint16_t>(columns[t] - bounds[shard])
                    n += 1
                    t += 1
                written[shard] = n
                n = written_rows[shard]
                (<uint32_t*>tile.ends)[n] = <uint32_t>written[shard]
                (<uint16_t*>tile.rows)[n] = <uint16_t>row
                written_rows[shard] = n + 1


cdef inline bint is_whole(const Tile* tile, int64_t rows, int64_t columns) noexcept nogil:
    """Whether rows and ends ascend within their bounds, and the columns are of the shard."""
    cdef int64_t k, t, last = -1, end = 0
    cdef bint whole = True
    for k in range(tile.filled):
        whole &= last < tile.rows[k] < rows and end < tile.ends[k]
        last, end = tile.rows[k], tile.ends[k]
    for t in range(tile.entries):
        whole &= tile.columns[t] < columns
    return whole and end == tile.entries


def damaged_tile(
    const uint8_t[::1] data, const int64_t[::1] bounds, const int64_t[::1] offsets, const int64_t[::1] entries,
    const int64_t[::1] filled, const uint8_t[::1] kinds, int64_t rows,
) -> int:
    """Return the number of the first tile that cannot be of a group of `rows` rows, or -1."""
    cdef int64_t shard, damaged = -1
    cdef Tile tile
    with nogil:
        for shard in range(kinds.shape[0]):
            if not entries[shard]:
                continue
            tile = tile_at(&data[offsets[shard]], entries[shard], filled[shard], kinds[shard])
            if not is_whole(&tile, rows, bounds[shard + 1] - bounds[shard]):
                damaged = shard
                break
    return damaged


def row_lengths(
    const uint8_t[::1] data, const int64_t[::1] offsets, const int64_t[::1] entries, const int64_t[::1] filled,
    const uint8_t[::1] kinds, int64_t[::1] lengths,
):
    """Add the number of entries of each row (R,) of a group."""
    cdef int64_t shard, k, begin
    cdef Tile tile
    with nogil:
        for shard in range(kinds.shape[0]):
            if entries[shard]:
                tile = tile_at(&data[offsets[shard]], entries[shard], filled[shard], kinds[shard])
                begin = 0
                for k in range(tile.filled):
                    lengths[tile.rows[k]] += tile.ends[k] - begin
                    begin = tile.ends[k]


def read_rows(
    const uint8_t[::1] data, const int64_t[::1] bounds, const int64_t[::1] offsets, const int64_t[::1] entries,
    const int64_t[::1] filled, const uint8_t[::1] kinds, double denominator, const double[::1] row_factors,
    const double[::1] column_factors, int64_t first, int64_t last, int64_t[::1] places, int32_t[::1] columns,
    double[::1] values,
):
    """Write the rows at the places `first` to last - 1 of a group, multiplied by their factors.

    An expected count is value / denominator * row factor * column factor.

    Parameters
    ----------
    data, bounds, offsets, entries, filled, kinds
        The tiles of the group, as for `fill_tiles`.
    denominator : float
    row_factors : float64 (R,), column_factors : float64 (V,)
        The factors of all rows of the group, and of all columns.
    first, last : int
    places : int64 (last - first,), increased
        Where the first entry of each row is written, and then where it ends.
    columns : int32, values : float64, written
    """
    cdef int64_t shard, k, t, place, row, begin, column
    cdef double value
    cdef Tile tile
    with nogil:
        for shard in range(kinds.shape[0]):
            if not entries[shard]:
                continue
            tile = tile_at(&data[offsets[shard]], entries[shard], filled[shard], kinds[shard])
            k = lower_bound(tile.rows, 0, tile.filled, first)
            begin = tile.ends[k - 1] if k else 0
            while k < tile.filled and tile.rows[k] < last:
                row = tile.rows[k]
                place = places[row - first] - begin
                for t in range(begin, tile.ends[k]):
                    column = bounds[shard] + tile.columns[t]
                    value = value_of(&tile, t) / denominator
                    value = value * row_factors[row]
                    values[place + t] = value * column_factors[column]
                    columns[place + t] = <int32_t>column
                begin = tile.ends[k]
                places[row - first] = place + begin
                k += 1


def add_totals(
    const int64_t[::1] begins, const int64_t[::1] ends, const int32_t[::1] columns, const double[::1] values,
    double denominator, const double[::1] row_factors, const double[::1] column_factors, double[::1] row_totals,
    double[::1] column_totals,
):
    """Add rows of counts, multiplied by their factors as in `read_rows`, to sums of the rows and of the columns.

    Parameters
    ----------
    begins, ends, columns, values
        As for `measure_rows`.
    denominator, row_factors, column_factors
        As for `read_rows`; (R,) and (V,).
    row_totals : float64 (R,), column_totals : float64 (V,), increased
    """
    cdef int64_t row, t
    cdef double total, value
    with nogil:
        for row in range(begins.shape[0]):
            total = row_totals[row]
            for t in range(begins[row], ends[row]):
                value = values[t] / denominator
                value = value * row_factors[row]
                value = value * column_factors[columns[t]]
                total += value
                column_totals[columns[t]] += value
            row_totals[row] = total
