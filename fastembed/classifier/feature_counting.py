"""The features of a training set, found in two readings: words are counted, then their ids are counted in n-grams."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import Pool
from fastembed._kernels.features import PairTable
from fastembed.classifier.characters import CharacterGrams, count_characters, documents_by_words
from fastembed.classifier.features import (
    PIECE_DOCUMENTS,
    Features,
    Grams,
    Int32,
    document_starts,
    place_grams,
    stacked,
)
from fastembed.classifier.options import ClassifierOptions
from fastembed.corpus.document_blocks import token_from_bytes
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.readers import Progress
from fastembed.corpus.token_counts import count_tokens, rank_tokens
from fastembed.counts.encoding import encode_corpus
from fastembed.vocabulary import Vocabulary

PARTS = 16  # of the pairs, by their hashes: each is counted by one thread


def read_features(
    corpus: Any, options: ClassifierOptions, ledger: Ledger, progress: Progress | None, pool: Pool
) -> tuple[Features, Any]:
    """Return the features of a corpus, without weights, and the counts of each in each document.

    Parameters
    ----------
    corpus : DocumentLines or LabelledFiles
    options : ClassifierOptions
    ledger : Ledger
        What was read is added to it.
    progress : callable, optional
    pool : Pool

    Returns
    -------
    features : Features
        All weights are 1.
    counts : csr_array (N, F), float64
        Canonical.

    Raises
    ------
    ValueError
        If no word occurs often enough.
    """
    tables = count_tokens(corpus, Ledger(), progress, pool)
    ranking = rank_tokens(tables, 1 if options.chars else options.min_count, pool)
    counts = np.empty(len(ranking), np.int64)
    words = ranking.take(counts, token_from_bytes)
    if not words:
        what = f"no token occurs min_count={options.min_count} times" if sum(map(len, tables)) else "no token was read"
        raise ValueError(f"the documents have no features: {what}")
    ids = np.concatenate(list(encode_corpus(corpus, Vocabulary(words, counts), ledger, progress, pool.threads)))
    frequent = int(np.searchsorted(-counts, -options.min_count, "right"))
    characters = count_characters(words, counts, options.chars, options.min_count) if options.chars else None
    grams = _count_grams(ids[ids < frequent], options, pool)
    sizes = _kept([counts[:frequent], *(kind.counts for kind in grams)], characters, options.max_features)
    kept = sizes[0]
    if not kept:
        raise ValueError(
            f"no word is left among the features with min_count={options.min_count} and max_features="
            f"{options.max_features}, as n-grams of characters are more frequent: a classifier needs one at least"
        )
    features = Features(
        words=Vocabulary(words[:kept], counts[:kept]),
        grams=[kind.first(size) for kind, size in zip(grams, sizes[1:], strict=False)],
        characters=characters and characters.first(sizes[-1]),
        weights=np.ones(sum(sizes)),
        reading=corpus.reading,
    )
    of_words = None if features.characters is None else features.characters.of_words(words)
    return features, _bags(features, ids, of_words, pool)


def _count_grams(ids: Int32, options: ClassifierOptions, pool: Pool) -> list[Grams]:
    """Return the n-grams of 2, 3, ... words that occur often enough, each by decreasing count."""
    grams: list[Grams] = []
    for n in range(2, options.ngrams + 1):
        left = place_grams(ids, grams)[-1]
        tables = [PairTable() for _ in range(min(pool.threads, PARTS))]
        pool.run(lambda k: tables[k].count(left, ids, n - 1, k, len(tables)), len(tables))  # noqa: B023 - run at once
        found = [_frequent(table, options.min_count) for table in tables]
        lefts, rights, counts = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((rights, lefts, -counts))
        grams.append(Grams(lefts[order], rights[order], counts[order]))
    return grams


def _frequent(table: PairTable, least: int) -> tuple[Int32, Int32, npt.NDArray[np.int64]]:
    size = len(table)
    left, right, counts = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int64)
    size = table.frequent(least, left, right, counts)
    return left[:size], right[:size], counts[:size]


def _kept(counts: list[npt.NDArray[np.int64]], characters: CharacterGrams | None, most: int | None) -> list[int]:
    """Return how many features of each kind are among the most frequent ones; of equal ones the simpler come first.

    An n-gram occurs no more often than what it begins with, so that is kept with it.
    """
    kinds = [*counts, np.empty(0, np.int64) if characters is None else characters.counts]
    sizes = [len(kind) for kind in kinds]
    if most is None or sum(sizes) <= most:
        return sizes
    of_kind = np.repeat(np.arange(len(kinds)), sizes)
    first = np.argsort(-np.concatenate(kinds), kind="stable")[:most]
    kept: list[int] = np.bincount(of_kind[first], minlength=len(kinds)).tolist()
    return kept


def _bags(features: Features, ids: Int32, of_words: Any, pool: Pool) -> Any:
    """Return the counts of the features in each document, from the ids of all words."""
    starts = document_starts(ids)
    cuts = [*range(0, len(starts) - 1, PIECE_DOCUMENTS), len(starts) - 1]
    parts: list[Any] = [None] * (len(cuts) - 1)

    def make(k: int) -> None:
        piece = ids[starts[cuts[k]] : starts[cuts[k + 1]]]
        more = None if of_words is None else documents_by_words(piece, of_words.shape[0]) @ of_words
        parts[k] = features.counts(piece[piece < len(features.words)], more)

    pool.run(make, len(parts))
    return stacked(parts, len(features))
