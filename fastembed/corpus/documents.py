"""Documents: raw text in memory as a corpus."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from itertools import chain
from typing import Any, TypeAlias

from fastembed._base.printable import shown
from fastembed.corpus.processes import read_in_processes
from fastembed.corpus.readers import MemoryCorpus, Source, as_corpus
from fastembed.corpus.reading import Reading
from fastembed.corpus.records import column_names

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
