"""Text of a line per vector (word2vec, fastText, GloVe), and the binary form of word2vec."""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice, takewhile

import numpy as np

from fastembed._base.progress import bar
from fastembed._base.validation import all_finite, encode_tokens
from fastembed.formats.table import LONGEST, PathLike, Source, Table, add_token, numbered_lines, open_read, open_write

PARSED_NUMBERS = 1 << 18  # of vectors in a text, which are parsed at once

# All white space of ASCII ends a token for one tool or another. Other characters, such as U+0085, U+00A0 and U+2028,
# may be part of it.
WHITE_SPACE = re.compile(r"[ \t-\r]|\A\Z")
NUMBER = rb"(?i:[-+]?(\.?\d[-+.\de]*|nan|inf))"


def parse_rows(texts: list[bytes], dim: int, path: PathLike, lines: list[int]) -> bytes:
    r"""Return rows of text as the bytes of little-endian float32.

    Parameters
    ----------
    texts : list of bytes
        Rows of `dim` fields each.
    path, lines
        The file and the line number of each row, for errors.

    Raises
    ------
    ValueError
        If a field is not a finite float32; the line is named.

    Examples
    --------
    >>> np.frombuffer(parse_rows([b"1 2.5", b"-3 4e2"], 2, "memory", [1, 2]), "<f4")
    array([  1. ,   2.5,  -3. , 400. ], dtype=float32)
    >>> parse_rows([b"1 2.5", b"-3 four"], 2, "memory", [1, 2])
    Traceback (most recent call last):
        ...
    ValueError: 'memory', line 2: 2 finite float32 expected, got b'-3 four'
    """
    if all(texts):
        with suppress(ValueError), np.errstate(over="ignore"):  # what is too large becomes infinite
            rows = np.loadtxt(texts, "<f4", comments=None, delimiter=" ", ndmin=2, encoding="latin-1")
            if rows.shape == (len(texts), dim) and np.isfinite(rows).all():
                return rows.tobytes()
    if len(texts) > 1:  # find the row
        return b"".join(parse_rows([text], dim, path, [line]) for text, line in zip(texts, lines, strict=True))
    raise ValueError(f"{str(path)!r}, line {lines[0]}: {dim} finite float32 expected, got {texts[0][:80]!r}")


def write_token_rows(path: PathLike, table: Table, header: bytes = b"", *, binary: bool = False) -> None:
    """Write a header, then for each vector a line "token component ... component", or with float32 as its components.

    Raises
    ------
    ValueError
        If a token is empty or contains white space of ASCII, or a component exceeds float32.
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.
    """
    for token in table.tokens:
        if WHITE_SPACE.search(token):
            raise ValueError(f"token {token!r} is empty or contains white space, which ends a token in the file")
    names = encode_tokens(table.tokens)
    limit = float(np.finfo(np.float32).max)
    largest = max(float(table.matrix.max()), -float(table.matrix.min()))
    if largest > limit:
        raise ValueError(f"the format holds float32, at most {limit:.8g}; got {largest:.8g}")
    matrix = table.matrix.astype("<f4", copy=False)
    template = b" ".join([b"%.9g"] * matrix.shape[1]) + b"\n"  # nine significant digits restore every float32 exactly
    with open_write(path) as file:
        file.write(header)
        for name, row in zip(names, bar(matrix, desc="vectors"), strict=True):
            components = row.tobytes() + b"\n" if binary else template % tuple(row.tolist())
            file.write(name + b" " + components)


