"""`FittedModel`: all that a fit of a `SkipGram` has learned, as one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastembed.corpus.ledger import Ledger
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.vectors import Vectors
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows


@dataclass(frozen=True, eq=False)
class FittedModel:
    """What training produces, a `SkipGram` shows, and its file holds. `SkipGram` documents each part."""

    vectors: Vectors
    vocabulary: Vocabulary
    trainer: Trainer
    centre: NDArray[Any]
    history: list[dict[str, float]]
    ledger: Ledger | None
    windows: Windows | None
    max_contexts: int
    counts_sha256: list[str]

    @property
    def directed(self) -> bool:
        """Whether the contexts before a word and those after it are different outputs."""
        return self.windows is not None and self.windows.directed

    def text_windows(self) -> Windows:
        """Return how pairs are cut from text; raise ValueError if they were not cut from text."""
        if self.windows is None:
            raise ValueError("this SkipGram was fitted to counts that are not those of windows over a text")
        return self.windows
