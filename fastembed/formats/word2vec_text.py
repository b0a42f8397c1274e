"""The text form of word2vec, which is fastText's too (``.vec``): a line "V D", then a line per vector."""

import re
from itertools import islice

from fastembed.formats.streams import numbered_lines, reading
from fastembed.formats.table import PathLike, Table
from fastembed.formats.text_rows import read_token_rows, write_token_rows


def write(path: PathLike, table: Table) -> None:
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
    >>> write("v.vec", Table(["one", "two"], np.eye(2)))
    >>> with open("v.vec", encoding="utf-8") as file:
    ...     print(file.read(), end="")
    2 2
    one 1 0
    two 0 1
    """
    write_token_rows(path, table, b"%d %d\n" % table.matrix.shape)


def read(path: PathLike) -> Table:
    """Read the text form of word2vec, gensim or fastText.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not such a file, ends early or continues after the last vector; the line is named.

    Examples
    --------
    >>> import numpy as np
    >>> write("v.vec", Table(["one", "two"], np.eye(2)))
    >>> read("v.vec").tokens
    ['one', 'two']
    """
    with reading(path) as file:
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
    found = re.fullmatch(rb"(\d{1,18})\s+(\d{1,18})\s*", line)
    if found is None:
        raise ValueError(
            f"{str(path)!r}, line 1: word2vec's files begin with a line 'V D', got {line[:40]!r};"
            " those without one are of the format 'glove'"
        )
    count, dim = int(found[1]), int(found[2])
    if not count or not dim:
        raise ValueError(f"{str(path)!r}, line 1: it promises {count} vectors of dimension {dim}; both must be above 0")
    return count, dim
