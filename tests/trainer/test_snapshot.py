"""Copies of parameters to go back to."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed._base.threads import Pool
from fastembed.trainer.parameters import Snapshot


@pytest.fixture
def arrays(sizes):
    """Return arrays that are copied and checked in several pieces."""
    sizes.copied_bytes = 100
    rng = np.random.default_rng(0)
    return {"first": rng.normal(size=(50, 7)).astype("float32"), "second": rng.normal(size=1001)}


@pytest.mark.parametrize("threads", [1, 3])
def test_restore_puts_back_what_was_taken(arrays, threads):
    snapshot = Snapshot(arrays, Pool(threads))
    for _ in range(2):
        kept = {name: array.copy() for name, array in arrays.items()}
        snapshot.take()
        for array in arrays.values():
            array += 1
        snapshot.restore()
        for name, array in arrays.items():
            assert_array_equal(array, kept[name])
            array *= 2


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_fault_is_named(arrays, threads):
    snapshot = Snapshot(arrays, Pool(threads))
    assert snapshot.fault() is None
    arrays["second"][[3, 900]] = np.nan
    assert snapshot.fault() == "second[3] is nan"
    arrays["first"][49, 6] = -np.inf
    assert snapshot.fault() == "first[49, 6] is -inf"
    arrays["first"][20, 5:] = np.nan
    assert snapshot.fault() == "first[20, 5] is nan"
