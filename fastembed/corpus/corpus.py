"""The readers of a corpus: of text files, and of sequences in memory."""

from __future__ import annotations

import hashlib
import numbers
import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from contextlib import closing
from copy import copy
from dataclasses import asdict, fields
from itertools import chain, pairwise
from operator import length_hint
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from fastembed._base.estimator import pickled_as
from fastembed._base.threads import ordered_map
from fastembed._base.validation import check_flag, check_ids, shown, unmasked
from fastembed._kernels.tokens import valid_utf8
from fastembed.corpus.blocks import PlainBlock, TextBlock, cut_for, file_parts, open_plain, plain_blocks, read_blocks
from fastembed.corpus.ledger import Ledger, record_lines
from fastembed.corpus.memory import (
    BadRow,
    DocumentBlock,
    Records,
    check_reiterable,
    column_names,
    document_blocks,
    documents_of,
)
from fastembed.corpus.reading import Line, Reading, read_in_processes, token_list, tokenize
from fastembed.corpus.sources import FilePart, RegularFile, TextFile, UrlFile, shared_file
from fastembed.corpus.tables import Structure

# What a corpus can be; the docstring of the package says how the forms are told apart
Source: TypeAlias = (
    "str | os.PathLike[str] | Iterable[os.PathLike[str]] | Iterable[Iterable[str | int]] | FileCorpus | DocumentCorpus"
)

# Called with (done, total): bytes on disk for files; sequences for a corpus in memory, where total is None if unknown
Progress: TypeAlias = Callable[[int, int | None], object]

TextCorpus: TypeAlias = "FileCorpus | DocumentCorpus"  # has blocks of text
Corpus: TypeAlias = "TextCorpus | MemoryCorpus"
Block: TypeAlias = TextBlock | PlainBlock | DocumentBlock
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
    if isinstance(source, FileCorpus | DocumentCorpus):
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


@pickled_as("corpus.FileCorpus")
class FileCorpus:
    r"""Text files, and structured files, of which a field holds texts or lists of tokens.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        Files, folders, patterns and ``-``, as for any corpus.
    field : str or int, optional
        The name of the field, or its number from 1, of structured files: JSON lines (``.jsonl``, ``.ndjson``,
        ``.json``), CSV and TSV (``.csv``, ``.tsv``), Parquet (``.parquet``) and Arrow (``.arrow``, ``.feather``). Each
        text in it is a document, read as a file of its own is. A list is a sequence of tokens, exactly as they are. Of
        a folder, only such files are read. Without it, a line of JSON lines is itself a text or a list, and other
        structured files are an error.
    header : bool
        Whether the first row of CSV and TSV holds the names of the fields. Without, `field` must be a number.
    skip_bad : bool
        Whether rows without a text or list in the field, or that cannot be parsed, are left out and counted in
        ``ledger.skipped``. By default they are an error, which names the file and the line.
    lowercase, words, keep_case, digits, unit, token_pattern, tokenizer, phrases, errors, processes
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
        As for `Reading`; if `field` is needed and missing; while reading, if the text is not valid UTF-8, or a row of a
        structured file is bad.
    ImportError
        While reading, if a library that reads a file is missing.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "text.txt").write_bytes(b"The cat\nsat")
    ...     list(FileCorpus(f"{folder}/*.txt", lowercase=True).sequences(Ledger()))
    ...     _ = Path(folder, "data.csv").write_bytes(b"id,text\n7,the dog\n8,barks")
    ...     list(FileCorpus(f"{folder}/data.csv", field="text").sequences(Ledger()))
    [['the', 'cat'], ['sat']]
    [['the', 'dog'], ['barks']]
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        field: str | int | None = None,
        header: bool = True,
        skip_bad: bool = False,
        lowercase: bool = False,
        words: bool = False,
        keep_case: bool = False,
        digits: str = "keep",
        unit: str = "line",
        token_pattern: str | None = None,
        tokenizer: Callable[[str], Iterable[str]] | None = None,
        phrases: Iterable[str | Sequence[str]] | None = None,
        errors: str = "strict",
        processes: int = 1,
    ) -> None:
        self.reading = Reading(
            lowercase=lowercase,
            words=words,
            keep_case=keep_case,
            digits=digits,
            unit=unit,
            token_pattern=token_pattern,
            tokenizer=tokenizer,
            phrases=phrases,
            errors=errors,
            processes=processes,
        )
        self._structure = Structure(field, header, skip_bad)
        self._files = [file for path in path_list(paths) for file in self._structure.find(path)]
        for file in self._files:
            self._structure.check(file)
        self.names = [file.name for file in self._files]

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield the tokens of each sequence.

        Parameters
        ----------
        ledger : Ledger
            Each sequence is added to it, as a line.
        progress : callable, optional
            Called with (done, total) in bytes on disk, of all files together.
        """
        return sequences_of(self._blocks(ledger, progress), self.reading, ledger)

    def _blocks(self, ledger: Ledger, progress: Progress | None) -> Iterator[Block]:
        """Yield the text of all files in blocks, whose bytes are added to the ledger."""
        sizes = [file.size() for file in self._files]
        done, cut = 0, cut_for(self.reading.unit, words=self.reading.words)
        for file, size in zip(self._files, sizes, strict=True):
            report = progress and _shifted(progress, done, sum(sizes))
            blocks: Iterator[Block]
            if self._structure.covers(file):
                blocks = document_blocks(self._structure.documents(file, self.reading.errors, ledger, report))
            elif (plain := open_plain(file)) is not None:
                blocks = plain_blocks(plain, report, cut, file.part if isinstance(file, FilePart) else None)
            else:
                blocks = read_blocks(file, report, cut)
            for block in blocks:
                ledger.bytes += block.size
                yield block
            done += size

    def parts(self, size: int) -> list[FileCorpus]:
        """Return the corpus cut at the ends of sequences into corpora of about `size` bytes on disk.

        Other processes can read them, on machines on which the files have the same names. A file that is compressed or
        structured is not cut.

        Parameters
        ----------
        size : int

        Raises
        ------
        ValueError
            If standard input or a pipe is among the files.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in "abc":
        ...         _ = Path(folder, name).write_bytes(b"the cat sat")
        ...     [len(part.names) for part in FileCorpus(folder).parts(20)]
        [2, 1]
        """
        pieces: list[list[TextFile]] = [[]]
        held, cut = 0, cut_for(self.reading.unit, words=self.reading.words)
        for file in self._files:
            for piece in [file] if self._structure.covers(file) else file_parts(file, size, cut):
                if held >= size:
                    pieces.append([])
                    held = 0
                pieces[-1].append(shared_file(piece))
                held += piece.size()
        return [self._of(files) for files in pieces]

    def _of(self, files: list[TextFile]) -> FileCorpus:
        """Return a corpus of other files that are read in the same way."""
        corpus = copy(self)
        corpus._files, corpus.names = files, [file.name for file in files]
        return corpus


