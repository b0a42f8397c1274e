"""Text for people: one line in which every character is visible."""

from __future__ import annotations

from collections.abc import Container

JOINERS = "\u200c\u200d"  # parts of words of Persian and Hindi, and of emoji; invisible, but harmless


def printable(text: str, lacking: Container[str] = "") -> str:
    r"""Return a text as one line of visible characters; all others are escaped, as in Python's strings.

    A token may contain characters that move the cursor of a terminal, colour it or change the direction of text. Those
    that are `lacking` where it is shown, as in a font, are escaped too.

    Examples
    --------
    >>> print(printable("new\nyork \x1b[31m größe"))
    new\nyork \x1b[31m größe
    """
    if not lacking and text.isprintable():
        return text
    visible = (c not in lacking and (c.isprintable() or c in JOINERS) for c in text)
    return "".join(c if v else c.encode("unicode_escape").decode() for c, v in zip(text, visible, strict=True))


def shown(value: object) -> str:
    """Return the repr of a value for an error, cut to 80 characters."""
    if isinstance(value, int) and abs(value) >= 10**80:  # Python has a limit on the digits that it writes
        return f"an integer of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
