"""The readers of files and of sequences in memory."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from operator import index
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fastembed._base.printable import shown
from fastembed._base.validation import check_ids
from fastembed._kernels.tokens import valid_utf8
from fastembed.corpus.blocks import Block, read_blocks
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.sources import find_files

#: What a function that reads a corpus accepts; the module's docstring says how each form is told from the others.
Source: TypeAlias = "str | os.PathLike[str] | Iterable[os.PathLike[str]] | Iterable[Iterable[str | int]] | Corpus"

#: Called with (done, total): bytes on disk for files; sequences for a corpus in memory, with total None if unknown.
Progress: TypeAlias = Callable[[int, int | None], object]

REPORT_EVERY = 1024  # sequences between two calls of the progress function, in memory
_NO_IDS = np.empty(0, dtype=np.int32)


class Corpus(Protocol):
    """A corpus that can be read any number of times."""

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield every sequence of tokens.

        Parameters
        ----------
        ledger : Ledger
            Each sequence is entered in it.
        progress : callable, optional
            Called now and then with (done, total).
        """
        ...


def as_corpus(source: Source) -> Corpus:
    """Return the reader of `source`.

    Parameters
    ----------
    source : path, sequence of paths, or re-iterable of sequences of str or int
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
        raise TypeError(f"a corpus is a path or an iterable of token lists, got bytes: {shown(source)}")
    if isinstance(source, list | tuple) and source and all(isinstance(item, os.PathLike) for item in source):
        return FileCorpus(source)
    return MemoryCorpus(cast("Iterable[Iterable[str | int]]", source))


class FileCorpus:
    r"""Text files, one sequence a line.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        Files, folders, patterns and ``-``, as the module's docstring says.
    lowercase : bool
        Whether the text is turned to lower case first.
    tokenizer : callable, optional
        Gives the tokens of a line (a str without its end); by default the line is split at ASCII white space, which is
        much faster since no Python object is made for a token.
    errors : {"strict", "replace"}
        What to do with bytes that are not valid UTF-8: stop, or put U+FFFD in their place.

    Raises
    ------
    OSError
        If there is no such file; on reading, also if it cannot be read or decompressed.
    TypeError
        If `tokenizer` cannot be called, or gives no strings.
    ValueError
        If `errors` is neither; on reading, if a line is not valid UTF-8.

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
        tokenizer: Callable[[str], Iterable[str]] | None = None,
        errors: str = "strict",
    ) -> None:
        if tokenizer is not None and not callable(tokenizer):
            raise TypeError(f"tokenizer must be a function from a line to its tokens, or None, got {tokenizer!r}")
        if errors not in ("strict", "replace"):
            raise ValueError(f"errors must be 'strict' or 'replace', got {errors!r}")
        self.files = find_files([paths] if isinstance(paths, str | os.PathLike) else paths)
        self.lowercase = lowercase
        self.tokenizer = tokenizer
        self.errors = errors

    def blocks(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[Block]:
        """Yield the text in blocks.

        Parameters
        ----------
        ledger : Ledger
            The bytes of each block are entered in it.
        progress : callable, optional
            Called with bytes on disk, of all files together.
        """
        sizes = [file.size() for file in self.files]
        done = 0
        for file, size in zip(self.files, sizes, strict=True):
            for block in read_blocks(file, progress and _shifted(progress, done, sum(sizes))):
                ledger.bytes += block.size
                yield block
            done += size

    def text(self, block: Block) -> tuple[bytes, int]:
        """Return a block's text as valid UTF-8, in lower case if that is asked for, and how much was replaced.

        Parameters
        ----------
        block : Block
            Of :meth:`blocks`.

        Raises
        ------
        ValueError
            If it is not valid UTF-8, unless `errors` is "replace".
        """
        text, replaced = block.text, 0
        if not valid_utf8(text):
            if self.errors == "strict":
                raise _invalid(block)
            known = text.count("\ufffd".encode())
            text = text.decode(errors="replace").encode()
            replaced = text.count("\ufffd".encode()) - known
        if self.lowercase:
            text = text.lower() if text.isascii() else text.decode().lower().encode()
        return text, replaced

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield the tokens of each line.

        Parameters
        ----------
        ledger : Ledger
            Each line is entered in it.
        progress : callable, optional
            Called with bytes on disk, of all files together.
        """
        begun: list[bytes] = []
        for block in self.blocks(ledger, progress):
            text, replaced = self.text(block)
            ledger.replaced += replaced
            *lines, rest = text.split(b"\n")
            for line in lines:
                tokens = self._tokens(b"".join((*begun, line)))
                begun.clear()
                ledger.enter(len(tokens))
                yield tokens
            if rest:
                begun.append(rest)

    def _tokens(self, line: bytes) -> list[str]:
        """Split at ASCII white space, which str.split does not: it takes other Unicode spaces as well."""
        if self.tokenizer is not None:
            text = line.removesuffix(b"\r").decode()
            return _checked(self.tokenizer(text), f"what the tokenizer made of {shown(text)}")
        words = b" ".join(line.split()).decode()
        return words.split(" ") if words else []


class MemoryCorpus:
    """Sequences of tokens in memory, or made anew on each iteration.

    Parameters
    ----------
    source : iterable of iterables of str or int
        Every call of its ``__iter__`` must give all sequences again.

    Raises
    ------
    TypeError
        If it cannot be iterated, or only once; on reading, if an item is no sequence of strings or integers.

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
        """Yield each sequence as a list.

        Parameters
        ----------
        ledger : Ledger
            Each sequence is entered in it.
        progress : callable, optional
            Called with the number of sequences.
        """
        for number, item in self._items(progress):
            tokens = _checked(item, f"item {number} of the corpus")
            ledger.enter(len(tokens))
            yield tokens

    def ids(self, size: int, ledger: Ledger, progress: Progress | None = None) -> Iterator[npt.NDArray[np.int32]]:
        """Yield each sequence as ids.

        Parameters
        ----------
        size : int
            The ids are from 0 to size - 1.
        ledger : Ledger
            Each sequence is entered in it.
        progress : callable, optional
            Called with the number of sequences.

        Raises
        ------
        TypeError, ValueError
            If an item is no sequence of such ids.
        """
        for number, item in self._items(progress):
            where = f"item {number} of the corpus"
            try:
                ids = np.asarray(item if isinstance(item, np.ndarray) else list(item))
            except TypeError:
                raise TypeError(f"{where} is {shown(item)}, where a list of ids is expected") from None
            ledger.enter(len(ids))
            yield check_ids(where, ids, size).astype(np.int32) if len(ids) else _NO_IDS

    def _items(self, progress: Progress | None) -> Iterator[tuple[int, Any]]:
        total = len(self.source) if isinstance(self.source, Sized) else None
        number = -1
        for number, item in enumerate(self.source):
            if progress and number % REPORT_EVERY == 0:
                progress(number, total)
            yield number, item
        if progress:
            progress(number + 1, total)


def _shifted(progress: Progress, done: int, total: int) -> Callable[[int], object]:
    return lambda position: progress(done + position, total)


def _invalid(block: Block) -> ValueError:
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


def _checked(item: Iterable[Any], where: str) -> list[str]:
    if isinstance(item, str | bytes | os.PathLike):
        raise TypeError(
            f"{where} is {shown(item)}, where a list of tokens is expected; split a text into tokens, "
            "and name several files by pathlib.Path objects"
        )
    try:
        tokens = item if isinstance(item, list) else list(item)
    except TypeError:
        raise TypeError(f"{where} is {shown(item)}, where a list of tokens is expected") from None
    kinds = set(map(type, tokens))
    if all(issubclass(kind, str) for kind in kinds):
        return tokens
    integers = {kind for kind in kinds if issubclass(kind, numbers.Integral) and not issubclass(kind, bool)}
    if integers == kinds:
        return [str(index(token)) for token in tokens]
    for token in tokens:
        if type(token) not in integers and not isinstance(token, str):
            raise TypeError(f"{where} holds {shown(token)}, where a token (str or int) is expected")
    raise TypeError(f"{where} mixes strings and integers: {shown(tokens)}")
