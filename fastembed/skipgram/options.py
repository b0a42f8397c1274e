"""The parameters of `SkipGram`, checked, and what follows from them alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from fastembed._base.threads import check_threads
from fastembed._base.validation import check_choice, check_flag, check_integer, check_number
from fastembed.corpus.reading import Reading
from fastembed.corpus.tokens import check_token_list
from fastembed.counts.windows import Windows
from fastembed.ngrams import check_ngram_lengths
from fastembed.trainer.progress import FitProgress as FitProgress

# "auto": all words are contexts in vocabularies up to ALL_CONTEXTS. In larger ones half of the words are, but no fewer
# than ALL_CONTEXTS and no more than MOST_CONTEXTS: beyond that, the cost of an epoch grows with V, not with its square.
ALL_CONTEXTS = 16384
MOST_CONTEXTS = 24576
LENGTHS = (3, 6)  # default lengths of the n-grams of subwords


@dataclass(eq=False, repr=False, kw_only=True)
class SkipGramParameters:
    """The parameters of `SkipGram`, which documents them, and their defaults."""

    dim: int = 100
    window: int | tuple[int, int] = 12
    weighting: str = "harmonic"
    min_count: int = 5
    sample: float | None = 3e-4
    directed: bool = True
    max_size: int | None = None
    max_contexts: int | str | None = "auto"
    drop: Iterable[str] | None = None
    keep_only: Iterable[str] | None = None
    epochs: int = 5
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 2
    seed: int = 0
    threads: int | None = None
    reading: Reading | None = None
    baskets: str | None = None
    subwords: bool | tuple[int, int] = False


@dataclass(frozen=True)
class Baskets:
    """The options of counting in baskets: arguments of `Counts.from_baskets`."""

    weighting: str
    max_contexts: int

    def columns(self, vocabulary_size: int) -> int:
        """Return the number of columns of the counts."""
        return min(self.max_contexts, vocabulary_size)


Pairing: TypeAlias = Windows | Baskets  # which pairs of a text count


@dataclass(eq=False)
class SkipGramOptions(SkipGramParameters):
    """The parameters of `SkipGram`, checked once here and stored as plain Python values: of `subwords` the lengths.

    Raises
    ------
    TypeError, ValueError
        If a value is not as documented.
    """

    def __post_init__(self) -> None:
        positive = ("dim", "min_count", "epochs", "n_iter_no_change")
        checked: dict[str, object] = {name: check_integer(name, getattr(self, name), low=1) for name in positive}
        windows = self.windows
        checked |= {
            "window": windows.window if isinstance(self.window, tuple | list) else windows.window[0],
            "weighting": str(self.weighting),
            "sample": windows.sample,
            "directed": check_flag("directed", self.directed),  # as given: `Windows` makes it False for one side
            "early_stopping": check_flag("early_stopping", self.early_stopping),
            "validation_fraction": check_number("validation_fraction", self.validation_fraction, high=0.5, above=True),
            "seed": check_integer("seed", self.seed, low=0, high=math.inf),
            "threads": None if self.threads is None else check_threads(self.threads),
            "max_size": None if self.max_size is None else check_integer("max_size", self.max_size, low=1),
        }
        for name in ("drop", "keep_only"):  # "english" stays a name: it is shorter to show and to save
            tokens = getattr(self, name)
            if tokens is not None:
                listed = check_token_list(name, tokens)
                checked[name] = tokens if isinstance(tokens, str) else listed
        if self.max_contexts not in (None, "auto"):
            checked["max_contexts"] = check_integer("max_contexts, if it is a number,", self.max_contexts, low=1)
        if isinstance(self.subwords, bool | np.bool_):
            checked["subwords"] = LENGTHS if self.subwords else False
        else:
            checked["subwords"] = check_ngram_lengths("subwords", self.subwords)
        if not isinstance(self.reading, Reading | None):
            raise TypeError(f"reading must be a fastembed.corpus.Reading or None, got {self.reading!r}")
        if self.baskets is not None:
            check_choice("baskets, if not None,", self.baskets, ("flat", "share"))
        vars(self).update(checked)

    @property
    def windows(self) -> Windows:
        """The windows, without a limit on contexts."""
        return Windows(self.window, self.weighting, self.sample, self.directed)

    def contexts(self, size: int) -> int:
        """Return K, the number of contexts in a vocabulary of this size."""
        if self.max_contexts is None:
            return size
        if isinstance(self.max_contexts, str):
            return min(max(size // 2, min(size, ALL_CONTEXTS)), MOST_CONTEXTS)
        return min(size, self.max_contexts)

    def dropping(self) -> Callable[[str], bool]:
        """Return a function that tells whether `drop` lists a token or `keep_only` does not."""
        drop = set() if self.drop is None else set(check_token_list("drop", self.drop))
        if self.keep_only is None:
            return drop.__contains__
        kept = set(check_token_list("keep_only", self.keep_only)) - drop
        return lambda token: token not in kept

    def pairing(self, size: int) -> Pairing:
        """Return the windows or baskets for a vocabulary of this size."""
        if self.baskets is not None:
            return Baskets(self.baskets, self.contexts(size))
        return replace(self.windows, max_contexts=self.contexts(size))
