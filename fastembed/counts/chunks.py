"""A stream of ids, cut into chunks of bounded length for the counting of windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import Pool

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Chunk:
    """Ids with -1 at both ends and after each sequence; only ids[first:last] are centres of windows.

    The ids outside that range are contexts only: a sequence may begin in an earlier chunk or continue in a later one.
    The last chunk has `ends` True.
    """

    ids: Int32
    first: int
    last: int
    ends: bool = False


def cut_chunks(pieces: Iterable[Int32], size: int, reach: int, pool: Pool) -> Iterator[Chunk]:
    """Yield chunks of about `size` ids.

    Delete a chunk before you take the next: otherwise the ids of both are in memory.

    Parameters
    ----------
    pieces : iterable of int32 arrays
        The ids of a corpus, -1 after each sequence.
    size : int
        The number of ids that are centres of windows.
    reach : int
        The largest distance of a context: this many ids on either side of the centres are kept as contexts.
    pool : Pool
        The pool of threads that copy the pieces.
    """
    capacity = size + 4 * reach
    waiting: list[Int32] = []
    held, first = 0, 1
    for piece in pieces:
        while held + len(piece) >= capacity:
            waiting.append(piece[: capacity - held])
            piece = piece[capacity - held :]
            ids = _joined(waiting, capacity, pool)
            waiting = [ids[-1 - 2 * reach : -1].copy()]
            yield Chunk(ids, first, capacity + 1 - reach)
            del ids
            held, first = 2 * reach, reach + 1
        if len(piece):
            waiting.append(piece)
            held += len(piece)
    if held >= first:
        yield Chunk(_joined(waiting, held, pool), first, held + 1, ends=True)


def _joined(pieces: list[Int32], size: int, pool: Pool) -> Int32:
    """Return the ids of all pieces, with -1 at both ends; the list is emptied."""
    ids = np.empty(size + 2, dtype=np.int32)
    ids[0] = ids[-1] = -1
    ends = np.cumsum([len(piece) for piece in pieces]) + 1

    def copy(k: int) -> None:
        ids[ends[k] - len(pieces[k]) : ends[k]] = pieces[k]

    pool.run(copy, len(pieces))
    pieces.clear()
    return ids
