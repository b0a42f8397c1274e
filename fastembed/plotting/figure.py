"""What pictures share: colours, a new figure or the user's axes, and writing the file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastembed._base.optional import require
from fastembed.formats.atomic import check_writable, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette without black and without yellow, which is too pale; on dark paper the same hues, lighter.
# Names of clusters have the colours of their dots, with as much ink as makes them legible: a contrast of 4.5 with paper
LIGHT: dict[str, Any] = {
    "paper": "#ffffff",
    "ink": "#222222",
    "dots": ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"),
    "names": ("#0072b2", "#986d0e", "#078563", "#a26386", "#417a99", "#ba5505"),
}
DARK_DOTS = ("#3d9bdc", "#f2b233", "#1fbf92", "#dd93bd", "#93d6ff", "#f27a2a")
THEMES = {"light": LIGHT, "dark": {"paper": "#14171c", "ink": "#e6e6e6", "dots": DARK_DOTS, "names": DARK_DOTS}}
FAINT = "#8a8a8a"  # of what is read last on a picture
# Per suffix, metadata without the time, so that the same picture has the same bytes
METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_one_writer = threading.Lock()  # matplotlib has one set of settings for the process


def check_target(path: str | os.PathLike[str] | None, ax: Axes | None) -> None:
    """Raise TypeError, ValueError or OSError unless a picture can be written to this path and drawn on these axes."""
    axes = require("matplotlib.axes", "plot").Axes
    if isinstance(path, axes):
        raise TypeError("path must be a path, got axes: give them as ax=")
    if ax is not None and not isinstance(ax, axes):
        raise TypeError(f"ax must be matplotlib axes, got {type(ax).__name__}")
    if path is None:
        return
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a path, got {type(path).__name__}")
    suffix = Path(path).suffix
    if suffix.lower() not in METADATA:
        raise ValueError(f"a picture's name must end in {', '.join(METADATA)}, got {str(path)!r}")
    check_writable(path)


@contextmanager
def drawing(path: str | os.PathLike[str] | None, ax: Axes | None, size: tuple[float, float]) -> Iterator[Axes]:
    """Yield the axes to draw on, and write their figure to the path, if there is one, when the block ends well.

    Without a path and axes the figure is a new one of pyplot, which a notebook or ``plt.show()`` shows.
    """
    shape: dict[str, Any] = {"figsize": size, "layout": "constrained"}
    if ax is None and path is None:
        ax = require("matplotlib.pyplot", "plot").figure(**shape).add_subplot()
    elif ax is None:
        ax = require("matplotlib.figure", "plot").Figure(dpi=150, **shape).add_subplot()
    yield ax
    if path is None:
        return
    kind = Path(path).suffix.lower()
    figure: Any = ax.get_figure(root=True)
    with (
        _one_writer,
        require("matplotlib", "plot").rc_context({"svg.hashsalt": "fastembed"}),
        replacing(path) as temporary,
    ):
        figure.savefig(temporary, format=kind[1:], metadata=METADATA[kind])
