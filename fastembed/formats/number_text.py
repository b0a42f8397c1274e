"""Rows of numbers as text: what word2vec's, GloVe's and the projector's files have in common."""

import numpy as np

from fastembed.formats.table import Matrix, PathLike

BATCH = 1 << 18
"""How many numbers are parsed at once."""


def to_float32(matrix: Matrix) -> Matrix:
    """Return the matrix in little-endian float32, all that files for word vectors hold.

    Raises
    ------
    ValueError
        If a number is too large.
    """
    limit = float(np.finfo(np.float32).max)
    largest = max(float(matrix.max()), -float(matrix.min()))
    if largest > limit:
        raise ValueError(f"the format holds float32, at most {limit:.8g}; got {largest:.8g}")
    return matrix.astype("<f4", copy=False)


def template(dim: int, separator: bytes) -> bytes:
    """Return the template of a row: nine significant digits bring every float32 back exactly."""
    return separator.join([b"%.9g"] * dim) + b"\n"


def parse_rows(texts: list[bytes], separator: bytes, dim: int, path: PathLike, lines: list[int]) -> bytes:
    r"""Return rows of numbers as the bytes of little-endian float32.

    Parameters
    ----------
    texts : list of bytes
        Rows of `dim` fields each.
    separator : bytes
    dim : int
    path, lines
        The file and the number of each row's line, for errors.

    Raises
    ------
    ValueError
        If a field is not a finite float32; the line is named.

    Examples
    --------
    >>> np.frombuffer(parse_rows([b"1 2.5", b"-3 4e2"], b" ", 2, "memory", [1, 2]), "<f4")
    array([  1. ,   2.5,  -3. , 400. ], dtype=float32)
    >>> parse_rows([b"1 2.5", b"-3 four"], b" ", 2, "memory", [1, 2])
    Traceback (most recent call last):
        ...
    ValueError: 'memory', line 2: 2 finite float32 expected, got b'-3 four'
    """
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            rows = np.loadtxt(texts, "<f4", comments=None, delimiter=separator.decode(), ndmin=2, encoding="latin-1")
    except ValueError:
        rows = np.empty((0, dim), "<f4")
    if rows.shape == (len(texts), dim) and np.isfinite(rows).all():
        return rows.tobytes()
    if len(texts) > 1:  # find the row
        return b"".join(
            parse_rows([text], separator, dim, path, [line]) for text, line in zip(texts, lines, strict=True)
        )
    raise ValueError(f"{str(path)!r}, line {lines[0]}: {dim} finite float32 expected, got {texts[0][:80]!r}")
