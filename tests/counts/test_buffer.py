"""Training on counts whose groups are read meanwhile: the same bits as on counts in memory."""

from threading import Event

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Trainer
from fastembed.counts.groups import (
    BufferedCounts,
    CSRGroups,
    RowGroup,
    buffered_groups,
    draw_order,
    group_count,
    plain_order,
    split_rows,
)


class Read:
    """Counts whose groups are copied into the given memory, as if they were read."""

    totals = None

    def __init__(self, matrix, fault=None, buffer_memory=0):
        self._groups, self.shape, self.entries = CSRGroups(matrix), matrix.shape, CSRGroups(matrix).entries
        self.read, self.fault, self.buffer_memory = [], fault, buffer_memory

    def read_group(self, group, memory=None):
        if memory is not None:
            if group == self.fault:
                raise OSError("the disk is gone")
            self.read.append(group)
        begins, ends, indices, data = self._groups.read_group(group)
        rows = [slice(begin, end) for begin, end in zip(begins, ends, strict=True)]
        lengths = np.cumsum(ends - begins)
        new = np.empty(lengths[-1], np.int32), np.empty(lengths[-1])
        to = memory or new
        to[0][: lengths[-1]] = np.concatenate([indices[row] for row in rows])
        to[1][: lengths[-1]] = np.concatenate([data[row] for row in rows])
        return RowGroup(lengths - (ends - begins), lengths, *to)

    def sha256(self):
        return self._groups.sha256()


def make_counts(rows, columns=30, empty=0.3):
    rng = np.random.default_rng(0)
    counts = sparse.random_array((rows, columns), density=0.4, random_state=rng, format="csr")
    counts.data = np.ceil(counts.data * 9)
    keep = (rng.random(rows) > empty).astype(float)
    keep[0] = 1
    counts = sparse.csr_array(sparse.diags_array(keep) @ counts)
    counts.eliminate_zeros()
    return counts


@pytest.mark.parametrize("block_size", [1, 7, 40, 1000])
@pytest.mark.parametrize("rows", [3, 16, 17, 32, 33, 100, 150])
def test_a_fit_has_the_same_bits_as_in_memory(sizes, rows, block_size):
    sizes.group_rows = 16
    counts = make_counts(rows)
    fits = [Trainer.random(rows, 4, output_size=30, seed=0, threads=threads) for threads in (2, 2, 1)]
    validation = make_counts(rows, empty=0.8)
    reads = Read(counts), Read(validation)
    histories = []
    for trainer, (given, held_out) in zip(fits, [(counts, validation), reads, reads], strict=True):
        history = trainer.fit_counts(given, epochs=3, block_size=block_size, validation_counts=held_out, seed=5)
        histories.append([(record["nll"], record["validation_nll"]) for record in history])
    for trainer, history in zip(fits[1:], histories[1:], strict=True):
        assert_array_equal(trainer.embedding, fits[0].embedding)
        assert_array_equal(trainer.linear, fits[0].linear)
        assert history == histories[0]
    assert fits[1].nll(reads[0]) == fits[0].nll(counts)


def test_each_epoch_reads_each_group_once_and_those_that_all_fit_are_read_once(sizes):
    sizes.group_rows = 16
    for rows, times in ((160, 3), (64, 1)):
        counts = Read(make_counts(rows))
        Trainer.random(rows, 4, output_size=30, seed=0).fit_counts(counts, epochs=3, block_size=4)
        assert sorted(counts.read) == sorted(list(range(group_count(rows))) * times)


def test_groups_that_fit_into_more_memory_are_read_once(sizes):
    sizes.group_rows = 16
    matrix = make_counts(160)
    expected = Trainer.random(160, 4, output_size=30, seed=0)
    expected.fit_counts(matrix, epochs=3, block_size=4, seed=5)
    least = buffered_groups([16] * 10, 4)
    slot = 12 * int(CSRGroups(matrix).entries.max())
    for slots, held in ((least, 0), (least + 1, 1), (9, 9 - least), (10, 10), (99, 10)):
        counts, trainer = Read(matrix, buffer_memory=slots * slot), Trainer.random(160, 4, output_size=30, seed=0)
        trainer.fit_counts(counts, epochs=3, block_size=4, seed=5)
        assert sorted(counts.read) == sorted([*range(held), *list(range(held, 10)) * 3])
        assert_array_equal(trainer.embedding, expected.embedding)


@pytest.mark.parametrize("more", [0, 1, 3])
@pytest.mark.parametrize("block_size", [1, 5, 16, 50])
def test_the_groups_of_two_blocks_are_in_memory_and_no_more_than_are_said(sizes, block_size, more):
    sizes.group_rows = 16
    matrix = make_counts(200, empty=0.5)
    groups = split_rows(np.diff(matrix.indptr) > 0)
    most = buffered_groups([len(rows) for rows in groups if len(rows)], block_size) + more
    largest = int(CSRGroups(matrix).entries.max())
    buffer = BufferedCounts(Read(matrix, buffer_memory=12 * largest * most if more else 0), groups, block_size)
    assert len(buffer.data) == min(most, len(groups)) * largest
    for order in (draw_order(groups, np.random.default_rng(3)), plain_order(groups)):
        rows = np.concatenate([draw.rows for draw in order])
        with buffer.reading(order) as hold:
            for block in range(-(-len(rows) // block_size)):
                hold(block)
                for row in rows[block * block_size : (block + 2) * block_size]:
                    found = slice(buffer.begins[row], buffer.ends[row])
                    true = slice(matrix.indptr[row], matrix.indptr[row + 1])
                    assert_array_equal(buffer.indices[found], matrix.indices[true])
                    assert_array_equal(buffer.data[found], matrix.data[true])


def test_a_group_that_was_read_and_not_taken_is_read_again(sizes):
    """Reading that is left early may have read further than its blocks have come."""
    sizes.group_rows = 16
    matrix = make_counts(160)
    counts, groups = Read(matrix, buffer_memory=10**9), split_rows(np.diff(matrix.indptr) > 0)
    buffer, order, last_is_read = BufferedCounts(counts, groups, 4), plain_order(groups), Event()
    read = counts.read_group

    def read_group(group, memory=None):
        rows = read(group, memory)
        if group == len(groups) - 1:
            last_is_read.set()
        return rows

    counts.read_group = read_group
    with buffer.reading(order) as hold:
        hold(0)
        assert last_is_read.wait(600)
    with buffer.reading(order) as hold:
        for block in range(-(-sum(map(len, groups)) // 4)):
            hold(block)
    assert_array_equal(buffer.ends - buffer.begins, np.diff(matrix.indptr))
    assert sorted(counts.read) == sorted([0, *[group for group in range(1, 10) for _ in range(2)]])


def test_what_reading_raises_ends_the_fit(sizes):
    sizes.group_rows = 16
    trainer = Trainer.random(160, 4, output_size=30, seed=0, threads=2)
    with pytest.raises(OSError, match="the disk is gone"):
        trainer.fit_counts(Read(make_counts(160), fault=7), epochs=2, block_size=4)
    assert np.isfinite(trainer.embedding).all()
