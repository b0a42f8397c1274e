"""Snapshots of parameters, which can be restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.threads import Pool

PIECE_BYTES = 1 << 20  # bytes of an array per task of copying or checking


class Snapshot:
    """A copy of some arrays, taken when this object is created and again with :meth:`take`.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The arrays, under the names that errors use.
    pool : Pool
        The threads that share the work.

    Examples
    --------
    >>> numbers = np.arange(3.0)
    >>> snapshot = Snapshot({"numbers": numbers}, Pool(1))
    >>> numbers[1] = np.inf
    >>> snapshot.fault()
    'numbers[1] is inf'
    >>> snapshot.restore()
    >>> numbers
    array([0., 1., 2.])
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], pool: Pool) -> None:
        self._arrays, self._pool = dict(arrays), pool
        self._copies = {name: np.empty_like(array) for name, array in self._arrays.items()}
        self._pieces = [
            (name, slice(first, first + rows))
            for name, array in self._arrays.items()
            for rows in [max(1, PIECE_BYTES // array[:1].nbytes)]
            for first in range(0, len(array), rows)
        ]
        self.take()

    @property
    def copies(self) -> dict[str, NDArray[Any]]:
        """The copies, by name."""
        return self._copies

    def take(self) -> None:
        """Copy the current values of the arrays."""
        self._for_each_piece(lambda name, rows: np.copyto(self._copies[name][rows], self._arrays[name][rows]))

    def restore(self) -> None:
        """Write the copy back to the arrays, in place."""
        self._for_each_piece(lambda name, rows: np.copyto(self._arrays[name][rows], self._copies[name][rows]))

    def fault(self) -> str | None:
        """Describe the first number of the arrays that is not finite; None if all are finite."""
        faulty = set()

        def check(name: str, rows: slice) -> None:
            if not np.isfinite(self._arrays[name][rows]).all():
                faulty.add(name)

        self._for_each_piece(check)
        for name, array in self._arrays.items():
            if name in faulty:
                place = np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape)
                return f"{name}[{', '.join(str(int(k)) for k in place)}] is {array[place]}"
        return None

    def _for_each_piece(self, task: Callable[[str, slice], object]) -> None:
        self._pool.run(lambda number: task(*self._pieces[number]), len(self._pieces))
