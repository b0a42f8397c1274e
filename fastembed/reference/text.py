"""Text, its tokens, phrases and n-grams: twins of ``words``, ``tokens`` and ``ngrams.pyx``, in plain Python."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, takewhile

import numpy as np

BLANK, SPACE = r"[ \t\v\f\r]", r"[ \t\n\v\f\r]"
IDEOGRAPHS = re.compile("CJK (UNIFIED|COMPATIBILITY) IDEOGRAPH|IDEOGRAPHIC|HENTAIGANA|HIRAGANA|(HALFWIDTH )?KATAKANA")


@cache
def _characters(categories: str, ideographs: bool | None = None) -> str:
    """Return the character ranges of general categories: all, only ideographs, or all except ideographs."""
    found = []
    for point in range(sys.maxunicode + 1):
        category = unicodedata.category(c := chr(point))
        if category.startswith(tuple(categories.split())):
            ideograph = category[0] != "M" and IDEOGRAPHS.match(unicodedata.name(c, "")) is not None
            if ideographs in (None, ideograph):
                found.append(point)
    parts = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    return "".join(f"{chr(part[0])}-{chr(part[-1])}" for part in parts)


def words(text: str, keep_case: bool = False, digits: str = "keep") -> list[list[str]]:
    r"""Return the words of each line, as `Reading` describes them.

    Examples
    --------
    >>> words("It\u2019s 1984,\nnot '85.", digits="shape")
    [["it's", '0000'], ['not', '00']]
    """
    letter, ideograph = (f"[{_characters('L M N', kind)}]" for kind in (False, True))
    word = re.compile(f"{ideograph}[{_characters('M')}]*|({letter}+(?:['\u2019]{letter}+)*)")
    number = re.compile(f"(?!{ideograph})[{_characters('N')}][{_characters('N')}']*")
    lines = []
    for line in text.replace("\xad", "").split("\n"):
        tokens = [match[0].replace("\u2019", "'") for match in word.finditer(line)]
        if digits != "keep":
            shape = "" if digits == "drop" else "0"
            tokens = [re.sub("[^']", shape, t) if number.fullmatch(t) else t for t in tokens]
        lines.append([token if keep_case else token.lower() for token in tokens if token.strip("'")])
    return lines


def sequences(text: str, unit: str) -> list[str]:
    r"""Return the paragraphs, the sentences or the document of a wrapped text, as `Reading` describes them.

    Examples
    --------
    >>> sequences("This is an exam-\nple. It goes\n on.\n\nAnd on.", "sentence")
    ['This is an example.', 'It goes on.', 'And on.']
    """
    letter, capital = f"[{_characters('L M')}]", f"[{_characters('Lu Lt')}]"
    text = re.sub(f"(?<={letter})[-\u2010\xad]{BLANK}*\n{BLANK}*(?={letter})", "", text)
    parts = [text] if unit == "document" else re.split(f"\n{BLANK}*\n", text)
    parts = [re.sub(f"{SPACE}+", " ", part).strip(" ") for part in parts]
    if unit == "sentence":
        end = f"""(?<=[.!?])(["')\\]\u201d\u2019\xbb]*) (?=["'(\\[\u201c\u2018\xab\xbf\xa1]*{capital})"""
        parts = [sentence for part in parts for sentence in re.sub(end, r"\1\n", part).split("\n")]
    return [part for part in parts if part]


def valid_utf8(text: bytes) -> bool:
    r"""Return whether a text is well-formed UTF-8.

    Examples
    --------
    >>> valid_utf8("\u732b".encode()), valid_utf8(b"\xff")
    (True, False)
    """
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def count_tokens(text: bytes, open_line: bool = False) -> tuple[Counter[bytes], int, int]:
    r"""Return token counts in the order of first occurrence, the number of line ends, and that of empty lines.

    With `open_line`, the first line had tokens before the start of the text.

    Examples
    --------
    >>> count_tokens(b"to be\n\nor to")
    (Counter({b'to': 2, b'be': 1, b'or': 1}), 2, 1)
    """
    *lines, _ = [line.split() for line in text.split(b"\n")]
    empty = sum(not line for line in lines) - (open_line and lines[:1] == [[]])
    return Counter(text.split()), len(lines), empty


def encode(text: bytes, known: Sequence[bytes]) -> list[int]:
    r"""Return the ids of the tokens that are known, and -1 at the end of each line.

    Examples
    --------
    >>> encode(b"to be\nor to", [b"be", b"to"])
    [1, 0, -1, 1]
    """
    ids = {token: number for number, token in enumerate(known)}
    lines = ([ids[token] for token in line.split() if token in ids] for line in text.split(b"\n"))
    return list(chain.from_iterable([*line, -1] for line in lines))[:-1]


def ranking(counts: Mapping[str, int], least: int) -> list[tuple[str, int]]:
    """Return the tokens that occur at least `least` times, by decreasing count, with ties in code point order.

    Examples
    --------
    >>> ranking({"b": 1, "a": 1, "c": 2, "d": 0}, 1)
    [('c', 2), ('a', 1), ('b', 1)]
    """
    return sorted(((t, n) for t, n in counts.items() if n >= least), key=lambda item: (-item[1], item[0]))


def separate_labels(text: bytes, prefix: bytes) -> tuple[bytes, bytes]:
    r"""Return the tokens of lines that begin with a prefix, without it, and the rest of the lines.

    Examples
    --------
    >>> separate_labels(b"#a #b to be\nor\n", b"#")
    (b'a b \n\n', b'  to be\nor\n')
    """
    labels, rest = [], []
    for line in text.split(b"\n"):
        parts = re.split(rb"([ \t\v\f\r]+)", line)
        label = [part.startswith(prefix) and part != prefix for part in parts]
        labels.append(b"".join(part[len(prefix) :] + b" " for part, is_one in zip(parts, label, strict=True) if is_one))
        rest.append(b"".join(part for part, is_one in zip(parts, label, strict=True) if not is_one))
    return b"\n".join(labels), b"\n".join(rest)


def neighbors(sequences: Iterable[Sequence[str]], common: Collection[str]) -> Counter[tuple[str, ...]]:
    """Count pairs of neighbours that are not common, with up to two common tokens between them.

    Examples
    --------
    >>> neighbors([["bank", "of", "america", "now"]], {"of"})
    Counter({('bank', 'of', 'america'): 1, ('america', 'now'): 1})
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for tokens in sequences:
        for start, token in enumerate(tokens):
            end = start + 1 + len(list(takewhile(common.__contains__, tokens[start + 1 :])))
            if token not in common and end < len(tokens) and end - start <= 3:
                counts[tuple(tokens[start : end + 1])] += 1
    return counts


def join_phrases(tokens: Sequence[str], phrases: Iterable[Sequence[str]]) -> list[str]:
    """Join the longest phrase at each token, from left to right.

    Examples
    --------
    >>> join_phrases(["a", "b", "c", "b"], [("a", "b"), ("b", "c")])
    ['a_b', 'c', 'b']
    """
    known, joined, at = set(map(tuple, phrases)), [], 0
    while at < len(tokens):
        lengths = (len(phrase) for phrase in known if tuple(tokens[at : at + len(phrase)]) == phrase)
        end = at + max(lengths, default=1)
        joined.append("_".join(tokens[at:end]))
        at = end
    return joined


def ngrams(documents: Iterable[Sequence[str]], shortest: int, longest: int) -> list[list[tuple[str, ...]]]:
    """Return the n-grams of each document, of `shortest` to `longest` units.

    Examples
    --------
    >>> ngrams(["<at>"], 2, 3)
    [[('<', 'a'), ('<', 'a', 't'), ('a', 't'), ('a', 't', '>'), ('t', '>')]]
    """
    return [
        [
            tuple(document[first:last])
            for first in range(len(document))
            for last in range(first + shortest, min(first + longest, len(document)) + 1)
        ]
        for document in documents
    ]
