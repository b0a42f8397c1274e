"""Character n-grams as fastText takes them: each has the bucket of its hash, and several may share one.

A word is put between ``<`` and ``>``, and cut at the characters of UTF-8. Its n-grams are listed by where they begin,
then by length. ``<`` and ``>`` alone are not n-grams. The word ``</s>``, which stands for the end of a line, has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.ngrams import character_ngrams
from fastembed.formats.table import Matrix

END_OF_LINE = "</s>"
BLOCK = 4096  # words whose n-grams are in memory at a time

# FNV-1a of 32 bits
OFFSET = np.uint32(2166136261)
PRIME = np.uint32(16777619)


def ngrams_of(word: str, shortest: int, longest: int) -> list[str]:
    """Return the n-grams of a word.

    Parameters
    ----------
    word : str
    shortest, longest : int
        In characters.

    Examples
    --------
    >>> ngrams_of("où", 1, 3)
    ['<o', '<où', 'o', 'où', 'où>', 'ù', 'ù>']
    """
    return [] if word == END_OF_LINE else character_ngrams(word, shortest, longest)


def buckets_of(
    words: Sequence[str], shortest: int, longest: int, buckets: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the buckets of the n-grams of words, one after the other, and how many n-grams each word has.

    Parameters
    ----------
    words : sequence of str, length N
    shortest, longest : int
        In characters.
    buckets : int
        B.

    Returns
    -------
    ids : ndarray of intp, from 0 to B - 1
    sizes : ndarray of intp, shape (N,)

    Notes
    -----
    The hash is FNV-1a, but each byte is extended with its sign: those of characters beyond ASCII change all bits.

    Examples
    --------
    >>> ids, sizes = buckets_of(["a", "</s>", "où"], 2, 3, 1000)
    >>> ids.tolist(), sizes.tolist()
    ([750, 600, 806, 36, 388, 890, 676, 693], [3, 0, 5])
    """
    # A lone surrogate is three bytes, as other characters of its size
    texts = [b"" if word == END_OF_LINE else f"<{word}>".encode("utf-8", "surrogatepass") for word in words]
    text = np.frombuffer(b"".join(texts), np.uint8)
    starts = np.flatnonzero((text & 0xC0) != 0x80)  # of characters
    bounds = np.concatenate([[0], np.cumsum([len(each) for each in texts])])
    firsts = np.searchsorted(starts, bounds)  # the first character of each word
    lengths = np.diff(firsts)
    ends = np.repeat(firsts[1:], lengths)  # for each character, the first one of the next word
    sizes_of_characters = np.diff(starts, append=len(text))
    extended = text.view(np.int8).astype(np.int32).view(np.uint32)
    alone = np.ones(len(starts), bool)  # whether the character is neither of both brackets
    alone[firsts[:-1][lengths > 0]] = alone[firsts[1:][lengths > 0] - 1] = False

    width = min(longest, int(lengths.max(initial=0)))
    hashes = np.zeros((len(starts), max(width - max(shortest, 1) + 1, 0)), np.uint32)
    valid = np.zeros(hashes.shape, bool)
    running = np.full(len(starts), OFFSET)
    going = np.arange(len(starts))  # where n-grams of this length begin
    for length in range(1, width + 1):
        last = going + (length - 1)
        fits = last < ends[going]
        going, last = going[fits], last[fits]
        for k in range(int(sizes_of_characters[last].max(initial=0))):
            has = sizes_of_characters[last] > k
            at = going[has]
            running[at] = (running[at] ^ extended[starts[last[has]] + k]) * PRIME
        if length >= max(shortest, 1):
            column = length - max(shortest, 1)
            hashes[going, column] = running[going]
            valid[going, column] = alone[going] if length == 1 else True
    per_character = np.concatenate([[0], np.cumsum(valid.sum(axis=1))])
    ids = (hashes[valid] % np.uint32(buckets)).astype(np.intp) if valid.any() else np.empty(0, np.intp)
    return ids, np.diff(per_character[firsts])


def bucket_sums(
    rows: Matrix, words: Sequence[str], shortest: int, longest: int
) -> Iterator[tuple[slice, Matrix, NDArray[np.intp]]]:
    """Yield the sums of the rows of the words' n-grams, for block after block of words.

    Parameters
    ----------
    rows : ndarray (B, D)
        The vectors of the buckets. It need not be aligned.
    words : sequence of str, length N
    shortest, longest : int
        In characters.

    Yields
    ------
    block : slice
        Of the words.
    sums : ndarray (block, D)
        In the dtype of the rows, added up in the order of the n-grams.
    sizes : ndarray of intp, shape (block,)
        The number of n-grams of each word.
    """
    for start in range(0, len(words), BLOCK):
        block = slice(start, min(start + BLOCK, len(words)))
        ids, sizes = buckets_of(words[block], shortest, longest, len(rows))
        yield block, sums_of_rows(rows, ids, sizes), sizes


def sums_of_rows(rows: Matrix, ids: NDArray[np.intp], sizes: NDArray[np.intp]) -> Matrix:
    """Return the sums (N, D) of rows: of the first ``sizes[0]`` ids, of the next ``sizes[1]``, and so on.

    Parameters
    ----------
    rows : ndarray (F, D)
    ids : ndarray of intp, shape (sizes.sum(),)
    sizes : ndarray of intp, shape (N,)

    Examples
    --------
    >>> sums_of_rows(np.eye(3), np.array([0, 1, 1, 2]), np.array([3, 0, 1]))
    array([[1., 2., 0.],
           [0., 0., 0.],
           [0., 0., 1.]])
    """
    from scipy import sparse  # here, since most files need no sums and its import takes longer than all others

    distinct, places = np.unique(ids, return_inverse=True)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    ones = np.ones(len(ids), rows.dtype)
    matrix: Any = sparse.csr_array((ones, places, indptr), shape=(len(sizes), max(len(distinct), 1)))
    taken = rows[distinct] if len(distinct) else np.zeros((1, rows.shape[1]), rows.dtype)
    sums: Matrix = matrix @ taken
    return sums
