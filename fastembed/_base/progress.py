"""Progress bars in a terminal or in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

_BARS: ContextVar[Any] = ContextVar("_BARS", default=False)


@contextmanager
def bars(shown: bool) -> Iterator[None]:
    """Turn the bars of `bar` on or off during a `with` block."""
    token = _BARS.set(shown)
    try:
        yield
    finally:
        _BARS.reset(token)


def bar(items: Any = None, **facts: Any) -> Any:
    """Return items with a bar of tqdm, or a bar to update; it is drawn inside ``bars(True)`` alone."""
    shown = _BARS.get()
    if items is not None and not shown:
        return items
    tqdm = import_module("tqdm.auto" if shown else "tqdm").tqdm  # tqdm.auto also draws in notebooks
    return tqdm(items, **{"leave": False, "unit_scale": True, "disable": not shown, **facts})
