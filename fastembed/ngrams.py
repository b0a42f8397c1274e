"""Character n-grams of words, as an exact dictionary: each n-gram has an id of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import Int32, Int64
from fastembed._base.validation import check_integer, encode_tokens, shown
from fastembed._kernels.ngrams import NgramTable
from fastembed.formats.fasttext import LONGEST_NGRAM

Lengths: TypeAlias = "tuple[int, int]"

BEGIN, END = "<", ">"  # around a word: its first and last n-grams differ from inner n-grams
CHUNK_WORDS = 1 << 16  # words whose n-grams are counted at a time


def check_ngram_lengths(name: str, lengths: Any) -> tuple[int, int]:
    """Return the least and the greatest number of characters of an n-gram.

    Parameters
    ----------
    name : str
        For errors.
    lengths : (int, int)

    Raises
    ------
    TypeError, ValueError
        Unless `lengths` are integers with 1 <= least <= greatest <= LONGEST_NGRAM.

    Examples
    --------
    >>> check_ngram_lengths("subwords", (3, 6))
    (3, 6)
    """
    if not isinstance(lengths, tuple | list) or len(lengths) != 2:
        raise TypeError(f"{name} must be lengths of n-grams, such as (3, 6), got {shown(lengths)}")
    shortest = check_integer(f"the least length of {name}", lengths[0], low=1, high=LONGEST_NGRAM)
    longest = check_integer(f"the greatest length of {name}", lengths[1], low=shortest, high=LONGEST_NGRAM)
    return shortest, longest


def common_ngrams(
    words: Sequence[str], lengths: Lengths, least: int = 2, *, errors: str = "strict"
) -> tuple[tuple[str, ...], Int64, Int32]:
    """Return the character n-grams that at least `least` of the words have, and the ids of the n-grams of each word.

    A word stands between ``<`` and ``>``. Both are characters of n-grams, but no n-grams, since all words have them.

    Parameters
    ----------
    lengths : (int, int)
        The least and the greatest number of characters (Unicode code points) of an n-gram.
    errors : str
        How a word without a UTF-8 form is encoded, as for :meth:`str.encode`.

    Returns
    -------
    ngrams : tuple of str
        Sorted by their UTF-8; the id of an n-gram is its place.
    starts : ndarray of int64 (number of words + 1,)
    ids : ndarray of int32
        ``ids[starts[w] : starts[w + 1]]`` are the n-grams of word w, repeated ones included, in order of position.

    Raises
    ------
    ValueError
        If a word has no UTF-8 form (a lone surrogate) and `errors` is strict.
    MemoryError

    Examples
    --------
    >>> ngrams, starts, ids = common_ngrams(["cat", "cats", "at"], (2, 3))
    >>> ngrams
    ('<c', '<ca', 'at', 'at>', 'ca', 'cat', 't>')
    >>> [ngrams[id] for id in ids[starts[2] : starts[3]]]
    ['at', 'at>', 't>']
    """
    table, parts, counts = NgramTable(), [], []
    for text, units, documents, numbers in _chunks(words, lengths, errors):
        ids = np.empty(numbers.sum(), np.int32)
        table.count(text, units, documents, *lengths, ids)
        parts.append(ids)
        counts.append(numbers)
    raw, offsets = np.empty(table.text_bytes, np.uint8), np.empty(len(table) + 1, np.int64)
    occurrences = np.empty(len(table), np.int64)
    table.take(raw, offsets, occurrences)
    del table
    whole, kept = raw.tobytes(), np.flatnonzero(occurrences >= least)
    keys = [whole[begin:end] for begin, end in zip(offsets[kept].tolist(), offsets[kept + 1].tolist(), strict=True)]
    alone = {BEGIN.encode(), END.encode()}
    order = [k for k in sorted(range(len(keys)), key=keys.__getitem__) if keys[k] not in alone]
    places = np.full(len(occurrences), -1, np.int32)
    places[kept[order]] = np.arange(len(order), dtype=np.int32)
    return tuple(keys[k].decode(errors=errors) for k in order), *_known([places[ids] for ids in parts], counts)


class NgramFinder:
    """Finds the n-grams of a dictionary in words.

    Parameters
    ----------
    ngrams : sequence of str
        All different.
    lengths
        As for :func:`common_ngrams`.

    Raises
    ------
    MemoryError

    Examples
    --------
    >>> NgramFinder(["<c", "ut", "t>"], (2, 3)).find(["cut", "up"])
    (array([0, 3, 3]), array([0, 1, 2], dtype=int32))
    """

    def __init__(self, ngrams: Sequence[str], lengths: Lengths) -> None:
        self._lengths, self._table = lengths, NgramTable()
        keys = encode_tokens(ngrams, errors="surrogatepass")
        offsets = np.concatenate([[0], np.cumsum(np.fromiter(map(len, keys), np.int64, len(keys)))])
        self._table.fill(b"".join(keys), offsets)

    def find(self, words: Sequence[str]) -> tuple[Int64, Int32]:
        """Return `starts` and `ids` of words, as :func:`common_ngrams` does."""
        parts, counts = [], []
        for text, units, documents, numbers in _chunks(words, self._lengths, "surrogatepass"):
            ids = np.empty(numbers.sum(), np.int32)
            self._table.find(text, units, documents, *self._lengths, ids)
            if self._lengths[0] == 1:  # drop BEGIN and END
                ends = np.cumsum(numbers)
                ids[ends - numbers] = ids[ends - 1] = -1
            parts.append(ids)
            counts.append(numbers)
        return _known(parts, counts)


def ngram_counts(characters: Int64, lengths: Lengths) -> Int64:
    """Return the number of n-grams of words of these lengths, ``<`` and ``>`` included."""
    shortest, longest = lengths
    # The sum over n = shortest .. min(longest, characters) of characters - n + 1
    most = np.minimum(characters, longest)
    orders = np.maximum(most - shortest + 1, 0)
    return orders * (characters + 1) - (shortest + most) * orders // 2


def _chunks(
    words: Sequence[str], lengths: Lengths, errors: str
) -> Iterator[tuple[npt.NDArray[np.uint8], Int64, Int64, Int64]]:
    """Yield what `NgramTable` takes for some words at a time, and the number of n-grams of each word."""
    for begin in range(0, len(words), CHUNK_WORDS):
        chunk = words[begin : begin + CHUNK_WORDS]
        marked = [f"{BEGIN}{word}{END}" for word in chunk]
        text = np.frombuffer(b"".join(encode_tokens(marked, errors=errors)), np.uint8)
        units = np.append(np.flatnonzero((text & 0xC0) != 0x80), len(text))  # where characters begin
        characters = np.fromiter(map(len, chunk), np.int64, len(chunk)) + len(BEGIN + END)
        yield text, units, np.concatenate([[0], np.cumsum(characters)]), ngram_counts(characters, lengths)


def _known(parts: list[Int32], counts: list[Int64]) -> tuple[Int64, Int32]:
    """Return the ids that are not -1, and where the ids of each word begin."""
    known = [ids >= 0 for ids in parts]
    starts = [np.zeros(1, np.int64)]
    for flags, numbers in zip(known, counts, strict=True):
        before = np.concatenate([[0], np.cumsum(flags)])
        starts.append(starts[-1][-1] + before[np.cumsum(numbers)])
    ids = [part[flags] for part, flags in zip(parts, known, strict=True)]
    return np.concatenate(starts), np.concatenate([np.zeros(0, np.int32), *ids])
