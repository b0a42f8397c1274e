"""The labelled map: words in the plane, with labels that do not overlap."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastembed._base.printable import printable
from fastembed._base.validation import check_integer
from fastembed.plotting.figure import COLOURS, FAINT, INK, check_path_or_ax, drawing
from fastembed.plotting.fonts import choose_fonts
from fastembed.plotting.projection import Rows, check_method, group, project, select
from fastembed.vectors.vectors import Vectors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 30  # characters per label
NAMED = 5  # words in the warning about those that no font can show
GAP = 4.0  # points from the centre of a dot to its label
DOT = 4.5  # diameter in points
MARGIN = np.array([-1.0, -1.0, 1.0, 1.0])  # pixels around a label: a renderer of another resolution may round up
ALIGN_X = {1: "left", 0: "center", -1: "right"}
ALIGN_Y = {1: "bottom", 0: "center", -1: "top"}
PRINCIPAL = ("first principal component ({:.0%} of the variance)", "second principal component ({:.0%})")
# Positions of a label beside its dot, best first
PLACES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))


def plot_map(
    vectors: Vectors,
    path_or_ax: str | os.PathLike[str] | Axes,
    *,
    words: Iterable[str | int] | None = None,
    topn: int = 200,
    method: Literal["pca", "umap", "tsne"] = "pca",
    seed: int = 0,
) -> Axes:
    """Draw words in the plane so that similar ones are near each other.

    Vectors are scaled to length 1 first, so the map shows their cosines. Colours are groups of words that are similar
    in all dimensions (k-means). Labels never overlap: words are labelled in their order, each at the best free one of
    eight positions beside its dot. A word without a free position gets no label; a line below the map says how many.

    Parameters
    ----------
    vectors : Vectors
    path_or_ax : path-like or matplotlib.axes.Axes
        The file to create or to replace, .png, .svg or .pdf; or axes to draw on, for whose current size the labels are
        placed.
    words : iterable of str or int, optional
        Which words to show, the most important first, instead of the most frequent ones.
    topn : int
        Without `words`, how many of the first words to show. In the order of a :class:`Vocabulary` these are the most
        frequent ones.
    method : {"pca", "umap", "tsne"}
        Principal components show the largest share of the variance. UMAP and t-SNE keep neighbours together instead,
        and long distances mean nothing; they need the extra [maps].
    seed : int
        Seed of UMAP and of the colours; equal seeds give the same coordinates, bit for bit.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If a library is missing; the extra is named.
    KeyError
        If a word is unknown.
    TypeError, ValueError
        If there is no word, too few for the method, an argument is invalid, or the path has another suffix.
    OSError
        If the file cannot be written; the old file is then untouched.

    Warns
    -----
    UserWarning
        If words have characters that no installed font has; these are escaped.

    Notes
    -----
    Characters that the fonts in ``matplotlib.rcParams["font.family"]`` lack are drawn in another font that has them.

    Examples
    --------
    >>> import tempfile
    >>> vectors = Vectors(["king", "queen", "cabbage"], np.array([[2.0, 1.0], [1.0, 1.0], [-1.0, 0.5]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     axes = plot_map(vectors, f"{folder}/map.svg")
    >>> [text.get_text() for text in axes.texts]
    ['king', 'queen', 'cabbage']
    """
    check_path_or_ax(path_or_ax)
    seed = check_integer("seed", seed, low=0, high=2**32 - 1)
    shown, unit = select(vectors, words, topn)
    check_method(method, len(shown))
    coordinates, shares = project(unit, method, seed)
    below, beside = {"pca": PRINCIPAL, "umap": ("UMAP", ""), "tsne": ("t-SNE", "")}[method]
    if shares is not None:
        below, beside = below.format(shares[0]), beside.format(shares[1])
    families, lacking = choose_fonts(map(printable, shown.tokens))
    if poor := [word for word in shown.tokens if lacking.intersection(word)]:
        named = ", ".join(map(repr, poor[:NAMED])) + (f" and {len(poor) - NAMED} more" if len(poor) > NAMED else "")
        message = f"words with characters that no installed font has are escaped, install one that has them: {named}"
        warnings.warn(message, stacklevel=2)
    labels = [_short(printable(word, lacking)) for word in shown.tokens]
    with drawing(path_or_ax, (10.0, 8.0)) as ax:
        _draw_dots(ax, coordinates, group(unit, seed))
        ax.set_ylabel(beside, fontsize=8, color=FAINT)
        ax.set_xlabel(f"{below}\n ", fontsize=8, color=FAINT)  # the second line reserves space for the note
        left_out = _draw_labels(ax, coordinates, labels, families)
        if left_out:
            ax.set_xlabel(f"{below}\n{left_out} of {len(shown)} words have no label, for lack of space")
    return ax


def _draw_dots(ax: Axes, coordinates: Rows, groups: npt.NDArray[np.intp]) -> None:
    """Draw a dot for every word, in the colour of its group."""
    ax.scatter(coordinates[:, 0], coordinates[:, 1], s=DOT**2, color=np.array(COLOURS)[groups], linewidths=0)
    ax.margins(0.06)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _draw_labels(ax: Axes, coordinates: Rows, labels: list[str], families: list[str]) -> int:
    """Label the dots in their order where there is space; return how many have no label."""
    from matplotlib.backends import backend_agg

    agg: Any = backend_agg  # for type checkers its classes take no arguments
    figure: Any = ax.get_figure(root=True)
    # One for all labels: a figure without a window's canvas would create a whole picture for each
    renderer = agg.RendererAgg(*figure.bbox.size, figure.dpi)
    figure.draw_without_rendering()  # fixes the position and size of the axes
    dots = ax.transData.transform(coordinates)
    gap = GAP * figure.dpi / 72
    left, bottom, right, top = ax.bbox.extents
    taken = np.empty((0, 4))
    # A dollar sign or a backslash in a token is itself, not mathematics
    style: dict[str, Any] = {"fontsize": 8, "color": INK, "parse_math": False, "usetex": False, "in_layout": False}
    style["family"] = families
    for label, xy, dot in zip(labels, coordinates, dots, strict=True):
        text = ax.annotate(label, xy, (0, 0), textcoords="offset points", annotation_clip=False, **style)
        size = np.array(text.get_window_extent(renderer).size)
        corners = dot + gap * np.array(PLACES) + (np.array(PLACES) - 1) / 2 * size
        boxes = np.hstack([corners, corners + size])
        inside = (boxes[:, :2] >= (left, bottom)).all(axis=1) & (boxes[:, 2:] <= (right, top)).all(axis=1)
        free = inside & ~_overlap(boxes, taken).any(axis=1)
        if not free.any():
            text.remove()
            continue
        covered = _overlap(boxes, np.hstack([dots, dots])).sum(axis=1)
        best = np.where(free, covered, len(dots) + 1).argmin()
        across, up = PLACES[best]
        text.set(position=(GAP * across, GAP * up), ha=ALIGN_X[across], va=ALIGN_Y[up])
        taken = np.vstack([taken, boxes[best] + MARGIN])
    return len(labels) - len(taken)


def _overlap(boxes: Rows, others: Rows) -> npt.NDArray[np.bool_]:
    """Return which boxes (x0, y0, x1, y1), shape (B, 4), overlap which others, shape (C, 4): shape (B, C)."""
    a, b = boxes[:, None], others[None]
    overlap: npt.NDArray[np.bool_] = np.all((a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:]), axis=2)
    return overlap


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"
