"""The features of a training set, found in one pass: words are counted, then n-grams of their ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import Pool
from fastembed.classifier.characters import CharacterGrams, count_characters, documents_by_words
from fastembed.classifier.features import (
    PIECE_DOCUMENTS,
    Features,
    Grams,
    Int32,
    Int64,
    check_numbered,
    document_starts,
    new_buffers,
    place_grams,
    stacked,
)
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.pair_counting import count_pairs
from fastembed.corpus.corpus import Progress
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import token_from_bytes
from fastembed.corpus.tokens import number_tokens, rank_tokens
from fastembed.vocabulary import Vocabulary


def read_features(
    corpus: Any, options: ClassifierOptions, ledger: Ledger, progress: Progress | None, pool: Pool
) -> tuple[Features, Any]:
    """Return the features of a corpus, without weights, and the counts of each in each document.

    Parameters
    ----------
    corpus : DocumentLines or LabelledFiles
    options : ClassifierOptions
    ledger : Ledger
        The ledger to which the numbers of tokens read are added.
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
    words, counts, ids = _read_words(corpus, options, ledger, progress, pool)
    frequent = int(np.searchsorted(-counts, -options.min_count, "right"))
    characters = count_characters(words, counts, options.chars, options.min_count) if options.chars else None
    orders, grams = _count_grams(_first(ids, frequent, len(words)), options, pool)
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
        characters=None if characters is None else characters.first(sizes[-1]),
        weights=np.ones(sum(sizes)),
        reading=corpus.reading,
    )
    if options.max_features is not None:  # dropped words and n-grams make others neighbours
        orders = place_grams(_first(ids, kept, len(words)), features.grams)
    of_words = None if features.characters is None else features.characters.of_words(words)
    return features, _bags(features, ids, orders, of_words, pool)


def _read_words(
    corpus: Any, options: ClassifierOptions, ledger: Ledger, progress: Progress | None, pool: Pool
) -> tuple[list[str], Int64, Int32]:
    """Return the words of a corpus, their counts, and the ids with -1 after each document."""
    numbered = number_tokens(corpus, ledger, progress, pool)
    tables = numbered.counts(pool)
    ranking = rank_tokens(tables, 1 if options.chars else options.min_count, pool)
    counts = np.empty(len(ranking), np.int64)
    words = ranking.take(counts, token_from_bytes)
    if not words:
        what = f"no token occurs min_count={options.min_count} times" if sum(map(len, tables)) else "no token was read"
        raise ValueError(f"the documents have no features: {what}")
    ids = numbered.ids(words, pool)
    ledger.tokens_used = int(np.count_nonzero(ids >= 0))
    ledger.dropped = {"outside the vocabulary": ledger.tokens_read - ledger.tokens_used}
    return words, counts, ids


def _first(ids: Int32, count: int, words: int) -> Int32:
    """Return the ids below `count`, without those of other words; -1 stays."""
    return ids if count == words else ids[ids < count]


def _count_grams(ids: Int32, options: ClassifierOptions, pool: Pool) -> tuple[list[Int32], list[Grams]]:
    """Return the n-grams of 2, 3, ... words with enough counts, and their number at each position (`place_grams`)."""
    orders, grams = [ids], []
    for n in range(2, options.ngrams + 1):
        found, kind = count_pairs(orders[-1], ids, n - 1, options.min_count, pool)
        orders.append(found)
        grams.append(kind)
    return orders, grams


def _kept(counts: list[npt.NDArray[np.int64]], characters: CharacterGrams | None, most: int | None) -> list[int]:
    """Return how many features of each kind are among the most frequent; of equally frequent, shorter ones come first.

    An n-gram occurs no more often than its first n - 1 words, so these are kept with it.
    """
    kinds = [*counts, np.empty(0, np.int64) if characters is None else characters.counts]
    sizes = [len(kind) for kind in kinds]
    check_numbered(min(sum(sizes), most or sum(sizes)))
    if most is None or sum(sizes) <= most:
        return sizes
    of_kind = np.repeat(np.arange(len(kinds)), sizes)
    first = np.argsort(-np.concatenate(kinds), kind="stable")[:most]
    kept: list[int] = np.bincount(of_kind[first], minlength=len(kinds)).tolist()
    return kept


def _bags(features: Features, ids: Int32, orders: list[Int32], of_words: Any, pool: Pool) -> Any:
    """Return the counts of the features in each document, from the ids of all words and the numbers of kept ones."""
    starts = document_starts(ids)
    kept = starts if orders[0] is ids else document_starts(orders[0])
    cuts = [*range(0, len(starts) - 1, PIECE_DOCUMENTS), len(starts) - 1]
    parts: list[Any] = [None] * (len(cuts) - 1)
    buffers = new_buffers(len(orders) * int(kept[-1])) if of_words is None else None

    def make(k: int) -> None:
        documents = kept[cuts[k] : cuts[k + 1] + 1]
        if buffers is not None:
            own = slice(len(orders) * documents[0], len(orders) * documents[-1])
            parts[k] = features.counts(orders, documents, buffers=(buffers[0][own], buffers[1][own]))
        else:
            piece = ids[starts[cuts[k]] : starts[cuts[k + 1]]]
            more = documents_by_words(piece, of_words.shape[0]) @ of_words
            parts[k] = features.counts(orders, documents, more)

    pool.run(make, len(parts))
    return stacked(parts, len(features), pool, buffers)
