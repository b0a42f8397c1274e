"""Structured files: the documents in one field of JSON lines, CSV, TSV, Parquet and Arrow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fastembed._base.validation import check_flag
from fastembed.corpus.arrow_tables import ARROW_FILE, table_names, table_rows
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.records import Document, documents_of
from fastembed.corpus.sources import TextFile, find_files, is_folder
from fastembed.corpus.text_blocks import COMPRESSED, read_data
from fastembed.corpus.text_tables import BadRow, Report, Rows, csv_header, csv_rows, json_rows

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
FIRST_BYTES = {b"{": "JSON lines", b"PAR1": "Parquet", ARROW_FILE: "Arrow"}  # of files without such a suffix
DELIMITERS = {"CSV": ",;\t", "TSV": "\t"}  # where a comma is a decimal mark, spreadsheets write semicolons
USUAL = ("text", "content", "body", "sentence", "review", "tokens")  # names of the field that holds text
BINARY = ("Parquet", "Arrow")


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
            object.__setattr__(self, name, check_flag(name, getattr(self, name)))
        if not self.header and not str(self.field).isdecimal():
            raise ValueError(f"without a header, fields have numbers and no names, got field={self.field!r}")

    def find(self, path: str | os.PathLike[str]) -> list[TextFile]:
        """Return the files that a path stands for; if a field is named, only the structured ones of a folder."""
        files = find_files([path])
        if self.field is None or not is_folder(path):
            return files
        found = [file for file in files if is_structured(file.name)]
        if not found:
            raise FileNotFoundError(f"no file in the folder {os.fspath(path)!r} is structured: {', '.join(FORMATS)}")
        return found

    def covers(self, file: TextFile) -> bool:
        """Return whether a file is read as a structured one: all are if a field is named."""
        return self.field is not None or is_structured(file.name)

    def check(self, file: TextFile) -> None:
        """Raise ValueError if no field is named and the rows of a file have fields; the message names them."""
        if self.field is not None or not is_structured(file.name):
            return
        kind = format_of(file)
        if kind in BINARY:
            names = table_names(file, kind == "Parquet")
        elif kind in DELIMITERS:
            names = csv_header(file, DELIMITERS[kind])
        else:
            with closing(json_rows(file, None)) as rows:
                names = [str(name) for _, row in islice(rows, 1) if isinstance(row, dict) for name in row]
        if names:
            likely = next((name for name in USUAL if name in names), names[-1])
            raise ValueError(
                f"{file.name!r} has the fields {', '.join(map(repr, names))}: name the one that holds the text, as "
                f"--field {likely} or FileCorpus(..., field={likely!r})"
            )

    def documents(self, file: TextFile, errors: str, ledger: Ledger, report: Report = None) -> Iterator[Document]:
        """Yield the documents of a file, in order.

        Parameters
        ----------
        file : TextFile
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
        kind = format_of(file)
        unit = "row" if kind in BINARY else "line"

        def fail(number: int, bad: BadRow) -> Exception:
            return ValueError(f"{file.name!r}, {unit} {number}: {bad.message}")

        with closing(self._rows(file, kind, report)) as rows:
            yield from documents_of(rows, errors, ledger, None if self.skip_bad else fail)

    def _rows(self, file: TextFile, kind: str, report: Report) -> Rows:
        if kind == "JSON lines":
            if isinstance(self.field, int):
                raise ValueError(f"{file.name!r} has fields with names and without numbers, got field={self.field}")
            return json_rows(file, self.field, report)
        if self.field is None:  # `check` has let it pass, so it is empty
            raise ValueError(f"which field of {file.name!r} is the text must be said, as field=...")
        if kind in BINARY:
            return table_rows(file, self.field, kind == "Parquet", report)
        delimiters = DELIMITERS[kind] if self.header else DELIMITERS[kind][:1]  # text has these marks, names do not
        return csv_rows(file, self.field, delimiters, self.header, report)


def is_structured(name: str) -> bool:
    """Return whether the name of a file says that it is a structured one.

    Examples
    --------
    >>> is_structured("a.jsonl.gz"), is_structured("a.CSV"), is_structured("a.txt")
    (True, True, False)
    """
    return _suffix(name) in FORMATS


def format_of(file: TextFile) -> str:
    """Return the format of a structured file: by its name or, if that does not say it, by its first bytes.

    Raises
    ------
    ValueError
        If neither says it.
    """
    suffix = _suffix(file.name)
    if suffix in FORMATS:
        if FORMATS[suffix] in BINARY and not file.name.lower().endswith(suffix):
            raise ValueError(f"{file.name!r}: {FORMATS[suffix]} files are compressed inside; decompress it first")
        return FORMATS[suffix]
    with closing(read_data(file, None, lambda: "its start")) as pieces:
        start = next(pieces, b"").lstrip()
    for first, kind in FIRST_BYTES.items():
        if start.startswith(first):
            return kind
    raise ValueError(
        f"{file.name!r} is to be read by fields, but is not in a format that has some: its name must end in one of "
        f"{', '.join(FORMATS)} (of text, also with {', '.join(COMPRESSED)})"
    )


def _suffix(name: str) -> str:
    """Return the suffix of a name in lower case, or what stands before one of compression."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix
