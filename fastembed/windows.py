"""Windows over a text of ids: which pairs count, with what weight, and their sums as a sparse matrix.

From a corpus the count of word w and context c is the expectation of what word2vec samples,

    N[w, c] = keep(w) keep(c) sum over pairs at distance d of weight(d),
    keep(w) = min(1, sqrt(sample / f) + sample / f),  f = the word's share of all tokens of the vocabulary

(Mikolov et al., 2013, and the code of word2vec). The weights are fractions with a common denominator. What is summed
are the whole numbers denominator * weight(d): their sums are exact, so neither the order of the text nor the number
of threads changes a bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import check_flag, check_integer, check_number

__all__ = ["Windows"]

Float = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

WIDEST_HARMONIC = 40  # the lowest common multiple of 1 ... 41 is above 2^53
WIDEST = 1 << 16

WEIGHTINGS: dict[str, Callable[[int, int], Fraction]] = {
    "harmonic": lambda distance, _: Fraction(1, distance),
    "linear": lambda distance, length: Fraction(length - distance + 1, length),
    "flat": lambda *_: Fraction(1),
}


@dataclass(frozen=True)
class Windows:
    """How pairs are cut from text.

    Attributes
    ----------
    window : (int, int)
        The largest distance L on either side, (before, after).
    weighting : {"linear", "harmonic", "flat"}
        The weight at distance d: (L - d + 1) / L, 1 / d, or 1.
    sample : float, optional
        The threshold of word2vec's subsampling; None: every token counts in full.
    directed : bool
        Whether contexts before and after the word are columns of their own. Where the window has one side only there is
        but one kind of context, and this becomes False.
    max_contexts : int, optional
        Only so many of the most frequent words are contexts; None: all.

    Examples
    --------
    >>> before, after, denominator = Windows((2, 3), "harmonic").weights()
    >>> before / denominator, after / denominator
    (array([1. , 0.5]), array([1.        , 0.5       , 0.33333333]))
    """

    window: tuple[int, int]
    weighting: str = "linear"
    sample: float | None = None
    directed: bool = False
    max_contexts: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", window_sides(self.window))
        if self.weighting not in tuple(WEIGHTINGS):  # which need not be hashable
            raise ValueError(f"weighting must be one of {', '.join(map(repr, WEIGHTINGS))}, got {self.weighting!r}")
        if self.weighting == "harmonic" and max(self.window) > WIDEST_HARMONIC:
            raise ValueError(
                f"window must be at most {WIDEST_HARMONIC} for sums of harmonic weights to be exact, got "
                f"{self.window!r}; weighting='linear' has no such limit"
            )
        if self.sample is not None:
            object.__setattr__(self, "sample", check_number("sample", self.sample, above=True))
        object.__setattr__(self, "directed", check_flag("directed", self.directed) and all(self.window))
        if self.max_contexts is not None:
            object.__setattr__(self, "max_contexts", check_integer("max_contexts", self.max_contexts, low=1))

    def weights(self) -> tuple[Float, Float, int]:
        """Return (before, after, denominator): the weights at the distances 1, 2, ... times their denominator."""
        weight = WEIGHTINGS[self.weighting]
        sides = [[weight(d, length) for d in range(1, length + 1)] for length in self.window]
        denominator = math.lcm(*(fraction.denominator for side in sides for fraction in side))
        before, after = (np.array([int(fraction * denominator) for fraction in side], dtype=float) for side in sides)
        return before, after, denominator

    def contexts(self, vocabulary_size: int) -> int:
        """Return K, the number of words that are contexts.

        Parameters
        ----------
        vocabulary_size : int
            V.
        """
        return min(self.max_contexts or vocabulary_size, vocabulary_size)

    def columns(self, vocabulary_size: int) -> int:
        """Return the number of columns, K or 2 K.

        Parameters
        ----------
        vocabulary_size : int
            V.

        Raises
        ------
        ValueError
            If int32 cannot number them.
        """
        columns = self.contexts(vocabulary_size) * (2 if self.directed else 1)
        if columns > np.iinfo(np.int32).max:
            raise ValueError(f"counts can have at most 2^31 - 1 columns, got {columns:,}; lower max_contexts")
        return columns

    def check_order(self, counts: Int64) -> None:
        """Refuse `max_contexts` where the first words are not the most frequent ones.

        Parameters
        ----------
        counts : ndarray of int64, shape (V,)
            How often each word occurs.

        Raises
        ------
        ValueError
            If there are more words than contexts and the counts rise somewhere.
        """
        if self.contexts(len(counts)) < len(counts) and np.any(np.diff(counts) > 0):
            raise ValueError("max_contexts needs a vocabulary in the order of falling counts")

    def keep(self, counts: Int64) -> Float | None:
        """Return the probability that subsampling keeps each word, or None where there is no subsampling.

        A word of the vocabulary that never occurred counts as one that occurred once.

        Parameters
        ----------
        counts : ndarray of int64, shape (V,)
            How often each word occurs.
        """
        if self.sample is None:
            return None
        share = np.maximum(counts, 1) / max(int(counts.sum()), 1)
        return np.minimum(1.0, np.sqrt(self.sample / share) + self.sample / share)


def window_sides(window: int | tuple[int, int]) -> tuple[int, int]:
    """Return (before, after).

    Parameters
    ----------
    window : int or (int, int)
        The largest distance on both sides, or on either.

    Raises
    ------
    TypeError, ValueError
        If a distance is no integer from 0 to 65,536, or both are 0.
    """
    both = window if isinstance(window, tuple | list) else (window, window)
    if len(both) != 2:
        raise ValueError(f"window must be an integer or a pair (before, after), got {window!r}")
    before, after = (check_integer("window", side, low=0, high=WIDEST) for side in both)
    if not before + after:
        raise ValueError(f"window must be at least 1 on one side, got {window!r}")
    return before, after
