"""The sums of rows and columns."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fastembed._base.threads import Pool
from fastembed.counts.groups import Totals


@pytest.mark.parametrize(("shape", "density"), [((1, 1), 1.0), ((300, 40), 0.4), ((50, 4000), 0.01), ((7, 5), 0.0)])
def test_they_are_the_sums_on_any_number_of_threads(shape, density):
    counts = sparse.random_array(shape, density=density, random_state=np.random.default_rng(0), format="csr")
    first, *others = (Totals.of(counts, Pool(threads)) for threads in (1, 2, 5))
    assert_allclose(first.rows, counts.sum(axis=1), rtol=1e-14)
    assert_allclose(first.columns, counts.sum(axis=0), rtol=1e-14)
    for other in others:
        assert_array_equal(other.rows, first.rows)
        assert_array_equal(other.columns, first.columns)
