"""Labels of points, which do not overlap: where each goes, and which have no space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastembed.plotting.projection import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 3.5  # points from the centre of a dot to its label
MARGIN = np.array([-1.0, -1.0, 1.0, 1.0])  # pixels around a label: a renderer of another resolution may round up
ALIGN_X = {1: "left", 0: "center", -1: "right"}
ALIGN_Y = {1: "bottom", 0: "center", -1: "top"}
# Positions of a label beside its dot, best first
PLACES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
MIDDLE = ((0, 0),)  # the position of a cluster's name


@dataclass(frozen=True)
class Label:
    """A label at a point of the map, and how it is drawn."""

    text: str
    xy: tuple[float, float]
    size: float
    weight: str
    colour: str
    places: tuple[tuple[int, int], ...]


def draw_labels(ax: Axes, labels: list[Label], families: list[str], most: int) -> int:
    """Draw labels in order where there is space, of `most` words at most; return the number of words with a label."""
    from matplotlib import patheffects
    from matplotlib.backends import backend_agg

    agg: Any = backend_agg  # for type checkers its classes take no arguments
    figure: Any = ax.get_figure(root=True)
    # One for all labels: a figure without a window's canvas would create a whole picture for each
    renderer = agg.RendererAgg(*figure.bbox.size, figure.dpi)
    figure.draw_without_rendering()  # fixes the position and size of the axes
    dots = ax.transData.transform([label.xy for label in labels])
    gap = GAP * figure.dpi / 72
    left, bottom, right, top = ax.bbox.extents
    halo = [patheffects.withStroke(linewidth=2.0, foreground="white", alpha=0.9)]
    # A dollar sign or a backslash in a token is itself, not mathematics
    common: dict[str, Any] = {"parse_math": False, "usetex": False, "in_layout": False, "path_effects": halo}
    common["family"] = families
    taken, drawn = np.empty((0, 4)), 0
    for label, dot in zip(labels, dots, strict=True):
        if drawn == most:
            break
        style: dict[str, Any] = {"fontsize": label.size, "fontweight": label.weight, "color": label.colour}
        text = ax.annotate(
            label.text, label.xy, (0, 0), textcoords="offset points", annotation_clip=False, **style, **common
        )
        size = np.array(text.get_window_extent(renderer).size)
        places = np.array(label.places)
        corners = dot + gap * places + (places - 1) / 2 * size
        boxes = np.hstack([corners, corners + size])
        inside = (boxes[:, :2] >= (left, bottom)).all(axis=1) & (boxes[:, 2:] <= (right, top)).all(axis=1)
        free = inside & ~_overlap(boxes, taken).any(axis=1)
        if not free.any():
            text.remove()
            continue
        covered = _overlap(boxes, np.hstack([dots, dots])).sum(axis=1)
        best = np.where(free, covered, len(dots) + 1).argmin()
        across, up = label.places[best]
        text.set(position=(GAP * across, GAP * up), ha=ALIGN_X[across], va=ALIGN_Y[up])
        taken = np.vstack([taken, boxes[best] + MARGIN])
        drawn += label.places is PLACES
    return drawn


def _overlap(boxes: Rows, others: Rows) -> npt.NDArray[np.bool_]:
    """Return which boxes (x0, y0, x1, y1), shape (B, 4), overlap which others, shape (C, 4): shape (B, C)."""
    a, b = boxes[:, None], others[None]
    overlap: npt.NDArray[np.bool_] = np.all((a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:]), axis=2)
    return overlap
