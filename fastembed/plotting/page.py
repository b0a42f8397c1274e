"""Pages in one file that needs no network, and the interactive one: a map of words to pan, zoom, search and ask."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import zlib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import check_integer, printable
from fastembed.formats.atomic import check_writable, replacing
from fastembed.plotting.figure import THEMES
from fastembed.plotting.layout import NOTES, Layout, Method, Rows, lay_out, middles
from fastembed.vectors.vectors import Vectors

FOLDER = files("fastembed.plotting") / "web"
SUFFIXES = (".html", ".htm")
SIDE = 65535  # the larger side of the map: places are 16-bit integers
DIMENSIONS = 100  # the most dimensions of the rows on a page: those along which the words differ most
FINE, COARSE = 127, 12  # steps of a component of a unit vector from 0 to 1: in few numbers, and in many
MANY = 1_000_000  # numbers
NAME = ", "  # what separates the words of a cluster's name
MAP_SCRIPTS = ("data.js", "view.js", "pointer.js", "choice.js")  # the scripts of all pages with a map


def check_page(path: str | os.PathLike[str]) -> None:
    """Raise ValueError or OSError unless this is a file to which a page can be written."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"a page's name must end in .html or .htm, got {str(path)!r}")
    check_writable(path)


def fill_page(template: str, scripts: Iterable[str], title: str, data: dict[str, Any], **texts: str) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        The file in the folder `web`. ``{{ name }}`` in it stands for a text.
    scripts : iterable of str
        The files of the page's script, in their order.
    title : str
        Plain text.
    data : dict
        What JSON holds, of numbers, lists and packed values: no token as it is.
    **texts : str
        HTML.
    """
    texts = texts | {"title": html.escape(printable(title)), "style": _read("page.css")}
    texts["script"] = "\n".join(map(_read, scripts))
    texts["data"] = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return _substitute(template, texts)


def fill_map(name: str, title: str, data: dict[str, Any], label: str, note: str, axes: str = "", **texts: str) -> str:
    """Return a page with a map and a panel beside it.

    Parameters
    ----------
    name : str
        ``name.html`` in the folder `web` is the panel, ``name.js`` its script.
    title, data
        As for `fill_page`.
    label : str
        What the map shows, as plain text for people who do not see it.
    note : str
        HTML below the panel.
    axes : str
        HTML over the map.
    **texts : str
        HTML in the panel.
    """
    panel, label = _substitute(f"{name}.html", texts), html.escape(printable(label))
    scripts = (*MAP_SCRIPTS, f"{name}.js")
    return fill_page("page.html", scripts, title, data, name=name, panel=panel, label=label, note=note, axes=axes)


def _substitute(template: str, texts: dict[str, str]) -> str:
    """Return the text of a file in the folder `web` with texts in the places of their names, ``{{ name }}``."""
    return re.sub(r"{{ (\w+) }}", lambda found: texts[found[1]], _read(template))


def _read(name: str) -> str:
    """Return the text of a file in the folder `web`."""
    return (FOLDER / name).read_text(encoding="utf-8")


def write_html(path: str | os.PathLike[str], page: str) -> None:
    """Write a page whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def pack_numbers(values: npt.NDArray[Any], least: str = "u1") -> list[str]:
    """Return integers as `data.js` unpacks them: the type, and the deflated bytes in base64.

    Parameters
    ----------
    values : ndarray
    least : {"u1", "u2", "i1"}
        Natural numbers get the smallest type that holds them, from this on; "i1" is that of others.

    Examples
    --------
    >>> pack_numbers(np.array([1, 2, 300]))[0], pack_numbers(np.array([-1]), "i1")[0]
    ('u2', 'i1')
    """
    kinds = [least] if least == "i1" else [kind for kind in ("u1", "u2", "u4") if kind >= least]
    kind = next(kind for kind in kinds if values.max(initial=0) <= np.iinfo(kind).max)
    return [kind, _base64(np.ascontiguousarray(values, f"<{kind}").tobytes())]


def pack_lines(lines: Iterable[str]) -> str:
    """Return lines of visible characters as `data.js` unpacks them."""
    return _base64("\n".join(map(printable, lines)).encode())


