"""Windows over text: which pairs of a word and its context count, and with what weight.

The count of word w and context c in a corpus is the expectation of what word2vec samples,

    N[w, c] = keep(w) keep(c) sum over pairs at distance d of weight(d),
    keep(w) = min(1, sqrt(sample / f) + sample / f),  f = the frequency of the word among all tokens of the vocabulary

(Mikolov et al., 2013, and the code of word2vec). The weights are fractions with a common denominator. The integers
denominator * weight(d) are summed, and their sums are exact: neither the order of the text nor the number of threads
changes a bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fastembed._base.pickling import pickled_as
from fastembed._base.validation import check_flag, check_integer, check_number

__all__ = ["Windows"]


def __dir__() -> list[str]:
    return __all__


Float = npt.NDArray[np.float64]

MAX_WINDOW = 1 << 16  # the largest distance of a context
MAX_HARMONIC_WINDOW = 40  # the lowest common multiple of 1 ... 41 is above 2^53

# The weight of a pair by its distance and the largest distance
WEIGHTINGS: dict[str, Callable[[int, int], Fraction]] = {
    "harmonic": lambda distance, _: Fraction(1, distance),
    "linear": lambda distance, length: Fraction(length - distance + 1, length),
    "flat": lambda *_: Fraction(1),
}


@pickled_as("windows.Windows")
@dataclass(frozen=True, init=False)
class Windows:
    """How pairs of a word and its context are cut from text.

    Parameters
    ----------
    window : int or (int, int)
        The largest distance L of a context on both sides, or on either: (before, after).
    weighting : {"linear", "harmonic", "flat"}
        The weight of a pair at distance d: (L - d + 1) / L, 1 / d, or 1.
    sample : float, optional
        The threshold of word2vec's subsampling; without it every token counts in full.
    directed : bool
        Whether contexts before and after the word have separate columns.
    max_contexts : int, optional
        Only this many of the most frequent words are contexts; by default all are.

    Attributes
    ----------
    window : (int, int)
        The largest distance on either side, (before, after).
    directed : bool
        As given, but False if the window has one side only: then there is only one kind of context.
    weighting, sample, max_contexts
        As given.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of range: a distance must be from 0 to 65,536 (40 for "harmonic", whose sums would not be
        exact beyond), and not 0 on both sides.

    Examples
    --------
    >>> before, after, denominator = Windows((2, 3), "harmonic").weights()
    >>> before / denominator, after / denominator
    (array([1. , 0.5]), array([1.        , 0.5       , 0.33333333]))
    """

    window: tuple[int, int]
    weighting: str
    sample: float | None
    directed: bool
    max_contexts: int | None

    def __init__(
        self,
        window: int | tuple[int, int],
        weighting: str = "linear",
        sample: float | None = None,
        directed: bool = False,
        max_contexts: int | None = None,
    ) -> None:
        sides = _sides(window)
        if weighting not in tuple(WEIGHTINGS):  # a tuple, since the value need not be hashable
            raise ValueError(f"weighting must be one of {', '.join(map(repr, WEIGHTINGS))}, got {weighting!r}")
        if weighting == "harmonic" and max(sides) > MAX_HARMONIC_WINDOW:
            raise ValueError(
                f"window must be at most {MAX_HARMONIC_WINDOW} for sums of harmonic weights to be exact, got {sides!r};"
                " weighting='linear' has no such limit"
            )
        values = {
            "window": sides,
            "weighting": weighting,
            "sample": None if sample is None else check_number("sample", sample, above=True),
            "directed": check_flag("directed", directed) and all(sides),
            "max_contexts": None if max_contexts is None else check_integer("max_contexts", max_contexts, low=1),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def weights(self) -> tuple[Float, Float, int]:
        """Return (before, after, denominator): the weights at the distances 1, 2, ... times their denominator."""
        weight = WEIGHTINGS[self.weighting]
        sides = [[weight(d, length) for d in range(1, length + 1)] for length in self.window]
        denominator = math.lcm(*(fraction.denominator for side in sides for fraction in side))
        before, after = (np.array([int(fraction * denominator) for fraction in side], dtype=float) for side in sides)
        return before, after, denominator

    def contexts(self, vocabulary_size: int) -> int:
        """Return K, the number of words that are contexts in a vocabulary of V words.

        Parameters
        ----------
        vocabulary_size : int
            V.
        """
        return min(self.max_contexts or vocabulary_size, vocabulary_size)

    def columns(self, vocabulary_size: int) -> int:
        """Return the number of columns of the counts: K, or 2 K if `directed`.

        Parameters
        ----------
        vocabulary_size : int
            V.

        Raises
        ------
        ValueError
            If it is above 2^31 - 1, the largest int32.
        """
        columns = self.contexts(vocabulary_size) * (2 if self.directed else 1)
        if columns > np.iinfo(np.int32).max:
            raise ValueError(f"counts can have at most 2^31 - 1 columns, got {columns:,}; lower max_contexts")
        return columns


def _sides(window: int | tuple[int, int]) -> tuple[int, int]:
    """Return (before, after), each from 0 to 65,536 and one of them positive."""
    both = window if isinstance(window, tuple | list) else (window, window)
    if len(both) != 2:
        raise ValueError(f"window must be an integer or a pair (before, after), got {window!r}")
    before, after = (check_integer("window", side, low=0, high=MAX_WINDOW) for side in both)
    if not before + after:
        raise ValueError(f"window must be at least 1 on one side, got {window!r}")
    return before, after
