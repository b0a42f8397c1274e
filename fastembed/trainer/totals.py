"""The sums of the rows and of the columns of counts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastembed._base.threads import Pool
from fastembed._kernels import cooccur
from fastembed.trainer.groups import GroupedCounts, RowGroup, as_groups, group_count, group_slice


class Totals(NamedTuple):
    """The sums of the rows (V_in,) and of the columns (V,) of counts."""

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]

    @classmethod
    def of(cls, counts: GroupedCounts | Any, pool: Pool) -> Totals:
        """Return the sums of grouped counts, or of a canonical CSR array.

        The column sums of the groups are added in the order of the groups, so that the bits are the same for any number
        of threads.
        """
        groups = as_groups(counts)
        if groups.totals is not None:
            return groups.totals
        (inputs, outputs), count = groups.shape, group_count(groups.shape[0])
        totals = cls(np.empty(inputs), np.zeros(outputs))
        for first in range(0, count, pool.threads):
            wave = range(first, min(first + pool.threads, count))
            parts: list[Totals] = [totals] * len(wave)

            def add(k: int, parts: list[Totals] = parts, wave: range = wave) -> None:
                parts[k] = cls.of_group(groups.read_group(wave[k]), outputs)

            pool.run(add, len(wave))
            for group, part in zip(wave, parts, strict=True):
                totals.add(group, part)
        return totals

    @classmethod
    def of_group(cls, group: RowGroup, outputs: int) -> Totals:
        """Return the sums of a single group."""
        rows, columns = np.empty(len(group.begins)), np.zeros(outputs)
        cooccur.add_totals(*group, rows, columns)
        return cls(rows, columns)

    def add(self, group: int, part: Totals) -> None:
        """Add the sums of the next group."""
        self.rows[group_slice(group, len(self.rows))] = part.rows
        self.columns[:] += part.columns
