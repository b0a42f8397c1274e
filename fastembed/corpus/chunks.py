"""The text of a file in chunks, decompressed while it is read.

A chunk is up to about 4 MB: whole sequences, or a section of a longer sequence. Threads read chunks independently.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import itertools
import lzma
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from fastembed._base.arrays import RandomAccessFile
from fastembed._kernels.tokens import valid_utf8
from fastembed.corpus.sources import COMPRESSED, FilePart, TextFile, UrlFile

CHUNK_BYTES = 1 << 20  # bytes per read, and the least per chunk of a file
LARGE_CHUNK_BYTES = 1 << 22  # most bytes per chunk of a large file
CHUNKS = 256  # chunks exceed CHUNK_BYTES only if a file has more chunks than this: many threads need many chunks
TAIL_BYTES = 1 << 12  # the end of a chunk, which is searched for a line end first
LONGEST_TOKEN = 1 << 23  # bytes; a longer token means that the file is no text, and would fill the memory
LINE_SPACES = (b" ", b"\t", b"\v", b"\f", b"\r")  # the ASCII white space inside a line

TO_UTF8 = "iconv -f ENCODING -t UTF-8 converts a text"

Cut = Callable[[bytes], tuple[int, bool]]  # returns where a text can be cut, or 0, and whether a sequence ends there

_PARAGRAPH_END = re.compile(rb"\n[ \t\v\f\r]*\n")

# Safe places to cut are behind a digit, a letter, a comma or a semicolon: no sentence or hyphenated line ends there.
# Letters that are not ASCII begin with C3 to DF or E3 to F4; no hyphen and no quotation mark does.
_BEFORE_SPACE = rb"(?:[0-9A-Za-z,;]|[\xc3-\xdf][\x80-\xbf]|[\xe3-\xf4][\x80-\xbf]{2,3})(?=[ \t\n\v\f\r])"
_BEFORE_HAN = rb"[\x80-\xbf](?=[\xe4-\xe9])"  # a Han ideograph, U+4000 to U+9FFF, is a word of its own
_SAFE = re.compile(_BEFORE_SPACE)
_SAFE_WORDS = re.compile(_BEFORE_SPACE + rb"|[,;:/|<>=*#@&%+~_^$`{}\\\0]|" + _BEFORE_HAN)
_WORD_END = re.compile(rb"[^0-9A-Za-z'\x80-\xff]|" + _BEFORE_HAN)


@dataclass(frozen=True)
class TextChunk:
    r"""Whole sequences of a text, or a section of a sequence that is longer than a chunk; a `Cut` chooses the end.

    Attributes
    ----------
    text : bytes
        Ends in \n at the end of a file, even if the file does not.
    name : str
        The name of the file.
    line : int
        The number, from 1, of the line in which the chunk begins.
    offset, size : int
        The offset of the chunk in the decompressed text, and its number of bytes there.
    inside : bool
        Whether the chunk begins inside a sequence, behind more than white space of it.
    last : bool
        Whether the reader saw the file end before it made the chunk. So the last chunk of a file may have False.
    """

    text: bytes
    name: str
    line: int
    offset: int
    size: int
    inside: bool
    last: bool


def cut_for(unit: str, *, words: bool = False) -> Cut:
    r"""Return the function that cuts a text at places where the parts have the same tokens as the whole text.

    Parameters
    ----------
    unit : {"line", "paragraph", "document", "sentence"}
    words : bool
        Whether the tokens are words. A text without white space can then be cut, too.

    Examples
    --------
    >>> cut_for("line")(b"a\nb"), cut_for("line", words=True)(b"a,b")
    ((2, True), (2, False))
    >>> cut_for("paragraph")(b"a\n \nb c.\nd-\ne"), cut_for("document")(b"a\n\nb c. D-\ne")
    ((4, True), (4, False))
    """
    within = _WORD_END if unit == "line" else _SAFE_WORDS if words else _SAFE

    def cut(text: bytes) -> tuple[int, bool]:
        if unit == "line":
            offset = text.rfind(b"\n") + 1
        else:
            offset = 0 if unit == "document" else _last_end(_PARAGRAPH_END, text)
        if offset:
            return offset, True
        if unit == "line":
            offset = max(map(text.rfind, LINE_SPACES)) + 1
            if offset or not words:
                return offset, False
        return _last_end(within, text), False

    return cut


cut_line = cut_for("line")


def _last_end(pattern: re.Pattern[bytes], text: bytes) -> int:
    """Return where the last match of a pattern ends, or 0. The end of the text is searched first."""
    for size in (1 << 10, 1 << 15, len(text)):
        ends = [match.end() for match in pattern.finditer(text, max(0, len(text) - size))]
        if ends:
            return ends[-1]
    return 0


def _without_mark(text: bytes) -> bytes:
    """Return the beginning of a file with spaces in place of its byte order mark."""
    return b" " * len(BOM_UTF8) + text[len(BOM_UTF8) :] if text.startswith(BOM_UTF8) else text


def token_without_end(name: str, line: int) -> ValueError:
    """Return the error for a text that is too long to be one token."""
    place = f"{name!r}, line {line}"
    return ValueError(f"{place} has more than {LONGEST_TOKEN:,} bytes without white space: pass a text")


def read_chunks(
    file: TextFile, report: Callable[[int], object] | None = None, cut_text: Cut = cut_line
) -> Iterator[TextChunk]:
    """Yield the chunks of a file in order; `report` is called with the number of bytes read from disk.

    Raises
    ------
    OSError
        If the file cannot be read or decompressed, or is truncated.
    ValueError
        If a token is longer than `LONGEST_TOKEN`.
    ImportError
        If the library that decompresses it is missing.
    """
    kept: list[bytes] = []  # the bytes behind the last cut
    line, offset, ended, inside = 1, 0, True, False
    with closing(read_data(file, report)) as reads:
        for data in chain(reads, [b""]):
            last = not data
            if data:
                cut, ended = cut_text(data)
                # A read shorter than CHUNK_BYTES is the last one: inside a sequence it is not cut
                if not cut or (not ended and len(data) < CHUNK_BYTES):
                    kept.append(data)
                    if sum(map(len, kept)) > LONGEST_TOKEN:
                        raise token_without_end(file.name, line)
                    continue
                size = sum(map(len, kept)) + cut
            elif kept or not ended:
                size = sum(map(len, kept))
                cut, ended, data = 1, True, b"\n"
            else:
                return
            whole, rest = b"".join((*kept, data[:cut])), data[cut:]
            whole = whole if offset else _without_mark(whole)
            yield TextChunk(whole, file.name, line, offset, size, inside, last)
            inside = not ended and (inside or not whole.isspace())
            line, offset = line + whole.count(b"\n"), offset + size
            kept = [rest] if rest else []


def read_data(file: TextFile, report: Callable[[int], object] | None = None) -> Generator[bytes, None, None]:
    """Yield the decompressed bytes of a file, a read at a time; `report` is called with the bytes read from disk.

    Raises
    ------
    OSError, ImportError
        As :func:`read_chunks`.
    """
    opener, errors = _decompressor(Path(file.name).suffix.lower())
    with file.open() as raw:
        text, size = opener(raw), 0
        while True:
            try:
                data = text.read(CHUNK_BYTES)
                if not data and text is not raw and not raw.tell():  # GzipFile accepts an empty file
                    raise EOFError("the file is empty")
            except errors as error:
                raise OSError(f"cannot read {file.name!r} beyond byte {size:,} of its text: {error}") from error
            size += len(data)
            if report:
                report(raw.tell())
            if not data:
                return
            yield data


def _decompressor(suffix: str) -> tuple[Callable[[BinaryIO], Any], tuple[type[Exception], ...]]:
    """Return the function that opens files with this suffix, and the errors of reading them."""
    if suffix == ".gz":
        return lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"), (EOFError, OSError, zlib.error)
    if suffix == ".bz2":
        return partial(Streams, bz2.BZ2Decompressor), (EOFError, OSError)
    if suffix == ".xz":
        return partial(Streams, lzma.LZMADecompressor), (EOFError, lzma.LZMAError, OSError)
    if suffix == ".zst":
        zstd = _zstd()
        return partial(Streams, zstd.ZstdDecompressor), (EOFError, OSError, zstd.ZstdError)
    return lambda raw: raw, (OSError,)


class Streams:
    """The text of successive compressed streams. BZ2File and LZMAFile ignore damage behind the first stream.

    Parameters
    ----------
    new : callable
        Returns a decompressor for a stream.
    """

    def __init__(self, new: Callable[[], Any], raw: BinaryIO) -> None:
        self._new, self._raw = new, raw
        self._stream = new()

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; at the end there are none."""
        data = b""
        while not data:
            ended, rest = self._stream.eof, self._stream.unused_data
            if not rest and (ended or self._stream.needs_input) and not (rest := self._raw.read(size)):
                if ended:
                    break
                raise EOFError("the file ends too early")
            if ended:
                self._stream = self._new()
            data = self._stream.decompress(rest, size)
        return data


