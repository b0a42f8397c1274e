"""Vectors in files of other tools for data: TensorBoard's TSV, NumPy's arrays, Parquet and Arrow."""

import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastembed._base.optional import require
from fastembed._base.progress import bar
from fastembed._base.validation import encode_tokens
from fastembed.formats.atomic import is_file, reading_pair
from fastembed.formats.table import (
    PathLike,
    Table,
    add_token,
    metadata_path,
    numbered_lines,
    reading,
    tokens_path,
    writing,
)
from fastembed.formats.word2vec import read_rows, row_template, to_float32

# ---------------------------------------------------------------- TSV
# TensorBoard's projector loads a pair of files: ``vectors.tsv`` and ``metadata.tsv``. Each line of the first is a
# vector, tab-separated. The second has the tokens in the same order, without a header; with counts, a second column
# and a header too. The projector splits lines at "\n", skips blank ones, and rejects vectors of dimension 1.

ROWS = 1 << 16  # of a row group of Parquet
HEADER = b"token\tcount"


def write_tsv(path: PathLike, table: Table) -> None:
    r"""Write both files.

    Raises
    ------
    ValueError
        If a token is blank or contains a tab or a line end, vectors have dimension 1, or a component exceeds float32.
    OSError
        If the folder is missing or the data cannot be written; old files are then untouched.

    Examples
    --------
    >>> write_tsv("vectors.tsv", Table(["one", "two"], np.eye(2), np.array([7, 3])))
    >>> with open("metadata.tsv", encoding="utf-8", newline="") as file:
    ...     file.read()
    'token\tcount\none\t7\ntwo\t3\n'
    """
    if table.matrix.shape[1] < 2:
        raise ValueError("TensorBoard's projector rejects vectors of dimension 1")
    blank = "[\\s\ufeff]*"  # what JavaScript trims
    names = encode_tokens(
        table.tokens, rf"[\t\n\r]|\A{blank}\Z", "is blank or contains a tab or a line end, which end a field or a line"
    )
    matrix = to_float32(table.matrix)
    template = row_template(matrix.shape[1], b"\t")
    with writing(path, metadata_path(path)) as (vectors, metadata):
        for row in bar(matrix, desc="vectors"):
            vectors.write(template % tuple(row.tolist()))
        if table.counts is None:
            metadata.writelines(name + b"\n" for name in names)
        else:
            metadata.write(HEADER + b"\n")
            metadata.writelines(b"%s\t%d\n" % pair for pair in zip(names, table.counts.tolist(), strict=True))


def read_tsv(path: PathLike) -> Table:
    """Read both files.

    Tokens are in the first column of the metadata, counts in the one named "count". Other columns are ignored.

    Raises
    ------
    OSError
        If a file is missing or cannot be read.
    ValueError
        If one is not such a file; the line is named.

    Examples
    --------
    >>> write_tsv("vectors.tsv", Table(["one", "two"], np.eye(2), np.array([7, 3])))
    >>> read_tsv("vectors.tsv").counts
    array([7, 3])
    """
    with reading_pair(path, metadata_path(path)) as (vectors, metadata):
        tokens, counts = _read_metadata(metadata, metadata_path(path))
        lines = iter(bar(numbered_lines(vectors, path), desc=Path(path).name, total=len(tokens)))
        first = next(lines, (1, b""))
        return Table(tokens, read_rows(chain([first], lines), b"\t", first[1].count(b"\t") + 1, path), counts)


def _read_metadata(file: BinaryIO, path: Path) -> tuple[list[str], np.ndarray | None]:
    """Return the tokens and, if there is a column of them, the counts."""
    seen: dict[str, int] = {}
    counts: list[int] = []
    columns = [b""]
    column = None
    for number, line in numbered_lines(file, path):
        where = f"{str(path)!r}, line {number}"
        fields = line.split(b"\t")
        if number == 1 and len(fields) > 1:
            columns = fields
            column = columns.index(b"count", 1) if b"count" in columns[1:] else None
            continue
        if len(fields) != len(columns):
            raise ValueError(f"{where}: {len(columns)} fields expected, got {len(fields)}: {line[:40]!r}")
        add_token(fields[0], number, seen, where, "line")
        if column is not None:
            if re.fullmatch(rb"\d{1,19}", fields[column]) is None or int(fields[column]) >= 2**63:
                raise ValueError(f"{where}: a count expected, got {fields[column][:40]!r}")
            counts.append(int(fields[column]))
    return list(seen), None if column is None else np.array(counts, dtype=np.int64)


# ---------------------------------------------------------------- NumPy


