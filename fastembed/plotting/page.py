"""The interactive map: a page in one file that needs no network, to pan, zoom, search and ask."""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import printable
from fastembed.formats.atomic import replacing
from fastembed.plotting.figure import THEMES
from fastembed.plotting.layout import NOTES, Layout, Rows, middles

FOLDER = files("fastembed.plotting") / "web"
SCRIPTS = ("data.js", "view.js", "pointer.js", "map.js")
SIDE = 65535  # the larger side of the map: places are 16-bit integers
LISTED = 10  # neighbours of each word
DIMENSIONS = 100  # the most dimensions of the rows on a page: those along which the words differ most
FINE, COARSE = 127, 12  # steps of a component of a unit vector from 0 to 1: in few numbers, and in many
MANY = 1_000_000  # numbers


def write_page(layout: Layout, path: str | os.PathLike[str]) -> None:
    """Write the page that shows a layout, whole or not at all. Tokens are in it as packed data alone."""
    texts = {
        "title": f"Map of {len(layout.words):,} words",
        "note": NOTES[layout.method],
        "style": _read("page.css"),
        "script": "\n".join(map(_read, SCRIPTS)),
        "data": json.dumps(_data(layout), separators=(",", ":")),
    }
    page = re.sub(r"{{ (\w+) }}", lambda found: texts[found[1]], _read("page.html"))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _read(name: str) -> str:
    """Return the text of a file in the folder `web`."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _data(layout: Layout) -> dict[str, Any]:
    """Return what the script of the page reads."""
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


def _level(layout: Layout, number: int, places: Rows) -> dict[str, Any]:
    """Return the clusters of a level: that of each word, and the name, place and colour of each."""
    level = layout.levels[number]
    x, y = middles(level.labels, places).round().astype(int).T.tolist()
    return {
        "of": _pack_numbers(level.labels, "u4"),
        "names": _pack_lines(", ".join(layout.words.tokens[i] for i in name) for name in level.names),
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


def _pack_numbers(values: npt.NDArray[Any], kind: str) -> list[str]:
    """Return integers as `data.js` unpacks them: the type, and the deflated bytes in base64."""
    return [kind, _base64(np.ascontiguousarray(values, f"<{kind}").tobytes())]


def _pack_lines(lines: Iterable[str]) -> str:
    """Return lines of visible characters as `data.js` unpacks them."""
    return _base64("\n".join(map(printable, lines)).encode())


def _base64(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode()
