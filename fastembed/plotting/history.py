"""The training curve: nll against epochs and seconds."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.validation import check_number
from fastembed.plotting.figure import FAINT, LIGHT, check_target, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_history(
    history: Sequence[Mapping[str, float]] | NDArray[Any],
    path: str | os.PathLike[str] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Plot the nll of every epoch against epochs (below) and seconds (above).

    Parameters
    ----------
    history : sequence of mapping, or array_like (epochs,)
        One record per epoch, as :attr:`SkipGram.history` and :meth:`Trainer.fit_counts` give them: "nll" in nats per
        pair, of each row before its step; "seconds" of the epoch; and "validation_nll", after the epoch, where there
        is one. Epochs of several fits are numbered on. A dotted line marks an epoch that early stopping has kept.
        Or the mean loss of each epoch, as :meth:`Trainer.train` returns it, without seconds. Of a classifier without an
        nll, "loss" is plotted, of the epochs in which no documents are left out.
    path : path-like, optional
        The file to create or to replace, .png, .svg or .pdf.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on. Without axes and a path, those of a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is missing, the extra [plot].
    TypeError, ValueError
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
    check_target(path, ax)
    if not hasattr(history, "__len__") or isinstance(history, Mapping):
        raise TypeError(f"history must be records or losses, such as model.history, got {type(history).__name__}")
    if len(history) == 0:
        raise ValueError("history must hold at least one epoch's record, got none")
    losses, key = isinstance(history[0], numbers.Real), "nll"
    records: Any = [{"nll": loss} for loss in history] if losses else history
    if isinstance(history[0], Mapping) and "left_out" in history[0]:  # of a classifier, which calibrates in between
        records, key = [record for record in records if not record["left_out"]], "loss"
    nll = _column(records, key)
    seconds = [] if losses else _column(records, "seconds")
    validation = _column(records, "validation_nll", missing=math.nan)  # NaN is not drawn
    epochs = np.arange(1, len(nll) + 1)
    ticks = epochs[:: -(-len(epochs) // 10)]
    label = "mean loss (nats)" if losses else "nll per pair (nats)" if key == "nll" else "loss per document"
    with drawing(path, ax, (6.4, 4.0)) as ax:
        ax.plot(epochs, nll, "o-", color=LIGHT["dots"][0], label="training, before each step")
        if not all(map(math.isnan, validation)):
            ax.plot(epochs, validation, "s--", color=LIGHT["dots"][5], label="held out, after the epoch")
            for epoch in [number for number, record in enumerate(records, 1) if record.get("kept")]:
                ax.axvline(epoch, color=FAINT, linestyle=":", zorder=0)
            ax.legend(frameon=False, labelcolor=LIGHT["ink"])
        ax.set(xlabel="epochs", ylabel=label, xticks=ticks)
        ax.margins(x=0.05, y=0.1)
        ax.grid(axis="y", color="#e5e5e5")
        axes: list[Any] = [ax]
        if seconds:
            above = ax.secondary_xaxis("top")
            above.set_xticks(ticks, [f"{s:.3g}" if s < 100 else f"{s:,.0f}" for s in np.cumsum(seconds)[ticks - 1]])
            above.set_xlabel("seconds")
            axes.append(above)
        for axis in axes:
            axis.tick_params(color=FAINT, labelcolor=LIGHT["ink"])
            axis.spines[:].set_color(FAINT)
    return ax


def _column(history: Sequence[Mapping[str, float]], key: str, missing: float | None = None) -> list[float]:
    """Return one value of every record, or what stands for a missing one; by default that is an error."""
    values = []
    for number, record in enumerate(history):
        if not isinstance(record, Mapping):
            raise TypeError(f"history[{number}] must be a mapping with {key!r}, got {type(record).__name__}")
        if key in record:
            values.append(check_number(f"history[{number}][{key!r}]", record[key]))
        elif missing is None:
            raise ValueError(f"history[{number}] must have the key {key!r}, got {list(record)}")
        else:
            values.append(missing)
    return values
