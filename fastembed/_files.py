"""Text files: which ones a name stands for, and their bytes in blocks that end where a token ends."""

from __future__ import annotations

import bz2
import glob
import gzip
import importlib
import lzma
import os
import shutil
import sys
import tempfile
import threading
import weakref
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol

BLOCK = 1 << 20  # bytes read at a time
SPACES = (b" ", b"\t", b"\v", b"\f", b"\r")  # beside the line end

_one_reader = threading.Lock()


class TextFile(Protocol):
    """A file that can be read again and again."""

    name: str

    def size(self) -> int:
        """Return its bytes on disk."""
        ...

    def open(self) -> BinaryIO:
        """Return its bytes on disk, from the first one."""
        ...


@dataclass(frozen=True)
class Block:
    r"""Part of a text: whole lines, or, where a line is longer than a block, a piece of it that ends after white space.

    Attributes
    ----------
    text : bytes
        Ends in \n at the end of a file, even if the file does not.
    name : str
        Of the file.
    line : int
        The number, from 1, of the line it begins in.
    offset, size : int
        Its place in the decompressed text, and how many bytes of that it holds.
    open_line : bool
        Whether it begins inside a line of which earlier blocks held tokens.
    """

    text: bytes
    name: str
    line: int
    offset: int
    size: int
    open_line: bool


class RegularFile:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def size(self) -> int:
        """Return its bytes on disk."""
        return self.path.stat().st_size

    def open(self) -> BinaryIO:
        """Return its bytes on disk, from the first one."""
        return self.path.open("rb")


class Spool:
    """What came through a pipe, in a temporary file that has no name and goes with this object."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name = name
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object
        weakref.finalize(self, self._spool.close)
        try:
            shutil.copyfileobj(stream, self._spool, BLOCK)
            self._spool.flush()
        except OSError as error:
            self._spool.close()
            raise OSError(f"cannot keep {name} in a file in {tempfile.gettempdir()!r}: {error}") from error
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(f"interrupted after {self._spool.tell():,} bytes of {name}")
            raise

    def size(self) -> int:
        """Return its bytes."""
        return os.fstat(self._spool.fileno()).st_size

    def open(self) -> BinaryIO:
        """Return its bytes, from the first one."""
        copy = os.fdopen(os.dup(self._spool.fileno()), "rb")
        copy.seek(0)
        return copy


@lru_cache(maxsize=1)
def _spooled(stream: Any) -> Spool:
    if stream is None:
        raise OSError("standard input is closed")
    return Spool("standard input", getattr(stream, "buffer", stream))


def _standard_input() -> Spool:
    with _one_reader:  # lru_cache alone lets two threads read the stream at once
        return _spooled(sys.stdin)


def find_files(paths: Iterable[str | os.PathLike[str]]) -> list[TextFile]:
    """Return the files that the names stand for.

    Parameters
    ----------
    paths : iterable of path-like
        Each a file; ``-``, standard input; a folder, all files in it and below, but for names that begin with a dot and
        for what lies behind links to folders; or a pattern of :mod:`glob`, with ``**`` for any folders. Files of a
        folder or pattern come in the order of their names. What can be read only once, standard input or a named pipe,
        is read here, into a temporary file.

    Raises
    ------
    OSError
        If a name stands for no file, a folder below cannot be read, or the disk is full.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.txt", "a.txt", "c.md"):
    ...         Path(folder, name).touch()
    ...     [Path(file.name).name for file in find_files([f"{folder}/*.txt", folder])]
    ['a.txt', 'b.txt', 'a.txt', 'b.txt', 'c.md']
    """
    return [file for path in paths for file in _files_of(path)]


def _files_of(path: str | os.PathLike[str]) -> list[TextFile]:
    name = os.fspath(path)
    said = shown(name) if isinstance(path, str) else repr(name)  # a str may be a whole text, by mistake
    if name == "-":
        return [_standard_input()]
    try:
        exists, folder = Path(name).exists(), Path(name).is_dir()
    except (OSError, ValueError):  # a text: too long for a name, or with a NUL
        exists = folder = False
    if exists and not folder:
        if Path(name).is_file():
            return [RegularFile(Path(name))]
        with Path(name).open("rb") as stream:
            return [Spool(name, stream)]
    if folder:
        inside = (Path(root, file) for root, _, files in os.walk(name, onerror=_refuse) for file in files)
        found = [p for p in inside if not any(part.startswith(".") for part in p.relative_to(name).parts)]
        missing = f"no file in the folder {said}"
    else:
        pattern = glob.has_magic(name) and "\0" not in name
        found = [Path(match) for match in glob.glob(name, recursive=True)] if pattern else []  # noqa: PTH207 - absolute
        missing = f"no file matches {said}" if pattern else f"no such file: {said}"
    files = sorted(p for p in found if p.is_file())
    if not files:
        hint = ""
        if isinstance(path, str) and not folder:
            hint = "; a bare string is taken as the name of a file where token lists are expected: pass [text.split()]"
        raise FileNotFoundError(missing + hint)
    return [RegularFile(p) for p in files]


def _refuse(error: OSError) -> None:
    raise error


def shown(value: object) -> str:
    """Return the repr of a value, cut short, for an error."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def read_blocks(file: TextFile, report: Callable[[int], object] | None = None) -> Iterator[Block]:
    """Yield the blocks of a file in their order; `report` gets the bytes on disk that have been read.

    Raises
    ------
    OSError
        If it cannot be read or decompressed, or is cut short.
    ImportError
        If the library that decompresses it is missing.
    """
    kept: list[bytes] = []  # the token at the end of what was read, and the line before it
    line, offset, inside, open_line = 1, 0, False, False
    opener, errors = _decompressor(Path(file.name).suffix.lower())
    with file.open() as raw, closing(opener(raw)) as text:
        while True:
            try:
                data = text.read(BLOCK)
                if not data and text is not raw and not raw.tell():  # which gzip alone takes for the end
                    raise EOFError("it is empty, not even an archive")
            except errors as error:
                raise OSError(f"cannot read {file.name!r} beyond line {line - 1}: {error}") from error
            if report:
                report(raw.tell())
            if data:
                cut = (data.rfind(b"\n") + 1) or max(map(data.rfind, SPACES)) + 1
                if not cut:
                    kept.append(data)
                    continue
                size = sum(map(len, kept)) + cut
            elif kept or inside:
                size = sum(map(len, kept))
                cut, data = 1, b"\n"
            else:
                return
            whole, rest = b"".join((*kept, data[:cut])), data[cut:]
            if not offset and whole.startswith(BOM_UTF8):
                whole = b" " * len(BOM_UTF8) + whole[len(BOM_UTF8) :]  # a mark of the encoding, no part of a token
            yield Block(whole, file.name, line, offset, size, open_line)
            lines = whole.count(b"\n")
            inside = not lines
            open_line = inside and (open_line or not whole.isspace())
            line, offset = line + lines, offset + size
            kept = [rest] if rest else []


def _decompressor(suffix: str) -> tuple[Callable[[BinaryIO], Any], tuple[type[Exception], ...]]:
    """Return what decompresses files with this suffix, and the errors it may raise."""
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
    """Return the standard library's module, or its backport."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(module)
        except ImportError:
            pass
    raise ImportError(
        "files in .zst need Python 3.14, or the package backports.zstd: install fastembed-cython with the extra [zstd]"
    )
