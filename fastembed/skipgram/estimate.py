"""`Estimate`: the memory and the floating-point operations of training, computed before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastembed._base.arrays import padded_width
from fastembed._base.estimator import pickled_as
from fastembed._base.memory import check_free, check_memory_limit, readable
from fastembed._base.sizes import SIZES
from fastembed.counts.groups import BUFFERED_BYTES, buffered_groups, group_count, shard_bounds
from fastembed.skipgram.gauge import PIECE
from fastembed.skipgram.start import AXES_ROWS, AXES_TASKS, OVERSAMPLING, POWER_ITERATIONS, most_blocks
from fastembed.skipgram.subwords import COLUMNS, RIDGE_STEPS
from fastembed.trainer.blocks import bag_bytes, row_bytes
from fastembed.trainer.inputs import FitOptions

ITEM = 4  # bytes per parameter: float32
PROCESS_BYTES = 85_000_000  # the interpreter, this package, NumPy, SciPy, and BLAS with its buffers
LATER_BYTES = 15_000_000  # bytes of code and buffers that the first training in a process loads
WORD_BYTES = 200  # per word of the vocabulary: the string, its id and its place in the dictionary
COUNT_BYTES = 12  # per stored count: its column and its value
EXPECTED_BYTES = 8  # per stored count: its expected value, after subsampling
READ_BYTES = 10  # per count of a group that is being read from a store, with values in float64
SCALED_BYTES = 4_000_000  # bytes of temporary arrays while such a group is scaled
# Per count of a group, while the PMI is computed: two groups, one of them being read, and the PMI of one, twice
START_GROUP_BYTES = 2 * COUNT_BYTES + READ_BYTES + 2 * 6
SPILLED_GROUP_BYTES = 3 * 6  # per count of a group whose PMI is in a file: three are in memory
STORED_BYTES = 6  # per count in a store: float32, and a column of 16 bits
PMI_BYTES = 6  # per stored count: its column within a block, and its PMI
SPARE = 0.08  # of a limit: what the C library holds beyond what is computed here; 5.5 % was the most seen
GAUGE_MATRICES = 10  # D x D, at the peak of the gauge: moments, axes, their scaled copies, the work of LAPACK
NGRAM_BYTES = 80  # per n-gram: the string and its index
ENTRY_BYTES = 8  # per n-gram of a word: its id and its weight
FOUND_ENTRY_BYTES = 20  # per n-gram of a word: measured memory beyond the arrays
TRAINED_ENTRY_BYTES = 20  # per n-gram of a word, while its weight is checked in float64
INPUT_BYTES = 45  # per input, in the epochs: the start of its counts, their sum, its weight, its position in the order


@pickled_as("skipgram.Estimate")
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
        Whether the expected counts replace the stored ones in memory, as in `SkipGram.fit`, which owns its counts.
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
    >>> estimate.flops  # 6 · 5 · 30,000² · 100, and the dense products of the start and of the gauge
    2716254000000
    >>> print(estimate)
    30,000 words, 30,000 outputs, counts not known yet: at least 2,716 GFLOP and 196 MB of memory
    """

    inputs: int
    outputs: int
    dim: int
    nnz: int
    epochs: int
    threads: int
    early_stopping: bool = False
    in_place: bool = field(default=False, compare=False)
    checkpoint: bool = field(default=False, compare=False)
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
        """Floating-point operations of the products in the start, in the epochs and in the gauge.

        See ``docs/derivation.md``, sections 4 and 6.
        """
        columns = self.dim + OVERSAMPLING
        products = 2 * (POWER_ITERATIONS + 1)
        start = products * (2 * self.nnz * columns + 2 * (self.inputs + self.outputs) * columns**2)
        bags = 2 * self.entries * self.dim * 2 * (RIDGE_STEPS + self.epochs)
        return start + bags + self.epochs * 6 * self.inputs * self.outputs * self.dim + self._gauge_flops

    @property
    def memory(self) -> int:
        """The peak bytes of the whole process, including interpreter, libraries, vocabulary and counts."""
        return self._held_memory + self.training_memory

    @property
    def _held_memory(self) -> int:
        """The bytes of the process during training, except those that training allocates."""
        counts = COUNT_BYTES * self.nnz if self.largest_group is None else 0
        resident = self.resident + LATER_BYTES if self.resident else 0
        return max(PROCESS_BYTES + WORD_BYTES * self.inputs + counts, resident)

    @property
    def disk(self) -> int:
        """The bytes of a store of these counts, and of the temporary file of the start; 0 for counts in memory.

        Before a store exists, its values are assumed to be float32, which takes 4 bytes less than float64.
        """
        return self._store + max(self._entries_memory - self.start_memory, 0)

    @property
    def disk_per_epoch(self) -> int:
        """The bytes that each epoch after the first reads from a store; the first epoch reads all of it."""
        groups = group_count(self.inputs)
        slots = self._buffered_groups
        return 0 if slots == groups else self._store * (groups - slots + self._least_groups) // groups

    @property
    def _store(self) -> int:
        if self.stored is not None or self.largest_group is None:
            return self.stored or 0
        return STORED_BYTES * self.nnz + 2 * self.inputs * (len(shard_bounds(self.outputs)) - 1)

    @property
    def training_memory(self) -> int:
        """The most bytes that the start, the epochs or the gauge allocate, without counts and words."""
        start = min(self._entries_memory, self.start_memory) + self._rest_of_start
        epochs = self._epochs_memory + self._buffered_groups * BUFFERED_BYTES * (self.largest_group or 0)
        phases = max(start, self._ridge_memory, epochs, self._gauge_memory)
        return self._expected_memory + self._bag_memory + phases

    @property
    def _expected_memory(self) -> int:
        """The bytes of expected counts; a store is read in groups."""
        return 0 if self.in_place or self.largest_group is not None else EXPECTED_BYTES * self.nnz

    @property
    def _bag_memory(self) -> int:
        return NGRAM_BYTES * self.ngrams + (ENTRY_BYTES + FOUND_ENTRY_BYTES) * self.entries

    @property
    def start_memory(self) -> int:
        """The limit on the bytes of the positive PMI in memory; the rest is in a temporary file."""
        if self.largest_group is None:
            return self._entries_memory
        if self.memory_limit is None:
            return check_memory_limit(None)
        return self._left_beside(self.memory_limit, self._rest_of_start)

    @property
    def buffer_memory(self) -> int:
        """The bytes of the buffer for counts of a store in the epochs; it holds at least a few groups."""
        if self.largest_group is None or self.memory_limit is None:
            return 0
        return self._left_beside(self.memory_limit, self._epochs_memory)

    def _left_beside(self, limit: int, others: int) -> int:
        """Return the bytes left of a limit after held memory and the other memory of a phase."""
        return max(int((1 - SPARE) * limit) - self._held_memory - self._bag_memory - others, 0)

    @property
    def _buffered_groups(self) -> int:
        """The number of groups of a store in memory in the epochs; 0 for counts in memory."""
        if not self.largest_group:
            return 0
        slots = self.buffer_memory // (BUFFERED_BYTES * self.largest_group)
        return min(max(slots, self._least_groups), group_count(self.inputs))

    @property
    def _read_memory(self) -> int:
        """The bytes of the file of a group of a store, and of temporary arrays while it is read."""
        if not self.largest_group:
            return 0
        file = READ_BYTES * self.largest_group
        if self.stored is not None:
            file = -(-self.stored * self.largest_group // self.nnz)
        return file + SCALED_BYTES

    @property
    def _least_groups(self) -> int:
        groups = group_count(self.inputs)
        return buffered_groups([self.inputs // groups] * groups, min(FitOptions.block_size, self.inputs))

    @property
    def _entries_memory(self) -> int:
        """The bytes of the positive PMI of all counts."""
        starts = 8 * self.inputs * (most_blocks(self.inputs, self.outputs, self.nnz) + 1)
        return PMI_BYTES * self.nnz + starts

    @property
    def _rest_of_start(self) -> int:
        """The bytes of the start without the positive PMI in memory: while it is computed, and afterwards."""
        largest = self.largest_group or 0
        return max(START_GROUP_BYTES * largest, self._start_memory + SPILLED_GROUP_BYTES * largest)

    @property
    def _start_memory(self) -> int:
        """The bytes of the factors of the start, and of temporary arrays."""
        wide, rows = self.dim + OVERSAMPLING, self.inputs + self.outputs
        squares = 8 * wide * wide * min(-(-max(self.inputs, self.outputs) // AXES_ROWS), AXES_TASKS)
        exact = self._tasks(AXES_ROWS) * 2 * 8 * min(AXES_ROWS, max(self.inputs, self.outputs)) * wide
        return ITEM * rows * padded_width(wide, "float32") + squares + exact

    @property
    def _ridge_memory(self) -> int:
        """With subwords: the bytes of the start, the fitted rows, the transposed bags, and five arrays per thread."""
        if not self.ngrams:
            return 0
        tasks = min(self.threads, -(-self.dim // COLUMNS))
        columns = ITEM * COLUMNS * tasks * (4 * self._rows + 2 * self.inputs)
        return ITEM * self.inputs * self.dim + self._parameters + ENTRY_BYTES * self.entries + columns

    def _tasks(self, rows: int) -> int:
        """Return the number of threads that can work at the same time on pieces of this many rows."""
        return min(self.threads, -(-max(self.inputs, self.outputs) // rows))

    @property
    def _rows(self) -> int:
        """The number of rows of the embedding."""
        return self.inputs + self.ngrams

    @property
    def _linear(self) -> int:
        return ITEM * self.outputs * padded_width(self.dim, "float32")

    @property
    def _parameters(self) -> int:
        return ITEM * self._rows * self.dim + self._linear

    @property
    def _gauge_memory(self) -> int:
        """The bytes of the parameters, of their copy in the gauge, and of rows and D x D matrices in float64.

        Each thread transforms blocks of rows, twice, and sums a matrix; the eigendecompositions need additional memory.
        """
        tasks, rows = self._tasks(PIECE), min(PIECE, max(self.inputs, self.outputs))
        composed = 2 * ITEM * self.inputs * self.dim + self._linear if self.ngrams else 0
        work = 8 * self.dim * (tasks * 2 * rows + (GAUGE_MATRICES + tasks) * self.dim)
        return 2 * self._parameters + max(composed, work)

    @property
    def _gauge_flops(self) -> int:
        """The operations of the gauge: covariances and changes of all rows, two eigendecompositions, six products."""
        return 4 * (self.inputs + self.outputs) * self.dim**2 + (2 * 9 + 6 * 2) * self.dim**3

    @property
    def _epochs_memory(self) -> int:
        width = padded_width(self.dim, "float32")
        # The current, last finite and best parameters, and the copy that a checkpoint is written from
        copies = 2 + self.early_stopping + self.checkpoint
        shards = len(shard_bounds(self.outputs)) - 1
        block = min(FitOptions.block_size, self.inputs) * row_bytes(self.outputs, self.dim, ITEM)
        buffers = min(self.threads, shards) * min(SIZES.shard_rows, self.outputs)  # rows of the buffers, one per thread
        # And their mean. Those of the fit to counts held out are never written to, and take no pages
        gradients = ITEM * width * ((1 + self.checkpoint) * self.outputs + buffers)
        fits = 2 if self.early_stopping else 1  # the fit to the counts, and that to the held-out counts
        finite = max(self._rows, self.outputs) * self.dim  # a byte per number, when the parameters are checked
        held_out = self._least_groups * BUFFERED_BYTES * (self.held_out_group or 0)
        shown = self._gauge_memory if self.shows else 0
        bags = fits * bag_bytes(self._rows, self._block_entries, ITEM) + TRAINED_ENTRY_BYTES * self.entries
        return (
            copies * self._parameters
            + gradients
            + fits * (block + INPUT_BYTES * self.inputs)
            + finite
            + (bags if self.ngrams else 0)
            + self._read_memory
            + held_out
            + shown
        )

    @property
    def _block_entries(self) -> int:
        """The approximate number of entries of the bags of a block; blocks of long words have up to twice as many."""
        return -(-2 * self.entries * min(FitOptions.block_size, self.inputs) // self.inputs)

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
            limit = readable(self.memory_limit)
            raise MemoryError(f"{what} takes {readable(self.memory)} of memory, above the limit of {limit}: {advice}")

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
