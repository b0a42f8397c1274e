"""`ClassifierOptions`: the checked parameters of a `Classifier`, and values derived from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastembed._base.threads import check_threads
from fastembed._base.validation import check_choice, check_flag, check_integer, check_number, shown
from fastembed.classifier.likelihood import LOSSES
from fastembed.corpus.reading import Reading
from fastembed.ngrams import check_ngram_lengths
from fastembed.vectors.vectors import Vectors

MOST_WORDS = 16  # largest word n-gram, since the kernel of bags takes at most this many arrays
EPOCHS = {"squared": 20, "ova": 20, "softmax": 5}
L2 = {"squared": 1.0, "ova": 0.1, "softmax": 0.0}
WEIGHTINGS = ("tfidf", "count")


@dataclass(frozen=True)
class ClassifierOptions:
    """The parameters of `Classifier`, checked once here and stored as plain Python values.

    Raises
    ------
    TypeError, ValueError
        If a value is not as documented.
    """

    loss: str
    dim: int | None
    ngrams: int
    chars: tuple[int, int] | None
    weighting: str
    min_count: int
    max_features: int | None
    epochs: int | None
    tol: float
    learning_rate: float
    l2: float | None
    class_weight: Any
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    seed: int
    threads: int | None
    reading: Reading | None
    label_prefix: str
    pretrained: Vectors | None

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, LOSSES)
        checked: dict[str, object] = {
            name: check_integer(name, getattr(self, name), low=1) for name in ("min_count", "n_iter_no_change")
        }
        checked |= {
            "epochs": None if self.epochs is None else check_integer("epochs", self.epochs, low=1),
            "dim": None if self.dim is None else check_integer("dim", self.dim, low=1),
            "ngrams": check_integer("ngrams", self.ngrams, low=1, high=MOST_WORDS),
            "chars": checked_lengths(self.chars),
            "weighting": check_choice("weighting", self.weighting, WEIGHTINGS),
            "max_features": None
            if self.max_features is None
            else check_integer("max_features", self.max_features, low=1),
            "tol": check_number("tol", self.tol),
            "learning_rate": check_number("learning_rate", self.learning_rate, above=True),
            "l2": None if self.l2 is None else check_number("l2", self.l2, above=self.loss != "softmax"),
            "class_weight": checked_class_weight(self.class_weight),
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
        if self.loss != "softmax" and self.dim is not None:
            raise ValueError(
                f"dim={shown(self.dim)} is for loss='softmax'; loss={self.loss!r} is of full rank: give dim=None"
            )
        self._check_pretrained()
        prefix = self.label_prefix
        if not isinstance(prefix, str) or not prefix or prefix.split() != [prefix]:
            raise ValueError(
                f"label_prefix must be a str without white space, such as '__label__', got {shown(prefix)}"
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _check_pretrained(self) -> None:
        vectors = self.pretrained
        if vectors is None:
            return
        if not isinstance(vectors, Vectors):
            raise TypeError(f"pretrained must be fastembed.Vectors or None, got {shown(vectors)}")
        dim = vectors.matrix.shape[1]
        if self.dim is None:
            raise ValueError(
                f"pretrained vectors are the rows of an embedding, which loss={self.loss!r} with dim=None has not:"
                f" give loss='softmax' and dim={dim}, that of the vectors"
            )
        if self.dim != dim:
            raise ValueError(f"dim must be {dim}, that of the pretrained vectors, got {self.dim}")

    @property
    def most_epochs(self) -> int:
        """The largest number of epochs."""
        return EPOCHS[self.loss] if self.epochs is None else self.epochs

    @property
    def strength(self) -> float:
        """The strength of L2 regularisation."""
        return L2[self.loss] if self.l2 is None else self.l2

    @property
    def reader(self) -> Reading:
        """How texts become tokens."""
        return Reading(words=True) if self.reading is None else self.reading


def checked_lengths(chars: Any) -> tuple[int, int] | None:
    """Check `chars` and return the smallest and largest number of characters of an n-gram."""
    return None if chars is None else check_ngram_lengths("chars", chars, others="None or ")


def checked_class_weight(value: Any) -> Any:
    """Check `class_weight` and return None, "balanced", or a dict of weights by label.

    Raises
    ------
    TypeError, ValueError
        If it is another value, or a weight is not positive.
    """
    if value is None or (isinstance(value, str) and value == "balanced"):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"class_weight must be None, 'balanced' or a mapping of label to weight, got {shown(value)}")
    return {label: check_number(f"class_weight[{label!r}]", each, above=True) for label, each in value.items()}
