"""Rows of counts: in batches as they are counted, and in groups as training reads them, in shards of the columns.

Batches of rows become matrices in memory, whose sums are exact if they are integers.

Groups of rows are the unit of reading from disk and of the order of an epoch, which visits two groups at a time, so
that few of them need to be in memory. Sums over rows are also computed group by group, so that they have the same bits
for counts in memory and on disk.

The columns, which are the outputs of a model, are divided into shards, each processed by one thread at a time, and the
shards among ranks. They depend on the number of outputs alone, so that no bit depends on the threads or ranks.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float64, Int32, Int64, sorted_csr
from fastembed._base.memory import readable
from fastembed._base.threads import Pool, awaited, new_executor, ordered_map
from fastembed._kernels import cooccur

GROUP_ROWS = 4096  # largest number of rows of a group of counts: the order of training depends on it
# Largest number of rows of a shard: its part of the linear layer and 256 rows of logits fit into 1.5 MiB of cache
SHARD_ROWS = 1024

Memory = tuple[Int32, Float64]  # for `indices` and `data` of a group
DRAWN_GROUPS = 2  # groups whose rows are shuffled together (docs/decisions.md)
ROW_GROUP = 16  # bounds are multiples of this, so that SIMD loops over the outputs of a shard have no remainder
BATCH_PAIRS = 1 << 21  # approximate number of pairs of a corpus that are summed at a time: 25 MB of them
ENTRY_BYTES = 12  # of a count in memory: its column and its value
MAX_EXACT = 2**53  # integers up to here are exact in float64
MERGE_ENTRIES = 1 << 20  # approximate number of entries that are merged at a time
MIN_BATCH_ENTRIES = 1 << 14  # smallest batch, however little memory there is: overhead dominates in smaller ones
Hold = Callable[[int], None]  # called with the number of a block: makes its counts and those of the next block resident


class RowBatch(NamedTuple):
    """Consecutive rows of a matrix: the number of entries per row, their columns, ascending per row, and values.

    `release` is called when columns and values have been stored.
    """

    lengths: Int64
    columns: Int32
    values: Float64
    release: Callable[[], object] = lambda: None


def stored_rows(batches: Iterable[RowBatch], n_columns: int, most: int, limit: int, threads: int) -> sparse.csr_array:
    """Return the matrix of batches of rows.

    Parameters
    ----------
    most : int
        A bound on the number of entries. Memory for them that is never written to takes no pages.
    limit : int
        Bytes.
    threads : int
        The number of threads that copy entries.

    Raises
    ------
    MemoryError
        If the entries take more than the limit.
    """
    capacity, used = min(most, limit // ENTRY_BYTES), 0
    indices, data = np.empty(capacity, np.int32), np.empty(capacity)
    lengths: list[Int64] = []
    copies: deque[Future[None]] = deque()

    def copy(part: slice, batch: RowBatch) -> None:
        indices[part], data[part] = batch.columns, batch.values
        batch.release()

    with new_executor(threads) as workers:
        for batch in batches:
            lengths.append(batch.lengths)
            end = used + len(batch.values)
            if end > capacity:
                free = readable(limit)
                raise MemoryError(f"the counts take more than {free}, half of what is free: set a memory_limit")
            copies.append(workers.submit(copy, slice(used, end), batch))
            used = end
            if len(copies) > threads:
                awaited(copies.popleft())
        while copies:
            awaited(copies.popleft())
    indices.resize(used, refcheck=False)
    data.resize(used, refcheck=False)
    indptr = np.zeros(sum(map(len, lengths)) + 1, dtype=np.int64)
    np.cumsum(np.concatenate(lengths), out=indptr[1:])
    return sorted_csr(data, indices, indptr, (len(indptr) - 1, n_columns))


def check_exact(sums: Float64) -> None:
    """Raise ValueError if integer sums may have been rounded.

    Partial sums of positive numbers are below the final one: if that is exact, so were they.
    """
    if sums.max(initial=0) > MAX_EXACT:
        raise ValueError("a count is too large to be exact: use a shorter window, or weighting='linear' or 'flat'")


def batch_entries(memory: int, threads: int) -> int:
    """Return the number of pairs or entries per batch: 5 batches per thread, 24 bytes per entry with its result."""
    return min(max(memory // (2 * ENTRY_BYTES * 5 * threads), MIN_BATCH_ENTRIES), BATCH_PAIRS)


def sum_of(terms: list[sparse.csr_array]) -> sparse.csr_array:
    """Return the sum of sparse matrices of similar size."""
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [a if b is None else a + b for a, b in pairs]
    return terms[0]


def add_chunks(
    chunks: Iterable[tuple[Generator[RowBatch, None, None], int]], shape: tuple[int, int], limit: int, threads: int
) -> sparse.csr_array:
    """Return the exact sum of matrices of integers, each given as batches of rows and a bound on its entries.

    Those of similar size are added together, so that each entry is added only a few times.
    """
    sums: list[sparse.csr_array] = []
    for rows, most in chunks:
        matrix = stored_rows(rows, shape[1], most, limit, threads)
        while sums and sums[-1].nnz <= 2 * matrix.nnz:
            matrix = matrix + sums.pop()
            check_exact(matrix.data)
        sums.append(matrix)
    total = sum_of(sums) if sums else sparse.csr_array(shape)
    check_exact(total.data)
    return total


# ---------------------------------------------------------------- groups and shards


def group_count(rows: int) -> int:
    """Return G, the number of groups for a number of rows."""
    return -(-rows // GROUP_ROWS)


def group_slice(group: int, rows: int) -> slice:
    """Return the rows of a group: those whose number is `group` modulo G.

    The rows of a vocabulary are in the order of decreasing frequency, so every group is like the whole.

    Examples
    --------
    >>> list(range(10_000))[group_slice(1, 10_000)][:4]
    [1, 4, 7, 10]
    """
    return slice(group, rows, -(-rows // GROUP_ROWS))


def group_size(group: int, rows: int) -> int:
    """Return the number of rows of a group."""
    return len(range(rows)[group_slice(group, rows)])


def group_places(rows: int) -> Int64:
    """Return the index of each row in the order of groups, (V_in,).

    Examples
    --------
    >>> places = group_places(10_000)
    >>> places[[0, 3, 6]].tolist(), int(places[1])  # of group 0, which has 3,334 rows; the first of group 1
    ([0, 1, 2], 3334)
    """
    order = np.concatenate([np.arange(rows)[group_slice(group, rows)] for group in range(group_count(rows))])
    places = np.empty(rows, np.int64)
    places[order] = np.arange(rows)
    return places


def split_rows(present: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the ids of the present rows of each group; `present` has the shape (V_in,).

    Examples
    --------
    >>> split_rows(np.array([True, False, True]))
    [array([0, 2])]
    """
    ids = np.arange(len(present))
    groups = [ids[group_slice(group, len(ids))] for group in range(group_count(len(ids)))]
    return [rows[present[rows]] for rows in groups]


