"""The twins of kernels that only the tests need, in float64, or in plain Python where they read text.

The twins of the steps on an example and on a block are in :mod:`fastembed.reference`.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, pairwise, takewhile
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from fastembed.reference import Array, Ids, Real

# ---------------------------------------------------------------- counts


def cooccurrence(
    ids: Ids,
    vocabulary_size: int,
    before: Sequence[float],
    after: Sequence[float],
    contexts: int | None = None,
    directed: bool = False,
) -> Array:
    """Count weighted windows, N[w, c] = sum over positions of w and distances d of weight_d [c is at distance d].

    Parameters
    ----------
    ids : ndarray of int, shape (T,)
        The text; -1 separates sequences.
    vocabulary_size : int
        V; ids are below it.
    before, after : sequence of float
        The weights at the distances 1, 2, ... on each side.
    contexts : int, optional
        K; only ids below it are contexts. By default all ids are contexts.
    directed : bool
        Count the contexts before a word and those after it in separate columns.

    Returns
    -------
    ndarray of float64, shape (V, K), or (V, 2 K) if `directed`

    Examples
    --------
    >>> cooccurrence(np.array([0, 1, 1, -1, 0]), 2, before=[1.0, 0.5], after=[1.0, 0.5])
    array([[0. , 1.5],
           [1.5, 2. ]])
    """
    k = vocabulary_size if contexts is None else contexts
    counts = np.zeros((vocabulary_size, 2 * k if directed else k))
    sequence = np.cumsum(ids < 0)

    def add(centre: Ids, context: Ids, d: int, weight: float, shift: int) -> None:
        pair = (centre >= 0) & (context >= 0) & (context < k) & (sequence[:-d] == sequence[d:])
        np.add.at(counts, (centre[pair], context[pair] + shift), weight)

    for d, weight in enumerate(before, 1):
        add(ids[d:], ids[:-d], d, weight, 0)
    for d, weight in enumerate(after, 1):
        add(ids[:-d], ids[d:], d, weight, k if directed else 0)
    return counts


def positive_pmi(counts: Real, exponent: float = 0.75) -> Array:
    """Return max(0, log(N_wc sum_k(n_k^a) / (n_w n_c^a))) where N_wc > 0, and 0 elsewhere, (V_in, V).

    Examples
    --------
    >>> positive_pmi([[4, 0], [0, 4]]).round(4)  # log 2 on the diagonal
    array([[0.6931, 0.    ],
           [0.    , 0.6931]])
    """
    n = np.asarray(counts, np.float64)
    shares = n.sum(axis=0) ** exponent / np.sum(n.sum(axis=0) ** exponent)
    expected = np.outer(n.sum(axis=1), shares)
    return np.log(np.maximum(np.divide(n, expected, out=np.ones_like(n), where=n > 0), 1))


VALUE_DTYPES = ("<f4", "<u4", "<f8")  # of the values of a tile


class Tiles(NamedTuple):
    """Counts (N, V) in G groups of rows and S shards of columns, as the steps on a block take them.

    A value v of row r and column c means the count v * row_factors[r] * column_factors[c].
    """

    groups: list[np.ndarray[Any, np.dtype[np.uint8]]]  # the bytes of each
    bases: Ids  # (G,): their addresses
    offsets: Ids  # (G, S + 1): where each tile begins in them
    entries: Ids  # (G, S)
    filled: Ids  # (G, S): the number of rows with entries
    kinds: np.ndarray[Any, np.dtype[np.uint8]]  # (G, S): the number of their dtype in VALUE_DTYPES
    row_factors: Array  # (N,)
    column_factors: Array  # those of the columns of these shards


def tile_of(counts: sparse.csr_array) -> bytes:
    """Return the tile of the rows of a group in the columns of a shard: values, ends, columns and rows.

    Examples
    --------
    >>> tile = tile_of(sparse.csr_array([[0, 0, 0], [0, 1.5, 2]]))
    >>> np.frombuffer(tile, "<f4", 2), np.frombuffer(tile, "<u4", 1, 8), np.frombuffer(tile, "<u2", 3, 12), len(tile)
    (array([1.5, 2. ], dtype=float32), array([2], dtype=uint32), array([1, 2, 1], dtype=uint16), 24)
    """
    rows = np.flatnonzero(np.diff(counts.indptr))
    values = counts.data.astype(VALUE_DTYPES[kind_of(counts)])
    data = b"".join(
        array.tobytes()
        for array in (values, counts.indptr[rows + 1].astype("<u4"), counts.indices.astype("<u2"), rows.astype("<u2"))
    )
    return data + bytes(-len(data) % 8)


def kind_of(counts: sparse.csr_array) -> int:
    """Return the number of the first dtype in which all values are exact.

    Examples
    --------
    >>> [kind_of(sparse.csr_array([[value, 1.0]])) for value in (2.0**24, 2.0**24 + 1, 2.0**32 - 1, 2.0**32 + 1, 0.1)]
    [0, 1, 1, 2, 2]
    >>> kind_of(sparse.csr_array([[2.0**24 + 1, 0.5]]))
    2
    """
    with np.errstate(over="ignore", invalid="ignore"):
        exact = [(counts.data.astype(dtype).astype(np.float64) == counts.data).all() for dtype in VALUE_DTYPES]
    return int(np.argmax(exact))


def tiles_of(
    counts: sparse.csr_array,
    bounds: Sequence[int] | Ids,
    row_factors: Array | None = None,
    column_factors: Array | None = None,
    group_rows: int = 4096,
) -> Tiles:
    """Return stored counts in tiles.

    Parameters
    ----------
    counts : csr_array (N, V)
        Of float64, with ascending columns.
    bounds : sequence of int (S + 1,)
        The bounds of the shards.
    row_factors, column_factors : ndarray of float64, optional
        1 by default.
    group_rows : int
        The largest number of rows of a group.

    Examples
    --------
    >>> tiles = tiles_of(sparse.csr_array(np.eye(3, 5)), [0, 2, 5], group_rows=2)
    >>> [len(group) for group in tiles.groups], tiles.entries.tolist(), tiles.offsets.tolist()
    ([32, 16], [[1, 1], [1, 0]], [[0, 16, 32], [0, 16, 16]])
    """
    rows = counts.shape[0]
    count = -(-rows // group_rows)
    parts = [[counts[group::count][:, first:last] for first, last in pairwise(bounds)] for group in range(count)]
    tiles = [[tile_of(part) for part in group] for group in parts]
    groups = [np.frombuffer(b"".join(group), np.uint8).copy() for group in tiles]
    return Tiles(
        groups,
        np.array([group.ctypes.data for group in groups]),
        np.array([np.cumsum([0, *map(len, group)]) for group in tiles]),
        np.array([[part.nnz for part in group] for group in parts]),
        np.array([[np.count_nonzero(np.diff(part.indptr)) for part in group] for group in parts]),
        np.array([[kind_of(part) for part in group] for group in parts], np.uint8),
        np.ones(rows) if row_factors is None else row_factors,
        np.ones(bounds[-1] - bounds[0]) if column_factors is None else column_factors,
    )


# ---------------------------------------------------------------- features of a classifier


Pair = tuple[int, int]


def pairs_at(left: Ids, right: Ids, shift: int) -> dict[int, Pair]:
    """Return the pairs (left[i], right[i + shift]) by position i: -2 is in none, and -1 in none with itself.

    Examples
    --------
    >>> pairs_at(np.array([4, 2, -1, 2, -2]), np.array([4, 2, -1, 2, -2]), 1)
    {0: (4, 2), 1: (2, -1), 2: (-1, 2)}
    """
    pairs = enumerate(zip(left.tolist(), right[shift:].tolist(), strict=False))
    return {i: pair for i, pair in pairs if min(pair) > -2 and max(pair) >= 0}


def number_pairs(pairs: Iterable[Pair]) -> tuple[list[int], Counter[Pair]]:
    """Return the number of each pair, in the order of first occurrence, and the counts of the pairs in that order.

    Examples
    --------
    >>> number_pairs([(4, 2), (0, 1), (4, 2)])
    ([0, 1, 0], Counter({(4, 2): 2, (0, 1): 1}))
    """
    counts = Counter(pairs := list(pairs))
    numbers = {pair: number for number, pair in enumerate(counts)}
    return [numbers[pair] for pair in pairs], counts


def find_pairs(left: Ids, right: Ids, shift: int, known: Sequence[Pair]) -> list[int]:
    """Return the number of the pair at each position among known pairs (see `pairs_at`), or -2.

    Examples
    --------
    >>> find_pairs(np.array([4, 2, 4, 2]), np.array([4, 2, 4, 2]), 1, [(4, 2)])
    [0, -2, 0, -2]
    """
    numbers = {pair: number for number, pair in enumerate(known)}
    at = pairs_at(left, right, shift)
    return [numbers.get(at[i], -2) if i in at else -2 for i in range(len(left))]


def part_of_pair(pair: Pair, parts: int) -> int:
    """Return the part of a pair, out of a power of two, by the high bits of splitmix64 (Steele et al. 2014).

    Examples
    --------
    >>> [part_of_pair((4, right), 8) for right in range(6)]
    [7, 3, 5, 1, 3, 4]
    """
    h = pair[0] % 2**32 << 32 | pair[1] % 2**32
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        h = (h ^ h >> shift) * factor % 2**64
    return (h ^ h >> 31) * parts >> 64


def put_numbers(left: Ids, right: Ids, shift: int, parts: int, numbers: Sequence[int]) -> list[int]:
    """Return the number of the pair at each position, or -2, from the numbers of the pairs in the order of parts.

    Examples
    --------
    >>> part_of_pair((4, 2), 2), part_of_pair((2, 3), 2)
    (1, 0)
    >>> ids = np.array([4, 2, 3])
    >>> put_numbers(ids, ids, 1, 2, [7, 8])
    [8, 7, -2]
    """
    at = pairs_at(left, right, shift)
    order = sorted(at, key=lambda i: part_of_pair(at[i], parts))
    found = dict(zip(order, numbers, strict=True))
    return [found.get(i, -2) for i in range(len(left))]


def bags(features: Sequence[Ids], offsets: Sequence[int], starts: Sequence[int], size: int) -> Array:
    """Return the counts of `size` features in each document, (N, F).

    Parameters
    ----------
    features : sequence of ndarray of int (n,)
        For each kind, the feature that begins at each position, or a negative number.
    offsets : sequence of int
        The offset that is added to the features of each kind.
    starts : sequence of int (N + 1,)
        The start of each document, and the end of the last one.
    size : int
        F.

    Examples
    --------
    >>> bags([np.array([1, 0, 1]), np.array([0, -1, -1])], [0, 2], [0, 2, 3], 3)
    array([[1., 1., 1.],
           [0., 1., 0.]])
    """
    counts = np.zeros((len(starts) - 1, size))
    for kind, offset in zip(features, offsets, strict=True):
        for document, (first, last) in enumerate(pairwise(starts)):
            inside = kind[first:last]
            np.add.at(counts[document], inside[inside >= 0] + offset, 1)
    return counts


def unit_rows(counts: Real, weights: Real, logarithmic: bool = False) -> Array:
    """Return counts (N, F) times the weights of their columns, with rows scaled to unit length; zero rows stay zero.

    If they are `logarithmic`, a count n above 0 becomes 1 + log(n) first.

    Examples
    --------
    >>> unit_rows([[3, 2], [0, 0]], [1, 2])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    weighted = np.array(counts, np.float64)
    if logarithmic:
        weighted[weighted > 0] = 1 + np.log(weighted[weighted > 0])
    weighted *= np.asarray(weights, np.float64)
    lengths = np.sqrt((weighted**2).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(weighted, lengths, out=np.zeros_like(weighted), where=lengths > 0))


