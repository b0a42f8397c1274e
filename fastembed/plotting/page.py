"""The interactive page: a map of words to pan, zoom and search, in one file that needs no network."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastembed._base.extras import require
from fastembed._base.printable import printable
from fastembed._base.validation import check_integer
from fastembed.formats.atomic import check_writable, replacing
from fastembed.plotting.figure import COLOURS, INK
from fastembed.plotting.projection import check_method, group, project, select
from fastembed.vectors.vectors import Vectors


def write_page(
    vectors: Vectors,
    path: str | os.PathLike[str],
    *,
    words: Iterable[str | int] | None = None,
    topn: int = 50_000,
    neighbors: int = 10,
    method: Literal["pca", "umap", "tsne"] = "pca",
    seed: int = 0,
) -> None:
    """Write a web page with a map of words: pan, zoom, search, click a word to see its neighbours.

    The page contains everything it needs and makes no network requests. Neighbours are found by
    cosine in all dimensions, not on the map, among the words of the page. Colours are those of :func:`plot_map`.

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
    method : {"pca", "umap", "tsne"}
        As in :func:`plot_map`.
    seed : int
        Seed of UMAP and of the colours; equal seeds give the same coordinates, bit for bit.

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

    Examples
    --------
    >>> import tempfile
    >>> vectors = Vectors(["king", "queen", "cabbage"], np.array([[2.0, 1.0], [1.0, 1.0], [-1.0, 0.5]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(vectors, f"{folder}/map.html")
    ...     Path(f"{folder}/map.html").read_text(encoding="utf-8")[:15]
    '<!DOCTYPE html>'
    """
    require("bokeh", "plot")
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"a page's name must end in .html or .htm, got {str(path)!r}")
    check_writable(path)
    neighbors = check_integer("neighbors", neighbors, low=1)
    seed = check_integer("seed", seed, low=0, high=2**32 - 1)
    shown, unit = select(vectors, words, topn)
    check_method(method, len(shown))
    coordinates, _ = project(unit, method, seed)
    near, cosines = shown.nearest(shown.tokens, neighbors)
    columns = {
        "x": coordinates[:, 0].astype(np.float32),
        "y": coordinates[:, 1].astype(np.float32),
        "word": [printable(word) for word in shown.tokens],
        "group": group(unit, seed).astype(np.uint8),
        "near": near.astype(np.uint16 if len(shown) <= 2**16 else np.uint32),
        "hundredths": np.rint(100 * cosines).astype(np.int8),
    }
    html = _html(columns)
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _html(columns: dict[str, Any]) -> str:
    """Return the page that shows these columns, one entry per word."""
    plotting, models = require("bokeh.plotting", "plot"), require("bokeh.models", "plot")
    folder = files("fastembed.plotting")
    words = models.ColumnDataSource(columns, name="words")
    labels = models.ColumnDataSource({"x": [], "y": [], "word": [], "style": []}, name="labels")
    marks = models.ColumnDataSource({"x": [], "y": [], "alpha": []}, name="marks")
    plot = plotting.figure(
        name="plot",
        sizing_mode="stretch_both",
        output_backend="webgl",
        tools="pan,wheel_zoom,box_zoom,reset,tap",
        active_scroll="wheel_zoom",
        toolbar_location="above",
        x_range=_range(columns["x"]),
        y_range=_range(columns["y"]),
    )
    plot.axis.visible = plot.grid.visible = False
    plot.outline_line_color = plot.toolbar.logo = None
    mapper = models.LinearColorMapper(palette=COLOURS, low=-0.5, high=len(COLOURS) - 0.5)
    colour = {"fill_color": {"field": "group", "transform": mapper}, "line_color": None}
    dots = plot.scatter("x", "y", source=words, size=5, fill_alpha=0.5, nonselection_fill_alpha=0.25, **colour)
    plot.scatter("x", "y", source=marks, size=9, fill_color=INK, fill_alpha="alpha", line_color=INK, line_width=1.5)
    style = {"text_font_size": "12px", "text_font_style": "style", "text_color": INK, "text_baseline": "middle"}
    halo = {"background_fill_color": "white", "background_fill_alpha": 0.75, "border_radius": 3}
    plot.text("x", "y", "word", source=labels, x_offset=7, **style, **halo)
    plot.add_tools(models.HoverTool(tooltips="@word", renderers=[dots], limit=5))
    plot.select_one(models.TapTool).renderers = [dots]
    document = require("bokeh.document", "plot").Document()
    document.add_root(plot)
    arguments = {"words": words, "labels": labels, "marks": marks, "plot": plot}
    script = models.CustomJS(args=arguments, code=(folder / "page.js").read_text(encoding="utf-8"))
    document.js_on_event("document_ready", script)
    html: str = require("bokeh.embed", "plot").file_html(
        document,
        require("bokeh.resources", "plot").INLINE,
        title=f"Map of {len(columns['word']):,} words",
        template=(folder / "page.html").read_text(encoding="utf-8"),
    )
    return html


def _range(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return the limits of an axis, with a margin around the values."""
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin
