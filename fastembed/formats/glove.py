"""GloVe's text: a line per vector, as in word2vec's text, without a first line "V D"."""

from itertools import chain

from fastembed.formats.streams import numbered_lines, reading
from fastembed.formats.table import PathLike, Table
from fastembed.formats.text_rows import read_token_rows, write_token_rows


def write(path: PathLike, table: Table) -> None:
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
    >>> write("v.glove", Table(["one", "two"], np.eye(2)))
    >>> with open("v.glove", encoding="utf-8") as file:
    ...     print(file.read(), end="")
    one 1 0
    two 0 1
    """
    if table.matrix.shape[1] < 2:
        raise ValueError("vectors of dimension 1 look like a header 'V D' in GloVe's files: use the format 'word2vec'")
    write_token_rows(path, table)


def read(path: PathLike) -> Table:
    """Read GloVe's text.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not such a file; the line is named.

    Examples
    --------
    >>> import numpy as np
    >>> write("v.glove", Table(["one", "two"], np.eye(2)))
    >>> read("v.glove").tokens
    ['one', 'two']
    """
    with reading(path) as file:
        lines = numbered_lines(file, path)
        first = next(lines, (1, b""))
        dim = first[1].rstrip(b" ").count(b" ")
        if dim < 2:
            raise ValueError(
                f"{str(path)!r}, line 1: a token and at least two numbers expected, got {first[1][:40]!r};"
                " files that begin with a line 'V D' are of the format 'word2vec'"
            )
        return read_token_rows(chain([first], lines), dim, path)