def split_bags(bags: Real, order: Ids, rows: Ids) -> tuple[Array, Array, Array, Ids, Array]:
    """Return bags (N, F) in another order, divided into features with a row and features of a single document.

    Parameters
    ----------
    bags : array_like (N, F)
    order : ndarray of int (n,)
    rows : ndarray of int (F,)
        The row of each feature, or -1.

    Returns
    -------
    of_rows : ndarray (n, S)
        The bags in terms of rows.
    squares, own : ndarray (n,)
        The squared lengths of the bags, of all features, and of those without a row.
    owners : ndarray of int (F,), amounts : ndarray (F,)
        The document of a feature without a row, in the new order, and its weight there; otherwise -1 and 0.

    Examples
    --------
    >>> split_bags([[3, 0, 1], [0, 2, 1]], np.array([1, 0]), np.array([-1, -1, 0]))
    (array([[1.],
           [1.]]), array([ 5., 10.]), array([4., 9.]), array([ 1,  0, -1]), array([3., 2., 0.]))
    """
    x, alone = np.asarray(bags, np.float64)[order], rows < 0
    of_rows = np.zeros((len(x), int(rows.max(initial=-1)) + 1))
    of_rows[:, rows[~alone]] = x[:, ~alone]
    amounts = np.where(alone, x.sum(axis=0), 0)
    owners = np.where(amounts != 0, (x != 0).argmax(axis=0), -1)
    return of_rows, (x**2).sum(axis=1), (x[:, alone] ** 2).sum(axis=1), owners, amounts


