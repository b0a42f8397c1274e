"""Atomic writes: files are written whole or not at all.

Data go to a temporary file in the same folder, which is flushed to disk and renamed once it is complete. A write that
fails leaves the old file as it was. Two files that are written together are read as they belong together.

A process that is killed leaves its temporary file. The next writer of the same file removes it: its name says whose it
is, and its writer holds a lock on it as long as it lives.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

READ_TRIALS = 20  # a millisecond apart
LONGEST_NAME = 200  # bytes of a file's name that its temporary files repeat: names have 255 on most systems


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
    try:
        mode = target.stat().st_mode  # once: another writer may remove or replace the file between two questions
    except FileNotFoundError:
        return target
    if not stat.S_ISREG(mode):
        raise OSError(f"cannot write {str(path)!r}: it exists and is not a regular file")
    if not os.access(target, os.W_OK) and target.exists():  # else another writer has put it aside
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

    Of several files, all but the first are moved aside before the first is renamed, and writers of the same folder do
    this one after the other. A process that is killed in between leaves one file without the others, and never files
    that do not belong together. (On Windows, where a file in use cannot be moved, neither holds.)

    Parameters
    ----------
    paths : sequence of path-like
        Files that belong together, in one folder.

    Yields
    ------
    list of pathlib.Path
    """
    targets = [check_writable(path) for path in paths]
    for path in paths:
        remove_leftovers(path)
    temporaries = [_temporary(target) for target in targets]
    claims: list[int] = []
    try:
        for temporary in temporaries:
            claims.append(_claim(temporary))
        yield temporaries
        for temporary, target in zip(temporaries, targets, strict=True):
            with suppress(FileNotFoundError):  # a new file has the usual mode; or another writer has put it aside
                temporary.chmod(target.stat().st_mode)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        if fcntl is None:  # Windows renames no open file
            _release(claims)
        _rename_all(temporaries, targets)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a write to an open file
            error.filename = str(paths[0])
        raise
    finally:
        _release(claims)
        _remove_all(temporaries)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files of writers of a file that were killed; those of living ones stay.

    A writer holds a lock on its temporary files, which ends with its process; on Windows it keeps them open. Where the
    file system has no locks, nothing is removed.

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
    name = re.compile(re.escape(_prefix(target)) + r"[0-9a-f]{16}\.tmp")
    try:
        with os.scandir(target.parent) as entries:
            found = [Path(entry.path) for entry in entries if name.fullmatch(entry.name)]
    except OSError:  # a folder that cannot be listed; writing may be possible
        return
    if found:
        with _sole_writer(target.parent):  # what a writer of several files has put aside has no lock of its own
            for temporary in found:
                _remove_unclaimed(temporary)


def _prefix(target: Path) -> str:
    """Return how the names of a file's temporary files begin."""
    name = os.fsencode(target.name)
    return f".{target.name if len(name) <= LONGEST_NAME else hashlib.sha256(name).hexdigest()}."


def _temporary(target: Path) -> Path:
    """Return a new name for a temporary file of `target`."""
    return target.with_name(f"{_prefix(target)}{secrets.token_hex(8)}.tmp")


def _claim(temporary: Path) -> int:
    """Make a temporary file and lock it; return its descriptor. It belongs to the process that holds the lock."""
    while True:
        claim = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        try:
            if fcntl is not None:
                with suppress(OSError):  # not on every network's file system
                    fcntl.flock(claim, fcntl.LOCK_EX)
            if is_file(claim, temporary):
                return claim
        except FileNotFoundError:  # taken for a leftover before it was locked
            pass
        except BaseException:
            os.close(claim)
            raise
        os.close(claim)


def _release(claims: list[int]) -> None:
    """Close the files of :func:`_claim`, also if one allocation fails. Nothing was written through them."""
    while claims:
        try:
            os.close(claims.pop())
        except (OSError, MemoryError):
            continue


