"""Structured files: the documents in one field of JSON lines, CSV, TSV, Parquet and Arrow."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fastembed._base.validation import check_flag
from fastembed._base.printable import shown
from fastembed._kernels.tokens import valid_utf8
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.rows import BadRow, Report, Rows, csv_header, csv_rows, json_rows
from fastembed.corpus.sources import TextFile
from fastembed.corpus.tables import ARROW_FILE, table_names, table_rows
from fastembed.corpus.text_blocks import DECOMPRESSED, read_data

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
DELIMITERS = {"CSV": ",", "TSV": "\t"}
BINARY = ("Parquet", "Arrow")


@dataclass(frozen=True)
class Records:
    """Which part of a structured file is text.

    Attributes
    ----------
    field : str, int or None
        The name of a field, or its number from 1. A name of digits is taken for a number where no field has it.
    header : bool
        Whether the first row of CSV and TSV holds the names of the fields.
    skip_bad : bool
        Whether a row without such text is left out and counted, instead of being an error.
    errors : {"strict", "replace"}
        What to do with bytes that are not valid UTF-8.
    """

    field: str | int | None = None
    header: bool = True
    skip_bad: bool = False
    errors: str = "strict"

    def __post_init__(self) -> None:
        if isinstance(self.field, bool) or not isinstance(self.field, str | int | None):
            raise TypeError(f"field must be the name of a field or its number, got {self.field!r}")
        if isinstance(self.field, int) and self.field < 1:
            raise ValueError(f"field must be a name, or a number from 1 on, got {self.field}")
        for name in ("header", "skip_bad"):
            object.__setattr__(self, name, check_flag(name, getattr(self, name)))
        if not self.header and isinstance(self.field, str) and not self.field.isdecimal():
            raise ValueError(f"without a header a field has a number and no name, got field={self.field!r}")

    def documents(self, file: TextFile, ledger: Ledger, report: Report = None) -> Iterator[tuple[int, Document]]:
        """Yield the number of each row, or of the line in which it begins, and its document.

        Parameters
        ----------
        file : TextFile
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
        with closing(self._rows(file, kind, report)) as rows:
            for number, value in rows:
                document = self._document(value, ledger)
                if not isinstance(document, BadRow):
                    yield number, document
                elif self.skip_bad:
                    ledger.skipped[document.reason] = ledger.skipped.get(document.reason, 0) + 1
                else:
                    raise ValueError(f"{file.name!r}, {unit} {number}: {document.message}")

    def check_field(self, file: TextFile) -> None:
        """Raise ValueError if no field is given and the rows of a file have fields, which the message names."""
        if self.field is not None:
            return
        kind = format_of(file)
        if kind in BINARY:
            names = table_names(file, kind == "Parquet")
        elif kind in DELIMITERS:
            names = csv_header(file, DELIMITERS[kind])
        else:
            with closing(json_rows(file, None)) as rows:
                names = next((list(row) for _, row in rows if isinstance(row, dict)), [])
        if names:
            raise ValueError(
                f"{file.name!r} has the fields {', '.join(map(repr, names))}: name the one that holds the text, as "
                f"field={names[-1]!r} or --field {names[-1]}"
            )

    def _rows(self, file: TextFile, kind: str, report: Report) -> Rows:
        if kind == "JSON lines":
            if isinstance(self.field, int):
                raise ValueError(f"the fields of JSON lines have names and no numbers, got field={self.field}")
            return json_rows(file, self.field, report)
        if self.field is None:
            raise ValueError(f"{file.name!r} has fields: name the one that holds the text")
        if kind in BINARY:
            return table_rows(file, self.field, kind == "Parquet", report)
        return csv_rows(file, self.field, DELIMITERS[kind], self.header, report)

    def _document(self, value: Any, ledger: Ledger) -> Document | BadRow:
        """Return text as UTF-8, and a list as tokens."""
        if isinstance(value, BadRow):
            return value
        try:
            if isinstance(value, str):
                return value.encode()
            if isinstance(value, list):
                tokens = token_list(value, "the list")
                "".join(tokens).encode()
                return tokens
        except UnicodeEncodeError as error:
            if self.errors == "strict":
                return BadRow("not valid UTF-8", f"not valid UTF-8: {error.reason} ({value!r})")