# ---------------------------------------------------------------- labels of a classifier


def label_terms(has: Real, y: Real, prior: float) -> tuple[Array, Array]:
    """Return the sum over labels of t(n) of each feature (F,), and what it lacks without each document (N, F).

    Parameters
    ----------
    has : array_like (N, F)
        1 where a document has a feature.
    y : array_like (N, L)
        How much of each label a document has.
    prior : float
    """
    q = np.mean(y, axis=0)

    def sums(n: Array) -> Array:
        return ((n + prior * q) * np.log(n / q + prior)).sum(axis=-1)

    n = np.transpose(has) @ y
    return sums(n), has * (sums(np.maximum(n - np.asarray(y)[:, None], 0)) - sums(n))


def squares_epoch(
    bags: Real,
    targets: Real,
    costs: Real,
    bias: Real,
    rows: Real,
    dual: Real,
    order: Iterable[int],
    bias_square: float = 1 / 16,
) -> tuple[Array, Array, Array, float, float]:
    """Return bias, rows and dual after an epoch of dual coordinate ascent, the loss before, the largest step.

    Parameters
    ----------
    bags : array_like (N, F)
    targets : array_like (N, L)
        1 where a document has a label, else 0.
    costs : array_like (N,)
        C_i, the weights of the losses (y - x)^2 / 2 of the documents.
    bias : array_like (L,)
        Its initial value plus `bias_square` times the sum of dual_i, by a feature that is its root in each document.
    rows : array_like (F, L)
        The weights: their initial values plus the sum of dual_i x_i.
    dual : array_like (N, L)
    order : iterable of int
        The documents, in the order of their steps.

    Examples
    --------
    At the minimum the residual C (y - x) is the dual, and no step moves anything:

    >>> bias, rows, dual = [0.0], [[0.0]], [[0.0]]
    >>> for _ in range(2):
    ...     bias, rows, dual, loss, moved = squares_epoch([[1.0]], [[1.0]], [2.0], bias, rows, dual, [0])
    >>> round(moved, 12), bool(np.isclose(rows[0, 0], 2 * (1 - rows[0, 0] - bias[0])))
    (0.0, True)
    """
    x, y, c = (np.asarray(a, np.float64) for a in (bags, targets, costs))
    w, a, b = np.array(rows, np.float64), np.array(dual, np.float64), np.array(bias, np.float64)
    loss = most = 0.0
    for i in order:
        square, m = bias_square + x[i] @ x[i], x[i] @ w + b
        loss += c[i] * float(((y[i] - m) ** 2).sum()) / 2
        change = c[i] * (y[i] - (m + square * (c[i] * y[i] - a[i])) / (1 + square * c[i])) - a[i]
        a[i] += change
        b += change * bias_square
        w += np.outer(x[i], change)
        most = max(most, square * float(np.abs(change).max()))
    return b, w, a, loss, most


