"""`Estimate`: the memory and the floating-point operations of training, by a formula of the shapes.

It is within a fifth of the measured peaks (``tests/skipgram/test_estimate.py``), of which the larger part is what no
formula of the model knows: the interpreter, the libraries and what the C library holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.memory import LEAST, check_free, check_memory_limit, readable, resident_memory
from fastembed._base.threads import check_threads, seconds_per_operation
from fastembed._base.validation import warn_user
from fastembed.counts.groups import SHARD_ROWS, group_count
from fastembed.counts.store import STORED_BYTES
from fastembed.counts.windows import Windows, likely_entries
from fastembed.skipgram.start import BLOCKS, space_size

PROCESS_BYTES = 95_000_000  # the interpreter, this package, NumPy, SciPy, and BLAS with its buffers
LATER_BYTES = 25_000_000  # of code and buffers that the first training in a process loads
SPARE = 0.08  # of a limit: what the C library holds beyond what is computed here; 5.5 % was the most seen
WORD_BYTES = 200  # per word: the string, its id, its place in the dictionary
COUNT_BYTES, EXPECTED_BYTES, PMI_BYTES = 12, 8, 6  # per stored count; expected is its value after subsampling
# Per count of a group of a store: while it is read; while its PMI is computed; while that goes to a file and back
READ_BYTES, START_GROUP_BYTES, SPILLED_GROUP_BYTES = 10, 46, 18
NGRAM_BYTES, ENTRY_BYTES = 80, 50  # per n-gram, and per n-gram of a word: its id and its weight, in several copies
BLOCK_ROWS = 256  # rows of a block, whose logits and gradients are in memory
INPUT_BYTES = 45  # per input, in the epochs: the start of its counts, their sum, its weight, its place in the order
THREAD_ROWS = 4096  # rows in float64 that a thread holds in the start and in the gauge
RATE_COLUMNS = 1024  # of the product whose rate is measured
LEAST_GROUPS = 4  # of a store, in memory in the epochs
READING_BYTES = 20_000_000  # bytes of buffers and text per thread, while a text is counted
# Of the pairs that independent words would give: less than the least share that texts were seen to have; that of prose
LEAST_ENTRIES, USUAL_ENTRIES = 0.4, 0.8
WRITTEN_BYTES = 18  # per count of the group of rows that goes to a store
TABLE_BYTES = 60  # bytes per word in the table that encodes text


@dataclass(frozen=True)
class Estimate:
    """The time and memory of a fit of `SkipGram`, computed from its sizes. ``print`` shows it in one line.

    The memory is that for counts whose expected values differ from the stored ones, as with subsampling or harmonic
    windows; other counts take 8 bytes less per count.

    Attributes
    ----------
    inputs, outputs, dim : int
        V_in, V and D.
    nnz : int
        The number of stored counts; 0 if it is not known yet.
    epochs, threads : int
    early_stopping : bool
    in_place : bool
        Whether the counts are those of a text that is fitted to: their expected values take their place in memory.
    largest_group : int, optional
        The number of stored counts of the largest group of rows, for counts in a store; None for counts in memory.
    memory_limit : int, optional
        Limit on the memory of the whole process in bytes, for counts in a store.
    stored : int, optional
        Bytes of the store on disk, if it exists already.
    resident : int
        Resident bytes of the process when training starts; 0 if not known. Counts in a memory-mapped file are not
        included before they have been read.
    ngrams, entries : int
        With subwords: the number of n-grams with a row, and the total number of features of all words.
    held_out_group : int, optional
        As `largest_group`, for the held-out counts.
    shows : bool
        Whether a model is built after each epoch, for a callback.

    Examples
    --------
    >>> estimate = Estimate(inputs=30_000, outputs=30_000, dim=100, nnz=0, epochs=5, threads=2)
    >>> estimate.flops  # 6 · 5 · 30,000² · 100, and those of the start and of the gauge
    2715009840000
    >>> print(estimate)
    30,000 words, 30,000 outputs, counts not known yet: at least 2,715 GFLOP and 196 MB of memory
    """

    inputs: int
    outputs: int
    dim: int
    nnz: int
    epochs: int
    threads: int
    early_stopping: bool = False
    in_place: bool = field(default=False, compare=False)
    resident: int = field(default=0, compare=False)
    largest_group: int | None = field(default=None, compare=False)
    memory_limit: int | None = field(default=None, compare=False)
    stored: int | None = field(default=None, compare=False)
    ngrams: int = 0
    entries: int = 0
    held_out_group: int | None = field(default=None, compare=False)
    shows: bool = field(default=False, compare=False)

    @property
    def flops(self) -> int:
        """Floating-point operations of the start, of the products in the epochs, and of the gauge.

        See ``docs/derivation.md``, sections 4 and 6.
        """
        return sum(self._operations)

    @property
    def _operations(self) -> tuple[int, int, int]:
        """The operations in the epochs, those beside them but in decompositions, and in these."""
        sides, width = self.inputs + self.outputs, self._space // BLOCKS
        bags = 4 * self.entries * self.dim * (8 + self.epochs)  # steps of conjugate gradients, and epochs
        start = 18 * self.nnz * width + 90 * sides * width**2  # nine products; Gram matrices and rotations
        gauge = 4 * sides * self.dim**2  # moments and changes of rows
        decompositions = 10 * self._space**3 + 30 * self.dim**3  # one of the start, two of the gauge
        return bags + self.epochs * 6 * self.inputs * self.outputs * self.dim, start + gauge, decompositions

    @property
    def _space(self) -> int:
        """The dimension of the space in which the start finds the SVD."""
        return space_size(min(self.dim, self.inputs, self.outputs), (self.inputs, self.outputs))

    def seconds(self) -> float:
        """Return about how long training takes on this machine if nothing else runs, by the rate of its products.

        An epoch takes 1.15 to 1.4 times as long as its bare products (``docs/measurements.md``); what is beside the
        epochs about three times, much of it in float64. The decompositions have one thread.
        """
        in_epochs, beside, decompositions = self._operations
        operations = (1.3 * in_epochs + 3 * beside) / self.threads + 3 * decompositions
        return operations * seconds_per_operation(BLOCK_ROWS, self.dim, min(self.outputs, RATE_COLUMNS))

    @property
    def memory(self) -> int:
        """The peak bytes of the whole process, including interpreter, libraries, vocabulary and counts."""
        return self._held_memory + self.training_memory

    @property
    def training_memory(self) -> int:
        """The most bytes that the start, the epochs or the gauge allocate, without counts and words."""
        in_memory = not self.in_place and self.largest_group is None
        start = min(PMI_BYTES * self.nnz, self.start_memory) + self._beside_pmi
        epochs = self._epochs_memory + self._buffered_groups * COUNT_BYTES * (self.largest_group or 0)
        return in_memory * EXPECTED_BYTES * self.nnz + self._bag_memory + max(start, epochs)

    @property
    def start_memory(self) -> int:
        """The limit on the bytes of the positive PMI in memory; the rest is in a temporary file."""
        if self.largest_group is None:
            return PMI_BYTES * self.nnz
        if self.memory_limit is None:
            return check_memory_limit(None)
        return self._left_beside(self._beside_pmi)

    @property
    def buffer_memory(self) -> int:
        """The bytes of the buffer for counts of a store in the epochs; it holds at least a few groups."""
        if self.largest_group is None or self.memory_limit is None:
            return 0
        return self._left_beside(self._epochs_memory)

    @property
    def disk(self) -> int:
        """The bytes of a store of these counts, and of the temporary file of the start; 0 for counts in memory.

        Before a store exists, its values are assumed to be float32, which takes 4 bytes less than float64.
        """
        return self._store + max(PMI_BYTES * self.nnz - self.start_memory, 0)

    @property
    def disk_per_epoch(self) -> int:
        """The bytes that each epoch after the first reads from a store; the first epoch reads all of it."""
        groups, slots = group_count(self.inputs), self._buffered_groups
        return 0 if slots == groups else self._store * (groups - slots + min(LEAST_GROUPS, groups)) // groups

    @property
    def _held_memory(self) -> int:
        """The bytes of the process during training, except those that training allocates."""
        counts = COUNT_BYTES * self.nnz if self.largest_group is None else 0
        resident = self.resident + LATER_BYTES if self.resident else 0
        return max(PROCESS_BYTES + WORD_BYTES * self.inputs + counts, resident)

    @property
    def _bag_memory(self) -> int:
        return NGRAM_BYTES * self.ngrams + ENTRY_BYTES * self.entries

    @property
    def _beside_pmi(self) -> int:
        """The bytes of the start beside the PMI in memory: a group of a store, or the factors of the SVD."""
        factors = 4 * (self._space + self.dim) * (self.inputs + self.outputs)
        factors += 8 * max(5, 3 + self.threads) * self._space**2  # of the decomposition, or of sums of the threads
        largest = self.largest_group or 0
        return self._thread_memory + max(START_GROUP_BYTES * largest, factors + SPILLED_GROUP_BYTES * largest)

    @property
    def _epochs_memory(self) -> int:
        """The bytes of the epochs beside the buffer of counts, or of the gauge after them, in which there is none."""
        linear = 4 * self.dim * self.outputs
        parameters = 4 * self.dim * (self.inputs + self.ngrams) + linear
        # The current ones and those of the last epoch; the best; for a callback, a model and its gauge
        copies = 2 + self.early_stopping + 2 * self.shows
        shards = -(-self.outputs // SHARD_ROWS)
        block = 4 * min(BLOCK_ROWS, self.inputs) * (self.outputs + shards * self.dim)  # logits, and dH of each shard
        fits = 1 + self.early_stopping
        work = linear + fits * (block + INPUT_BYTES * self.inputs)  # linear: its momentum
        work += READ_BYTES * (self.largest_group or 0) + LEAST_GROUPS * COUNT_BYTES * (self.held_out_group or 0)
        gauge = self._thread_memory + 80 * self.dim**2  # ten matrices in float64
        return copies * parameters + max(work, gauge)

    @property
    def _thread_memory(self) -> int:
        return 8 * self.dim * self.threads * min(THREAD_ROWS, self.inputs + self.outputs)

    @property
    def _buffered_groups(self) -> int:
        """The number of groups of a store in memory in the epochs; 0 for counts in memory."""
        if not self.largest_group:
            return 0
        return min(
            max(self.buffer_memory // (COUNT_BYTES * self.largest_group), LEAST_GROUPS), group_count(self.inputs)
        )

    @property
    def _store(self) -> int:
        if self.stored is not None or self.largest_group is None:
            return self.stored or 0
        return STORED_BYTES * self.nnz + 2 * self.inputs * -(-self.outputs // SHARD_ROWS)

    def _left_beside(self, others: int) -> int:
        """Return the bytes left of the limit after held memory and the other memory of a phase."""
        assert self.memory_limit is not None
        return max(int((1 - SPARE) * self.memory_limit) - self._held_memory - self._bag_memory - others, 0)

    def check(self) -> None:
        """Raise MemoryError if training needs more memory than is free, or more than its limit.

        Raises
        ------
        MemoryError
        """
        what = f"training {self.inputs:,} words on {self.outputs:,} outputs in {self.dim:,} dimensions"
        advice = "a smaller dim or max_contexts, or a larger min_count, takes less"
        check_free(self.training_memory, what, advice)
        if self.memory_limit is not None and self.memory > self.memory_limit:
            limit, advised = readable(self.memory_limit), readable(int((1 + 2 * SPARE) * self.memory))
            enough = f"; a limit of {advised} is enough" if self.resident else ""  # else its counts are not known
            over = f"above the limit of {limit} for the whole process"
            raise MemoryError(f"{what} takes at least {readable(self.memory)}, {over}: {advice}{enough}")

    def __repr__(self) -> str:
        return f"<Estimate: {self}>"

    def __str__(self) -> str:
        counts, about = (f"{self.nnz:,} counts", "about") if self.nnz else ("counts not known yet", "at least")
        disk = ""
        if self.nnz and self.largest_group is not None:
            each = readable(self.disk_per_epoch)
            disk = f", {readable(self.disk)} of disk, of which an epoch after the first reads {each}"
        return (
            f"{self.inputs:,} words, {self.outputs:,} outputs, {counts}: {about}"
            f" {self.flops / 1e9:,.0f} GFLOP and {readable(self.memory)} of memory{disk}"
        )


# ---------------------------------------------------------------- before and while a text is counted


def counting_memory(limit: int, words: int, threads: int | None, written: int = 0) -> int:
    """Return the bytes for the text and the counts: the limit of the process minus what else it holds.

    Of these, `written` bytes for what is written to a store are left out as far as enough is left.

    Raises
    ------
    MemoryError
        If nothing is left.
    """
    workers = check_threads(threads)
    held = max(resident_memory(), PROCESS_BYTES) + TABLE_BYTES * words + READING_BYTES * (1 + workers)
    if held + LEAST > limit:
        raise MemoryError(
            f"reading a text on {workers} threads takes {readable(held + LEAST)} of memory, above the limit of "
            f"{readable(limit)}: fewer threads or a smaller max_size take less"
        )
    return max(limit - held - written, (limit - held) // 4, LEAST)


def check_before_counting(least: Estimate, frequencies: NDArray[np.int64], pairing: Any) -> int:
    """Check the memory of training on a text before it is counted; return the bytes that go to a store at a time.

    Parameters
    ----------
    least : Estimate
        With the limit, but without the number of counts.
    frequencies : ndarray of int64 (V,)
        How often each word occurs, descending.
    pairing : Windows or Baskets
        How it will be counted. Of baskets, the number of counts cannot be foreseen.

    Raises
    ------
    MemoryError
        If even few counts would need more memory than is free, or than the limit. Those of prose are a warning.
    """
    limit = least.memory_limit
    if limit is None or not isinstance(pairing, Windows):
        least.check()
        return 0
    pairs, groups = likely_entries(frequencies, pairing), group_count(least.inputs)
    few, usual = (
        replace(least, nnz=int(share * pairs), largest_group=int(share * pairs) // groups)
        for share in (LEAST_ENTRIES, USUAL_ENTRIES)
    )
    held = PROCESS_BYTES + READING_BYTES * (1 + least.threads)  # once it is counted
    likely = replace(usual, resident=held).memory
    prose = f"prose with as many words takes about {readable(likely)}"
    try:
        few.check()
    except MemoryError as error:
        raise MemoryError(f"{error}; {prose}") from None
    if likely > limit:
        warn_user(f"{prose}: the limit of {readable(limit)} may prove too low when the text is counted")
    return WRITTEN_BYTES * (usual.largest_group or 0)
