"""Structured files: the documents in one field of JSON lines, CSV, TSV, Parquet and Arrow."""

from __future__ import annotations

import csv
import json
import os
import shlex
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from fastembed._base.optional import require
from fastembed._base.validation import check_flag, listed, shown, warn_user
from fastembed.corpus.blocks import COMPRESSED, NO_TEXT, read_data
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.memory import BadRow, Document, documents_of, no_field, text_bytes
from fastembed.corpus.sources import TextFile, find_files, is_folder

LONGEST_ROW = 1 << 26  # bytes of a line, and characters of a field of CSV; a longer one is taken for damage

FORMATS = {
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".json": "JSON lines",
    ".csv": "CSV",
    ".tsv": "TSV",
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    ".feather": "Arrow",
}
ARROW_FILE = b"ARROW1"  # the first bytes of an Arrow file; an Arrow stream has no such mark
# Of files without such a suffix
FIRST_BYTES = {b"{": "JSON lines", b"[": "JSON lines", b"PAR1": "Parquet", ARROW_FILE: "Arrow"}
DELIMITERS = {"CSV": ",;\t|", "TSV": "\t"}  # where a comma is a decimal mark, spreadsheets write semicolons
ONE_JSON = "; is the whole file one JSON document? jq -c '.[]' or to_json(orient='records', lines=True) makes lines"
LEAVE_OUT = "skip_bad or --skip-bad leaves such rows out"
WORDS_IN_NAMES = 5  # more words are no name of a field
USUAL = ("text", "content", "body", "sentence", "review", "tokens")  # names of the field that holds text
BINARY = ("Parquet", "Arrow")


class UnnamedFieldError(ValueError):
    """A structured file was given without the field that holds its texts.

    Attributes
    ----------
    name : str
        Of the file.
    fields : list of str
        The names of its fields.
    likely : str
        The one that may hold texts.
    """

    def __init__(self, name: str, fields: list[str]) -> None:
        self.name, self.fields, self.likely = name, fields, likely_field(fields, USUAL)
        super().__init__(
            f"{name!r} has the fields {listed(fields)}: name the one that holds the text, as "
            f"--field {shlex.quote(self.likely)} or FileCorpus(..., field={self.likely!r})"
            + "; of baskets with commas between items tr ' ,' '_ ' < FILE makes text"
            * (self.likely == "NAME" and ".csv" in name)
        )


def likely_field(names: Sequence[str], usual: Sequence[str]) -> str:
    """Return the field with the first of the usual names, which may be a word of its own, or NAME if there is none."""
    words = {name: name.lower().replace("_", " ").split() for name in names}
    return next((name for each in usual for name in names if each in words[name]), "NAME")


@dataclass(frozen=True)
class Structure:
    """Which part of structured files is text.

    Attributes
    ----------
    field : str, int or None
        The name of a field, or its number from 1. A name of digits is taken for a number where no field has it.
    header : bool
        Whether the first row of CSV and TSV holds the names of the fields.
    skip_bad : bool
        Whether a row without such text is left out and counted, instead of being an error.
    """

    field: str | int | None = None
    header: bool = True
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.field, bool) or not isinstance(self.field, str | int | None):
            raise TypeError(f"field must be the name of a field or its number, got {self.field!r}")
        if isinstance(self.field, int) and self.field < 1:
            raise ValueError(f"field must be a name, or a number from 1 on, got {self.field}")
        for name in ("header", "skip_bad"):
            vars(self)[name] = check_flag(name, getattr(self, name))
        if not self.header and not str(self.field).isdecimal():
            raise ValueError(f"without a header, fields have numbers and no names, got field={self.field!r}")

    def find(self, path: str | os.PathLike[str]) -> list[TextFile]:
        """Return the files that a path stands for; if a field is named, only the structured ones of a folder.

        Raise ValueError if no field is named, and the rows of a file have fields.
        """
        files = find_files(path)
        if self.field is not None and is_folder(path):
            files = [file for file in files if suffix_of(file.name) in FORMATS]
            if not files:
                names = ", ".join(FORMATS)
                raise FileNotFoundError(f"no file in the folder {os.fspath(path)!r} is structured: {names}")
        for file in files:
            if self.field is None and suffix_of(file.name) in FORMATS:
                _reject_fields(file)
        return files

    def covers(self, file: TextFile) -> bool:
        """Return whether a file is read as a structured one: all are if a field is named."""
        return self.field is not None or suffix_of(file.name) in FORMATS

    def documents(self, file: TextFile, errors: str, ledger: Ledger, report: Report = None) -> Iterator[Document]:
        """Yield the documents of a file, in order.

        Parameters
        ----------
        errors : {"strict", "replace"}
            What to do with bytes that are not valid UTF-8.
        ledger : Ledger
            Rows that are left out are added to it, and U+FFFD put in place of invalid bytes.
        report : callable, optional
            Called with the number of bytes read from disk.

        Raises
        ------
        ValueError
            If a row is bad, unless these are skipped, or the file has no such field.
        OSError
            If the file cannot be read or decompressed, or is truncated.
        ImportError
            If the library that reads it is missing.
        """

        def fail(number: int, bad: BadRow) -> Exception:
            return ValueError(f"{place_of(file, number)}: {bad.message}; {LEAVE_OUT}")

        if self.field is not None:
            rows = _only_field(_rows_of(file, [self.field], self.header, report, documents=True))
        elif format_of(file) == "JSON lines":
            rows = json_rows(file, report)
        else:  # `find` has let it pass, so it is empty
            raise ValueError(f"which field of {file.name!r} is the text must be said, as field=...")
        with closing(rows):
            yield from documents_of(rows, errors, ledger, None if self.skip_bad else fail)


