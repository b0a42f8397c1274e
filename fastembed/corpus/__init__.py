"""Readers: one sequence of tokens after another from files or from memory, and the ledger of what was read.

A corpus, wherever one is asked for, is

- a path (``str`` or ``os.PathLike``): a file, a folder, a pattern such as ``news/*.txt``, or ``-`` for standard input;
- a list or tuple whose items are all ``os.PathLike``: several of these, read in that order;
- a :class:`FileCorpus`, which has options;
- anything else that gives sequences of strings or integers and can be iterated again, such as a list of lists.

A file holds one sequence a line, its tokens separated by ASCII white space, in UTF-8. Names that end in ``.gz``,
``.bz2``, ``.xz`` or ``.zst`` are decompressed while they are read. An integer as a token stands for its decimal digits.
"""

from fastembed.corpus.ledger import Ledger
from fastembed.corpus.readers import Corpus, FileCorpus, MemoryCorpus, Progress, Source, as_corpus

__all__ = ["Corpus", "FileCorpus", "Ledger", "MemoryCorpus", "Progress", "Source", "as_corpus"]
