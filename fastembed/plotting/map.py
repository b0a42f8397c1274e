"""The map: words in the plane, names of their clusters, labels that do not overlap; as a picture or as a page."""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastembed._base.optional import require
from fastembed._base.validation import printable
from fastembed.formats.atomic import check_writable, replacing
from fastembed.plotting.figure import FAINT, LIGHT, METADATA, Place, check_place, drawing
from fastembed.plotting.layout import CROWD, Layout, Method, Points, lay_out, middles
from fastembed.vectors.vectors import Vectors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 30  # most characters of a label
LABELLED = 120  # the most words with labels, unless the caller chooses the words
PAGE = ".html"
ON_A_PICTURE, ON_A_PAGE = 5_000, 50_000  # the default numbers of words
AREA = 12_000.0  # square points of all dots together, within the limits of DOT
DOT = (1.2, 4.5)  # diameter in points
NAME_SIZES = (14.0, 9.5)  # points, of the names of clusters of the coarsest levels
WORD_SIZE = 7.5
GAP = 3.5  # points from the centre of a dot to its label
MARGIN = np.array([-1.0, -1.0, 1.0, 1.0])  # pixels around a label, for renderers that round up
ALIGN_X = {1: "left", 0: "center", -1: "right"}
ALIGN_Y = {1: "bottom", 0: "center", -1: "top"}
# Positions of a label beside its dot, best first
PLACES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
MIDDLE = ((0, 0),)  # the position of a cluster's name
PLAIN = ("normal", "normal", 400)  # style, stretch, weight
BOX = "\u25a1"  # stands for a character that no font has
NO_CHARACTER = 0x10FFFF  # a font that has this code point draws a box for every character


@dataclass(frozen=True)
class Label:
    """A label at a point of the map, and how it is drawn."""

    text: str
    xy: tuple[float, float]
    size: float
    weight: str
    colour: str
    places: tuple[tuple[int, int], ...]


