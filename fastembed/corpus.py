"""Readers: one sequence of tokens after another from files or from memory, and the ledger of what was read.

A corpus, wherever one is asked for, is

- a path (``str`` or ``os.PathLike``): one file;
- a list or tuple whose items are all ``os.PathLike``: several files, read in that order;
- anything else that gives sequences of strings and can be iterated again, such as a list of lists of tokens.

A file holds one sequence a line, its tokens separated by ASCII white space, in UTF-8. Names that end in ``.gz``,
``.bz2`` or ``.xz`` are decompressed while they are read.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias, cast

#: What a function that reads a corpus accepts; the module's docstring says how each form is told from the others.
Source: TypeAlias = "str | os.PathLike[str] | Iterable[os.PathLike[str]] | Iterable[Iterable[str]] | Corpus"

#: Called with (done, total): bytes on disk for files; sequences for a corpus in memory, with total None if unknown.
Progress: TypeAlias = Callable[[int, int | None], object]

BLOCK = 1 << 20  # bytes read at a time
REPORT_EVERY = 1024  # sequences between two calls of the progress function, in memory

_DECOMPRESSORS: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}


@dataclass
class Ledger:
    """What was read, what of it was used, and what was dropped and why: read = used + dropped.

    Attributes
    ----------
    bytes : int
        Bytes of text, after decompression; 0 for a corpus in memory.
    lines, empty_lines : int
        Sequences, and those of them without a token.
    tokens_read, tokens_used : int
    dropped : dict of str to int
        Tokens that were not used, by reason.

    Examples
    --------
    >>> ledger = Ledger(lines=2, tokens_read=10, tokens_used=7, dropped={"below min_count=5": 3})
    >>> ledger.summary()
    'read 10 tokens in 2 lines; used 7; dropped 3 (3 below min_count=5)'
    """

    bytes: int = 0
    lines: int = 0
    empty_lines: int = 0
    tokens_read: int = 0
    tokens_used: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """Return the ledger in one line."""
        size = f" ({self.bytes:,} bytes)" if self.bytes else ""
        empty = f" ({self.empty_lines:,} empty)" if self.empty_lines else ""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items() if count)
        return (
            f"read {self.tokens_read:,} tokens in {self.lines:,} lines{empty}{size}; used {self.tokens_used:,}; "
            f"dropped {sum(self.dropped.values()):,}{f' ({reasons})' if reasons else ''}"
        )

    def __add__(self, other: Ledger) -> Ledger:
        reasons = self.dropped | other.dropped
        return Ledger(
            self.bytes + other.bytes,
            self.lines + other.lines,
            self.empty_lines + other.empty_lines,
            self.tokens_read + other.tokens_read,
            self.tokens_used + other.tokens_used,
            {reason: self.dropped.get(reason, 0) + other.dropped.get(reason, 0) for reason in reasons},
        )

    def enter(self, tokens: list[str]) -> list[str]:
        """Enter one sequence as read, and return it."""
        self.lines += 1
        self.empty_lines += not tokens
        self.tokens_read += len(tokens)
        return tokens


class Corpus(Protocol):
    """A corpus that can be read any number of times."""

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield every sequence of tokens, enter it in `ledger`, and report to `progress` now and then."""
        ...


def as_corpus(source: Source) -> Corpus:
    """Return the reader of `source`.

    Parameters
    ----------
    source : path, sequence of paths, or re-iterable of sequences of str
        See the module's docstring.

    Returns
    -------
    Corpus
        `source` itself if it is one already.

    Raises
    ------
    TypeError
        If `source` can be iterated only once, or is none of the forms.
    OSError
        If a file does not exist.

    Examples
    --------
    >>> ledger = Ledger()
    >>> list(as_corpus([["the", "cat"], [], ["sat"]]).sequences(ledger))
    [['the', 'cat'], [], ['sat']]
    >>> ledger.summary()
    'read 3 tokens in 3 lines (1 empty); used 0; dropped 0'
    """
    if isinstance(source, FileCorpus | MemoryCorpus):
        return source
    if isinstance(source, str | os.PathLike):
        return FileCorpus([source])
    if isinstance(source, bytes | bytearray):
        raise TypeError(f"a corpus is a path or an iterable of token lists, got bytes: {_shown(source)}")
    if isinstance(source, list | tuple) and source and all(isinstance(item, os.PathLike) for item in source):
        return FileCorpus(source)
    return MemoryCorpus(cast("Iterable[Iterable[str]]", source))


