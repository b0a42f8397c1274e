"""The features of a training set, found in two readings: words are counted, then their ids are counted in n-grams."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import Pool
from fastembed._kernels import features as kernels
from fastembed._kernels.features import PairTable
from fastembed.classifier.characters import CharacterGrams, count_characters, documents_by_words
from fastembed.classifier.features import (
    PIECE_DOCUMENTS,
    Features,
    Grams,
    Int32,
    Int64,
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

PART_PAIRS = 1 << 15  # about as many pairs as fit a cache with their hash table
MOST_PARTS = 512


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
    orders, grams = _count_grams(ids[ids < frequent], options, pool)
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
    if options.max_features is not None:  # words may be neighbours now that were not, and n-grams have gone
        orders = place_grams(ids[ids < kept], features.grams)
    of_words = None if features.characters is None else features.characters.of_words(words)
    return features, _bags(features, ids, orders, of_words, pool)


def _count_grams(ids: Int32, options: ClassifierOptions, pool: Pool) -> tuple[list[Int32], list[Grams]]:
    """Return the n-grams of 2, 3, ... words that occur often enough, and the number of each place, as `place_grams`."""
    orders, grams = [ids], []
    for n in range(2, options.ngrams + 1):
        found, kind = count_pairs(orders[-1], ids, n - 1, options.min_count, pool)
        orders.append(found)
        grams.append(kind)
    return orders, grams


def count_pairs(left: Int32, right: Int32, shift: int, least: int, pool: Pool) -> tuple[Int32, Grams]:
    """Return the pairs (left[i], right[i + shift]) of ids that are not negative and occur often enough.

    Pairs are counted by parts, so small that the table of each fits a cache. What is found depends on the number of
    pairs, not on that of threads.

    Parameters
    ----------
    left, right : ndarray of int32 (n,)
    shift : int
    least : int
    pool : Pool

    Returns
    -------
    found : ndarray of int32 (n,)
        The number of the pair at each place; -1 where none is.
    grams : Grams
        By decreasing count.

    Examples
    --------
    >>> ids = np.array([5, 7, -1, 5, 7, 8, -1], np.int32)
    >>> found, grams = count_pairs(ids, ids, 1, 1, Pool(1))
    >>> found.tolist(), grams.counts.tolist()
    ([0, -1, -1, 0, 1, -1, -1], [2, 1])
    """
    parts = min(MOST_PARTS, 1 << (len(left) // PART_PAIRS).bit_length())
    cuts = np.linspace(0, len(left), pool.threads + 1).astype(np.int64).tolist()
    pieces = list(pairwise(cuts))
    sizes = np.empty((len(pieces), parts), np.int64)
    pool.run(lambda k: kernels.part_sizes(left, right, shift, *pieces[k], sizes[k]), len(pieces))
    ends = np.cumsum(sizes.T).reshape(parts, len(pieces))  # a part has the pairs of all pieces, in order
    starts = np.ascontiguousarray((ends - sizes.T).T)
    bounds = [0, *ends[:, -1].tolist()]
    pairs, places = np.empty(bounds[-1], np.uint64), np.empty(bounds[-1], np.int64)
    pool.run(lambda k: kernels.part_pairs(left, right, shift, *pieces[k], starts[k], pairs, places), len(pieces))
    numbers = np.empty(len(pairs), np.int32)
    listed: list[Any] = [None] * parts

    def count(k: int) -> None:
        table = PairTable()
        table.number(pairs[bounds[k] : bounds[k + 1]], numbers[bounds[k] : bounds[k + 1]])
        size = len(table)
        listed[k] = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int64)
        table.listed(*listed[k])

    pool.run(count, parts)
    lefts, rights, counts = (np.concatenate(each) for each in zip(*listed, strict=True))
    order = _by_count(counts, least)
    names = np.full(len(counts), -1, np.int32)
    names[order] = np.arange(len(order), dtype=np.int32)
    firsts = np.cumsum([0, *(len(each[0]) for each in listed)]).tolist()
    found = np.full(len(left), -1, np.int32)

    def put(k: int) -> None:
        part = slice(bounds[k], bounds[k + 1])
        kernels.put_numbers(numbers[part], places[part], names[firsts[k] : firsts[k + 1]], found)

    pool.run(put, parts)
    return found, Grams(lefts[order], rights[order], counts[order])


def _by_count(counts: Int64, least: int) -> Int64:
    """Return the places of counts that are large enough, by decreasing count, equal ones in order."""
    once = np.flatnonzero(counts == 1) if least <= 1 else np.empty(0, np.int64)  # most, and in order already
    more = np.flatnonzero(counts >= max(2, least))
    return np.concatenate([more[np.argsort(-counts[more], kind="stable")], once])


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


def _bags(features: Features, ids: Int32, orders: list[Int32], of_words: Any, pool: Pool) -> Any:
    """Return the counts of the features in each document, from the ids of all words and the numbers of kept ones."""
    starts, kept = document_starts(ids), document_starts(orders[0])
    cuts = [*range(0, len(starts) - 1, PIECE_DOCUMENTS), len(starts) - 1]
    parts: list[Any] = [None] * (len(cuts) - 1)

    def make(k: int) -> None:
        documents = slice(cuts[k], cuts[k + 1] + 1)
        piece = ids[starts[cuts[k]] : starts[cuts[k + 1]]]
        more = None if of_words is None else documents_by_words(piece, of_words.shape[0]) @ of_words
        parts[k] = features.counts(orders, kept[documents], more)

    pool.run(make, len(parts))
    return stacked(parts, len(features))
