"""The ledger: what was read, used and dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from fastembed._base.pickling import pickled_as


@pickled_as("corpus.Ledger")
@dataclass
class Ledger:
    """What was read, what of it was used, and what was dropped and why: read = used + dropped.

    Attributes
    ----------
    bytes : int
        Bytes of text after decompression; 0 for a corpus in memory.
    lines, empty_lines : int
        Sequences, and those without a token.
    tokens_read, tokens_used : int
    dropped : dict of str to int
        Number of tokens that were not used, by reason.
    replaced : int
        Number of U+FFFD characters put in place of bytes that are not UTF-8.
    skipped : dict of str to int
        Number of rows of structured files, or of items in memory, that were not read, by reason.

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
    skipped: dict[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """Return the ledger in one line."""
        size = f" ({self.bytes:,} bytes)" if self.bytes else ""
        empty = f" ({self.empty_lines:,} empty)" if self.empty_lines else ""
        replaced = f"; {self.replaced:,} times U+FFFD for invalid bytes" if self.replaced else ""
        reasons = _listed(self.dropped)
        skipped = f"; skipped {sum(self.skipped.values()):,} rows ({_listed(self.skipped)})" if self.skipped else ""
        return (
            f"read {self.tokens_read:,} tokens in {self.lines:,} lines{empty}{size}; used {self.tokens_used:,}; "
            f"dropped {sum(self.dropped.values()):,}{f' ({reasons})' if reasons else ''}{replaced}{skipped}"
        )

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(
            self.bytes + other.bytes,
            self.lines + other.lines,
            self.empty_lines + other.empty_lines,
            self.tokens_read + other.tokens_read,
            self.tokens_used + other.tokens_used,
            _sums(self.dropped, other.dropped),
            self.replaced + other.replaced,
            _sums(self.skipped, other.skipped),
        )


def _listed(reasons: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)


def _sums(reasons: dict[str, int], others: dict[str, int]) -> dict[str, int]:
    return {reason: reasons.get(reason, 0) + others.get(reason, 0) for reason in reasons | others}


def record_lines(ledger: Ledger, tokens: int, lines: int = 1, empty_lines: int | None = None) -> None:
    """Add lines to a ledger.

    Parameters
    ----------
    ledger : Ledger
    tokens, lines : int
    empty_lines : int, optional
        By default the one line is empty if it has no token.
    """
    ledger.lines += lines
    ledger.empty_lines += (not tokens) if empty_lines is None else empty_lines
    ledger.tokens_read += tokens


def check_reread(first: Ledger, second: Ledger) -> None:
    """Raise ValueError if the second reading of a text gave another number of tokens than the first.

    Parameters
    ----------
    first, second : Ledger

    Examples
    --------
    >>> check_reread(Ledger(tokens_read=2), Ledger(tokens_read=3))
    Traceback (most recent call last):
        ...
    ValueError: the text changed between its two readings, from 2 tokens to 3
    """
    if first.tokens_read != second.tokens_read:
        raise ValueError(
            f"the text changed between its two readings, from {first.tokens_read:,} tokens to {second.tokens_read:,}"
        )


@contextmanager
def note_on_interrupt(ledger: Ledger) -> Iterator[None]:
    """Add to a KeyboardInterrupt a note of what had been read.

    Parameters
    ----------
    ledger : Ledger
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"interrupted after {ledger.tokens_read:,} tokens in {ledger.lines:,} lines")
        raise


def as_ledger(record: Mapping[str, Any] | None) -> Ledger | None:
    """Return the ledger that a record from a file describes.

    Parameters
    ----------
    record : mapping or None
        The attributes of the ledger.

    Raises
    ------
    TypeError
        If they are not those of a ledger.
    """
    if record is None:
        return None
    ledger = Ledger(**record)
    entries = asdict(ledger)
    reasons = [entries.pop("dropped"), entries.pop("skipped")]
    numbers = [*entries.values(), *(n for counts in reasons if isinstance(counts, dict) for n in counts.values())]
    if not all(isinstance(counts, dict) for counts in reasons) or {type(n) for n in numbers} != {int}:
        raise TypeError(f"a ledger must hold integers, got {record!r}")
    return ledger