def _zstd() -> Any:
    """Return the module that reads Zstandard, of the standard library or its backport."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(module)
        except ImportError:
            pass
    raise ImportError("files in .zst need Python 3.14, or a package: pip install 'fastembed-cython[zstd]'")


@dataclass(frozen=True)
class PlainChunk:
    """A `TextChunk` of a plain file. Its text is read on access.

    Attributes
    ----------
    file : PlainFile
    offset, size : int
        Its offset in the file, and its number of bytes.
    inside : bool
        As in a `TextChunk`.
    """

    file: PlainFile
    offset: int
    size: int
    inside: bool

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.file.name

    @property
    def last(self) -> bool:
        """Whether the file ends here."""
        return self.offset + self.size == self.file.size

    @property
    def text(self) -> bytes:
        r"""Its bytes. The last chunk ends in \n, even if the file does not."""
        text = self.file.read(self.offset, self.size)
        text = text if self.offset else _without_mark(text)
        if self.last and not text.endswith(b"\n"):
            text += b"\n"
        return text

    @property
    def line(self) -> int:
        """The number, from 1, of the line in which the chunk begins. This reads the file up to the chunk."""
        offsets = range(0, self.offset, CHUNK_BYTES)
        return 1 + sum(self.file.read(at, min(CHUNK_BYTES, self.offset - at)).count(b"\n") for at in offsets)


class PlainFile:
    """An open file that any thread may read at any offset.

    Attributes
    ----------
    name : str
    size, chunk_bytes : int
        The numbers of bytes of the file, and of a chunk.
    """

    def __init__(self, name: str, size: int, read: Callable[[int, int], bytes]) -> None:
        self.name, self.size, self._read = name, size, read
        self.chunk_bytes = max(CHUNK_BYTES, min(size // CHUNKS, LARGE_CHUNK_BYTES))

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from an offset on.

        Raises
        ------
        OSError
            If the file cannot be read, or has become shorter.
        """
        try:
            return self._read(offset, size)
        except OSError as error:
            raise OSError(f"cannot read {self.name!r} beyond byte {offset:,}: {error}") from error


