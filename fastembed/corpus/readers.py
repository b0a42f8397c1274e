"""The readers of a corpus: of text files, and of sequences in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import fields
from operator import length_hint
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from fastembed._base.printable import shown
from fastembed._base.threads import ordered_map
from fastembed._base.validation import check_ids
from fastembed._kernels.tokens import valid_utf8
from fastembed.corpus.ledger import Ledger, record_lines
from fastembed.corpus.plain_blocks import PlainBlock, open_plain, plain_blocks
from fastembed.corpus.reading import Reading, token_list
from fastembed.corpus.sources import find_files
from fastembed.corpus.text_blocks import TextBlock, read_blocks

# What a corpus can be; the docstring of the package says how the forms are told apart
Source: TypeAlias = "str | os.PathLike[str] | Iterable[os.PathLike[str]] | Iterable[Iterable[str | int]] | FileCorpus"

# Called with (done, total): bytes on disk for files; sequences for a corpus in memory, where total is None if unknown
Progress: TypeAlias = Callable[[int, int | None], object]

Corpus: TypeAlias = "FileCorpus | MemoryCorpus"
Result = TypeVar("Result")

REPORT_EVERY = 1024  # sequences in memory between two calls of the progress function
NO_IDS = np.empty(0, dtype=np.int32)


def as_corpus(source: Source, reading: Reading | None = None) -> Corpus:
    """Return the reader of `source`, which is `source` itself if that is a FileCorpus.

    Parameters
    ----------
    source : path, sequence of paths, or re-iterable of sequences of str or int
    reading : Reading, optional
        How the files of a path are read; a FileCorpus has its own.

    Raises
    ------
    TypeError
        If `source` can be iterated only once, or has none of the forms.
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
    if isinstance(source, FileCorpus):
        return source
    if isinstance(source, str | os.PathLike):
        return _file_corpus([source], reading)
    if isinstance(source, bytes | bytearray):
        raise TypeError(f"a corpus is a path or an iterable of token lists, got bytes: {shown(source)}")
    if isinstance(source, list | tuple) and source and all(isinstance(item, os.PathLike) for item in source):
        return _file_corpus(source, reading)
    return MemoryCorpus(cast("Iterable[Iterable[str | int]]", source))


def _file_corpus(paths: Iterable[str | os.PathLike[str]], reading: Reading | None) -> FileCorpus:
    options = {} if reading is None else {field.name: getattr(reading, field.name) for field in fields(reading)}
    return FileCorpus(paths, **options)


class FileCorpus:
    r"""Text files, one sequence per line.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        Files, folders, patterns and ``-``, as for any corpus.
    lowercase, token_pattern, tokenizer, errors
        How the text is read: as for :class:`Reading`.

    Attributes
    ----------
    names : list of str
        The names of the files, in the order in which they are read.
    reading : Reading
        How the text is read.

    Raises
    ------
    OSError
        If there is no such file; while reading, also if a file cannot be read or decompressed.
    TypeError
        As for `Reading`; while reading, if the tokenizer returns no strings.
    ValueError
        As for `Reading`; while reading, if the text is not valid UTF-8.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "text.txt").write_bytes(b"The cat\nsat")
    ...     list(FileCorpus(f"{folder}/*.txt", lowercase=True).sequences(Ledger()))
    [['the', 'cat'], ['sat']]
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        lowercase: bool = False,
        token_pattern: str | None = None,
        tokenizer: Callable[[str], Iterable[str]] | None = None,
        errors: str = "strict",
    ) -> None:
        self.reading = Reading(lowercase=lowercase, token_pattern=token_pattern, tokenizer=tokenizer, errors=errors)
        self._files = find_files([paths] if isinstance(paths, str | os.PathLike) else paths)
        self.names = [file.name for file in self._files]

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield the tokens of each line.

        Parameters
        ----------
        ledger : Ledger
            Each line is added to it.
        progress : callable, optional
            Called with (done, total) in bytes on disk, of all files together.
        """
        begun: list[bytes] = []
        for block in self._blocks(ledger, progress):
            text, replaced = self._decode(block)
            ledger.replaced += replaced
            *lines, rest = text.split(b"\n")
            for line in lines:
                tokens = self.reading.tokens(b"".join((*begun, line)))
                begun.clear()
                record_lines(ledger, len(tokens))
                yield tokens
            if rest:
                begun.append(rest)

    def _blocks(self, ledger: Ledger, progress: Progress | None) -> Iterator[TextBlock | PlainBlock]:
        """Yield the text of all files in blocks, whose bytes are added to the ledger."""
        sizes = [file.size() for file in self._files]
        done = 0
        for file, size in zip(self._files, sizes, strict=True):
            report, plain = progress and _shifted(progress, done, sum(sizes)), open_plain(file)
            for block in read_blocks(file, report) if plain is None else plain_blocks(plain, report):
                ledger.bytes += block.size
                yield block
            done += size

    def _decode(self, block: TextBlock | PlainBlock) -> tuple[bytes, int]:
        """Return the text of a block as its sequences of tokens, and the count of U+FFFD put into it."""
        text, replaced = block.text, 0
        if not valid_utf8(text):
            if self.reading.errors == "strict":
                raise _invalid_utf8(block)
            known = text.count("\ufffd".encode())
            text = text.decode(errors="replace").encode()
            replaced = text.count("\ufffd".encode()) - known
        return self.reading.apply(text), replaced