# ---------------------------------------------------------------- text


BLANK, SPACE = r"[ \t\v\f\r]", r"[ \t\n\v\f\r]"
IDEOGRAPHS = re.compile("CJK (UNIFIED|COMPATIBILITY) IDEOGRAPH|IDEOGRAPHIC|HENTAIGANA|HIRAGANA|(HALFWIDTH )?KATAKANA")


@cache
def _characters(categories: str, ideographs: bool | None = None) -> str:
    """Return the character ranges of general categories: all, only ideographs, or all except ideographs."""
    found = []
    for point in range(sys.maxunicode + 1):
        category = unicodedata.category(c := chr(point))
        if category.startswith(tuple(categories.split())):
            ideograph = category[0] != "M" and IDEOGRAPHS.match(unicodedata.name(c, "")) is not None
            if ideographs in (None, ideograph):
                found.append(point)
    parts = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    return "".join(f"{chr(part[0])}-{chr(part[-1])}" for part in parts)


def words(text: str, keep_case: bool = False, digits: str = "keep") -> list[list[str]]:
    r"""Return the words of each line, as `Reading` describes them.

    Examples
    --------
    >>> words("It\u2019s 1984,\nnot '85.", digits="shape")
    [["it's", '0000'], ['not', '00']]
    """
    first, ideograph = (f"[{_characters('L N', kind)}]" for kind in (False, True))
    letter = f"[{_characters('L M N', False)}\u200c\u200d]"
    word = re.compile(f"{ideograph}[{_characters('M')}]*|({first}{letter}*(?:['\u2019]{letter}+)*)")
    number = re.compile(f"(?!{ideograph})[{_characters('N')}][{_characters('N')}']*")
    lines = []
    for line in text.replace("\xad", "").split("\n"):
        tokens = [match[0].replace("\u2019", "'") for match in word.finditer(line)]
        if digits != "keep":
            shape = "" if digits == "drop" else "0"
            tokens = [re.sub("[^']", shape, t) if number.fullmatch(t) else t for t in tokens]
        lines.append(
            [token if keep_case else token.replace("\u0130", "i").lower() for token in tokens if token.strip("'")]
        )
    return lines


