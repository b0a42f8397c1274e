"""The table of tokens, their ranking and the check of UTF-8, against their twins."""

import itertools
import os
import subprocess
import sys
import textwrap
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import twins
from fastembed._kernels.tokens import Ranking, TokenTable, valid_utf8
from fastembed.corpus.reading import token_bytes, token_from_bytes

texts = st.text("ab\0é猫 \t\n\v\f\r\x1c\u00a0", max_size=80).map(lambda text: text.encode())


@given(texts, st.booleans())
def test_tokens_and_lines_are_counted(text, inside):
    table = TokenTable()
    expected, *lines = twins.count_tokens(text, inside)
    assert table.count(text, inside) == (expected.total(), *lines)
    tokens, counts = table.frequent(1)
    assert list(zip(tokens, counts, strict=True)) == list(expected.items())
    assert len(table) == len(tokens)
    assert table.frequent(2)[1] == [count for count in counts if count > 1]


@given(texts, st.booleans(), st.booleans(), st.lists(st.sampled_from([b"a", b"b", b"ab", "é".encode()]), unique=True))
def test_a_text_is_encoded_as_ids_of_its_known_tokens(text, inside, gaps, known):
    table = TokenTable()
    for token in known:
        table.insert(token)
    ids = np.full(len(text) + 1, 99, dtype=np.int32)
    written, *entry = table.encode(text, inside, ids, gaps)
    assert ids[:written].tolist() == twins.encode(text, known, gaps)
    assert tuple(entry) == TokenTable().count(text, inside)
    assert (ids[written:] == 99).all()


def test_many_tokens_and_long_ones_keep_their_counts_and_ids():
    tokens = [str(i).encode() for i in range(100_000)] + [b"x" * n for n in (0, 1, 10_000, 1_000_000)]
    table = TokenTable()
    for token in tokens:
        table.insert(token, 2)
        table.insert(token, 1)
    assert table.frequent(1) == (tokens, [3] * len(tokens))
    ids = np.empty(1_600_000, np.int32)
    assert table.encode(b" ".join(reversed(tokens)), False, ids)[0] == len(tokens) - 1  # all but the empty one
    assert ids[1:4].tolist() == [len(tokens) - 2, len(tokens) - 3, 99_999]


@given(st.lists(st.dictionaries(st.text("ab\0éz猫\ud800 \n\r", max_size=3), st.integers(0, 3), max_size=9), max_size=5))
def test_a_ranking_is_by_counts_and_code_points(tables):
    filled, given = [], {}
    for number, counts in enumerate(tables):
        filled.append(TokenTable())
        for token, count in counts.items():
            filled[-1].insert(token_bytes(str(number) + token), count)
            given[str(number) + token] = count
    ranking = Ranking(filled, 1)
    expected = twins.ranking(given, 1)
    bounds = ranking.bounds
    assert np.diff(bounds).tolist() == [sum(count > 0 for count in counts.values()) for counts in tables]
    for first, last in itertools.pairwise(bounds):
        ranking.sort(first, last)
    for middle, last in itertools.pairwise(bounds[1:]):
        ranking.merge(0, middle, last)
    counts = np.empty(len(ranking), np.int64)
    tokens = ranking.take(counts, token_from_bytes)
    assert list(zip(tokens, counts.tolist(), strict=True)) == expected
    assert (len(ranking), ranking.total) == (len(expected), counts.sum())


@given(st.lists(st.sampled_from([b"a" * 8, b"a", *(bytes([b]) for b in range(0x7F, 0x100))]), max_size=8).map(b"".join))
def test_utf8_is_valid_where_python_decodes_it(data):
    assert valid_utf8(data) == twins.valid_utf8(data)


def test_any_first_two_bytes_are_valid_where_python_decodes_them():
    for first in range(256):
        for second in range(256):
            for rest in (b"", b"\x80", b"\x80\x80"):
                data = bytes([first, second]) + rest
                assert valid_utf8(data) == twins.valid_utf8(data)


# ---------------------------------------------------------------- hostile texts


def counted_and_encoded(tokens):
    """Return a table of different tokens that has counted each three times, and has encoded them."""
    text = b" ".join(tokens * 3) + b"\n"
    table, ids = TokenTable(), np.empty(len(text), np.int32)
    table.count(text, False)
    written, *_ = table.encode(text, False, ids)
    assert ids[: written - 1].tolist() == [*range(len(tokens))] * 3
    assert table.frequent(1) == (tokens, [3] * len(tokens))
    return table


def test_tokens_that_collide_and_no_others_are_counted_by_a_key(colliding_tokens):
    """Without a key they take several hundred times as long. Ids and counts are the same."""
    tokens = colliding_tokens(100_000)
    table = counted_and_encoded(tokens)
    other = counted_and_encoded([str(n).encode() for n in range(10**6, 10**6 + 100_000)])
    assert (table.keyed, other.keyed) == (True, False)
    merged = TokenTable()
    merged.merge(other)
    merged.merge(table)
    expected = Counter(dict.fromkeys(tokens, 3)) + Counter(dict.fromkeys(other.frequent(1)[0], 3))
    assert dict(zip(*merged.frequent(1), strict=True)) == expected


def test_the_key_differs_from_process_to_process_and_the_counts_do_not(tmp_path, colliding_tokens):
    path = tmp_path / "text"
    path.write_bytes(b" ".join(colliding_tokens(3000) * 2) + b"\n")
    code = """
        import hashlib, sys
        from fastembed import Counts, Vocabulary
        vocabulary = Vocabulary.from_corpus(sys.argv[1], min_count=1)
        counts = Counts.from_corpus(sys.argv[1], vocabulary).to_scipy()
        parts = counts.data.tobytes(), counts.indices.tobytes(), " ".join(vocabulary.tokens).encode()
        print(hash(b"tokens 0"), hashlib.sha256(b"".join(parts)).hexdigest())
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(code), str(path)]
    lines = [
        subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True, env=os.environ | {"PYTHONHASHSEED": seed}
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert lines[0][0] != lines[1][0]
    assert lines[0][1] == lines[1][1]
