"""The largest of many values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed._base.arrays import largest, largest_of_rows


@pytest.mark.parametrize("count", [0, 1, 2, 7, 49, 50, 51])
def test_ties_are_in_the_order_of_places(count):
    values = np.random.default_rng(0).integers(0, 9, 50) / 8
    expected = sorted(range(50), key=lambda place: (-values[place], place))[:count]
    assert largest(values, count).tolist() == expected


@given(
    st.lists(st.lists(st.sampled_from([-np.inf, -2.5, -0.0, 0.0, 1e-40, 0.5, 3.0, np.inf]), min_size=6, max_size=6)),
    st.integers(1, 8),
)
def test_the_largest_of_rows_are_those_of_each(rows, count):
    values = np.array(rows, np.float32).reshape(-1, 6)
    found = largest_of_rows(values, count)
    assert found.shape == (len(values), min(count, 6))
    assert found.tolist() == [largest(row, count).tolist() for row in values]
