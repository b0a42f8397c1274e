"""The live curve of a fit in a notebook: the stage, its progress, and the nll of the epochs so far."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from fastembed.skipgram.estimate import Estimate

PAUSE = 0.2  # seconds between updates within a stage
WIDTH, HEIGHT, LEFT, EDGE = 520, 200, 60, 22  # size of the drawing and of its margins, in pixels
LINES = {"nll": ("training", "#0072b2"), "validation_nll": ("held out", "#d55e00")}


class Drawing:
    """HTML, which a notebook shows as it is."""

    def __init__(self, html: str) -> None:
        self._html = html

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        """Return the text for a front end without HTML."""
        return "the curve of a fit"


class LiveCurve:
    """Draws the progress of a fit below its notebook cell and updates it; the last curve stays.

    Parameters
    ----------
    epochs : int
        The number of epochs to come.
    display : callable
        ``IPython.display.display``.
    """

    def __init__(self, epochs: int, display: Callable[..., Any]) -> None:
        self._epochs, self._display = epochs, display
        self._handle: Any = None
        self._records: list[dict[str, Any]] = []
        self._drawn = 0.0
        self._stage = ""

    def reading(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been read: bytes of files, or sequences."""
        self._part("reading", done, total)

    def counting(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been counted, in the second pass over it."""
        self._part("counting", done, total)

    def training(self, estimate: Estimate) -> None:
        """Show that training begins, and the estimate of its cost."""
        self._draw(f"training {estimate}", 0, self._epochs)

    def epoch(self, record: dict[str, Any]) -> None:
        """Add an epoch to the curve."""
        self._records.append(record)
        number = int(record["epoch"])
        left = (self._epochs - number) * record["seconds"]
        note = f"perplexity {record['perplexity']:,.1f}, {f'{left:.0f} s left' if left else 'done'}"
        self._draw(f"epoch {number} of {self._epochs}: nll {record['nll']:.4f}, {note}", number, self._epochs)

    def _part(self, stage: str, done: int, total: int | None) -> None:
        """Draw a stage of counting, at most every PAUSE seconds."""
        if stage != self._stage or done == total or time.monotonic() - self._drawn > PAUSE:
            self._stage = stage
            self._draw(stage, done, total)

    def _draw(self, text: str, done: int, total: int | None) -> None:
        self._drawn = time.monotonic()
        share = f' value="{done}" max="{total}"' if total else ""
        drawing = Drawing(f"<div><progress{share}></progress> {text}</div>{curve(self._records, self._epochs)}")
        if self._handle is None:
            self._handle = self._display(drawing, display_id=True)
        else:
            self._handle.update(drawing)


def curve(records: list[dict[str, Any]], epochs: int) -> str:
    """Return the nll of epochs as SVG, in the colour of the text around it; "" for none.

    Parameters
    ----------
    records : list of dict
        As in :attr:`SkipGram.history`.
    epochs : int
        The length of the axis.

    Examples
    --------
    >>> curve([{"epoch": 1, "nll": 8.0}, {"epoch": 2, "nll": 7.5}], 5).count("<circle")
    2
    """
    lines = {key: [(r["epoch"], r[key]) for r in records if key in r] for key in LINES}
    values = [value for line in lines.values() for _, value in line]
    if not values:
        return ""
    low, high = min(values), max(values)
    across, up = (WIDTH - LEFT - EDGE) / max(epochs - 1, 1), (HEIGHT - 2 * EDGE) / ((high - low) or 1.0)
    parts = [_text(LEFT - 6, y, "end", f"{value:.3f}") for value, y in ((high, EDGE), (low, HEIGHT - EDGE))]
    parts += [_text(x, HEIGHT - 4, "middle", label) for x, label in ((LEFT, "1"), (WIDTH - EDGE, f"{epochs} epochs"))]
    for number, (key, (name, colour)) in enumerate(LINES.items()):
        places = [(LEFT + (epoch - 1) * across, EDGE + (high - value) * up) for epoch, value in lines[key]]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        if places:
            parts.append(_text(WIDTH - EDGE, EDGE + 16 * number, "end", f"nll, {name}", colour))
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="nll of each epoch">{"".join(parts)}</svg>'


def _text(x: float, y: float, anchor: str, text: str, colour: str = "currentColor") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="12" fill="{colour}">{text}</text>'


def notebook_display() -> Callable[..., Any] | None:
    """Return IPython's `display` if this process is the kernel of a notebook, otherwise None."""
    if "IPython" not in sys.modules:  # a notebook has imported it
        return None
    from IPython import get_ipython
    from IPython.display import display

    return display if hasattr(get_ipython(), "kernel") else None
