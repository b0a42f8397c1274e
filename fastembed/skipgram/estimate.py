"""`Estimate`: the memory and the floating-point operations that training takes, known before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from fastembed._base.arrays import padded_width
from fastembed._base.memory import free_memory
from fastembed.skipgram.start import OVERSAMPLING, POWER_ITERATIONS
from fastembed.trainer.blocks import row_bytes
from fastembed.trainer.options import FitOptions
from fastembed.trainer.shards import SHARD_ROWS, shard_bounds

ITEM = 4  # bytes per parameter: float32
PMI_BYTES = 28  # per stored count, while the positive PMI is computed: the count, its PMI, temporaries
SVD_BYTES = 24  # per stored count, during the SVD: the count, and the positive PMI by rows and by columns
FIT_BYTES = 12  # per stored count, while it is trained on


@dataclass(frozen=True)
class Estimate:
    """What a fit of `SkipGram` takes, computed from its sizes. ``print`` shows it in one line.

    Attributes
    ----------
    inputs, outputs, dim : int
        V_in, V and D.
    nnz : int
        The number of stored counts; 0 while it is not known.
    epochs, threads : int
    early_stopping : bool

    Examples
    --------
    >>> estimate = Estimate(inputs=30_000, outputs=30_000, dim=100, nnz=0, epochs=5, threads=2)
    >>> estimate.flops  # 6 · 5 · 30,000² · 100, and the dense products of the start
    2713824000000
    >>> print(estimate)
    30,000 words, 30,000 outputs, 0 counts: about 2,714 GFLOP and 123 MB of memory
    """

    inputs: int
    outputs: int
    dim: int
    nnz: int
    epochs: int
    threads: int
    early_stopping: bool = False

    @property
    def flops(self) -> int:
        """Floating-point operations of the products in the start and in the epochs.

        See ``docs/derivation.md``, sections 4 and 6.
        """
        columns = self.dim + OVERSAMPLING
        products = 2 * (POWER_ITERATIONS + 1)
        start = products * (2 * self.nnz * columns + 2 * (self.inputs + self.outputs) * columns**2)
        return start + self.epochs * 6 * self.inputs * self.outputs * self.dim

    @property
    def memory(self) -> int:
        """Bytes, beside the counts themselves, of the start or of training, whichever takes more."""
        rows = self.inputs + self.outputs
        parameters = ITEM * (self.inputs * self.dim + self.outputs * padded_width(self.dim, "float32"))
        wide = self.dim + OVERSAMPLING
        axes = ITEM * rows * wide + (2 * ITEM + 2 * 8) * max(self.inputs, self.outputs) * wide  # in double as well
        start = max(PMI_BYTES * self.nnz, SVD_BYTES * self.nnz + axes)
        copies = 3 if self.early_stopping else 2  # the parameters, the last good ones, the best ones
        shards = len(shard_bounds(self.outputs)) - 1
        row = row_bytes(self.outputs, self.dim, ITEM)
        block = FitOptions.block_size * row
        buffers = min(self.threads, shards) * min(SHARD_ROWS, self.outputs)  # rows of them, one buffer per thread
        gradients = ITEM * self.dim * (self.outputs + buffers)  # and their mean
        fits = 2 if self.early_stopping else 1  # of the counts trained on, and those held out
        transient = ITEM * rows * self.dim  # copies of the parameters without padding, made and freed on the way
        training = copies * parameters + fits * (block + gradients) + transient + FIT_BYTES * self.nnz
        return max(start, training)

    def check(self) -> None:
        """Raise MemoryError if training takes more memory than is free.

        Raises
        ------
        MemoryError
        """
        free = free_memory()
        if self.memory > free:
            raise MemoryError(
                f"training {self.inputs:,} words on {self.outputs:,} outputs in {self.dim:,} dimensions takes about"
                f" {_size(self.memory)}, but {_size(free)} are free: a smaller dim or max_contexts, or a larger"
                " min_count, takes less"
            )

    def __str__(self) -> str:
        return (
            f"{self.inputs:,} words, {self.outputs:,} outputs, {self.nnz:,} counts: about"
            f" {self.flops / 1e9:,.0f} GFLOP and {_size(self.memory)} of memory"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
