"""The training curve: nll against epochs and seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastembed.plotting.figure import FAINT, LIGHT, Place, check_place, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_history(history: Sequence[Mapping[str, float]], path_or_ax: Place = None) -> Axes:
    """Plot the nll of every epoch against epochs (below) and seconds (above).

    Parameters
    ----------
    history : sequence of mapping
        One record per epoch, as :attr:`SkipGram.history` and :meth:`Trainer.fit_counts` give them: "nll" in nats per
        pair, of each row before its step; "seconds" of the epoch; and "validation_nll", after the epoch, where there
        is one. Epochs of several fits are numbered on. A dotted line marks an epoch that early stopping has kept.
        Of a classifier without an nll, "loss" is plotted, of the epochs in which no documents are left out.
    path_or_ax : path-like or matplotlib.axes.Axes, optional
        The file to create or to replace, .png or .svg, or the axes to draw on; by default those of a new figure of
        pyplot.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is missing, the extra [plot].
    KeyError, TypeError, ValueError
        If there is no record, one lacks a value, or the path has another suffix.
    OSError
        If the file cannot be written; the old file is then untouched.

    Examples
    --------
    >>> import tempfile
    >>> history = [{"nll": 8.1, "seconds": 2.0}, {"nll": 7.5, "seconds": 1.9}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ax = plot_history(history, f"{folder}/history.png")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epochs', 'nll per pair (nats)')
    """
    check_place(path_or_ax)
    if not history:
        raise ValueError("history must hold at least one record, got none")
    key = "nll" if "nll" in history[0] else "loss"
    records = [record for record in history if not record.get("left_out")]  # a classifier calibrates in between
    nll = [record[key] for record in records]
    seconds = np.cumsum([record["seconds"] for record in records])
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
        above = ax.secondary_xaxis("top")
        above.set_xticks(ticks, [f"{s:.3g}" if s < 100 else f"{s:,.0f}" for s in seconds[ticks - 1]])
        above.set_xlabel("seconds")
        for axis in (ax, above):
            axis.tick_params(color=FAINT, labelcolor=LIGHT["ink"])
            axis.spines[:].set_color(FAINT)
    return ax
