"""What a look at the beginning of a text says about how to read it."""

from __future__ import annotations

import re
from itertools import pairwise

from fastembed._base.printable import shown
from fastembed.corpus.document_blocks import DocumentBlock
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.readers import FileCorpus, text_blocks_of

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
