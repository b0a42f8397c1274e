"""Parquet and Arrow (Feather), by pyarrow: columns "token", "vector" (lists of length D) and, if known, "count"."""

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
        If it is not a whole Parquet file with columns "token" and "vector".
    """
    parquet = require("pyarrow.parquet", "parquet")

    def read(file: Any) -> Any:
        found = parquet.ParquetFile(file, page_checksum_verification=True)
        names = [name for name in ("token", "vector", "count") if name in found.schema_arrow.names]
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
    except (pyarrow.ArrowException, ValueError, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's; pyarrow's own have no number
            raise
        raise ValueError(f"{str(path)!r} is not a whole file of tokens and vectors: {error}") from error


def _from_arrow(columns: Any) -> Table:
    names = columns.schema.names
    if "token" not in names or "vector" not in names:
        raise ValueError(f"it must have the columns 'token' and 'vector', got {names}")
    types = require("pyarrow", "parquet").types
    token, vector = columns["token"], columns["vector"].combine_chunks()
    if not (types.is_string(token.type) or types.is_large_string(token.type)) or token.null_count:
        raise ValueError(f"'token' must hold strings and no nulls, got {token.type} with {token.null_count} nulls")
    lists = types.is_fixed_size_list, types.is_list, types.is_large_list
    if not any(is_list(vector.type) for is_list in lists) or vector.null_count:
        raise ValueError(f"'vector' must hold lists and no nulls, got {vector.type} with {vector.null_count} nulls")
    lengths = np.unique(vector.value_lengths().to_numpy(zero_copy_only=False)).tolist()
    if len(lengths) != 1:
        raise ValueError(f"'vector' must hold lists of one length, got the lengths {lengths[:9]}")
    matrix = vector.flatten().to_numpy(zero_copy_only=False).reshape(len(vector), lengths[0])
    counts = columns["count"].to_numpy() if "count" in names else None
    return Table(token.to_pylist(), matrix, counts)