def text_blocks_of(corpus: TextCorpus, ledger: Ledger, progress: Progress | None = None) -> Iterator[Block]:
    """Yield the text of a corpus in blocks, whose bytes are added to the ledger.

    Parameters
    ----------
    corpus : TextCorpus
    ledger : Ledger
    progress : callable, optional
    """
    return corpus._blocks(ledger, progress)


def path_list(paths: Any) -> list[str | os.PathLike[str]]:
    """Return one path or several as a list; raise TypeError for anything else.

    Parameters
    ----------
    paths : path-like or iterable of path-like
    """
    if isinstance(paths, str | os.PathLike):
        return [paths]
    found = list(paths) if isinstance(paths, Iterable) and not isinstance(paths, bytes | bytearray) else [paths]
    for path in found:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"paths must be a path or several, each a str or a pathlib.Path, got {shown(path)}")
    return found


def map_text(
    corpus: TextCorpus,
    function: Callable[[bytes, bool], tuple[Result, int, int, int]],
    ledger: Ledger,
    progress: Progress | None,
    threads: int,
) -> Generator[Result, None, None]:
    """Yield the results of a function for each block of a text, in order, computed on several threads.

    Parameters
    ----------
    corpus : TextCorpus
        Its reading is compiled.
    function : callable
        Called with (text, inside): UTF-8 of sequences of tokens, and whether it begins inside a sequence, which is then
        not one without a token. Returns (result, tokens, sequences that end here, those of them without a token).
    ledger : Ledger
        All blocks are added to it.
    progress : callable, optional
    threads : int
    """

    def apply(block: Block) -> tuple[int, tuple[Result, int, int, int], bool, bool]:
        text, replaced = _decode(block, corpus.reading)
        first_ends, rest_begins = text.find(b"\n"), text.rfind(b"\n") + 1
        no_token_first = block.inside and not text[: max(0, first_ends)].strip()
        return replaced, function(text, block.inside), no_token_first, bool(text[rest_begins:].strip())

    has_token = False  # whether the sequence inside which a block begins had a token before
    with closing(ordered_map(apply, text_blocks_of(corpus, ledger, progress), threads)) as results:
        for replaced, (result, tokens, lines, empty_lines), no_token_first, token_last in results:
            ledger.replaced += replaced
            record_lines(ledger, tokens, lines, empty_lines + bool(lines and no_token_first and not has_token))
            has_token = token_last or (has_token and not lines)
            yield result


