"""A tile: the counts of a group of rows in the columns of a shard, as counts/tiles.py describes its bytes."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum Kind:
    # The dtype of the values
    FLOAT32
    UINT32
    FLOAT64

ctypedef fused tile_value:
    float
    uint32_t
    double


cdef struct Tile:
    const uint8_t* values    # (entries,), of the kind
    const uint32_t* ends     # (filled,): where the entries of each row end
    const uint16_t* columns  # (entries,), from the first one of the shard, ascending in a row
    const uint16_t* rows     # (filled,): the places in the group of the rows with entries, ascending
    Py_ssize_t entries, filled
    uint8_t kind


cdef inline Py_ssize_t value_size(uint8_t kind) noexcept nogil:
    return sizeof(double) if kind == FLOAT64 else sizeof(float)


cdef inline Tile tile_at(const uint8_t* data, Py_ssize_t entries, Py_ssize_t filled, uint8_t kind) noexcept nogil:
    cdef Tile tile
    tile.entries, tile.filled, tile.kind = entries, filled, kind
    tile.values = data
    tile.ends = <const uint32_t*>(data + entries * value_size(kind))
    tile.columns = <const uint16_t*>(tile.ends + filled)
    tile.rows = tile.columns + entries
    return tile
