"""The ledger: what was read, used and dropped; and the split of the lines into those held out and the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.validation import check_flag, check_integer, check_number, number_of


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
    counts_dropped : float
        The share of the counts of the walks on a graph that was dropped.
    unit : str
        What a sequence is: a line, a paragraph, a sentence, a document, a basket, or an edge of a graph.
    walks : str
        Which walks on a graph were counted, as far as that is known.

    Notes
    -----
    Of a graph, the tokens are its nodes.

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
    counts_dropped: float = 0.0
    unit: str = "line"
    walks: str = ""

    def __repr__(self) -> str:
        return f"<Ledger: {self.summary()}>"

    def summary(self) -> str:
        """Return the ledger in one line."""
        size = f" ({self.bytes:,} bytes)" if self.bytes else ""
        empty = f" ({self.empty_lines:,} empty)" if self.empty_lines else ""
        replaced = f"; {self.replaced:,} times U+FFFD for invalid bytes" if self.replaced else ""
        reasons = _reason_list(self.dropped)
        rows = number_of(sum(self.skipped.values()), "row")
        skipped = f"; skipped {rows} ({_reason_list(self.skipped)})" if self.skipped else ""
        share = f"; dropped {self.counts_dropped:.2%} of the counts" if self.counts_dropped else ""
        return (
            f"read {number_of(self.tokens_read, 'token')} in {self.units}{empty}{size}; used {self.tokens_used:,}; "
            f"dropped {sum(self.dropped.values()):,}{f' ({reasons})' if reasons else ''}{replaced}{skipped}"
            f"{share}{'; ' * bool(self.walks)}{self.walks}"
        )

    @property
    def units(self) -> str:
        """How many sequences there are of what, as in "2 lines"."""
        return number_of(self.lines, self.unit)

    def __add__(self, other: Ledger) -> Ledger:
        mine, theirs = vars(self), vars(other)
        total: dict[str, Any] = {
            name: _sums(value, theirs[name]) if isinstance(value, dict) else value + theirs[name]
            for name, value in mine.items()
            if not isinstance(value, str)
        }
        total["unit"] = other.unit if self.unit == Ledger.unit else self.unit
        total["walks"] = max(self.walks, other.walks)  # one begins with the other, which says less (check_walks)
        total["counts_dropped"] = max(self.counts_dropped, other.counts_dropped)  # that of the sum is not larger
        return Ledger(**total)


def _reason_list(reasons: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)


def _sums(reasons: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {reason: reasons.get(reason, 0) + more.get(reason, 0) for reason in reasons | more}


def check_walks(first: Ledger | None, second: Ledger | None) -> None:
    """Raise ValueError if what two ledgers say of the walks that were counted differs; one may say less, or nothing."""
    walks, second_walks = ((ledger and ledger.walks) or "" for ledger in (first, second))
    if not (walks.startswith(second_walks) or second_walks.startswith(walks)):
        raise ValueError(f"counts of {walks}, and of {second_walks}")


def record_lines(ledger: Ledger, tokens: int, lines: int = 1, empty_lines: int | None = None) -> None:
    """Add lines to a ledger.

    Parameters
    ----------
    empty_lines : int, optional
        By default the one line is empty if it has no token.
    """
    ledger.lines += lines
    ledger.empty_lines += (not tokens) if empty_lines is None else empty_lines
    ledger.tokens_read += tokens


def check_reread(first: Ledger | None, second: Ledger | None) -> None:
    """Raise ValueError if the second reading of a text gave another number of tokens than the first.

    Parameters
    ----------
    first, second : Ledger or None
        None if that is not known.

    Examples
    --------
    >>> check_reread(Ledger(tokens_read=2), Ledger(tokens_read=3))
    Traceback (most recent call last):
        ...
    ValueError: the text changed between its two readings, from 2 tokens to 3
    """
    if first is not None and second is not None and first.tokens_read != second.tokens_read:
        raise ValueError(
            f"the text changed between its two readings, from {first.tokens_read:,} tokens to {second.tokens_read:,}"
        )


# ---------------------------------------------------------------- held-out lines

HELD_OUT = "held out"  # why tokens were dropped, in a ledger
SPAWN_KEY = (1,)  # makes a stream of its own: a model draws its start from the seed's first one


@dataclass(frozen=True)
class LineSplit:
    """One side of a split of the lines of a corpus: those held out, or the others.

    Each line is held out with probability `share`, independently: the n-th line by the n-th number of the generator
    ``numpy.random.default_rng(numpy.random.SeedSequence(seed, spawn_key=(1,)))``. The split depends on the seed alone,
    not on the form of the corpus or the number of threads.

    Attributes
    ----------
    share : float
        The probability that a line is held out, from 0 to 1.
    seed : int
        At least 0.
    held_out : bool
        True for the lines held out, False for the others.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `share` or `seed` is out of range.

    Examples
    --------
    >>> from fastembed import Counts
    >>> text = [[0, 1, 2], [1, 0], [2, 2, 1]]
    >>> training, validation = (Counts.from_corpus(text, 3, lines=LineSplit(0.5, 1, side)) for side in (False, True))
    >>> training.ledger.tokens_used, validation.ledger.tokens_used
    (2, 6)
    """

    share: float
    seed: int
    held_out: bool

    def __post_init__(self) -> None:
        vars(self)["share"] = check_number("share", self.share, high=1.0)
        vars(self)["seed"] = check_integer("seed", self.seed, low=0, high=math.inf)
        vars(self)["held_out"] = check_flag("held_out", self.held_out)

    @property
    def dropped(self) -> str:
        """Why a ledger drops the tokens of the other side."""
        return "not held out" if self.held_out else HELD_OUT


def line_selector(split: LineSplit) -> Callable[[NDArray[np.int32]], NDArray[np.int32]]:
    """Return a function from each piece of a text, in which -1 stands after each line, to its lines on one side.

    Examples
    --------
    >>> text = [np.array([5, 6, -1, 7], np.int32), np.array([8, -1, 9, -1], np.int32)]  # three lines, in two pieces
    >>> [np.concatenate(list(map(line_selector(LineSplit(0.5, 1, side)), text))) for side in (True, False)]
    [array([ 5,  6, -1,  9, -1], dtype=int32), array([ 7,  8, -1], dtype=int32)]
    """
    rng = np.random.default_rng(np.random.SeedSequence(split.seed, spawn_key=SPAWN_KEY))
    taken = (rng.random(1) < split.share) == split.held_out  # whether the line that goes on in the next piece is taken

    def select(ids: NDArray[np.int32]) -> NDArray[np.int32]:
        nonlocal taken
        ends = np.flatnonzero(ids < 0)
        taken = np.append(taken[-1:], (rng.random(len(ends)) < split.share) == split.held_out)
        return ids[np.repeat(taken, np.diff(ends, prepend=-1, append=len(ids) - 1))]

    return select
