"""The text of a file in chunks that can be read one by one, decompressed while it is read."""

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

CHUNK_BYTES = 1 << 20  # of text that are read at a time
TAIL_BYTES = 1 << 12  # the end of a chunk, in which the end of a line is looked for first
LONGEST_TOKEN = 1 << 23  # bytes; a file with a longer one is not a text of tokens, and would fill the memory

LARGE_CHUNK_BYTES = 1 << 22  # the most bytes of a chunk, in large files
CHUNKS = 256  # chunks grow with a file as long as it has this many: enough for many threads
SPACES = (b" ", b"\t", b"\v", b"\f", b"\r")  # the ASCII white space inside a line

TO_UTF8 = "iconv -f ENCODING -t UTF-8 converts a text"

Cut = Callable[[bytes], tuple[int, bool]]  # where a text can be cut, 0 if nowhere, and whether a sequence ends there

_PARAGRAPH_END = re.compile(rb"\n[ \t\v\f\r]*\n")

# Ends before white space that ends neither a sentence nor a line with a hyphen: what precedes it is a digit, a letter,
# a comma or a semicolon. No hyphen or quotation mark of two bytes begins with C3 or more, and none of three with E3.
_BEFORE_SPACE = rb"(?:[0-9A-Za-z,;]|[\xc3-\xdf][\x80-\xbf]|[\xe3-\xf4][\x80-\xbf]{2,3})(?=[ \t\n\v\f\r])"
_BEFORE_HAN = rb"[\x80-\xbf](?=[\xe4-\xe9])"  # a Han ideograph, U+4000 to U+9FFF, is a word of its own
_SAFE = re.compile(_BEFORE_SPACE)
_SAFE_WORDS = re.compile(_BEFORE_SPACE + rb"|[,;:/|<>=*#@&%+~_^$`{}\\\0]|" + _BEFORE_HAN)
_WORD_END = re.compile(rb"[^0-9A-Za-z'\x80-\xff]|" + _BEFORE_HAN)


@dataclass(frozen=True)
class TextChunk:
    r"""Part of a text: whole sequences or, where a sequence is longer than a chunk, a piece of it that a `Cut` allows.

    Attributes
    ----------
    text : bytes
        Ends in \n at the end of a file, even if the file does not.
    name : str
        The name of the file.
    line : int
        The number, from 1, of the line in which the chunk begins.
    offset, size : int
        Its place in the decompressed text, and its number of bytes there.
    inside : bool
        Whether the chunk begins inside a sequence of which earlier chunks held more than white space.
    last : bool
        Whether the file ends here, which it may also do after a chunk with False.
    """

    text: bytes
    name: str
    line: int
    offset: int
    size: int
    inside: bool
    last: bool


def cut_for(unit: str, *, words: bool = False) -> Cut:
    r"""Return where a text may be cut so that its parts, read one by one, are read as the whole is.

    Parameters
    ----------
    unit : {"line", "paragraph", "document", "sentence"}
    words : bool
        Whether the tokens are words, so that a text without any white space can be cut as well.

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
            place = text.rfind(b"\n") + 1
        else:
            place = 0 if unit == "document" else _last_end(_PARAGRAPH_END, text)
        if place:
            return place, True
        if unit == "line":
            place = max(map(text.rfind, SPACES)) + 1
            if place or not words:
                return place, False
        return _last_end(within, text), False

    return cut


cut_line = cut_for("line")


def _last_end(pattern: re.Pattern[bytes], text: bytes) -> int:
    """Return where the last match of a pattern ends, searched for near the end first; 0 if there is none."""
    for size in (1 << 10, 1 << 15, len(text)):
        ends = [match.end() for match in pattern.finditer(text, max(0, len(text) - size))]
        if ends:
            return ends[-1]
    return 0


def _without_mark(text: bytes) -> bytes:
    """Return the beginning of a file with spaces in place of a byte order mark, which is no part of a token."""
    return b" " * len(BOM_UTF8) + text[len(BOM_UTF8) :] if text.startswith(BOM_UTF8) else text


def token_without_end(name: str, line: int) -> ValueError:
    """Return the error for a text that goes on for too long without a place to cut."""
    return ValueError(
        f"{name!r}, line {line}: more than {LONGEST_TOKEN:,} bytes without a place to cut, as white space, "
        "where a text of tokens is expected"
    )


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
    kept: list[bytes] = []  # what was read behind the last cut
    line, offset, ended, inside = 1, 0, True, False
    with closing(read_data(file, report)) as pieces:
        for data in chain(pieces, [b""]):
            last = not data
            if data:
                cut, ends = cut_text(data)
                # A short piece is the last one, which is cut only where a sequence ends
                if not cut or (not ends and len(data) < CHUNK_BYTES):
                    kept.append(data)
                    if sum(map(len, kept)) > LONGEST_TOKEN:
                        raise token_without_end(file.name, line)
                    continue
                size = sum(map(len, kept)) + cut
            elif kept or not ended:
                size = sum(map(len, kept))
                cut, ends, data = 1, True, b"\n"
            else:
                return
            whole, rest = b"".join((*kept, data[:cut])), data[cut:]
            whole = whole if offset else _without_mark(whole)
            yield TextChunk(whole, file.name, line, offset, size, inside, last)
            ended = ends
            inside = not ended and (inside or not whole.isspace())
            line, offset = line + whole.count(b"\n"), offset + size
            kept = [rest] if rest else []


def read_data(file: TextFile, report: Callable[[int], object] | None = None) -> Generator[bytes, None, None]:
    """Yield the decompressed bytes of a file, piece by piece; `report` is called with the bytes read from disk.

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
                if not data and text is not raw and not raw.tell():  # gzip alone takes an empty file for an archive
                    raise EOFError("it is empty, not even an archive")
            except errors as error:
                raise OSError(f"cannot read {file.name!r} beyond byte {size:,} of its text: {error}") from error
            size += len(data)
            if report:
                report(raw.tell())
            if not data:
                return
            yield data