def read_token_rows(lines: Iterator[tuple[int, bytes]], dim: int, path: PathLike) -> Table:
    """Read numbered lines "token component ... component", of `dim` components.

    Memory grows with what has been read, never by what a header promises.

    Raises
    ------
    ValueError
        If a line has another form; it is named.
    """
    seen: dict[str, int] = {}

    def without_tokens() -> Iterator[tuple[int, bytes]]:
        for number, line in lines:
            where = f"{str(path)!r}, line {number}"
            name, space, text = (line := line.rstrip(b" ")).partition(b" ")
            if text.count(b" ") >= dim and not re.search(rb" (%b)?$" % NUMBER, (parts := line.rsplit(b" ", dim))[0]):
                name, text = parts[0], b" ".join(parts[1:])
            if not name or not space:
                raise ValueError(f"{where}: a token and {dim} numbers expected, got {line[:40]!r}")
            add_token(name, number, seen, where, "line")
            yield number, text

    rows, numbers = without_tokens(), bytearray()
    while batch := list(islice(rows, max(1, PARSED_NUMBERS // dim))):
        numbers += parse_rows([text for _, text in batch], dim, path, [number for number, _ in batch])
    return Table(list(seen), np.frombuffer(numbers, "<f4").reshape(-1, dim))


def write_text(path: PathLike, table: Table) -> None:
    """Write the text form of word2vec and fastText.

    Raises
    ------
    ValueError
        If a token is empty or contains white space of ASCII, or a component exceeds float32.
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.

    Examples
    --------
    >>> import numpy as np
    >>> write_text("v.vec", Table(["one", "two"], np.eye(2)))
    >>> with open("v.vec", encoding="utf-8") as file:
    ...     print(file.read(), end="")
    2 2
    one 1 0
    two 0 1
    """
    write_token_rows(path, table, b"%d %d\n" % table.matrix.shape)


def read_text(path: PathLike) -> Table:
    """Read the text form of word2vec, gensim or fastText.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If the file has another format, ends early or continues after the last vector; the line is named.

    Examples
    --------
    >>> import numpy as np
    >>> write_text("v.vec", Table(["one", "two"], np.eye(2)))
    >>> read_text("v.vec").tokens
    ['one', 'two']
    """
    with open_read(path) as file:
        lines = numbered_lines(file, path)
        count, dim = parse_header(next(lines, (1, b""))[1], path)
        table = read_token_rows(islice(lines, count), dim, path)
        if len(table.tokens) < count:
            raise ValueError(f"{str(path)!r} ends after {len(table.tokens)} of the {count} vectors it promises")
        for number, line in lines:
            if line.strip():
                raise ValueError(f"{str(path)!r}, line {number}: {line[:40]!r} follows the {count} vectors it promises")
    return table


def parse_header(line: bytes, path: PathLike) -> tuple[int, int]:
    """Return (V, D) from the first line of word2vec's text or binary form.

    Raises
    ------
    ValueError
        If the line has another form, or one of them is zero.

    Examples
    --------
    >>> parse_header(b"3000000 300", "memory")
    (3000000, 300)
    """
    match = re.fullmatch(rb"(\d{1,18})\s+(\d{1,18})\s*", line)
    if match is None:
        raise ValueError(f"{str(path)!r} is no file of vectors: line 1 must be two numbers, got {line[:20]!r}")
    count, dim = int(match[1]), int(match[2])
    if not count or not dim:
        raise ValueError(f"{str(path)!r}, line 1: it promises {count} vectors of dimension {dim}; both must be above 0")
    return count, dim


def lacks_header(path: PathLike) -> bool:
    """Return whether a text begins with a vector, as GloVe's do, and not with a line "V D"."""
    with open_read(path) as file:
        return _dim(next(numbered_lines(file, path), (1, b""))[1]) >= 2


def _dim(line: bytes) -> int:
    """Return how many numbers end a line, its first field apart: the token before them may have spaces."""
    return sum(1 for _ in takewhile(re.compile(NUMBER).fullmatch, line.rstrip(b" ").split(b" ")[:0:-1]))


def write_glove(path: PathLike, table: Table) -> None:
    """Write GloVe's text.

    Raises
    ------
    ValueError
        If a token is empty or contains white space of ASCII, a component exceeds float32, or vectors have dimension 1:
        the first could be read as "V D".
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.

    Examples
    --------
    >>> import numpy as np
    >>> write_glove("v.glove", Table(["one", "two"], np.eye(2)))
    >>> with open("v.glove", encoding="utf-8") as file:
    ...     print(file.read(), end="")
    one 1 0
    two 0 1
    """
    if table.matrix.shape[1] < 2:
        raise ValueError("vectors of dimension 1 look like a header 'V D' in GloVe's files: use the format 'word2vec'")
    write_token_rows(path, table)


def read_glove(path: PathLike) -> Table:
    """Read GloVe's text.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If the file has another format; the line is named.

    Examples
    --------
    >>> import numpy as np
    >>> write_glove("v.glove", Table(["one", "two"], np.eye(2)))
    >>> read_glove("v.glove").tokens
    ['one', 'two']
    """
    with open_read(path) as file:
        lines = numbered_lines(file, path)
        first = next(lines, (1, b""))
        dim = _dim(first[1])
        if dim < 2:
            raise ValueError(f"{str(path)!r}, line 1: a token and two or more numbers expected, got {first[1][:40]!r}")
        return read_token_rows(chain([first], lines), dim, path)


# ---------------------------------------------------------------- the binary form of word2vec
# A line "V D", then for each vector the token, a space and D little-endian float32.
# word2vec ends each vector with a newline, gensim does not; both are read.

BLOCK = 1 << 20  # bytes read at a time


def write_binary(path: PathLike, table: Table) -> None:
    r"""Write the binary form of word2vec.

    Raises
    ------
    ValueError
        If a token is empty or contains white space of ASCII, or a component exceeds float32.
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.

    Examples
    --------
    >>> write_binary("v.bin", Table(["one"], np.array([[1.0, 0.0]])))
    >>> with open("v.bin", "rb") as file:
    ...     file.read()
    b'1 2\none \x00\x00\x80?\x00\x00\x00\x00\n'
    """
    write_token_rows(path, table, b"%d %d\n" % table.matrix.shape, binary=True)


def read_binary(path: PathLike) -> Table:
    """Read the binary form of word2vec.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If the file has another format, ends early or continues after the last vector; the byte is named.

    Examples
    --------
    >>> write_binary("v.bin", Table(["one", "two"], np.eye(2)))
    >>> read_binary("v.bin").tokens
    ['one', 'two']
    """
    seen: dict[str, int] = {}
    numbers = bytearray()  # grows with what has been read, never by what the header promises
    with open_read(path) as file:
        source, first = Source(file, path), file.readline(100)
        source.position = len(first)
        count, dim = parse_header(first, path)
        if 4 * dim > LONGEST:
            raise ValueError(f"{str(path)!r}, line 1: the dimension must be at most {LONGEST // 4}, got {dim}")
        for number in range(1, count + 1):
            start, what = source.position, f"vector {number} of {count}"
            name = source.take_until(b" ", what).lstrip(b"\n")
            if not name:
                raise source.error(f"the token of {what} is empty", start)
            add_token(name, start, seen, f"{str(path)!r}, byte {start}, {what}", "byte")
            numbers += source.take(4 * dim, what)
        if rest := file.read(BLOCK).strip():
            raise source.error(f"{rest[:40]!r} follows the {count} vectors it promises")
    matrix = np.frombuffer(numbers, "<f4").reshape(-1, dim)
    if not all_finite(matrix):
        token, position = list(seen.items())[np.argmin(np.isfinite(matrix).all(axis=1))]
        raise ValueError(f"{str(path)!r}, byte {position}: the vector of {token!r} is not finite")
    return Table(list(seen), matrix)
