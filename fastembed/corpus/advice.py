"""Hints: the beginning of a text shows that it would be better read in another way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from fastembed._base.validation import shown, warn_user
from fastembed.corpus.corpus import Block
from fastembed.corpus.memory import DocumentBlock
from fastembed.corpus.reading import Reading

SAMPLE_BYTES = 1 << 16  # of the text
LEAST = 20  # fewer lines, or tokens of a kind, do not show what a text is
MOST_PUNCTUATED = 0.02  # the share of tokens that end in punctuation in a text whose words have been separated
# Marks at the ends of words, those of Arabic, Urdu and Hindi and quotes too
MARKS = ".,;:!?\"')]}\u060c\u061b\u061f\u06d4\u0964\u0965\u2019\u201d\xbb\u2026"


def with_hints(blocks: Iterable[Block], reading: Reading) -> Iterator[Block]:
    r"""Yield the blocks of a text; warn by the beginning of the first if another reading suits it better.

    Examples
    --------
    >>> import warnings
    >>> from fastembed.corpus import DocumentCorpus, Ledger
    >>> corpus = DocumentCorpus(["He went to London, at last.\n" * 10])
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = list(with_hints(corpus.blocks(Ledger()), corpus.reading))
    >>> caught[0].message.args[0]
    "33 % of the tokens end in punctuation, such as 'London,': Reading(words=True) makes words of texts"
    """
    blocks, first, text = iter(blocks), list[Block](), b""
    for block in blocks:
        first.append(block)
        text += block.text[: SAMPLE_BYTES - len(text)]
        if len(text) == SAMPLE_BYTES:
            break
    of_lists = any(isinstance(block, DocumentBlock) and block.tokens for block in first)
    for hint in _hints(text.decode(errors="replace"), reading, of_lists):
        warn_user(hint)
    yield from chain(first, blocks)


def _hints(text: str, reading: Reading, of_lists: bool) -> Iterator[str]:
    if text.lstrip().startswith('{"'):
        yield "the lines are JSON: FileCorpus(..., field=...) reads a field of files whose names end in .jsonl"
        return
    tokens = [token for token in text.split() if "\ufffd" not in token]  # of lists, names with spaces are left out
    if reading.compiled and not reading.words:
        ending = [token for token in tokens if token[-1] in MARKS and token.strip(MARKS)]
        if len(ending) >= max(LEAST, MOST_PUNCTUATED * len(tokens)):
            share = f"{100 * len(ending) / len(tokens):.0f} % of the tokens"
            yield f"{share} end in punctuation, such as {shown(ending[0])}: Reading(words=True) makes words of texts"
    labels = [token for token in tokens if token.startswith("__label__")]
    if len(labels) >= LEAST:
        yield f"{shown(labels[0])} is a label of fastText, and so a word here: sed 's/__label__[^ ]*//g' removes all"
    if reading.unit == "line" and not of_lists and looks_wrapped(text):
        unit = "paragraph" if "\n\n" in text else "sentence"
        yield f"the text looks wrapped, so that sequences end in mid-sentence: Reading(unit={unit!r}) joins its lines"


def looks_wrapped(text: str) -> bool:
    r"""Return whether most lines have 60 to 80 columns and few of these end a sentence.

    A line before an empty one does not count: it may be the last of a paragraph.

    Examples
    --------
    >>> line = "a line of a text that somebody, or a program, has broken in its middle\n"
    >>> looks_wrapped(line * 21), looks_wrapped(line.replace("\n", ".\n") * 21)
    (True, False)
    """
    lines = [line.rstrip().expandtabs() for line in text.split("\n")]
    inner = [line for line, following in pairwise(lines) if line and following]
    full = [line for line in inner if 60 <= len(line) <= 80 and " " in line]
    ending = sum(line.endswith((".", "!", "?")) for line in full)
    return len(full) >= LEAST and 2 * len(full) > len(inner) and 4 * ending < len(full)
