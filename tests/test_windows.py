"""What lies under Counts: the kernel against its twin, texts cut from a stream, runs merged in bounded memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed._kernels import cooccur
from fastembed.counts import encoding as _ids
from fastembed.counts.encoding import Text, texts
from fastembed.counts.external_sum import Rows, Sum, collect, merge
from fastembed.counts.windows import count_windows
from fastembed.reference import cooccurrence
from fastembed.windows import Windows

streams = st.lists(st.lists(st.integers(-1, 4), max_size=9).map(lambda ids: np.array(ids, dtype=np.int32)), max_size=6)


def test_weights_are_exact_fractions():
    before, after, denominator = Windows((8, 8), "harmonic").weights()
    assert denominator == 840
    assert_array_equal(before, 840 / np.arange(1, 9))
    assert_array_equal(before, after)
    before, after, denominator = Windows((2, 3)).weights()
    assert (before.tolist(), after.tolist(), denominator) == ([6, 3], [6, 4, 2], 6)


@given(streams, st.integers(0, 4), st.integers(0, 4), st.booleans(), st.integers(1, 5), st.data())
def test_windows_around_part_of_a_text(stream, before, after, directed, contexts, data):
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
    parts = [rows for rows, _ in count_windows(Text(ids, first, last), 5, windows, 2, 3)]
    run = collect(parts, windows.columns(5), 1 << 20)
    assert_array_equal(run.rows(0, 5).toarray(), expected)
    if (first, last) == (1, len(ids) - 1):
        assert_array_equal(expected, cooccurrence(ids, 5, [1] * before, [1] * after, contexts, windows.directed))


@given(streams, st.integers(1, 7), st.integers(1, 4))
def test_texts_hold_each_id_once_as_centre_with_all_its_context(stream, size, reach):
    whole = np.concatenate(([-1] * reach, *stream, [-1] * reach)).astype(np.int32)
    place = reach
    for text in texts(stream, size, reach):
        assert text.ids[0] == text.ids[-1] == -1
        for t in range(text.first, text.last):
            assert text.ids[t] == whole[place]
            for d in (*range(-reach, 0), *range(1, reach + 1)):
                if 0 <= t + d < len(text.ids):
                    assert text.ids[t + d] == whole[place + d]
                else:
                    assert -1 in whole[min(place, place + d) : max(place, place + d) + 1]
            place += 1
    assert place == len(whole) - reach


def matrices(count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        sparse.random_array(
            (40, 30), density=0.3, random_state=rng, data_sampler=lambda size: np.ceil(9 * rng.random(size))
        ).tocsr()
        for _ in range(count)
    ]


def rows_of(matrix, size):
    matrix = matrix.copy()
    matrix.sort_indices()
    for a in range(0, matrix.shape[0], size):
        part = matrix[a : a + size]
        yield Rows(np.diff(part.indptr).astype(np.int64), part.indices.astype(np.int32), part.data)


@pytest.mark.parametrize("limit", [0, 1000, 3000, 1 << 30])
def test_runs_are_the_same_in_memory_and_in_files(limit):
    found = matrices(5)
    runs = [collect(rows_of(matrix, 7), 30, limit) for matrix in found]
    assert {run.spilled for run in runs} == {limit < 12 * found[0].nnz}
    merged = merge(runs, limit, threads=2, entries=50)
    assert_array_equal(merged.rows(0, 40).toarray(), sum(found).toarray())
    assert_array_equal(merged.rows(3, 5).toarray(), sum(found).toarray()[3:5])
    assert merged.spilled == (limit < 12 * len(merged.data))


@pytest.mark.parametrize("memory_limit", [4, 40_000, 100_000, 1 << 30])
def test_sum_of_many_runs(memory_limit):
    total = Sum(30, memory_limit, 2)
    found = matrices(20)
    for matrix in found:
        total.add(rows_of(matrix, 6))
        assert sum(run.nbytes for run in total.held) <= max(total.share, 0)
    run = total.result()
    assert_array_equal(run.rows(0, 40).toarray(), sum(found).toarray())
    assert (np.diff(run.rows(0, 40).indices)[np.diff(np.repeat(np.arange(40), np.diff(run.indptr))) == 0] > 0).all()


def test_a_kernel_that_is_told_to_stop_leaves_the_rest_out():
    ids = np.array([-1, *[0, 1] * 50, -1], np.int32)
    starts, positions = np.empty(3, np.int64), np.empty(100, np.int32)
    cooccur.sort_positions(ids, 0, len(ids), starts, positions)
    lengths, columns, values = np.empty(2, np.int64), np.empty(4, np.int32), np.empty(4)
    scratch = np.zeros(2), np.zeros(1, np.uint64), np.zeros(1, np.uint64)
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


def test_columns_that_int32_cannot_number():
    assert Windows((2, 2), max_contexts=2**30 - 1, directed=True).columns(2**31) == 2**31 - 2
    with pytest.raises(ValueError, match=r"at most 2\^31 - 1 columns, got 2,147,483,648; lower max_contexts"):
        Windows((2, 2), max_contexts=2**30, directed=True).columns(2**31)


def test_short_sequences_are_joined(monkeypatch):
    monkeypatch.setattr(_ids, "BATCH", 4)
    sequences = [np.array(ids, np.int32) for ids in ([1, 2], [3], [], [4, 5, 6, 7], [8])]
    joined = [batch.tolist() for batch in _ids._batches(sequences)]
    assert joined == [[1, 2, -1, 3, -1], [-1, 4, 5, 6, 7, -1], [8, -1]]
