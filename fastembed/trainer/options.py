"""The options of a fit to counts, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastembed._base.validation import check_choice, check_flag, check_integer, check_number

OPTIMIZERS = ("adagrad", "sgd")
LARGEST_BLOCK = 1 << 24  # rows; the tasks of a phase are numbered with this many bits (_kernels/crew.pxi)


@dataclass(frozen=True)
class FitOptions:
    """The options of one fit, documented by `fastembed.Trainer.fit_counts`.

    Raises
    ------
    TypeError, ValueError
        If an option has the wrong type or is out of range.

    Examples
    --------
    >>> FitOptions(epochs=3).learning_rate
    0.7
    >>> FitOptions(epochs=0)
    Traceback (most recent call last):
        ...
    ValueError: epochs must be at least 1, got 0
    """

    epochs: int = 5
    learning_rate: float = 0.7
    linear_learning_rate: float = 1.0
    block_size: int = 256
    optimizer: str = "adagrad"
    l2: float = 0.0
    n_iter_no_change: int | None = None
    warm_start: bool = False

    def __post_init__(self) -> None:
        self._set("epochs", check_integer("epochs", self.epochs, low=1))
        self._set("block_size", check_integer("block_size", self.block_size, low=1, high=LARGEST_BLOCK))
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        for name in ("learning_rate", "linear_learning_rate", "l2"):
            self._set(name, check_number(name, getattr(self, name)))
        if self.n_iter_no_change is not None:
            self._set("n_iter_no_change", check_integer("n_iter_no_change", self.n_iter_no_change, low=1))
        self._set("warm_start", check_flag("warm_start", self.warm_start))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # how a frozen dataclass sets its own attributes
