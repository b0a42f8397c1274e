"""Vectors and threads: the same bits from many threads at once."""

from functools import partial

import numpy as np

from fastembed import Vectors

CALLERS = 8


def test_one_vectors_gives_many_threads_the_same_bits(asked, in_threads):
    """From the first query on, which prepares data for later queries."""
    matrix = np.random.default_rng(0).standard_normal((2000, 30), dtype=np.float32)
    vectors, twin = (Vectors([f"w{i}" for i in range(2000)], matrix) for _ in range(2))
    expected = asked(twin)
    assert in_threads(*[partial(asked, vectors)] * CALLERS) == [expected] * CALLERS