def _reject_fields(file: TextFile) -> None:
    """Raise UnnamedFieldError if the rows of a file have fields."""
    kind = format_of(file)
    if kind in BINARY:
        with _table(file, kind == "Parquet", lambda: 0) as table:
            names = list(table.schema.names)
    elif kind in DELIMITERS:
        with closing(_csv_lists(file, DELIMITERS[kind], None)) as lists:
            names = next((row for _, row in lists if isinstance(row, list)), [])
    else:
        with closing(json_rows(file)) as rows:
            names = [str(name) for _, row in islice(rows, 1) if isinstance(row, dict) for name in row]
    if names:
        raise UnnamedFieldError(file.name, names)


def suffix_of(name: str) -> str:
    """Return the suffix of the name of a file in lower case, or what stands before one of compression.

    Examples
    --------
    >>> suffix_of("a.jsonl.gz"), suffix_of("a.CSV"), suffix_of("a.gz")
    ('.jsonl', '.csv', '')
    """
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix


def format_of(file: TextFile) -> str:
    """Return the format of a structured file: by its name or, if that does not say it, by its first bytes.

    Raises
    ------
    ValueError
        If neither says it.
    """
    suffix = suffix_of(file.name)
    if suffix in FORMATS:
        if FORMATS[suffix] in BINARY and not file.name.lower().endswith(suffix):
            raise ValueError(f"{file.name!r}: {FORMATS[suffix]} files are compressed inside; decompress it first")
        return FORMATS[suffix]
    with closing(read_data(file, None, lambda: "its start")) as pieces:
        start = next(pieces, b"").lstrip()
    if kind := next((kind for first, kind in FIRST_BYTES.items() if start.startswith(first)), None):
        return kind
    pipe = "of standard input and pipes JSON lines, Parquet and Arrow are known by how they begin; others need a file"
    raise ValueError(
        f"{file.name!r} is to be read by fields, but is not in a format that has some: its name must end in one of "
        f"{', '.join(FORMATS)} (of text, also with {', '.join(COMPRESSED)}); "
        + next((reason for first, reason in NO_TEXT.items() if start.startswith(first)), pipe)
    )


# ---------------------------------------------------------------- JSON lines, CSV and TSV

ROWS_PARSED_AT_ONCE = 256  # rows of CSV that are parsed while the limit of the csv module is raised
BOM = "\ufeff"

Report: TypeAlias = "Callable[[int], object] | None"  # called with the number of bytes read from disk
# Yields the place of each row in the file, and the value of the field or a BadRow
Rows: TypeAlias = "Generator[tuple[int, Any], None, None]"

_csv_limit = threading.RLock()
_JSON_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}
_decode = json.JSONDecoder().decode


def json_rows(file: TextFile, report: Report = None) -> Rows:
    """Yield the number of each line, and what it holds."""
    with closing(_lines(file, report)) as lines:
        for number, line in lines:
            if isinstance(line, BadRow):
                yield number, line
            elif line and not line.isspace():
                yield number, _json_value(line)


def _json_value(line: str) -> Any:
    try:
        return _decode(line)
    except (ValueError, RecursionError) as error:
        why = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        whole = ONE_JSON if line.strip() in ("[", "{") else ""
        return BadRow("no JSON", f"no JSON, {why}: {shown(line)}{whole}")


