"""Windows: their weights, columns and limits."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed.counts.windows import Windows


def test_weights_are_exact_fractions():
    before, after, denominator = Windows((8, 8), "harmonic").weights()
    assert denominator == 840
    assert_array_equal(before, 840 / np.arange(1, 9))
    assert_array_equal(before, after)
    before, after, denominator = Windows((2, 3)).weights()
    assert (before.tolist(), after.tolist(), denominator) == ([6, 3], [6, 4, 2], 6)


def test_more_columns_than_int32_can_number_are_rejected():
    assert Windows((2, 2), max_contexts=2**30 - 1, directed=True).columns(2**31) == 2**31 - 2
    with pytest.raises(ValueError, match=r"at most 2\^31 - 1 columns, got 2,147,483,648; lower max_contexts"):
        Windows((2, 2), max_contexts=2**30, directed=True).columns(2**31)
