"""The kernels of tiles, against the reference and values by hand."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
from fastembed._kernels import tiles

VALUES = [1.0, 0.1, 2.0**24 + 1, 1e300, np.inf, -0.0, 5e-324]
BOUNDS = np.array([0, 4, 5, 11])


def rows_of(dense):
    """Return begins, ends, columns and values of the entries of a matrix, with others before, between and after."""
    begins, ends, columns, values = [], [], [7], [np.nan]
    for row in dense:
        begins.append(len(columns))
        columns += np.flatnonzero(row).tolist()
        values += row[row != 0].tolist()
        ends.append(len(columns))
        columns.append(3)
        values.append(np.nan)
    return np.array(begins), np.array(ends), np.array(columns, np.int32), np.array(values)


@pytest.fixture
def dense():
    rng = np.random.default_rng(0)
    matrix = np.ceil(rng.random((6, 11)) * 9) * (rng.random((6, 11)) < 0.5)
    matrix[2] = 0
    return matrix


def measured(begins, ends, columns, values, bounds):
    lengths, wide = np.full((len(bounds) - 1, len(begins)), 9, np.uint16), np.zeros(len(bounds) - 1, np.uint8)
    tiles.measure_tiles(begins, ends, columns, values, bounds, lengths, wide)
    return lengths, wide


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiles_are_those_of_the_reference_and_go_back_to_the_rows(dense, dtype):
    begins, ends, columns, values = rows_of(dense)
    lengths, wide = measured(begins, ends, columns, values, BOUNDS)
    assert not wide.any()
    places, back = begins.copy(), begins.copy()
    found_columns, found_values = np.full_like(columns, 3), np.full_like(values, np.nan)
    found_columns[0] = 7
    for k, (first, last) in enumerate(pairwise(BOUNDS)):
        expected = twins.tile(dense, first, last)
        size = int(lengths[k].sum())
        tile_values, tile_columns = np.empty(size, dtype), np.empty(size, np.uint16)
        tiles.write_tile(places, lengths[k], columns, values, first, tile_values, tile_columns)
        for found, right in zip((tile_values, tile_columns, lengths[k]), expected, strict=True):
            assert_array_equal(found, right)
        tiles.read_tile(back, lengths[k], found_columns, found_values, first, tile_values, tile_columns)
    assert_array_equal(places, ends)
    assert_array_equal(back, ends)
    assert_array_equal(found_columns, columns)
    assert_array_equal(found_values, values)


def test_values_that_float32_would_round_are_found():
    lengths, wide = [], []
    for value in VALUES:
        arguments = np.array([0]), np.array([2]), np.array([1, 4], np.int32), np.array([1.0, value])
        of_tile, rounded = measured(*arguments, BOUNDS)
        lengths.append(of_tile.ravel().tolist())
        wide.append(rounded.tolist())
    assert lengths == [[1, 1, 0]] * len(VALUES)
    assert wide == [[0, int(value in (0.1, 2.0**24 + 1, 1e300, 5e-324)), 0] for value in VALUES]
    assert measured(*arguments[:3], np.array([1.0, np.nan]), BOUNDS)[1].tolist() == [0, 1, 0]


def test_rows_without_entries_give_empty_tiles():
    nothing = np.zeros(3, np.int64)
    lengths, wide = measured(nothing, nothing, np.empty(0, np.int32), np.empty(0), BOUNDS)
    assert (lengths.sum(), wide.sum()) == (0, 0)
    tiles.write_tile(nothing, lengths[0], np.empty(0, np.int32), np.empty(0), 0, np.empty(0), np.empty(0, np.uint16))
    assert nothing.tolist() == [0, 0, 0]
