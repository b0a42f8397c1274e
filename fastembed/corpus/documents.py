"""Documents: raw text in memory as a corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from fastembed._base.printable import shown
from fastembed.corpus.readers import Corpus, MemoryCorpus, Progress, Source, as_corpus

Documents: TypeAlias = "Source | Iterable[str]"
"""What the methods of `SkipGram` take: a corpus, or raw documents."""

_split = re.compile(r"[^ \t\n\v\f\r]+").findall  # at ASCII white space, as the lines of files are


class DocumentCorpus(MemoryCorpus):
    """Sequences of tokens in memory, of which those that are one str are split.

    Parameters
    ----------
    source : iterable of str or of token lists
        Can be iterated again.
    single : bool
        Whether each and every str may have one token at most. Otherwise that is refused: there is no pair to learn
        from, and it may well be a document that has been split, or names of files.
    """

    def __init__(self, source: Iterable[Any], single: bool) -> None:
        super().__init__(source)
        self._single = single

    def _items(self, progress: Progress | None) -> Iterator[tuple[int, Any]]:
        text, texts, longest = "", 0, 0
        for number, item in super()._items(progress):
            if not isinstance(item, str):
                yield number, item
                continue
            tokens = _split(item)
            yield number, tokens
            text, texts, longest = item, texts + 1, max(longest, len(tokens))
        if texts and longest < 2 and not self._single:
            raise ValueError(
                f"each of the {texts:,} strings, such as {shown(text)}, is a document of one token at most, which"
                " leaves no pair to learn from: pass [tokens] for one document of these tokens, token lists for"
                " documents already split, or pathlib.Path objects for files"
            )


def as_text(source: Documents, *, single: bool = False) -> Corpus:
    r"""Return the reader of a corpus or of raw documents.

    Parameters
    ----------
    source : path, list of paths, or re-iterable of str or of token lists
        A str alone is a path; one of several is a document, whose tokens ASCII white space separates (line ends
        too: a document is one sequence).
    single : bool
        As for :class:`DocumentCorpus`.

    Returns
    -------
    Corpus

    Raises
    ------
    TypeError
        If it is none of these, or a table.
    OSError
        If a file does not exist.

    Examples
    --------
    >>> from fastembed.corpus import Ledger
    >>> list(as_text(["to be", "or\nnot to be"]).sequences(Ledger()))
    [['to', 'be'], ['or', 'not', 'to', 'be']]
    """
    if hasattr(source, "columns"):
        raise TypeError(f"documents must be one column of a table, got a whole {type(source).__name__}")
    corpus = as_corpus(source)
    return DocumentCorpus(corpus.source, single) if isinstance(corpus, MemoryCorpus) else corpus