class Draw(NamedTuple):
    """A few groups, and the order in which an epoch visits their rows before it takes other groups."""

    groups: tuple[int, ...]
    rows: NDArray[np.intp]


def draw_order(groups: list[NDArray[np.intp]], rng: np.random.Generator) -> list[Draw]:
    """Return a random order of the rows: groups are shuffled, then the rows of a few groups at a time.

    Examples
    --------
    >>> order = draw_order([np.array([0, 3]), np.array([1, 4]), np.array([2, 5])], np.random.default_rng(0))
    >>> [len(draw.rows) for draw in order]
    [4, 2]
    """
    order = [group for group in rng.permutation(len(groups)).tolist() if len(groups[group])]
    taken = [tuple(order[first : first + DRAWN_GROUPS]) for first in range(0, len(order), DRAWN_GROUPS)]
    return [Draw(some, rng.permutation(np.concatenate([groups[group] for group in some]))) for some in taken]


def plain_order(groups: list[NDArray[np.intp]]) -> list[Draw]:
    """Return the rows group by group, in ascending order."""
    return [Draw((group,), rows) for group, rows in enumerate(groups) if len(rows)]


class RowGroup(NamedTuple):
    """The rows of a group: row n has `indices`, ascending, and `data` from ``begins[n]`` to ``ends[n] - 1``."""

    begins: Int64
    ends: Int64
    indices: Int32
    data: Float64

    def taken(self, rows: Any) -> RowGroup:
        """Return some of the rows, without copying their entries."""
        return RowGroup(self.begins[rows], self.ends[rows], self.indices, self.data)


class GroupedCounts:
    """Expected counts as a fit reads them, group by group: those in memory, or in a store.

    Attributes
    ----------
    shape : (int, int)
        (V_in, V_out).
    entries : ndarray of int64 (G,)
        The number of stored counts of each group.
    totals : Totals, optional
        The sums of rows and columns, if they are known.
    buffer_memory : int
        The bytes of the buffer of a fit, for counts in a store.
    """

    shape: tuple[int, int]
    entries: Int64
    totals: Totals | None = None
    buffer_memory = 0

    def read_group(self, group: int, memory: Memory | None = None) -> RowGroup:
        """Return the expected counts of a group of rows.

        Parameters
        ----------
        group : int
            0 to G - 1.
        memory : (ndarray of int32, ndarray of float64), optional
            Arrays for columns and values, with at least as many elements as the group has `entries`; by default new
            arrays.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If a tile is damaged.
        """
        raise NotImplementedError

    def sha256(self) -> str:
        """Return the `CountsDigest` of all groups."""
        raise NotImplementedError

    def of_shards(self, shards: slice) -> GroupedCounts:
        """Return the same counts; those of a store are read without the other shards of columns."""
        raise NotImplementedError


