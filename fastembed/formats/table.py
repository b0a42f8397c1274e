"""What a file of vectors holds, whatever its format: the checks of its parts, tokens in UTF-8, streams and lines."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike, NDArray

import fastembed
from fastembed._base.validation import LARGEST, all_finite, token_ids, unmasked
from fastembed.formats.atomic import replacing_all

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
    settings : mapping
        How the vectors were made; only safetensors files hold it.
    ngrams : mapping of str to ndarray
        The character n-grams of the tokens and their vectors, as tensors by name, of which :class:`~fastembed.Vectors`
        composes vectors of other words; only safetensors files and fastText's models hold them.
    """

    tokens: Sequence[str]
    matrix: Matrix
    counts: npt.NDArray[np.int64] | None = None
    settings: Mapping[str, Any] = {}
    ngrams: Mapping[str, npt.NDArray[Any]] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return fastembed._restore, ("formats.Table", *self)


def check_table(table: Table) -> Table:
    """Return a table, the counts as int64, after checking that its parts fit together.

    Parameters
    ----------
    table : Table

    Raises
    ------
    TypeError
        If a token is not a str, the matrix is not float32 or float64, or the counts are not integers.
    ValueError
        If shapes do not match, a token occurs twice, a component is not finite, or a count is negative.

    Examples
    --------
    >>> check_table(Table(["a", "a"], np.eye(2)))
    Traceback (most recent call last):
        ...
    ValueError: tokens must be unique, but 'a' is in rows 0 and 1
    """
    check_vectors(table.tokens, table.matrix)
    return table if table.counts is None else table._replace(counts=check_token_counts(table.counts, table.tokens))


def check_vectors(tokens: Sequence[str], matrix: Any) -> dict[str, int]:
    """Return the row of each of V unique tokens in a finite matrix (V, D) of float32 or float64, D >= 1.

    Parameters
    ----------
    tokens : sequence of str, length V
    matrix : ndarray (V, D)
    """
    if not isinstance(matrix, np.ndarray) or matrix.dtype not in (np.float32, np.float64):
        found = matrix.dtype if isinstance(matrix, np.ndarray) else type(matrix).__name__
        raise TypeError(f"matrix must be an array of float32 or float64, got {found}")
    if isinstance(matrix, np.ma.MaskedArray):  # masked NaN would pass as finite
        raise TypeError("matrix must be an array without a mask, got a masked array: fill it, or leave the rows out")
    if matrix.ndim != 2 or matrix.shape[0] != len(tokens):
        raise ValueError(f"matrix must have the shape ({len(tokens)}, D), one row per token, got {matrix.shape}")
    if matrix.shape[1] == 0:
        raise ValueError(f"matrix must have at least one column, got the shape {matrix.shape}")
    rows = token_ids(tokens)
    if not all_finite(matrix):
        row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
        raise ValueError(f"matrix must be finite, got {matrix[row, column]} at [{row}, {column}], {tokens[row]!r}")
    return rows


def check_token_counts(counts: ArrayLike, tokens: Sequence[str]) -> NDArray[np.int64]:
    """Return a copy of the counts (V,) of V tokens as int64, after checking them.

    Parameters
    ----------
    counts : array_like of int (V,)
    tokens : sequence of str, length V
    """
    array = unmasked("counts", counts)
    if array.dtype.kind not in "iu":
        raise TypeError(f"counts must be integers, got dtype {array.dtype}")
    if array.shape != (len(tokens),):
        raise ValueError(f"counts must have the shape ({len(tokens)},) of the tokens, got {array.shape}")
    wrong = (array < 0) | (array > np.iinfo(np.int64).max)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(f"counts must be from 0 to 2**63 - 1, got {array[first]} for {tokens[first]!r}")
    if array.sum(dtype=np.float64) > LARGEST / 2 and (total := sum(array.tolist())) > LARGEST:
        raise ValueError(f"counts must add up to at most 2**63 - 1, got {total}")
    return array.astype(np.int64)


def encode_tokens(
    tokens: Sequence[str], forbidden: str | None = None, reason: str = "", errors: str = "strict"
) -> list[bytes]:
    r"""Return the tokens in UTF-8.

    Parameters
    ----------
    tokens : sequence of str
    forbidden : str, optional
        A regular expression; tokens in which it is found are rejected.
    reason : str
        Why they are rejected, for the error.
    errors : str
        As for :meth:`str.encode`.

    Raises
    ------
    ValueError
        If a token is rejected, or has no UTF-8 form (a lone surrogate).

    Examples
    --------
    >>> encode_tokens(["größe"])
    [b'gr\xc3\xb6\xc3\x9fe']
    >>> encode_tokens(["new york"], " ", "has a space")
    Traceback (most recent call last):
        ...
    ValueError: token 'new york' has a space
    """
    if forbidden is not None:
        search = re.compile(forbidden).search
        for token in tokens:
            if search(token):
                raise ValueError(f"token {token!r} {reason}")
    try:
        return [token.encode(errors=errors) for token in tokens]
    except UnicodeEncodeError as error:
        raise ValueError(f"token {error.object!r} has no UTF-8 form: {error.reason}") from error


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