def plot_map(
    vectors: Vectors,
    path_or_ax: Place = None,
    *,
    words: Iterable[str | int] | None = None,
    topn: int | None = None,
    method: Method | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Axes | None:
    """Draw words in the plane so that similar ones are near each other: a picture, or a page to explore.

    Similarity is the cosine. Colours are clusters of words in all dimensions: communities of the graph of nearest
    neighbours. Labels name clusters and the most typical words of each area, and never overlap. Words that you choose
    get labels in their order, as long as there is space.

    A file ``.html`` is a page to pan, zoom and search, without a network. A click on a word lists its neighbours among
    the words of the page, and three words make an analogy. The fragment ``#king`` in its address opens it at this word.

    Parameters
    ----------
    vectors : Vectors
    path_or_ax : path-like or matplotlib.axes.Axes, optional
        The file to write, .png, .svg or .html; or the axes to draw on, where labels fit the current size. By default
        the axes of a new figure of pyplot.
    words : iterable of str or int, optional
        Which words to show, the most important first, instead of the most frequent ones.
    topn : int, optional
        Without `words`, how many of the first words to show: by default 5,000, and 50,000 on a page.
    method : {"pca", "umap"}, optional
        Principal components keep variance. UMAP keeps neighbours together, needs the extra [maps], and is the default
        where it is installed, for 100 words or more.
    seed : int
        Seed of UMAP and of the clusters. Equal seeds give the same page, bit for bit.
    progress : bool
        Whether progress bars are drawn, of the search for neighbours and of UMAP.

    Returns
    -------
    matplotlib.axes.Axes, or None
        The axes of a picture; None for a page.

    Notes
    -----
    Words with a zero vector are left out. A page holds rounded vectors: if they have more than a million numbers, each
    is rounded to a 12th of the length, which moves a cosine by about .024. Of more than 100 dimensions, 100 are kept.

    Examples
    --------
    >>> import tempfile
    >>> vectors = Vectors(["king", "queen", "cabbage"], np.array([[2.0, 1.0], [1.0, 1.0], [-1.0, 0.5]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     axes = plot_map(vectors, f"{folder}/map.svg")
    >>> [text.get_text() for text in axes.texts]
    ['king', 'queen', 'cabbage']
    """
    if isinstance(path_or_ax, str | os.PathLike) and Path(path_or_ax).suffix.lower() == PAGE:
        check_writable(path_or_ax)
        topn = ON_A_PAGE if topn is None else topn
        _write_page(lay_out(vectors, words, topn, method, seed, progress), path_or_ax)
        return None
    check_place(path_or_ax, (*METADATA, PAGE))
    layout = lay_out(vectors, words, ON_A_PICTURE if topn is None else topn, method, seed, progress)
    names = map(printable, layout.words.tokens)
    texts = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    below, beside = "UMAP", ""
    if layout.method == "pca":
        clearer = "; the extra [maps] gives a clearer map" if method is None and len(texts) >= CROWD else ""
        below = f"first principal component ({layout.shares[0]:.0%} of the variance){clearer}"
        beside = f"second principal component ({layout.shares[1]:.0%})"
    families, lacking = _families(texts)
    texts = [text.translate(dict.fromkeys(lacking, BOX)) for text in texts]  # matplotlib would warn of each character
    below += f"; no installed font has the characters shown as {BOX}" * bool(lacking)
    with drawing(path_or_ax, (10.0, 8.0)) as ax:
        _draw_dots(ax, layout)
        ax.set_ylabel(beside, fontsize=8, color=FAINT)
        ax.set_xlabel(f"{below}\n ", fontsize=8, color=FAINT)  # the second line reserves space for the note
        whole = words is None and len(texts) >= CROWD
        labels = _names(layout, texts) if whole else []
        places = layout.coordinates.tolist()
        for i in layout.order if whole else range(len(texts)):
            x, y = places[i]
            labels.append(Label(texts[i], (x, y), WORD_SIZE, "normal", LIGHT["ink"], PLACES))
        drawn = _draw_labels(ax, labels, families, LABELLED if whole else len(texts))
        if drawn < len(texts):
            ax.set_xlabel(f"{below}\n{drawn:,} of {len(texts):,} words have a label")
    return ax


def _draw_dots(ax: Axes, layout: Layout) -> None:
    """Draw a dot for every word, in the colour of its cluster; the first words are on top."""
    size = min(max((AREA / len(layout.words)) ** 0.5, DOT[0]), DOT[1])
    colours = np.array(LIGHT["dots"])[layout.colours[layout.levels[0].labels]]
    x, y = layout.coordinates[::-1].T
    ax.scatter(x, y, s=size**2, color=colours[::-1], linewidths=0, alpha=0.8)
    ax.margins(0.03)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color("#dddddd")


def _names(layout: Layout, texts: list[str]) -> list[Label]:
    """Return the names of the clusters of the coarsest levels, the largest clusters first."""
    labels = []
    for number, (level, size) in enumerate(zip(layout.levels, NAME_SIZES, strict=False)):
        places = middles(level.labels, layout.coordinates).tolist()
        for words, (x, y), colour in zip(level.names, places, layout.colours_of(number), strict=True):
            if words:
                name = ", ".join(texts[i] for i in words)
                labels.append(Label(name, (x, y), size, "bold", LIGHT["names"][colour], MIDDLE))
    return labels


def _draw_labels(ax: Axes, labels: list[Label], families: list[str], most: int) -> int:
    """Draw labels in order where there is space, for at most `most` words; return the number of words with a label."""
    from matplotlib import patheffects
    from matplotlib.backends import backend_agg

    agg: Any = backend_agg  # for type checkers its classes take no arguments
    figure: Any = ax.get_figure(root=True)
    # One renderer for all labels: a figure without a canvas would create one for each label
    renderer = agg.RendererAgg(*figure.bbox.size, figure.dpi)
    figure.draw_without_rendering()  # fixes the position and size of the axes
    dots = ax.transData.transform([label.xy for label in labels])
    gap = GAP * figure.dpi / 72
    left, bottom, right, top = ax.bbox.extents
    halo = [patheffects.withStroke(linewidth=2.0, foreground="white", alpha=0.9)]
    # Dollar signs and backslashes in tokens do not start mathematics
    common: dict[str, Any] = {"parse_math": False, "usetex": False, "in_layout": False, "path_effects": halo}
    common["family"] = families
    taken, drawn = np.empty((0, 4)), 0
    for label, dot in zip(labels, dots, strict=True):
        if drawn == most:
            break
        style: dict[str, Any] = {"fontsize": label.size, "fontweight": label.weight, "color": label.colour}
        text = ax.annotate(
            label.text, label.xy, (0, 0), textcoords="offset points", annotation_clip=False, **style, **common
        )
        size = np.array(text.get_window_extent(renderer).size)
        places = np.array(label.places)
        corners = dot + gap * places + (places - 1) / 2 * size
        boxes = np.hstack([corners, corners + size])
        inside = (boxes[:, :2] >= (left, bottom)).all(axis=1) & (boxes[:, 2:] <= (right, top)).all(axis=1)
        free = inside & ~_overlap(boxes, taken).any(axis=1)
        if not free.any():
            text.remove()
            continue
        covered = _overlap(boxes, np.hstack([dots, dots])).sum(axis=1)
        best = np.where(free, covered, len(dots) + 1).argmin()
        across, up = label.places[best]
        text.set(position=(GAP * across, GAP * up), ha=ALIGN_X[across], va=ALIGN_Y[up])
        taken = np.vstack([taken, boxes[best] + MARGIN])
        drawn += label.places is PLACES
    return drawn


def _overlap(boxes: Points, others: Points) -> npt.NDArray[np.bool_]:
    """Return which boxes (x0, y0, x1, y1), shape (B, 4), overlap which others, shape (C, 4): shape (B, C)."""
    a, b = boxes[:, None], others[None]
    return np.all((a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:]), axis=2)


