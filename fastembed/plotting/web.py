"""Pages in one file that needs no network: templates, and numbers and words packed into them."""

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

from fastembed._base.validation import printable
from fastembed.formats.atomic import check_writable, replacing

FOLDER = files("fastembed.plotting") / "web"
SUFFIXES = (".html", ".htm")
MAP_SCRIPTS = ("data.js", "view.js", "pointer.js", "choice.js")  # the scripts of all pages with a map


def check_page(path: str | os.PathLike[str]) -> None:
    """Raise ValueError or OSError unless this is a file to which a page can be written."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"a page's name must end in .html or .htm, got {str(path)!r}")
    check_writable(path)


def fill(template: str, scripts: Iterable[str], title: str, data: dict[str, Any], **texts: str) -> str:
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
    texts = texts | {"title": html.escape(printable(title)), "style": read("page.css")}
    texts["script"] = "\n".join(map(read, scripts))
    texts["data"] = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return substitute(template, texts)


def fill_map(name: str, title: str, data: dict[str, Any], label: str, note: str, axes: str = "", **texts: str) -> str:
    """Return a page with a map and a panel beside it.

    Parameters
    ----------
    name : str
        ``name.html`` in the folder `web` is the panel, ``name.js`` its script.
    title, data
        As for `fill`.
    label : str
        What the map shows, as plain text for people who do not see it.
    note : str
        HTML below the panel.
    axes : str
        HTML over the map.
    **texts : str
        HTML in the panel.
    """
    panel, label = substitute(f"{name}.html", texts), html.escape(printable(label))
    scripts = (*MAP_SCRIPTS, f"{name}.js")
    return fill("page.html", scripts, title, data, name=name, panel=panel, label=label, note=note, axes=axes)


def substitute(template: str, texts: dict[str, str]) -> str:
    """Return the text of a file in the folder `web` with texts in the places of their names, ``{{ name }}``."""
    return re.sub(r"{{ (\w+) }}", lambda found: texts[found[1]], read(template))


def read(name: str) -> str:
    """Return the text of a file in the folder `web`."""
    return (FOLDER / name).read_text(encoding="utf-8")


def write(path: str | os.PathLike[str], page: str) -> None:
    """Write a page whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def pack_numbers(values: npt.NDArray[Any], least: str = "u1") -> list[str]:
    """Return integers as `data.js` unpacks them: the type, and the deflated bytes in base64.

    Natural numbers get the smallest type that holds them, from `least` on; "i1" is that of others.

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