@pickled_as("corpus.DocumentCorpus")
class DocumentCorpus:
    r"""Documents in memory, or made again by each iteration: texts, lists of tokens, or records with a field of these.

    Parameters
    ----------
    documents : iterable
        Of str and of iterables of tokens; a column of a table of pandas, Polars or Arrow, or of a Hugging Face
        ``Dataset``. With a `field`: of mappings, or such a table or ``Dataset``. Each call of its ``__iter__`` must
        start again. A text is read as a file of its own is: its lines are sequences. A list is a sequence of tokens,
        exactly as they are.
    field : str, optional
        The key, or the name of the column, of the texts or lists.
    skip_bad : bool
        Whether items that are neither, such as None and NaN, or that have no such field, are left out and counted in
        ``ledger.skipped``. By default they are an error, which names the item.
    **reading : Any
        How the text is read: as for :class:`Reading`.

    Attributes
    ----------
    reading : Reading
        How the text is read.

    Raises
    ------
    TypeError
        If `documents` can be iterated only once, or is a table and there is no `field`; while reading, if an item is no
        document.
    ValueError
        As for `Reading`; if a table has no such column, or several; while reading, if an item has no such field or no
        UTF-8 form.

    Examples
    --------
    >>> records = [{"id": 7, "text": "The cat\nsat"}, {"id": 8, "text": None}]
    >>> corpus = DocumentCorpus(records, field="text", skip_bad=True, lowercase=True)
    >>> ledger = Ledger()
    >>> list(corpus.sequences(ledger))
    [['the', 'cat'], ['sat']]
    >>> ledger.skipped
    {'null': 1}
    """

    def __init__(
        self,
        documents: Iterable[Any],
        *,
        field: str | None = None,
        skip_bad: bool = False,
        **reading: Any,
    ) -> None:
        self.reading = Reading(**reading)
        self._records = Records(documents, field)
        self._skip_bad = check_flag("skip_bad", skip_bad)

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield the tokens of each sequence.

        Parameters
        ----------
        ledger : Ledger
            Each sequence is added to it.
        progress : callable, optional
            Called with (done, total) in documents.
        """
        return sequences_of(self._blocks(ledger, progress), self.reading, ledger)

    def _blocks(self, ledger: Ledger, progress: Progress | None) -> Iterator[DocumentBlock]:
        """Yield the documents in blocks."""
        rows = _reported(self._records, self._records.length, progress)
        fail = None if self._skip_bad else _bad_item
        return document_blocks(documents_of(rows, self.reading.errors, ledger, fail))


class MemoryCorpus:
    """Sequences of tokens in memory, or made again by each iteration.

    Parameters
    ----------
    source : iterable of iterables of str or int
        Each call of its ``__iter__`` must start again.

    Raises
    ------
    TypeError
        If it cannot be iterated, or only once; while reading, if an item is not a sequence of strings or integers.

    Examples
    --------
    >>> MemoryCorpus(line.split() for line in ["the cat", "sat"])
    Traceback (most recent call last):
        ...
    TypeError: a corpus is read more than once, which a generator does not allow: pass a list, or an object whose \
