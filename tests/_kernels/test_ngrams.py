"""The exact dictionary of n-grams, against its twin."""

import itertools

import numpy as np
import pytest

import twins
from fastembed._kernels.ngrams import NgramTable


def packed(documents, unit_bytes=1):
    """Return documents of ASCII characters, or of arrays of ids, as a table takes them."""
    text = np.frombuffer(b"".join(bytes(document) for document in documents), np.uint8)
    lengths = [len(bytes(document)) // unit_bytes for document in documents]
    units = np.arange(sum(lengths) + 1, dtype=np.int64) * unit_bytes
    return text, units, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def total(documents, shortest, longest):
    return sum(map(len, twins.ngrams(documents, shortest, longest)))


def held(table):
    """Return the n-grams of a table in the order of their ids, and in how many documents each was counted."""
    text, offsets = np.empty(table.text_bytes, np.uint8), np.empty(len(table) + 1, np.int64)
    documents = np.empty(len(table), np.int64)
    table.take(text, offsets, documents)
    raw = text.tobytes()
    return [raw[a:b] for a, b in itertools.pairwise(offsets)], documents.tolist()


@pytest.mark.parametrize("lengths", [(1, 1), (1, 3), (3, 6), (2, 40)])
@pytest.mark.parametrize("count", [1, 7, 5000])
def test_the_table_is_its_twin(lengths, count):
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"abc", np.uint8)
    documents = [rng.choice(letters, n).tobytes() for n in rng.integers(0, 12, count)]
    table = NgramTable()
    ids = np.empty(total(documents, *lengths), np.int32)
    half = len(documents) // 2
    split = total(documents[:half], *lengths)
    table.count(*packed(documents[:half]), *lengths, ids[:split])  # the counting goes on from call to call
    table.count(*packed(documents[half:]), *lengths, ids[split:])

    expected = [[bytes(ngram) for ngram in ngrams] for ngrams in twins.ngrams(documents, *lengths)]
    numbers = {}
    for ngrams in expected:
        for ngram in ngrams:
            numbers.setdefault(ngram, len(numbers))
    ngrams, occurrences = held(table)
    assert ngrams == list(numbers)
    assert ids.tolist() == [numbers[ngram] for each in expected for ngram in each]
    assert occurrences == [sum(ngram in set(each) for each in expected) for ngram in numbers] if count < 100 else True
    assert sum(occurrences) == sum(len(set(each)) for each in expected)


def test_n_grams_of_ids_do_not_run_from_one_document_into_the_next():
    table = NgramTable()
    ids = np.empty(2, np.int32)
    table.count(*packed([np.array(pair, np.int32).tobytes() for pair in ((1, 2), (2, 1))], 4), 2, 2, ids)
    assert held(table)[0] == [np.array(pair, np.int32).tobytes() for pair in ((1, 2), (2, 1))]
