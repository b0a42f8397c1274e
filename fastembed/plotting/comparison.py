"""Two models compared: how far each word moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import check_integer, printable
from fastembed.corpus.tokens import ENGLISH
from fastembed.plotting.layout import without_zeros
from fastembed.vectors.neighbors import rounded_products, unit_vectors
from fastembed.vectors.vectors import Vectors, check_is_vectors

SHOWN = 5  # words of a comparison in one line
FUNCTION_WORDS = frozenset(ENGLISH)


@dataclass(frozen=True)
class Comparison:
    """How far words moved from one set of vectors to another.

    Attributes
    ----------
    tokens : tuple of str
        The N words of both, the most frequent first.
    ranks : ndarray of intp, shape (N,)
        The rank of each word by frequency, from 0: the larger of its two.
    cosines : ndarray of float64, shape (N,)
        Of the two vectors of each word, after the second were aligned with the first.

    Examples
    --------
    >>> Comparison(("cat", "dog"), np.array([0, 1]), np.array([0.5, 0.25])).moved(1)
    [('dog', 0.25)]
    """

    tokens: tuple[str, ...]
    ranks: npt.NDArray[np.intp]
    cosines: npt.NDArray[np.float64]

    def moved(self, topn: int = 10, *, first: int | None = None) -> list[tuple[str, float]]:
        """Return the words that moved most, and the cosines of their two vectors, the smallest first.

        English function words, as of ``drop="english"``, are left out: they move with the style of a text.

        Parameters
        ----------
        topn : int
            How many words.
        first : int, optional
            The number of most frequent words that are considered; rare words have noisy vectors.
        """
        topn = check_integer("topn", topn, low=1)
        first = max(self.ranks) + 1 if first is None else check_integer("first", first, low=1)
        order = np.argsort(self.cosines, kind="stable")
        words = [i for i in order if self.ranks[i] < first and self.tokens[i] not in FUNCTION_WORDS]
        return [(self.tokens[i], float(self.cosines[i])) for i in words[:topn]]

    def __repr__(self) -> str:
        moved = ", ".join(f"{printable(token)} {cosine:.2f}" for token, cosine in self.moved(SHOWN))
        return f"<Comparison of {len(self.tokens):,} words; moved most: {moved}>"


def compare(first: Vectors, second: Vectors) -> Comparison:
    """Return how far the words of both moved from the first vectors to the second.

    Parameters
    ----------
    first, second : Vectors
        Of one dimension, tokens in the order of their frequency.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError
        If one of both is not a Vectors, the dimensions differ, or there is no word in both.

    Examples
    --------
    >>> before = Vectors(["bank", "river", "money"], np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]))
    >>> after = Vectors(["bank", "river", "money"], np.array([[0.1, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    >>> compare(before, after).moved(1)[0][0]
    'bank'
    """
    for name, vectors in (("first", first), ("second", second)):
        check_is_vectors(name, vectors)
    first, second = without_zeros(first), without_zeros(second)
    turned = second.align(first)
    rows = {token: row for row, token in enumerate(second.tokens)}
    pairs = [(row, rows[token]) for row, token in enumerate(first.tokens) if token in rows]
    ranks = np.array([max(pair) for pair in pairs])
    order = np.argsort(ranks, kind="stable")
    ids = np.array(pairs)[order]
    one, other = unit_vectors(first.matrix[ids[:, 0]]), unit_vectors(turned.matrix[ids[:, 1]])
    cosines = rounded_products(one, other)
    return Comparison(tuple(first.tokens[i] for i in ids[:, 0]), ranks[order], cosines)
