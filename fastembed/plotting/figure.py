"""What pictures share: colours, a new figure or the user's axes, and writing the file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastembed._base.optional import require
from fastembed.formats.atomic import check_writable, replacing
from fastembed.plotting.clusters import Labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette without black and without yellow, which is too pale; on dark paper the same hues, lighter
LIGHT = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
DARK = ("#3d9bdc", "#f2b233", "#1fbf92", "#dd93bd", "#93d6ff", "#f27a2a")
PAPER = {"light": "#ffffff", "dark": "#14171c"}
INK = {"light": "#222222", "dark": "#e6e6e6"}
FAINT = "#8a8a8a"  # of what is read last on a picture
LEGIBLE = 4.5  # the least contrast of text, of the Web Content Accessibility Guidelines
STEPS = 20  # steps from a colour to that of ink
# Per suffix, metadata without the time, so that the same picture has the same bytes
METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_one_writer = threading.Lock()  # matplotlib has one set of settings for the process


def theme(name: str) -> dict[str, Any]:
    """Return the colours of the "light" or the "dark" theme: of paper, ink, dots, and names of clusters."""
    dots = LIGHT if name == "light" else DARK
    return {"paper": PAPER[name], "ink": INK[name], "dots": dots, "names": [legible(dot, name) for dot in dots]}


def legible(colour: str, name: str) -> str:
    """Return a colour that is mixed with ink until text of it is legible on the paper of a theme.

    Examples
    --------
    >>> legible("#0072b2", "light"), legible("#e69f00", "light")
    ('#0072b2', '#986d0e')
    """
    ink = _rgb(INK[name])
    for step in range(STEPS + 1):
        mixed = _hex(_rgb(colour) + (ink - _rgb(colour)) * step / STEPS)
        if contrast(mixed, PAPER[name]) >= LEGIBLE:
            break
    return mixed


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21, as the Web Content Accessibility Guidelines define it.

    Examples
    --------
    >>> contrast("#000000", "#ffffff")
    21.0
    """
    low, high = sorted(map(_luminance, (one, other)))
    return float((high + 0.05) / (low + 0.05))


def spread_colours(labels: Labels, coordinates: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Return the number of a colour for each cluster: clusters of one colour are far apart on the map.

    The largest clusters come first; each takes the colour whose nearest cluster is farthest.

    Examples
    --------
    >>> spread_colours(np.arange(7), np.arange(14.0).reshape(7, 2)).tolist()
    [0, 1, 2, 3, 4, 5, 0]
    """
    centres = np.array([np.median(coordinates[labels == cluster], axis=0) for cluster in range(labels.max() + 1)])
    chosen = np.zeros(len(centres), np.uint8)
    for cluster, centre in enumerate(centres):
        far = np.linalg.norm(centres[:cluster] - centre, axis=1)
        nearest = [far[chosen[:cluster] == colour].min(initial=np.inf) for colour in range(len(LIGHT))]
        chosen[cluster] = np.argmax(nearest)
    return chosen


def _rgb(colour: str) -> npt.NDArray[np.float64]:
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)], np.float64)


def _hex(rgb: npt.NDArray[np.float64]) -> str:
    return "#" + "".join(f"{round(part):02x}" for part in rgb.tolist())


def _luminance(colour: str) -> float:
    """Return the relative luminance of an sRGB colour."""
    parts = _rgb(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def check_path_or_ax(path_or_ax: str | os.PathLike[str] | Axes) -> None:
    """Raise TypeError, ValueError or OSError unless this is axes or a file to which a picture can be written."""
    axes = require("matplotlib.axes", "plot").Axes
    if isinstance(path_or_ax, axes):
        return
    if not isinstance(path_or_ax, str | os.PathLike):
        raise TypeError(f"path_or_ax must be a path or matplotlib axes, got {type(path_or_ax).__name__}")
    suffix = Path(path_or_ax).suffix
    if suffix.lower() not in METADATA:
        raise ValueError(f"a picture's name must end in {', '.join(METADATA)}, got {str(path_or_ax)!r}")
    check_writable(path_or_ax)


@contextmanager
def drawing(path_or_ax: str | os.PathLike[str] | Axes, size: tuple[float, float]) -> Iterator[Axes]:
    """Yield the axes to draw on: the given ones, or those of a new figure that is written if the block ends well."""
    if not isinstance(path_or_ax, str | os.PathLike):
        yield path_or_ax
        return
    figure = require("matplotlib.figure", "plot").Figure(figsize=size, dpi=150, layout="constrained")
    yield figure.add_subplot()
    kind = Path(path_or_ax).suffix.lower()
    with (
        _one_writer,
        require("matplotlib", "plot").rc_context({"svg.hashsalt": "fastembed"}),
        replacing(path_or_ax) as temporary,
    ):
        figure.savefig(temporary, format=kind[1:], metadata=METADATA[kind])
