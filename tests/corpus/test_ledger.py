"""The ledger of a corpus, and the seeded split of its lines."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Counts, Vocabulary
from fastembed.corpus import Ledger, LineSplit


def test_ledgers_are_summed_and_summarized():
    one = Ledger(10, 2, 1, 9, 6, {"rare": 3})
    assert (Ledger(replaced=1) + Ledger(replaced=2)).replaced == 3
    both = one + Ledger(20, 3, 0, 8, 5, {"rare": 2, "many": 1})
    assert both == Ledger(30, 5, 1, 17, 11, {"rare": 5, "many": 1})
    assert (
        repr(both)[9:-1]
        == both.summary()
        == "read 17 tokens in 5 lines (1 empty) (30 bytes); used 11; dropped 6 (5 rare, 1 many)"
    )
    assert one.dropped == {"rare": 3}


def numbers_of(seed, lines):
    """Return the random numbers that assign each line, which are not those of the stream of the seed."""
    numbers = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[1]).random(lines)
    assert not set(numbers) & set(np.random.default_rng(seed).random(lines))
    return numbers


def test_lines_are_held_out_by_the_seed_alone(tmp_path):
    """From memory, from a file, on any number of threads; the two parts add up to the whole, to the bit."""
    corpus = [[f"w{word:02d}" for word in line] for line in np.random.default_rng(0).integers(30, size=(80, 12))]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(" ".join(line) for line in corpus), encoding="utf-8")
    vocabulary = Vocabulary.from_corpus(corpus, 1)
    options = {"window": 3, "weighting": "harmonic", "sample": 1e-2, "directed": True}
    whole = Counts.from_corpus(corpus, vocabulary, **options)
    kept, held_out = (
        Counts.from_corpus(corpus, vocabulary, lines=LineSplit(0.3, 1, side), **options) for side in (False, True)
    )
    assert_array_equal((kept + held_out).to_scipy().toarray(), whole.to_scipy().toarray())
    for threads in (1, 2, 3):
        again = Counts.from_corpus(path, vocabulary, lines=LineSplit(0.3, 1, True), threads=threads, **options)
        assert_array_equal(again.to_scipy().toarray(), held_out.to_scipy().toarray())
    drawn = numbers_of(1, len(corpus)) < 0.3
    by_hand = Counts.from_corpus([line for line, out in zip(corpus, drawn, strict=True) if out], vocabulary, **options)
    assert_array_equal(by_hand.to_scipy().toarray(), held_out.to_scipy().toarray())
    ledger = held_out.ledger
    assert ledger.tokens_read == 960
    assert ledger.tokens_used == 12 * drawn.sum() == 960 - ledger.dropped["not held out"]
    other = Counts.from_corpus(corpus, vocabulary, lines=LineSplit(0.3, 2, True), **options)
    assert other.total != held_out.total


def test_bad_splits_are_rejected():
    with pytest.raises(ValueError, match=r"share must be .* got 1\.5"):
        LineSplit(1.5, 0, True)
