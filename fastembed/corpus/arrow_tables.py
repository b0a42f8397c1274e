"""The rows of Parquet and Arrow files, by pyarrow, one batch at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

from fastembed._base.extras import require
from fastembed.corpus.sources import TextFile
from fastembed.corpus.text_tables import Report, Rows, column_of

ROWS_AT_ONCE = 1024
# Buffer of a column of Parquet, in a file of more than WHOLE_BYTES. In smaller ones the column of a whole row group is
# read at once: a buffer would grow to the size in the header of a page, 2 GB in a damaged file of some hundred bytes
BUFFER_BYTES, WHOLE_BYTES = 1 << 20, 1 << 22
ARROW_FILE = b"ARROW1"  # the first bytes of an Arrow file; an Arrow stream has no such mark


def table_rows(file: TextFile, field: str | int, parquet: bool, report: Report = None) -> Rows:
    """Yield the number of each row, from 1, and the value of a field in it; text as bytes.

    Raises
    ------
    ImportError
        Without pyarrow.
    OSError
        If it is not such a file, or is not complete.
    ValueError
        If it has no such field, or that is neither text nor lists.
    """
    number = 0
    with file.open() as stream, _naming(file, lambda: number):
        size = file.size()
        table = _ParquetTable(stream, size) if parquet else _ArrowTable(stream)
        column = column_of(table.names, field, file.name)
        convert = _converter(table.types[column], field, file.name)
        with closing(table.batches(column)) as batches:
            for done, batch in batches:
                batch.view(_unread(batch.type)).validate(full=True)  # of a damaged file, lengths lead beyond the data
                for values in (batch.slice(start, ROWS_AT_ONCE) for start in range(0, len(batch), ROWS_AT_ONCE)):
                    for number, value in enumerate(convert(values), number + 1):  # noqa: B020 - goes on in the next batch
                        yield number, value
                if report:
                    report(int(done * size))
        if report:
            report(size)


def table_names(file: TextFile, parquet: bool) -> list[str]:
    """Return the names of the fields; raise as :func:`table_rows` does."""
    with file.open() as stream, _naming(file, lambda: 0):
        names: list[str] = (_ParquetTable(stream, file.size()) if parquet else _ArrowTable(stream)).names
        return names


class _ParquetTable:
    def __init__(self, stream: Any, size: int) -> None:
        parquet = require("pyarrow.parquet", "parquet")
        buffer = 0 if 0 < size <= WHOLE_BYTES else BUFFER_BYTES  # 0: the server of a URL did not say
        self._file = parquet.ParquetFile(stream, buffer_size=buffer, pre_buffer=False, page_checksum_verification=True)
        schema = self._file.schema_arrow
        self.names, self.types = schema.names, schema.types

    def batches(self, column: int) -> Generator[tuple[float, Any], None, None]:
        """Yield the part of the file that has been read, and the values of a column."""
        rows, name = 0, self.names[column]
        of_this_name = self.names[:column].count(name)
        for batch in self._file.iter_batches(ROWS_AT_ONCE, columns=[name], use_threads=False):
            found = [values for values, other in zip(batch.columns, batch.schema.names, strict=True) if other == name]
            rows += len(batch)
            yield rows / self._file.metadata.num_rows, found[of_this_name]


class _ArrowTable:
    def __init__(self, stream: Any) -> None:
        ipc = require("pyarrow.ipc", "parquet")
        whole = stream.read(len(ARROW_FILE)) == ARROW_FILE
        stream.seek(0)
        self._reader = ipc.open_file(stream) if whole else ipc.open_stream(stream)
        self._whole, self._stream = whole, stream
        self.names, self.types = self._reader.schema.names, self._reader.schema.types

    def batches(self, column: int) -> Generator[tuple[float, Any], None, None]:
        """Yield the part of the file that has been read, and the values of a column."""
        if self._whole:
            count = self._reader.num_record_batches
            for number in range(count):
                yield (number + 1) / count, self._reader.get_batch(number).column(column)
        else:
            start, size = self._stream.tell(), self._stream.seek(0, 2)
            self._stream.seek(start)
            for batch in self._reader:
                yield self._stream.tell() / size, batch.column(column)


def _unread(kind: Any) -> Any:
    """Return a type of arrays with bytes where this one has text, so that text may be other than UTF-8."""
    arrow = require("pyarrow", "parquet")
    types = arrow.types
    if types.is_dictionary(kind):
        return arrow.dictionary(kind.index_type, _unread(kind.value_type), kind.ordered)
    for is_kind, other in (
        (types.is_string, arrow.binary()),
        (types.is_large_string, arrow.large_binary()),
        (types.is_string_view, arrow.binary_view()),
    ):
        if is_kind(kind):
            return other
    for is_kind, make in (
        (types.is_list, arrow.list_),
        (types.is_large_list, arrow.large_list),
        (types.is_list_view, arrow.list_view),
        (types.is_large_list_view, arrow.large_list_view),
    ):
        if is_kind(kind):
            return make(kind.value_field.with_type(_unread(kind.value_type)))
    if types.is_fixed_size_list(kind):
        return arrow.list_(kind.value_field.with_type(_unread(kind.value_type)), kind.list_size)
    return kind


def _converter(kind: Any, field: str | int, file: str) -> Any:
    """Return the function from an array to its Python values: text as bytes, lists of tokens as lists."""
    arrow = require("pyarrow", "parquet")
    types = arrow.types
    if types.is_dictionary(kind):
        convert = _converter(kind.value_type, field, file)
        return lambda values: convert(values.dictionary_decode())
    views = types.is_string_view(kind) or types.is_binary_view(kind)
    if views or any(is_kind(kind) for is_kind in (types.is_string, types.is_large_string)):
        return lambda values: values.cast(arrow.large_binary()).to_pylist()  # as bytes, which may not be UTF-8
    others = (types.is_binary, types.is_large_binary, types.is_list, types.is_large_list, types.is_fixed_size_list)
    if any(is_kind(kind) for is_kind in (*others, types.is_list_view, types.is_large_list_view, types.is_null)):
        return lambda values: values.to_pylist()
    raise ValueError(f"the field {field!r} of {file!r} is of type {kind}, where text or lists of tokens are expected")


@contextmanager
def _naming(file: TextFile, rows: Any) -> Iterator[None]:
    """Turn whatever pyarrow raises for a damaged file into an OSError that names it and the last row."""
    arrow = require("pyarrow", "parquet")
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(f"{file.name!r} has a token that is not valid UTF-8 after row {rows()}: {error}") from error
    except (arrow.ArrowException, OSError, EOFError, SystemError) as error:  # the last: a length below 0 in the file
        if isinstance(error, OSError) and error.errno is not None:  # the system's; pyarrow's own have no number
            raise
        raise OSError(f"cannot read {file.name!r} beyond row {rows()}: {error}") from error
