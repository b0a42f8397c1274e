"""The parameters of `Classifier`, checked once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastembed._base.validation import check_choice, check_integer, check_number, shown
from fastembed.corpus.reading import Reading
from fastembed.ngrams import check_ngram_lengths

LOSSES = ("squared", "softmax")
WEIGHTINGS = ("supervised", "tfidf", "count")
EPOCHS = {"squared": 500, "softmax": 5}  # largest number; "squared" converges before
L2 = {"squared": 0.7, "softmax": 0.0}  # a larger penalty draws weights nearer to 0
MOST_WORDS = 16  # largest word n-gram, since the kernel of bags takes at most this many arrays


@dataclass(frozen=True)
class ClassifierOptions:
    """The parameters of `Classifier`, with the defaults of the loss, as plain Python values.

    Attributes
    ----------
    settings : dict
        The checked parameters by name, but None where None was passed, and without `threads`: what a file stores.

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
    epochs: int
    tol: float
    learning_rate: float | None
    l2: float
    class_weight: Any
    seed: int
    threads: int | None
    reading: Reading
    label_prefix: str
    settings: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, LOSSES)
        check_choice("weighting", self.weighting, WEIGHTINGS)
        l2 = L2[self.loss] if self.l2 is None else self.l2
        checked: dict[str, object] = {
            "min_count": check_integer("min_count", self.min_count, low=1),
            "ngrams": check_integer("ngrams", self.ngrams, low=1, high=MOST_WORDS),
            "tol": check_number("tol", self.tol),
            "l2": check_number("l2", l2, above=self.loss == "squared"),
            "seed": check_integer("seed", self.seed, low=0, high=math.inf),
        }
        for name in ("dim", "epochs", "threads"):
            if getattr(self, name) is not None:
                checked[name] = check_integer(name, getattr(self, name), low=1)
        checked.setdefault("epochs", EPOCHS[self.loss])
        if self.learning_rate is not None:
            checked["learning_rate"] = check_number("learning_rate", self.learning_rate, above=True)
        if self.chars is not None:
            checked["chars"] = check_ngram_lengths("chars", self.chars)
        if isinstance(self.class_weight, Mapping):
            weights = self.class_weight.items()
            checked["class_weight"] = {c: check_number(f"class_weight[{c!r}]", w, above=True) for c, w in weights}
        elif self.class_weight is not None and str(self.class_weight) != "balanced":
            raise TypeError(f"class_weight must be None, 'balanced' or a mapping, got {shown(self.class_weight)}")
        checked["reading"] = reading = Reading(words=True) if self.reading is None else self.reading
        if not isinstance(reading, Reading):
            raise TypeError(f"reading must be a fastembed.corpus.Reading or None, got {shown(reading)}")
        if reading.unit != "line":
            raise ValueError(f"reading.unit of a classifier must be 'line', got {reading.unit!r}")
        for name in ("dim", "learning_rate"):
            if self.loss == "squared" and getattr(self, name) is not None:
                raise ValueError(f"{name}={shown(getattr(self, name))} is for loss='softmax', got loss='squared'")
        prefix, passed = self.label_prefix, dict(vars(self))
        if not isinstance(prefix, str) or prefix.split() != [prefix]:
            raise ValueError(f"label_prefix must be a str without spaces, such as '__label__', got {shown(prefix)}")
        vars(self).update(checked)
        settings = {name: value if value is None else vars(self)[name] for name, value in passed.items()}
        vars(self)["settings"] = {name: value for name, value in settings.items() if name != "threads"}
