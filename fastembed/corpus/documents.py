"""Documents in memory: texts, lists of tokens, and fields of records and tables; and chunks of documents."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import length_hint
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from fastembed._base.validation import listed, shown
from fastembed._kernels.tokens import valid_utf8
from fastembed.corpus.chunks import CHUNK_BYTES, TO_UTF8
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import NOT_ESCAPED, Reading, apply_valid, join_tokens, replace_surrogates, token_list
from fastembed.corpus.sources import column_names, form_of

Document: TypeAlias = "bytes | list[str]"  # a text in UTF-8, or tokens

VALUES_AT_ONCE = 128  # values of a column of Arrow or Polars that become Python objects at a time


class BadRow(NamedTuple):
    """Why a row cannot be read: the reason in the ledger, and the message and type of the error."""

    reason: str
    message: str
    kind: type[Exception] = ValueError


def no_field(field: object, names: Iterable[object]) -> BadRow:
    """Return why a record without a field cannot be read."""
    return BadRow(f"no field {field!r}", f"no field {field!r} among {listed(names) or 'none'}")


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN, or a missing value of pandas.

    Examples
    --------
    >>> is_missing(float("nan")), is_missing(0.0), is_missing("")
    (True, False, False)
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and value != value


def check_field(table: Any, field: object) -> None:
    """Raise ValueError unless exactly one column of a table has this name."""
    names = column_names(table) or []
    if names.count(field) != 1:
        many = f"{names.count(field)} fields" if field in names else "no field"
        raise ValueError(f"the {type(table).__name__} has {many} {field!r}; its fields are {listed(names)}")


def column_values(column: Iterable[Any]) -> list[Any]:
    """Return the values of a list, an array, or a column of a table, as a list of Python objects."""
    for name in ("to_pylist", "to_list", "tolist"):  # of Arrow; of pandas and Polars; of NumPy
        if hasattr(column, name):
            values: list[Any] = getattr(column, name)()
            return values
    return list(column)


class Records:
    """Values that can be iterated again: the items of an iterable, or a field of each.

    Parameters
    ----------
    source : iterable
        Of any objects; with a field, of mappings, or a table.

    Attributes
    ----------
    length : int or None
        The number of values, if it is known.

    Raises
    ------
    TypeError
        If `source` is not an iterable in memory, or is a table without a `field`.
    ValueError
        If a table has no such field, or several.

    Examples
    --------
    >>> list(Records([{"id": 7, "text": "the cat"}], "text"))
    ['the cat']
    """

    def __init__(self, source: Any, field: str | None) -> None:
        form, kind = form_of(source), type(source).__name__
        if form == "files":
            raise TypeError(f"documents in memory are an iterable, got {shown(source)}; FileCorpus reads files")
        if form in ("graph", "other"):
            raise TypeError(f"a corpus is a path or documents; Counts.from_graph reads graphs; got {shown(source)}")
        if not isinstance(field, str | None):
            raise TypeError(f"field must be the name of a field, got {field!r}")
        if form == "table":
            if field is None:
                names = listed(column_names(source) or ["none"])
                raise TypeError(f"documents are one column, got a whole {kind}: pass or name one of {names}")
            check_field(source, field)
            if hasattr(source, "__len__"):  # a stream of rows has columns, but gives none as a whole
                source, field = source[field], None
                if isinstance(source, str):
                    raise TypeError(f"a column must be a list, got the str {shown(source)}: pass a list of dicts")
        if iter(source) is source:
            raise TypeError(f"a corpus is read more than once, which a {kind} does not allow: pass a list")
        self._source: Any = source
        self._field = field
        hint = length_hint(source, -1)
        self.length = None if hint < 0 else hint

    def __iter__(self) -> Iterator[Any]:
        if hasattr(self._source, "slice"):  # Arrow and Polars, whose items are no Python objects
            for start in range(0, len(self._source), VALUES_AT_ONCE):
                yield from column_values(self._source.slice(start, VALUES_AT_ONCE))
        elif self._field is None:
            yield from self._source
        else:
            for record in self._source:
                yield self._value(record)

    def _value(self, record: Any) -> Any:
        if not isinstance(record, Mapping):
            message = f"{shown(record)}, where a mapping with the field {self._field!r} is expected"
            return BadRow("no record", message, TypeError)
        if self._field in record:
            return record[self._field]
        return no_field(self._field, record)


def checked_documents(
    rows: Iterable[tuple[int, Any]], errors: str, ledger: Ledger, fail: Callable[[int, BadRow], Exception] | None
) -> Iterator[Document]:
    """Yield the documents in rows.

    Parameters
    ----------
    rows : iterable of (int, object)
        The number of each row and its value: a text as str or bytes, an iterable of tokens, or a BadRow.
    errors : {"strict", "replace"}
        Whether text without a UTF-8 form is a bad row, or gets U+FFFD, which the ledger counts.
    fail : callable or None
        Returns the error for a bad row. If None, bad rows are left out, and the ledger counts them.
    """
    for number, value in rows:
        document = _document(value, errors, ledger)
        if not isinstance(document, BadRow):
            yield document
        elif fail is None:
            ledger.skipped[document.reason] = ledger.skipped.get(document.reason, 0) + 1
        else:
            raise fail(number, document)


def _document(value: Any, errors: str, ledger: Ledger) -> Document | BadRow:
    """Return a value as a document, or why it is none."""
    if isinstance(value, str):
        return text_bytes(value.removeprefix("\ufeff"), errors, ledger)
    if isinstance(value, BadRow):
        return value
    if isinstance(value, bytes):
        value = value.removeprefix(BOM_UTF8)  # as in a file
        return value if valid_utf8(value) else text_bytes(value.decode(errors="surrogateescape"), errors, ledger)
    if is_missing(value):
        return BadRow("null", "null instead of a text or a list of tokens", TypeError)
    if isinstance(value, Mapping):
        return BadRow("no text", f"a record with {shown(list(value))}: name the field of the text by field", TypeError)
    try:
        tokens = token_list(value, "it")
    except TypeError as error:
        return BadRow("no text", str(error), TypeError)
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError:
        texts = [text_bytes(token, errors, ledger) for token in tokens]
        bad = next((text for text in texts if isinstance(text, BadRow)), None)
        return bad or [text.decode() for text in texts if isinstance(text, bytes)]
    return tokens


def text_bytes(value: str, errors: str, ledger: Ledger) -> bytes | BadRow:
    """Return a text in UTF-8, or why it has no UTF-8 form: it has surrogates, which may stand for invalid bytes."""
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        if errors == "strict":
            part = value[error.start : min(error.end, error.start + 20)]
            bad = part if NOT_ESCAPED.search(part) else part.encode(errors="surrogateescape")  # as in the file
            remedy = f"; {TO_UTF8}" if isinstance(bad, bytes) else ""
            return BadRow("not valid UTF-8", f"not valid UTF-8: {bad!r}{remedy}")
    text, replaced = replace_surrogates(value)
    ledger.replaced += replaced
    return text


@dataclass(frozen=True)
class DocumentChunk:
    """Several documents, all texts or all lists of tokens.

    Attributes
    ----------
    documents : list of bytes
        Texts in UTF-8, or tokens that :func:`join_tokens` joined.
    tokens : bool
        Whether they are lists of tokens.
    size : int
        Their number of bytes.
    inside : bool
        False: no chunk begins inside a sequence.
    """

    documents: list[bytes]
    tokens: bool
    size: int
    inside: bool = False

    @property
    def text(self) -> bytes:
        """All documents, each with a newline at its end."""
        return b"".join(text if text.endswith(b"\n") else text + b"\n" for text in self.documents)

    def read(self, reading: Reading) -> bytes:
        """Return the text of all documents, with a newline at the end of each sequence and of each document."""
        if not self.tokens and reading.unit != "line":
            return b"".join([apply_valid(reading, text) for text in self.documents])
        return self.text if self.tokens else apply_valid(reading, self.text)


def document_chunks(documents: Iterable[bytes | list[str]]) -> Iterator[DocumentChunk]:
    """Yield documents in chunks, in order: texts in UTF-8 and lists of tokens."""
    chunk: list[bytes] = []
    size, tokens = 0, False
    for document in documents:
        is_list = isinstance(document, list)
        text = join_tokens(document) if isinstance(document, list) else document
        if chunk and (is_list != tokens or size >= CHUNK_BYTES):
            yield DocumentChunk(chunk, tokens, size)
            chunk, size = [], 0
        chunk.append(text)
        tokens, size = is_list, size + len(text)
    if chunk:
        yield DocumentChunk(chunk, tokens, size)
