"""Arrays as the kernels take them: aligned to cache lines, with rows padded to whole cache lines."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

CACHE_LINE = 64  # bytes


def padded_width(dim: int, dtype: np.dtype[Any] | str) -> int:
    """Return `dim` rounded up to a whole number of cache lines of this dtype."""
    lanes = CACHE_LINE // np.dtype(dtype).itemsize
    return -(-dim // lanes) * lanes


def read_only(array: NDArray[Number]) -> NDArray[Number]:
    """Return a view that cannot be written to, or the array itself if it cannot."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def own_memory(array: NDArray[Number]) -> NDArray[Number] | None:
    """Return a writable array of the memory of a read-only view; None if it is mapped from a file or has no owner."""
    base = array.base
    if type(base) is not np.ndarray or not base.flags.owndata or not base.flags.writeable or base.ndim != 1:
        return None
    own = base[: len(array)]
    same = own.dtype == array.dtype and own.shape == array.shape and own.ctypes.data == array.ctypes.data
    return own if same else None


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any] | str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an array of zeros, C-contiguous, whose memory begins at a cache line."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.intp)) * dtype.itemsize
    raw = np.zeros(size + CACHE_LINE, dtype=np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(dtype).reshape(shape)
