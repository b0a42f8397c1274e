"""`Estimate`: the memory of training, by a formula of the shapes.

The memory is within 30 % of the measured peaks (``tests/skipgram/test_estimate.py``). The larger part of a peak does
not depend on the model: the interpreter, the libraries, the reserves of the C library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import padded_width
from fastembed._base.memory import LEAST, check_free, check_memory_limit, readable, resident_memory
from fastembed._base.threads import check_threads
from fastembed.counts.groups import SHARD_COLUMNS, group_count
from fastembed.counts.windows import Windows
from fastembed.skipgram.options import Pairing, SkipGramOptions
from fastembed.skipgram.start import AXES_ROWS, space_size
from fastembed.skipgram.subwords import Subwords

PROCESS_BYTES = 70_000_000  # the interpreter, this package, NumPy and SciPy after their import: 67 to 71 MB
THREAD_BYTES = 6_000_000  # per thread: its stack, its buffers of BLAS, its reserves of the C library
WORD_BYTES = 250  # per word: the string, its id, its place in the dictionary and in the order of the epochs
SPARE = 0.08  # share of a limit for reserves of the C library beyond the estimate: at most 5.5 % in measurements
COUNT_BYTES, PMI_BYTES = 6.5, 6  # per stored count: in tiles, mostly of four bytes per value; in the PMI
GROUP_BYTES = 20  # per count of the largest group, while the PMI of the group is computed
NGRAM_BYTES, ENTRY_BYTES = 80, 60  # per n-gram, and per n-gram of a word: its id and its weight, in several copies
NGRAMS_PER_WORD, ENTRIES_PER_WORD = 3, 20  # of English, until the words are known
BLOCK_ROWS = 256  # rows of a block, whose logits and gradients are in memory
LEAST_GROUPS = 4  # groups of a store that are in memory during the epochs, at least
READING_BYTES = 8_000_000  # per thread that counts a text: buffers and text
TABLE_BYTES = 60  # per word in the table that encodes text
LEAST_ENTRIES = 0.4  # nonzero counts per expected pair of independent words: at least 0.45 in measurements
WRITTEN_BYTES = 24  # per count of a group of rows, while the group is put into tiles


@dataclass(frozen=True)
class Estimate:
    """The memory of a fit of `SkipGram`, computed from its sizes. ``print`` shows it in one line.

    memory = process + words + counts in memory + bags + threads + max(start, epochs)

    Attributes
    ----------
    inputs, outputs, dim : int
        V_in, V and D.
    nnz : int
        The number of nonzero counts; 0 if it is not known yet.
    epochs, threads : int
    early_stopping : bool
    shows : bool
        Whether a model is built after each epoch, for a callback.
    largest_group : int
        The number of nonzero counts of the largest group of rows, for counts in a store; 0 for counts in memory.
    memory_limit : int, optional
        Limit on the memory of the whole process in bytes, for counts in a store.
    resident : int
        Resident bytes of the process beside counts when training starts; 0 if not known.
    ngrams, entries : int
        With subwords: the number of n-grams with a row, and the total number of features of all words.

    Examples
    --------
    >>> estimate = Estimate(inputs=30_000, outputs=30_000, dim=100, nnz=0, epochs=5, threads=2)
    >>> print(estimate)
    30,000 words, 30,000 outputs, counts not known yet: at least 192 MB of memory
    """

    inputs: int
    outputs: int
    dim: int
    nnz: int
    epochs: int
    threads: int
    early_stopping: bool = False
    shows: bool = False
    largest_group: int = 0
    memory_limit: int | None = None
    resident: int = 0
    ngrams: int = 0
    entries: int = 0

    @property
    def memory(self) -> int:
        """The peak bytes of the whole process, including interpreter, libraries, vocabulary and counts."""
        return self._held_memory + self.training_memory

    @property
    def training_memory(self) -> int:
        """The most bytes that training allocates beside counts in memory: during the start, or during the epochs."""
        vectors = 4 * self.dim * (self.inputs + self.outputs)  # the result of the SVD, which replaces the PMI
        start = self._start_arrays + max(int(min(PMI_BYTES * self.nnz, self.pmi_limit)), vectors)
        buffer = max(self.buffer_limit, int(LEAST_GROUPS * COUNT_BYTES * self.largest_group))
        return max(start, self._epoch_arrays + min(buffer, int(COUNT_BYTES * self.nnz)))

    @property
    def counts_in_memory(self) -> bool:
        """Whether all counts are in memory, none in a store."""
        return self.largest_group == 0

    @property
    def pmi_limit(self) -> float:
        """The bytes that the positive PMI may take in memory; the rest is in a temporary file. Infinite: no limit."""
        if self.counts_in_memory:
            return math.inf
        return check_memory_limit(None) if self.memory_limit is None else self._left_beside(self._start_arrays)

    @property
    def buffer_limit(self) -> int:
        """The bytes that the buffer for counts of a store may take in the epochs; it holds at least a few groups."""
        return 0 if self.counts_in_memory or self.memory_limit is None else self._left_beside(self._epoch_arrays)

    def _left_beside(self, arrays: int) -> int:
        """Return the bytes that the limit leaves beside the process and these bytes of arrays."""
        assert self.memory_limit is not None
        return max(int((1 - SPARE) * self.memory_limit) - self._held_memory - arrays, 0)

    @property
    def _held_memory(self) -> int:
        """The bytes of the process when training starts: libraries, words, and counts in memory."""
        counts = int(COUNT_BYTES * self.nnz) if self.counts_in_memory else 0
        return max(PROCESS_BYTES + WORD_BYTES * self.inputs, self.resident) + counts

    @property
    def _start_arrays(self) -> int:
        """The bytes of the start beside the PMI: the space of the SVD, products of it, and a group of a store."""
        space = 4 * self._space * (self.inputs + self.outputs) + 8 * (3 + 2 * self.threads) * self._space**2
        return self._shared_arrays + space + GROUP_BYTES * self.largest_group

    @property
    def _epoch_arrays(self) -> int:
        """The bytes of the epochs beside the buffer of counts, or of the gauge after them."""
        width = padded_width(self.dim, "float32")  # of the linear layer
        linear = 4 * width * self.outputs
        parameters = 4 * self.dim * (self.inputs + self.ngrams) + linear
        # Copies: the current and the last epoch; the best epoch; for a callback, a model and its gauge
        copies = 2 + self.early_stopping + 2 * self.shows
        shards = -(-self.outputs // SHARD_COLUMNS)
        # Logits, and dH of each shard
        blocks = (1 + self.early_stopping) * 4 * min(BLOCK_ROWS, self.inputs) * (self.outputs + shards * width)
        groups = int(self.early_stopping * LEAST_GROUPS * COUNT_BYTES * self.largest_group)
        return self._shared_arrays + copies * parameters + blocks + groups + linear  # linear: its momentum

    @property
    def _shared_arrays(self) -> int:
        """The bytes of the start and of the epochs alike: bags, and what each thread keeps after the SVD."""
        thread = THREAD_BYTES + 8 * AXES_ROWS * self._space
        return self.threads * thread + NGRAM_BYTES * self.ngrams + ENTRY_BYTES * self.entries

    @property
    def _space(self) -> int:
        """The dimension of the space in which the start finds the SVD."""
        shape = self.inputs, self.outputs
        return space_size(min(self.dim, *shape), shape)

    def in_memory_if_possible(self) -> Estimate:
        """Return the estimate for all counts in memory if it is within the limit or below this one; else this one."""
        in_memory = replace(self, largest_group=0)
        return in_memory if in_memory.memory <= max(self.memory_limit or 0, self.memory) else self

    def check(self) -> None:
        """Raise MemoryError if training needs more memory than is free, or more than its limit."""
        what = f"training {self.inputs:,} words on {self.outputs:,} outputs in {self.dim:,} dimensions"
        advice = "a smaller dim or max_contexts, or a larger min_count, takes less"
        check_free(self.training_memory, what, advice)
        if self.memory_limit is not None and self.memory > self.memory_limit:
            raise MemoryError(f"{what} {_above(self.memory_limit, self.memory)}: {advice}")

    def __repr__(self) -> str:
        counts, about = (f"{self.nnz:,} counts", "about") if self.nnz else ("counts not known yet", "at least")
        return f"{self.inputs:,} words, {self.outputs:,} outputs, {counts}: {about} {readable(self.memory)} of memory"


def estimate_of(
    options: SkipGramOptions, inputs: int, outputs: int, nnz: int = 0, subwords: Subwords | None = None, **facts: Any
) -> Estimate:
    """Return the estimate of training on counts of a shape, with n-grams once they are known, and with other facts."""
    ngrams, entries = 0, 0
    if subwords is not None:
        ngrams, entries = len(subwords.ngrams), subwords.entries
    elif options.subwords:
        ngrams, entries = NGRAMS_PER_WORD * inputs, ENTRIES_PER_WORD * inputs
    sizes = inputs, outputs, options.dim, nnz, options.epochs, check_threads(options.threads)
    return Estimate(*sizes, options.early_stopping, ngrams=ngrams, entries=entries, **facts)


def counting_memory(limit: int, words: int, threads: int | None, written: int = 0) -> int:
    """Return how many bytes counts may take: the limit minus the process, the table of the words and the buffers.

    A store needs `written` bytes at a time, which are subtracted, too; counts keep a quarter of the rest.

    Raises
    ------
    MemoryError
        If less than `LEAST` bytes are left.
    """
    workers = check_threads(threads)
    held = max(resident_memory(), PROCESS_BYTES) + TABLE_BYTES * words + READING_BYTES * workers
    if held + LEAST > limit:
        what = f"reading a text on {workers} threads {_above(limit, held + LEAST)}"
        raise MemoryError(f"{what}: take fewer threads or a smaller max_size")
    return max(limit - held - written, (limit - held) // 4, LEAST)


def _above(limit: int, needed: int) -> str:
    """Return the end of an error for a limit that is too small. The needed MB, rounded up, are enough as a limit."""
    held = f"{readable(resident_memory())} of them already in use"
    return f"takes at least {math.ceil(needed / 1e6):,} MB, {held}, above memory_limit={readable(limit)}"


def likely_entries(frequencies: NDArray[np.int64], windows: Windows) -> float:
    """Return the expected number of different pairs of a text of independent words.

    Word w has n_w = f_w L contexts on a side. The share p_c of them is word c, so the pair (w, c) occurs with the
    probability 1 - exp(-n_w p_c). The sum over c is interpolated between 64 values of n_w. Real text repeats itself and
    has fewer pairs: 0.73 to 0.82 times as many in prose, 0.45 in recipes of a line.

    Parameters
    ----------
    frequencies : ndarray of int64, shape (V,)
        How often each word occurs, descending.

    Examples
    --------
    >>> round(likely_entries(np.array([50, 30, 20]), Windows(5)), 3)  # of 9, nearly all
    9.0
    """
    shares = frequencies[: windows.contexts(len(frequencies))] / np.maximum(frequencies.sum(), 1)
    sides = windows.window if windows.directed else [sum(windows.window)]
    total = 0.0
    for side in filter(None, sides):
        pairs = np.log(np.maximum(side * frequencies, 1))
        at = np.linspace(0, pairs.max(initial=0), 64)
        total += np.interp(pairs, at, [-np.expm1(-n * shares).sum() for n in np.exp(at)]).sum()
    return float(total)


def with_fewest_counts(estimate: Estimate, frequencies: NDArray[np.int64], pairing: Pairing) -> Estimate:
    """Return an estimate with the fewest nonzero counts that a text is expected to have; without a limit, unchanged.

    Parameters
    ----------
    estimate : Estimate
        Without the number of counts.
    frequencies : ndarray of int64 (V,)
        How often each word occurs, descending.
    pairing : Windows or Baskets
        How pairs are counted. The number of counts of baskets is not known in advance.
    """
    if estimate.memory_limit is None or not isinstance(pairing, Windows):
        return estimate
    nnz = int(LEAST_ENTRIES * likely_entries(frequencies, pairing))
    return replace(estimate, nnz=nnz, largest_group=max(nnz // group_count(estimate.inputs), 1))
