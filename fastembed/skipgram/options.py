"""`SkipGramOptions`: the checked parameters of a `SkipGram`, and values derived from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import numpy as np

from fastembed._base.threads import check_threads
from fastembed._base.validation import check_choice, check_flag, check_integer, check_number
from fastembed.corpus.reading import Reading
from fastembed.corpus.token_lists import check_token_list
from fastembed.ngrams import Lengths, check_ngram_lengths
from fastembed.skipgram.estimate import Estimate
from fastembed.skipgram.subwords import Subwords
from fastembed.windows import Windows

# "auto": all words are contexts in vocabularies up to ALL_CONTEXTS. In larger ones half of the words are, but no fewer
# than ALL_CONTEXTS and no more than MOST_CONTEXTS: beyond that, the cost of an epoch grows with V, not with its square.
ALL_CONTEXTS = 16384
MOST_CONTEXTS = 24576
LENGTHS = (3, 6)  # default lengths of the n-grams of subwords
NGRAMS_PER_WORD, ENTRIES_PER_WORD = 3, 20  # approximate values for n-grams of these lengths in English text


@dataclass(frozen=True)
class Baskets:
    """The options of counting in baskets: arguments of `Counts.from_baskets`."""

    weighting: str
    max_contexts: int

    def columns(self, vocabulary_size: int) -> int:
        """Return the number of columns of the counts."""
        return min(self.max_contexts, vocabulary_size)


@dataclass(frozen=True)
class SkipGramOptions:
    """The parameters of `SkipGram`, checked once here and stored as plain Python values.

    Raises
    ------
    TypeError, ValueError
        If a value is not as documented.
    """

    dim: int
    window: int | tuple[int, int]
    weighting: str
    min_count: int
    sample: float | None
    directed: bool
    max_size: int | None
    max_contexts: int | str | None
    drop: str | tuple[str, ...] | None
    keep_only: str | tuple[str, ...] | None
    epochs: int
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    seed: int
    threads: int | None
    reading: Reading | None = None
    baskets: str | None = None
    subwords: bool | Lengths = False  # False, or lengths

    def __post_init__(self) -> None:
        positive = ("dim", "min_count", "epochs", "n_iter_no_change")
        checked: dict[str, object] = {name: check_integer(name, getattr(self, name), low=1) for name in positive}
        windows = Windows(self.window, self.weighting, self.sample, self.directed)
        checked |= {
            "window": windows.window if isinstance(self.window, tuple | list) else windows.window[0],
            "weighting": str(self.weighting),
            "sample": windows.sample,
            "directed": check_flag("directed", self.directed),  # as given, even with a one-sided window
            "early_stopping": check_flag("early_stopping", self.early_stopping),
            "validation_fraction": check_number("validation_fraction", self.validation_fraction, high=0.5, above=True),
            "seed": check_integer("seed", self.seed, low=0, high=math.inf),
            "threads": None if self.threads is None else check_threads(self.threads),
            "max_size": None if self.max_size is None else check_integer("max_size", self.max_size, low=1),
            "max_contexts": _checked_max_contexts(self.max_contexts),
            "drop": _checked_list("drop", self.drop),
            "keep_only": _checked_list("keep_only", self.keep_only),
            "subwords": _checked_subwords(self.subwords),
        }
        if not isinstance(self.reading, Reading | None):
            raise TypeError(f"reading must be a fastembed.corpus.Reading or None, got {self.reading!r}")
        if self.baskets is not None:
            check_choice("baskets, if not None,", self.baskets, ("flat", "share"))
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def contexts(self, size: int) -> int:
        """Return K, the number of contexts in a vocabulary of this size."""
        if self.max_contexts is None:
            return size
        if isinstance(self.max_contexts, str):
            return min(max(size // 2, min(size, ALL_CONTEXTS)), MOST_CONTEXTS)
        return min(size, self.max_contexts)

    @property
    def counting(self) -> dict[str, object]:
        """The parameters of counting a corpus, with those of held-out lines if there are any."""
        names = (*(each.name for each in fields(Windows)), "min_count", "max_size", "drop", "keep_only", "baskets")
        held_out = ("early_stopping", "validation_fraction", "seed") if self.early_stopping else ("early_stopping",)
        return {name: getattr(self, name) for name in (*names, *held_out)}

    def dropping(self) -> Callable[[str], bool]:
        """Return a function that tells whether `drop` lists a token or `keep_only` does not."""
        drop = set() if self.drop is None else set(check_token_list("drop", self.drop))
        if self.keep_only is None:
            return drop.__contains__
        kept = set(check_token_list("keep_only", self.keep_only)) - drop
        return lambda token: token not in kept

    def pairing(self, size: int) -> Windows | Baskets:
        """Return the windows or baskets for a vocabulary of this size."""
        if self.baskets is not None:
            return Baskets(self.baskets, self.contexts(size))
        return Windows(self.window, self.weighting, self.sample, self.directed, self.contexts(size))

    def estimate(self, inputs: int, outputs: int, nnz: int = 0, subwords: Subwords | None = None) -> Estimate:
        """Return the estimate of training on counts of this shape, of which `nnz` are stored.

        If the number of n-grams is not known yet, a typical number for English is used.
        """
        threads, ngrams, entries = check_threads(self.threads), 0, 0
        if subwords is not None:
            ngrams, entries = len(subwords.ngrams), subwords.entries
        elif self.subwords:
            ngrams, entries = NGRAMS_PER_WORD * inputs, ENTRIES_PER_WORD * inputs
        return Estimate(
            inputs, outputs, self.dim, nnz, self.epochs, threads, self.early_stopping, ngrams=ngrams, entries=entries
        )


def _checked_max_contexts(value: object) -> int | str | None:
    if value is None or (isinstance(value, str) and value == "auto"):  # an array would be compared element by element
        return value
    return check_integer("max_contexts, neither None nor 'auto',", value, low=1)


def _checked_subwords(value: object) -> bool | Lengths:
    """Check `subwords`; return False or the lengths of n-grams."""
    if isinstance(value, bool | np.bool_):
        return LENGTHS if value else False
    return check_ngram_lengths("subwords", value, others="True, False or ")


def _checked_list(name: str, tokens: str | Iterable[str] | None) -> str | tuple[str, ...] | None:
    """Return the tokens of a list, or the name of a list unchanged."""
    found = None if tokens is None else check_token_list(name, tokens)
    return tokens if isinstance(tokens, str) else found
