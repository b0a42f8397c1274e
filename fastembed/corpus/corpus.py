"""A corpus: files, or documents in memory. A corpus gives chunks of text, and sequences of tokens."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from copy import copy
from functools import partial
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import ordered_map
from fastembed._base.validation import check_flag, check_ids, listed, shown, unmasked, warn_user
from fastembed.corpus.chunks import (
    PlainChunk,
    TextChunk,
    cut_for,
    file_parts,
    open_plain,
    plain_chunks,
    read_chunks,
    valid_text,
)
from fastembed.corpus.documents import BadRow, Document, DocumentChunk, Records, checked_documents, document_chunks
from fastembed.corpus.ledger import Ledger, record_lines
from fastembed.corpus.reading import Reading, apply_valid, checked_reading, split_tokens
from fastembed.corpus.sources import FilePart, Structure, TextFile, check_texts, form_of, shared_file
from fastembed.corpus.tables import file_documents

# All that a corpus can be; see the docstring of the package
Source: TypeAlias = (
    "str | os.PathLike[str] | Iterable[os.PathLike[str]] | Iterable[str | Iterable[str | int]] | FileCorpus | "
    "DocumentCorpus"
)

# Called with (done, total): bytes on disk for files; documents in memory, where total is None if unknown
Progress: TypeAlias = Callable[[int, int | None], object]

Corpus: TypeAlias = "FileCorpus | DocumentCorpus"
Chunk: TypeAlias = TextChunk | PlainChunk | DocumentChunk
Result = TypeVar("Result")
ChunkFunction: TypeAlias = Callable[[bytes, bool], tuple[Result, int, int, int]]  # see `map_text`

REPORT_EVERY = 1024  # documents in memory between two calls of the progress function
NO_IDS = np.empty(0, dtype=np.int32)


def as_corpus(
    source: Source, reading: Reading | None = None, field: str | int | None = None, *, check_names: bool = True
) -> Corpus:
    r"""Return a source as a corpus.

    Parameters
    ----------
    source : path, list of paths, or re-iterable of str or of sequences of str or int
        A str alone is a path. In a list without a `field`, each str is a document.
    reading : Reading, optional
        How files and documents are read. A FileCorpus or DocumentCorpus keeps its reading, with a warning if it
        differs.
    field : str or int, optional
        The field of the texts in structured files, a table or records.
    check_names : bool
        Whether a list of str that are all names of files is rejected. A query allows them: its answer must not depend
        on files.

    Raises
    ------
    TypeError
        If `source` can be iterated only once, is a table without a `field`, or is no corpus.
    ValueError
        If there is no such field, or a field is given for a FileCorpus or DocumentCorpus.
    OSError
        If a file does not exist.

    Examples
    --------
    >>> ledger = Ledger()
    >>> list(as_corpus([["the", "cat"], [], "it\nsat down"]).sequences(ledger))
    [['the', 'cat'], [], ['it'], ['sat', 'down']]
    >>> ledger.summary()
    'read 5 tokens in 4 lines (1 empty); used 0; dropped 0'
    """
    if isinstance(source, FileCorpus | DocumentCorpus):
        if field is not None:
            raise ValueError(f"field={field!r} is for paths, tables and records: a {type(source).__name__} has its own")
        if reading is not None and reading.record() != source.reading.record():
            warn_user(f"the corpus keeps its {source.reading}: {reading} has no effect")
        return source
    if form_of(source, texts=field is None) == "files":
        return FileCorpus(cast("Any", source), reading=reading, field=field)
    if check_names:
        check_texts(source)
    corpus = DocumentCorpus(cast("Any", source), reading=reading, field=cast("Any", field))
    corpus.stated_reading = reading
    return corpus


class FileCorpus:
    r"""Text files, and structured files: JSON lines, CSV, TSV and Parquet, of which a field holds texts or lists.

    Structured files end in ``.jsonl``, ``.ndjson``, ``.json``, ``.csv``, ``.tsv`` or ``.parquet``. A text in a field is
    a document, and is read as a text file is. A list is a sequence of tokens, which are not changed.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        Files, folders, patterns and ``-``, as for any corpus.
    reading : Reading, optional
        How the text is read; by default a line is a sequence, and white space separates its tokens.
    field : str or int, optional
        The field of structured files, by name or number from 1. From a folder, only structured files are then read.
        Without a field, a line of JSON lines is a text or a list.
    header : bool
        Whether the first row of CSV and TSV holds the names of the fields. If not, `field` must be a number, or a row
        is a list of tokens.
    skip_bad : bool
        Whether rows without a text or list in the field are left out, and counted in ``ledger.skipped``. By default
        they are an error.

    Attributes
    ----------
    names : list of str
        The names of the files, in the order in which they are read.
    reading : Reading
        How the text is read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "text.txt").write_bytes(b"The cat\nsat")
    ...     list(FileCorpus(f"{folder}/*.txt", reading=Reading(lowercase=True)).sequences(Ledger()))
    ...     _ = Path(folder, "data.csv").write_bytes(b"id,text\n7,the dog\n8,barks")
    ...     list(FileCorpus(f"{folder}/data.csv", field="text").sequences(Ledger()))
    [['the', 'cat'], ['sat']]
    [['the', 'dog'], ['barks']]
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        reading: Reading | None = None,
        field: str | int | None = None,
        header: bool = True,
        skip_bad: bool = False,
    ) -> None:
        self.reading = checked_reading(reading)
        self._structure = Structure(field, header, skip_bad)
        self._files = self._structure.find(paths)
        self.names = [file.name for file in self._files]
        self.stated_reading: Reading | None = self.reading  # vocabularies and models keep it

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the tokens of each sequence, as gensim's models take them."""
        return self.sequences(Ledger())

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield the tokens of each sequence.

        Parameters
        ----------
        ledger : Ledger
            Each sequence is added to it, as a line.
        progress : callable, optional
            Called with (done, total) in bytes on disk, of all files together.
        """
        return sequences_of(self.chunks(ledger, progress), self.reading, ledger)

    def chunks(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[Chunk]:
        """Yield the text of all files in chunks, whose bytes are added to the ledger.

        Parameters
        ----------
        ledger : Ledger
        progress : callable, optional
            As for :meth:`sequences`.
        """
        sizes = [0 if progress is None else file.size() for file in self._files]
        done, cut = 0, cut_for(self.reading.unit, words=self.reading.words)
        for file, size in zip(self._files, sizes, strict=True):
            report = None if progress is None else lambda size, before=done: progress(before + size, sum(sizes))
            chunks: Iterator[Chunk]
            if self._structure.applies(file):
                chunks = document_chunks(file_documents(file, self._structure, self.reading.errors, ledger, report))
            elif (plain := open_plain(file)) is not None:
                chunks = plain_chunks(plain, report, cut, file.part if isinstance(file, FilePart) else None)
            else:
                chunks = read_chunks(file, report, cut)
            for chunk in chunks:
                ledger.bytes += chunk.size
                yield chunk
            done += size

    def parts(self, size: int) -> list[FileCorpus]:
        """Return corpora of about `size` bytes on disk each, which together are this corpus, cut at ends of sequences.

        Other processes can read them if the files have the same names there. Compressed and structured files are whole.

        Parameters
        ----------
        size : int

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
        parts: list[list[TextFile]] = [[]]
        held, cut = 0, cut_for(self.reading.unit, words=self.reading.words)
        for file in self._files:
            for file_part in [file] if self._structure.applies(file) else file_parts(file, size, cut):
                if held >= size:
                    parts.append([])
                    held = 0
                parts[-1].append(shared_file(file_part))
                held += file_part.size()
        return [self._only(files) for files in parts]

    def _only(self, files: list[TextFile]) -> FileCorpus:
        part = copy(self)
        part._files, part.names = files, [file.name for file in files]
        return part


