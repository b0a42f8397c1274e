"""Atomic writes: files are written whole or not at all.

Data go to a temporary file in the same folder, which is flushed to disk and renamed once it is complete. A write that
fails leaves the old file as it was.

A process that is killed leaves its temporary file. The next writer of the same file removes it: its name says whose it
is, and its writer holds a lock on it as long as it lives.
"""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SHOWN = 50  # characters of a file's name that its temporary files repeat, at most 200 bytes: names have 255


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Return the file, links followed, that writing `path` would create or replace, after checking that it can be.

    Raises
    ------
    OSError
        If the folder is missing or not writable, or `path` is read-only or not a regular file.

    Examples
    --------
    >>> check_writable("nowhere/words.txt")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    FileNotFoundError: cannot write 'nowhere/words.txt': the folder ... does not exist
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {str(path)!r}: the folder {str(target.parent)!r} does not exist")
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"cannot write {str(path)!r}: the folder {str(target.parent)!r} is not writable")
    if target.exists():
        if not target.is_file():
            raise OSError(f"cannot write {str(path)!r}: it exists and is not a regular file")
        if not os.access(target, os.W_OK):
            raise PermissionError(f"cannot write {str(path)!r}: it is read-only")
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary file to write, which replaces `path` if the block ends well and is removed otherwise.

    Parameters
    ----------
    path : path-like
        The file to create or to replace. A symbolic link is followed.

    Yields
    ------
    pathlib.Path
        An empty file in the same folder.

    Raises
    ------
    OSError
        As :func:`check_writable`; also if the data cannot be written or, on Windows, `path` is open or mapped into
        memory.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/words.txt") as temporary:
    ...         _ = temporary.write_bytes(b"one two")
    ...     [file.name for file in Path(folder).iterdir()]
    ['words.txt']
    """
    target = check_writable(path)
    remove_leftovers(path)
    claim, temporary = _claim(target)
    try:
        with claim:
            yield temporary
            with suppress(FileNotFoundError):  # a new file has the usual mode
                temporary.chmod(target.stat().st_mode)
            os.fsync(claim.fileno())
            if fcntl is None:  # Windows renames no open file
                claim.close()
            temporary.replace(target)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a write to an open file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files of writers of a file that were killed; those of living ones stay.

    A writer holds a lock on its temporary file, which ends with its process; on Windows it keeps the file open. Where
    the file system has no locks, nothing is removed.

    Parameters
    ----------
    path : path-like
        The file to be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, ".words.txt.0123456789abcdef.tmp").touch()
    ...     remove_leftovers(f"{folder}/words.txt")
    ...     list(Path(folder).iterdir())
    []
    """
    target = Path(os.path.realpath(path))
    for temporary in target.parent.glob(_temporary_name(glob.escape(target.name[:SHOWN]), "[0-9a-f]" * 16)):
        with suppress(OSError):  # its writer lives, or there are no locks
            if fcntl is None:
                temporary.unlink()
            else:
                with temporary.open("rb+") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    temporary.unlink()


def _temporary_name(name: str, digits: str) -> str:
    return f".{name}.{digits}.tmp"


def _claim(target: Path) -> tuple[BinaryIO, Path]:
    """Make and lock a temporary file for `target`. The file belongs to the process that holds the lock."""
    while True:
        temporary = target.with_name(_temporary_name(target.name[:SHOWN], secrets.token_hex(8)))
        claim = temporary.open("xb")
        if fcntl is not None:
            with suppress(OSError):  # not on every network's file system
                fcntl.flock(claim, fcntl.LOCK_EX)
        if temporary.exists():  # not taken for a leftover before it was locked
            return claim, temporary
        claim.close()


# ---------------------------------------------------------------- the lock of a folder

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
    BlockingIOError: ... is being written by another process: wait for it
    """
    with (folder / LOCK_NAME).open("ab") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(file.fileno()), (folder / LOCK_NAME).stat()):  # removed meanwhile
                    raise BlockingIOError
            else:
                import msvcrt

                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(f"{str(folder)!r} is being written by another process: wait for it") from error
        yield
