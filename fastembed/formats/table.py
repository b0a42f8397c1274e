"""What a file of vectors holds, whatever its format: the checks of its parts, tokens in UTF-8, streams and lines."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fastembed._base.progress import bar
from fastembed._base.validation import all_finite, printable, token_ids, unmasked
from fastembed.formats.atomic import replacing

Matrix = npt.NDArray[np.floating]
PathLike = str | os.PathLike[str]


class Table(NamedTuple):
    """The contents of a file of vectors.

    Attributes
    ----------
    tokens : sequence of str, length V
        All different.
    matrix : ndarray of float32 or float64, shape (V, D)
    counts : ndarray of int64, shape (V,), or None
        How often each token occurred, where that is known.
    ngrams : mapping of str to ndarray
        Character n-grams and their vectors, as tensors by name. Safetensors and models of fastText hold them.

    Examples
    --------
    >>> Table(["one", "two"], np.eye(2)).matrix.shape
    (2, 2)
    """

    tokens: Sequence[str]
    matrix: Matrix
    counts: npt.NDArray[np.int64] | None = None
    ngrams: Mapping[str, npt.NDArray[Any]] = {}


def check_vectors(tokens: Sequence[str], matrix: Any) -> dict[str, int]:
    """Return the row of each of V unique tokens in a finite matrix (V, D) of float32 or float64, D >= 1.

    Parameters
    ----------
    matrix : ndarray (V, D)
    """
    if not isinstance(matrix, np.ndarray) or matrix.dtype not in (np.float32, np.float64):
        dtype = matrix.dtype if isinstance(matrix, np.ndarray) else type(matrix).__name__
        raise TypeError(f"matrix must be an array of float32 or float64, got {dtype}")
    unmasked("matrix", matrix)
    if matrix.ndim != 2 or matrix.shape[0] != len(tokens):
        raise ValueError(f"matrix must have the shape ({len(tokens)}, D), one row per token, got {matrix.shape}")
    if matrix.shape[1] == 0:
        raise ValueError(f"matrix must have at least one column, got the shape {matrix.shape}")
    rows = token_ids(tokens)
    if not all_finite(matrix):
        row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
        raise ValueError(f"matrix must be finite, got {matrix[row, column]} at [{row}, {column}], {tokens[row]!r}")
    return rows


def add_token(name: bytes, position: int, seen: dict[str, int], where: str, unit: str) -> None:
    """Decode a token that has been read and add it to those read before.

    Parameters
    ----------
    name : bytes
        The token in UTF-8.
    position : int
        Its line or byte.
    seen : dict
        Tokens and their positions; the token is added.
    where, unit : str
        The position and its unit in words, for errors.

    Raises
    ------
    ValueError
        If the token is not UTF-8, or was read before.

    Examples
    --------
    >>> add_token(b"one", 7, {"one": 3}, "'v.txt', line 7", "line")
    Traceback (most recent call last):
        ...
    ValueError: 'v.txt', line 7: the token 'one' is at line 3 too
    """
    try:
        token = name.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: {error}") from error
    if (first := seen.setdefault(token, position)) != position:
        raise ValueError(f"{where}: the token {token!r} is at {unit} {first} too")


# ---------------------------------------------------------------- streams and lines

LONGEST = 1 << 24  # bytes that are read as one line, token or vector, whatever a damaged file asks for


@contextmanager
def open_write(path: PathLike) -> Iterator[BinaryIO]:
    """Open a file for writing, which is created or replaced if the block ends well.

    Raises
    ------
    OSError
        If the folder is missing or the data cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_write(f"{folder}/a.gz") as file:
    ...         _ = file.write(b"one two")
    ...     with open_read(f"{folder}/a.gz") as file:
    ...         file.read()
    b'one two'
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        if is_gzip(path):  # without a name or a time inside, equal contents are equal files
            with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
                yield cast(BinaryIO, packed)
        else:
            yield file


def opened(path: PathLike) -> BinaryIO:
    """Open a file that is read more than once, for its format and for what it holds, which a pipe cannot be."""
    if Path(path).is_fifo():
        raise OSError(f"{str(path)!r} is a pipe, which is read once: a file is needed")
    if Path(path).is_dir():
        raise IsADirectoryError(
            f"{str(path)!r} is a folder: of counts, `train --counts` or SkipGram.fit learns vectors"
        )
    return Path(path).open("rb")


class _ShownFile(io.FileIO):
    """A file that tells a bar how many bytes have been read."""

    def __init__(self, path: PathLike, bar: Any) -> None:
        self._bar = bar
        super().__init__(path)

    def readinto(self, buffer: Any) -> int | None:
        number = super().readinto(buffer)
        self._bar.update(number or 0)
        return number


@contextmanager
def open_read(path: PathLike) -> Iterator[BinaryIO]:
    """Open a file for reading, with a bar of what has been read of it.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not whole gzip data although its name ends in ``.gz``.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
    shown = bar(desc=printable(Path(path).name), total=size, unit="B")
    try:
        with shown, _ShownFile(path, shown) as file, io.BufferedReader(file, 1 << 16) as raw:
            yield io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)), 1 << 16) if is_gzip(path) else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{str(path)!r}: not whole gzip data: {error}") from error


class Source:
    """A stream of bytes that knows where it is; it raises a ValueError where the file ends too early.

    Attributes
    ----------
    file : binary file
    path : path-like
        Names the file in errors.
    position : int
        How many bytes have been read.
    """

    def __init__(self, file: Any, path: PathLike) -> None:
        self.file, self.path, self.position = file, path, 0

    def error(self, what: str, position: int | None = None) -> ValueError:
        """Return the error for what is wrong at a byte, by default here."""
        return ValueError(f"{str(self.path)!r}, byte {self.position if position is None else position}: {what}")

    def take(self, size: int, what: str) -> bytes:
        """Return the next bytes."""
        data: bytes = self.file.read(size)
        if len(data) < size:
            raise self.error(f"the file ends inside {what}")
        self.position += size
        return data

    def take_until(self, end: bytes, what: str) -> bytes:
        """Return the next bytes up to an end of one byte, which is passed."""
        data = bytearray()
        while not data.endswith(end):
            ahead = self.file.peek(1)
            if not ahead:
                raise self.error(f"the file ends inside {what}")
            if len(data) > LONGEST:
                raise self.error(f"{what} does not end within {LONGEST:,} bytes")
            data += self.file.read(ahead.find(end) + 1 or len(ahead))
        self.position += len(data)
        return bytes(data[:-1])


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
