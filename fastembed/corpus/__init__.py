"""Corpora: how text is read, what happens to its lines, and the ledger of what was read, used and dropped.

Wherever a corpus is asked for, it is

- a path (``str`` or ``os.PathLike``): a file, a folder, a pattern such as ``news/*.txt``, or ``-`` for standard input;
- a list or tuple whose items are all ``os.PathLike``: several of these, read in that order;
- a :class:`FileCorpus`, which has options, also for structured files: JSON lines, CSV and Parquet;
- a :class:`DocumentCorpus`: documents in memory, or a field of records;
- any other iterable of documents that can be iterated again, such as a list of lists: each document is a text, as a
  ``str``, or a sequence of tokens, strings or integers.

A text holds one sequence per line, and ASCII white space separates the tokens, unless a :class:`Reading` says
otherwise. A text in memory is read as a file with the same content: each of its lines is a sequence. Files
whose names end in ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` (before Python 3.14 with the extra [zstd]) are decompressed
while they are read. An integer as a token stands for its decimal digits.

A `progress` is called with (done, total): bytes on disk for files, documents for a corpus in memory, where the total is
None if the corpus has no length.

A wrong argument is a TypeError or ValueError. Text that is not valid UTF-8, or a bad row of a table, is a ValueError
that names the file and the line. A file that cannot be read or written is an OSError, and the old file stays. A missing
library is an ImportError.
"""

from fastembed._base.optional import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
