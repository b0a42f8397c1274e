"""The training curve, and the parts that pictures share: colours, axes and files."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastembed._base.optional import require
from fastembed.formats.atomic import check_writable, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place: TypeAlias = "str | os.PathLike[str] | Axes | None"  # where a picture is drawn

# Okabe and Ito's palette without black and without yellow, which is too pale.
# Names of clusters have the colours of their dots, darkened until the contrast with the paper is 4.5
LIGHT: dict[str, Any] = {
    "paper": "#ffffff",
    "ink": "#222222",
    "dots": ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"),
    "names": ("#0072b2", "#986d0e", "#078563", "#a26386", "#417a99", "#ba5505"),
}
FAINT = "#8a8a8a"  # the colour of notes, ticks and frames
# Metadata without a time, by suffix, so that equal pictures have equal bytes
METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}}


def check_place(place: Place, suffixes: Iterable[str] = tuple(METADATA)) -> None:
    """Raise TypeError, ValueError or OSError unless a picture can be drawn at a place."""
    axes = require("matplotlib.axes", "plot").Axes
    if place is None or isinstance(place, axes):
        return
    if not isinstance(place, str | os.PathLike):
        raise TypeError(f"path_or_ax must be a path or matplotlib axes, got {type(place).__name__}")
    if Path(place).suffix.lower() not in suffixes:
        raise ValueError(f"a picture's name must end in {' or '.join(suffixes)}, got {str(place)!r}")
    check_writable(place)


@contextmanager
def drawing(place: Place, size: tuple[float, float]) -> Iterator[Axes]:
    """Yield the axes to draw on. If the place is a path, a block that ends without an error writes the figure.

    Without a place, the axes are of a new figure of pyplot, which a notebook or ``plt.show()`` shows.
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


def plot_history(history: Sequence[Mapping[str, float]], path_or_ax: Place = None) -> Axes:
    """Plot the nll of every epoch against epochs.

    Parameters
    ----------
    history : sequence of mapping
        Records of epochs, as :attr:`SkipGram.history` or :meth:`Trainer.fit_counts` gives them: "nll" (or "loss" of a
        classifier), and perhaps "validation_nll". A dotted line marks the epoch that early stopping kept.
    path_or_ax : path-like or matplotlib.axes.Axes, optional
        The file to write, .png or .svg, or the axes to draw on; by default axes of a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import tempfile
    >>> history = [{"nll": 8.1}, {"nll": 7.5}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ax = plot_history(history, f"{folder}/history.png")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epochs', 'nll per pair (nats)')
    """
    check_place(path_or_ax)
    if not isinstance(history, Sequence):
        raise TypeError(f"history must be a list of records, such as model.history, got {type(history).__name__}")
    if not history:
        raise ValueError("history must hold at least one record, got none")
    key = "nll" if "nll" in history[0] else "loss"
    records = [record for record in history if not record.get("left_out")]  # without the epochs of calibration
    nll = [record[key] for record in records]
    validation = [record.get("validation_nll", math.nan) for record in records]  # NaN is not drawn
    epochs = np.arange(1, len(nll) + 1)
    ticks = epochs[:: -(-len(epochs) // 10)]
    label = "nll per pair (nats)" if key == "nll" else "loss per document"
    with drawing(path_or_ax, (6.4, 4.0)) as ax:
        ax.plot(epochs, nll, "o-", color=LIGHT["dots"][0], label="training, before each step")
        if not all(map(math.isnan, validation)):
            ax.plot(epochs, validation, "s--", color=LIGHT["dots"][5], label="held out, after the epoch")
            for epoch in [number for number, record in enumerate(records, 1) if record.get("kept")]:
                ax.axvline(epoch, color=FAINT, linestyle=":", zorder=0)
            ax.legend(frameon=False, labelcolor=LIGHT["ink"])
        ax.set(xlabel="epochs", ylabel=label, xticks=ticks)
        ax.margins(x=0.05, y=0.1)
        ax.grid(axis="y", color="#e5e5e5")
        ax.tick_params(color=FAINT, labelcolor=LIGHT["ink"])
        ax.spines[:].set_color(FAINT)
    return ax
