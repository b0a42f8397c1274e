"""What the matplotlib pictures share: a new figure or the user's axes, and writing the file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastembed._base.optional import require
from fastembed.formats.atomic import check_writable, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Per suffix, metadata without the time, so that the same picture has the same bytes
METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
INK, FAINT = "#222222", "#8a8a8a"
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