def _base64(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def write_page(
    vectors: Vectors,
    path: str | os.PathLike[str],
    *,
    words: Iterable[str | int] | None = None,
    topn: int = 50_000,
    neighbors: int = 10,
    method: Method | None = None,
    seed: int = 0,
    progress: bool = False,
) -> None:
    """Write a web page with a map of words: pan, zoom, search, click a word to see its neighbours, ask for analogies.

    The page contains everything it needs and makes no network requests; it needs a browser of 2023 or later. Neighbours
    are found by cosine in all dimensions, not on the map, among the words of the page. Names of regions and colours are
    those of clusters of the graph of neighbours. Opened with the fragment ``#king`` the page shows that word.

    Parameters
    ----------
    vectors : Vectors
    path : path-like
        The file to create or to replace, .html or .htm.
    words : iterable of str or int, optional
        Which words to show, the most important first, instead of the most frequent ones.
    topn : int
        Without `words`, how many of the first words to show. In the order of a :class:`Vocabulary` these are the most
        frequent ones.
    neighbors : int
        How many neighbours to list per word.
    method : {"pca", "umap", "tsne"}, optional
        As in :func:`plot_map`.
    seed : int
        Seed of UMAP and of the clusters; equal seeds give the same page, bit for bit.
    progress : bool
        Whether bars are drawn: of the search for neighbours, and of UMAP.

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

    Notes
    -----
    The page solves analogies by 3CosAdd with rounded vectors: of more than a million numbers, each is rounded to a
    12th of the length, which moves a cosine by about .024; of more than 100 dimensions the 100 along which the words
    differ most are kept.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> vectors = Vectors(["king", "queen", "cabbage"], np.array([[2.0, 1.0], [1.0, 1.0], [-1.0, 0.5]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(vectors, f"{folder}/map.html")
    ...     Path(f"{folder}/map.html").read_text(encoding="utf-8")[:15]
    '<!DOCTYPE html>'
    """
    check_page(path)
    neighbors = check_integer("neighbors", neighbors, low=1)
    layout = lay_out(vectors, words, topn, method, seed, neighbors=neighbors, progress=progress)
    write_html(path, map_page(layout, neighbors))


def map_page(layout: Layout, neighbors: int) -> str:
    """Return the page that shows a layout.

    Parameters
    ----------
    neighbors : int
        How many of each word to list.
    """
    title = f"Map of {len(layout.words):,} words"
    return fill_map("map", title, _data(layout, neighbors), title, NOTES[layout.method])


def _data(layout: Layout, neighbors: int) -> dict[str, Any]:
    """Return what the script of the page reads."""
    near, cosines = layout.near[:, :neighbors], layout.cosines[:, :neighbors]
    places, extent = _places(layout.coordinates)
    rows = _steps(layout.unit)
    return {
        "words": pack_lines(layout.words.tokens),
        "x": pack_numbers(places[:, 0], "u2"),
        "y": pack_numbers(places[:, 1], "u2"),
        "extent": extent,
        "colour": pack_numbers(layout.colours[layout.levels[0].labels]),
        "order": pack_numbers(layout.order, "u2"),
        "neighbors": near.shape[1],
        "near": pack_numbers(near, "u2"),
        "hundredths": pack_numbers(np.rint(100 * cosines), "i1"),
        "dim": rows.shape[1],
        "rows": pack_numbers(rows, "i1"),
        "levels": [_level(layout, number, places) for number in range(len(layout.levels))],
        "themes": THEMES,
    }


def _level(layout: Layout, number: int, places: Rows) -> dict[str, Any]:
    """Return the clusters of a level: that of each word, and the name, place and colour of each."""
    level = layout.levels[number]
    x, y = middles(level.labels, places).round().astype(int).T.tolist()
    return {
        "of": pack_numbers(level.labels),
        "names": pack_lines(NAME.join(layout.words.tokens[i] for i in name) for name in level.names),
        "x": x,
        "y": y,
        "colours": layout.colours_of(number).tolist(),
    }


def _places(coordinates: Rows) -> tuple[Rows, list[int]]:
    """Return coordinates in units of the map, (N, 2), and its width and height, of which the larger is `SIDE`."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    scale = SIDE / (float((high - low).max()) or 1.0)
    places = np.rint((coordinates - low) * scale)
    return places, [max(1, round(side)) for side in ((high - low) * scale).tolist()]


def _steps(unit: Rows) -> Rows:
    """Return unit vectors, or their components along the directions of most weight, in steps of a page."""
    if unit.shape[1] > DIMENSIONS:
        _, directions = np.linalg.eigh(unit.T @ unit)
        unit = unit @ directions[:, ::-1][:, :DIMENSIONS]
    return np.rint(unit * (FINE if unit.size <= MANY else COARSE))
