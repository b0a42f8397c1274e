"""The counting of windows: the kernel against the reference."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fastembed._base.threads import Pool
from fastembed.counts.chunks import Chunk
from fastembed.counts.stored_csr import store_rows
from fastembed.counts.windows import Windows, count_windows
from twins import cooccurrence

streams = st.lists(st.lists(st.integers(-1, 4), max_size=9).map(lambda ids: np.array(ids, dtype=np.int32)), max_size=6)


@given(streams, st.integers(0, 4), st.integers(0, 4), st.booleans(), st.integers(1, 5), st.data())
def test_windows_are_counted_around_the_centres_of_a_chunk_only(stream, before, after, directed, contexts, data):
    """The kernel counts around ids[first:last] only: the twin's counts of the text without those of the rest."""
    if not before + after:
        return
    ids = np.concatenate(([-1], *stream, [-1])).astype(np.int32)
    first = data.draw(st.integers(1, len(ids) - 1))
    last = data.draw(st.integers(first, len(ids) - 1))
    windows = Windows((before, after), "flat", directed=directed, max_contexts=contexts)
    expected = np.zeros((5, windows.columns(5)))
    for t in range(first, last):
        if ids[t] >= 0:
            for side, shift in ((-1, 0), (1, contexts if windows.directed else 0)):
                for d in range(1, (before if side < 0 else after) + 1):
                    c = ids[t + side * d]
                    if c < 0:
                        break
                    if c < contexts:
                        expected[ids[t], c + shift] += 1
    parts = [rows for rows, _ in count_windows(Chunk(ids, first, last), 5, windows, Pool(2), 3)]
    matrix = store_rows(parts, windows.columns(5), 50, 1 << 20, 2)
    assert_array_equal(matrix.rows(0, 5).toarray(), expected)
    if (first, last) == (1, len(ids) - 1):
        assert_array_equal(expected, cooccurrence(ids, 5, [1] * before, [1] * after, contexts, windows.directed))
