"""The binary form of word2vec: a line "V D", then for each vector the token, a space and D little-endian float32.

word2vec ends each vector with a newline, gensim does not; both are read.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from fastembed._base.validation import all_finite
from fastembed.formats.fasttext_binary import MAGIC
from fastembed.formats.streams import LONGEST, reading, writing
from fastembed.formats.table import PathLike, Table
from fastembed.formats.text_rows import WHITE_SPACE, WHITE_SPACE_REASON, to_float32
from fastembed.formats.tokens import add_token, encode_tokens
from fastembed.formats.word2vec_text import parse_header

BLOCK = 1 << 20  # bytes read at a time


def write(path: PathLike, table: Table) -> None:
    r"""Write the binary form of word2vec.

    Raises
    ------
    ValueError
        If a token is empty or contains white space of ASCII, or a component exceeds float32.
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.

    Examples
    --------
    >>> write("v.bin", Table(["one"], np.array([[1.0, 0.0]])))
    >>> with open("v.bin", "rb") as file:
    ...     file.read()
    b'1 2\none \x00\x00\x80?\x00\x00\x00\x00\n'
    """
    names = encode_tokens(table.tokens, WHITE_SPACE, WHITE_SPACE_REASON)
    matrix = to_float32(table.matrix)
    with writing(path) as (file,):
        file.write(b"%d %d\n" % matrix.shape)
        for name, row in zip(names, matrix, strict=True):
            file.write(name + b" " + row.tobytes() + b"\n")


def read(path: PathLike) -> Table:
    """Read the binary form of word2vec.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not such a file, ends early or continues after the last vector; the byte is named.

    Examples
    --------
    >>> write("v.bin", Table(["one", "two"], np.eye(2)))
    >>> read("v.bin").tokens
    ['one', 'two']
    """
    seen: dict[str, int] = {}
    components = bytearray()  # grows with what has been read, never by what the header promises
    with reading(path) as file:
        first = file.readline(100)
        if first.startswith(MAGIC):
            raise ValueError(f"{str(path)!r} is a binary model of fastText: its format is 'fasttext-binary'")
        count, dim = parse_header(first, path)
        if 4 * dim > LONGEST:
            raise ValueError(f"{str(path)!r}, line 1: the dimension must be at most {LONGEST // 4}, got {dim}")
        for position, name, row in _records(file, len(first), count, 4 * dim, path):
            where = f"{str(path)!r}, byte {position}, vector {len(seen) + 1} of {count}"
            if not name:
                raise ValueError(f"{where}: its token is empty")
            add_token(name, position, seen, where, "byte")
            components += row
    matrix = np.frombuffer(components, "<f4").reshape(-1, dim)
    if not all_finite(matrix):
        token, position = list(seen.items())[np.argmin(np.isfinite(matrix).all(axis=1))]
        raise ValueError(f"{str(path)!r}, byte {position}: the vector of {token!r} is not finite")
    return Table(list(seen), matrix)


def _records(file: BinaryIO, start: int, count: int, size: int, path: PathLike) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the position, the token and the `size` bytes of the vector of each of `count` records."""
    buffer, at = b"", 0
    for number in range(1, count + 1):
        while (space := buffer.find(b" ", at)) < 0 or space + 1 + size > len(buffer):
            if len(buffer) - at > LONGEST + size:
                raise ValueError(f"{str(path)!r}, byte {start}: no token ends within {LONGEST:,} bytes")
            more = file.read(BLOCK)
            if not more:
                raise ValueError(f"{str(path)!r}, byte {start}, vector {number} of {count}: the file ends inside it")
            buffer, at = buffer[at:] + more, 0
        end = space + 1 + size
        name = buffer[at:space]
        yield start, name.lstrip(b"\n"), buffer[space + 1 : end]
        start, at = start + end - at, end
    if rest := (buffer[at:] + file.read(BLOCK)).strip():
        raise ValueError(f"{str(path)!r}, byte {start}: {rest[:40]!r} follows the {count} vectors it promises")
