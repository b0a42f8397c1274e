"""The text of a file in blocks that end where a token ends, decompressed while it is read."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fastembed.corpus.sources import TextFile

BLOCK_BYTES = 1 << 20  # read at a time
LONGEST_TOKEN = 1 << 28  # bytes; what is longer is no text of tokens, and would fill the memory
SPACES = (b" ", b"\t", b"\v", b"\f", b"\r")  # the ASCII white space inside a line


@dataclass(frozen=True)
class TextBlock:
    r"""Part of a text: whole lines or, where a line is longer than a block, a piece of it that ends with white space.

    Attributes
    ----------
    text : bytes
        Ends in \n at the end of a file, even if the file does not.
    name : str
        The name of the file.
    line : int
        The number, from 1, of the line in which the block begins.
    offset, size : int
        Its place in the decompressed text, and its number of bytes there.
    open_line : bool
        Whether the block begins inside a line and earlier blocks held tokens of that line.
    """

    text: bytes
    name: str
    line: int
    offset: int
    size: int
    open_line: bool


def read_blocks(file: TextFile, report: Callable[[int], object] | None = None) -> Iterator[TextBlock]:
    """Yield the blocks of a file in order; `report` is called with the number of bytes read from disk.

    Raises
    ------
    OSError
        If the file cannot be read or decompressed, or is truncated.
    ValueError
        If a token is longer than `LONGEST_TOKEN`.
    ImportError
        If the library that decompresses it is missing.
    """
    kept: list[bytes] = []  # the incomplete token at the end of what was read, and its line up to there
    line, offset, inside, open_line = 1, 0, False, False
    opener, errors = _decompressor(Path(file.name).suffix.lower())
    with file.open() as raw, closing(opener(raw)) as text:
        while True:
            try:
                data = text.read(BLOCK_BYTES)
                if not data and text is not raw and not raw.tell():  # gzip alone takes an empty file for an archive
                    raise EOFError("it is empty, not even an archive")
            except errors as error:
                raise OSError(f"cannot read {file.name!r} beyond line {line - 1}: {error}") from error
            if report:
                report(raw.tell())
            if data:
                cut = (data.rfind(b"\n") + 1) or max(map(data.rfind, SPACES)) + 1
                if not cut:
                    kept.append(data)
                    if sum(map(len, kept)) > LONGEST_TOKEN:
                        raise ValueError(
                            f"{file.name!r}, line {line}: more than {LONGEST_TOKEN:,} bytes without white space,"
                            " where a text of tokens is expected"
                        )
                    continue
                size = sum(map(len, kept)) + cut
            elif kept or inside:
                size = sum(map(len, kept))
                cut, data = 1, b"\n"
            else:
                return
            whole, rest = b"".join((*kept, data[:cut])), data[cut:]
            if not offset and whole.startswith(BOM_UTF8):
                whole = b" " * len(BOM_UTF8) + whole[len(BOM_UTF8) :]  # the byte order mark is no part of a token
            yield TextBlock(whole, file.name, line, offset, size, open_line)
            lines = whole.count(b"\n")
            inside = not lines
            open_line = inside and (open_line or not whole.isspace())
            line, offset = line + lines, offset + size
            kept = [rest] if rest else []


def _decompressor(suffix: str) -> tuple[Callable[[BinaryIO], Any], tuple[type[Exception], ...]]:
    """Return the function that opens files with this suffix, and the errors that reading them may raise."""
    if suffix == ".gz":
        return lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"), (EOFError, OSError, zlib.error)
    if suffix == ".bz2":
        return bz2.BZ2File, (EOFError, OSError)
    if suffix == ".xz":
        return lzma.LZMAFile, (EOFError, OSError, lzma.LZMAError)
    if suffix == ".zst":
        zstd = _zstd()
        return zstd.ZstdFile, (EOFError, OSError, zstd.ZstdError)
    return lambda raw: raw, (OSError,)


def _zstd() -> Any:
    """Return the module of the standard library, or its backport."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(module)
        except ImportError:
            pass
    raise ImportError(
        "files in .zst need Python 3.14, or the package backports.zstd: install fastembed-cython with the extra [zstd]"
    )
