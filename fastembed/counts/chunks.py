"""A stream of ids, cut into chunks of bounded length for the counting of windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Chunk:
    """Ids with -1 at both ends and after each sequence; only ids[first:last] are centres of windows.

    The ids outside that range are context: a sequence may begin in an earlier chunk or continue in a later one.
    """

    ids: Int32
    first: int
    last: int


def cut_chunks(pieces: Iterable[Int32], size: int, reach: int) -> Iterator[Chunk]:
    """Yield chunks of about `size` ids; each uses the memory of the one before.

    Parameters
    ----------
    pieces : iterable of int32 arrays
        The ids of a corpus, -1 after each sequence.
    size : int
        The number of ids that are centres of windows.
    reach : int
        The largest distance of a context: this many ids beside them are kept as context.
    """
    capacity = size + 4 * reach + 2
    buffer = np.empty(capacity, dtype=np.int32)
    buffer[0] = -1
    first, end = 1, 1
    for piece in pieces:
        taken = 0
        while taken < len(piece):
            n = min(len(piece) - taken, capacity - 1 - end)
            buffer[end : end + n] = piece[taken : taken + n]
            taken += n
            end += n
            if end == capacity - 1:
                last = end - reach
                yield _chunk(buffer, first, last, end)
                kept = last - reach
                buffer[1 : end - kept + 1] = buffer[kept:end].copy()
                first, end = last - kept + 1, end - kept + 1
    if end > first:
        yield _chunk(buffer, first, end, end)


def _chunk(buffer: Int32, first: int, last: int, end: int) -> Chunk:
    buffer[end] = -1
    return Chunk(buffer[: end + 1], first, last)