def _json_fields(file: TextFile, fields: Sequence[str | int], report: Report) -> Rows:
    """Yield the number of each line, and its values in some fields."""
    for field in fields:
        if isinstance(field, int):
            raise ValueError(f"{file.name!r} has fields with names and without numbers, got field={field}")
    with closing(json_rows(file, report)) as rows:
        for number, row in rows:
            if isinstance(row, dict):
                missing = next((field for field in fields if field not in row), None)
                yield number, tuple(row[f] for f in fields) if missing is None else no_field(missing, row)
            elif isinstance(row, BadRow):
                yield number, row
            else:
                kind = _JSON_KINDS.get(type(row), "a number")
                whole = ONE_JSON if number == 1 and isinstance(row, list) and isinstance((row or [0])[0], dict) else ""
                yield number, BadRow("no JSON object", f"{kind}, where one object per line is expected{whole}")


def _csv_fields(file: TextFile, fields: Sequence[str | int], header: bool, report: Report) -> Rows:
    """Yield the number of the line in which each row begins, and its values in some fields."""
    delimiters = DELIMITERS[format_of(file)]
    if not header:
        delimiters = delimiters[:1]  # text has these marks, names do not
    columns: list[int] = []
    width = -1
    with closing(_csv_lists(file, delimiters, report)) as rows:
        for number, row in rows:
            if isinstance(row, BadRow):
                yield number, row
            elif width < 0:
                width, names = len(row), row if header else [""] * len(row)
                columns = [column_of(names, field, file.name) for field in fields]
                if header and not any(field in names for field in fields):
                    _check_names([names[column] for column in columns], file.name)
                if not header:
                    yield number, tuple(row[column] for column in columns)
            elif len(row) == width:
                yield number, tuple([row[column] for column in columns])
            else:
                expected = f"where {'the header' if header else 'the first row'} has {width}"
                yield number, BadRow("wrong number of fields", f"{len(row)} fields, {expected}; is a quote missing?")


def _check_names(names: list[str], file: str) -> None:
    """Warn if names in the first row of a file, of fields that are given by numbers, look like data."""
    strange = next((name for name in names if len(name.split()) > WORDS_IN_NAMES), None)
    if strange is not None:
        warn_user(
            f"the first row of {file!r} is taken for the names of its fields, such as {shown(strange)}: "
            "with header=False or --no-header it is data"
        )


def _only_field(rows: Rows) -> Rows:
    """Yield the only value of each row in place of a tuple."""
    with closing(rows):
        for number, row in rows:
            yield number, row if isinstance(row, BadRow) else row[0]


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
    known = f"its fields are {listed(names)}" if any(names) else f"it has {len(names)} without names"
    known += "; remove the first line, which is for Excel" * names[0].startswith("sep=") if names else ""
    raise ValueError(f"{file!r} has no field {field!r}; {known}")


def _csv_lists(
    file: TextFile, delimiters: str, report: Report
) -> Generator[tuple[int, list[str] | BadRow], None, None]:
    """Yield the number of the line in which each row begins, and its fields; empty lines are no rows.

    The delimiter is the first of `delimiters` that the first line has. Raise ValueError if the first row is bad.
    """
    with closing(_complete(file, _lines(file, report))) as lines:
        first = next(lines, "")
        delimiter = next((mark for mark in delimiters if mark in first), delimiters[0])
        reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
        begun, more = False, True
        while more:
            rows: list[tuple[int, list[str] | BadRow]] = []
            with _csv_limit:  # the module has one limit for the whole process
                limit = csv.field_size_limit(LONGEST_ROW)
                try:
                    while more and len(rows) < ROWS_PARSED_AT_ONCE:
                        number = reader.line_num + 1
                        row = _next_row(reader, file, number)
                        more = row is not None
                        if isinstance(row, BadRow) and not begun:
                            raise ValueError(f"{file.name!r}, line {number}: {row.message}")
                        if row:
                            rows.append((number, row))
                            begun = True
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


# ---------------------------------------------------------------- Parquet and Arrow

ROWS_AT_ONCE = 1024
# Buffer of a column of Parquet, in a file of more than WHOLE_BYTES. In smaller ones the column of a whole row group is
# read at once: a buffer would grow to the size in the header of a page, 2 GB in a damaged file of some hundred bytes
BUFFER_BYTES, WHOLE_BYTES = 1 << 20, 1 << 22


