"""What pictures share: colours, a new figure or the user's axes, and writing the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from fastembed._base.optional import require
from fastembed.formats.atomic import check_writable, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place: TypeAlias = "str | os.PathLike[str] | Axes | None"  # of a picture

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
METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}}


def check_place(place: Place) -> None:
    """Raise TypeError, ValueError or OSError unless a picture can be drawn there."""
    axes = require("matplotlib.axes", "plot").Axes
    if place is None or isinstance(place, axes):
        return
    if not isinstance(place, str | os.PathLike):
        raise TypeError(f"path_or_ax must be a path or matplotlib axes, got {type(place).__name__}")
    if Path(place).suffix.lower() not in METADATA:
        raise ValueError(f"a picture's name must end in {', '.join(METADATA)}, got {str(place)!r}")
    check_writable(place)


@contextmanager
def drawing(place: Place, size: tuple[float, float]) -> Iterator[Axes]:
    """Yield the axes to draw on, and write their figure if the place is a path, when the block ends well.

    Without a place the figure is a new one of pyplot, which a notebook or ``plt.show()`` shows.
    """
    shape: dict[str, Any] = {"figsize": size, "layout": "constrained"}
    if place is None:
        yield require("matplotlib.pyplot", "plot").figure(**shape).add_subplot()
    elif isinstance(place, str | os.PathLike):
        figure = require("matplotlib.figure", "plot").Figure(dpi=150, **shape)
        yield figure.add_subplot()
        kind = Path(place).suffix.lower()
        with require("matplotlib", "plot").rc_context({"svg.hashsalt": "fastembed"}), replacing(place) as temporary:
            figure.savefig(temporary, format=kind[1:], metadata=METADATA[kind])
    else:
        yield place
