"""Parquet and Arrow (Feather), by pyarrow: columns "token", "vector" (lists of length D) and, if known, "count".

A table as pandas writes it is read too: "token", and one column of floats per dimension.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastembed._base.extras import require
from fastembed.formats.streams import writing
from fastembed.formats.table import PathLike, Table
from fastembed.formats.tokens import encode_tokens


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
    with writing(path) as (file,):
        # without dictionaries: components hardly repeat
        parquet.write_table(columns, file, use_dictionary=False, write_page_checksum=True)


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

    return _read(path, read)


def write_arrow(path: PathLike, table: Table) -> None:
    """Write an Arrow file, which is Feather, version 2; as :func:`write_parquet`."""
    pyarrow = require("pyarrow", "parquet")
    columns = _to_arrow(table)
    with writing(path) as (file,), pyarrow.ipc.new_file(file, columns.schema) as arrow:
        arrow.write_table(columns)


def read_arrow(path: PathLike) -> Table:
    """Read an Arrow file; as :func:`read_parquet`."""
    pyarrow = require("pyarrow", "parquet")
    return _read(path, lambda file: pyarrow.ipc.open_file(file).read_all())


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


def _read(path: PathLike, read: Callable[[Any], Any]) -> Table:
    with Path(path).open("rb") as file, _naming(path):
        columns = read(file)
        columns.validate(full=True)
        return _from_arrow(columns)


@contextmanager
def _naming(path: PathLike) -> Iterator[None]:
    """Turn whatever pyarrow raises for a damaged file into a ValueError that names it."""
    pyarrow = require("pyarrow", "parquet")
    try:
        yield
    except (pyarrow.ArrowException, ValueError, KeyError, OSError, SystemError) as error:  # the last: a length below 0
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
        raise ValueError(
            "it must have a column 'vector', or columns of floats without nulls, one per dimension, got"
            f" {others or columns.schema.names}"
        )
    return np.column_stack([columns[name].to_numpy() for name in names])
