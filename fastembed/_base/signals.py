"""SIGTERM, by which a system ends a process, as an exception like Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """The process has been asked to end by SIGTERM: what ends at a Ctrl-C ends at this."""


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # more of them must not interrupt what is done about the first
    raise Terminated


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` in the main thread during a `with` block; later ones are ignored.

    Nothing happens in other threads, or where the process ignores the signal or has a handler of its own.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _terminate:  # else one has come, and the process ends
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
