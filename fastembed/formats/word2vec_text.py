"""Word vectors as text, a line for each: token, numbers, separated by spaces.

The files of word2vec and fastText (``.vec``) begin with a line "V D", those of GloVe do not. All white space of ASCII
ends a token for one of these tools or another; other characters, also U+0085, U+00A0 or U+2028, may be part of it.
"""

import re
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np

from fastembed.formats.number_text import BATCH, parse_rows, template, to_float32
from fastembed.formats.streams import read_lines, reading, writing
from fastembed.formats.table import PathLike, Table, encode_tokens, take_token

SPACES = r"[ \t-\r]|\A\Z"
SPACES_REFUSED = "is empty or contains white space, which ends the token in such a file"


def write_word2vec(path: PathLike, table: Table) -> None:
    """Write the text form of word2vec and fastText.

    Raises
    ------
    ValueError
        If a token is empty or contains white space of ASCII, or a number exceeds float32.
    OSError
        If the folder is missing or the disk refuses the data; the old file is then untouched.

    Examples
    --------
    >>> write_word2vec("v.vec", Table(["one", "two"], np.eye(2)))
    >>> with open("v.vec", encoding="utf-8") as file:
    ...     print(file.read(), end="")
    2 2
    one 1 0
    two 0 1
    """
    _write(path, table, b"%d %d\n" % table.matrix.shape)


def write_glove(path: PathLike, table: Table) -> None:
    """Write GloVe's text, which has no first line "V D".

    Raises
    ------
    ValueError
        As :func:`write_word2vec`; also if vectors have one number only: the first could be read as "V D".
    OSError
        As :func:`write_word2vec`.

    Examples
    --------
    >>> write_glove("v.glove", Table(["one", "two"], np.eye(2)))
    >>> with open("v.glove", encoding="utf-8") as file:
    ...     print(file.read(), end="")
    one 1 0
    two 0 1
    """
    if table.matrix.shape[1] < 2:
        raise ValueError("vectors of one number cannot be told from a header 'V D' in GloVe's files: use word2vec's")
    _write(path, table, b"")


def _write(path: PathLike, table: Table, header: bytes) -> None:
    names = encode_tokens(table.tokens, SPACES, SPACES_REFUSED)
    matrix = to_float32(table.matrix)
    numbers = template(matrix.shape[1], b" ")
    with writing(path) as (file,):
        file.write(header)
        for name, row in zip(names, matrix, strict=True):
            file.write(name + b" " + numbers % tuple(row.tolist()))


def read_word2vec(path: PathLike) -> Table:
    """Read the text form of word2vec, gensim or fastText.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not such a file, ends early or goes on after the last vector; the line is named.

    Examples
    --------
    >>> write_word2vec("v.vec", Table(["one", "two"], np.eye(2)))
    >>> read_word2vec("v.vec").tokens
    ['one', 'two']
    """
    with reading(path) as file:
        lines = read_lines(file, path)
        count, dim = parse_header(next(lines, (1, b""))[1], path)
        table = _read(islice(lines, count), dim, path)
        if len(table.tokens) < count:
            raise ValueError(f"{str(path)!r} ends after {len(table.tokens)} of the {count} vectors it promises")
        for number, line in lines:
            if line.strip():
                raise ValueError(f"{str(path)!r}, line {number}: it goes on after the {count} vectors it promises")
    return table


def parse_header(line: bytes, path: PathLike) -> tuple[int, int]:
    """Return (V, D) from the first line of word2vec's text or binary form.

    Raises
    ------
    ValueError
        If it is something else, or one of them is zero.

    Examples
    --------
    >>> parse_header(b"3000000 300", "memory")
    (3000000, 300)
    """
    found = re.fullmatch(rb"(\d{1,18})\s+(\d{1,18})\s*", line)
    if found is None:
        raise ValueError(
            f"{str(path)!r}, line 1: word2vec's files begin with a line 'V D', got {line[:40]!r};"
            " those without one are of the format 'glove'"
        )
    count, dim = int(found[1]), int(found[2])
    if not count or not dim:
        raise ValueError(f"{str(path)!r}, line 1: it promises {count} vectors of {dim} numbers; at least one expected")
    return count, dim


def read_glove(path: PathLike) -> Table:
    """Read GloVe's text.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not such a file; the line is named.

    Examples
    --------
    >>> write_glove("v.glove", Table(["one", "two"], np.eye(2)))
    >>> read_glove("v.glove").tokens
    ['one', 'two']
    """
    with reading(path) as file:
        lines = read_lines(file, path)
        first = next(lines, (1, b""))
        dim = first[1].rstrip(b" ").count(b" ")
        if dim < 2:
            raise ValueError(
                f"{str(path)!r}, line 1: a token and at least two numbers expected, got {first[1][:40]!r};"
                " files that begin with a line 'V D' are of the format 'word2vec'"
            )
        return _read(chain([first], lines), dim, path)


def _read(lines: Iterator[tuple[int, bytes]], dim: int, path: PathLike) -> Table:
    """Read lines "token number ... number", of `dim` numbers.

    Memory grows with what has been read, never by what a header promises.
    """
    seen: dict[str, int] = {}
    numbers = bytearray()
    while batch := list(islice(lines, max(1, BATCH // dim))):
        texts = [_take_line(line, number, dim, seen, path) for number, line in batch]
        numbers += parse_rows(texts, b" ", dim, path, [number for number, _ in batch])
    return Table(list(seen), np.frombuffer(numbers, "<f4").reshape(-1, dim))


def _take_line(line: bytes, number: int, dim: int, seen: dict[str, int], path: PathLike) -> bytes:
    """Enter the token of a line into `seen` and return the rest, after checking that there are `dim` fields in it."""
    where = f"{str(path)!r}, line {number}"
    name, space, text = line.rstrip(b" ").partition(b" ")
    if not name or not space or text.count(b" ") != dim - 1:
        fields = len(line.rstrip(b" ").split(b" "))
        raise ValueError(f"{where}: a token and {dim} numbers expected, got {fields} fields: {line[:40]!r}")
    take_token(name, number, seen, where, "line")
    return text
