"""Character n-grams of words, as an exact dictionary: no two share an id."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import check_integer
from fastembed._kernels.ngrams import NgramTable
from fastembed.formats.tokens import encode_tokens

__all__ = ["CharacterNgrams", "check_ngram_lengths"]

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Rows = tuple[Int64, Int32]  # where the ids of each word begin, and the ids

BEGIN, END = "<", ">"  # around a word, so that its first and last n-grams differ from those inside
BLOCK_WORDS = 1 << 16  # that are counted at a time


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
        If it is no pair of integers with 1 <= least <= greatest.

    Examples
    --------
    >>> check_ngram_lengths("subwords", (3, 6))
    (3, 6)
    """
    if not isinstance(lengths, tuple | list) or len(lengths) != 2:
        raise TypeError(f"{name} must be two integers, the least and the greatest length, as (3, 6), got {lengths!r}")
    shortest = check_integer(f"the least length of {name}", lengths[0], low=1)
    return shortest, check_integer(f"the greatest length of {name}", lengths[1], low=shortest)


class CharacterNgrams:
    """G different n-grams of characters of words that stand between ``<`` and ``>``.

    They are sorted by their UTF-8, so that one is found by bisection in arrays that may be mapped from a file.

    Parameters
    ----------
    utf8 : ndarray of uint8 (bytes,)
        The n-grams end to end.
    offsets : ndarray of int64 (G + 1,)
        Where each begins, and where the last one ends.
    shortest, longest : int
        Numbers of characters (Unicode code points), with ``<`` and ``>``.

    Examples
    --------
    >>> ngrams, starts, ids = CharacterNgrams.of(["cat", "cats", "at"], 2, 3)
    >>> list(ngrams)
    ['<c', '<ca', 'at', 'at>', 'ca', 'cat', 't>']
    >>> [ngrams[id] for id in ids[starts[2] : starts[3]]]
    ['at', 'at>', 't>']
    >>> [ngrams[id] for id in ngrams.ids("cut")]
    ['<c', 't>']
    """

    def __init__(self, utf8: npt.NDArray[np.uint8], offsets: Int64, shortest: int, longest: int) -> None:
        self.utf8, self.offsets, self.shortest, self.longest = utf8, offsets, shortest, longest

    @classmethod
    def of(cls, words: Sequence[str], shortest: int, longest: int, least: int = 2) -> tuple[Self, Int64, Int32]:
        """Return the n-grams that at least so many of the words have, and those of each word.

        Parameters
        ----------
        words : sequence of str
        shortest, longest : int
        least : int

        Returns
        -------
        ngrams : CharacterNgrams
            Neither ``<`` nor ``>`` alone is among them: all words have these.
        starts : ndarray of int64 (number of words + 1,)
        ids : ndarray of int32
            ``ids[starts[w] : starts[w + 1]]`` are those of word w, as often as it has them, by where they begin.

        Raises
        ------
        ValueError
            If a word has no UTF-8 form (a lone surrogate).
        MemoryError
        """
        table, found, lengths = NgramTable(), [], []
        for text, units, documents, counts in _blocks(words, shortest, longest):
            ids = np.empty(counts.sum(), np.int32)
            table.count(text, units, documents, shortest, longest, ids)
            found.append(ids)
            lengths.append(counts)
        raw, offsets = np.empty(table.text_bytes, np.uint8), np.empty(len(table) + 1, np.int64)
        occurrences = np.empty(len(table), np.int64)
        table.take(raw, offsets, occurrences)
        del table
        kept = np.flatnonzero(occurrences >= least)
        text = raw.tobytes()
        keys = [text[begin:end] for begin, end in zip(offsets[kept].tolist(), offsets[kept + 1].tolist(), strict=True)]
        alone = {BEGIN.encode(), END.encode()}
        order = [k for k in sorted(range(len(keys)), key=keys.__getitem__) if keys[k] not in alone]
        places = np.full(len(occurrences), -1, np.int32)
        places[kept[order]] = np.arange(len(order), dtype=np.int32)
        ngrams = cls(*_packed([keys[k] for k in order]), shortest, longest)
        return ngrams, *_known([places[ids] for ids in found], lengths)

    def find(self, words: Sequence[str]) -> Rows:
        """Return the n-grams of each of many words: `starts` and `ids`, as of :meth:`of`."""
        table, found, lengths = NgramTable(), [], []
        table.fill(self.utf8, self.offsets)
        for text, units, documents, counts in _blocks(words, self.shortest, self.longest):
            ids = np.empty(counts.sum(), np.int32)
            table.find(text, units, documents, self.shortest, self.longest, ids)
            found.append(ids)
            lengths.append(counts)
        return _known(found, lengths)

    def ids(self, word: str) -> list[int]:
        """Return the ids of the n-grams of a word that are known, as often as it has them, by where they begin."""
        marked = f"{BEGIN}{word}{END}"
        found = []
        for first in range(len(marked)):
            for last in range(first + self.shortest, min(first + self.longest, len(marked)) + 1):
                key = marked[first:last].encode("utf-8", "surrogatepass")
                place = bisect_left(range(len(self)), key, key=self._bytes)
                if place < len(self) and self._bytes(place) == key:
                    found.append(place)
        return found

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, id: int) -> str:  # noqa: A002 - what the indices are called everywhere
        return self._bytes(id).decode()

    def __iter__(self) -> Iterator[str]:
        return (self[id] for id in range(len(self)))

    def _bytes(self, id: int) -> bytes:  # noqa: A002
        return self.utf8[self.offsets[id] : self.offsets[id + 1]].tobytes()


