"""Guesses that go as soon as nothing calls them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from fastembed._base.validation import shown, warn_user

LEAST_LINES = 20
MOST_PUNCTUATED = 0.02
MOST_SPACES = 1.5
LABELLED = "{} is a label of fastText, and so a word here: sed 's/__label__[^ ]*//g', or re.sub, removes all of them"
_MARKED = re.compile(r"[^ ]*(,[^ ]*|[;:|\"])")
_NUMBER = re.compile(r"\d+(\.\d*)?([eE][-+]?\d+)?|\.\d+")
_MARKS = r"[.,;:!?\"')\]}]|" + "|".join("\u060c\u061b\u061f\u06d4\u0964\u0965\u2019\u201d\xbb\u2026")
_PUNCTUATED = re.compile(
    rb"(?<![^ \t\n\v\f\r])[^ \t\n\v\f\r]*[0-9A-Za-z\x80-\xff](?:%b){1,9}(?![^ \t\n\v\f\r])" % _MARKS.encode()
)


def warn_of_lines(baskets: Sequence[Sequence[object]]) -> None:
    """Warn if baskets of a text seem to have marks beside their items, or a user before them.

    Parameters
    ----------
    baskets : sequence of sequences of objects
        Some of them, none of which is empty.
    """
    times = Counter(item for basket in baskets for item in basket)
    marked = [item for item in times if isinstance(item, str) and _MARKED.fullmatch(item)]
    if 2 * len(marked) > len(times) or times["|"] >= len(baskets) > 0:
        mark = "|" if times["|"] else marked[0]
        warn_user(f"most items hold commas or marks, such as {mark!r}: spaces separate the items of a basket in a text")
    firsts = [basket[0] for basket in baskets]
    numbered = [str(number) for number in range(len(firsts))]
    alone = len(set(firsts)) == sum(times[first] for first in firsts)
    if len(firsts) >= LEAST_LINES and (alone or firsts in (numbered, [*numbered[1:], str(len(firsts))])):
        warn_user(f"the first items of lines, such as {firsts[0]!r}, are in no others, or number them: are they users?")


def look_weighted(lines: Sequence[Sequence[str]]) -> bool:
    """Return whether all sequences look like edges of a graph with weights, such as "a b 3".

    Each is two tokens and a number, and none of these numbers is also one of the two, or they are few: else the
    sequences are numbers.

    Examples
    --------
    >>> look_weighted([["a", "b", "3"], ["b", "7", "1.5"]]), look_weighted([["1", "2", "3"], ["2", "3", "4"]])
    (True, False)
    """
    if not lines or any(len(line) != 3 for line in lines):
        return False
    names, last = {name for line in lines for name in line[:2]}, {line[2] for line in lines}
    return all(map(_NUMBER.fullmatch, last)) and (not names & last or 4 * len(last) < len(names))


def raw_in_lists(tokens: list[str]) -> str | None:
    """Return what tokens look like that have several words each, or often end in punctuation, as by ``str.split``."""
    spaces = sum(token.count(" ") for token in tokens)
    ending = [token for token in tokens if _PUNCTUATED.fullmatch(token.encode(errors="surrogatepass"))]
    if spaces > MOST_SPACES * len(tokens):
        example = shown(next(token for token in tokens if token.count(" ") > 1))
        found = f"tokens in lists have {1 + spaces / len(tokens):.1f} words each, such as {example}"
    elif len(ending) > MOST_PUNCTUATED * len(tokens):
        found = f"{len(ending) / len(tokens):.0%} of the tokens in lists end in punctuation, such as {shown(ending[0])}"
    elif len(labels := [token for token in tokens if token.startswith("__label__")]) >= LEAST_LINES:
        return LABELLED.format(shown(labels[0]))
    else:
        return None
    return f"{found}: if they are of texts, pass these as str, which Reading(words=True) splits into words"