def sequences(text: str, unit: str) -> list[str]:
    r"""Return the paragraphs, the sentences or the document of a wrapped text, as `Reading` describes them.

    Examples
    --------
    >>> sequences("This is an exam-\nple. It goes\n on.\n\nAnd on.", "sentence")
    ['This is an example.', 'It goes on.', 'And on.']
    """
    letter, capital = f"[{_characters('L M')}]", f"[{_characters('Lu Lt')}]"
    text = re.sub(f"(?<={letter})[-\u2010\xad]{BLANK}*\n{BLANK}*(?={letter})", "", text)
    parts = [text] if unit == "document" else re.split(f"\n{BLANK}*\n", text)
    parts = [re.sub(f"{SPACE}+", " ", part).strip(" ") for part in parts]
    if unit == "sentence":
        end = f"""(?<=[.!?])(["')\\]\u201d\u2019\xbb]*) (?=["'(\\[\u201c\u2018\xab\xbf\xa1]*{capital})"""
        parts = [sentence for part in parts for sentence in re.sub(end, r"\1\n", part).split("\n")]
    return [part for part in parts if part]


def valid_utf8(text: bytes) -> bool:
    r"""Return whether a text is well-formed UTF-8.

    Examples
    --------
    >>> valid_utf8("\u732b".encode()), valid_utf8(b"\xff")
    (True, False)
    """
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def count_tokens(text: bytes, inside: bool = False) -> tuple[Counter[bytes], int, int]:
    r"""Return token counts in the order of first occurrence, the number of line ends, and that of empty lines.

    With `inside`, the text continues a line that is not empty.

    Examples
    --------
    >>> count_tokens(b"to be\n\nor to")
    (Counter({b'to': 2, b'be': 1, b'or': 1}), 2, 1)
    """
    *lines, _ = [line.split() for line in text.split(b"\n")]
    empty = sum(not line for line in lines) - (inside and lines[:1] == [[]])
    return Counter(text.split()), len(lines), empty