def ngram_counts(characters: Int64, shortest: int, longest: int) -> Int64:
    """Return how many n-grams words have that have so many characters, ``<`` and ``>`` included."""
    # The sum over n = shortest .. min(longest, characters) of characters - n + 1
    most = np.minimum(characters, longest)
    each = np.maximum(most - shortest + 1, 0)
    counts: Int64 = each * (characters + 1) - (shortest + most) * each // 2
    return counts


def _blocks(
    words: Sequence[str], shortest: int, longest: int
) -> Iterator[tuple[npt.NDArray[np.uint8], Int64, Int64, Int64]]:
    """Yield what `NgramTable` takes for some words at a time, and the number of n-grams of each word."""
    for begin in range(0, len(words), BLOCK_WORDS):
        block = words[begin : begin + BLOCK_WORDS]
        text = np.frombuffer(b"".join(encode_tokens([f"{BEGIN}{word}{END}" for word in block])), np.uint8)
        units = np.append(np.flatnonzero((text & 0xC0) != 0x80), len(text))  # where characters begin
        characters = np.fromiter(map(len, block), np.int64, len(block)) + len(BEGIN + END)
        yield text, units, np.concatenate([[0], np.cumsum(characters)]), ngram_counts(characters, shortest, longest)


def _known(found: list[Int32], lengths: list[Int64]) -> Rows:
    """Return the ids that are not -1, and where those of each word begin."""
    known = [ids >= 0 for ids in found]
    starts = [np.zeros(1, np.int64)]
    for flags, counts in zip(known, lengths, strict=True):
        before = np.concatenate([[0], np.cumsum(flags)])
        starts.append(starts[-1][-1] + before[np.cumsum(counts)])
    ids = [part[flags] for part, flags in zip(found, known, strict=True)]
    return np.concatenate(starts), np.concatenate([np.zeros(0, np.int32), *ids])


def _packed(keys: list[bytes]) -> tuple[npt.NDArray[np.uint8], Int64]:
    """Return texts end to end, and where each begins and the last ends."""
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, keys), np.int64, len(keys)), out=offsets[1:])
    return np.frombuffer(b"".join(keys), np.uint8), offsets