__iter__ starts again
    """

    def __init__(self, source: Iterable[Iterable[str | int]]) -> None:
        check_reiterable(source)
        self.source = source

    @property
    def reading(self) -> Reading | None:
        """How documents are read, where they are: token lists need no reading."""
        found = getattr(self.source, "reading", None)
        return found if isinstance(found, Reading) else None

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
                ids = unmasked(where, item if isinstance(item, np.ndarray) else list(item))
            except TypeError:
                raise TypeError(f"{where} is {shown(item)}, where a list of ids is expected") from None
            record_lines(ledger, len(ids))
            yield check_ids(where, ids, size).astype(np.int32) if len(ids) else NO_IDS

    def _items(self, progress: Progress | None) -> Iterator[tuple[int, Any]]:
        """Yield each item with its number."""
        hint = length_hint(self.source, -1)
        return _reported(self.source, None if hint < 0 else hint, progress)


def sequences_of(blocks: Iterator[Block], reading: Reading, ledger: Ledger) -> Iterator[list[str]]:
    """Yield the tokens of each sequence in blocks of text, which are added to the ledger.

    Parameters
    ----------
    blocks : iterator of Block
    reading : Reading
    ledger : Ledger
    """

    def lines() -> Iterator[Line]:
        begun: list[bytes] = []
        for block in blocks:
            text, replaced = _decode(block, reading)
            ledger.replaced += replaced
            is_tokens = isinstance(block, DocumentBlock) and block.tokens
            *ended, rest = text.split(b"\n")
            for line in ended:
                yield b"".join((*begun, line)), is_tokens
                begun.clear()
            if rest:
                begun.append(rest)

    for tokens in tokenize(lines(), reading):
        record_lines(ledger, len(tokens))
        yield tokens


def _decode(block: Block, reading: Reading) -> tuple[bytes, int]:
    """Return the text of a block as its sequences of tokens, and the count of U+FFFD put into it."""
    if isinstance(block, DocumentBlock):
        return block.read(reading), 0
    text, replaced = block.text, 0
    if not valid_utf8(text):
        if reading.errors == "strict":
            raise invalid_utf8(block)
        known = text.count("\ufffd".encode())
        text = text.decode(errors="replace").encode()
        replaced = text.count("\ufffd".encode()) - known
    return reading._apply(text, block.inside, block.last), replaced


def _reported(items: Iterable[Any], total: int | None, progress: Progress | None) -> Iterator[tuple[int, Any]]:
    """Yield each item with its number, and report them."""
    number = -1
    for number, item in enumerate(items):
        if not number:
            _reject_edge(item)
        if progress and number % REPORT_EVERY == 0:
            progress(number, total)
        yield number, item
    if progress:
        progress(number + 1, total)


def _bad_item(number: int, bad: BadRow) -> Exception:
    return bad.kind(f"item {number} of the corpus: {bad.message}")


def _reject_edge(item: Any) -> None:
    """Raise TypeError for a tuple (a, b, weight), which would be taken for a sequence of three tokens."""
    if isinstance(item, tuple) and len(item) == 3 and isinstance(item[2], numbers.Real | dict):
        raise TypeError(
            f"item 0 of the corpus is {shown(item)}, which may be an edge with a weight: pass"
            " Counts.from_pairs(sources, targets, weights), or lists for sequences of tokens"
        )


def _shifted(progress: Progress, done: int, total: int) -> Callable[[int], object]:
    return lambda position: progress(done + position, total)


def invalid_utf8(block: TextBlock | PlainBlock) -> ValueError:
    """Return the error that says where a block is not UTF-8.

    Parameters
    ----------
    block : TextBlock or PlainBlock
    """
    try:
        block.text.decode()
    except UnicodeDecodeError as error:
        line = block.line + block.text.count(b"\n", 0, error.start)
        return ValueError(
            f"{block.name!r} is not valid UTF-8 at line {line}, byte {block.offset + error.start:,} of the text: "
            f"{error.reason} ({block.text[error.start : error.end]!r})"
        )
    raise AssertionError(f"a block that Python decodes was taken for invalid UTF-8: {shown(block.text)}")


# What the methods of `SkipGram` accept: a corpus, or raw documents
Documents: TypeAlias = "Source | Iterable[str]"

_split = re.compile(r"[^ \t\n\v\f\r]+").findall  # at ASCII white space, as the lines of files are


class SplitDocuments:
    """Documents as sequences of tokens: those that are one str are read.

    Parameters
    ----------
    source : iterable of str or of token lists
        Can be iterated again.
    reading : Reading or None
        Without one, a str is one sequence, whose tokens are separated by ASCII white space.
    whole : bool
        Whether the sequences that a reading gives for a document are put together, into one per document.
    single : bool
        Whether all str may have at most one token each. Otherwise this is an error: there is no pair to learn from, and
        the strings may well be one document that has been split, or names of files.
    """

    def __init__(self, source: Iterable[Any], reading: Reading | None, *, whole: bool, single: bool) -> None:
        self._source, self.reading, self._whole, self._single = source, reading, whole, single

    def __length_hint__(self) -> int:
        known = self.reading is None or self._whole  # else a document may give several sequences
        return len(self._source) if known and isinstance(self._source, Sized) else NotImplemented

    def __iter__(self) -> Iterator[Any]:
        text, texts, longest = "", 0, 0
        for item, sequences in self._read():
            yield from sequences
            if not isinstance(item, str):
                continue
            text, texts, longest = item, texts + 1, max([longest, *map(len, sequences)])
        if texts and longest < 2 and not self._single:
            raise ValueError(
                f"each of the {texts:,} strings, such as {shown(text)}, is a document of one token at most, which"
                " leaves no pair to learn from: pass [tokens] for one document of these tokens, token lists for"
                " documents already split, or pathlib.Path objects for files"
            )

    def _read(self) -> Iterator[tuple[Any, list[Any]]]:
        """Yield each document and its sequences."""
        if self.reading is None:
            for item in self._source:
                yield item, [_split(item) if isinstance(item, str) else item]
            return
        drawn: deque[Any] = deque()  # documents whose sequences are being found

        def texts() -> Iterator[str | None]:
            for item in self._source:
                drawn.append(item)
                yield item if isinstance(item, str) else None

        for sequences in read_in_processes(_sequences, texts(), lambda text: len(text or ""), self.reading):
            item = drawn.popleft()
            if sequences is None:
                yield item, [item]
            else:
                yield item, [list(chain.from_iterable(sequences))] if self._whole else sequences


def _sequences(text: str | None, reading: Reading) -> list[list[str]] | None:
    return None if text is None else reading.sequences(text or "\n")  # as a block of documents has it


def split_documents(
    source: Documents, reading: Reading | None = None, *, whole: bool = False, single: bool = False
) -> Source:
    r"""Return a corpus as it is, or raw documents as a corpus of their tokens.

    Parameters
    ----------
    source : path, list of paths, or re-iterable of str or of token lists
        A str alone is a path. Among several, each str is a document.
    reading : Reading, optional
        How files and documents are read. Without one, ASCII white space separates tokens; a line of a file is a
        sequence, but so is a whole document, whatever lines it has. A `FileCorpus` has its own.
    whole, single : bool
        As for :class:`SplitDocuments`.

    Raises
    ------
    TypeError
        If `source` is none of these, or a table.
    OSError
        If a file does not exist.

    Examples
    --------
    >>> list(split_documents(["to be", "or\nnot to be"]))
    [['to', 'be'], ['or', 'not', 'to', 'be']]
    >>> list(split_documents(["To be", "or\nnot to be"], Reading(lowercase=True)))
    [['to', 'be'], ['or'], ['not', 'to', 'be']]
    """
    if (names := column_names(source)) is not None:
        raise TypeError(
            f"documents must be one column of a table, got a whole {type(source).__name__} with the columns "
            f"{', '.join(map(repr, names))}"
        )
    corpus = as_corpus(source, reading)
    if not isinstance(corpus, MemoryCorpus):
        return corpus
    return SplitDocuments(corpus.source, reading, whole=whole, single=single)


CHUNK = 1 << 20  # bytes that are read at a time


def corpus_identity(corpus: Source) -> dict[str, Any]:
    """Return what a corpus is known by, as JSON holds it.

    Parameters
    ----------
    corpus
        As `fastembed.corpus` takes it.

    Returns
    -------
    dict
        Of files: their names, sizes and times of change, and how they are read; of a URL, what fsspec calls its key,
        such as an ETag, instead of the time; of a pipe, its SHA-256. Of sequences
        in memory: their SHA-256, for which all are visited once.

    Examples
    --------
    >>> corpus_identity([["a", "b"]])["sequences"][:8]
    '7d24a12b'
    """
    reader = as_corpus(corpus)
    if isinstance(reader, FileCorpus):
        files = [_file_identity(file) for file in reader._files]
        return {"files": files, "structure": asdict(reader._structure), "reading": reader.reading.record()}
    digest = hashlib.sha256()
    for sequence in reader.sequences(Ledger()):
        digest.update(repr(list(sequence)).encode() + b"\n")
    reading = reader.reading.record() if isinstance(reader, DocumentCorpus) else None
    return {"sequences": digest.hexdigest(), "reading": reading}


def _file_identity(file: TextFile) -> dict[str, Any]:
    if isinstance(file, RegularFile):
        found = Path(file.path).stat()
        return {"name": file.name, "bytes": found.st_size, "changed": found.st_mtime_ns}
    if isinstance(file, UrlFile):
        return {"name": file.name, "bytes": file.size(), "key": file.key()}
    with file.open() as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return {"name": file.name, "bytes": file.size(), "sha256": digest.hexdigest()}


def check_same_corpus(before: dict[str, Any], now: dict[str, Any], where: str) -> None:
    """Raise ValueError if a corpus is not the one that it was, naming the first file that differs.

    Parameters
    ----------
    before, now : dict
        Of `corpus_identity`.
    where : str
        What was made of it before, for the message.

    Examples
    --------
    >>> old, new = ({"files": [{"name": "a.txt", "bytes": size}]} for size in (7, 9))
    >>> check_same_corpus(old, new, "counts.safetensors")
    Traceback (most recent call last):
        ...
    ValueError: 'a.txt' has changed since 'counts.safetensors' was counted from it: bytes was 7 and is 9
    """
    if before == now:
        return
    old, new = before.get("files", []), now.get("files", [])
    if [file["name"] for file in old] != [file["name"] for file in new]:
        names = [", ".join(repr(file["name"]) for file in files) or "sequences in memory" for files in (old, new)]
        raise ValueError(f"{where!r} was counted from other files: {names[0]} instead of {names[1]}")
    for file, found in zip(old, new, strict=True):
        for name, value in found.items():
            if file.get(name) != value:
                raise ValueError(
                    f"{file['name']!r} has changed since {where!r} was counted from it: {name} was {file.get(name)}"
                    f" and is {value}"
                )
    differing = [name for name in now if before.get(name) != now[name]]
    if differing == ["sequences"]:
        raise ValueError(f"the sequences in memory have changed since {where!r} was counted from them")
    raise ValueError(f"the text is read in another way than when {where!r} was counted: {', '.join(differing)}")


SAMPLE_BYTES = 1 << 20
MOST_PUNCTUATED = 0.02  # the share of tokens that end in punctuation in a text whose words have been separated
LEAST_LINES = 20  # fewer lines do not show whether a text is wrapped

_PUNCTUATED = re.compile(rb"(?<![^ \t\n\v\f\r])[^ \t\n\v\f\r]*[0-9A-Za-z\x80-\xff][.,;:!?\"')\]}]+(?![^ \t\n\v\f\r])")


def advice(corpus: FileCorpus) -> str | None:
    r"""Return a sentence that names the options of the command line which would read a text better, or None.

    Parameters
    ----------
    corpus : FileCorpus
        Its first megabyte is read. Without a tokenizer or a pattern; else there is no advice on tokens.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"He went to London, at last.\n" * 9)
    ...     file.flush()
    ...     advice(FileCorpus(file.name))
    "33 % of the tokens end in punctuation, such as 'London,'; --words reads words without it"
    """
    text = b""
    for block in text_blocks_of(corpus, Ledger()):
        if not (isinstance(block, DocumentBlock) and block.tokens):  # lists of tokens are as they should be
            text += block.text[: SAMPLE_BYTES - len(text)]
        if len(text) == SAMPLE_BYTES:
            break
    reading, found, options = corpus.reading, [], []
    if reading.compiled and not reading.words:
        tokens, punctuated = len(text.split()), _PUNCTUATED.findall(text)
        if len(punctuated) > MOST_PUNCTUATED * tokens:
            example = shown(punctuated[0].decode(errors="replace"))
            found.append(f"{100 * len(punctuated) / tokens:.0f} % of the tokens end in punctuation, such as {example}")
            options.append("--words")
    if reading.unit == "line" and looks_wrapped(text):
        found.append("the text looks wrapped, so that sequences end in mid-sentence")
        options.append("--unit paragraph")
    if not found:
        return None
    effect = {"--words": "words without it", "--unit paragraph": "whole paragraphs"}
    read = " of ".join(effect[option] for option in reversed(options))
    return f"{', and '.join(found)}; {' '.join(options)} reads {read}"


def looks_wrapped(text: bytes) -> bool:
    r"""Return whether most lines have 60 to 80 columns and few of these end a sentence.

    A line before an empty one does not count: it may be the last of a paragraph.

    Parameters
    ----------
    text : bytes

    Examples
    --------
    >>> line = b"a line of a text that somebody, or a program, has broken in its middle\n"
    >>> looks_wrapped(line * 21), looks_wrapped(line.replace(b"\n", b".\n") * 21)
    (True, False)
    """
    lines = [line.rstrip().expandtabs() for line in text.decode(errors="replace").split("\n")]
    inner = [line for line, following in pairwise(lines) if line and following]
    full = [line for line in inner if 60 <= len(line) <= 80]
    ending = sum(line.endswith((".", "!", "?")) for line in full)
    return len(full) >= LEAST_LINES and 2 * len(full) > len(inner) and 4 * ending < len(full)
