"""Numbering tokens in one pass: the same result as that of the pass of the vocabulary."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed._base.sizes import SIZES
from fastembed._base.threads import Pool
from fastembed.corpus import DocumentCorpus, FileCorpus, Reading
from fastembed.corpus.corpus import as_corpus
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import token_from_bytes
from fastembed.corpus.tokens import count_tokens, number_tokens, rank_tokens
from fastembed.vocabulary import Vocabulary, encode_corpus

LINES = ["the cat sat on the mat", "", "the dog", "a  cat\té", "sat"] * 3


def ranked(tables, pool):
    ranking = rank_tokens(tables, 1, pool)
    counts = np.empty(len(ranking), np.int64)
    return ranking.take(counts, token_from_bytes), counts


def corpora(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return {
        "file": FileCorpus(path),
        "own tokenizer": FileCorpus(path, reading=Reading(tokenizer=str.split)),
        "texts": DocumentCorpus(LINES, reading=Reading(words=True)),
        "lists": as_corpus([*(line.split() for line in LINES), ["new york", ""]]),
        "nothing": as_corpus([]),
    }


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kind", ["file", "own tokenizer", "texts", "lists", "nothing"])
def test_a_corpus_is_numbered_in_one_reading(tmp_path, kind, threads, set_constant):
    set_constant(SIZES, "block_bytes", 40)
    set_constant(SIZES, "block_bytes", 40)
    corpus, pool, ledgers = corpora(tmp_path)[kind], Pool(threads), [Ledger(), Ledger(), Ledger()]
    numbered = number_tokens(corpus.blocks(ledgers[0]), corpus.reading, ledgers[0], pool)
    words, counts = ranked(numbered.counts(pool), pool)
    expected, expected_counts = ranked(count_tokens(corpus, ledgers[1], None, pool), pool)
    assert words == expected
    assert_array_equal(counts, expected_counts)
    assert ledgers[0] == ledgers[1]
    for known in (words, words[::2]):
        ids = [np.empty(0, np.int32)]
        if known:
            ids += encode_corpus(corpus, Vocabulary(known, np.ones(len(known), int)), ledgers[2], None, threads)
        assert_array_equal(numbered.ids(known, pool), np.concatenate(ids))
