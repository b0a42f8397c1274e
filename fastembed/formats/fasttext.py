"""The binary models of fastText, ``model.bin``: the vectors of words and of their character n-grams. Read only.

A file holds, little-endian and without gaps: a magic number and a version; the settings; the dictionary of words and
labels; the input matrix, a row for each word and then for each bucket of n-grams; the output matrix, which is not read.
The vector of a word is the mean of the word's row and the rows of its n-grams.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed.formats.table import Matrix, PathLike, Source, Table, add_token, is_gzip, open_read

MAGIC = struct.pack("<i", 793712314)
VERSIONS = (11, 12)
SUPERVISED = 3  # the kind of a model; others are of words alone
BLOCK = 1 << 20  # bytes read at a time

VERSION = struct.Struct("<i")
# Dimension, window, epochs, minimal count, negatives, word n-grams, loss, model, buckets, shortest and longest n-gram,
# rate of updates, sampling
SETTINGS = struct.Struct("<12id")
SIZES = struct.Struct("<3i2q")  # entries, words, labels, tokens of the text, entries that pruning has kept
# Behind the text of an entry and a zero: its count, and its type. Words come first, then labels
ENTRY = struct.Struct("<qb")
MATRIX = struct.Struct("<b2q")  # before its numbers: whether it is quantised, rows, columns


def is_model(path: PathLike) -> bool:
    """Return whether a file, which may be compressed with gzip, begins as fastText's binary models do.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.

    Examples
    --------
    >>> with open("v.bin", "wb") as file:
    ...     _ = file.write(b"3 2")  # as word2vec's binary form begins
    >>> is_model("v.bin")
    False
    """
    with open_read(path) as file:
        return file.read(len(MAGIC)) == MAGIC


def read_fasttext(path: PathLike) -> Table:
    """Read the words of a model, and the tensors "ngrams.matrix" (B, D) and "ngrams.lengths" if it has any n-grams.

    The rows of the n-grams are mapped into memory, unless the file is compressed.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not a model of a known version, ends before its vectors do, or is quantised; the byte is named.
    MemoryError
        If the vectors of the words take more memory than is free.
    """
    with open_read(path) as file:
        source = Source(file, path)
        dim, number, shortest, longest = _read_settings(source)
        tokens, counts = _read_dictionary(source)
        rows = _read_input(source, len(tokens) + number, dim)
    words, buckets = rows[: len(tokens)], rows[len(tokens) :]
    if not len(buckets) or longest < max(shortest, 1):
        return Table(tokens, words, counts)
    matrix = np.empty(words.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is rejected with the matrix
        for block, sums, sizes in bucket_sums(buckets, tokens, shortest, longest):
            sums += words[block]
            matrix[block] = sums * (1 / (sizes[:, None] + 1)).astype(np.float32)
    return Table(
        tokens, matrix, counts, ngrams={"ngrams.matrix": buckets, "ngrams.lengths": np.array([shortest, longest])}
    )


def _numbers(source: Source, form: struct.Struct, what: str) -> tuple[Any, ...]:
    """Return the next numbers of a file."""
    return form.unpack(source.take(form.size, what))


def _read_settings(source: Source) -> tuple[int, int, int, int]:
    """Read the beginning; return D, the number of buckets, the lengths of the shortest and of the longest n-gram."""
    if source.take(len(MAGIC), "the magic number") != MAGIC:
        raise source.error("this is not a binary model of fastText: its magic number is another one", 0)
    (version,) = _numbers(source, VERSION, "the version")
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise source.error(f"this is a model of fastText of version {version}; versions {known} can be read", 4)
    start = source.position
    dim, *_, model, buckets, shortest, longest, _, _ = _numbers(source, SETTINGS, "the settings")
    if dim < 1:
        raise source.error(f"the dimension must be at least 1, got {dim}", start)
    if version == 11 and model == SUPERVISED:  # had no character n-grams, whatever its settings say
        longest = 0
    needed = int(longest >= max(shortest, 1))
    if shortest < 0 or not 0 <= longest <= LONGEST_NGRAM or buckets < needed:
        what = f"n-grams of {shortest} to {longest} characters in {buckets} buckets"
        raise source.error(f"{what} cannot be: lengths are from 0 to {LONGEST_NGRAM}, buckets at least 1", start)
    return dim, buckets, shortest, longest


def _read_dictionary(source: Source) -> tuple[list[str], NDArray[np.int64]]:
    """Read the words and their counts, and skip the labels."""
    start = source.position
    entries, words, labels, _, pruned = _numbers(source, SIZES, "the sizes of the dictionary")
    if pruned >= 0:
        raise source.error("the model is quantised and pruned; only models as they were trained can be read", start)
    if words < 1 or labels < 0 or entries != words + labels:
        raise source.error(f"{words} words and {labels} labels cannot be {entries} entries", start)
    seen: dict[str, int] = {}
    counts: list[int] = []
    for number in range(entries):
        start = source.position
        name = source.take_until(b"\0", "the dictionary")
        count, _ = _numbers(source, ENTRY, "the dictionary")
        if number < words:
            where = f"{str(source.path)!r}, byte {start}, word {number + 1} of {words}"
            add_token(name, start, seen, where, "byte")
            counts.append(count)
    return list(seen), np.array(counts, np.int64)


def _read_input(source: Source, rows: int, dim: int) -> Matrix:
    """Return the input matrix: mapped, or read if the file is compressed."""
    start, what = source.position, "the input matrix"
    quantised, *shape = _numbers(source, MATRIX, "the shape of the input matrix")
    if quantised:
        raise source.error("the model is quantised; only models as they were trained can be read", start)
    if shape != [rows, dim]:
        raise source.error(f"the input matrix must have the shape {(rows, dim)}, got {tuple(shape)}", start)
    size = rows * dim * 4
    if is_gzip(source.path):
        data = bytearray()  # grows with what has been read, never by what the file promises
        while len(data) < size:
            data += source.take(min(BLOCK, size - len(data)), what)
        matrix = np.frombuffer(data, "<f4").reshape(rows, dim)
    else:
        if source.position + size > os.fstat(source.file.fileno()).st_size:
            raise source.error(f"the file ends inside {what}")
        matrix = np.asarray(np.memmap(source.file, "<f4", "r", source.position, (rows, dim)))
    return matrix.astype(np.float32, copy=False)


# ---------------------------------------------------------------- character n-grams
# As fastText takes them: each has the bucket of its hash, and several may share one.
# A word is put between ``<`` and ``>``, and cut at the characters of UTF-8. Its n-grams are listed by where they begin,
# then by length. ``<`` and ``>`` alone are not n-grams. The word ``</s>``, which stands for the end of a line, has
# none.

END_OF_LINE = "</s>"
LONGEST_NGRAM = 100  # characters; far above what anybody uses, and a bound for the memory of long words
BLOCK_WORDS = 4096  # words whose n-grams are in memory at a time

# FNV-1a of 32 bits
OFFSET = np.uint32(2166136261)
PRIME = np.uint32(16777619)


def ngrams_of(word: str, shortest: int, longest: int) -> list[str]:
    """Return the n-grams of a word between ``<`` and ``>``, by where they begin, then by length.

    ``<`` and ``>`` alone are not n-grams, and ``</s>`` has none.

    Parameters
    ----------
    shortest, longest : int
        In characters (Unicode code points).

    Examples
    --------
    >>> ngrams_of("où", 1, 3)
    ['<o', '<où', 'o', 'où', 'où>', 'ù', 'ù>']
    """
    if word == END_OF_LINE:
        return []
    text = f"<{word}>"
    size, least = len(text), max(shortest, 1)
    return [
        text[start:end]
        for start in range(size - least + 1)
        for end in range(start + least, min(start + longest, size) + 1)
        if end - start > 1 or 0 < start < size - 1
    ]


def buckets_of(
    words: Sequence[str], shortest: int, longest: int, buckets: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the buckets of the n-grams of words, one after the other, and how many n-grams each word has.

    Parameters
    ----------
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
    The hash is FNV-1a, but each byte is extended with its sign: a byte above 127 changes all bits.

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
    bounds = np.concatenate([[0], np.cumsum([len(text) for text in texts])])
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
    for start in range(0, len(words), BLOCK_WORDS):
        block = slice(start, min(start + BLOCK_WORDS, len(words)))
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
    return matrix @ taken
