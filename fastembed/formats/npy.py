"""NumPy's file of one array, ``v.npy``, and beside it ``v.tokens.txt`` with one token per line."""

from pathlib import Path

import numpy as np

from fastembed.formats.atomic import is_file, reading_pair
from fastembed.formats.streams import numbered_lines, writing
from fastembed.formats.table import PathLike, Table
from fastembed.formats.tokens import add_token, encode_tokens


def tokens_path(path: PathLike) -> Path:
    """Return the file of the tokens.

    Examples
    --------
    >>> tokens_path("wiki.npy").name
    'wiki.tokens.txt'
    """
    return Path(path).with_suffix(".tokens.txt")


def write(path: PathLike, table: Table) -> None:
    r"""Write both files.

    Raises
    ------
    ValueError
        If a token contains a line end ("\n" or "\r").
    OSError
        If the folder is missing or the data cannot be written; old files are then untouched.

    Examples
    --------
    >>> write("v.npy", Table(["one", "two"], np.eye(2)))
    >>> np.load("v.npy")
    array([[1., 0.],
           [0., 1.]])
    >>> tokens_path("v.npy").read_bytes()
    b'one\ntwo\n'
    """
    names = encode_tokens(table.tokens, r"[\r\n]", "contains a line end, and the file of tokens has one token per line")
    matrix = np.ascontiguousarray(table.matrix)
    with writing(path, tokens_path(path)) as (array_file, token_file):
        np.lib.format.write_array_header_1_0(array_file, np.lib.format.header_data_from_array_1_0(matrix))
        array_file.write(matrix.data)  # np.save would not say what is wrong with the disk
        token_file.writelines(name + b"\n" for name in names)


def read(path: PathLike) -> Table:
    """Read both files; the matrix is mapped into memory.

    Raises
    ------
    OSError
        If a file is missing or cannot be read.
    ValueError
        If one is not such a file. Python objects inside are never unpickled.

    Examples
    --------
    >>> write("v.npy", Table(["one", "two"], np.eye(2)))
    >>> read("v.npy").tokens
    ['one', 'two']
    """
    seen: dict[str, int] = {}
    with reading_pair(path, tokens_path(path)) as (array_file, file):
        for number, line in numbered_lines(file, tokens_path(path)):
            add_token(line, number, seen, f"{str(tokens_path(path))!r}, line {number}", "line")
        try:
            matrix = np.asarray(np.lib.format.open_memmap(path, mode="r"))
        except OSError:
            raise
        except Exception as error:  # a damaged header may be taken for any Python expression
            raise ValueError(f"{str(path)!r} is not a whole .npy file of numbers: {error}") from error
        if not is_file(array_file, path):  # it has been replaced since it was opened
            return read(path)
    return Table(list(seen), matrix.astype(matrix.dtype.newbyteorder("="), copy=False))
