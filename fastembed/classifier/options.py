"""`ClassifierOptions`: the constructor's parameters of a `Classifier`, checked, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fastembed._base.printable import shown
from fastembed._base.threads import check_threads
from fastembed._base.validation import check_choice, check_flag, check_integer, check_number
from fastembed.corpus.reading import Reading
from fastembed.ngrams import check_ngram_lengths

MOST_WORDS = 16  # of an n-gram; as many arrays as the kernel of bags takes
WEIGHTINGS = ("tfidf", "count")


@dataclass(frozen=True)
class ClassifierOptions:
    """The parameters that `Classifier` documents. They are checked once, here, and kept as plain Python values.

    Raises
    ------
    TypeError, ValueError
        If a value is not as documented.
    """

    dim: int | None
    ngrams: int
    chars: tuple[int, int] | None
    weighting: str
    min_count: int
    max_features: int | None
    epochs: int
    learning_rate: float
    l2: float
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    seed: int
    threads: int | None
    reading: Reading | None
    label_prefix: str

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            name: check_integer(name, getattr(self, name), low=1)
            for name in ("min_count", "epochs", "n_iter_no_change")
        }
        checked |= {
            "dim": None if self.dim is None else check_integer("dim", self.dim, low=1),
            "ngrams": check_integer("ngrams", self.ngrams, low=1, high=MOST_WORDS),
            "chars": checked_lengths(self.chars),
            "weighting": check_choice("weighting", self.weighting, WEIGHTINGS),
            "max_features": None
            if self.max_features is None
            else check_integer("max_features", self.max_features, low=1),
            "learning_rate": check_number("learning_rate", self.learning_rate, above=True),
            "l2": check_number("l2", self.l2),
            "early_stopping": check_flag("early_stopping", self.early_stopping),
            "validation_fraction": check_number("validation_fraction", self.validation_fraction, high=0.5, above=True),
            "seed": check_integer("seed", self.seed, low=0, high=math.inf),
            "threads": None if self.threads is None else check_threads(self.threads),
        }
        if not isinstance(self.reading, Reading | None):
            raise TypeError(f"reading must be a fastembed.corpus.Reading or None, got {shown(self.reading)}")
        if self.reading is not None and self.reading.unit != "line":
            raise ValueError(
                f"a classifier's unit is the document: reading.unit must be 'line', got {self.reading.unit!r}"
            )
        prefix = self.label_prefix
        if not isinstance(prefix, str) or not prefix or prefix.split() != [prefix]:
            raise ValueError(
                f"label_prefix must be a str without white space, such as '__label__', got {shown(prefix)}"
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def reader(self) -> Reading:
        """How texts become tokens."""
        return Reading(words=True) if self.reading is None else self.reading


def checked_lengths(chars: Any) -> tuple[int, int] | None:
    """Return the least and the largest number of characters of an n-gram."""
    return None if chars is None else check_ngram_lengths("chars", chars, others="None or ")
