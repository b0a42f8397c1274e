"""The ledger: what was read, used and dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Ledger:
    """What was read, what of it was used, and what was dropped and why: read = used + dropped.

    Attributes
    ----------
    bytes : int
        Bytes of text, after decompression; 0 for a corpus in memory.
    lines, empty_lines : int
        Sequences, and those of them without a token.
    tokens_read, tokens_used : int
    dropped : dict of str to int
        Tokens that were not used, by reason.
    replaced : int
        Replacement characters put in the place of bytes that are not UTF-8.

    Examples
    --------
    >>> ledger = Ledger(lines=2, tokens_read=10, tokens_used=7, dropped={"below min_count=5": 3})
    >>> ledger.summary()
    'read 10 tokens in 2 lines; used 7; dropped 3 (3 below min_count=5)'
    """

    bytes: int = 0
    lines: int = 0
    empty_lines: int = 0
    tokens_read: int = 0
    tokens_used: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    replaced: int = 0

    def summary(self) -> str:
        """Return the ledger in one line."""
        size = f" ({self.bytes:,} bytes)" if self.bytes else ""
        empty = f" ({self.empty_lines:,} empty)" if self.empty_lines else ""
        replaced = f"; {self.replaced:,} times U+FFFD for invalid bytes" if self.replaced else ""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items() if count)
        return (
            f"read {self.tokens_read:,} tokens in {self.lines:,} lines{empty}{size}; used {self.tokens_used:,}; "
            f"dropped {sum(self.dropped.values()):,}{f' ({reasons})' if reasons else ''}{replaced}"
        )

    def __add__(self, other: Ledger) -> Ledger:
        reasons = self.dropped | other.dropped
        return Ledger(
            self.bytes + other.bytes,
            self.lines + other.lines,
            self.empty_lines + other.empty_lines,
            self.tokens_read + other.tokens_read,
            self.tokens_used + other.tokens_used,
            {reason: self.dropped.get(reason, 0) + other.dropped.get(reason, 0) for reason in reasons},
            self.replaced + other.replaced,
        )

    def enter(self, tokens: int, lines: int = 1, empty_lines: int | None = None, replaced: int = 0) -> None:
        """Enter tokens as read: one line of them, or several.

        Parameters
        ----------
        tokens, lines : int
        empty_lines : int, optional
            Those of the lines that have no token; by default the one line is empty if there is none.
        replaced : int
            Replacement characters put in the place of invalid bytes.
        """
        self.lines += lines
        self.empty_lines += (not tokens) if empty_lines is None else empty_lines
        self.tokens_read += tokens
        self.replaced += replaced

    def check_reread(self, again: Ledger) -> None:
        """Refuse a text that is not the same at its second reading.

        Parameters
        ----------
        again : Ledger
            Of the second reading.

        Raises
        ------
        ValueError
            If it holds another number of tokens.

        Examples
        --------
        >>> Ledger(tokens_read=2).check_reread(Ledger(tokens_read=3))
        Traceback (most recent call last):
            ...
        ValueError: the text changed between its two readings, from 2 tokens to 3
        """
        if self.tokens_read != again.tokens_read:
            raise ValueError(
                f"the text changed between its two readings, from {self.tokens_read:,} tokens to {again.tokens_read:,}"
            )

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note on a Ctrl-C what had been read."""
        try:
            yield
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(f"interrupted after {self.tokens_read:,} tokens in {self.lines:,} lines")
            raise


def as_ledger(record: Mapping[str, Any] | None) -> Ledger | None:
    """Return the ledger that a record from a file describes; TypeError if it is not one of a ledger."""
    if record is None:
        return None
    ledger = Ledger(**record)
    entries = asdict(ledger)
    reasons = entries.pop("dropped")
    if not isinstance(reasons, dict) or {type(n) for n in (*entries.values(), *reasons.values())} != {int}:
        raise TypeError(f"a ledger must hold integers, got {record!r}")
    return ledger
