"""The parameters of `Recommender`, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastembed._base.validation import check_integer


@dataclass(frozen=True)
class RecommenderOptions:
    """The parameters of `Recommender`, which documents them, as plain Python values.

    Raises
    ------
    TypeError, ValueError
        If a value is not as documented.
    """

    dim: int
    epochs: int | None
    seed: int

    def __post_init__(self) -> None:
        checked = {
            "dim": check_integer("dim", self.dim, low=1),
            "epochs": None if self.epochs is None else check_integer("epochs", self.epochs, low=1),
            "seed": check_integer("seed", self.seed, low=0, high=math.inf),
        }
        vars(self).update(checked)
