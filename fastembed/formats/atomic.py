"""Atomic writes: files are written whole or not at all.

Data go to a temporary file in the same folder, which is flushed to disk and renamed once it is complete. A write that
fails leaves the old file as it was.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Return the file, links followed, that writing `path` would create or replace, after checking that it can be.

    Parameters
    ----------
    path : path-like

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
    if target.exists() and not target.is_file():
        raise OSError(f"cannot write {str(path)!r}: it exists and is not a regular file")
    if target.exists() and not os.access(target, os.W_OK):
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
    with replacing_all([path]) as (temporary,):
        yield temporary


@contextmanager
def replacing_all(paths: Sequence[str | os.PathLike[str]]) -> Iterator[list[Path]]:
    """Yield a temporary file for each path; as :func:`replacing`, and none is renamed before all are complete.

    Parameters
    ----------
    paths : sequence of path-like
        Files that belong together.

    Yields
    ------
    list of pathlib.Path
    """
    targets = [check_writable(path) for path in paths]
    temporaries = [target.with_name(f".{secrets.token_hex(8)}.tmp") for target in targets]
    try:
        for temporary in temporaries:
            temporary.touch(exist_ok=False)
        modes = [
            (target if target.exists() else new).stat().st_mode
            for target, new in zip(targets, temporaries, strict=True)
        ]
        yield temporaries
        for temporary, mode in zip(temporaries, modes, strict=True):
            temporary.chmod(mode)  # safetensors writes a private file of its own and renames it over ours
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        for path, temporary, target in zip(paths, temporaries, targets, strict=True):
            try:
                temporary.replace(target)
            except PermissionError as error:
                reason = f"{error.strerror}; on Windows it must be neither open nor mapped into memory, as vectors are"
                raise PermissionError(error.errno, f"cannot be replaced: {reason}", str(path)) from error
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a write to an open file
            error.filename = str(paths[0])
        raise
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
