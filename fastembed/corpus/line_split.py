"""A seeded share of the lines of a corpus, held out from the others without a copy of the text."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.pickling import pickled_as
from fastembed._base.validation import check_flag, check_integer, check_number

HELD_OUT = "held out"  # why tokens were dropped, in a ledger
SPAWN_KEY = (1,)  # makes a stream of its own: a model draws its start from the seed's first one


@pickled_as("corpus.LineSplit")
@dataclass(frozen=True)
class LineSplit:
    """One side of a split of the lines of a corpus: those held out, or the others.

    Each line is held out with probability `share`, independently: the n-th line by the n-th number of the generator
    ``numpy.random.default_rng(numpy.random.SeedSequence(seed, spawn_key=(1,)))``. The split depends on the seed alone,
    not on the form of the corpus or the number of threads.

    Attributes
    ----------
    share : float
        The probability that a line is held out, from 0 to 1.
    seed : int
        At least 0.
    held_out : bool
        True for the lines held out, False for the others.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `share` or `seed` is out of range.

    Examples
    --------
    >>> from fastembed import Counts
    >>> text = [[0, 1, 2], [1, 0], [2, 2, 1]]
    >>> training, validation = (Counts.from_corpus(text, 3, lines=LineSplit(0.5, 1, side)) for side in (False, True))
    >>> training.ledger.tokens_used, validation.ledger.tokens_used
    (2, 6)
    """

    share: float
    seed: int
    held_out: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", check_number("share", self.share, high=1.0))
        object.__setattr__(self, "seed", check_integer("seed", self.seed, low=0, high=math.inf))
        object.__setattr__(self, "held_out", check_flag("held_out", self.held_out))

    def __str__(self) -> str:
        return "lines held out" if self.held_out else "lines not held out"

    @property
    def dropped(self) -> str:
        """Why a ledger drops the tokens of the other side."""
        return "not held out" if self.held_out else HELD_OUT


def select_lines(pieces: Iterable[NDArray[np.int32]], split: LineSplit) -> Generator[NDArray[np.int32], Any, None]:
    """Yield the ids of the lines on one side of a split, from pieces of a text in which -1 stands after each line.

    Parameters
    ----------
    pieces : iterable of int32 arrays
    split : LineSplit

    Examples
    --------
    >>> text = [np.array([5, 6, -1, 7], np.int32), np.array([8, -1, 9, -1], np.int32)]  # three lines, in two pieces
    >>> [np.concatenate(list(select_lines(text, LineSplit(0.5, 1, side)))) for side in (True, False)]
    [array([ 5,  6, -1,  9, -1], dtype=int32), array([ 7,  8, -1], dtype=int32)]
    """
    rng = np.random.default_rng(np.random.SeedSequence(split.seed, spawn_key=SPAWN_KEY))
    taken = (rng.random(1) < split.share) == split.held_out  # whether the line that goes on in the next piece is taken
    for ids in pieces:
        ends = np.flatnonzero(ids < 0)
        taken = np.append(taken[-1:], (rng.random(len(ends)) < split.share) == split.held_out)
        yield ids[np.repeat(taken, np.diff(ends, prepend=-1, append=len(ids) - 1))]
