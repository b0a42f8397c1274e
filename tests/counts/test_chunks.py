"""Chunks of ids, cut from a stream."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastembed.counts.external_sum
from fastembed import Counts
from fastembed._base.threads import Pool
from fastembed.counts.chunks import cut_chunks

streams = st.lists(st.lists(st.integers(-1, 4), max_size=9).map(lambda ids: np.array(ids, dtype=np.int32)), max_size=6)


@given(streams, st.integers(1, 7), st.integers(1, 4))
def test_chunks_hold_each_id_once_as_centre_with_all_its_context(stream, size, reach):
    whole = np.concatenate(([-1] * reach, *stream, [-1] * reach)).astype(np.int32)
    place = reach
    for chunk in cut_chunks(stream, size, reach, Pool(2)):
        assert chunk.ids[0] == chunk.ids[-1] == -1
        for t in range(chunk.first, chunk.last):
            assert chunk.ids[t] == whole[place]
            for d in (*range(-reach, 0), *range(1, reach + 1)):
                if 0 <= t + d < len(chunk.ids):
                    assert chunk.ids[t + d] == whole[place + d]
                else:
                    assert -1 in whole[min(place, place + d) : max(place, place + d) + 1]
            place += 1
    assert place == len(whole) - reach


@pytest.mark.parametrize(("tokens", "size"), [(50, 1), (50, 7), (30_000, 1000), (30_000, 29_999), (30_000, 40_000)])
@pytest.mark.parametrize("chosen", [{"window": 3}, {"window": (0, 2), "directed": True}, {"window": (7, 1)}])
def test_chunks_cut_anywhere_change_no_bit(zipf, set_constant, tokens, size, chosen, assert_same):
    corpus, vocabulary = zipf
    line = [token for line in corpus for token in line][:tokens]
    corpora = ([line], [line[: tokens // 3], [], line[tokens // 3 :]])
    whole = [Counts.from_corpus(corpus, vocabulary, **chosen) for corpus in corpora]
    set_constant(fastembed.counts.external_sum, "MAX_CHUNK_IDS", size)
    for corpus, expected in zip(corpora, whole, strict=True):
        assert_same(Counts.from_corpus(corpus, vocabulary, **chosen), expected)