def write_npy(path: PathLike, table: Table) -> None:
    r"""Write both files.

    Raises
    ------
    ValueError
        If a token contains a line end ("\n" or "\r").
    OSError
        If the folder is missing or the data cannot be written; old files are then untouched.

    Examples
    --------
    >>> write_npy("v.npy", Table(["one", "two"], np.eye(2)))
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


def read_npy(path: PathLike) -> Table:
    """Read both files; the matrix is mapped into memory.

    Raises
    ------
    OSError
        If a file is missing or cannot be read.
    ValueError
        If one is not such a file. Python objects inside are never unpickled.

    Examples
    --------
    >>> write_npy("v.npy", Table(["one", "two"], np.eye(2)))
    >>> read_npy("v.npy").tokens
    ['one', 'two']
    """
    seen: dict[str, int] = {}
    with reading_pair(path, tokens_path(path)) as (array_file, file):
        for number, line in bar(numbered_lines(file, tokens_path(path)), desc=tokens_path(path).name):
            add_token(line, number, seen, f"{str(tokens_path(path))!r}, line {number}", "line")
        try:
            matrix = np.asarray(np.lib.format.open_memmap(path, mode="r"))
        except OSError:
            raise
        except Exception as error:  # a damaged header may be taken for any Python expression
            raise ValueError(f"{str(path)!r} is not a whole .npy file of numbers: {error}") from error
        if not is_file(array_file, path):  # it has been replaced since it was opened
            return read_npy(path)
    return Table(list(seen), matrix.astype(matrix.dtype.newbyteorder("="), copy=False))


# ---------------------------------------------------------------- Parquet and Arrow
# Written by pyarrow; Feather is Arrow. The columns are "token", "vector" (lists of length D) and, if known, "count".
# A table as pandas writes it is read too: "token", and one column of floats per dimension.


def write_parquet(path: PathLike, table: Table) -> None:
    """Write a Parquet file, with checksums.

    Raises
    ------
    ImportError
        Without pyarrow.
    ValueError
        If a token has no UTF-8 form.
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.
    """
    parquet = require("pyarrow.parquet", "parquet")
    columns = _to_arrow(table)
    # Without dictionaries: components hardly repeat
    how = {"use_dictionary": False, "write_page_checksum": True}
    with writing(path) as (file,), parquet.ParquetWriter(file, columns.schema, **how) as writer:
        for first in bar(range(0, len(columns), ROWS), desc="row groups"):
            writer.write_table(columns.slice(first, ROWS))


def read_parquet(path: PathLike) -> Table:
    """Read a Parquet file.

    Raises
    ------
    ImportError
        Without pyarrow.
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not a whole Parquet file with columns "token" and "vector", or "token" and floats.
    """
    parquet = require("pyarrow.parquet", "parquet")

    def read(file: Any) -> Any:
        found = parquet.ParquetFile(file, page_checksum_verification=True)
        names = found.schema_arrow.names
        if "vector" in names:
            names = [name for name in ("token", "vector", "count") if name in names]
        return found.read(columns=names)

    return _read_columns(path, read)


def write_arrow(path: PathLike, table: Table) -> None:
    """Write an Arrow file, which is Feather, version 2; as :func:`write_parquet`."""
    pyarrow = require("pyarrow", "parquet")
    columns = _to_arrow(table)
    with writing(path) as (file,), pyarrow.ipc.new_file(file, columns.schema) as arrow:
        arrow.write_table(columns)


def read_arrow(path: PathLike) -> Table:
    """Read an Arrow file; as :func:`read_parquet`."""
    pyarrow = require("pyarrow", "parquet")
    return _read_columns(path, lambda file: pyarrow.ipc.open_file(file).read_all())


def _to_arrow(table: Table) -> Any:
    pyarrow = require("pyarrow", "parquet")
    encode_tokens(table.tokens)  # raises for what has no UTF-8 form
    columns = {
        "token": pyarrow.array(table.tokens, pyarrow.string()),
        "vector": pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(np.ascontiguousarray(table.matrix).reshape(-1)), table.matrix.shape[1]
        ),
    }
    if table.counts is not None:
        columns["count"] = pyarrow.array(table.counts)
    return pyarrow.table(columns)


def _read_columns(path: PathLike, read: Callable[[Any], Any]) -> Table:
    pyarrow = require("pyarrow", "parquet")
    with reading(path) as file:
        try:
            columns = read(file)
            columns.validate(full=True)
            return _from_arrow(columns)
        except (pyarrow.ArrowException, ValueError, KeyError, OSError, SystemError) as error:  # the last: a length < 0
            if isinstance(error, OSError) and error.errno is not None:  # the system's; pyarrow's own have no number
                raise
            raise ValueError(f"{str(path)!r} is not a whole file of tokens and vectors: {error}") from error


def _from_arrow(columns: Any) -> Table:
    names = columns.schema.names
    if "token" not in names:
        raise ValueError(f"it must have the column 'token', got {names}")
    types = require("pyarrow", "parquet").types
    token = columns["token"]
    if not (types.is_string(token.type) or types.is_large_string(token.type)) or token.null_count:
        raise ValueError(f"'token' must hold strings and no nulls, got {token.type} with {token.null_count} nulls")
    counts = columns["count"].to_numpy() if "count" in names else None
    if "vector" not in names:
        return Table(token.to_pylist(), _matrix_of_columns(columns), counts)
    vector = columns["vector"].combine_chunks()
    lists = types.is_fixed_size_list, types.is_list, types.is_large_list
    if not any(is_list(vector.type) for is_list in lists) or vector.null_count:
        raise ValueError(f"'vector' must hold lists and no nulls, got {vector.type} with {vector.null_count} nulls")
    lengths = np.unique(vector.value_lengths().to_numpy(zero_copy_only=False)).tolist()
    if len(lengths) != 1:
        raise ValueError(f"'vector' must hold lists of one length, got the lengths {lengths[:9]}")
    matrix = vector.flatten().to_numpy(zero_copy_only=False).reshape(len(vector), lengths[0])
    return Table(token.to_pylist(), matrix, counts)


def _matrix_of_columns(columns: Any) -> Any:
    """Return the matrix whose dimensions are the columns besides "token" and "count"."""
    types = require("pyarrow", "parquet").types
    names = [name for name in columns.schema.names if name not in ("token", "count")]
    others = [name for name in names if not types.is_floating(columns[name].type) or columns[name].null_count]
    if others or not names:
        needed = "a column 'vector', or columns of floats without nulls, one per dimension"
        raise ValueError(f"it must have {needed}, got {others or columns.schema.names}")
    return np.column_stack([columns[name].to_numpy() for name in names])
