"""The tables of neighbours and of phrases against their twins."""

from collections import Counter
from time import thread_time

import numpy as np

import twins
from fastembed._kernels.tokens import NeighborTable, PhraseTable


def split(text):
    """Return the tokens of each line."""
    return [[token.decode() for token in line.split()] for line in text.split(b"\n")]


def named_pairs(table, common):
    """Return the counts of pairs as the twin has them."""
    tokens = [token.decode() for token in table.tokens.frequent(0)[0]]
    counts = Counter()
    for first, second, between, times in table.frequent(1):
        inside = []
        while between:
            between, digit = divmod(between, len(common) + 1)
            inside.append(common[digit - 1])
        counts[(tokens[first], *inside, tokens[second])] = times
    return counts


def test_many_neighbours_keep_their_counts_while_the_table_grows_and_is_merged():
    ids = [i * i * 7919 % 30011 for i in range(40_000)]
    text = " ".join(map(str, ids)).encode()
    table, half, rest = (NeighborTable([b"0"]) for _ in range(3))
    table.count(text + b"\n" + text, False)
    half.count(text, False)
    rest.count(text, False)
    half.merge(rest)
    expected = twins.neighbors([list(map(str, ids))] * 2, {"0"})
    assert named_pairs(table, ["0"]) == named_pairs(half, ["0"]) == expected
    assert sorted(n for *_, n in table.frequent(3)) == sorted(n for n in expected.values() if n >= 3)


def test_neighbours_are_counted_where_tokens_collide(colliding_tokens):
    tokens = colliding_tokens(2000)
    text = b" ".join(tokens + tokens[::-1])
    table, merged = NeighborTable([]), NeighborTable([b"first"])
    table.count(text, False)
    assert table.tokens.keyed
    assert named_pairs(table, []) == twins.neighbors(split(text), set())
    other = NeighborTable([b"first"])
    other.count(text, False)
    merged.merge(other)
    assert named_pairs(merged, ["first"]) == twins.neighbors(split(text), {"first"})


def test_thousands_of_phrases_are_found_again():
    numbers = range(20_000)
    table = PhraseTable()
    for number in numbers:
        table.insert([b"%d" % number, b"of", b"%d" % (number + 1)])
        table.insert([b"%d" % number, b"of", b"%d" % (number + 1), b"end"])
    lines = [b"%d of %d end x" % (n, n + 1) for n in numbers]
    assert table.join(b"\n".join(lines), 255).split(b"\n") == [b"%d\xffof\xff%d\xffend x" % (n, n + 1) for n in numbers]
    assert table.join(b"5 of 7 6 of 7", 255) == b"5 of 7 6\xffof\xff7"


def test_neighbours_chosen_for_the_mixer_are_counted_as_fast_as_others():
    """Pairs of tokens, numbered as they occur, whose hashes without a key all begin a table of 2^15 slots."""
    words = 3000
    first, second = (
        np.arange(1, words + 1, dtype=np.uint64)[:, None] << np.uint64(32),
        np.arange(words, dtype=np.uint64),
    )
    h = (first ^ second) * np.uint64(0xD6E8FEB86659FD93)
    h ^= h >> np.uint64(32)
    h *= np.uint64(0x9E3779B97F4A7C15)
    h ^= h >> np.uint64(29)
    chosen = np.argwhere((h & np.uint64(0x7FFF)) < 80)[:20_000]
    others = np.random.default_rng(0).integers(0, words, chosen.shape)
    times = []
    for pairs in (others, chosen):
        text = "\n".join([*map(str, range(words)), *(f"{a} {b}" for a, b in pairs.tolist()), ""]).encode()
        table = NeighborTable([])
        start = thread_time()
        table.count(text, False)
        times.append(thread_time() - start)
    assert len(table) == len(chosen) > 19_000
    assert times[1] < 10 * times[0]
