"""The ledger: how many tokens and lines of a text were read, used and dropped; and the split that holds out lines."""

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
    """How many tokens were read, used and dropped, and why: read = used + dropped.

    Attributes
    ----------
    bytes : int
        Bytes of text after decompression; 0 for a corpus in memory.
    lines, empty_lines : int
        Numbers of sequences, and of sequences without a token.
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
    walks : dict
        The `window`, `weighting` and `directed` of the counted walks on a graph, as far as they are known.

    Notes
    -----
    For a graph, the tokens are nodes.

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
    walks: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Ledger: {self.summary()}>"

    def summary(self) -> str:
        """Return the ledger in one line."""
        size = f" ({self.bytes:,} bytes)" if self.bytes else ""
        empty = f" ({self.empty_lines:,} empty)" if self.empty_lines else ""
        replaced = f"; {self.replaced:,} times U+FFFD for invalid bytes" if self.replaced else ""
        reasons = f" ({_reason_list(self.dropped)})" if any(self.dropped.values()) else ""
        rows = number_of(sum(self.skipped.values()), "row")
        skipped = f"; skipped {rows} ({_reason_list(self.skipped)})" if self.skipped else ""
        share = f"; dropped {self.counts_dropped:.2%} of the counts" if self.counts_dropped else ""
        walks = f"; {_walks_text(self.walks)}" if self.walks else ""
        return (
            f"read {number_of(self.tokens_read, 'token')} in {self.units}{empty}{size}; used {self.tokens_used:,}; "
            f"dropped {sum(self.dropped.values()):,}{reasons}{replaced}{skipped}{share}{walks}"
        )

    @property
    def units(self) -> str:
        """The number of sequences and their unit, as in "2 lines"."""
        return number_of(self.lines, self.unit)

    def __add__(self, other: Ledger) -> Ledger:
        total: dict[str, Any] = {n: v + vars(other)[n] for n, v in vars(self).items() if not isinstance(v, str | dict)}
        total["dropped"], total["skipped"] = _sums(self.dropped, other.dropped), _sums(self.skipped, other.skipped)
        total["unit"] = other.unit if self.unit == Ledger.unit else self.unit
        total["walks"] = self.walks | other.walks
        total["counts_dropped"] = max(self.counts_dropped, other.counts_dropped)  # at least the share of the sum
        return Ledger(**total)


def _reason_list(reasons: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)


def _sums(reasons: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {reason: reasons.get(reason, 0) + more.get(reason, 0) for reason in reasons | more}


def _walks_text(walks: dict[str, Any]) -> str:
    return f"walks of {' and '.join(f'{name}={value!r}' for name, value in walks.items())}"


def check_walks(first: Ledger | None, second: Ledger | None) -> None:
    """Raise ValueError if the walks of two ledgers are known to differ."""
    walks = [{} if ledger is None else ledger.walks for ledger in (first, second)]
    if walks[0] | walks[1] != walks[1] | walks[0]:
        raise ValueError("counts must be of the same walks, got {} and {}".format(*map(_walks_text, walks)))


def record_lines(ledger: Ledger, tokens: int, lines: int = 1, empty_lines: int | None = None) -> None:
    """Add lines to a ledger, by default one line, which is empty if it has no token."""
    ledger.lines += lines
    ledger.empty_lines += (not tokens) if empty_lines is None else empty_lines
    ledger.tokens_read += tokens


def check_reread(first: Ledger | None, second: Ledger | None) -> None:
    """Raise ValueError if two readings of a text gave different numbers of tokens.

    Parameters
    ----------
    first, second : Ledger or None
        None if unknown.

    Examples
    --------
    >>> check_reread(Ledger(tokens_read=2), Ledger(tokens_read=3))
    Traceback (most recent call last):
        ...
    ValueError: the text changed between its two readings, from 2 tokens to 3
    """
    if first is not None and second is not None and first.tokens_read != second.tokens_read:
        sizes = f"{first.tokens_read:,} tokens to {second.tokens_read:,}"
        raise ValueError(f"the text changed between its two readings, from {sizes}")


# ---------------------------------------------------------------- held-out lines

HELD_OUT = "held out"  # a reason in `Ledger.dropped`
SPAWN_KEY = (1,)  # for random numbers apart from the start of a model


@dataclass(frozen=True)
class LineSplit:
    """One side of a split of the lines of a corpus: the held-out lines, or the lines to train on.

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
        True for the lines held out, False for all other lines.

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
        """The reason for which a ledger drops the tokens of the other side."""
        return "not held out" if self.held_out else HELD_OUT


def line_selector(split: LineSplit) -> Callable[[NDArray[np.int32]], NDArray[np.int32]]:
    """Return a function from consecutive pieces of a text, with -1 after each line, to their lines on one side.

    Examples
    --------
    >>> text = [np.array([5, 6, -1, 7], np.int32), np.array([8, -1, 9, -1], np.int32)]  # three lines, in two pieces
    >>> [np.concatenate(list(map(line_selector(LineSplit(0.5, 1, side)), text))) for side in (True, False)]
    [array([ 5,  6, -1,  9, -1], dtype=int32), array([ 7,  8, -1], dtype=int32)]
    """
    if not isinstance(split, LineSplit):
        raise TypeError(f"lines must be a LineSplit, got {type(split).__name__}")
    rng = np.random.default_rng(np.random.SeedSequence(split.seed, spawn_key=SPAWN_KEY))
    taken = (rng.random(1) < split.share) == split.held_out  # [-1]: of the line that continues in the next piece

    def select(ids: NDArray[np.int32]) -> NDArray[np.int32]:
        nonlocal taken
        ends = np.flatnonzero(ids < 0)
        taken = np.append(taken[-1:], (rng.random(len(ends)) < split.share) == split.held_out)
        return ids[np.repeat(taken, np.diff(ends, prepend=-1, append=len(ids) - 1))]

    return select
