"""Atomic writes: files are written whole or not at all.

Data go to a temporary file in the same folder, which is flushed to disk and renamed once it is complete. A write that
fails leaves the old file as it was. A process that is killed leaves its temporary file, ``.NAME.<16 digits>.tmp``.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
    try:
        target = Path(os.path.realpath(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"cannot write {str(path)!r}: the working directory does not exist") from None
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
    temporary = target.with_name(f".{target.name[:SHOWN]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            with suppress(FileNotFoundError):  # a new file has the usual mode
                temporary.chmod(target.stat().st_mode)
            yield temporary
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a write to an open file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