class DocumentCorpus:
    r"""Documents in memory, or of an iterable that can start again: texts, lists of tokens, or records with a field.

    A text is read as a file is: by default its lines are sequences. A list is a sequence of tokens, which are not
    changed.

    Parameters
    ----------
    documents : iterable
        Strs and iterables of tokens, or with a `field` mappings, or a table of pandas, Polars, Arrow or Hugging Face.
        Each call of ``__iter__`` must start at the first document.
    reading : Reading, optional
        How texts are read; by default a line is a sequence, and white space separates its tokens.
    field : str, optional
        The key, or the name of the column, of the texts or lists.
    skip_bad : bool
        Whether items without a text or list, such as None and NaN, are left out, and counted in ``ledger.skipped``. By
        default they are an error.

    Attributes
    ----------
    reading : Reading
        How texts are read.

    Examples
    --------
    >>> records = [{"id": 7, "text": "The cat\nsat"}, {"id": 8, "text": None}]
    >>> corpus = DocumentCorpus(records, field="text", skip_bad=True, reading=Reading(lowercase=True))
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
        reading: Reading | None = None,
        field: str | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.reading = checked_reading(reading)
        self.stated_reading: Reading | None = self.reading  # vocabularies and models keep it
        self._records = Records(documents, field)
        self._skip_bad = check_flag("skip_bad", skip_bad)

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the tokens of each sequence, as gensim's models take them."""
        return self.sequences(Ledger())

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield the tokens of each sequence.

        Parameters
        ----------
        ledger : Ledger
            Each sequence is added to it.
        progress : callable, optional
            Called with (done, total) in documents.
        """
        return sequences_of(self.chunks(ledger, progress), self.reading, ledger)

    def chunks(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[DocumentChunk]:
        """Yield the documents in chunks.

        Parameters
        ----------
        ledger : Ledger
        progress : callable, optional
            As for :meth:`sequences`.
        """
        return document_chunks(self._documents(ledger, progress))

    def _documents(self, ledger: Ledger, progress: Progress | None) -> Iterator[Document]:
        fail = None if self._skip_bad else _bad_item
        return checked_documents(self._items(progress), self.reading.errors, ledger, fail)

    def _items(self, progress: Progress | None) -> Iterator[tuple[int, Any]]:
        """Yield each item with its number, and report progress."""
        number, total = -1, self._records.length
        for number, item in enumerate(self._records):
            if progress and number % REPORT_EVERY == 0:
                progress(number, total)
            yield number, item
        if progress:
            progress(number + 1, total)


def document_tokens(corpus: Corpus) -> Iterator[list[str]]:
    r"""Yield the tokens of each document in memory, or of each sequence in files.

    Examples
    --------
    >>> list(document_tokens(DocumentCorpus(["to be", "or\nnot to be"])))
    [['to', 'be'], ['or', 'not', 'to', 'be']]
    """
    if isinstance(corpus, FileCorpus):
        yield from corpus.sequences(Ledger())
        return
    for document in corpus._documents(Ledger(), None):
        if isinstance(document, list):
            yield document
        else:
            sequences = apply_valid(corpus.reading, document).split(b"\n")[:-1]
            yield list(chain.from_iterable(map(corpus.reading.tokens, sequences)))


def corpus_ids(corpus: Corpus, size: int, ledger: Ledger, progress: Progress | None) -> Iterator[npt.NDArray[np.int32]]:
    """Yield each document, a list of ids, as an array.

    Parameters
    ----------
    size : int
        The ids are from 0 to size - 1.
    ledger : Ledger
        Each list is added to it.

    Raises
    ------
    TypeError, ValueError
        If the corpus is files, or an item is not a sequence of such ids.
    """
    if isinstance(corpus, FileCorpus):
        raise TypeError(f"vocabulary={size} is for lists of ids, got files: pass a Vocabulary")
    for number, item in corpus._items(progress):
        where = f"item {number} of the corpus"
        try:
            ids = unmasked(where, item if isinstance(item, np.ndarray) else list(item))
        except TypeError:
            raise TypeError(f"{where} is {shown(item)}, where a list of ids is expected") from None
        record_lines(ledger, len(ids))
        yield check_ids(where, ids, size).astype(np.int32) if len(ids) else NO_IDS


def sequences_of(chunks: Iterable[Chunk], reading: Reading, ledger: Ledger) -> Iterator[list[str]]:
    """Yield the tokens of each sequence in chunks of text; add the sequences to the ledger."""
    ledger.unit = ledger.unit if reading.unit == "line" else reading.unit  # a ledger of baskets keeps its unit
    for tokens in _token_lists(chunks, reading, ledger):
        record_lines(ledger, len(tokens))
        yield tokens


def _token_lists(chunks: Iterable[Chunk], reading: Reading, ledger: Ledger) -> Iterator[list[str]]:
    """Yield the tokens of each sequence; the ledger gets only the number of U+FFFD."""
    begun: list[bytes] = []
    for chunk in chunks:
        text, replaced = _read_chunk(chunk, reading)
        ledger.replaced += replaced
        tokens_of = split_tokens if isinstance(chunk, DocumentChunk) and chunk.tokens else reading.tokens
        *ended, rest = text.split(b"\n")
        for line in ended:
            yield tokens_of(b"".join((*begun, line)))
            begun.clear()
        if rest:
            begun.append(rest)


class MappedChunk(NamedTuple, Generic[Result]):
    """What `map_text` keeps of a chunk: what the function returned, and facts of the first and the last sequence.

    `replaced`: the number of U+FFFD put into the text. `inside`: as in a `TextChunk`. `first_has_token`: there is a
    token before the first end of a sequence. `last_has_token`: there is a token behind the last end of a sequence.
    """

    result: Result
    tokens: int
    lines: int
    empty_lines: int
    replaced: int
    inside: bool
    first_has_token: bool
    last_has_token: bool


def map_text(
    chunks: Iterable[Chunk],
    reading: Reading,
    function: ChunkFunction[Result],
    ledger: Ledger,
    threads: int,
) -> Generator[Result, None, None]:
    """Yield the result of a function for each chunk of a text, in order, computed by several threads.

    Parameters
    ----------
    reading : Reading
        If it has a tokenizer or a pattern, one thread makes the tokens, and the function gets the tokens as text.
    function : callable
        Called with (text, inside): the sequences of a chunk, and `inside` as in a `TextChunk`. Returns the result and
        the numbers of tokens, of sequences that end here, and of empty sequences among these; if `inside`, the first
        sequence does not count as empty.
    ledger : Ledger
        Gets the tokens and sequences of all chunks.
    """
    ledger.unit = ledger.unit if reading.unit == "line" else reading.unit
    if not reading.compiled:
        chunks = document_chunks(_token_lists(chunks, reading, ledger))
    has_token = False  # whether the sequence that the next chunk continues has a token
    with closing(ordered_map(partial(_mapped_chunk, reading, function), chunks, threads)) as mapped:
        for chunk in mapped:
            # The sequence that the chunk continues ends in it, and has no token
            ends_empty = chunk.inside and chunk.lines > 0 and not (has_token or chunk.first_has_token)
            ledger.replaced += chunk.replaced
            record_lines(ledger, chunk.tokens, chunk.lines, chunk.empty_lines + ends_empty)
            has_token = chunk.last_has_token or (has_token and not chunk.lines)
            yield chunk.result


def _mapped_chunk(reading: Reading, function: ChunkFunction[Result], chunk: Chunk) -> MappedChunk[Result]:
    text, replaced = _read_chunk(chunk, reading)
    first, last = text[: max(text.find(b"\n"), 0)], text[text.rfind(b"\n") + 1 :]
    return MappedChunk(*function(text, chunk.inside), replaced, chunk.inside, bool(first.strip()), bool(last.strip()))


def _read_chunk(chunk: Chunk, reading: Reading) -> tuple[bytes, int]:
    """Return the text of a chunk as sequences of tokens, and the number of U+FFFD put into it."""
    if isinstance(chunk, DocumentChunk):
        return chunk.read(reading), 0
    text, replaced = valid_text(chunk, reading.errors)
    return apply_valid(reading, text, chunk.inside, chunk.last), replaced


def _bad_item(number: int, bad: BadRow) -> Exception:
    hint = "; drop it, or pass DocumentCorpus(items, skip_bad=True)" if bad.reason == "null" else ""
    return bad.kind(f"item {number} of the corpus: {bad.message}{hint}")


def disk_size(corpus: FileCorpus) -> int:
    """Return the number of bytes of the files of a corpus."""
    return sum(file.size() for file in corpus._files)


def check_ordered(corpus: Corpus) -> None:
    """Raise TypeError if the first document is a set, which has no order."""
    if isinstance(corpus, DocumentCorpus) and isinstance(next(iter(corpus._records), None), set | frozenset):
        raise TypeError("documents are sets, which have no order: pass lists of tokens, or count baskets")


def empty(corpus: Corpus, ledger: Ledger) -> ValueError:
    """Return the error for a corpus without a token."""
    skipped = f", and {sum(ledger.skipped.values()):,} rows skipped" if ledger.skipped else ""
    of = f" of {listed(corpus.names)}" if isinstance(corpus, FileCorpus) else ""
    return ValueError(f"the corpus is empty: no token in {ledger.units}{of}{skipped}")
