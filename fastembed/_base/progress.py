"""The progress of a fit: the interface `FitProgress`, bars in a terminal, and a live curve in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from fastembed._base.validation import is_true

PAUSE = 0.2  # seconds between updates of the curve within a stage
WIDTH, HEIGHT, LEFT, EDGE = 520, 200, 60, 22  # size of the drawing and of its margins, in pixels
LINES = {"nll": ("nll, training", "#0072b2"), "validation_nll": ("nll, held out", "#d55e00")}
_BARS: ContextVar[Any] = ContextVar("_BARS", default=False)
LOSS = {"loss": ("loss", "#0072b2")}  # of records without an nll


class FitProgress(Protocol):
    """The interface of an object that is passed as `progress=` and receives the progress of a fit.

    The return values of its methods are ignored. An exception that a method raises ends the fit.

    Examples
    --------
    >>> from fastembed import SkipGram
    >>> class Log:
    ...     def reading(self, done, total): ...
    ...     def counting(self, done, total): ...
    ...     def training(self, estimate):
    ...         print(f"{estimate.inputs} words, {estimate.nnz} counts")
    ...     def epoch(self, record):
    ...         print("epoch", record["epoch"])
    >>> model = SkipGram(dim=2, min_count=1, epochs=2, threads=1).fit(["a b", "b c"], progress=Log())
    3 words, 4 counts
    epoch 1
    epoch 2
    """

    def reading(self, done: int, total: int | None) -> object:
        """Receive how much of the corpus has been read for the vocabulary.

        Parameters
        ----------
        done, total : int
            Bytes of files, or sequences in memory; `total` is None if not known.
        """

    def counting(self, done: int, total: int | None) -> object:
        """Receive how much of the corpus has been counted in the second pass.

        Parameters
        ----------
        done, total : int
            As for `reading`. Each byte or sequence is read once and counted once, so the total is twice their number.
        """

    def training(self, estimate: Any) -> object:
        """Receive the estimate of the time and memory of training, before it starts.

        Parameters
        ----------
        estimate : Estimate
            Of the model that is fitted: that of `SkipGram`, of `Recommender`, or of `Classifier`.
        """

    def epoch(self, record: dict[str, float]) -> object:
        """Receive the record of a completed epoch; its nll is that of each row before its step.

        Parameters
        ----------
        record : dict
            See `Trainer.fit_counts`.
        """


class ProgressBars:
    """Progress bars of the stages of a fit: reading, counting, epochs.

    Parameters
    ----------
    epochs : int
        The number of epochs to come.
    new_bar : callable, optional
        The class ``tqdm.tqdm``, or one with the same interface; without it there are no bars.
    """

    def __init__(self, epochs: int, new_bar: Callable[..., Any] | None) -> None:
        self._epochs, self._new_bar = epochs, new_bar
        self._bar: Any = None

    def reading(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been read: bytes of files, or sequences.

        Parameters
        ----------
        done, total : int
            As for `FitProgress`.
        """
        self._show("reading", done, total)

    def counting(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been counted, in the second pass over it.

        Parameters
        ----------
        done, total : int
            As for `FitProgress`.
        """
        self._show("counting", done, total)

    def training(self, estimate: Any) -> None:
        """Show that training begins; its start has a bar of its own.

        Parameters
        ----------
        estimate : Estimate
            As for `FitProgress`.
        """
        self._epochs = estimate.epochs
        self._show("training", 0, self._epochs, f"{estimate}")

    def epoch(self, record: dict[str, Any]) -> None:
        """Show the number of completed epochs, and the loss of the last one.

        Parameters
        ----------
        record : dict
            As for `FitProgress`.
        """
        held_out = f", held out {record['validation_nll']:.4f}" if "validation_nll" in record else ""
        self._show("training", record["epoch"], self._epochs, loss_of(record) + held_out)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Update the bar of a stage, and remove that of the previous stage; a finished stage has no bar."""
        if self._new_bar is None:
            return
        if self._bar is None or self._bar.desc != stage:
            self.close()
            self._bar = self._new_bar(desc=stage, total=total, initial=done, unit_scale=True, leave=False)
        self._bar.update(done - self._bar.n)
        if note:
            self._bar.set_postfix_str(note)
        if done == total:
            self.close()


class _LiveCurve:
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
        self._stage = self._last = ""
        self._running = False

    def reading(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been read: bytes of files, or sequences."""
        self._part("reading", done, total)

    def counting(self, done: int, total: int | None) -> None:
        """Show how much of the corpus has been counted, in the second pass over it."""
        self._part("counting", done, total)

    def training(self, estimate: Any) -> None:
        """Show that training begins, and the estimate of its cost."""
        self._epochs = estimate.epochs
        self._draw(f"training {estimate}", 0, self._epochs)

    def epoch(self, record: dict[str, Any]) -> None:
        """Add an epoch to the curve."""
        self._records.append(record)
        number = int(record["epoch"])
        seconds = (self._epochs - number) * record["seconds"]
        left_out = record.get("left_out")  # documents, of a classifier, in epochs that come after the others
        of = f", {left_out:,} documents left out" if left_out else f" of {self._epochs}"
        perplexity = f", perplexity {record['perplexity']:,.1f}" if "perplexity" in record else ""
        text = f"epoch {number}{of}: {loss_of(record)}{perplexity}"
        if left_out:
            self._draw(text, number, None)
        else:
            self._draw(text, number, self._epochs, f"{seconds:.0f} s left" if seconds else "done")

    def close(self) -> None:
        """Show a full bar if the last one was not: after early stopping, an interruption, or without a known total."""
        if self._running:
            self._draw(self._last, 1, 1, "ended")

    def _part(self, stage: str, done: int, total: int | None) -> None:
        """Draw a stage of counting, at most every PAUSE seconds."""
        if stage != self._stage or done == total or time.monotonic() - self._drawn > PAUSE:
            self._stage = stage
            self._draw(stage, done, total)

    def _draw(self, text: str, done: int, total: int | None, state: str = "") -> None:
        self._drawn, self._last, self._running = time.monotonic(), text, done != total
        share = f' value="{done}" max="{total}"' if total else ""
        shown = f"{text}, {state}" if state else text
        drawing = f"<div><progress{share}></progress> {shown}</div>{curve(self._records, self._epochs)}"
        output = {"text/html": drawing, "text/plain": shown}
        if self._handle is None:
            self._handle = self._display(output, raw=True, display_id=True)
        else:
            self._handle.update(output, raw=True)


def loss_of(record: dict[str, Any]) -> str:
    """Return the loss of an epoch in words: its nll, or that of a classifier.

    Examples
    --------
    >>> loss_of({"nll": 2.5}), loss_of({"loss": 0.25})
    ('nll 2.5000', 'loss 0.2500')
    """
    name = "nll" if "nll" in record else "loss"
    return f"{name} {record[name]:.4f}"


def curve(records: list[dict[str, Any]], epochs: int) -> str:
    """Return the loss of epochs as SVG, in the colour of the text around it; "" for none.

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
    styles = LOSS if records and "nll" not in records[0] else LINES
    lines = {key: [(r["epoch"], r[key]) for r in records if key in r] for key in styles}
    values = [value for line in lines.values() for _, value in line]
    if not values:
        return ""
    low, high = min(values), max(values)
    across, up = (WIDTH - LEFT - EDGE) / max(epochs - 1, 1), (HEIGHT - 2 * EDGE) / ((high - low) or 1.0)
    parts = [_text(LEFT - 6, y, "end", f"{value:.3f}") for value, y in ((high, EDGE), (low, HEIGHT - EDGE))]
    parts += [_text(x, HEIGHT - 4, "middle", label) for x, label in ((LEFT, "1"), (WIDTH - EDGE, f"{epochs} epochs"))]
    for number, (key, (name, colour)) in enumerate(styles.items()):
        places = [(LEFT + (epoch - 1) * across, EDGE + (high - value) * up) for epoch, value in lines[key]]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        if places:
            parts.append(_text(WIDTH - EDGE, EDGE + 16 * number, "end", name, colour))
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="loss of each epoch">{"".join(parts)}</svg>'


def _text(x: float, y: float, anchor: str, text: str, colour: str = "currentColor") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="12" fill="{colour}">{text}</text>'


def notebook_display() -> Callable[..., Any] | None:
    """Return IPython's `display` if this process is the kernel of a notebook, otherwise None."""
    if "IPython" not in sys.modules:  # a notebook has imported it
        return None
    from IPython import get_ipython
    from IPython.display import display

    return display if hasattr(get_ipython(), "kernel") else None


@contextmanager
def reporting(progress: FitProgress | bool | None, epochs: int) -> Iterator[FitProgress | None]:
    """Yield the object that a fit reports its progress to; True gives a curve in a notebook and bars elsewhere.

    Parameters
    ----------
    progress : bool or FitProgress, optional
        The argument of `SkipGram.fit`.
    epochs : int
        The number of epochs to come.

    Raises
    ------
    TypeError
        If `progress` is neither a bool nor None, and lacks a method of `FitProgress`.
    """
    if progress is True:
        display = notebook_display()
        shown = _LiveCurve(epochs, display) if display else ProgressBars(epochs, bar_class())
        try:
            with bars(not display):  # those of the start, and of the blocks of an epoch
                yield shown
        finally:
            shown.close()
    elif progress is None or progress is False:
        yield None
    else:
        for name in ("reading", "counting", "training", "epoch"):
            if not callable(getattr(progress, name, None)):
                raise TypeError(f"progress must be True or have FitProgress' methods; {progress!r} has no {name}()")
        yield progress


@contextmanager
def bars(shown: bool | Callable[[str], object]) -> Iterator[None]:
    """Let what is called in a `with` block draw its bars, each a `bar`, draw none, or call a function with its name."""
    token = _BARS.set(shown)
    try:
        yield
    finally:
        _BARS.reset(token)


def bar(items: Any = None, **facts: Any) -> Any:
    """Return items with a bar of tqdm, or a bar to be updated; it is seen inside of ``bars(True)`` alone."""
    if callable(shown := _BARS.get()):
        shown(facts["desc"])
        shown = False
    if items is not None and not shown:
        return items
    tqdm = bar_class("tqdm.auto" if shown else "tqdm")  # the former warns in a notebook without widgets
    return tqdm(items, **{"leave": False, "unit_scale": True, "disable": not shown, **facts})


@cache
def bar_class(module: str = "tqdm") -> Any:
    """Return tqdm's class without its `__del__`, in which Python would drop a Ctrl-C: who makes a bar closes it."""
    return type("Bar", (import_module(module).tqdm,), {"__del__": staticmethod(int)})  # a call of C: no signal is seen


def epoch_reports(
    report: FitProgress | None, on_epoch_end: Callable[[dict[str, float]], object] | None
) -> Callable[[dict[str, float]], bool]:
    """Return a function that reports the record of an epoch, calls the user's, and says whether that ends training.

    Examples
    --------
    >>> epoch_reports(None, lambda record: record["epoch"] == 2)({"epoch": 2})
    True
    """

    def epoch_end(record: dict[str, float]) -> bool:
        if report is not None:
            report.epoch(record)
        return on_epoch_end is not None and is_true(on_epoch_end(record))

    return epoch_end
