"""Documents: raw text in memory as a corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeAlias

from fastembed._base.printable import shown
from fastembed.corpus.readers import MemoryCorpus, Source, as_corpus

# What the methods of `SkipGram` accept: a corpus, or raw documents
Documents: TypeAlias = "Source | Iterable[str]"

_split = re.compile(r"[^ \t\n\v\f\r]+").findall  # at ASCII white space, as the lines of files are


class SplitDocuments:
    """Documents as sequences of tokens: those that are one str are split at ASCII white space.

    Parameters
    ----------
    source : iterable of str or of token lists
        Can be iterated again.
    single : bool
        Whether all str may have at most one token each. Otherwise this is an error: there is no pair to learn from, and
        the strings may well be one document that has been split, or names of files.
    """

    def __init__(self, source: Iterable[Any], single: bool) -> None:
        self._source = source
        self._single = single

    def __length_hint__(self) -> int:
        return len(self._source) if isinstance(self._source, Sized) else NotImplemented

    def __iter__(self) -> Iterator[Any]:
        text, texts, longest = "", 0, 0
        for item in self._source:
            if not isinstance(item, str):
                yield item
                continue
            tokens = _split(item)
            yield tokens
            text, texts, longest = item, texts + 1, max(longest, len(tokens))
        if texts and longest < 2 and not self._single:
            raise ValueError(
                f"each of the {texts:,} strings, such as {shown(text)}, is a document of one token at most, which"
                " leaves no pair to learn from: pass [tokens] for one document of these tokens, token lists for"
                " documents already split, or pathlib.Path objects for files"
            )


def split_documents(source: Documents, *, single: bool = False) -> Source:
    r"""Return a corpus as it is, or raw documents as a corpus of their tokens.

    Parameters
    ----------
    source : path, list of paths, or re-iterable of str or of token lists
        A str alone is a path. Among several, each str is a document; ASCII white space separates its tokens (line ends
        too: a document is one sequence).
    single : bool
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
    """
    if hasattr(source, "columns"):
        raise TypeError(f"documents must be one column of a table, got a whole {type(source).__name__}")
    corpus = as_corpus(source)
    return SplitDocuments(corpus.source, single) if isinstance(corpus, MemoryCorpus) else corpus