def _decompressor(suffix: str) -> tuple[Callable[[BinaryIO], Any], tuple[type[Exception], ...]]:
    """Return the function that opens files with this suffix, and the errors that reading them may raise."""
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
    """The text of compressed streams that follow one another; files of Python's modules ignore what is no stream.

    Parameters
    ----------
    new : callable
        Returns a decompressor for a stream.
    """

    def __init__(self, new: Callable[[], Any], raw: BinaryIO) -> None:
        self._new, self._raw = new, raw
        self._stream = new()

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end."""
        data = b""
        while not data:
            ended, rest = self._stream.eof, self._stream.unused_data
            if not rest and (ended or self._stream.needs_input) and not (rest := self._raw.read(size)):
                if ended:
                    break
                raise EOFError("it ends before its last stream does")
            if ended:
                self._stream = self._new()
            data = self._stream.decompress(rest, size)
        return data


def _zstd() -> Any:
    """Return the module of the standard library, or its backport."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(module)
        except ImportError:
            pass
    raise ImportError("files in .zst need Python 3.14, or a package: pip install 'fastembed-cython[zstd]'")


@dataclass(frozen=True)
class PlainChunk:
    """Part of the text of a file, as a `TextChunk`, that is read when it is asked for.

    Attributes
    ----------
    file : PlainFile
    offset, size : int
        Its place in the file, and its number of bytes there.
    inside : bool
        Whether the chunk begins inside a sequence of which earlier chunks held more than white space.
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
        r"""Its bytes; they end in \n at the end of the file, even if the file does not."""
        text = self.file.read(self.offset, self.size)
        text = text if self.offset else _without_mark(text)
        if self.last and not text.endswith(b"\n"):
            text += b"\n"
        return text

    @property
    def line(self) -> int:
        """The number, from 1, of the line in which the chunk begins. The file is read up to there."""
        places = range(0, self.offset, CHUNK_BYTES)
        return 1 + sum(self.file.read(at, min(CHUNK_BYTES, self.offset - at)).count(b"\n") for at in places)


class PlainFile:
    """An open file that any thread may read at any offset.

    Attributes
    ----------
    name : str
    size, chunk_bytes : int
        The number of its bytes, and of those of a chunk.
    """

    def __init__(self, name: str, size: int, read: Callable[[int, int], bytes]) -> None:
        self.name, self.size, self._read = name, size, read
        self.chunk_bytes = max(CHUNK_BYTES, min(size // CHUNKS, LARGE_CHUNK_BYTES))

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from an offset on.

        Raises
        ------
        OSError
            If the file cannot be read, or does not have them any more.
        """
        try:
            return self._read(offset, size)
        except OSError as error:
            raise OSError(f"cannot read {self.name!r} beyond byte {offset:,}: {error}") from error


def open_plain(file: TextFile) -> PlainFile | None:
    """Return the open file, or None for one that has to be read from its beginning to its end.

    That is a compressed file, or one whose size the system does not know, as in /proc.
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
    """Yield the chunks of a file; `report` is called with the number of bytes that they have reached.

    Each ends where some bytes, of the size of a chunk, can be cut. Of these the last few are looked at first. Those of
    a part, one of `file_parts`, are chunks of the whole.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If a token has no end.
    """
    (begin, stop), inside = part or (0, file.size), False
    origin, size = begin, file.chunk_bytes
    for first in range(-(-begin // size) * size, stop, size):
        last = min(first + size, file.size)
        end, ended = (last, True) if last == file.size else _last_cut(file, first, last, cut_text)
        if report:
            report(min(last, stop) - origin)
        if end <= first and last - begin > LONGEST_TOKEN:
            raise token_without_end(file.name, PlainChunk(file, begin, 0, inside).line)
        if end > first:  # otherwise the bytes are in a token that ends in a later chunk
            chunk = PlainChunk(file, begin, end - begin, inside)
            yield chunk
            begin, inside = end, not ended and (inside or not chunk.text.isspace())


def _last_cut(file: PlainFile, first: int, last: int, cut_text: Cut) -> tuple[int, bool]:
    """Return where these bytes are cut, `first` if nowhere, and whether a sequence ends there."""
    start = max(last - TAIL_BYTES, first)
    place, ended = cut_text(file.read(start, last - start))
    if ended:
        return start + place, True
    place, ended = cut_text(file.read(first, last - first))
    return first + place, ended


def file_parts(file: TextFile, size: int, cut_text: Cut) -> list[TextFile]:
    """Return the parts of a file, of about `size` bytes each, or the file alone if it is compressed or short.

    A part ends where a chunk and a sequence end. It may be longer, since it has whole sequences.
    """
    if file.size() <= size or (plain := open_plain(file)) is None:
        return [file]
    ends, chunk = [0], plain.chunk_bytes
    for first in range(0, plain.size, chunk):
        last = min(first + chunk, plain.size)
        if last == plain.size:
            ends.append(last)
        elif last - ends[-1] >= size:
            end, ended = _last_cut(plain, first, last, cut_text)
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
        If it is invalid and `errors` is "strict"; the message says where.
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