class CSRGroups(GroupedCounts):
    """A canonical CSR array in groups of rows, without copies.

    Parameters
    ----------
    matrix : csr_array (V_in, V)
        float64, canonical.
    """

    _digest: str | None = None

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        self.shape = matrix.shape
        indptr: Int64 = matrix.indptr.astype(np.int64, copy=False)
        self.begins, self.ends = indptr[:-1], indptr[1:]
        self.indices: Int32 = matrix.indices.astype(np.int32, copy=False)
        self.data: Float64 = matrix.data
        lengths, rows = self.ends - self.begins, self.shape[0]
        self.entries = np.array(
            [lengths[group_slice(group, rows)].sum() for group in range(group_count(rows))], np.int64
        )

    def read_group(self, group: int, memory: Memory | None = None) -> RowGroup:
        """Return the rows of a group, in the memory of the array."""
        part = group_slice(group, self.shape[0])
        begins, ends = np.ascontiguousarray(self.begins[part]), np.ascontiguousarray(self.ends[part])
        return RowGroup(begins, ends, self.indices, self.data)

    def reading(self, order: list[Draw]) -> AbstractContextManager[Hold]:
        """Return what `BufferedCounts.reading` does; all rows are in memory."""
        return nullcontext(lambda block: None)

    def sha256(self) -> str:
        """Return the digest of all groups, which is computed once."""
        if self._digest is None:
            digest = CountsDigest(self.shape)
            for group in range(group_count(self.shape[0])):
                digest.add([self.read_group(group)])
            self._digest = digest.hexdigest()
        return self._digest

    def of_shards(self, shards: slice) -> CSRGroups:
        """Return these counts unchanged: all are in memory."""
        return self


