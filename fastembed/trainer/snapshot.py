"""A copy of parameters to go back to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Snapshot:
    """A copy of some arrays, as they were when it was last taken: at first, when this object was made.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        By the names that errors give them.

    Examples
    --------
    >>> numbers = np.arange(3.0)
    >>> snapshot = Snapshot({"numbers": numbers})
    >>> numbers[1] = np.inf
    >>> snapshot.fault()
    'numbers[1] is inf'
    >>> snapshot.restore()
    >>> numbers
    array([0., 1., 2.])
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = dict(arrays)
        self._copies = {name: array.copy() for name, array in self._arrays.items()}

    def take(self) -> None:
        """Copy what the arrays hold now."""
        for name, array in self._arrays.items():
            np.copyto(self._copies[name], array)

    def restore(self) -> None:
        """Put the copy back into the arrays, in place."""
        for name, array in self._arrays.items():
            np.copyto(array, self._copies[name])

    def fault(self) -> str | None:
        """Say which number of the arrays is the first that is not finite now; None if all are finite."""
        for name, array in self._arrays.items():
            finite = np.isfinite(array)
            if not finite.all():
                place = np.unravel_index(int(np.argmin(finite)), array.shape)
                return f"{name}[{', '.join(str(int(k)) for k in place)}] is {array[place]}"
        return None
