"""The search for phrases: exact counts of neighbours, and their scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_choice, check_integer, check_number
from fastembed._kernels.tokens import NeighborTable
from fastembed.corpus.document_blocks import join_tokens, token_bytes, token_from_bytes
from fastembed.corpus.ledger import Ledger, note_on_interrupt
from fastembed.corpus.phrases import LONGEST, phrase_table
from fastembed.corpus.readers import Corpus, MemoryCorpus, Progress, Source, TextCorpus, as_corpus, map_text
from fastembed.corpus.token_lists import check_token_list

Words: TypeAlias = tuple[str, ...]
Counts: TypeAlias = npt.NDArray[np.float64]

THRESHOLDS = {"npmi": 0.5, "word2vec": 100.0}  # the defaults
DIGITS = 6  # digits of a score after the point: files are short, and are read back to the same scores
MOST_COMMON = 4000  # common words, which the kernel numbers in 24 bits, two at a time
GLUE = 0xFF  # between the words of a phrase during the search for longer ones: a byte that no UTF-8 text has
BATCH_BYTES = 1 << 20


def find_collocations(
    corpus: Source,
    min_count: int,
    threshold: float | None,
    scoring: str,
    max_words: int,
    common: Iterable[str] | None,
    *,
    threads: int | None,
    progress: Progress | None,
) -> tuple[dict[Words, float], Ledger]:
    """Return phrases and their scores, in order, and the ledger of the first pass.

    Parameters
    ----------
    corpus, min_count, threshold, scoring, max_words, common, threads, progress
        As for `Phrases.from_corpus`.
    """
    min_count = check_integer("min_count", min_count, low=1)
    max_words = check_integer("max_words", max_words, low=2, high=LONGEST)
    scoring = check_choice("scoring", scoring, tuple(THRESHOLDS))
    least = THRESHOLDS[scoring] if threshold is None else check_number("threshold", threshold, low=-math.inf)
    inside = () if common is None else check_token_list("common", common)
    if len(inside) > MOST_COMMON:
        raise ValueError(f"common must hold at most {MOST_COMMON:,} tokens, got {len(inside):,}")
    reader, workers = as_corpus(corpus), check_threads(threads)
    found: dict[Words, float] = {}
    first = Ledger()
    for number in range(math.ceil(math.log2(max_words))):  # a pass joins two parts, so it doubles the longest phrase
        ledger = first if number == 0 else Ledger()
        with note_on_interrupt(ledger):
            table = _count(reader, found, inside, ledger, progress, workers)
        if not len(table.tokens) or not ledger.tokens_read:
            raise ValueError(f"the corpus is empty: no token in {ledger.lines:,} lines")
        new = _scored_phrases(table, inside, min_count, scoring, least, max_words, extend=number > 0)
        if not new:
            break
        found |= new
    if not found:
        raise ValueError(
            f"no phrase was found: no pair of neighbours occurs min_count={min_count:,} times and has a {scoring} score"
            f" of at least {least:g}"
        )
    first.tokens_used = first.tokens_read
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))), first


def _count(
    corpus: Corpus, phrases: Iterable[Words], common: Words, ledger: Ledger, progress: Progress | None, threads: int
) -> NeighborTable:
    """Count tokens and pairs of neighbours in a text in which some phrases are joined."""
    joined = phrase_table(phrases)
    join = (lambda text: joined.join(text, GLUE)) if phrases else (lambda text: text)
    packed = [token_bytes(token) for token in common]
    if not isinstance(corpus, MemoryCorpus) and corpus.reading.compiled:
        return _count_text(corpus, join, packed, ledger, progress, threads)
    table = NeighborTable(packed)
    lines: list[bytes] = []
    size = 0
    for tokens in corpus.sequences(ledger, progress):
        lines.append(join_tokens(tokens))
        size += len(lines[-1])
        if size > BATCH_BYTES:
            table.count(join(b"\n".join(lines)), False)
            lines, size = [], 0
    table.count(join(b"\n".join(lines)), False)
    return table


def _count_text(
    corpus: TextCorpus,
    join: Callable[[bytes], bytes],
    common: list[bytes],
    ledger: Ledger,
    progress: Progress | None,
    threads: int,
) -> NeighborTable:
    """Count in text, with one table per thread."""
    tables: SimpleQueue[NeighborTable] = SimpleQueue()

    def count(text: bytes, open_line: bool) -> tuple[None, int, int, int]:
        try:
            table = tables.get_nowait()
        except Empty:
            table = NeighborTable(common)
        try:
            return None, *table.count(join(text), open_line)
        finally:
            tables.put(table)

    with closing(map_text(corpus, count, ledger, progress, threads)) as blocks:
        for _ in blocks:
            pass
    return _merged([tables.get() for _ in range(tables.qsize())] or [NeighborTable(common)])


def _merged(tables: list[NeighborTable]) -> NeighborTable:
    """Add up tables, two by two on several threads."""
    pool = Pool(len(tables))
    while len(tables) > 1:
        half = (len(tables) + 1) // 2

        def merge(number: int, half: int = half) -> None:
            tables[number].merge(tables[number + half])

        pool.run(merge, len(tables) - half)
        del tables[half:]
    return tables[0]


def _scored_phrases(
    table: NeighborTable,
    common: Words,
    min_count: int,
    scoring: str,
    threshold: float,
    max_words: int,
    *,
    extend: bool,
) -> dict[Words, float]:
    """Return the pairs that score enough, as the words of both; if `extend`, only those with a phrase as a part."""
    tokens, times = table.tokens.frequent(0)
    pairs = np.array(table.frequent(min_count), dtype=np.int64).reshape(-1, 4)
    counts = np.array(times, dtype=np.float64)
    scores = score(
        scoring, pairs[:, 3].astype(float), counts[pairs[:, 0]], counts[pairs[:, 1]], counts.sum(), min_count
    )
    enough = scores >= threshold
    glue = bytes([GLUE])
    found: dict[Words, float] = {}
    for (first, second, between, _), value in zip(pairs[enough].tolist(), scores[enough].tolist(), strict=True):
        parts = tokens[first].split(glue), tokens[second].split(glue)
        inside = [common[number - 1] for number in _digits(between, len(common) + 1)]
        words = (*map(token_from_bytes, parts[0]), *inside, *map(token_from_bytes, parts[1]))
        extended = len(parts[0]) + len(parts[1]) > 2
        if len(words) <= max_words and extended == extend and all(words):
            found[words] = max(value, found.get(words, -math.inf))
    return found


def score(scoring: str, n: Counts, a: Counts, b: Counts, total: float, min_count: int) -> Counts:
    """Return the scores of pairs, rounded: normalised pointwise mutual information or word2vec's.

    Parameters
    ----------
    scoring : {"npmi", "word2vec"}
    n, a, b : ndarray of float64, shape (pairs,)
        How often the pair, its first and its second token occurred.
    total : float
        The number of all tokens.
    min_count : int

    Examples
    --------
    >>> one = np.ones(1)
    >>> score("npmi", 5 * one, 5 * one, 5 * one, 100, 1), score("word2vec", 5 * one, 10 * one, 5 * one, 100, 1)
    (array([1.]), array([8.]))
    """
    scores = np.log(n * total / (a * b)) / np.log(total / n) if scoring == "npmi" else (n - min_count) * total / (a * b)
    return np.round(scores, DIGITS)


def _digits(number: int, base: int) -> list[int]:
    """Return the digits of a number, the lowest first."""
    digits = []
    while number:
        number, digit = divmod(number, base)
        digits.append(digit)
    return digits