def encode(text: bytes, known: Sequence[bytes], gaps: bool = False) -> list[int]:
    r"""Return the ids of the tokens that are known, -1 at the end of each line, and with gaps -2 for other tokens.

    Examples
    --------
    >>> encode(b"to be\nor to", [b"be", b"to"])
    [1, 0, -1, 1]
    """
    ids = {token: number for number, token in enumerate(known)}
    lines = ([ids.get(token, -2) for token in line.split() if gaps or token in ids] for line in text.split(b"\n"))
    return list(chain.from_iterable([*line, -1] for line in lines))[:-1]


def ranking(counts: Mapping[str, int], least: int) -> list[tuple[str, int]]:
    """Return the tokens that occur at least `least` times, by decreasing count, with ties in code point order.

    Examples
    --------
    >>> ranking({"b": 1, "a": 1, "c": 2, "d": 0}, 1)
    [('c', 2), ('a', 1), ('b', 1)]
    """
    return sorted(((t, n) for t, n in counts.items() if n >= least), key=lambda item: (-item[1], item[0]))


def separate_labels(text: bytes, prefix: bytes) -> tuple[bytes, bytes]:
    r"""Return the tokens of lines that begin with a prefix, without it, and the rest of the lines.

    Examples
    --------
    >>> separate_labels(b"#a #b to be\nor\n", b"#")
    (b'a b \n\n', b'  to be\nor\n')
    """
    labels, rest = [], []
    for line in text.split(b"\n"):
        parts = re.split(rb"([ \t\v\f\r]+)", line)
        label = [part.startswith(prefix) and part != prefix for part in parts]
        labels.append(b"".join(part[len(prefix) :] + b" " for part, is_one in zip(parts, label, strict=True) if is_one))
        rest.append(b"".join(part for part, is_one in zip(parts, label, strict=True) if not is_one))
    return b"\n".join(labels), b"\n".join(rest)


def neighbors(sequences: Iterable[Sequence[str]], common: Collection[str]) -> Counter[tuple[str, ...]]:
    """Count pairs of neighbours that are not common, with up to two common tokens between them.

    Examples
    --------
    >>> neighbors([["bank", "of", "america", "now"]], {"of"})
    Counter({('bank', 'of', 'america'): 1, ('america', 'now'): 1})
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for tokens in sequences:
        for start, token in enumerate(tokens):
            end = start + 1 + len(list(takewhile(common.__contains__, tokens[start + 1 :])))
            if token not in common and end < len(tokens) and end - start <= 3:
                counts[tuple(tokens[start : end + 1])] += 1
    return counts


def join_phrases(tokens: Sequence[str], phrases: Iterable[Sequence[str]]) -> list[str]:
    """Join the longest phrase at each token, from left to right.

    Examples
    --------
    >>> join_phrases(["a", "b", "c", "b"], [("a", "b"), ("b", "c")])
    ['a_b', 'c', 'b']
    """
    known, joined, at = set(map(tuple, phrases)), [], 0
    while at < len(tokens):
        lengths = (len(phrase) for phrase in known if tuple(tokens[at : at + len(phrase)]) == phrase)
        end = at + max(lengths, default=1)
        joined.append("_".join(tokens[at:end]))
        at = end
    return joined


def ngrams(documents: Iterable[Sequence[str]], shortest: int, longest: int) -> list[list[tuple[str, ...]]]:
    """Return the n-grams of each document, of `shortest` to `longest` units.

    Examples
    --------
    >>> ngrams(["<at>"], 2, 3)
    [[('<', 'a'), ('<', 'a', 't'), ('a', 't'), ('a', 't', '>'), ('t', '>')]]
    """
    return [
        [
            tuple(document[first:last])
            for first in range(len(document))
            for last in range(first + shortest, min(first + longest, len(document)) + 1)
        ]
        for document in documents
    ]
