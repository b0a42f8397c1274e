"""Expected counts: stored counts divided by the denominator of the weights, times the factors of subsampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import row_ranges
from fastembed.counts.windows import Windows

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

SCALE_ENTRIES = 1 << 17  # entries that are scaled at a time: they and their factors fit into a second-level cache


@dataclass(frozen=True)
class Scale:
    """The factors that turn stored counts (V_in, V) into expected counts.

    Attributes
    ----------
    denominator : int
        The denominator of the weights of the windows.
    rows, columns : ndarray (V_in,), ndarray (V,); or None
        The factors of subsampling, if there was any.
    """

    denominator: int
    rows: Float | None
    columns: Float | None

    @classmethod
    def of(cls, windows: Windows | None, keep: Float | None, n_columns: int) -> Scale:
        """Return the factors for counts in windows, with the factors `keep` (V_in,) of subsampling."""
        denominator = 1 if windows is None else windows.weights()[2]
        if keep is None:
            return cls(denominator, None, None)
        directed = windows is not None and windows.directed
        contexts = keep[: n_columns // 2 if directed else n_columns]
        return cls(denominator, keep, np.tile(contexts, 2) if directed else contexts)

    @property
    def changes_nothing(self) -> bool:
        """Whether stored and expected counts are equal."""
        return self.denominator == 1 and self.rows is None

    def apply(self, stored: Float, out: Float, columns: Int32, lengths: Int64, rows: Float | None) -> None:
        """Scale the entries of some rows, one row after another; `out` may be `stored`.

        Parameters
        ----------
        stored, out : ndarray (n,)
        columns : ndarray of int32 (n,)
        lengths : ndarray of int64 (R,)
            The number of entries of each row.
        rows : ndarray (R,), optional
            The factors of these rows.
        """
        np.divide(stored, self.denominator, out=out)
        if rows is not None:
            assert self.columns is not None
            out *= np.repeat(rows, lengths)
            out *= self.columns[columns]

    def apply_by_rows(self, begins: Int64, ends: Int64, columns: Int32, values: Float, part: slice) -> None:
        """Scale in place the entries of the rows of a group, which are contiguous from index 0."""
        lengths = ends - begins
        factors = None if self.rows is None else self.rows[part]
        for first, last in row_ranges(lengths, SCALE_ENTRIES):
            entries = slice(int(begins[first]), int(ends[last - 1]))
            own = None if factors is None else factors[first:last]
            self.apply(values[entries], values[entries], columns[entries], lengths[first:last], own)
