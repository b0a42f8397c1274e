"""Two models compared: how far each word moved, and its neighbours in both, on a page that needs no network."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.tables import html_table
from fastembed._base.validation import check_integer, printable
from fastembed.plotting.figure import THEMES
from fastembed.plotting.layout import without_zeros
from fastembed.plotting.page import check_page, fill_map, pack_lines, pack_numbers, write_html
from fastembed.vectors.neighbors import rounded_products, unit_vectors
from fastembed.vectors.vectors import Vectors, check_is_vectors

SHOWN = 5  # words of a comparison in one line
SIDE = 65535  # the width of the picture, in units of the page
HEIGHT = 0.62  # the height of the picture, per its width
LABEL = "How far each word moved, against how frequent it is"
AXES = '<p class="axis up">moved far &uarr;</p>\n  <p class="axis across">frequent &larr; &rarr; rare</p>'
NOTE = "The second vectors were turned to the first by the rotation that brings all shared words closest together."


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
    >>> Comparison(("a", "b"), np.array([0, 1]), np.array([0.5, 0.25])).moved(1)
    [('b', 0.25)]
    """

    tokens: tuple[str, ...]
    ranks: npt.NDArray[np.intp]
    cosines: npt.NDArray[np.float64]

    def moved(self, topn: int = 10, *, first: int | None = None) -> list[tuple[str, float]]:
        """Return the words that moved most, and the cosines of their two vectors, the smallest first.

        Parameters
        ----------
        topn : int
            How many words.
        first : int, optional
            The number of most frequent words that are considered; rare words have noisy vectors.
        """
        topn = check_integer("topn", topn, low=1)
        order = np.argsort(self.cosines, kind="stable")
        if first is not None:
            order = order[self.ranks[order] < check_integer("first", first, low=1)]
        return [(self.tokens[i], float(self.cosines[i])) for i in order[:topn]]

    def __repr__(self) -> str:
        moved = ", ".join(f"{printable(token)} {cosine:.2f}" for token, cosine in self.moved(SHOWN))
        return f"<Comparison of {len(self.tokens):,} words; moved most: {moved}>"

    def _repr_html_(self) -> str:
        rows = [[token, f"{cosine:.2f}"] for token, cosine in self.moved()]
        return html_table([["moved most", "cosine"], *rows], head=True)


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


def write_comparison(
    first: Vectors,
    second: Vectors,
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] = ("first", "second"),
    topn: int = 20_000,
    neighbors: int = 10,
    progress: bool = False,
) -> Comparison:
    """Write a web page that compares two models: words that moved, and the neighbours of a word in both.

    Two corpora, two times or two settings: vectors of two trainings have no common axes, so the second are turned to
    the first (:meth:`Vectors.align`). The page draws how far each word moved, the cosine distance of its two vectors,
    against how frequent it is. It contains all it needs and makes no network requests.

    Parameters
    ----------
    first, second : Vectors
        Of one dimension, tokens in the order of their frequency.
    path : path-like
        The file to create or to replace, .html or .htm.
    names : sequence of two str
        What the two are called on the page.
    topn : int
        How many of the first words of each to show.
    neighbors : int
        How many neighbours to list, found among these words by cosine in all dimensions.
    progress : bool
        Whether bars are drawn.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError
        If one of both is not a Vectors, the dimensions differ, there is no word in both, an argument is invalid, or the
        path has another suffix.
    OSError
        If the file cannot be written; the old file is then untouched.

    Examples
    --------
    >>> import tempfile
    >>> before = Vectors(["bank", "river", "money"], np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]))
    >>> after = Vectors(["bank", "river", "money"], np.array([[0.1, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     comparison = write_comparison(before, after, f"{folder}/page.html", names=("1900", "2000"))
    >>> comparison.moved(1)[0][0]
    'bank'
    """
    check_page(path)
    topn, neighbors = check_integer("topn", topn, low=1), check_integer("neighbors", neighbors, low=1)
    if isinstance(names, str) or len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names must be two str, got {names!r}")
    models = [
        without_zeros(vectors.subset(min(topn, len(vectors)))) if isinstance(vectors, Vectors) else vectors
        for vectors in (first, second)
    ]
    comparison = compare(*models)
    data = _data(comparison, models, min(neighbors, *(len(model) - 1 for model in models)), progress)
    one, other = (html.escape(printable(name)) for name in names)
    title = f"{names[0]} and {names[1]}: {len(comparison.tokens):,} words"
    write_html(path, fill_map("compare", title, data, LABEL, NOTE, AXES, first=one, second=other))
    return comparison


def _data(comparison: Comparison, models: list[Vectors], neighbors: int, progress: bool) -> dict[str, Any]:
    """Return what the script of the page reads."""
    shared = comparison.tokens
    known = set(shared)
    others = dict.fromkeys(token for model in models for token in model.tokens if token not in known)
    words = [*shared, *others]
    ids = {word: number for number, word in enumerate(words)}
    distances = np.maximum(1 - comparison.cosines, 0)
    ranks = np.log(comparison.ranks + 2.0)
    x = 0.93 * (ranks - ranks.min()) / (float(np.ptp(ranks)) or 1.0)  # space for the labels of the last
    y = distances / (float(distances.max()) or 1.0)
    data: dict[str, Any] = {
        "words": pack_lines(words),
        "shared": len(shared),
        "x": pack_numbers(np.rint(SIDE * x), "u2"),
        "y": pack_numbers(np.rint(SIDE * HEIGHT * y), "u2"),
        "extent": [SIDE, round(SIDE * HEIGHT)],
        "colour": pack_numbers(np.zeros(len(shared))),
        "order": pack_numbers(np.argsort(-distances, kind="stable"), "u2"),
        "distance": pack_numbers(np.rint(1000 * distances), "u2"),
        "ranks": pack_numbers(comparison.ranks, "u2"),
        "neighbors": neighbors,
        "themes": THEMES,
    }
    for name, model in zip(("first", "second"), models, strict=True):
        near, cosines = (
            each[:, :neighbors] for each in model.nearest(list(shared), max(neighbors, 1), progress=progress)
        )
        numbers = np.array([ids[token] for token in model.tokens])
        data[f"near_{name}"] = pack_numbers(numbers[near], "u2")
        data[name] = pack_numbers(np.rint(100 * cosines), "i1")
    return data
