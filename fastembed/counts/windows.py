"""Windows over text: which pairs of a word and its context count, with what weight, and how they are summed.

The count of word w and context c in a corpus is the expectation of what word2vec samples,

    N[w, c] = keep(w) keep(c) sum over pairs at distance d of weight(d),
    keep(w) = min(1, sqrt(sample / f) + sample / f),  f = the frequency of the word among all tokens of the vocabulary

(Mikolov et al., 2013, and the code of word2vec). The weights are fractions with a common denominator. The integers
denominator * weight(d) are summed, and their sums are exact: neither the order of the text nor the number of threads
changes a bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import fastembed._kernels.cooccur as cooccur
from fastembed._base.arrays import Float64, Int32, Int64, row_ranges
from fastembed._base.threads import Supply, ordered_map
from fastembed._base.validation import check_choice, check_flag, check_integer, check_number
from fastembed.corpus.corpus import Corpus
from fastembed.corpus.ledger import Ledger, LineSplit
from fastembed.counts.groups import RowBatch, batch_entries, check_exact, group_places
from fastembed.vocabulary import Vocabulary, encode_corpus, vocabulary_size

MAX_WINDOW = 1 << 16  # the largest distance of a context
MAX_HARMONIC_WINDOW = 40  # the lowest common multiple of 1 ... 41 is above 2^53
PASSAGE_IDS = 1 << 26  # the most ids of a passage: sorting more positions would delay a Ctrl-C
ID_BYTES = 8  # memory per id of a passage: 4 bytes, and 4 for its sorted position

# The weight of a pair by its distance and the largest distance
WEIGHTINGS: dict[str, Callable[[int, int], Fraction]] = {
    "harmonic": lambda distance, _: Fraction(1, distance),
    "linear": lambda distance, length: Fraction(length - distance + 1, length),
    "flat": lambda *_: Fraction(1),
}


@dataclass(frozen=True, init=False)
class Windows:
    """How pairs of a word and its context are cut from text.

    Parameters
    ----------
    window : int or (int, int)
        The largest distance L of a context on both sides, or on either: (before, after).
    weighting : {"linear", "harmonic", "flat"}
        The weight of a pair at distance d: (L - d + 1) / L, 1 / d, or 1.
    sample : float, optional
        The threshold of word2vec's subsampling; without it every token counts in full.
    directed : bool
        Whether contexts before and after the word have separate columns.
    max_contexts : int, optional
        Only this many of the most frequent words are contexts; by default all are.

    Attributes
    ----------
    window : (int, int)
        The largest distance on either side, (before, after).
    directed : bool
        As given, but False if the window has one side only: then there is only one kind of context.
    weighting, sample, max_contexts
        As given.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of range: a distance must be from 0 to 65,536 (40 for "harmonic", whose sums would not be
        exact beyond), and not 0 on both sides.

    Examples
    --------
    >>> before, after, denominator = Windows((2, 3), "harmonic").weights()
    >>> before / denominator, after / denominator
    (array([1. , 0.5]), array([1.        , 0.5       , 0.33333333]))
    """

    window: tuple[int, int]
    weighting: str
    sample: float | None
    directed: bool
    max_contexts: int | None

    def __init__(
        self,
        window: int | tuple[int, int],
        weighting: str = "linear",
        sample: float | None = None,
        directed: bool = False,
        max_contexts: int | None = None,
    ) -> None:
        both = window if isinstance(window, tuple | list) else (window, window)
        if len(both) != 2:
            raise ValueError(f"window must be an integer or a pair (before, after), got {window!r}")
        sides = tuple(check_integer("window", side, low=0, high=MAX_WINDOW) for side in both)
        if not any(sides):
            raise ValueError(f"window must be at least 1 on one side, got {window!r}")
        check_choice("weighting", weighting, tuple(WEIGHTINGS))
        if weighting == "harmonic" and max(sides) > MAX_HARMONIC_WINDOW:
            limit = f"at most {MAX_HARMONIC_WINDOW} with weighting='harmonic'"
            raise ValueError(f"window must be {limit}, got {sides!r}: use weighting='linear'")
        vars(self).update(
            window=sides,
            weighting=weighting,
            sample=None if sample is None else check_number("sample, if not None,", sample, above=True),
            directed=check_flag("directed", directed) and all(sides),
            max_contexts=None if max_contexts is None else check_integer("max_contexts", max_contexts, low=1),
        )

    def weights(self) -> tuple[Float64, Float64, int]:
        """Return (before, after, denominator): the weights at the distances 1, 2, ... times their denominator."""
        weight = WEIGHTINGS[self.weighting]
        sides = [[weight(d, length) for d in range(1, length + 1)] for length in self.window]
        denominator = math.lcm(*(fraction.denominator for side in sides for fraction in side))
        before, after = (np.array([int(fraction * denominator) for fraction in side], dtype=float) for side in sides)
        return before, after, denominator

    def contexts(self, vocabulary_size: int) -> int:
        """Return K, the number of words that are contexts in a vocabulary of V words.

        Parameters
        ----------
        vocabulary_size : int
            V.
        """
        return min(self.max_contexts or vocabulary_size, vocabulary_size)

    def columns(self, vocabulary_size: int) -> int:
        """Return the number of columns of the counts: K, or 2 K if `directed`.

        Parameters
        ----------
        vocabulary_size : int
            V.
        """
        return self.contexts(vocabulary_size) * (2 if self.directed else 1)


def word_occurrences(
    corpus: Corpus, vocabulary: Vocabulary | int, windows: Windows, lines: LineSplit | None = None
) -> Int64 | None:
    """Return how often each word occurs, (V,); a corpus of ids is read. Return None if the windows do not depend on it.

    Raises
    ------
    ValueError
        If only some words are contexts, and the words are not in the order of frequency.
    """
    size = vocabulary_size(vocabulary)
    if windows.sample is None and windows.contexts(size) == size:
        return None
    if isinstance(vocabulary, Vocabulary):
        occurrences, ordered = vocabulary.counts, vocabulary.counts[: size - vocabulary.appended]
    else:
        ordered = occurrences = np.zeros(size, np.int64)
        with closing(encode_corpus(corpus, vocabulary, Ledger(), None, 1, lines)) as pieces:
            for piece in pieces:
                occurrences += np.bincount(piece + 1, minlength=size + 1)[1:]
    if windows.contexts(len(ordered)) < len(ordered) and np.any(np.diff(ordered) > 0):
        raise ValueError("max_contexts needs a vocabulary in the order of decreasing counts")
    return occurrences


def keep_probabilities(occurrences: Int64 | None, sample: float | None) -> Float64 | None:
    """Return the probability with which subsampling keeps each word, (V,), or None without subsampling.

    A word that never occurred is treated as one that occurred once.
    """
    if occurrences is None or sample is None:
        return None
    share = np.maximum(occurrences, 1) / max(int(occurrences.sum()), 1)
    return np.minimum(1.0, np.sqrt(sample / share) + sample / share)


class Passage(NamedTuple):
    """The ids that are counted at a time, -1 at both ends and after each sequence; ids[first:last] are centres.

    The ids outside that range are contexts only: a sequence may begin in an earlier passage, or end in a later one.
    """

    ids: Int32
    first: int
    last: int
    is_last: bool


class Scratch:
    """The working memory of one call of the kernel, including its result until it is written; it is reused.

    Parameters
    ----------
    size : int
        The largest number of entries of a result. Pages that are never written take no memory.
    """

    def __init__(self, n_columns: int, size: int) -> None:
        self.totals, self.nonzeros = np.zeros(n_columns), np.empty(n_columns + 1, np.int32)
        self.present, self.present64 = (np.zeros(-(-n_columns // bits), np.uint64) for bits in (64, 64 * 64))
        self.columns, self.values = np.empty(size, np.int32), np.empty(size)


@dataclass(frozen=True)
class WindowCounter:
    """Sums the integer weights of the pairs in windows, passage by passage.

    Attributes
    ----------
    words : int
        V.
    windows : Windows
    threads : int
    memory_limit : int
        Bytes: a quarter for the ids of a passage, a quarter for batches of rows.
    """

    words: int
    windows: Windows
    threads: int
    memory_limit: int

    def passages(self, pieces: Iterable[Int32]) -> Iterator[Passage]:
        """Yield the ids of a corpus in passages. All passages use the same memory: each overwrites the one before.

        Parameters
        ----------
        pieces : iterable of int32 arrays
            As `encode_corpus` yields them.
        """
        reach = max(self.windows.window)  # the number of ids kept as contexts on either side of the centres
        capacity = min(self.memory_limit // 4 // ID_BYTES, PASSAGE_IDS) + 4 * reach
        memory = np.empty(capacity + 2, np.int32)  # pages that are never written take no memory
        memory[0] = memory[-1] = -1
        first = end = 1  # the positions of the first centre, and behind the last id
        for piece in pieces:
            while len(piece) >= (room := capacity + 1 - end):
                memory[end:-1] = piece[:room]
                piece = piece[room:]
                yield Passage(memory, first, capacity + 1 - reach, is_last=False)
                # The last `reach` ids are centres of the next passage, and the `reach` ids before them contexts
                first, end = 1 + reach, 1 + 2 * reach
                memory[1:end] = memory[-end:-1]
            memory[end : end + len(piece)] = piece
            end += len(piece)
        if end > first:
            memory[end] = -1
            yield Passage(memory[: end + 1], first, end, is_last=True)

    def rows(self, passage: Passage, report: Callable[[float], Any] | None = None) -> Generator[RowBatch, None, None]:
        """Yield the sums of a passage in batches of rows, in the order of groups; report the share that is summed.

        Raises
        ------
        ValueError
            If a sum is not exact.
        """
        before, after, _ = self.windows.weights()
        contexts, n_columns = self.windows.contexts(self.words), self.windows.columns(self.words)
        starts, positions = sort_positions(passage, self.words)
        pairs = np.diff(starts) * (len(before) + len(after))
        ranges = row_ranges(pairs, batch_entries(self.memory_limit // 4, self.threads))
        size = int(np.add.reduceat(np.minimum(pairs, n_columns), [first for first, _ in ranges]).max(initial=1))
        scratches = Supply(partial(Scratch, n_columns, size))

        def count(rows: tuple[int, int]) -> RowBatch:
            first, last = rows
            scratch = scratches.take()
            lengths = np.empty(last - first, np.int64)
            n = cooccur.count_rows(
                passage.ids, starts, positions, first, last, before, after, contexts, self.windows.directed,
                scratch.totals, scratch.nonzeros, scratch.present, scratch.present64,
                lengths, scratch.columns, scratch.values,
            )  # fmt: skip
            check_exact(scratch.values[:n])
            return RowBatch(lengths, scratch.columns[:n], scratch.values[:n], partial(scratches.give, scratch))

        with closing(ordered_map(count, ranges, self.threads)) as batches:
            for number, batch in enumerate(batches, 1):
                if report is not None:
                    report(number / len(ranges))
                yield batch


def sort_positions(passage: Passage, words: int) -> tuple[Int64, Int32]:
    """Sort the positions of the centres by row; return the start of each row (V + 1,), and the positions.

    The rows are in the order of groups. It is a counting sort.
    """
    row_of = group_places(words)
    occurrences, starts = np.zeros(words, np.int32), np.zeros(words + 1, np.int64)
    cooccur.count_ids(*passage[:3], occurrences)
    starts[row_of + 1] = occurrences
    np.cumsum(starts, out=starts)
    positions = np.empty(passage.last - passage.first, np.int32)
    cooccur.gather_positions(*passage[:3], starts[row_of].astype(np.int32), positions)
    return starts, positions
