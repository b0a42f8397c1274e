"""Corpora: how text is read, what happens to its lines, and the ledger of what was read, used and dropped.

Wherever a corpus is asked for, it is

- a path (``str`` or ``os.PathLike``): a file, a folder, a pattern such as ``news/*.txt``, or ``-`` for standard input;
- a list or tuple whose items are all ``os.PathLike``: several of these, read in that order;
- a :class:`FileCorpus`, which has options, also for structured files: JSON lines, CSV, Parquet and Arrow;
- a :class:`DocumentCorpus`: texts, lists of tokens or records in memory, with the same options;
- any other iterable that yields sequences of strings or integers and can be iterated again, such as a list of lists.

A file holds one sequence per line, in UTF-8, and ASCII white space separates the tokens, unless a :class:`Reading` says
otherwise. Files whose names end in ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` are decompressed while they are read. An
integer as a token stands for its decimal digits.

A `progress` is called with (done, total): bytes on disk for files, sequences for a corpus in memory, where the total is
None if the corpus has no length.
"""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.corpus.corpus import DocumentCorpus, Documents, FileCorpus, Progress, Source
    from fastembed.corpus.ledger import Ledger, LineSplit
    from fastembed.corpus.phrases import Phrases
    from fastembed.corpus.reading import Reading

__all__ = [
    "DocumentCorpus",
    "Documents",
    "FileCorpus",
    "Ledger",
    "LineSplit",
    "Phrases",
    "Progress",
    "Reading",
    "Source",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Documents": "corpus",
        "DocumentCorpus": "corpus",
        "FileCorpus": "corpus",
        "Ledger": "ledger",
        "LineSplit": "ledger",
        "Phrases": "phrases",
        "Progress": "corpus",
        "Reading": "reading",
        "Source": "corpus",
    },
)