def open_plain(file: TextFile) -> PlainFile | None:
    """Return the open file, or None if it must be read from beginning to end.

    These are compressed files, and files whose size the system does not know, as in /proc.
    """
    if Path(file.name).suffix.lower() in COMPRESSED:
        return None
    whole = file.file if isinstance(file, FilePart) else file
    if not (size := whole.size()):
        return None
    read = whole.read if isinstance(whole, UrlFile) else RandomAccessFile(whole.open()).read
    return PlainFile(file.name, size, read)


def plain_chunks(
    file: PlainFile,
    report: Callable[[int], object] | None = None,
    cut_text: Cut = cut_line,
    part: tuple[int, int] | None = None,
) -> Iterator[PlainChunk]:
    """Yield the chunks of a file, or of a part of it; `report` is called with the number of bytes that are done.

    Chunks end at the last cut before each multiple of `chunk_bytes`, so chunks of a part are chunks of the whole file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If a token is longer than `LONGEST_TOKEN`.
    """
    (begin, stop), inside = part or (0, file.size), False
    origin, size = begin, file.chunk_bytes
    for low in range(-(-begin // size) * size, stop, size):
        high = min(low + size, file.size)
        end, ended = (high, True) if high == file.size else _last_cut(file, low, high, cut_text)
        if report:
            report(min(high, stop) - origin)
        if end <= low and high - begin > LONGEST_TOKEN:
            raise token_without_end(file.name, PlainChunk(file, begin, 0, inside).line)
        if end > low:  # otherwise all bytes belong to the next chunk
            chunk = PlainChunk(file, begin, end - begin, inside)
            yield chunk
            begin, inside = end, not ended and (inside or not chunk.text.isspace())


def _last_cut(file: PlainFile, low: int, high: int, cut_text: Cut) -> tuple[int, bool]:
    """Return the last cut between two offsets, `low` if there is none, and whether a sequence ends there."""
    tail = max(high - TAIL_BYTES, low)
    cut, ended = cut_text(file.read(tail, high - tail))
    if ended:
        return tail + cut, True
    cut, ended = cut_text(file.read(low, high - low))
    return low + cut, ended


def file_parts(file: TextFile, size: int, cut_text: Cut) -> list[TextFile]:
    """Return parts of a file of about `size` bytes; a compressed or short file is one part.

    A part ends where both a chunk and a sequence end.
    """
    if file.size() <= size or (plain := open_plain(file)) is None:
        return [file]
    ends, chunk = [0], plain.chunk_bytes
    for low in range(0, plain.size, chunk):
        high = min(low + chunk, plain.size)
        if high == plain.size:
            ends.append(high)
        elif high - ends[-1] >= size:
            end, ended = _last_cut(plain, low, high, cut_text)
            if ended:
                ends.append(end)
    return [FilePart(file, part) for part in itertools.pairwise(ends)]


def valid_text(chunk: TextChunk | PlainChunk, errors: str) -> tuple[bytes, int]:
    """Return the text of a chunk as valid UTF-8, and the number of U+FFFD put into it.

    Parameters
    ----------
    errors : {"strict", "replace"}

    Raises
    ------
    ValueError
        If it is invalid and `errors` is "strict"; the message names the place.
    """
    text = chunk.text
    if valid_utf8(text):
        return text, 0
    if errors == "strict":
        try:
            text.decode()
        except UnicodeDecodeError as error:
            line = chunk.line + text.count(b"\n", 0, error.start)
            raise ValueError(
                f"{chunk.name!r} is not valid UTF-8 at line {line}, byte {chunk.offset + error.start:,} of the text: "
                f"{text[error.start : error.end]!r}; {TO_UTF8}"
            ) from None
    valid = text.decode(errors="replace").encode()
    return valid, valid.count("\ufffd".encode()) - text.count("\ufffd".encode())
