r"""Documents as lines of tokens: documents in memory, and files in fastText's format with labels.

Both are corpora of text as in `fastembed.corpus.corpus`, with one sequence per document.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from fastembed._base.validation import shown
from fastembed._kernels.features import separate_labels
from fastembed._kernels.tokens import valid_utf8
from fastembed.corpus.blocks import TextBlock
from fastembed.corpus.corpus import Block, FileCorpus, Progress, invalid_utf8, path_list, sequences_of, text_blocks_of
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.memory import DocumentBlock
from fastembed.corpus.reading import Reading, join_tokens, replace_surrogates, token_list

BLOCK_DOCUMENTS = 1 << 14  # documents in memory per block


class DocumentLines:
    """Documents in memory, each a text or a list of tokens.

    Parameters
    ----------
    documents : sequence of str or of sequences of str
    reading : Reading
        How texts become tokens.
    """

    def __init__(self, documents: Sequence[Any], reading: Reading) -> None:
        self._documents, self.reading = documents, reading

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield the tokens of each document."""
        return sequences_of(self._blocks(ledger, progress), self.reading, ledger)

    def _blocks(self, _: Ledger, progress: Progress | None) -> Iterator[Block]:
        """Yield the documents in blocks; the ledger does not count their bytes."""
        total = len(self._documents)
        for first in range(0, total, BLOCK_DOCUMENTS):
            part = self._documents[first : first + BLOCK_DOCUMENTS]
            yield from document_lines(part, self.reading.errors, first)
            if progress:
                progress(min(first + BLOCK_DOCUMENTS, total), total)


def document_lines(documents: Sequence[Any], errors: str, first: int = 0) -> Iterator[DocumentBlock]:
    """Yield blocks of documents, each document on a line of its own.

    Parameters
    ----------
    documents : sequence of str or of sequences of str
    errors : {"strict", "replace"}
        How surrogates are handled.
    first : int
        The number of the first document, for errors.
    """
    plain = set(map(type, documents)) == {str}  # the usual case, with a much faster check
    for texts, run in [(True, documents)] if plain else groupby(documents, lambda item: isinstance(item, str)):
        part = list(run)
        if texts:
            yield DocumentBlock([_lines(part, errors)], False, 0)
        else:
            lists = (token_list(item, f"document {number}") for number, item in enumerate(part, first))
            yield DocumentBlock(list(map(join_tokens, lists)), True, 0)
        first += len(part)


def _lines(documents: Sequence[str], errors: str) -> bytes:
    text = "\n".join(documents)
    if text.count("\n") != len(documents) - 1:
        text = "\n".join([document.replace("\n", " ") for document in documents])
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError as error:
        if errors == "replace":
            return replace_surrogates(text)[0] + b"\n"
        raise ValueError(f"a document has no UTF-8 form: {error}") from None


class LabelledFiles:
    """Files in fastText's format: one document per line, in which tokens with a prefix are labels.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        As for any corpus.
    reading : Reading
        How the rest of a line becomes tokens.
    prefix : str
    """

    def __init__(
        self, paths: str | os.PathLike[str] | Iterable[os.PathLike[str]], reading: Reading, prefix: str
    ) -> None:
        given = path_list(paths)
        try:
            self._files = FileCorpus(given, errors=reading.errors)
        except ValueError as error:  # it has fields
            names = ", ".join(repr(os.fspath(path)) for path in given)
            raise ValueError(
                f"documents with labels are lines of text, not of a structured file such as CSV or JSON lines: {names}"
            ) from error
        self.reading, self._prefix = reading, prefix.encode()
        self.names = self._files.names
        self.labels: list[bytes] = []
        self.unlabelled = 0

    def sequences(self, ledger: Ledger, progress: Progress | None = None) -> Iterator[list[str]]:
        """Yield the tokens of each document."""
        return sequences_of(self._blocks(ledger, progress), self.reading, ledger)

    def _blocks(self, ledger: Ledger, progress: Progress | None) -> Iterator[Block]:
        """Yield the text of the files without labels; the labels are stored in `labels`, as lines of UTF-8.

        Lines without a label are left out of both, and counted in `unlabelled`; raise ValueError if all are.
        """
        self.labels, self.unlabelled = [], 0
        for text, block in self._texts(ledger, progress):
            labels, rest, left_out = _labelled(*separate_labels(text, self._prefix))
            self.labels.append(labels)
            self.unlabelled += left_out
            yield TextBlock(rest, block.name, 1, 0, 0, inside=False, last=block.last)
        if not any(self.labels):
            names, prefix = ", ".join(map(repr, self.names)), self._prefix.decode()
            lines = f"none of {self.unlabelled:,} lines has" if self.unlabelled else "it is empty: no line has"
            raise ValueError(f"no document with a label in {names}: {lines} a token that begins with {prefix}")

    def all_documents(self) -> Iterator[list[str]]:
        """Yield all documents, labelled or not, as lists of texts without the labels."""
        for text, _ in self._texts(Ledger(), None):
            yield unlabelled_texts(text, self._prefix)

    def _texts(self, ledger: Ledger, progress: Progress | None) -> Iterator[tuple[bytes, Any]]:
        """Yield complete lines of valid UTF-8, together with the block in which they end."""
        begun: list[bytes] = []
        for block in text_blocks_of(self._files, ledger, progress):
            if isinstance(block, DocumentBlock):
                raise ValueError(f"{self.names[0]!r}: labelled documents are lines of text, not of a structured file")
            begun.append(valid_text(block, self.reading.errors))
            if begun[-1].endswith(b"\n"):
                yield b"".join(begun), block
                begun.clear()


def valid_text(block: Any, errors: str) -> bytes:
    """Return the text of a block as valid UTF-8.

    Parameters
    ----------
    block : TextBlock or PlainBlock
    errors : {"strict", "replace"}

    Raises
    ------
    ValueError
        If it is invalid and `errors` is "strict"; the message names the file and the line.
    """
    text: bytes = block.text
    if valid_utf8(text):
        return text
    if errors == "strict":
        raise invalid_utf8(block)
    return text.decode(errors="replace").encode()


def unlabelled_texts(text: bytes, prefix: bytes) -> list[str]:
    """Return lines of UTF-8 as texts without their labels."""
    return separate_labels(text, prefix)[1].decode().split("\n")[:-1]


def _labelled(labels: bytes, rest: bytes) -> tuple[bytes, bytes, int]:
    """Return the lines with labels, and the number of lines without."""
    if not labels.startswith(b"\n") and b"\n\n" not in labels:
        return labels, rest, 0
    lines = list(zip(labels.splitlines(keepends=True), rest.split(b"\n"), strict=False))
    kept = [(label, line + b"\n") for label, line in lines if label != b"\n"]
    return b"".join(label for label, _ in kept), b"".join(line for _, line in kept), len(lines) - len(kept)


def check_documents(documents: Any) -> Sequence[Any]:
    """Check documents and return them as a sequence.

    Raises
    ------
    TypeError
        If `documents` is a single string, or cannot be iterated.
    """
    if isinstance(documents, str | bytes):
        raise TypeError(f"documents must be several, got one {shown(documents)}: pass [document]")
    if hasattr(documents, "tolist"):  # an array or a column of a table
        if getattr(documents, "ndim", 1) != 1:
            raise ValueError(
                f"documents must be one column of texts, got an array of shape {documents.shape}: Reshape your data"
            )
        documents = documents.tolist()
    if isinstance(documents, list | tuple):
        return documents
    if not isinstance(documents, Iterable):
        raise TypeError(f"documents must be texts or lists of tokens, got {shown(documents)}")
    return list(documents)
