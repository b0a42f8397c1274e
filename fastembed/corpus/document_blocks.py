"""Documents in blocks for the compiled code that splits text: each a text to be read, or a list of tokens as it is.

The kernels split at ASCII white space. White space inside a token of a list is therefore written as bytes that UTF-8
does not have, and so is a token without characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastembed.corpus.text_blocks import BLOCK_BYTES

if TYPE_CHECKING:
    from fastembed.corpus.reading import Reading

SPACES = b" \t\n\v\f\r"
NO_SPACES = b"\xf8\xf9\xfa\xfb\xfc\xfd"  # no byte of UTF-8 is above F4
EMPTY = b"\xfe"

_escape = bytes.maketrans(SPACES, NO_SPACES)
_unescape = bytes.maketrans(NO_SPACES, SPACES)


@dataclass(frozen=True)
class DocumentBlock:
    """Several documents.

    Attributes
    ----------
    documents : list of bytes
        In UTF-8.
    tokens : bool
        Whether they are lists of tokens, in the form of :func:`join_tokens`, or texts.
    size : int
        Their number of bytes.
    inside : bool
        False: a block begins with a document, and so not inside a sequence.
    """

    documents: list[bytes]
    tokens: bool
    size: int
    inside: bool = False

    @property
    def text(self) -> bytes:
        """All documents, each of which ends with a newline."""
        return b"".join(text if text.endswith(b"\n") else text + b"\n" for text in self.documents)

    def read(self, reading: Reading) -> bytes:
        """Return the text of all, in which each sequence ends with a newline; the end of a document ends one."""
        if not self.tokens and reading.unit != "line":
            return b"".join(map(reading._apply, self.documents))
        return self.text if self.tokens else reading._apply(self.text)


def document_blocks(documents: Iterable[bytes | list[str]]) -> Iterator[DocumentBlock]:
    """Yield blocks of texts and of lists of tokens, in order.

    Parameters
    ----------
    documents : iterable of bytes or of lists of str
        A text as UTF-8, or tokens.
    """
    block: list[bytes] = []
    size, tokens = 0, False
    for document in documents:
        is_list = isinstance(document, list)
        text = join_tokens(document) if isinstance(document, list) else document
        if block and (is_list != tokens or size >= BLOCK_BYTES):
            yield DocumentBlock(block, tokens, size)
            block, size = [], 0
        block.append(text)
        tokens, size = is_list, size + len(text)
    if block:
        yield DocumentBlock(block, tokens, size)


def join_tokens(tokens: list[str]) -> bytes:
    r"""Return tokens as text in which white space stands between tokens and nowhere else.

    Examples
    --------
    >>> join_tokens(["the", "new york", ""])
    b'the new\xf8york \xfe'
    """
    text = " ".join(tokens).encode(errors="surrogatepass")
    spaces = len(text) - len(text.translate(None, SPACES))
    if spaces == max(len(tokens) - 1, 0) and all(tokens):
        return text
    return b" ".join(map(token_bytes, tokens))


def split_tokens(text: bytes) -> list[str]:
    r"""Return the tokens that :func:`join_tokens` joined.

    Examples
    --------
    >>> split_tokens(b"the new\xf8york \xfe")
    ['the', 'new york', '']
    """
    return list(map(token_from_bytes, text.split()))


def token_bytes(token: str) -> bytes:
    """Return a token in UTF-8, with other bytes in place of white space."""
    return token.encode(errors="surrogatepass").translate(_escape) or EMPTY


def token_from_bytes(text: bytes) -> str:
    """Return the token that :func:`token_bytes` wrote."""
    return "" if text == EMPTY else text.translate(_unescape).decode(errors="surrogatepass")
