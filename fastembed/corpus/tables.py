"""The rows of structured files, JSON lines, CSV, TSV and Parquet, and the documents in one of their fields."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import chain
from typing import Any, TypeAlias

from fastembed._base.optional import require
from fastembed._base.validation import listed, shown
from fastembed.corpus.chunks import read_data
from fastembed.corpus.documents import BadRow, Document, checked_documents, no_field, text_bytes
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.sources import STRUCTURED, Structure, TextFile, suffix_of

LONGEST_ROW = 1 << 24  # bytes of a line, and characters of a field of CSV; longer ones mean damage
ROWS_AT_ONCE = 32  # of Parquet, where a dictionary repeats a long text in every row for a few bytes

FIRST_BYTES = {b"{": "JSON lines", b"[": "JSON lines", b"PAR1": "Parquet"}  # of files without a suffix of `STRUCTURED`
DELIMITERS = {"CSV": ",;\t|", "TSV": "\t"}  # spreadsheets write semicolons where a comma is a decimal mark
LEAVE_OUT = "skip_bad=True or --skip-bad skips such rows"

Report: TypeAlias = "Callable[[int], object] | None"  # called with the number of bytes read from disk
# Yields the number of each row, and its values in some fields, or why it cannot be read
NumberedRows: TypeAlias = "Generator[tuple[int, Any], None, None]"


def file_documents(
    file: TextFile, structure: Structure, errors: str, ledger: Ledger, report: Report = None
) -> Iterator[Document]:
    """Yield the documents of a structured file, in order.

    Parameters
    ----------
    errors : {"strict", "replace"}
        Whether a row with bytes that are not valid UTF-8 is bad, or gets U+FFFD.
    ledger : Ledger
        Counts the rows that are left out, and U+FFFD.
    report : callable, optional
        Called with the number of bytes read from disk.

    Raises
    ------
    ValueError
        If a row is bad, unless bad rows are skipped, or the file has no such field.
    OSError
        If the file cannot be read or decompressed, or is truncated.
    ImportError
        If the library that reads it is missing.
    """

    def fail(number: int, bad: BadRow) -> Exception:
        return ValueError(f"{row_place(file, number)}: {bad.message}; {LEAVE_OUT}")

    if structure.field is not None:
        rows = _rows_of(file, [structure.field], structure.header, report)
        values = ((number, row if isinstance(row, BadRow) else row[0]) for number, row in rows)
    elif table_format(file) in DELIMITERS:
        lists = csv_rows(file, report=report)
        values = ((n, row if isinstance(row, BadRow) else [*filter(None, map(str.strip, row))]) for n, row in lists)
    else:
        values = json_rows(file, report)
    return checked_documents(values, errors, ledger, None if structure.skip_bad else fail)


def table_format(file: TextFile) -> str:
    """Return the format of a structured file, by its name or else by its first bytes.

    Raises
    ------
    ValueError
        If neither tells the format.
    """
    suffix = suffix_of(file.name)
    if suffix in STRUCTURED:
        return STRUCTURED[suffix]
    start = next(read_data(file), b"").lstrip()
    for first, kind in FIRST_BYTES.items():
        if start.startswith(first):
            return kind
    raise ValueError(f"{file.name!r} is read by rows, so its name must end in one of {', '.join(STRUCTURED)}")


def row_place(file: TextFile, number: int) -> str:
    """Return in words where a row of a structured file is."""
    return f"{file.name!r}, {'row' if table_format(file) == 'Parquet' else 'line'} {number}"


def field_rows(
    file: TextFile, fields: Sequence[str | int], *, header: bool = True, errors: str = "strict", report: Report = None
) -> Generator[tuple[int, tuple[Any, ...] | BadRow], None, None]:
    """Yield the number of each row of a structured file, and its values in some fields, or why it cannot be read.

    Values keep their types: an integer of JSON lines and Parquet is an int, a list is a list, null is None. All values
    of CSV and TSV are str. `row_place` names the place of a row.

    Parameters
    ----------
    fields : sequence of str or int
        Names, or numbers from 1, which fields of JSON lines do not have.
    header : bool
        Whether the first row of CSV and TSV holds the names of the fields.
    errors : {"strict", "replace"}
        Whether a row with text that is not valid UTF-8 is bad, or gets U+FFFD.
    report : callable, optional
        Called with the number of bytes read from disk.

    Raises
    ------
    ValueError
        If the file has no such field, or is not structured.
    OSError
        If the file cannot be read, or is truncated.
    ImportError
        If the library that reads it is missing.
    """
    for number, row in _rows_of(file, fields, header, report):
        if isinstance(row, BadRow) or all(map(_surely_valid, row)):
            yield number, row
        else:
            values = [_valid(value, errors) for value in row]
            yield number, next((value for value in values if isinstance(value, BadRow)), tuple(values))


def _surely_valid(value: Any) -> bool:
    """Return whether a value is text of ASCII, or neither text nor a list: takes less time than `_valid`."""
    return value.isascii() if isinstance(value, str) else not isinstance(value, list)


def _valid(value: Any, errors: str) -> Any:
    """Return a value with valid text, or why its text has no UTF-8 form."""
    if isinstance(value, list):
        items = [_valid(item, errors) for item in value]
        return next((item for item in items if isinstance(item, BadRow)), items)
    if not isinstance(value, str):
        return value
    text = text_bytes(value, errors, Ledger())
    return text if isinstance(text, BadRow) else text.decode()


def _rows_of(file: TextFile, fields: Sequence[str | int], header: bool, report: Report) -> NumberedRows:
    """Yield rows as `field_rows` does, but invalid bytes are surrogates."""
    kind = table_format(file)
    if kind == "JSON lines":
        return _json_fields(file, fields, report)
    if kind == "Parquet":
        return _parquet_fields(file, fields, report)
    return _csv_fields(file, fields, header, report)


def column_of(names: list[str], field: str | int, file: str) -> int:
    """Return the place of a field, given by its name or its number from 1.

    Raises
    ------
    ValueError
        If there is no such field, or there are two.

    Examples
    --------
    >>> column_of(["id", "text"], "text", "a.csv"), column_of(["id", "text"], "2", "a.csv")
    (1, 1)
    >>> column_of(["id", "text"], "txt", "a.csv")
    Traceback (most recent call last):
        ...
    ValueError: 'a.csv' has no field 'txt'; its fields are 'id', 'text'
    """
    places = [place for place, name in enumerate(names) if name == field]
    if len(places) > 1:
        numbers = ", ".join(str(place + 1) for place in places)
        raise ValueError(f"{file!r} has {len(places)} fields {field!r}: pass the number of one: {numbers}")
    if places:
        return places[0]
    number = int(field) if isinstance(field, int) or (field.isascii() and field.isdecimal()) else 0
    if 1 <= number <= len(names):
        return number - 1
    known = f"its fields are {listed(names)}" if any(names) else f"it has {len(names)} fields without names"
    raise ValueError(f"{file!r} has no field {field!r}; {known}")


# ---------------------------------------------------------------- JSON lines, CSV and TSV


def json_rows(file: TextFile, report: Report = None) -> NumberedRows:
    """Yield the number of each line, and what it holds."""
    for number, line in _text_lines(file, report):
        if line and not line.isspace():
            yield number, _json_value(line)


def _json_value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadRow("no JSON", f"no JSON, {getattr(error, 'msg', error)}: {shown(line)}")


def _json_fields(file: TextFile, fields: Sequence[str | int], report: Report) -> NumberedRows:
    """Yield the number of each line, and its values in some fields."""
    for field in fields:
        if isinstance(field, int):
            raise ValueError(f"{file.name!r} has fields with names and without numbers, got field={field}")
    for number, row in json_rows(file, report):
        if isinstance(row, dict):
            missing = next((field for field in fields if field not in row), None)
            yield number, tuple(row[f] for f in fields) if missing is None else no_field(missing, row)
        elif isinstance(row, BadRow):
            yield number, row
        else:
            yield number, BadRow("no JSON object", f"{shown(row)}, where one object per line is expected")


def _csv_fields(file: TextFile, fields: Sequence[str | int], header: bool, report: Report) -> NumberedRows:
    """Yield the number of the line in which each row begins, and its values in some fields."""
    columns: list[int] = []
    width = 0
    for number, row in csv_rows(file, header, report):
        if not columns:
            if isinstance(row, BadRow):
                raise ValueError(f"{file.name!r}, line {number}: {row.message}")
            width = len(row)
            columns = [column_of(row if header else [""] * width, field, file.name) for field in fields]
            if header:
                continue
        if isinstance(row, BadRow):
            yield number, row
        elif len(row) == width:
            yield number, tuple([row[column] for column in columns])
        else:
            hint = "is a quote missing?" if header else "without a field, rows are lists"
            yield number, BadRow("wrong number of fields", f"{len(row)} fields instead of {width} ({hint})")


def csv_rows(file: TextFile, finds_delimiter: bool = True, report: Report = None) -> NumberedRows:
    """Yield the number of the line in which each row begins, and its fields; empty lines are no rows.

    The delimiter is the first possible one that occurs in the first row, or else a comma or tab. The first row of a
    single field of text would mislead.
    """
    delimiters, lines = DELIMITERS[table_format(file)], (line for _, line in _text_lines(file, report))
    first = next(lines, "")
    delimiter = next((mark for mark in delimiters if finds_delimiter and mark in first), delimiters[0])
    reader = csv.reader((f"{line}\n" for line in chain([first], lines)), delimiter=delimiter, strict=True)
    csv.field_size_limit(LONGEST_ROW)  # a limit of the process
    row: list[str] | BadRow | None = []
    while row is not None:
        number = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            if "unexpected end" in str(error) or "field larger" in str(error):  # a quote holds the rest of the file
                raise ValueError(f"{file.name!r}, line {number}: {error}; is a quote not closed?") from None
            row = BadRow("no CSV", f"no CSV, {error}")
        if row:
            yield number, row


def _text_lines(file: TextFile, report: Report) -> Generator[tuple[int, str], None, None]:
    """Yield the number of each line, and the line without its end; invalid bytes are surrogates, U+DC80 to U+DCFF."""
    begun: list[bytes] = []
    number = 1
    for data in chain(read_data(file, report), [b"\n"]):
        *ended, rest = data.split(b"\n")
        for end in ended:
            line = b"".join((*begun, end)).decode(errors="surrogateescape")
            yield number, line.removeprefix("\ufeff") if number == 1 else line
            number += 1
            begun.clear()
        begun.append(rest)
        if sum(map(len, begun)) > LONGEST_ROW:
            raise ValueError(f"{file.name!r}, line {number}: more than {LONGEST_ROW:,} bytes; is a row a line?")


# ---------------------------------------------------------------- Parquet


def _parquet_fields(file: TextFile, fields: Sequence[str | int], report: Report) -> NumberedRows:
    """Yield the number of each row, from 1, and its values in some fields.

    Raises
    ------
    ImportError
        Without pyarrow.
    OSError
        If the file is not Parquet, or is not complete.
    ValueError
        If the file has no such field, or a token in a list is not valid UTF-8.
    """
    arrow, parquet = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
    number, size = 0, file.size()
    try:
        with file.open() as stream:
            table = parquet.ParquetFile(stream, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True)
            names = table.schema_arrow.names
            wanted = [names[column_of(names, field, file.name)] for field in fields]
            for batch in table.iter_batches(ROWS_AT_ONCE, columns=list(dict.fromkeys(wanted)), use_threads=False):
                for row in zip(*(_arrow_values(batch.column(name)) for name in wanted), strict=True):
                    number += 1
                    yield number, row
                if report:
                    report(number * size // table.metadata.num_rows)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file.name!r} has a token that is not valid UTF-8 after row {number}: {error}") from error
    except (arrow.ArrowException, OSError, KeyError) as error:  # KeyError: two columns have the name
        if isinstance(error, OSError) and error.errno is not None:  # pyarrow's errors have no number
            raise
        raise OSError(f"cannot read {file.name!r} beyond row {number}: {error}") from error


def _arrow_values(column: Any) -> list[Any]:
    """Return the values of a column of a table as Python objects."""
    arrow = require("pyarrow", "parquet")
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (arrow.types.is_string(column.type) or arrow.types.is_large_string(column.type)):
        return list(column.to_pylist())
    texts = column.cast(arrow.large_binary()).to_pylist()  # they may be invalid UTF-8
    return [None if text is None else text.decode(errors="surrogateescape") for text in texts]
