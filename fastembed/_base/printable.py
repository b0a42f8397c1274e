"""Tokens for people: one line, in which every character can be seen."""

from __future__ import annotations

from collections.abc import Container

JOINERS = "\u200c\u200d"  # part of words of Persian and Hindi, and of emoji; nothing to see, and no harm


def printable(text: str, lacking: Container[str] = "") -> str:
    r"""Return a text as one line in which all characters can be seen: others are escaped, as in Python's strings.

    A token may hold what moves a terminal's cursor, colours it or turns the direction of what follows; and characters
    that are lacking where it is to be shown.

    Examples
    --------
    >>> print(printable("new\nyork \x1b[31m größe"))
    new\nyork \x1b[31m größe
    """
    seen = (c not in lacking and (c.isprintable() or c in JOINERS) for c in text)
    return "".join(c if s else c.encode("unicode_escape").decode() for c, s in zip(text, seen, strict=True))


def shown(value: object) -> str:
    """Return the repr of a value, cut short, for an error."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
