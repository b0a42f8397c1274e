"""Predictions for many documents, computed in parts on several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import largest_of_rows
from fastembed._base.threads import Pool, single_threaded_blas
from fastembed.classifier.fitted import FittedClassifier

T = TypeVar("T")

PIECE_SCORES = 1 << 20  # largest number of scores per task
PIECE_DOCUMENTS = 1 << 11  # largest number of documents per task
PIECES = 8  # results of tasks in memory at a time, per thread


def answers(
    model: FittedClassifier,
    documents: Sequence[Any],
    pool: Pool,
    answer: Callable[[NDArray[np.int64], NDArray[np.float32]], T],
) -> Iterator[tuple[NDArray[np.int64], T]]:
    """Yield the numbers of known features and the result of `answer` for consecutive parts of the documents.

    Parameters
    ----------
    model : FittedClassifier
    documents : sequence of str or of sequences of str
    pool : Pool
    answer : callable
        Function of the numbers of known features (n,) and the scores (n, L).
    """
    size = max(1, min(PIECE_DOCUMENTS, PIECE_SCORES // len(model.classes)))
    cuts = range(0, len(documents), size)
    if len(cuts) > 1:
        model.features.csr_of(documents[:1])  # builds the tables that the threads share
    for group in range(0, len(cuts), PIECES * pool.threads):
        firsts = cuts[group : group + PIECES * pool.threads]
        found: list[Any] = [None] * len(firsts)

        def make(j: int, firsts: Any = firsts, found: list[Any] = found) -> None:
            bags = model.features.csr_of(documents[firsts[j] : firsts[j] + size], firsts[j])
            known = np.diff(bags[0])
            found[j] = known, answer(known, model.scores(*bags))

        with nullcontext() if model.linear is None else single_threaded_blas():  # fixed order of addition
            pool.run(make, len(firsts))
        yield from found


def most_probable(
    model: FittedClassifier, known: NDArray[np.int64], scores: NDArray[np.float32], k: int, least: float
) -> list[list[tuple[Any, float]]]:
    """Return the k most probable labels of each document with probabilities of at least `least`."""
    p = model.probabilities(scores, known)
    best = largest_of_rows(p, k)
    p = np.take_along_axis(p, best, axis=1)
    sizes = np.count_nonzero(p >= least, axis=1).tolist()
    # All pairs are in one list first: a list or iterator per document would add objects for the garbage collector
    pairs = list(zip(model.classes[best.ravel()].tolist(), p.ravel().tolist(), strict=True))
    firsts = range(0, len(pairs), best.shape[1])
    return [pairs[first : first + size] for first, size in zip(firsts, sizes, strict=True)]