def _remove_unclaimed(temporary: Path) -> None:
    """Remove a temporary file unless its writer holds it."""
    with suppress(OSError):  # on Windows it is open; or it has just gone; or there are no locks
        if fcntl is None:
            temporary.unlink()
            return
        file = os.open(temporary, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()
        finally:
            os.close(file)


def _rename_all(temporaries: Sequence[Path], targets: Sequence[Path]) -> None:
    """Let temporary files become their targets, or none of them. A Ctrl-C that comes meanwhile is raised in the end.

    Of several, no new file is ever beside an old one: the old ones but the first are moved aside before the first new
    one takes its place. The old first one gets a second name, so that all come back if a file cannot be renamed.
    """
    interrupts: list[KeyboardInterrupt] = []
    several = len(targets) > 1 and fcntl is not None
    with _sole_writer(targets[0].parent) if several else nullcontext():
        there = targets[0].exists()
        aside = [_temporary(target) for target in targets]
        try:
            if several:
                with suppress(OSError):  # there is no old file, or the file system has no hard links
                    os.link(targets[0], aside[0])
                for target, old in zip(targets[1:], aside[1:], strict=True):
                    _rename(target, old, interrupts)
            for temporary, target in zip(temporaries, targets, strict=True):
                _rename(temporary, target, interrupts)
        except BaseException as error:
            lost = there and not (temporaries[0].exists() or aside[0].exists())  # the old first file, without links
            if several and not lost:
                for temporary, target, old in zip(temporaries, targets, aside, strict=True):
                    if not (old.exists() or temporary.exists()):  # a new file, where there was none
                        target.unlink(missing_ok=True)
                    _rename(old, target, interrupts)
            if not isinstance(error, PermissionError):
                raise
            reason = f"{error.strerror}; on Windows it must be neither open nor mapped into memory, as vectors are"
            raise PermissionError(error.errno, f"cannot be replaced: {reason}", str(targets[0])) from error
        finally:
            _remove_all(aside)
    if interrupts:
        raise interrupts[0]


def _rename(old: Path, new: Path, interrupts: list[KeyboardInterrupt]) -> None:
    """Rename a file if it is there; a Ctrl-C that comes meanwhile is added to `interrupts`."""
    try:
        if old.exists():
            old.replace(new)
    except KeyboardInterrupt as error:
        interrupts.append(error)
        _rename(old, new, interrupts)


def _remove_all(paths: Iterable[Path]) -> None:
    """Remove files that are there, also if one allocation fails."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except MemoryError:
            path.unlink(missing_ok=True)


@contextmanager
def _sole_writer(folder: Path) -> Iterator[None]:
    """Wait for others that rename several files in a folder, where the system can lock one."""
    if fcntl is None:
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not on every network's file system
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


# ---------------------------------------------------------------- reading


@contextmanager
def reading_pair(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open two files that :func:`replacing_all` has written together, as they belong together.

    Yields
    ------
    (file, file)
        Open for reading, in binary.

    Raises
    ------
    OSError
        If one is missing or cannot be read, or others replace them all the time.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     names = f"{folder}/a", f"{folder}/b"
    ...     with replacing_all(names) as (a, b):
    ...         _ = a.write_bytes(b"1"), b.write_bytes(b"2")
    ...     with reading_pair(*names) as (a, b):
    ...         a.read(), b.read()
    (b'1', b'2')
    """
    for trial in range(READ_TRIALS):
        with ExitStack() as stack:
            try:
                files = [stack.enter_context(Path(path).open("rb")) for path in (first, second)]
                whole = is_file(files[0], first)
            except FileNotFoundError:  # perhaps in the middle of a replacement
                if trial + 1 == READ_TRIALS:
                    raise
                whole = False
            if whole:
                yield files[0], files[1]
                return
        time.sleep(0.001)
    raise OSError(f"{os.fspath(first)!r} is replaced again and again, so that it cannot be read together with its pair")


def is_file(file: BinaryIO | int, path: str | os.PathLike[str]) -> bool:
    """Return whether an open file, or the one of a descriptor, is the one that has this name now."""
    return os.path.samestat(os.fstat(file if isinstance(file, int) else file.fileno()), Path(path).stat())


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
                if not is_file(file, folder / LOCK_NAME):  # its last owner has removed it
                    raise BlockingIOError
            else:
                import msvcrt

                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(f"{str(folder)!r} is being written by another process: wait for it") from error
        yield
