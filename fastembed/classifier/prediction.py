"""The scores of many documents, in parts that several threads compute at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.threads import Pool
from fastembed._kernels.cpu import DefaultFloatMode
from fastembed.classifier.fitted import FittedClassifier

PIECE_SCORES = 1 << 22  # numbers in memory at a time for each thread
MOST_PIECE = 1 << 13  # documents


def scores_of(
    model: FittedClassifier, documents: Sequence[Any], pool: Pool
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Yield, for documents in order, the number of known features (n,) and the scores (n, L) of some at a time."""
    size = max(1, min(MOST_PIECE, PIECE_SCORES // len(model.classes)))
    cuts = range(0, len(documents), size)
    for group in range(0, len(cuts), pool.threads):
        firsts = cuts[group : group + pool.threads]
        found: list[Any] = [None] * len(firsts)

        def make(j: int, firsts: Any = firsts, found: list[Any] = found) -> None:
            bags = model.features.bags(documents[firsts[j] : firsts[j] + size], Pool(1), firsts[j])
            found[j] = np.diff(bags.indptr), model.scores(bags)

        with DefaultFloatMode():
            pool.run(make, len(firsts))
        yield from found