def map_text(
    corpus: FileCorpus,
    function: Callable[[bytes, bool], tuple[Result, int, int, int]],
    ledger: Ledger,
    progress: Progress | None,
    threads: int,
) -> Generator[Result, None, None]:
    """Yield the results of a function for each block of the text of files, in order, computed on several threads.

    Parameters
    ----------
    corpus : FileCorpus
        Its reading is compiled.
    function : callable
        Called with (text, open_line): UTF-8 that ends with white space, and whether it begins inside a line and earlier
        blocks held tokens of that line. Returns (result, tokens, lines that end here, those of them without a token).
    ledger : Ledger
        All blocks are added to it.
    progress : callable, optional
    threads : int
    """

    def apply(block: TextBlock | PlainBlock) -> tuple[int, tuple[Result, int, int, int]]:
        text, replaced = corpus._decode(block)
        return replaced, function(text, block.open_line)

    with closing(ordered_map(apply, corpus._blocks(ledger, progress), threads)) as results:
        for replaced, (result, tokens, lines, empty_lines) in results:
            ledger.replaced += replaced
            record_lines(ledger, tokens, lines, empty_lines)
            yield result


class MemoryCorpus:
    """Sequences of tokens in memory, or made again by each iteration.

    Parameters
    ----------
    source : iterable of iterables of str or int
        Each call of its ``__iter__`` must start again.

    Raises
    ------
    TypeError
        If it cannot be iterated, or only once; while reading, if an item is no sequence of strings or integers.

    Examples
    --------
    >>> MemoryCorpus(line.split() for line in ["the cat", "sat"])
    Traceback (most recent call last):
        ...
    TypeError: a corpus is read more than once, which a generator does not allow: pass a list, or an object whose \
__iter__ starts again
    """

    def __init__(self, source: Iterable[Iterable[str | int]]) -> None:
        kind = type(source).__name__
        try:
            once = iter(source) is source
        except TypeError:
            raise TypeError(f"a corpus is a path or an iterable of token lists, got {kind}: {shown(source)}") from None
        if once:
            raise TypeError(
                f"a corpus is read more than once, which a {kind} does not allow: pass a list, or an object whose "
                "__iter__ starts again"
            )
        self.source = source

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield each sequence as a list of tokens.

        Parameters
        ----------
        ledger : Ledger
            Each sequence is added to it.
        progress : callable, optional
            Called with (done, total) in sequences.
        """
        for number, item in self._items(progress):
            tokens = token_list(item, f"item {number} of the corpus")
            record_lines(ledger, len(tokens))
            yield tokens

    def ids(self, size: int, ledger: Ledger, progress: Progress | None = None) -> Iterator[npt.NDArray[np.int32]]:
        """Yield each sequence as ids.

        Parameters
        ----------
        size : int
            The ids are from 0 to size - 1.
        ledger, progress
            As for :meth:`sequences`.

        Raises
        ------
        TypeError, ValueError
            If an item is not a sequence of such ids.
        """
        for number, item in self._items(progress):
            where = f"item {number} of the corpus"
            try:
                ids = np.asarray(item if isinstance(item, np.ndarray) else list(item))
            except TypeError:
                raise TypeError(f"{where} is {shown(item)}, where a list of ids is expected") from None
            record_lines(ledger, len(ids))
            yield check_ids(where, ids, size).astype(np.int32) if len(ids) else NO_IDS

    def _items(self, progress: Progress | None) -> Iterator[tuple[int, Any]]:
        """Yield each item with its number."""
        hint = length_hint(self.source, -1)
        total = None if hint < 0 else hint
        number = -1
        for number, item in enumerate(self.source):
            if progress and number % REPORT_EVERY == 0:
                progress(number, total)
            yield number, item
        if progress:
            progress(number + 1, total)


def _shifted(progress: Progress, done: int, total: int) -> Callable[[int], object]:
    return lambda position: progress(done + position, total)


def _invalid_utf8(block: TextBlock | PlainBlock) -> ValueError:
    """Return the error that says where a block is not UTF-8."""
    try:
        block.text.decode()
    except UnicodeDecodeError as error:
        line = block.line + block.text.count(b"\n", 0, error.start)
        return ValueError(
            f"{block.name!r} is not valid UTF-8 at line {line}, byte {block.offset + error.start:,} of the text: "
            f"{error.reason} ({block.text[error.start : error.end]!r})"
        )
    raise AssertionError(f"a block that Python decodes was taken for invalid UTF-8: {shown(block.text)}")
