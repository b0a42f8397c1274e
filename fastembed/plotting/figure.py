"""What the matplotlib pictures share: a figure of their own or the user's axes, and its file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastembed._base.extras import require
from fastembed.formats import replacing, writable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Endings, each with metadata that leave the time out: the same picture has the same bytes
FORMATS: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
INK, FAINT = "#222222", "#8a8a8a"
# Of the groups: Okabe and Ito's, which the colour-blind can tell apart, without black and without yellow, too pale here
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")

_one_writer = threading.Lock()  # matplotlib has one set of settings for the process


def check_path_or_ax(path_or_ax: str | os.PathLike[str] | Axes) -> None:
    """Refuse what is neither axes nor a file that matplotlib's pictures can be written to."""
    axes = require("matplotlib.axes", "plot").Axes
    if isinstance(path_or_ax, axes):
        return
    if not isinstance(path_or_ax, str | os.PathLike):
        raise TypeError(f"path_or_ax must be a path or matplotlib axes, got {type(path_or_ax).__name__}")
    suffix = Path(path_or_ax).suffix
    if suffix.lower() not in FORMATS:
        raise ValueError(f"a picture's name must end in {', '.join(FORMATS)}, got {str(path_or_ax)!r}")
    writable(path_or_ax)


@contextmanager
def drawing(path_or_ax: str | os.PathLike[str] | Axes, size: tuple[float, float]) -> Iterator[Axes]:
    """Give the axes to draw on; if they are of a new figure, `size` inches large, write it when the block ends well."""
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
        figure.savefig(temporary, format=kind[1:], metadata=FORMATS[kind])