def _families(texts: Iterable[str]) -> tuple[list[str], set[int]]:
    """Return the font families to try, in order, and the code points that none of the families has.

    matplotlib's families are first, then come families with characters that matplotlib's lack.

    Examples
    --------
    >>> _families(["king", "größe"])
    (['sans-serif', 'DejaVu Sans'], set())
    """
    manager = require("matplotlib.font_manager", "plot")
    families = [*manager.FontProperties().get_family(), manager.fontManager.defaultFamily["ttf"]]
    lacking = set(map(ord, "".join(texts)))
    for family in families:
        lacking -= set(manager.get_font(manager.findfont(manager.FontProperties(family=[family]))).get_charmap())
    for font in manager.fontManager.ttflist:
        if lacking and (font.style, font.stretch, font.weight) == PLAIN:
            held = set(manager.get_font(font.fname).get_charmap())
            if lacking & held and NO_CHARACTER not in held:
                families.append(font.name)
                lacking -= held
    return families, lacking


# ---------------------------------------------------------------- the page

FOLDER = files("fastembed.plotting") / "web"
SCRIPTS = ("data.js", "view.js", "pointer.js", "map.js")
SIDE = 65535  # the larger side of the map: places are 16-bit integers
LISTED = 10  # neighbours of each word
DIMENSIONS = 100  # the most dimensions of the rows on a page: the directions of most weight
FINE, COARSE = 127, 12  # steps of a component from 0 to 1: for at most MANY numbers, and for more
MANY = 1_000_000  # numbers
# The hues of LIGHT, lighter for dark paper
DARK_DOTS = ("#3d9bdc", "#f2b233", "#1fbf92", "#dd93bd", "#93d6ff", "#f27a2a")
THEMES = {"light": LIGHT, "dark": {"paper": "#14171c", "ink": "#e6e6e6", "dots": DARK_DOTS, "names": DARK_DOTS}}
NOTES = {  # for people who look at a map
    "pca": "Places are the first two principal components, which show a small part of what the dimensions hold. "
    "UMAP, of the extra [maps], gives a clearer map.",
    "umap": "Neighbours were kept together by UMAP; long distances mean little.",
}