def table_rows(
    file: TextFile, fields: Sequence[str | int], parquet: bool, report: Report, *, documents: bool = False
) -> Rows:
    """Yield the number of each row, from 1, and its values in some fields.

    Text is a str, in which bytes that are not UTF-8 are surrogates. For `documents`, which must be text or lists, it is
    bytes.

    Raises
    ------
    ImportError
        Without pyarrow.
    OSError
        If it is not such a file, or is not complete.
    ValueError
        If it has no such field, or `documents` are neither text nor lists.
    """
    number, size = 0, file.size()
    with _table(file, parquet, lambda: number) as table:
        columns = [column_of(table.schema.names, field, file.name) for field in fields]
        if documents:
            _check_documents(table.schema.types[columns[0]], fields[0], file.name)
        with closing(table.batches(columns)) as batches:
            for done, parts in batches:
                raw = [part.view(_unread(part.type)) for part in parts]
                for values in raw:
                    values.validate(full=True)  # of a damaged file, lengths lead beyond the data
                kept = [part if _is_list(part.type) else values for part, values in zip(parts, raw, strict=True)]
                texts = [part.type != values.type for part, values in zip(parts, kept, strict=True)]
                for start in range(0, len(kept[0]), ROWS_AT_ONCE):
                    lists = [values.slice(start, ROWS_AT_ONCE).to_pylist() for values in kept]
                    for k in np.flatnonzero(texts) if not documents else ():
                        lists[k] = [value and value.decode(errors="surrogateescape") for value in lists[k]]
                    for row in zip(*lists, strict=True):
                        number += 1
                        yield number, row
                if report:
                    report(int(done * size))
        if report:
            report(size)


# ---------------------------------------------------------------- several fields of a row


