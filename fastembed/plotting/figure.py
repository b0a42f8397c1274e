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