def _write_page(layout: Layout, path: str | os.PathLike[str]) -> None:
    """Write the page of a layout, atomically. Tokens are packed data, so that no token is read as HTML."""
    texts = {
        "title": f"Map of {len(layout.words):,} words",
        "note": NOTES[layout.method],
        "style": _read("page.css"),
        "script": "\n".join(map(_read, SCRIPTS)),
        "data": json.dumps(_data(layout), separators=(",", ":")),
    }
    page = re.sub(r"{{ (\w+) }}", lambda match: texts[match[1]], _read("page.html"))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _read(name: str) -> str:
    """Return the text of a file in the folder `web`."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _data(layout: Layout) -> dict[str, Any]:
    """Return the data that the script of the page reads."""
    near, cosines = layout.near[:, :LISTED], layout.cosines[:, :LISTED]
    places, extent = _places(layout.coordinates)
    rows = _steps(layout.unit)
    return {
        "words": _pack_lines(layout.words.tokens),
        "x": _pack_numbers(places[:, 0], "u2"),
        "y": _pack_numbers(places[:, 1], "u2"),
        "extent": extent,
        "colour": _pack_numbers(layout.colours[layout.levels[0].labels], "u1"),
        "order": _pack_numbers(layout.order, "u4"),
        "neighbors": near.shape[1],
        "near": _pack_numbers(near, "u4"),
        "hundredths": _pack_numbers(np.rint(100 * cosines), "i1"),
        "dim": rows.shape[1],
        "rows": _pack_numbers(rows, "i1"),
        "levels": [_level(layout, number, places) for number in range(len(layout.levels))],
        "themes": THEMES,
    }


def _level(layout: Layout, number: int, places: Points) -> dict[str, Any]:
    """Return a level: the cluster of each word, and the name, place and colour of each cluster."""
    level = layout.levels[number]
    x, y = middles(level.labels, places).round().astype(int).T.tolist()
    return {
        "of": _pack_numbers(level.labels, "u4"),
        "names": _pack_lines(", ".join(layout.words.tokens[i] for i in name) for name in level.names),
        "x": x,
        "y": y,
        "colours": layout.colours_of(number).tolist(),
    }


def _places(coordinates: Points) -> tuple[Points, list[int]]:
    """Return coordinates in units of the map, (N, 2), and the width and height of the map; the larger is `SIDE`."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    scale = SIDE / (float((high - low).max()) or 1.0)
    places = np.rint((coordinates - low) * scale)
    return places, [max(1, round(side)) for side in ((high - low) * scale).tolist()]


def _steps(unit: Points) -> Points:
    """Return unit vectors, reduced to `DIMENSIONS` directions of most weight, in steps of FINE or COARSE."""
    if unit.shape[1] > DIMENSIONS:
        _, directions = np.linalg.eigh(unit.T @ unit)
        unit = unit @ directions[:, ::-1][:, :DIMENSIONS]
    return np.rint(unit * (FINE if unit.size <= MANY else COARSE))


def _pack_numbers(values: npt.NDArray[Any], kind: str) -> list[str]:
    """Return integers as `data.js` unpacks them: the type, and the deflated bytes in base64."""
    return [kind, _base64(np.ascontiguousarray(values, f"<{kind}").tobytes())]


def _pack_lines(lines: Iterable[str]) -> str:
    """Return lines of visible characters as `data.js` unpacks them."""
    return _base64("\n".join(map(printable, lines)).encode())


def _base64(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode()
