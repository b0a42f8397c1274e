"""One writer of a folder at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".lock"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; the system releases it when the process ends, however it ends.

    Raises
    ------
    OSError
        If another process, or another thread, holds it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, sole_writer(Path(folder)):  # doctest: +ELLIPSIS
    ...     with sole_writer(Path(folder)):
    ...         pass
    Traceback (most recent call last):
        ...
    BlockingIOError: ... is being written by another process: wait for it, or write to another folder
    """
    with (folder / LOCK_NAME).open("ab") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                import msvcrt

                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(
                f"{str(folder)!r} is being written by another process: wait for it, or write to another folder"
            ) from error
        yield
