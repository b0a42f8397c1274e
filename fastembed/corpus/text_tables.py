"""The rows of JSON lines, CSV and TSV, by the parsers of the standard library."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from fastembed._base.printable import shown
from fastembed.corpus.sources import TextFile
from fastembed.corpus.text_blocks import read_data

LONGEST_ROW = 1 << 26  # bytes of a line, and characters of a field of CSV; a longer one is taken for a damaged file
ROWS_AT_ONCE = 256  # rows of CSV that are parsed while the limit of the csv module is raised
BOM = "\ufeff"

Report: TypeAlias = "Callable[[int], object] | None"  # called with the number of bytes read from disk
Rows: TypeAlias = (
    "Generator[tuple[int, Any], None, None]"  # (its place in the file, the value of the field or a BadRow)
)

_csv_limit = threading.RLock()
_JSON_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}
_decode = json.JSONDecoder().decode


class BadRow(NamedTuple):
    """Why a row cannot be read: in the words of the ledger, and of the error, which is of this kind in memory."""

    reason: str
    message: str
    kind: type[Exception] = ValueError


def no_field(field: object, names: Iterable[object]) -> BadRow:
    """Return what is wrong with a record that has only other fields."""
    return BadRow(f"no field {field!r}", f"no field {field!r} among {', '.join(map(repr, names)) or 'none'}")


def json_rows(file: TextFile, field: str | None, report: Report = None) -> Rows:
    """Yield the number of each line, and the value of a field in it; without a field, what the line holds."""
    with closing(_lines(file, report)) as lines:
        for number, line in lines:
            if isinstance(line, BadRow):
                yield number, line
            elif line and not line.isspace():
                yield number, _json_value(line, field)


def _json_value(line: str, field: str | None) -> Any:
    try:
        row = _decode(line)
    except (ValueError, RecursionError) as error:
        why = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        whole = "; is the whole file one JSON document, instead of one per line?" if line.strip() in ("[", "{") else ""
        return BadRow("no JSON", f"no JSON, {why}: {shown(line)}{whole}")
    if field is None:
        return row
    if not isinstance(row, dict):
        return BadRow(
            "no JSON object", f"{_JSON_KINDS.get(type(row), 'a number')}, where one object per line is expected"
        )
    if field in row:
        return row[field]
    return no_field(field, row)


def csv_rows(file: TextFile, field: str | int, delimiters: str, header: bool, report: Report = None) -> Rows:
    """Yield the number of the line in which each row begins, and one of its fields."""
    column = width = -1
    with closing(_csv_lists(file, delimiters, report)) as rows:
        for number, row in rows:
            if isinstance(row, BadRow):
                if width < 0:
                    raise ValueError(f"{file.name!r}, line {number}: {row.message}")
                yield number, row
            elif width < 0:
                width, column = len(row), column_of(row if header else [""] * len(row), field, file.name)
                if not header:
                    yield number, row[column]
            elif len(row) == width:
                yield number, row[column]
            else:
                expected = f"where {'the header' if header else 'the first row'} has {width}"
                yield number, BadRow("wrong number of fields", f"{len(row)} fields, {expected}; is a quote missing?")


def csv_header(file: TextFile, delimiters: str) -> list[str]:
    """Return the first row; empty if there is none."""
    with closing(_csv_lists(file, delimiters, None)) as rows:
        for number, row in rows:
            if isinstance(row, BadRow):
                raise ValueError(f"{file.name!r}, line {number}: {row.message}")
            return row
    return []


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
    found = [place for place, name in enumerate(names) if name == field]
    if len(found) > 1:
        places = ", ".join(str(place + 1) for place in found)
        raise ValueError(f"{file!r} has {len(found)} fields {field!r}: give the number of one, {places}")
    if found:
        return found[0]
    number = int(field) if isinstance(field, int) or (field.isascii() and field.isdecimal()) else 0
    if 1 <= number <= len(names):
        return number - 1
    known = f"its fields are {', '.join(map(repr, names))}" if any(names) else f"it has {len(names)} without names"
    raise ValueError(f"{file!r} has no field {field!r}; {known}")


def _csv_lists(
    file: TextFile, delimiters: str, report: Report
) -> Generator[tuple[int, list[str] | BadRow], None, None]:
    """Yield the number of the line in which each row begins, and its fields; empty lines are no rows.

    The delimiter is the first of `delimiters` that the first line has.
    """
    with closing(_complete(file, _lines(file, report))) as lines:
        first = next(lines, "")
        delimiter = next((mark for mark in delimiters if mark in first), delimiters[0])
        reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
        more = True
        while more:
            rows: list[tuple[int, list[str] | BadRow]] = []
            with _csv_limit:  # the limit is one of the process
                limit = csv.field_size_limit(LONGEST_ROW)
                try:
                    while more and len(rows) < ROWS_AT_ONCE:
                        number = reader.line_num + 1
                        row = _next_row(reader, file, number)
                        more = row is not None
                        if row:
                            rows.append((number, row))
                finally:
                    csv.field_size_limit(limit)
            yield from rows


def _next_row(reader: Any, file: TextFile, number: int) -> list[str] | BadRow | None:
    """Return the next row, or None at the end. An error that the rows after it do not survive is raised."""
    try:
        return next(reader, None)
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise ValueError(f"{file.name!r}, line {number}: a quote that opens in this row is never closed") from None
        if "field larger" in str(error):
            raise ValueError(
                f"{file.name!r}, line {number}: a field has over {LONGEST_ROW:,} characters; is its quote not closed?"
            ) from None
        if "new-line" in str(error):
            return BadRow("no CSV", "a carriage return outside quotes: lines end in a newline, with or without one")
        return BadRow("no CSV", f"{error}; a quote within quotes is written twice")


def _complete(file: TextFile, lines: Generator[tuple[int, str | BadRow], None, None]) -> Generator[str, None, None]:
    """Yield each line with its end, as `csv` takes them."""
    with closing(lines):
        for number, line in lines:
            if isinstance(line, BadRow):
                raise ValueError(f"{file.name!r}, line {number}: {line.message}")
            yield f"{line}\n"


def _lines(file: TextFile, report: Report) -> Generator[tuple[int, str | BadRow], None, None]:
    """Yield each line without its end; bytes that are not UTF-8 are surrogates in it, U+DC80 to U+DCFF."""
    kept: list[bytes] = []  # the line that goes on in the next piece; nothing of one that is too long
    number, size = 1, 0

    def line() -> str | BadRow:
        if size > LONGEST_ROW:
            return BadRow("line too long", f"longer than {LONGEST_ROW:,} bytes; is there a line per row?")
        return b"".join(kept).decode(errors="surrogateescape").removeprefix(BOM if number == 1 else "")

    with closing(read_data(file, report, lambda: f"line {number - 1}")) as pieces:
        for data in pieces:
            start = 0
            while end := data.find(b"\n", start) + 1:
                kept.append(data[start : end - 1])
                size += end - 1 - start
                yield number, line()
                kept.clear()
                number, size, start = number + 1, 0, end
            size += len(data) - start
            if size <= LONGEST_ROW:
                kept.append(data[start:])
            else:
                kept.clear()
        if size:
            yield number, line()
