"""Vectors as text, one per line: what word2vec's, fastText's, GloVe's and the projector's files share."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from fastembed.formats.streams import writing
from fastembed.formats.table import Matrix, PathLike, Table
from fastembed.formats.tokens import add_token, encode_tokens

BATCH = 1 << 18  # components parsed at once

# All white space of ASCII ends a token for one tool or another. Other characters, such as U+0085, U+00A0 and U+2028,
# may be part of it.
WHITE_SPACE = r"[ \t-\r]|\A\Z"
WHITE_SPACE_REASON = "is empty or contains white space, which ends the token in such a file"


def to_float32(matrix: Matrix) -> Matrix:
    """Return the matrix in little-endian float32, the only dtype of these files.

    Raises
    ------
    ValueError
        If a component is too large.
    """
    limit = float(np.finfo(np.float32).max)
    largest = max(float(matrix.max()), -float(matrix.min()))
    if largest > limit:
        raise ValueError(f"the format holds float32, at most {limit:.8g}; got {largest:.8g}")
    return matrix.astype("<f4", copy=False)


def row_template(dim: int, separator: bytes) -> bytes:
    """Return a %-template of a row. Nine significant digits restore every float32 exactly."""
    return separator.join([b"%.9g"] * dim) + b"\n"


def parse_rows(texts: list[bytes], separator: bytes, dim: int, path: PathLike, lines: list[int]) -> bytes:
    r"""Return rows of text as the bytes of little-endian float32.

    Parameters
    ----------
    texts : list of bytes
        Rows of `dim` fields each.
    separator : bytes
    dim : int
    path, lines
        The file and the line number of each row, for errors.

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


def write_token_rows(path: PathLike, table: Table, header: bytes = b"") -> None:
    """Write a header, then for each vector a line "token component ... component".

    Raises
    ------
    ValueError
        If a token is empty or contains white space of ASCII, or a component exceeds float32.
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.
    """
    names = encode_tokens(table.tokens, WHITE_SPACE, WHITE_SPACE_REASON)
    matrix = to_float32(table.matrix)
    template = row_template(matrix.shape[1], b" ")
    with writing(path) as (file,):
        file.write(header)
        for name, row in zip(names, matrix, strict=True):
            file.write(name + b" " + template % tuple(row.tolist()))


def read_token_rows(lines: Iterator[tuple[int, bytes]], dim: int, path: PathLike) -> Table:
    """Read numbered lines "token component ... component", of `dim` components.

    Memory grows with what has been read, never by what a header promises.

    Raises
    ------
    ValueError
        If a line has another form; it is named.
    """
    seen: dict[str, int] = {}
    components = bytearray()
    while batch := list(islice(lines, max(1, BATCH // dim))):
        texts = [_split_token(line, number, dim, seen, path) for number, line in batch]
        components += parse_rows(texts, b" ", dim, path, [number for number, _ in batch])
    return Table(list(seen), np.frombuffer(components, "<f4").reshape(-1, dim))


def _split_token(line: bytes, number: int, dim: int, seen: dict[str, int], path: PathLike) -> bytes:
    """Add the token of a line to `seen` and return the rest, after checking that it has `dim` fields."""
    where = f"{str(path)!r}, line {number}"
    name, space, text = line.rstrip(b" ").partition(b" ")
    if not name or not space or text.count(b" ") != dim - 1:
        fields = len(line.rstrip(b" ").split(b" "))
        raise ValueError(f"{where}: a token and {dim} numbers expected, got {fields} fields: {line[:40]!r}")
    add_token(name, number, seen, where, "line")
    return text
