"""Rows of counts <-> tiles, which have the entries of all rows in the columns of one shard.

The columns of a row ascend, so a tile holds a contiguous range of its entries: tiles are written and read as one range
per row, and the position in each row advances from one tile to the next.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

from fastembed._kernels.types cimport real


def measure_tiles(
    const int64_t[::1] begins, const int64_t[::1] ends, const int32_t[::1] columns, const double[::1] values,
    const int64_t[::1] bounds, uint16_t[:, ::1] lengths, uint8_t[::1] wide,
):
    """Count the entries of each row in each shard, and find the shards where float32 would round a value.

    Parameters
    ----------
    begins, ends : int64 (R,)
        Row r has `columns`, ascending, and `values` from begins[r] to ends[r] - 1.
    columns : int32, values : float64
    bounds : int64 (S + 1,)
        The bounds of the shards, of at most 65,535 columns each.
    lengths : uint16 (S, R), written
    wide : uint8 (S,)
        Set to 1 if a value is not exact in float32.
    """
    cdef int64_t row, t, shard, first
    with nogil:
        for row in range(begins.shape[0]):
            t = begins[row]
            for shard in range(wide.shape[0]):
                first = t
                while t < ends[row] and columns[t] < bounds[shard + 1]:
                    wide[shard] |= <double><float>values[t] != values[t]
                    t += 1
                lengths[shard, row] = <uint16_t>(t - first)


def write_tile(
    int64_t[::1] places, const uint16_t[::1] lengths, const int32_t[::1] columns, const double[::1] values,
    int64_t first, real[::1] tile_values, uint16_t[::1] tile_columns,
):
    """Copy the next entries of all rows into a tile.

    Parameters
    ----------
    places : int64 (R,), increased
        The position of the next entry of each row.
    lengths : uint16 (R,)
        The number of entries of each row in the tile.
    columns : int32, values : float64
    first : int
        The first column of the shard.
    tile_values : real (n,), tile_columns : uint16 (n,), written
        n is the sum of the lengths.
    """
    cdef int64_t row, t, n = 0
    with nogil:
        for row in range(places.shape[0]):
            for t in range(places[row], places[row] + lengths[row]):
                tile_values[n] = <real>values[t]
                tile_columns[n] = <uint16_t>(columns[t] - first)
                n += 1
            places[row] += lengths[row]


def read_tile(
    int64_t[::1] places, const uint16_t[::1] lengths, int32_t[::1] columns, double[::1] values, int64_t first,
    const real[::1] tile_values, const uint16_t[::1] tile_columns,
):
    """Copy a tile to the next positions of all rows; the inverse of `write_tile`."""
    cdef int64_t row, t, n = 0
    with nogil:
        for row in range(places.shape[0]):
            for t in range(places[row], places[row] + lengths[row]):
                values[t] = tile_values[n]
                columns[t] = <int32_t>(first + tile_columns[n])
                n += 1
            places[row] += lengths[row]
