"""What is said of many documents, in parts that several threads compute at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base.blas import single_threaded_blas
from fastembed._base.ranking import largest_of_rows
from fastembed._base.threads import Pool
from fastembed.classifier.fitted import FittedClassifier

T = TypeVar("T")

PIECE_SCORES = 1 << 20  # that a task computes at most,
PIECE_DOCUMENTS = 1 << 11  # and of so many documents
PIECES = 8  # whose answers are in memory at a time, for each thread


def answers(
    model: FittedClassifier,
    documents: Sequence[Any],
    pool: Pool,
    answer: Callable[[NDArray[np.int64], NDArray[np.float32]], T],
) -> Iterator[tuple[NDArray[np.int64], T]]:
    """Yield, for documents in order and some at a time, how many known features each has and what is said of them.

    Parameters
    ----------
    model : FittedClassifier
    documents : sequence of str or of sequences of str
    pool : Pool
    answer : callable
        Of the numbers of known features (n,) and the scores (n, L).
    """
    size = max(1, min(PIECE_DOCUMENTS, PIECE_SCORES // len(model.classes)))
    cuts = range(0, len(documents), size)
    if len(cuts) > 1:
        model.features.csr_of(documents[:1])  # makes the tables, which threads share from then on
    for group in range(0, len(cuts), PIECES * pool.threads):
        firsts = cuts[group : group + PIECES * pool.threads]
        found: list[Any] = [None] * len(firsts)

        def make(j: int, firsts: Any = firsts, found: list[Any] = found) -> None:
            bags = model.features.csr_of(documents[firsts[j] : firsts[j] + size], firsts[j])
            known = np.diff(bags[0])
            found[j] = known, answer(known, model.scores(*bags))

        with nullcontext() if model.linear is None else single_threaded_blas():  # more threads add in another order
            pool.run(make, len(firsts))
        yield from found


def most_probable(
    model: FittedClassifier, known: NDArray[np.int64], scores: NDArray[np.float32], k: int, least: float
) -> list[list[tuple[Any, float]]]:
    """Return the k most probable labels of each document, and how probable they are: at least that much."""
    p = model.probabilities(scores, known)
    best = largest_of_rows(p, k)
    p = np.take_along_axis(p, best, axis=1)
    sizes = np.count_nonzero(p >= least, axis=1).tolist()
    # The pairs of all in one list first: a list or an iterator of each would be one more object for the collector
    pairs = list(zip(model.classes[best.ravel()].tolist(), p.ravel().tolist(), strict=True))
    firsts = range(0, len(pairs), best.shape[1])
    return [pairs[first : first + size] for first, size in zip(firsts, sizes, strict=True)]
