"""Files as streams of bytes, through gzip where their name ends in ``.gz``, and their lines."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from fastembed.formats.atomic import replacing_all
from fastembed.formats.table import PathLike

LONGEST = 1 << 24  # bytes that are read as one line, token or vector, whatever a damaged file asks for


@contextmanager
def writing(*paths: PathLike) -> Iterator[list[BinaryIO]]:
    """Open files for writing, all of them created or replaced if the block ends well, and none otherwise.

    Raises
    ------
    OSError
        If a folder is missing or the data cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with writing(f"{folder}/a.gz") as (file,):
    ...         _ = file.write(b"one two")
    ...     with reading(f"{folder}/a.gz") as file:
    ...         file.read()
    b'one two'
    """
    with replacing_all(paths) as temporaries, ExitStack() as stack:
        files = []
        for path, temporary in zip(paths, temporaries, strict=True):
            file = cast(BinaryIO, stack.enter_context(temporary.open("wb")))
            if is_gzip(path):  # without a name or a time inside, equal contents are equal files
                packed = gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0)
                file = cast(BinaryIO, stack.enter_context(packed))
            files.append(file)
        yield files


@contextmanager
def reading(path: PathLike) -> Iterator[BinaryIO]:
    """Open a file for reading.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not whole gzip data although its name ends in ``.gz``.

    Examples
    --------
    See :func:`writing`.
    """
    with Path(path).open("rb") as raw:
        if not is_gzip(path):
            yield raw
            return
        try:
            with gzip.GzipFile(fileobj=raw) as packed, io.BufferedReader(cast(io.RawIOBase, packed), 1 << 16) as file:
                yield file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{str(path)!r}: not whole gzip data before byte {raw.tell()}: {error}") from error


def numbered_lines(file: BinaryIO, path: PathLike) -> Iterator[tuple[int, bytes]]:
    r"""Yield the lines of a stream, without the line ends, with their numbers from 1.

    Raises
    ------
    ValueError
        If a line has more than `LONGEST` bytes.

    Examples
    --------
    >>> list(numbered_lines(io.BytesIO(b"one 1\r\ntwo 2"), "memory"))
    [(1, b'one 1'), (2, b'two 2')]
    """
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise ValueError(f"{str(path)!r}, line {number}: it has more than {LONGEST:,} bytes")
        yield number, line.rstrip(b"\r\n")


def is_gzip(path: PathLike) -> bool:
    """Return whether a file is compressed with gzip, by its name.

    Examples
    --------
    >>> is_gzip("v.vec.GZ"), is_gzip("v.vec")
    (True, False)
    """
    return os.fspath(path).lower().endswith(".gz")
