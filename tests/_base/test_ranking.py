"""The largest of many values."""

import numpy as np
import pytest

from fastembed._base.ranking import largest


@pytest.mark.parametrize("count", [0, 1, 2, 7, 49, 50, 51])
def test_ties_are_in_the_order_of_places(count):
    values = np.random.default_rng(0).integers(0, 9, 50) / 8
    expected = sorted(range(50), key=lambda place: (-values[place], place))[:count]
    assert largest(values, count).tolist() == expected