class FileCorpus:
    r"""Text files, one sequence a line.

    Parameters
    ----------
    paths : iterable of path-like

    Raises
    ------
    OSError
        If one of them does not exist or is a folder; on reading, also if it cannot be read or decompressed.
    ValueError
        On reading, if a line is not valid UTF-8.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "text.txt").write_text("the cat\nsat")
    ...     list(FileCorpus([f"{folder}/text.txt"]).sequences(Ledger()))
    [['the', 'cat'], ['sat']]
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        self.paths = [_existing_file(path) for path in paths]

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield the tokens of each line; `progress` gets bytes on disk, of all files together."""
        sizes = [path.stat().st_size for path in self.paths]
        done = 0
        for path, size in zip(self.paths, sizes, strict=True):
            for number, offset, line in _lines(path, ledger, progress and _shifted(progress, done, sum(sizes))):
                yield ledger.enter(_tokens(line, path, number, offset))
            done += size


class MemoryCorpus:
    """Sequences of tokens in memory, or made anew on each iteration.

    Parameters
    ----------
    source : iterable of iterables of str
        Every call of its ``__iter__`` must give all sequences again.

    Raises
    ------
    TypeError
        If it cannot be iterated, or only once; on reading, if an item is no sequence of strings.

    Examples
    --------
    >>> MemoryCorpus(line.split() for line in ["the cat", "sat"])
    Traceback (most recent call last):
        ...
    TypeError: a corpus is read more than once, which a generator does not allow: pass a list, or an object whose \
__iter__ starts again
    """

    def __init__(self, source: Iterable[Iterable[str]]) -> None:
        kind = type(source).__name__
        try:
            once = iter(source) is source
        except TypeError:
            raise TypeError(f"a corpus is a path or an iterable of token lists, got {kind}: {_shown(source)}") from None
        if once:
            raise TypeError(
                f"a corpus is read more than once, which a {kind} does not allow: pass a list, or an object whose "
                "__iter__ starts again"
            )
        self.source = source

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield each sequence as a list; `progress` gets the number of sequences."""
        total = len(self.source) if isinstance(self.source, Sized) else None
        index = -1
        for index, item in enumerate(self.source):
            if progress and index % REPORT_EVERY == 0:
                progress(index, total)
            yield ledger.enter(_checked(item, index))
        if progress:
            progress(index + 1, total)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _existing_file(path: str | os.PathLike[str]) -> Path:
    try:
        exists, folder = Path(path).exists(), Path(path).is_dir()
    except (OSError, ValueError):  # a text: too long for a name, or with a NUL
        exists = folder = False
    if folder:
        raise IsADirectoryError(f"{_shown(str(path))} is a folder, where a file is expected")
    if not exists:
        hint = ""
        if isinstance(path, str):
            hint = "; a bare string is taken as the name of a file where token lists are expected: pass [text.split()]"
        raise FileNotFoundError(f"no such file: {_shown(str(path))}{hint}")
    return Path(path)


def _shifted(progress: Progress, done: int, total: int) -> Callable[[int], object]:
    return lambda position: progress(done + position, total)


def _lines(path: Path, ledger: Ledger, report: Callable[[int], object] | None) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number from 1, byte offset in the decompressed text, bytes) of each line."""
    number, offset = 0, 0
    decompressor = _DECOMPRESSORS.get(path.suffix.lower())
    with path.open("rb") as raw, closing(io.BufferedReader(decompressor(raw), BLOCK) if decompressor else raw) as text:
        while True:
            try:
                block = text.readlines(BLOCK)
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                raise OSError(f"cannot read {str(path)!r} beyond line {number}: {error}") from error
            if not block:
                return
            for line in block:
                number += 1
                ledger.bytes += len(line)
                yield number, offset, line
                offset += len(line)
            if report:
                report(raw.tell())


def _tokens(line: bytes, path: Path, number: int, offset: int) -> list[str]:
    """Split at ASCII white space, which str.split does not: it takes other Unicode spaces as well."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{str(path)!r} is not valid UTF-8 at line {number}, byte {offset + error.start:,} of the text: "
            f"{error.reason} ({line[error.start : error.end]!r})"
        ) from None
    words = b" ".join(line.split()).decode()
    return words.split(" ") if words else []


def _checked(item: Iterable[str], index: int) -> list[str]:
    where = f"item {index} of the corpus"
    if isinstance(item, str | bytes | os.PathLike):
        raise TypeError(
            f"{where} is {_shown(item)}, where a list of tokens is expected; split a text into tokens, "
            "and name several files by pathlib.Path objects"
        )
    try:
        tokens = item if isinstance(item, list) else list(item)
    except TypeError:
        raise TypeError(f"{where} is {_shown(item)}, where a list of tokens is expected") from None
    if tokens and not isinstance(tokens[0], str):
        raise TypeError(f"{where} begins with {_shown(tokens[0])}, where a token (str) is expected")
    return tokens