class CountsDigest:
    """The SHA-256 of counts: of their shape and, group by group, of `indptr`, `indices` and `data`.

    `shape` and `indptr` are int64, `indices` int32 and `data` float64, all little-endian and concatenated.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> CSRGroups(csr_array([[0.0, 1.0], [1.0, 0.0]])).sha256()[:16]
    '8ebcdd3a69549ae5'
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._digest = hashlib.sha256(np.array(shape, "<i8").data)
        self.hexdigest = self._digest.hexdigest

    def add(self, pieces: list[RowGroup]) -> None:
        """Add the next group, whose rows are those of the pieces."""
        lengths = np.concatenate([piece.ends - piece.begins for piece in pieces])
        self._digest.update(np.append(0, np.cumsum(lengths)).astype("<i8").data)
        for k, dtype in ((2, "<i4"), (3, "<f8")):
            for piece in pieces:
                for begin, end in zip(piece.begins.tolist(), piece.ends.tolist(), strict=True):
                    self._digest.update(np.ascontiguousarray(piece[k][begin:end], dtype=dtype).data)


class Totals(NamedTuple):
    """The sums of the rows (V_in,) and of the columns (V,) of counts."""

    rows: Float64
    columns: Float64

    @classmethod
    def of(cls, groups: GroupedCounts, pool: Pool) -> Totals:
        """Return the sums of grouped counts.

        The column sums of the groups are added in the order of the groups, so that the bits are the same for any number
        of threads.
        """
        if groups.totals is not None:
            return groups.totals
        (inputs, outputs), count = groups.shape, group_count(groups.shape[0])
        totals = cls(np.empty(inputs), np.zeros(outputs))

        def sums(group: int) -> Totals:
            return cls.of_group([groups.read_group(group)], outputs)

        with closing(ordered_map(sums, range(count), pool.threads, ahead=pool.threads)) as parts:
            for group, part in enumerate(parts):
                totals.add(group, part)
        groups.totals = totals
        return totals

    @classmethod
    def of_group(cls, pieces: list[RowGroup], outputs: int) -> Totals:
        """Return the sums of a single group, whose rows are those of the pieces."""
        rows, columns = [np.empty(len(piece.begins)) for piece in pieces], np.zeros(outputs)
        for piece, sums in zip(pieces, rows, strict=True):
            cooccur.add_totals(*piece, sums, columns)
        return cls(np.concatenate(rows), columns)

    def add(self, group: int, part: Totals) -> None:
        """Add the sums of the next group."""
        self.rows[group_slice(group, len(self.rows))] = part.rows
        self.columns[:] += part.columns


def shard_bounds(rows: int) -> NDArray[np.intp]:
    """Return the ends of shards of about equal size, (S + 1,), from 0 to `rows`; S is a power of two.

    They depend on the number of rows only, never on the number of threads. Partial results are merged by a fixed binary
    tree, so the sums have the same bits whichever thread computed them.

    Examples
    --------
    >>> shard_bounds(3000).tolist()
    [0, 752, 1504, 2256, 3000]
    """
    count = 1
    while count * SHARD_ROWS < rows:
        count *= 2
    bounds = np.arange(count + 1, dtype=np.intp) * rows // count
    bounds[1:-1] = -(-bounds[1:-1] // ROW_GROUP) * ROW_GROUP
    return bounds


class BufferedCounts:
    """Counts with only some groups in memory: those of the rows of two successive blocks, and some more.

    While blocks of some groups are trained on, the next groups are read. If the buffer is larger, as many groups as fit
    stay in memory once they have been read.

    The memory is divided into slots of a group each. Groups that stay have a slot of their own (`_held`); the others
    take the last `_turning` slots in turn.

    Parameters
    ----------
    groups : list of ndarray of int
        The rows of each group in an order; some groups may have none.
    block_size : int
        The number of rows of a block.

    Attributes
    ----------
    begins, ends, indices, data
        As in a `RowGroup`, for all rows; only those of the groups in memory are valid.
    """

    def __init__(self, counts: GroupedCounts, groups: list[NDArray[np.intp]], block_size: int) -> None:
        self._counts, self._block_size = counts, block_size
        used = [group for group, rows in enumerate(groups) if len(rows)]
        self._capacity = max(int(counts.entries[used].max()), 1)  # the shards of a rank may have no counts
        least = buffered_groups([len(groups[group]) for group in used], block_size)
        slots = min(max(counts.buffer_memory // (ENTRY_BYTES * self._capacity), least), len(used))
        self._turning = 0 if slots == len(used) else least  # slots that groups use in turn
        self._held = {group: slot for slot, group in enumerate(used[: slots - self._turning])}
        self._in_memory: set[int] = set()  # the groups in memory
        inputs = counts.shape[0]
        self.begins, self.ends = np.zeros(inputs, np.int64), np.zeros(inputs, np.int64)
        self.indices = np.empty(slots * self._capacity, np.int32)
        self.data = np.empty(slots * self._capacity)

    @contextmanager
    def reading(self, order: list[Draw]) -> Iterator[Hold]:
        """Yield the function to call before each block of the rows in this order."""
        groups = [group for draw in order for group in draw.groups]
        turns = np.cumsum([0, *(group not in self._held for group in groups)]).tolist()
        row_ends = np.cumsum([len(draw.rows) for draw in order])
        group_ends = np.cumsum([len(draw.groups) for draw in order])
        calls: list[Future[RowGroup | None]] = []
        ready = 0

        def hold(block: int) -> None:
            nonlocal ready
            # The draws of the first row of this block, and of the last row of the next one
            first, last = block * self._block_size, min((block + 2) * self._block_size, row_ends[-1]) - 1
            current, next_one = np.searchsorted(row_ends, [first, last], side="right")
            in_use = int(group_ends[current]) - len(order[current].groups)  # the first group that is still needed
            # Read ahead as far as no group gets the slot of one that is still needed
            while len(calls) < len(groups) and turns[len(calls) + 1] <= turns[in_use] + self._turning:
                calls.append(reader.submit(self._read, groups[len(calls)], turns[len(calls)]))
            # Wait for what these blocks need
            while ready < group_ends[next_one]:
                rows = awaited(calls[ready])
                if rows is not None:
                    part = group_slice(groups[ready], self._counts.shape[0])
                    self.begins[part], self.ends[part] = rows.begins, rows.ends
                    if groups[ready] in self._held:
                        self._in_memory.add(groups[ready])
                ready += 1

        reader = new_executor(1)
        try:
            yield hold
        finally:
            reader.shutdown(cancel_futures=True)

    def _read(self, group: int, turn: int) -> RowGroup | None:
        """Read a group into its slot, or into the next slot in turn; return None if it is in memory already."""
        if group in self._in_memory:
            return None
        slot = self._held[group] if group in self._held else len(self._held) + turn % self._turning
        first = slot * self._capacity
        part = slice(first, first + self._capacity)
        rows = self._counts.read_group(group, (self.indices[part], self.data[part]))
        return RowGroup(rows.begins + first, rows.ends + first, self.indices, self.data)


def buffered_groups(sizes: list[int], block_size: int) -> int:
    """Return the number of groups of given sizes in memory: those that two blocks can need, and the next one.

    Examples
    --------
    >>> buffered_groups([4000] * 9, 256), buffered_groups([100] * 99, 256), buffered_groups([5], 256)
    (4, 9, 1)
    """
    inner = int(np.searchsorted(np.cumsum(np.sort(sizes)), 2 * block_size - 2, side="right"))
    return min(inner + 2 * DRAWN_GROUPS, len(sizes))