def field_rows(
    file: TextFile, fields: Sequence[str | int], *, header: bool = True, errors: str = "strict", report: Report = None
) -> Generator[tuple[int, tuple[Any, ...] | BadRow], None, None]:
    """Yield the number of each row of a structured file, and its values in some fields, or why it cannot be read.

    Values are as the file holds them: an integer of JSON lines, Parquet and Arrow is an int, a list is a list, null is
    None, and everything in CSV and TSV is a str. `place_of` says in words where the row is.

    Parameters
    ----------
    fields : sequence of str or int
        Their names; or, of CSV, TSV, Parquet and Arrow, their numbers from 1.
    header : bool
        Whether the first row of CSV and TSV holds the names of the fields.
    errors : {"strict", "replace"}
        What to do with text that is not valid UTF-8: the row is bad, or it gets U+FFFD.
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
    with closing(_rows_of(file, fields, header, report)) as rows:
        for number, row in rows:
            for value in row if type(row) is tuple else ():
                if not (value.isascii() if type(value) is str else type(value) is not list):
                    cleaned = [_valid(each, errors) for each in row]
                    bad = next((each for each in cleaned if isinstance(each, BadRow)), None)
                    yield number, bad or tuple(cleaned)
                    break
            else:
                yield number, row


def _rows_of(
    file: TextFile, fields: Sequence[str | int], header: bool, report: Report, *, documents: bool = False
) -> Rows:
    """Yield the number of each row and its values, as `field_rows` does, but whether they are valid UTF-8 or not."""
    kind = format_of(file)
    if kind == "JSON lines":
        return _json_fields(file, fields, report)
    if kind in BINARY:
        return table_rows(file, fields, kind == "Parquet", report, documents=documents)
    return _csv_fields(file, fields, header, report)


def place_of(file: TextFile, number: int) -> str:
    """Return in words where a row of a structured file is."""
    return f"{file.name!r}, {'row' if format_of(file) in BINARY else 'line'} {number}"


def _valid(value: Any, errors: str) -> Any:
    """Return a value whose text has a UTF-8 form, or why it has none."""
    if isinstance(value, list):
        items = [_valid(item, errors) for item in value]
        return next((item for item in items if isinstance(item, BadRow)), items)
    if not isinstance(value, str):
        return value
    text = text_bytes(value, errors, Ledger())
    return text if isinstance(text, BadRow) else text.decode()


class _ParquetTable:
    def __init__(self, stream: Any, size: int) -> None:
        parquet = require("pyarrow.parquet", "parquet")
        buffer = 0 if 0 < size <= WHOLE_BYTES else BUFFER_BYTES  # 0: the server of a URL did not say
        self._file = parquet.ParquetFile(stream, buffer_size=buffer, pre_buffer=False, page_checksum_verification=True)
        self.schema = self._file.schema_arrow

    def batches(self, columns: list[int]) -> Generator[tuple[float, list[Any]], None, None]:
        """Yield the part of the file that has been read, and the values of some columns."""
        rows, names = 0, self.schema.names
        wanted = list(dict.fromkeys(names[column] for column in columns))
        for batch in self._file.iter_batches(ROWS_AT_ONCE, columns=wanted, use_threads=False):
            found: dict[str, list[Any]] = {name: [] for name in wanted}
            for name, values in zip(batch.schema.names, batch.columns, strict=True):
                found[name].append(values)
            rows += len(batch)
            parts = [found[names[column]][names[:column].count(names[column])] for column in columns]
            yield rows / self._file.metadata.num_rows, parts


class _ArrowTable:
    def __init__(self, stream: Any) -> None:
        ipc = require("pyarrow.ipc", "parquet")
        self._whole, self._stream = stream.read(len(ARROW_FILE)) == ARROW_FILE, stream
        stream.seek(0)
        self._reader = ipc.open_file(stream) if self._whole else ipc.open_stream(stream)
        self.schema = self._reader.schema

    def batches(self, columns: list[int]) -> Generator[tuple[float, list[Any]], None, None]:
        """Yield the part of the file that has been read, and the values of some columns."""
        if self._whole:
            count = self._reader.num_record_batches
            for number in range(count):
                batch = self._reader.get_batch(number)
                yield (number + 1) / count, [batch.column(column) for column in columns]
        else:
            start, size = self._stream.tell(), self._stream.seek(0, 2)
            self._stream.seek(start)
            for batch in self._reader:
                yield self._stream.tell() / size, [batch.column(column) for column in columns]


# Types of arrays, by the names that pyarrow tests them by: those of text with those of bytes, and those of lists
TEXTS = {"string": "binary", "large_string": "large_binary", "string_view": "binary_view"}
LISTS = {"list": "list_", "fixed_size_list": "list_"} | {
    name: name for name in ("large_list", "list_view", "large_list_view")
}


def _named(kind: Any, names: Iterable[str]) -> str | None:
    """Return the one of some names that a type of arrays has."""
    types = require("pyarrow", "parquet").types
    return next((name for name in names if getattr(types, f"is_{name}")(kind)), None)


def _unread(kind: Any) -> Any:
    """Return a type of arrays with bytes where this one has text, so that text may be other than UTF-8."""
    arrow = require("pyarrow", "parquet")
    if _named(kind, ["dictionary"]):
        return arrow.dictionary(kind.index_type, _unread(kind.value_type), kind.ordered)
    if name := _named(kind, TEXTS):
        return getattr(arrow, TEXTS[name])()
    if name := _named(kind, LISTS):
        size = [kind.list_size] if name == "fixed_size_list" else []
        return getattr(arrow, LISTS[name])(kind.value_field.with_type(_unread(kind.value_type)), *size)
    return kind


def _is_list(kind: Any) -> bool:
    """Return whether an array of this type holds lists."""
    return _named(kind.value_type if _named(kind, ["dictionary"]) else kind, LISTS) is not None


def _check_documents(kind: Any, field: str | int, file: str) -> None:
    """Raise ValueError unless a column of this type holds lists or texts."""
    value = kind.value_type if _named(kind, ["dictionary"]) else kind
    if _named(value, (*TEXTS, *LISTS, "binary", "large_binary", "binary_view", "null")) is None:
        raise ValueError(f"the field {field!r} of {file!r} is of type {kind}, not text or lists of tokens")


@contextmanager
def _table(file: TextFile, parquet: bool, rows: Callable[[], int]) -> Iterator[_ParquetTable | _ArrowTable]:
    """Open a file. Whatever pyarrow raises if it is damaged becomes an OSError that names it and the last row."""
    arrow = require("pyarrow", "parquet")
    try:
        with file.open() as stream:
            yield _ParquetTable(stream, file.size()) if parquet else _ArrowTable(stream)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file.name!r} has a token that is not valid UTF-8 after row {rows()}: {error}") from error
    except (arrow.ArrowException, OSError, EOFError, SystemError) as error:  # the last: a length below 0 in the file
        if isinstance(error, OSError) and error.errno is not None:  # the system's; pyarrow's own have no number
            raise
        raise OSError(f"cannot read {file.name!r} beyond row {rows()}: {error}") from error
