"""The kernel that counts windows; the counts of windows compare it with the reference."""

import numpy as np

from fastembed._kernels import cooccur


def test_a_kernel_that_is_told_to_stop_leaves_the_rest_out():
    ids = np.array([-1, *[0, 1] * 50, -1], np.int32)
    starts, positions, places = np.array([0, 50, 100]), np.empty(100, np.int32), np.array([0, 50], np.int32)
    cooccur.gather_positions(ids, 0, len(ids), places, positions)
    lengths, columns, values = np.empty(2, np.int64), np.empty(4, np.int32), np.empty(4)
    scratch = np.zeros(2), np.empty(3, np.int32), np.zeros(1, np.uint64), np.zeros(1, np.uint64)
    weights = np.ones(1)
    written = [
        cooccur.count_rows(
            ids, starts, positions, 0, 2, weights, weights, 2, False, *scratch, lengths, columns, values,
            np.array([stop], np.int32),
        )
        for stop in (0, 1)
    ]  # fmt: skip
    assert written == [2, 0]
    assert lengths.tolist() == [0, 0]
