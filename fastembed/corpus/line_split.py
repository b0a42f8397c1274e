"""A seeded share of a corpus' lines, held out from the others; no text is copied for it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lines:
    """Which lines of a corpus to take: those held out, or the others.

    Each line is held out with probability `share`, independently: the n-th line by the n-th number of the generator, so
    that the choice depends on the seed and on nothing else.

    Parameters
    ----------
    share : float
        Between 0 and 1.
    seed : int
    held_out : bool
        Take the lines held out; otherwise the others.

    Examples
    --------
    >>> text = [np.array([5, 6, -1, 7], np.int32), np.array([8, -1, 9, -1], np.int32)]  # three lines, in two pieces
    >>> [np.concatenate(list(Lines(0.5, 1, side).of(text))) for side in (True, False)]
    [array([ 9, -1], dtype=int32), array([ 5,  6, -1,  7,  8, -1], dtype=int32)]
    """

    share: float
    seed: int
    held_out: bool

    def __str__(self) -> str:
        return "lines held out" if self.held_out else "lines not held out"

    def of(self, pieces: Iterable[NDArray[np.int32]]) -> Generator[NDArray[np.int32], Any, None]:
        """Yield the ids of these lines, from pieces of a text in which -1 stands after each line."""
        rng = np.random.default_rng(self.seed)
        taken = (rng.random(1) < self.share) == self.held_out  # the line that is open
        for ids in pieces:
            ends = np.flatnonzero(ids < 0)
            taken = np.append(taken[-1:], (rng.random(len(ends)) < self.share) == self.held_out)
            yield ids[np.repeat(taken, np.diff(ends, prepend=-1, append=len(ids) - 1))]
